"""Train a model again from what its statement says it was made of, and compare.

What runs is code that was reviewed here: this checkout's, or that of a commit on a local branch,
each file with the digest that was signed. It runs confined: it has no network and none of this
user's variables; it reads what is installed, its own code, the key of this training and the data;
it writes to folders that are made for it and removed afterwards, and where GnuPG works.
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

# What a copy of this checkout needs in order to train, besides its code.
NEEDED = ("corpus", "gnupg", "pressbox")
PLAIN_FILES = {b"100644", b"100755"}  # git's modes of regular files
# What the replayed code may read besides its own files and the data: what is installed.
READABLE = ("/bin", "/dev/urandom", "/etc", "/lib", "/lib64", "/opt", "/proc", "/sys", "/usr")
READABLE += ("/var/lib/dpkg", sys.prefix, sys.base_prefix)
ELSEWHERE = "replay it in a fresh container, on the host: scripts/pressbox.sh replay --door docker"
MAX_MESSAGE_BYTES = 4096


@dataclass(frozen=True)
class Replay:
    """What came of training a model again.

    identical: whether the model digests are the same. digest: the new one, ``sha256:<hex>``.
    differences: what ``compare`` says of the two.
    """

    identical: bool
    digest: str
    differences: dict[str, list[str]]


def replay(
    path: Path, trusted: Path, policy: Policy, sources: dict[str, str], demo: bool = False
) -> Replay:
    """Train the model at ``path`` again, and say how the result differs.

    trusted: a folder like gnupg/. sources: where the model's data are, by what they are for
    (``source``, ``test``); needed for files and folders, not for sources with a name of their own.
    demo: replay a model that anybody could have signed. Raises NotTrusted if the model is not
    trusted, UsageError if a source is missing, and PressboxError if the code is not here or cannot
    be confined. Another environment is a difference, not an error.
    """
    model = tarball.verify(path, trusted, policy)
    if model.facts.signer.demo and not demo:
        raise NotTrusted(
            Reason.POLICY,
            "it is signed with the demo key, so anybody may have chosen the code that would run",
            "add --demo to run it anyway",
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
    """Put the code that trained the model into ``tree``; return where it was found."""
    recorded = model.statement.annotations("code").get("files")
    commit = model.facts.code.commit
    if not recorded:
        raise PressboxError(
            "the model does not name the files that trained it, so none of them is run",
            "train it again with this release, which names them",
        )
    if recorded == code_files():
        found = "this checkout"
        _copy_checkout(recorded, tree)
    elif model.facts.code.dirty is not False:
        raise PressboxError(
            f"the model was trained from uncommitted code that differs from this in"
            f" {_changed(recorded)}",
            "restore those files as they were",
        )
    else:
        found = f"commit {commit}"
        _require_reviewed(commit)
        _extract(commit, tree)
    # What counts is what lies there now, whatever git or anybody else made of it.
    if recorded != code_files(tree) or any(map(Path.is_symlink, tree.rglob("*"))):
        raise PressboxError(
            f"{found} does not hold the code that the model names", "ask its signer"
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
    """What git prints, or None if it fails."""
    # A repository in a folder above this checkout does not count.
    variables = {**git.VARIABLES, "GIT_CEILING_DIRECTORIES": str(ROOT.parent)}
    try:
        return git.ask(ROOT, *arguments, stdin=stdin, variables=variables)
    except git.Missing as error:
        raise PressboxError(str(error), "install git") from error
    except git.NoAnswer:
        return None


def _require_reviewed(commit: str) -> None:
    """Raise PressboxError unless the commit is on a local branch, or in the history of HEAD."""
    known = statement.COMMIT.fullmatch(commit)
    if not known or _git("cat-file", "-e", f"{commit}^{{commit}}") is None:
        raise PressboxError(
            f"commit {commit} is not in this repository",
            "fetch it, or replay in a clone that has it",
        )
    branches = _git("for-each-ref", "--count=1", f"--contains={commit}", "refs/heads")
    if not branches and _git("merge-base", "--is-ancestor", commit, "HEAD") is None:
        raise PressboxError(
            f"commit {commit} is in this repository, but not on any of its branches",
            "review it and merge it: code that nobody here has accepted is not run",
        )


def _extract(commit: str, tree: Path) -> None:
    """Write the files of the commit as they were committed, without filters and attributes."""
    listing = _git("ls-tree", "-r", "-z", "--full-tree", commit) or b""
    names = {}
    for entry in filter(None, listing.split(b"\0")):
        described, _, path = entry.partition(b"\t")
        mode, _, object_ = described.split()
        name = PurePosixPath(os.fsdecode(path))
        if mode not in PLAIN_FILES or name.is_absolute() or {"..", ".git"} & set(name.parts):
            raise PressboxError(
                f"commit {commit} holds {str(name)!r}, which is not a plain file", "ask its signer"
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
    """Train in the tree; the result is signed with a key that is made for this training alone."""
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
    """Run the command confined, with none of this user's variables."""
    if socket := next(_sockets(), None):
        raise PressboxError(
            f"the model's code could reach {socket}, which may lead to a key or an editor",
            ELSEWHERE,
        )
    # Without a network, what was downloaded before is read where it lies.
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
    confined = [sys.executable, "-I", "-B", confinement.__file__, *readable, "--", *writable, "--"]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [*confined, *command], cwd=tree, env=variables, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said,
        )  # fmt: skip
        try:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        finally:
            # With all its children. Nobody else can have its number until it has been waited for.
            os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
        said.seek(max(0, said.seek(0, os.SEEK_END) - MAX_MESSAGE_BYTES))
        lines = said.read().decode(errors="replace").strip().splitlines() or ["without a message"]
    if status == confinement.UNAVAILABLE:
        raise PressboxError(
            lines[-1], "replay it on Linux 6.2 or newer, in a container that permits Landlock"
        )
    if status:
        raise PressboxError(
            f"the model's code does not train here ({lines[-1].removeprefix('error: ')})",
            "replay it in the environment in which it was made",
        )


def _sockets() -> Iterator[str]:
    """Sockets in the file system that this user can connect to, which Landlock does not prevent."""
    listening = Path("/proc/net/unix").read_text().splitlines()[1:]
    mounted = Path("/proc/self/mountinfo").read_text().splitlines()
    paths = [fields[7] for line in listening if len(fields := line.split(maxsplit=7)) == 8]
    paths += [line.split()[4] for line in mounted]
    for path in paths:
        reachable = path.startswith("/") and os.path.exists(path) and os.access(path, os.W_OK)
        if reachable and stat.S_ISSOCK(os.stat(path).st_mode):
            yield path
