"""Run a command that can read and write little, and reach nobody.

usage: confinement.py READABLE… -- WRITABLE… -- COMMAND [ARGUMENT…]

The command and its children read and write only what lies in the folders and files that are named
(Landlock, https://docs.kernel.org/userspace-api/landlock.html); they open no sockets but AF_UNIX
ones (seccomp), and from Linux 6.12 on send no signals to other processes. The kernel does this for
any user, in any container that permits it, and nothing lifts it again. Where it does not, nothing
is run, and the exit status is 69. This file runs by itself and imports nothing of Pressbox.
"""

import ctypes
import os
import platform
import signal
import struct
import sys

UNAVAILABLE = 69
LIBC = ctypes.CDLL(None, use_errno=True)

# System calls: recent ones have the same number on every architecture, socket() does not.
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
IO_URING_SETUP = 425
# Machine to (AUDIT_ARCH, number of socket()).
ARCHITECTURES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
# From here on, numbers are those of x32, a second set that x86_64 has.
X32 = 0x40000000

# The rights of Landlock's third version (Linux 6.2), the first that knows truncation.
VERSION = 3
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE = 1, 1 << 1, 1 << 2, 1 << 3, 1 << 14
EVERYTHING = (1 << 15) - 1
FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
READING = EXECUTE | READ_FILE | READ_DIR
# From its sixth version (Linux 6.12) on, abstract sockets and signals can be kept inside.
SCOPED_VERSION, SCOPED = 6, 0b11

PR_SET_SECCOMP, SECCOMP_FILTER, PR_SET_NO_NEW_PRIVS = 22, 2, 38
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
ALLOW, REFUSE, AF_UNIX, EACCES = 0x7FFF0000, 0x00050000, 1, 13


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def confine(readable: list[str], writable: list[str]) -> None:
    """Confine this process for good.

    readable, writable: files and folders; writable ones can be read, too. Raises OSError if the
    kernel cannot do it or a path is missing, KeyError on an architecture that is not known.
    """
    _checked(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    version = _checked(LIBC.syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1))
    if version < VERSION:
        raise OSError(f"Landlock has version {version}, and {VERSION} is needed")
    rules = struct.pack("=QQQ", EVERYTHING, 0, SCOPED if version >= SCOPED_VERSION else 0)
    size = ctypes.c_size_t(len(rules) if version >= SCOPED_VERSION else 8)
    ruleset = _checked(LIBC.syscall(LANDLOCK_CREATE, rules, size, 0))
    for paths, rights in ((readable, READING), (writable, EVERYTHING)):
        for path in paths:
            _allow(ruleset, path, rights)
    _checked(LIBC.syscall(LANDLOCK_RESTRICT, ruleset, 0))
    os.close(ruleset)
    _filter_sockets()


def _allow(ruleset: int, path: str, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    if not os.path.isdir(path):
        rights &= FILE_RIGHTS
    rule = struct.pack("=Qi", rights, descriptor)
    _checked(LIBC.syscall(LANDLOCK_ADD, ruleset, 1, rule, 0))
    os.close(descriptor)


def _filter_sockets() -> None:
    """Refuse all sockets but AF_UNIX ones, which gpg needs to reach its agent."""
    architecture, socket = ARCHITECTURES[platform.machine()]
    steps = (
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 0, 7, architecture),
        (LOAD, 0, 0, NUMBER),
        (AT_LEAST, 5, 0, X32),
        (EQUAL, 4, 0, IO_URING_SETUP),
        (EQUAL, 0, 2, socket),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (EQUAL, 0, 1, AF_UNIX),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, REFUSE | EACCES),
    )
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    program = _Program(len(steps), code)
    _checked(LIBC.prctl(PR_SET_SECCOMP, SECCOMP_FILTER, ctypes.byref(program), 0, 0))


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def main() -> None:
    arguments = sys.argv[1:]
    first = arguments.index("--")
    second = arguments.index("--", first + 1)
    command = arguments[second + 1 :]
    # A signal that the parent ignores would be ignored here as well.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        confine(arguments[:first], arguments[first + 1 : second])
    except (OSError, KeyError) as error:
        print(f"the code cannot be confined here ({error})", file=sys.stderr)
        sys.exit(UNAVAILABLE)
    os.execv(command[0], command)  # noqa: S606 - that is what it is for


if __name__ == "__main__":
    main()
