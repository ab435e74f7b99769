"""The statement that travels inside a model: an in-toto Statement with SLSA Provenance.

Fields: https://in-toto.io/Statement/v1 and https://slsa.dev/provenance/v1.
"""

import os
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version

from pressbox import ROOT
from pressbox.corpus import Corpus
from pressbox.passport import STEERING, environment_digest

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://pressbox.example/train/v1"
UNKNOWN = "unknown"


def code() -> dict:
    """The commit of this checkout, and whether the tree differs from it.

    ``{"commit": "unknown", "dirty": None}`` where there is no git or no repository to ask.
    """
    # The checkout belongs to the host's user, we may be another; nothing of it is written.
    git = ["git", "-C", ROOT, "-c", "safe.directory=*", "--no-optional-locks"]
    try:
        commit, status = (
            subprocess.run([*git, *question], capture_output=True, check=True, text=True).stdout
            for question in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.CalledProcessError):
        return {"commit": UNKNOWN, "dirty": None}
    return {"commit": commit.strip(), "dirty": bool(status.strip())}


def statement(name: str, model_digest: str, corpus: Corpus, metrics: dict) -> dict:
    """Say what the model ``name`` was made of, where, and how good it is."""
    origin = code()
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": _digest(model_digest)}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"source": corpus.source},
                "internalParameters": {
                    "variables": {variable: os.environ.get(variable) for variable in STEERING}
                },
                "resolvedDependencies": [
                    {
                        "name": "code",
                        "digest": {"gitCommit": origin["commit"]},
                        "annotations": {"dirty": origin["dirty"]},
                    },
                    {"name": "data", "digest": _digest(corpus.digest)},
                    {"name": "environment", "digest": _digest(environment_digest())},
                    {"name": "special_k", "annotations": {"version": version("special-k")}},
                ],
            },
            "runDetails": {
                "builder": {"id": "https://pressbox.example/train.py"},
                "metadata": {"finishedOn": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")},
                "byproducts": [{"name": "metrics", "annotations": metrics}],
            },
        },
    }


def summary(statement: dict) -> dict:
    """What ``show`` tells of a statement."""
    predicate = statement["predicate"]
    definition, run = predicate["buildDefinition"], predicate["runDetails"]
    used = {entry["name"]: entry for entry in definition["resolvedDependencies"]}
    return {
        "name": statement["subject"][0]["name"],
        "model_digest": _joined(statement["subject"][0]),
        "environment_digest": _joined(used["environment"]),
        "data_digest": _joined(used["data"]),
        "code": {
            "commit": used["code"]["digest"]["gitCommit"],
            "dirty": used["code"]["annotations"]["dirty"],
        },
        "source": definition["externalParameters"]["source"],
        "sealed_at": run["metadata"]["finishedOn"],
        "metrics": run["byproducts"][0]["annotations"],
    }


def _digest(text: str) -> dict[str, str]:
    algorithm, value = text.split(":")
    return {algorithm: value}


def _joined(entry: dict) -> str:
    return f"sha256:{entry['digest']['sha256']}"
