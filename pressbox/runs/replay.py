"""Train a model again from what its statement says it was made of, and compare.

What is run is code that is here: this checkout's, or that of a commit on a local branch, each file
with the digest that was signed. It runs confined: without a network, without anything of this
user's environment and files but the data, and able to write nowhere but into folders that are made
for it and removed, and where GnuPG works.
"""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pressbox import ROOT
from pressbox.console import note
from pressbox.data.corpus import NAMED_SOURCES
from pressbox.data.tables import DEFAULTS as READING
from pressbox.environment import drift
from pressbox.environment.passport import STEERING, file_digest
from pressbox.errors import NotTrusted, PressboxError, Reason, UsageError
from pressbox.provenance import git, statement
from pressbox.provenance.code import code_files
from pressbox.runs import confinement
from pressbox.runs.comparison import compare
from pressbox.sealing import tarball
from pressbox.sealing.policy import Policy
from pressbox.sealing.tarball import Verified
from pressbox.trust import gnupg, signers

# What a copy of this tree needs besides its code, to train.
NEEDED = ("corpus", "gnupg", "pressbox")
FILES = {b"100644", b"100755"}  # what git calls the modes of a file
# What the replayed code may read, besides its own tree and the data: what is installed.
READABLE = ("/bin", "/dev/urandom", "/etc", "/lib", "/lib64", "/opt", "/proc", "/sys", "/usr")
READABLE += ("/var/lib/dpkg", sys.prefix, sys.base_prefix)
ELSEWHERE = "replay it in a container of its own: scripts/pressbox.sh replay … on the host"
LAST_WORDS = 4096  # bytes


@dataclass(frozen=True)
class Replay:
    """identical: whether the model digests are the same. differences: as ``compare`` has them."""

    identical: bool
    digest: str
    differences: dict[str, list[str]]


def replay(
    path: Path, trusted: Path, policy: Policy, sources: dict[str, str], demo: bool = False
) -> Replay:
    """Train the model at ``path`` again, and say how the result differs.

    sources: paths for the sources of the model that have no name of their own, by what they are
    for: ``source``, ``test``. demo: even if anybody can have signed it. Raises PressboxError if its
    code or data are not at hand, or its code cannot be confined; another environment is a
    difference, not an error.
    """
    model = tarball.verify(path, trusted, policy)
    if model.facts.signer.demo and not demo:
        raise NotTrusted(
            Reason.POLICY,
            "it is signed with the demo key, so anybody chose the code that would be run",
            "add --demo to run it all the same",
        )
    with tempfile.TemporaryDirectory(prefix="replay-") as folder:
        tree = Path(folder, "tree")
        note(f"taking the code from {_lay_out(model, tree)}")
        options = _options(model.statement.parameters, sources)
        note("training it again")
        again = _trained(model, tree, Path(folder), options)
        differences = compare(model, again)
    digest = again.facts.model_digest
    return Replay(digest == model.facts.model_digest, digest, differences)


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
    chosen = {name: parameters[name] for name in READING if name in parameters}
    # Joined, as a value may begin with a dash.
    return options + [f"--{name.replace('_', '-')}={value}" for name, value in chosen.items()]


def _lay_out(model: Verified, tree: Path) -> str:
    """Make ``tree`` the code that trained the model; return where it was found."""
    recorded = model.statement.annotations("code").get("files")
    commit = model.facts.code.commit
    if not recorded:
        raise PressboxError(
            "the model does not name the files that trained it, so none is run",
            "train it anew with this release: then it does",
        )
    if recorded == code_files():
        found = "this checkout, which has the same"
        _copy_checkout(recorded, tree)
    elif model.facts.code.dirty is not False:
        raise PressboxError(
            f"the model was trained from uncommitted code, not from this: {_changed(recorded)}",
            "bring those files back as they were",
        )
    else:
        found = f"commit {commit}"
        _require_reviewed(commit)
        _extract(commit, tree)
    # What is run is what is there now, whatever git or anybody else has made of it.
    if recorded != code_files(tree) or any(map(Path.is_symlink, tree.rglob("*"))):
        raise PressboxError(
            f"{found}, does not hold the code that the model names", "ask its signer"
        )
    return found


def _changed(recorded: dict[str, str]) -> str:
    here = code_files()
    return ", ".join(
        name
        for name in sorted(recorded.keys() | here.keys())
        if recorded.get(name) != here.get(name)
    )


def _copy_checkout(code: dict[str, str], tree: Path) -> None:
    inputs = drift.current().inputs
    compiled = shutil.ignore_patterns("__pycache__")
    for name in NEEDED:
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=compiled)
    for name in [*code, *(name for name in inputs if file_digest(f"{ROOT}/{name}"))]:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name, follow_symlinks=False)


def _git(*arguments: str, stdin: bytes = b"") -> bytes | None:
    """What git answers; None if it does not."""
    # Of a repository above this checkout, nothing is taken.
    variables = {**git.VARIABLES, "GIT_CEILING_DIRECTORIES": str(ROOT.parent)}
    try:
        return git.ask(ROOT, *arguments, stdin=stdin, variables=variables)
    except git.Missing as error:
        raise PressboxError(str(error), "install git") from error
    except git.NoAnswer:
        return None


def _require_reviewed(commit: str) -> None:
    """PressboxError unless somebody here has taken the commit into a branch of theirs."""
    known = statement.COMMIT.fullmatch(commit)
    if not known or _git("cat-file", "-e", f"{commit}^{{commit}}") is None:
        raise PressboxError(
            f"commit {commit} is not in this repository",
            "fetch it, or replay in a clone that has it",
        )
    branches = _git("for-each-ref", "--count=1", f"--contains={commit}", "refs/heads")
    if not branches and _git("merge-base", "--is-ancestor", commit, "HEAD") is None:
        raise PressboxError(
            f"commit {commit} is on no branch of this repository, only known to it",
            "review it, and merge it into one: what nobody here has accepted is not run",
        )


def _extract(commit: str, tree: Path) -> None:
    """Write the files of the commit as they were committed; no filter, no attribute takes part."""
    listing = _git("ls-tree", "-r", "-z", "--full-tree", commit) or b""
    names = {}
    for entry in filter(None, listing.split(b"\0")):
        described, _, path = entry.partition(b"\t")
        mode, _, object_ = described.split()
        name = PurePosixPath(os.fsdecode(path))
        if mode not in FILES or name.is_absolute() or {"..", ".git"} & set(name.parts):
            raise PressboxError(
                f"commit {commit} holds {str(name)!r}, which is no plain file", "ask its signer"
            )
        names[name] = object_
    contents = _git("cat-file", "--batch", stdin=b"\n".join([*names.values(), b""])) or b""
    for name, content in zip(names, _blobs(contents), strict=True):
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _blobs(answer: bytes) -> Iterator[bytes]:
    """The contents in what ``git cat-file --batch`` prints."""
    start = 0
    while start < len(answer):
        end = answer.index(b"\n", start)
        size = int(answer[start:end].split()[2])
        yield answer[end + 1 : end + 1 + size]
        start = end + 1 + size + 1


def _trained(model: Verified, tree: Path, folder: Path, options: list[str]) -> Verified:
    """Train in the tree, with a key that this one training is signed with, and nobody else has."""
    key, trusted, made, temporary = (folder / name for name in ("key", "trusted", "made", "tmp"))
    for path in (key, made, temporary):
        path.mkdir()
    new = signers.new_key("Replay <replay@pressbox.example>", key, 1)
    for path in (trusted, tree / "gnupg"):
        shutil.copytree(gnupg.GNUPG, path, dirs_exist_ok=True)
        signers.trust(new.files["public key"], path)
    path = made / f"{model.facts.name}.tar.gz"
    command = [sys.executable, "train.py", path, *options]
    command += ["--signing-key", new.files["secret key"]]
    command += ["--passphrase-file", new.files["passphrase"]]
    if drift.current().differences:
        command.append("--allow-drift")
    readable = [tree, key, *(option for option in options if option.startswith("/"))]
    _run_confined(command, tree, readable, [made, temporary], temporary)
    return tarball.verify(path, trusted, Policy(signers=(new.fingerprint,)))


def _run_confined(command: list, tree: Path, readable: list, writable: list, home: Path) -> None:
    """Run the command as ``confinement`` does, in an environment that holds nothing of ours."""
    if socket := next(_sockets(), None):
        raise PressboxError(
            f"the code of the model could reach {socket}, behind which may be a key or an editor",
            ELSEWHERE,
        )
    # What was downloaded once is read where it lies: there is no network to fetch it again.
    kept = Path(os.environ.get("PRESSBOX_DATA_HOME") or ROOT / ".cache" / "scikit_learn_data")
    variables = {name: os.environ[name] for name in STEERING if name in os.environ}
    variables |= {
        "HOME": str(home),
        "PRESSBOX_DATA_HOME": str(kept.resolve()),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(home),
    }
    readable = [*map(str, readable), *filter(os.path.exists, (*READABLE, str(kept.resolve())))]
    writable = [*map(str, writable), *filter(os.path.exists, (os.devnull, str(gnupg.MEMORY)))]
    confined = [sys.executable, "-I", confinement.__file__, *readable, "--", *writable, "--"]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [*confined, *command], cwd=tree, env=variables, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said,
        )  # fmt: skip
        try:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        finally:
            # What it has started, too; until it is waited for, the number is its own.
            os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
        said.seek(max(0, said.seek(0, os.SEEK_END) - LAST_WORDS))
        lines = said.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
    if status == confinement.UNAVAILABLE:
        raise PressboxError(
            lines[-1], "replay it on Linux 6.2 or newer, in a container that lets it"
        )
    if status:
        raise PressboxError(
            f"the code of the model does not train here ({lines[-1].removeprefix('error: ')})",
            "replay it in the environment that it was made in",
        )


def _sockets() -> Iterator[str]:
    """Sockets in the file system that this user can connect to: no kernel keeps us from that."""
    listening = Path("/proc/net/unix").read_text().splitlines()[1:]
    mounted = Path("/proc/self/mountinfo").read_text().splitlines()
    paths = [fields[7] for line in listening if len(fields := line.split(maxsplit=7)) == 8]
    paths += [line.split()[4] for line in mounted]
    for path in paths:
        reachable = path.startswith("/") and os.path.exists(path) and os.access(path, os.W_OK)
        if reachable and stat.S_ISSOCK(os.stat(path).st_mode):
            yield path
