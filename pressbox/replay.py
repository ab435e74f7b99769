"""Train a model again from what its statement says it was made of, and compare."""

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pressbox import ROOT, environment, signers, tarball
from pressbox.code import code_files
from pressbox.comparison import annotations, compare
from pressbox.corpus import NAMED_SOURCES
from pressbox.environment import UNKNOWN
from pressbox.errors import PressboxError, UsageError, note
from pressbox.passport import file_digest
from pressbox.tarball import Policy, Verified

# What a copy of this tree needs besides its code, to train.
NEEDED = ("corpus", "gnupg", "pressbox")


@dataclass(frozen=True)
class Replay:
    """identical: whether the model digests are the same. differences: as ``compare`` has them."""

    identical: bool
    digest: str
    differences: dict[str, list[str]]


def replay(path: Path, trusted: Path, policy: Policy, sources: dict[str, str]) -> Replay:
    """Train the model at ``path`` again, and say how the result differs.

    sources: paths for the sources of the model that have no name of their own, by what they are
    for: ``source``, ``test``. Raises PressboxError if its code or data are not at hand; another
    environment is a difference, not an error.
    """
    model = tarball.verify(path, trusted, policy)
    parameters = model.statement["predicate"]["buildDefinition"]["externalParameters"]
    with tempfile.TemporaryDirectory(prefix="replay-") as folder:
        tree = Path(folder, "tree")
        note(f"taking the code from {_lay_out(model, tree)}")
        options = _options(parameters, sources)
        note("training it again")
        again = _trained(model, tree, Path(folder), options)
        differences = compare(model, again)
    digest = again.facts["model_digest"]
    return Replay(digest == model.facts["model_digest"], digest, differences)


def _options(parameters: dict, sources: dict[str, str]) -> list[str]:
    options = []
    for purpose, option in (("source", "--data"), ("test", "--test")):
        name = parameters.get(purpose)
        if not name:
            continue
        if name not in NAMED_SOURCES and purpose not in sources:
            raise UsageError(
                f"the model's {purpose} is {name!r}, a file or folder",
                f"say where it is: {option} PATH",
            )
        source = sources.get(purpose, name)
        options += [option, source if source in NAMED_SOURCES else str(Path(source).resolve())]
    return options


def _lay_out(model: Verified, tree: Path) -> str:
    """Make ``tree`` the code that trained the model; return where it was found."""
    recorded = annotations(model, "code").get("files")
    commit = model.facts["code"]["commit"]
    if recorded and recorded == code_files():
        _copy_checkout(recorded, tree)
        return "this checkout, which has the same"
    if model.facts["code"]["dirty"] is not False:
        raise PressboxError(
            f"the model was trained from uncommitted code, not from this: {_changed(recorded)}",
            "bring those files back as they were",
        )
    _extract(commit, tree)
    if recorded and recorded != code_files(tree):
        raise PressboxError(
            f"commit {commit} does not hold the code that the model names", "ask its signer"
        )
    return f"commit {commit}"


def _changed(recorded: dict[str, str] | None) -> str:
    if not recorded:
        return "it does not say which"
    here = code_files()
    return ", ".join(
        name
        for name in sorted(recorded.keys() | here.keys())
        if recorded.get(name) != here.get(name)
    )


def _copy_checkout(code: dict[str, str], tree: Path) -> None:
    inputs = environment.current().inputs
    for name in NEEDED:
        shutil.copytree(ROOT / name, tree / name)
    for name in [*code, *(name for name in inputs if file_digest(f"{ROOT}/{name}"))]:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)


def _extract(commit: str, tree: Path) -> None:
    archive = tree.with_suffix(".tar")
    git = ["git", "-C", ROOT, "-c", "safe.directory=*", "archive", "--output", archive, commit]
    if commit == UNKNOWN or subprocess.run(git, capture_output=True).returncode:
        raise PressboxError(
            f"commit {commit} is not in this repository",
            "fetch it, or replay in a clone that has it",
        )
    tree.mkdir()
    shutil.unpack_archive(archive, tree, filter="data")


def _trained(model: Verified, tree: Path, folder: Path, options: list[str]) -> Verified:
    """Train in the tree, with a key that this one training is signed with, and nobody else has."""
    made = signers.new_key("Replay <replay@pressbox.example>", folder, 1)
    signers.trust(made.files["public key"], tree / "gnupg")
    path = folder / f"{model.facts['name']}.tar.gz"
    command = [sys.executable, "train.py", path, *options]
    command += ["--signing-key", made.files["secret key"]]
    command += ["--passphrase-file", made.files["passphrase"]]
    if environment.current().differences:
        command.append("--allow-drift")
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise PressboxError(
            f"the code of the model does not train here ({reason[0].removeprefix('error: ')})",
            "replay it in the environment that it was made in",
        )
    return tarball.verify(path, tree / "gnupg")
