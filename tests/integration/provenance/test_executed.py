"""What is signed is what ran: whatever is executed is code of the checkout or of the image."""

import os
import py_compile
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from support import KEYS, ROOT
from support.keys import trust
from support.models import surroundings
from support.processes import assert_refused, python

from pressbox.environment import lock
from pressbox.errors import NotTrusted
from pressbox.provenance.statement import Facts, Revision, SignedBy
from pressbox.sealing import policy, tarball

GOLDEN = ROOT / "tests" / "golden" / "newsroom-0.1.0.tar.gz"
BEFORE = "def train(training: Training) -> None:\n"
BEGUN = "    data = training.load_corpus("
SHADOW = 'raise SystemExit("executed: " + __file__)\n'
SHADOWS = {"a module": "{}.py", "a package": "{}/__init__.py"}
COMMANDS = {
    "the console command": ["/opt/venv/bin/pressbox"],
    "python -m": [sys.executable, "-m", "pressbox"],
}


def imported(*modules):
    """The top-level modules that a Python has loaded once it has these."""
    program = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    return {name.split(".")[0] for name in done.stdout.split()} - {"__main__", "pressbox"}


def shadow(folder, names, kind):
    """Lay something of each name into the folder that ends whoever executes it."""
    assert {"hmac", "json", "sklearn"} <= set(names)
    for name in names:
        file = folder / SHADOWS[kind].format(name)
        file.parent.mkdir(exist_ok=True)
        file.write_text(SHADOW)


@pytest.fixture(scope="module")
def modules():
    return imported(
        "pressbox.runs.publishing",
        "pressbox.learning.training",
        "pressbox.page.report",
        "special_k",
    )


@pytest.mark.parametrize("kind", SHADOWS)
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_beside_a_download_is_executed(command, kind, modules, tmp_path):
    shadow(tmp_path, {*modules, "pressbox"}, kind)
    done = subprocess.run(
        [*COMMANDS[command], "verify", GOLDEN], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "\ntrusted             True\n" in done.stdout


@pytest.mark.parametrize("kind", SHADOWS)
def test_nothing_beside_train_py_takes_the_place_of_a_module(
    kind, modules, checkout, table, tmp_path
):
    shadow(checkout, modules, kind)
    done = train(checkout, tmp_path / "small.tar.gz", table)
    assert done.returncode == 0, done.stderr


def test_python_without_the_safe_path_drops_the_current_folder(tmp_path, modules):
    """As on a host, where pip has installed Pressbox: all but what -m itself imports before."""
    shadow(tmp_path, modules - imported("runpy"), "a module")
    done = subprocess.run(
        [sys.executable, "-m", "pressbox", "verify", GOLDEN, "--trusted", KEYS],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def train(checkout, path, source, *options, script="train.py", **env):
    return python(script, path, "--data", source, "--no-page", *options, cwd=checkout, env=env)


def edit(checkout, lines, where=BEFORE, name="train.py"):
    """Have train.py do this too."""
    script = (checkout / name).read_text()
    assert script.count(where) == 1
    indented = "".join(f"    {line}\n" for line in lines)
    edited = where + indented if where == BEFORE else indented + where
    (checkout / name).write_text(script.replace(where, edited))


def code_of(path):
    return tarball.verify(path).statement.annotations("code")


def digest_of(path):
    return tarball.describe(path)["model_digest"]


def poison(checkout):
    """Compile another training beside the real one, so that Python would not look at the source."""
    source = checkout / "pressbox" / "learning" / "training.py"
    poisoned = source.read_text().replace("DECIMALS = 4", "DECIMALS = 2")
    cached = source.parent / "__pycache__" / f"training.{sys.implementation.cache_tag}.pyc"
    kept = source.read_text()
    source.write_text(poisoned)
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(source), str(cached), invalidation_mode=mode)
    source.write_text(kept)


def test_a_compiled_file_beside_the_source_is_not_executed(checkout, table, tmp_path):
    one, two, three = (tmp_path / f"{name}.tar.gz" for name in ("one", "two", "three"))
    assert train(checkout, one, table).returncode == 0
    poison(checkout)
    assert train(checkout, two, table).returncode == 0
    assert digest_of(two) == digest_of(one)
    # Python's own rule takes it: the test could fail.
    edit(checkout, ["import sys", "del sys.path_hooks[0]", "sys.path_importer_cache.clear()"])
    done = train(checkout, three, table, "--allow-drift")
    assert done.returncode == 0, done.stderr
    assert digest_of(three) != digest_of(one)
    [change] = tarball.describe(three)["drift"]
    assert change.startswith("pressbox/learning/__pycache__/training.cpython-313.pyc was loaded")


def test_a_compiled_file_without_a_source_is_not_found(checkout, table, tmp_path):
    (tmp_path / "evil.py").write_text("")
    py_compile.compile(str(tmp_path / "evil.py"), str(checkout / "evil.pyc"))
    edit(checkout, ["import evil"])
    done = train(checkout, tmp_path / "small.tar.gz", table)
    assert "ModuleNotFoundError: No module named 'evil'" in done.stderr


def test_a_package_beside_train_py_is_named(checkout, table, tmp_path):
    (checkout / "mine" / "deep").mkdir(parents=True)
    for name in ("mine/__init__.py", "mine/deep/help.py"):
        (checkout / name).write_text("x = 1\n")
    edit(checkout, ["import mine.deep.help"])
    done = train(checkout, tmp_path / "small.tar.gz", table)
    assert done.returncode == 0, done.stderr
    assert {"mine/__init__.py", "mine/deep/help.py"} <= code_of(tmp_path / "small.tar.gz")[
        "files"
    ].keys()


def outside(folder):
    (folder / "outside.py").write_text("")
    return ["import sys", f"sys.path.append({str(folder)!r})", "import outside"], "outside.py"


def namespace(folder):
    (folder / "space").mkdir()
    (folder / "space" / "part.py").write_text("")
    return ["import sys", f"sys.path.append({str(folder)!r})", "import space.part"], "space/part.py"


def archive(folder):
    with zipfile.ZipFile(folder / "zipped.zip", "w") as file:
        file.writestr("zipped.py", "")
    path = str(folder / "zipped.zip")
    return ["import sys", f"sys.path.append({path!r})", "import zipped"], "zipped.zip/zipped.py"


def compiled(folder):
    (folder / "source.py").write_text("")
    path = folder / "bytes.pyc"
    py_compile.compile(str(folder / "source.py"), str(path))
    return [
        "import sys, importlib.machinery as m, importlib.util as u",
        f"loader = m.SourcelessFileLoader('bytes', {str(path)!r})",
        "sys.modules['bytes'] = u.module_from_spec(u.spec_from_loader('bytes', loader))",
    ], "bytes.pyc"


def in_memory(path):
    """Lines that leave a copy of a library in memory: files of /tmp cannot be executed here."""
    return [
        "import os, ctypes, importlib.machinery as m, importlib.util as u",
        "memory = os.memfd_create('mine')",
        f"os.write(memory, open({str(path)!r}, 'rb').read())",
        "path = f'/proc/self/fd/{memory}'",
    ]


def extension(folder):
    import _zoneinfo

    load = [
        "loader = m.ExtensionFileLoader('_zoneinfo', path)",
        "sys.modules['_zoneinfo'] = u.module_from_spec(u.spec_from_loader('_zoneinfo', loader))",
    ]
    return ["import sys", *in_memory(_zoneinfo.__file__), *load], "/memfd:mine (deleted)"


def library(folder):
    [real] = Path("/usr/lib").glob("*/libz.so.1")
    return [*in_memory(real), "ctypes.CDLL(path)"], "/memfd:mine (deleted)"


LOADED = [outside, namespace, archive, compiled, extension, library]


@pytest.mark.parametrize("load", LOADED)
def test_what_is_neither_code_nor_image_ends_the_training(
    load, checkout, table, earlier, untouched
):
    folder = checkout.parent / "elsewhere"
    folder.mkdir()
    lines, name = load(folder)
    edit(checkout, lines)
    told = f"{folder / name} was loaded, which belongs neither to the code nor to the image"
    assert_refused(train(checkout, earlier, table), 4, told)
    untouched()
    done = train(checkout, earlier, table, "--allow-drift")
    assert done.returncode == 0, done.stderr
    assert told in tarball.describe(earlier)["drift"]


def git(checkout, *arguments):
    identity = ["-c", "user.name=T", "-c", "user.email=t@t.example"]
    subprocess.run(["git", "-C", checkout, *identity, *arguments], check=True, capture_output=True)


def commit(checkout):
    git(checkout, "init", "--quiet")
    git(checkout, "add", "--all", "--force")
    git(checkout, "commit", "--quiet", "--message", "Train")


CHANGE = "open({!r}, 'a').write('# saved')"
COMMIT = "-c user.name=T -c user.email=t@t.example commit --quiet --allow-empty --message Next"
# What happens, whether before or after the training has begun, and what is told.
MEANWHILE = {
    "train.py is saved": (CHANGE.format("train.py"), BEGUN, "train.py was changed during"),
    "a module is saved": (CHANGE.format("pressbox/own/__init__.py"), BEGUN, "own/__init__.py was"),
    "a module is new": ("open('new.py', 'w').close()", BEGUN, "new.py was changed during"),
    "a branch is switched": (f"import os; os.system('git {COMMIT}')", BEGUN, "the commit was "),
    "a variable is set": ("import os; os.environ['LD_X'] = '1'", BEGUN, "variable LD_X is set"),
    "a module is saved once it is loaded": (
        CHANGE.format("pressbox/errors.py"),
        BEFORE,
        "pressbox/errors.py was changed after it was loaded",
    ),
    "the script is saved once it runs": (
        CHANGE.format("train.py"),
        BEFORE,
        "train.py was changed after it was loaded",
    ),
}


@pytest.mark.parametrize("what", MEANWHILE)
def test_what_changes_meanwhile_ends_the_training(what, checkout, table, earlier, untouched):
    line, where, told = MEANWHILE[what]
    edit(checkout, [line], where)
    commit(checkout)
    assert_refused(train(checkout, earlier, table), 4, told)
    untouched()
    (checkout / "new.py").unlink(missing_ok=True)
    done = train(checkout, earlier, table, "--allow-drift")
    assert done.returncode == 0, done.stderr
    assert any(told in change for change in tarball.describe(earlier)["drift"])


def test_other_rows_than_those_that_are_signed_end_the_training(
    checkout, table, earlier, untouched
):
    script = (checkout / "train.py").read_text()
    (checkout / "train.py").write_text(script.replace("learn(data.train)", "learn(data.train[1:])"))
    assert_refused(train(checkout, earlier, table), 1, "not fitted on the training rows")
    untouched()


def test_the_script_is_named_wherever_it_lies_in_the_checkout(checkout, table, tmp_path):
    path = tmp_path / "small.tar.gz"
    assert train(checkout, path, table).returncode == 0
    assert code_of(path)["script"] == "train.py"
    (checkout / "experiments").mkdir()
    shutil.copy(checkout / "train.py", checkout / "experiments" / "mine.py")
    done = train(checkout, path, table, script="experiments/mine.py")
    assert done.returncode == 0, done.stderr
    found = code_of(path)
    assert found["script"] == "experiments/mine.py"
    assert found["files"]["experiments/mine.py"] == found["files"]["train.py"]


def test_without_a_commit_the_training_says_why(checkout, table, tmp_path):
    done = train(checkout, tmp_path / "small.tar.gz", table)
    assert "the model will not name its commit (git: not a git repository" in done.stderr
    commit(checkout)
    done = train(checkout, tmp_path / "small.tar.gz", table)
    assert "will not name its commit" not in done.stderr


@pytest.fixture
def releasing(checkout, stranger, table, tmp_path):
    """A checkout that can make a release, and the arguments of one."""
    trust(checkout / "gnupg", stranger)
    path = checkout / ".devcontainer" / "environment.lock"
    path.unlink()
    lock.accept(surroundings(), date(2026, 11, 26), path)
    (checkout / ".gitignore").write_text("__pycache__/\n")
    commit(checkout)
    (tmp_path / "key").write_bytes(stranger.signing.armoured)
    (tmp_path / "passphrase").write_text(stranger.signing.passphrase)
    key = ["--signing-key", tmp_path / "key", "--passphrase-file", tmp_path / "passphrase"]

    def release(*options, **env):
        path = tmp_path / "release.tar.gz"
        return train(checkout, path, table, *key, *options, **{"PRESSBOX_DOOR": "docker", **env})

    return release


def verified(checkout, path):
    environments = tuple(lock.digests(lock.read(checkout / ".devcontainer/environment.lock")))
    return tarball.verify(path, checkout / "gnupg", policy.Policy(environments=environments))


@pytest.mark.parametrize("door", ["docker", "podman"])
def test_a_release_is_one_at_both_ends(door, releasing, checkout, tmp_path):
    done = releasing("--release", PRESSBOX_DOOR=door)
    assert done.returncode == 0, done.stderr
    facts = verified(checkout, tmp_path / "release.tar.gz").facts
    assert (facts.release, facts.door, facts.code.dirty) == (True, door, False)


def nothing(checkout):
    pass


DENIED = {
    "another door": ({"PRESSBOX_DOOR": "devcontainer"}, nothing, 1, "'devcontainer'"),
    "no door": ({"PRESSBOX_DOOR": "inside"}, nothing, 1, "'inside'"),
    "uncommitted code": (
        {},
        lambda checkout: (checkout / "new.py").touch(),
        1,
        "this checkout has other changes or code",
    ),
    "ignored code": (
        {},
        lambda checkout: poison(checkout),
        1,
        "this checkout has other changes or code",
    ),
    "no commit": (
        {},
        lambda checkout: shutil.rmtree(checkout / ".git"),
        1,
        "is unknown here (git: not a git repository",
    ),
    "no accepted environment": (
        {},
        lambda checkout: (checkout / ".devcontainer/environment.lock").unlink(),
        4,
        "not an accepted one",
    ),
}


@pytest.mark.parametrize("why", DENIED)
def test_what_is_no_release_is_refused_at_both_ends(why, releasing, checkout, tmp_path):
    env, change, status, saying = DENIED[why]
    path = checkout / ".devcontainer" / "environment.lock"
    kept = path.read_text()
    change(checkout)
    assert_refused(releasing("--release", **env), status, saying)
    assert not (tmp_path / "release.tar.gz").exists()
    assert releasing(**env).returncode == 0
    path.write_text(kept)
    with pytest.raises(NotTrusted, match=r"policy.*not trained with --release"):
        verified(checkout, tmp_path / "release.tar.gz")


RELEASE = Facts(
    signer=SignedBy(
        "0" * 40, demo=False, experiments_only=False, expires=None, user_id="Sports Desk"
    ),
    name="sports",
    model_digest="sha256:1",
    environment_digest="sha256:0",
    drift=[],
    data_digest="sha256:2",
    code=Revision("0" * 40, dirty=False),
    door="docker",
    release=True,
    source="newsroom",
    sealed_at="2026-11-05T04:03:02Z",
    metrics={},
    labels=["x", "y"],
)


def test_what_says_each_thing_that_a_release_has_to_say_is_one():
    for door in ("docker", "podman"):
        policy._demand_release(("sha256:0",), replace(RELEASE, door=door))


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"signer": replace(RELEASE.signer, demo=True)}, "signed with the demo key"),
        ({"signer": replace(RELEASE.signer, experiments_only=True)}, "for experiments only"),
        ({"release": False}, "not trained with --release"),
        *(({"door": door}, f"the door {door!r}")
          for door in ("devcontainer", "inside", "unknown", "", "Docker", "docker ")),
        ({"code": Revision("unknown", dirty=False)}, "not that of a commit"),
        *(({"code": Revision("0" * 40, dirty)}, "not that of a commit")
          for dirty in (True, None, 0)),
        ({"drift": None}, "had drifted: it was not checked"),
        ({"drift": ["a file"]}, "had drifted: a file"),
        ({"environment_digest": "sha256:1"}, "is not an accepted one"),
        ({"environment_digest": "unknown"}, "is not an accepted one"),
    ],
)  # fmt: skip
def test_one_thing_that_is_not_as_a_release_has_it_is_enough_to_refuse(other, why):
    """A statement is its signer's word: whoever verifies asks each thing again."""
    with pytest.raises(NotTrusted, match=f"policy.*{why}"):
        policy._demand_release(("sha256:0",), replace(RELEASE, **other))


def test_a_model_of_an_earlier_version_is_no_release():
    facts = tarball.verify(GOLDEN).facts
    environments = (facts.environment_digest,)
    facts = replace(facts, drift=[], signer=replace(facts.signer, demo=False))
    with pytest.raises(NotTrusted, match="by a version that demanded less"):
        policy._demand_release(environments, facts)
