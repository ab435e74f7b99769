"""Run a command that can write and read little, and reach nobody: python confinement.py …

usage: confinement.py READABLE… -- WRITABLE… -- COMMAND [ARGUMENT…]

The command, and all that it starts, reads and writes below the folders and files that are named,
and nothing else (Landlock, https://docs.kernel.org/userspace-api/landlock.html); it has no sockets
but those of its own kind, AF_UNIX (seccomp), and sends no signals to others. The kernel does it
for any user, in any container that lets it, and never takes it back. Where it cannot, nothing is
run, and the exit status is 69. The file runs by itself, and imports nothing of Pressbox.
"""

import ctypes
import os
import platform
import signal
import struct
import sys

UNAVAILABLE = 69
LIBC = ctypes.CDLL(None, use_errno=True)

# System calls, which every architecture of the last years numbers alike, and those that differ.
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
IO_URING_SETUP = 425
ARCHITECTURES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}  # audit, socket()
# More than any of them has: x86_64's second set of numbers, x32.
X32 = 0x40000000

# Landlock's rights of its third version (Linux 6.2): it knows truncating a file, too.
VERSION = 3
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE = 1, 1 << 1, 1 << 2, 1 << 3, 1 << 14
EVERYTHING = (1 << 15) - 1
FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
READING = EXECUTE | READ_FILE | READ_DIR
# Of its sixth (6.12): neither abstract sockets nor signals reach out.
SCOPED_VERSION, SCOPED = 6, 0b11

PR_SET_SECCOMP, SECCOMP_FILTER, PR_SET_NO_NEW_PRIVS = 22, 2, 38
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
ALLOW, REFUSE, AF_UNIX, EACCES = 0x7FFF0000, 0x00050000, 1, 13


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def confine(readable: list[str], writable: list[str]) -> None:
    """Confine this process for good. OSError where the kernel does not know how."""
    _checked(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    version = _checked(LIBC.syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1))
    if version < VERSION:
        raise OSError(f"Landlock has version {version}, not {VERSION}")
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
    """Refuse all sockets but AF_UNIX, with which gpg asks its agent."""
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
    # What a parent ignores, a child ignores, too.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        confine(arguments[:first], arguments[first + 1 : second])
    except (OSError, KeyError) as error:
        print(f"the code cannot be confined here ({error})", file=sys.stderr)
        sys.exit(UNAVAILABLE)
    os.execv(command[0], command)  # noqa: S606 - that is what it is for


if __name__ == "__main__":
    main()
