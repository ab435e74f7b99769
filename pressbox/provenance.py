"""The statement that travels inside a model: an in-toto Statement with SLSA Provenance.

Fields: https://in-toto.io/Statement/v1 and https://slsa.dev/provenance/v1. The training's own
account of itself, signed with the same key as the model, is what SLSA calls Build Level 1.
"""

import base64
import hashlib
import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from pressbox import ROOT, __version__
from pressbox.corpus import Corpus, Row
from pressbox.environment import UNKNOWN, Environment
from pressbox.passport import STEERING, digest

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://pressbox.example/train/v2"
BUILDER = "https://pressbox.example/train.py"
# What each kind of training takes, by build type; SLSA has a reader refuse any other parameter.
PARAMETERS = {
    "https://pressbox.example/train/v1": {"source"},
    BUILD_TYPE: {"source", "test", "release", "allow_drift"},
}
# Of the digest of each row, so many bytes are kept: enough to tell rows apart, not to guess them.
ROW_BYTES = 6

# The published fields; {} stands for any value.
_RESOURCE = {
    name: {}
    for name in ("name", "uri", "digest", "content", "downloadLocation", "mediaType", "annotations")
}
FIELDS = {
    "_type": {},
    "subject": [_RESOURCE],
    "predicateType": {},
    "predicate": {
        "buildDefinition": {
            "buildType": {},
            "externalParameters": {},
            "internalParameters": {},
            "resolvedDependencies": [_RESOURCE],
        },
        "runDetails": {
            "builder": {"id": {}, "builderDependencies": [_RESOURCE], "version": {}},
            "metadata": {"invocationId": {}, "startedOn": {}, "finishedOn": {}},
            "byproducts": [_RESOURCE],
        },
    },
}


def code() -> dict:
    """The commit of this checkout, whether the tree differs from it, and where it comes from.

    ``{"commit": "unknown", "dirty": None, "uri": None}`` where there is no git or no repository.
    """
    # The checkout belongs to the host's user, we may be another; nothing of it is written.
    git = ["git", "-C", ROOT, "-c", "safe.directory=*", "--no-optional-locks"]
    questions = (
        ["rev-parse", "--show-toplevel"],
        ["rev-parse", "HEAD"],
        ["status", "--porcelain"],
    )
    try:
        top, commit, status = (
            subprocess.run([*git, *question], capture_output=True, check=True, text=True).stdout
            for question in questions
        )
        # A tree that was unpacked somewhere below another repository is not that one's commit.
        if not ROOT.samefile(top.rstrip("\n")):
            raise FileNotFoundError(top)
    except (OSError, subprocess.CalledProcessError):
        return {"commit": UNKNOWN, "dirty": None, "uri": None}
    remote = subprocess.run([*git, "remote", "get-url", "origin"], capture_output=True, text=True)
    uri = _without_secrets(remote.stdout.strip())
    return {"commit": commit.strip(), "dirty": bool(status.strip()), "uri": uri}


def _without_secrets(url: str) -> str | None:
    """The URL of a remote without user and password; None for a folder of this machine."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http", "ssh", "git") or not parts.hostname:
        return None
    return f"git+{parts.scheme}://{parts.hostname}{parts.path}"


def code_files(root: Path = ROOT) -> dict[str, str]:
    """``sha256:<hex>`` of the code that trains: train.py, what lies beside it, and the library."""
    files = [*root.glob("*.py"), *root.glob("pressbox/**/*.py")]
    return {str(file.relative_to(root)): digest(file.read_bytes()) for file in sorted(files)}


def row_digests(rows: tuple[Row, ...]) -> list[bytes]:
    """The first bytes of the SHA-256 of each row, sorted."""
    contents = (json.dumps(row).encode() for row in rows)
    return sorted(hashlib.sha256(content).digest()[:ROW_BYTES] for content in contents)


def _part(rows: tuple[Row, ...]) -> dict:
    counts = Counter(label for _, label in rows)
    return {
        "labels": dict(sorted(counts.items())),
        "rows": base64.b64encode(b"".join(row_digests(rows))).decode(),
    }


def statement(
    name: str,
    model_digest: str,
    corpus: Corpus,
    environment: Environment,
    parameters: dict,
    byproducts: dict[str, dict],
    started: datetime,
) -> dict:
    """Say what the model ``name`` was made of, where, and how good it is.

    parameters: what the person chose, of PARAMETERS[BUILD_TYPE]. byproducts: JSON objects by name,
    ``metrics`` among them. started: when the training began, aware.
    """
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": _digest(model_digest)}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "source": corpus.source,
                    "test": corpus.test_source,
                    **parameters,
                },
                "internalParameters": {
                    "variables": {variable: os.environ.get(variable) for variable in STEERING}
                },
                "resolvedDependencies": _dependencies(corpus, environment),
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {"pressbox": __version__}},
                "metadata": {
                    "startedOn": _moment(started),
                    "finishedOn": _moment(datetime.now(UTC)),
                },
                "byproducts": [
                    {"name": name, "annotations": content} for name, content in byproducts.items()
                ],
            },
        },
    }


def _dependencies(corpus: Corpus, environment: Environment) -> list[dict]:
    origin = code()
    repository = {"name": "code", "annotations": {"dirty": origin["dirty"], "files": code_files()}}
    if origin["commit"] != UNKNOWN:
        repository["digest"] = {"gitCommit": origin["commit"]}
    if origin["uri"]:
        repository["uri"] = origin["uri"]
    data = {
        "name": "data",
        "digest": _digest(corpus.digest),
        "annotations": {"train": _part(corpus.train), "test": _part(corpus.test)},
    }
    image = {
        "name": "environment",
        "annotations": {
            "drift": list(environment.differences),
            "passport": environment.passport,
        },
    }
    special_k = {"name": "special_k", "uri": f"pkg:pypi/special-k@{version('special-k')}"}
    found = [repository, data, image, special_k]
    if environment.passport:
        image["digest"] = _digest(environment.digest)
        files = environment.passport["python_packages"]["special-k"]["files"]
        special_k["annotations"] = {"installed_files": files}
        lock = environment.inputs["poetry.lock"]
        found.insert(2, {"name": "poetry.lock", "digest": {"sha256": lock}})
    return found


def summary(statement: dict) -> dict:
    """What ``show`` tells of a statement; ValueError for one that this release does not know."""
    _require_known(statement)
    predicate = statement["predicate"]
    definition, run = predicate["buildDefinition"], predicate["runDetails"]
    used = resources(definition["resolvedDependencies"])
    environment = used["environment"]
    drift = environment.get("annotations", {}).get("drift")
    if drift is not None and not all(isinstance(entry, str) for entry in drift):
        raise ValueError("drift that is not told in words")
    return {
        "name": statement["subject"][0]["name"],
        "model_digest": _joined(statement["subject"][0]),
        "environment_digest": _joined(environment) if "digest" in environment else UNKNOWN,
        "drift": drift,
        "data_digest": _joined(used["data"]),
        "code": {
            "commit": used["code"].get("digest", {}).get("gitCommit", UNKNOWN),
            "dirty": used["code"]["annotations"]["dirty"],
        },
        "source": definition["externalParameters"]["source"],
        "sealed_at": run["metadata"]["finishedOn"],
        "metrics": resources(run["byproducts"])["metrics"]["annotations"],
    }


def resources(descriptors: list[dict]) -> dict[str, dict]:
    """Resource descriptors by their names."""
    return {entry["name"]: entry for entry in descriptors}


def _require_known(statement: dict) -> None:
    for field, expected in (("_type", STATEMENT_TYPE), ("predicateType", PREDICATE_TYPE)):
        if statement[field] != expected:
            raise ValueError(f"{field} is {statement[field]!r}, not {expected!r}")
    definition = statement["predicate"]["buildDefinition"]
    if definition["buildType"] not in PARAMETERS:
        raise ValueError(f"buildType {definition['buildType']!r} is not known to this release")
    unknown = [
        *_unknown(statement, FIELDS, ""),
        *(definition["externalParameters"].keys() - PARAMETERS[definition["buildType"]]),
    ]
    if unknown:
        raise ValueError(f"field {unknown[0]!r} is not known to this release")


def _unknown(value, shape, path: str) -> Iterator[str]:
    if isinstance(shape, list):
        for entry in value:
            yield from _unknown(entry, shape[0], path)
    elif shape:
        for name in value:
            if name not in shape:
                yield f"{path}{name}"
            else:
                yield from _unknown(value[name], shape[name], f"{path}{name}.")


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _digest(text: str) -> dict[str, str]:
    algorithm, value = text.split(":")
    return {algorithm: value}


def _joined(entry: dict) -> str:
    return f"sha256:{entry['digest']['sha256']}"
