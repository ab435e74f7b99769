"""Where a secret key is while it signs, where it is not, and that nothing of it stays.

What is looked for where it must not be is looked for where it is, too.
"""

import base64
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from functools import partial
from pathlib import Path

import pytest
from support.hostile import opens
from support.keys import PASSPHRASE, Ring, trust
from support.processes import apart, assert_refused, ended, python

from pressbox.errors import PressboxError
from pressbox.trust import gnupg, signing_key

SECONDS = 10
# Says what a training could see of a key: its variables, those that /proc shows, those of a child,
# and what lies behind its descriptors. To be able to read all that, it lifts its own protection.
SPY = """
    import ctypes, json, os, pathlib, resource, subprocess
    libc = ctypes.CDLL(None)
    seen = {"core": resource.getrlimit(resource.RLIMIT_CORE), "dumpable": libc.prctl(3)}
    libc.prctl(4, 1)
    seen["variables"] = {**os.environ}
    seen["proc"] = pathlib.Path("/proc/self/environ").read_bytes().decode()
    seen["child"] = subprocess.run(["/usr/bin/env"], capture_output=True, text=True).stdout
    seen["links"] = [str(link.readlink()) for link in pathlib.Path("/proc/self/fd").iterdir()
                     if link.is_symlink()]
    with open(os.environ["SPY"], "a") as file:
        print(json.dumps(seen), file=file)
"""
START = "pressbox/cli/options.py", "    signing_key.leave_environment("
TRAINING = "train.py", "    data = training.load_corpus("


@pytest.fixture
def spied(checkout, stranger, table, tmp_path):
    """Train with the stranger's key; return what a spy before that place saw, each time."""
    trust(checkout / "gnupg", stranger)

    def spied(place, *options, env=(), **others):
        path, seen = tmp_path / "a.tar.gz", tmp_path / "seen.json"
        script, line = checkout / place[0], place[1]
        spy = textwrap.indent(textwrap.dedent(SPY), "    ")
        assert line in script.read_text()
        script.write_text(script.read_text().replace(line, f"{spy}\n{line}"))
        arguments = (path, "--data", table, "--no-page", *options)
        done = python("train.py", *arguments, cwd=checkout, env={"SPY": seen, **env}, **others)
        assert done.returncode == 0, done.stderr
        assert opens(path.read_bytes(), checkout / "gnupg")
        return [json.loads(line) for line in seen.read_text().splitlines()]

    return spied


@pytest.fixture
def variables(stranger):
    return {
        signing_key.KEY: stranger.signing.armoured.decode(),
        signing_key.PASSPHRASE: stranger.signing.passphrase,
    }


@pytest.fixture
def handed_over(stranger):
    """A descriptor as the doors hand it over."""
    reading, writing = os.pipe()
    fields = stranger.signing.armoured, stranger.signing.passphrase.encode()
    os.write(writing, b" ".join(map(base64.b64encode, fields)))
    os.close(writing)
    yield reading
    os.close(reading)


@pytest.fixture
def files(stranger, tmp_path):
    """The options that name the key in files."""
    secret, passphrase = tmp_path / "secret.asc", tmp_path / "passphrase"
    secret.write_bytes(stranger.signing.armoured)
    passphrase.write_text(stranger.signing.passphrase)
    return ["--signing-key", secret, "--passphrase-file", passphrase]


def shows_the_key(seen):
    """In each of the three places, or in none."""
    [found] = {
        name in str(seen[place])
        for name in (signing_key.KEY, signing_key.PASSPHRASE)
        for place in ("variables", "proc", "child")
    }
    return found


def handed_over_to(seen):
    return [link for link in seen["links"] if link.startswith(("/memfd:", "pipe:"))]


def assert_nothing_of_the_key(spied):
    [seen] = spied
    assert seen["core"] == [0, 0]
    assert seen["dumpable"] == 0
    assert not shows_the_key(seen)
    # Standard input, output and error are pipes of the test.
    assert len(handed_over_to(seen)) == 3


def test_a_key_in_variables_is_in_no_environment_once_the_training_begins(spied, variables):
    assert_nothing_of_the_key(spied(TRAINING, env=variables))


def test_before_that_the_same_spy_sees_it_everywhere(spied, variables):
    before, after = spied(START, env=variables)
    assert shows_the_key(before)
    assert before["dumpable"] == 1
    # Started again, it has the key behind a descriptor, for as long as it takes to read it.
    assert not shows_the_key(after)
    assert len(handed_over_to(after)) == 4


def test_a_key_on_a_descriptor_is_behind_none_once_the_training_begins(spied, handed_over):
    os.set_inheritable(handed_over, True)
    env = {signing_key.DESCRIPTOR: str(handed_over)}
    assert_nothing_of_the_key(spied(TRAINING, env=env, pass_fds=[handed_over]))


def test_so_is_a_key_that_was_handed_over_and_is_not_used(spied, variables, files):
    unused = {**variables, signing_key.PASSPHRASE: "unused"}
    assert_nothing_of_the_key(spied(TRAINING, *files, env=unused))


def test_a_command_that_signs_nothing_reads_no_key_and_runs_without_it(
    variables, handed_over, checkout, tmp_path
):
    os.set_inheritable(handed_over, True)
    script = checkout / "pressbox" / "cli" / "main.py"
    spy = textwrap.indent(textwrap.dedent(SPY), "    ")
    line = "    parser = Parser("
    script.write_text(script.read_text().replace(line, f"{spy}\n{line}", 1))
    env = {"SPY": tmp_path / "seen", **variables, signing_key.DESCRIPTOR: str(handed_over)}
    command = ("-m", "pressbox", "keys", "list")
    done = python(*command, cwd=checkout, env=env, pass_fds=[handed_over])
    assert done.returncode == 0, done.stderr
    seen = json.loads((tmp_path / "seen").read_text())
    assert not shows_the_key(seen)
    assert os.read(handed_over, 10)


def test_in_a_notebook_the_key_leaves_the_variables_and_signs_again(
    variables, stranger, checkout, tmp_path
):
    trust(checkout / "gnupg", stranger)
    code = """
        import os
        from pressbox.trust import signing_key
        for _ in range(2):
            print(signing_key.default_key().passphrase, "PRESSBOX_SIGNING" in str(os.environ))
        try:
            open("/proc/self/environ")
        except PermissionError:
            print("closed")
    """
    env = {**variables, "PYTHONPATH": str(checkout)}
    done = python("-c", textwrap.dedent(code), cwd=checkout, env=env)
    assert done.stdout == f"{stranger.signing.passphrase} False\n" * 2 + "closed\n", done.stderr


def test_a_key_is_neither_shown_nor_pickled(stranger):
    shown = repr(stranger.signing)
    assert stranger.signing.passphrase not in shown
    assert "BEGIN" not in shown
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(stranger.signing)


# Kill -9


def agents(home=""):
    """The process ids of the agents that serve a home below /dev/shm."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if Path(command[0]).name == "gpg-agent" and home in command and "--daemon" in command:
            found.append(int(process.name))
    return found


def until(condition):
    end = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.001)
    return found


def test_kill_9_in_the_middle_of_a_signing_leaves_no_agent_and_no_home(stranger):
    reading, writing = os.pipe()

    def sign():
        with gnupg.signing_home(stranger.signing) as (home, _):
            os.write(writing, home.encode())
            time.sleep(SECONDS)

    process = apart(sign)
    home = os.read(reading, 1000).decode()
    for descriptor in (reading, writing):
        os.close(descriptor)
    assert list(Path(home, "private-keys-v1.d").iterdir())
    assert agents(home)
    os.kill(process, signal.SIGKILL)
    assert ended(process) == -signal.SIGKILL
    until(lambda: not agents(home) and not Path(home).exists())


@pytest.mark.alone
def test_kill_9_of_a_training_that_signs_leaves_no_agent_and_no_home(
    variables, stranger, checkout, table, tmp_path
):
    trust(checkout / "gnupg", stranger)
    homes = partial(gnupg.MEMORY.glob, "pressbox-*/private-keys-v1.d/*.key")
    assert not list(homes())
    training = subprocess.Popen(
        [sys.executable, "train.py", tmp_path / "a.tar.gz", "--data", table],
        cwd=checkout,
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with training:
        [key] = until(lambda: list(homes()))
        home = key.parent.parent
        training.kill()
    assert training.returncode == -signal.SIGKILL
    until(lambda: not agents(str(home)) and not home.exists())
    assert not list(tmp_path.glob("*.tar.gz"))


def test_a_signing_that_ends_leaves_no_agent_and_no_home(stranger):
    with gnupg.signing_home(stranger.signing) as (home, _):
        assert agents(home)
    assert not agents(home)
    assert not Path(home).exists()


def test_without_any_place_for_a_home_that_is_one_error(stranger, monkeypatch):
    monkeypatch.setattr(gnupg, "MEMORY", Path("/nowhere"))
    with gnupg.signing_home(stranger.signing) as (home, _):
        assert Path(home).parent == Path(tempfile.gettempdir())
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere"])
    with (
        pytest.raises(PressboxError, match=r"not enough space.*TMPDIR"),
        gnupg.signing_home(stranger.signing),
    ):
        pass


# Somebody's own agent


@pytest.fixture
def owner(checkout, tmp_path):
    """Somebody who is trusted, whose key is in an agent of their own, behind a passphrase."""
    ring = Ring()
    holder = ring.holder(ring.new("owner"))
    subprocess.run([gnupg.program("gpgconf"), "--homedir", ring.home, "--kill", "all"], check=True)
    trust(checkout / "gnupg", holder)
    yield ring, holder
    ring.close()


@pytest.fixture
def with_agent(owner, checkout, table, tmp_path):
    """Train, and have the agent of the ring sign with the owner's key."""

    def with_agent(ring, *options):
        options = (tmp_path / "a.tar.gz", "--data", table, "--no-page", *options)
        options += ("--signing-agent", owner[1].fingerprint)
        env = {"GNUPGHOME": ring.home}
        # Without a terminal, whether whoever started the tests has one or not.
        return python("train.py", *options, cwd=checkout, env=env, start_new_session=True)

    return with_agent


def start_agent(ring, *configuration):
    Path(ring.home, "gpg-agent.conf").write_text("\n".join(configuration))
    gpg_agent = [gnupg.program("gpg-agent"), "--homedir", ring.home, "--daemon"]
    subprocess.run(gpg_agent, check=True, capture_output=True)


@pytest.fixture
def person(in_memory):
    """The line that has an agent ask this person for a passphrase."""

    def person(answer):
        return "pinentry-program " + str(
            in_memory(
                "#!/bin/sh\necho OK\nwhile read -r word rest; do\n"
                f"case $word in GETPIN) printf '{answer}\\n' ;; *) echo OK ;; esac\ndone\n"
            )
        )

    return person


def test_an_agent_signs_after_asking_its_owner_and_lives_on(
    owner, with_agent, checkout, tmp_path, person
):
    ring, _ = owner
    start_agent(ring, person(f"D {PASSPHRASE}\\nOK"))
    done = with_agent(ring)
    assert done.returncode == 0, done.stderr
    assert opens((tmp_path / "a.tar.gz").read_bytes(), checkout / "gnupg")
    assert agents(ring.home)


def test_an_agent_whose_owner_says_no_is_one_error(owner, with_agent, person):
    ring, _ = owner
    start_agent(ring, person("ERR 83886179 Operation cancelled"))
    done = with_agent(ring)
    assert_refused(done, 1, "cancelled")


def test_an_agent_that_has_no_terminal_to_ask_on_is_told_of_gpg_tty(owner, with_agent):
    ring, _ = owner
    start_agent(ring)
    done = with_agent(ring)
    assert_refused(done, 1, "GPG_TTY")


def test_an_agent_that_has_another_key_is_said_before_the_training(with_agent):
    other = Ring()
    other.new("other")
    done = with_agent(other)
    assert_refused(done, 1, "check that the agent")
    assert "texts to train on" not in done.stderr


@pytest.mark.parametrize("state", ["none", "dead", "a file", "long"])
def test_a_socket_without_an_agent_is_said_before_the_training(state, owner, with_agent):
    ring, _ = owner
    path = Path(ring.home, "S.dead")
    if state == "dead":
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
    elif state == "a file":
        path.write_text("")
    elif state == "long":
        path = Path("/" + "x" * 200)
    options = ("--agent-socket", path)
    done = with_agent(ring, *options)
    assert_refused(done, 2, "no gpg-agent listens")
    assert "texts to train on" not in done.stderr


def test_a_socket_that_is_somebody_elses_is_said_so(owner, with_agent):
    ring, _ = owner
    path = Path(ring.home, "S.theirs")
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(str(path))
        theirs.listen()
        path.chmod(0)
        options = ("--agent-socket", path)
        done = with_agent(ring, *options)
    assert_refused(done, 2, "somebody else's")
