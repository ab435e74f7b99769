"""The statement that travels inside a model: an in-toto Statement with SLSA Provenance.

Fields: https://in-toto.io/Statement/v1 and https://slsa.dev/provenance/v1. A training's own account
of itself, signed with the same key as the model, is what SLSA calls Build Level 1.
"""

import base64
import hashlib
import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import version

from pressbox import __version__
from pressbox.data.corpus import Corpus, Row
from pressbox.data.tables import DEFAULTS as READING
from pressbox.environment import drift
from pressbox.environment.drift import UNKNOWN, Environment
from pressbox.environment.passport import STEERING
from pressbox.provenance.code import Code

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://pressbox.example/train/v3"
BUILDER = "https://pressbox.example/train.py"
# The parameters that each build type has; SLSA demands that a reader refuses any others.
PARAMETERS = {
    "https://pressbox.example/train/v1": {"source"},
    "https://pressbox.example/train/v2": {"source", "test", "release", "allow_drift"},
    BUILD_TYPE: {"source", "test", "release", "allow_drift", *READING},
}
# How the verdict on a model begins that anybody could have signed.
NOT_PROTECTED = "NOT PROTECTED"
# So much of each row's digest is kept: enough to tell the rows of a corpus apart, and no more.
ROW_BYTES = 6

# With room to spare: Linux gives a program at most 128 KiB in one piece.
MAX_ARGUMENT_BYTES = 1 << 16

# The published fields, and what each may be: a type, or a pattern for the whole string.
SHA256 = re.compile(r"[0-9a-f]{64}")
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_RESOURCE = {
    "name": str,
    "uri": str,
    "digest": {"sha256": SHA256, "gitCommit": COMMIT},
    "content": str,
    "downloadLocation": str,
    "mediaType": str,
    "annotations": dict,
}
FIELDS = {
    "_type": str,
    "subject": [_RESOURCE],
    "predicateType": str,
    "predicate": {
        "buildDefinition": {
            "buildType": str,
            "externalParameters": dict,
            "internalParameters": dict,
            "resolvedDependencies": [_RESOURCE],
        },
        "runDetails": {
            "builder": {"id": str, "builderDependencies": [_RESOURCE], "version": dict},
            "metadata": {"invocationId": str, "startedOn": MOMENT, "finishedOn": MOMENT},
            "byproducts": [_RESOURCE],
        },
    },
}


def row_digest(row: Row) -> bytes:
    """The first bytes of the row's SHA-256."""
    return hashlib.sha256(json.dumps(row).encode()).digest()[:ROW_BYTES]


def row_digests(rows: tuple[Row, ...]) -> list[bytes]:
    """That of each row, sorted."""
    return sorted(map(row_digest, rows))


def rows_digest(rows: Iterable[Row]) -> str:
    """``sha256:<hex>`` over the rows, whatever their order."""
    found = hashlib.sha256()
    for row in sorted(rows):
        found.update(json.dumps(row).encode() + b"\n")
    return f"sha256:{found.hexdigest()}"


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
    code: Code,
    here: Environment,
    parameters: dict,
    byproducts: dict[str, dict],
    started: datetime,
) -> dict:
    """The statement of the model ``name``: what it was made of, where, and how good it is.

    model_digest: ``sha256:<hex>``. parameters: what the person chose, besides the source and its
    layout, by the names in PARAMETERS[BUILD_TYPE]. byproducts: JSON objects by name, ``metrics``
    among them. started: when the training began, aware. Returns a JSON object.
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
                    **corpus.layout.options,
                    **parameters,
                },
                "internalParameters": {
                    "door": drift.door(),
                    "variables": {variable: os.environ.get(variable) for variable in STEERING},
                },
                "resolvedDependencies": _dependencies(corpus, code, here),
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


def _dependencies(corpus: Corpus, code: Code, here: Environment) -> list[dict]:
    about = {"dirty": code.dirty, "files": code.files, "script": code.script}
    repository = {"name": "code", "annotations": about}
    if code.commit != UNKNOWN:
        repository["digest"] = {"gitCommit": code.commit}
    if code.uri:
        repository["uri"] = code.uri
    data = {
        "name": "data",
        "digest": _digest(corpus.digest),
        "annotations": {"train": _part(corpus.train), "test": _part(corpus.test)},
    }
    image = {
        "name": "environment",
        "annotations": {
            "deep": here.deep,
            "drift": list(here.differences),
            "passport": here.passport,
        },
    }
    special_k: dict = {"name": "special_k", "uri": f"pkg:pypi/special-k@{version('special-k')}"}
    found = [repository, data, image, special_k]
    if here.passport:
        image["digest"] = _digest(here.digest)
        files = here.passport["python_packages"]["special-k"]["files"]
        special_k["annotations"] = {"installed_files": files}
        lock = here.inputs["poetry.lock"]
        found.insert(2, {"name": "poetry.lock", "digest": {"sha256": lock}})
    return found


@dataclass(frozen=True)
class SignedBy:
    """Whose signature it is. experiments_only: whether it never makes a release; expires: the last
    day on which it counts, if there is one; user_id: a name, which the signer chose."""

    fingerprint: str
    demo: bool
    experiments_only: bool
    expires: str | None
    user_id: str

    @property
    def verdict(self) -> str:
        """What the signature is worth, in words."""
        if self.demo:
            how = "signed with the published demo key, anybody could have made it"
            return f"{NOT_PROTECTED}: {how}"
        until = f"until {self.expires}" if self.expires else "with no expiry"
        who = f"signed by {self.user_id} {until}"
        if self.experiments_only:
            return f"EXPERIMENT: {who}, trusted for experiments and never for a release"
        return f"OK: {who}"


@dataclass(frozen=True)
class Revision:
    """A commit, or "unknown". dirty: whether the tree differed from it; None if that is unknown."""

    commit: str
    dirty: bool | None


@dataclass(frozen=True)
class Statement:
    """A statement that this release knows, and whose fields have the right types.

    content: the JSON object that was signed; any other raises ValueError, KeyError, IndexError,
    TypeError or AttributeError. Digests are ``sha256:<hex>``, times UTC, YYYY-MM-DDTHH:MM:SSZ.
    """

    content: dict

    def __post_init__(self):
        _require_known(self.content)
        for name in ("code", "data", "environment"):
            if not self.dependency(name):
                raise ValueError(f"it does not name its {name}")
        source, test = self.parameters["source"], self.parameters.get("test") or ""
        datetime.fromisoformat(self.sealed_at)
        for what, right in (
            ("drift that is not in words", self.drift is None or _strings(self.drift, list)),
            ("a source or a door that is not a name", _strings([source, test, self.door], list)),
            ("a way to read tables that nobody can give", _arguments(self.parameters)),
            ("a tree that is neither dirty nor clean", isinstance(self.code.dirty, bool | None)),
            ("files of code without a digest", _digests(self.annotations("code").get("files", {}))),
            ("metrics that are not numbers", all(map(_is_number, self.metrics.values()))),
        ):
            if not right:
                raise ValueError(what)

    @property
    def _definition(self) -> dict:
        return self.content["predicate"]["buildDefinition"]

    @property
    def _run(self) -> dict:
        return self.content["predicate"]["runDetails"]

    def dependency(self, name: str) -> dict:
        """A resource descriptor of what the model was made of, by name; empty if there is none."""
        return resources(self._definition["resolvedDependencies"]).get(name, {})

    def annotations(self, name: str) -> dict:
        """What is said about a dependency; empty if nothing is."""
        return self.dependency(name).get("annotations", {})

    def byproduct(self, name: str) -> dict | None:
        """What the training recorded under this name, a JSON object; None if there is none."""
        found = resources(self._run["byproducts"])
        return found[name]["annotations"] if name in found else None

    @property
    def parameters(self) -> dict:
        """What the person chose, by the names in PARAMETERS[build type]."""
        return self._definition["externalParameters"]

    @property
    def name(self) -> str:
        return self.content["subject"][0]["name"]

    @property
    def model_digest(self) -> str:
        return _joined(self.content["subject"][0])

    @property
    def environment_digest(self) -> str:
        environment = self.dependency("environment")
        return _joined(environment) if "digest" in environment else UNKNOWN

    @property
    def drift(self) -> list[str] | None:
        """How the environment had drifted, in words; None if it was not checked."""
        return self.annotations("environment").get("drift")

    @property
    def data_digest(self) -> str:
        return _joined(self.dependency("data"))

    @property
    def code(self) -> Revision:
        commit = self.dependency("code").get("digest", {}).get("gitCommit", UNKNOWN)
        return Revision(commit, self.annotations("code")["dirty"])

    @property
    def door(self) -> str:
        return self._definition["internalParameters"].get("door", UNKNOWN)

    @property
    def release(self) -> bool:
        """Whether the training says it demanded a release; before v3 it demanded too little."""
        return (
            self._definition["buildType"] == BUILD_TYPE
            and self.parameters["release"] is True
            and self.annotations("environment").get("deep") is True
        )

    @property
    def version(self) -> str:
        """Of the Pressbox that trained the model; the first release did not say it."""
        return self._run["builder"].get("version", {}).get("pressbox", UNKNOWN)

    @property
    def source(self) -> str:
        return self.parameters["source"]

    @property
    def sealed_at(self) -> str:
        return self._run["metadata"]["finishedOn"]

    @property
    def metrics(self) -> dict[str, float]:
        return resources(self._run["byproducts"])["metrics"]["annotations"]


@dataclass(frozen=True)
class Facts:
    """What is known about a verified model, in the order in which it is shown.

    signer comes first: everything else is the signer's word. labels: of the model. The other fields
    are those of ``Statement``.
    """

    signer: SignedBy
    name: str
    model_digest: str
    environment_digest: str
    drift: list[str] | None
    data_digest: str
    code: Revision
    door: str
    release: bool
    source: str
    sealed_at: str
    metrics: dict[str, float]
    labels: list[str]

    @classmethod
    def of(cls, signer: SignedBy, statement: Statement, labels: list[str]) -> "Facts":
        """The facts in a statement."""
        told = (field.name for field in fields(cls) if field.name not in ("signer", "labels"))
        return cls(signer, **{name: getattr(statement, name) for name in told}, labels=labels)

    def as_json(self) -> dict:
        """The object that ``show --json`` prints: the verdict, and all that is known."""
        return {"verdict": self.signer.verdict, **asdict(self)}


def _arguments(parameters: dict) -> bool:
    """Whether a replay can give a program what says how tables are read; ValueError if not."""
    chosen = [parameters[name] for name in READING if name in parameters]
    return _strings(chosen, list) and all(
        "\0" not in value and len(os.fsencode(value)) <= MAX_ARGUMENT_BYTES for value in chosen
    )


def _strings(value, kind: type) -> bool:
    return isinstance(value, kind) and all(isinstance(entry, str) for entry in value)


def _digests(files) -> bool:
    return _strings(files, dict) and all(
        isinstance(digest, str) and SHA256.fullmatch(digest.removeprefix("sha256:"))
        for digest in files.values()
    )


def _is_number(value) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def resources(descriptors: list[dict]) -> dict[str, dict]:
    """Resource descriptors by name; of two with the same name, the last."""
    return {entry["name"]: entry for entry in descriptors}


def _require_known(statement: dict) -> None:
    _match(statement, FIELDS, "")
    for field, expected in (("_type", STATEMENT_TYPE), ("predicateType", PREDICATE_TYPE)):
        if statement[field] != expected:
            raise ValueError(f"{field} is {statement[field]!r}, not {expected!r}")
    definition = statement["predicate"]["buildDefinition"]
    if definition["buildType"] not in PARAMETERS:
        raise ValueError(f"buildType {definition['buildType']!r} is not known to this release")
    parameters = dict.fromkeys(PARAMETERS[definition["buildType"]], object)
    _match(definition["externalParameters"], parameters, "")
    run = statement["predicate"]["runDetails"]
    for listed in (definition["resolvedDependencies"], run["byproducts"]):
        if len(resources(listed)) != len(listed):
            raise ValueError("two things have the same name")
    if not all("annotations" in entry for entry in run["byproducts"]):
        raise ValueError("a byproduct is empty")


def _match(value, shape, path: str) -> None:
    """Raise ValueError unless the value has the shape; fields of an object may be missing."""
    if isinstance(shape, re.Pattern):
        right = isinstance(value, str) and shape.fullmatch(value)
    else:
        right = isinstance(value, shape if isinstance(shape, type) else type(shape))
    if not right:
        raise ValueError(f"field {path.rstrip('.')!r} has the wrong type")
    if isinstance(shape, list):
        for entry in value:
            _match(entry, shape[0], path)
    elif isinstance(shape, dict) and isinstance(value, dict):
        for name in value:
            if name not in shape:
                raise ValueError(f"field {path + name!r} is not known to this release")
            _match(value[name], shape[name], f"{path}{name}.")


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _digest(text: str) -> dict[str, str]:
    algorithm, value = text.split(":")
    return {algorithm: value}


def _joined(entry: dict) -> str:
    return f"sha256:{entry['digest']['sha256']}"
