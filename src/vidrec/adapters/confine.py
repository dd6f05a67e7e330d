"""Run as a script, never imported: takes rights away from its own process, then becomes the given program.

    python -I -S confine.py PARENT_PID NICENESS FEED_FD MEMORY_BYTES CPU_SECONDS OPEN_FILES FILE_BYTES PROGRAM [...]

FEED_FD is a socket on which it hands over the descriptor that announces the program's reads (see feeding.py), or -1.

It exists because a threaded parent cannot safely run code between fork and exec. It runs several times for every file
and imports little, so that it starts fast. Exits with 126 and one line on stderr where the program cannot be started or
a limit cannot be set.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct
import sys

_SIGKILL, _SIGXFSZ = 9, 25
_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000

_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_LANDLOCK_TELL_VERSION = 1
_LANDLOCK_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
"""All rights over files that a version of Landlock can take away; later ones take at least the last. Truncating came
with 3."""
_LANDLOCK_EXECUTE, _LANDLOCK_READ_FILE, _LANDLOCK_READ_DIR = 1 << 0, 1 << 2, 1 << 3
_READABLE = ("/lib", "/lib64", "/usr", "/nix/store", "/etc/ld.so.cache", "/dev/null", "/dev/random", "/dev/urandom")

_BPF_LOAD, _BPF_JUMP_IF_EQUAL, _BPF_JUMP_IF_AT_LEAST, _BPF_JUMP_IF_ANY_BIT, _BPF_RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_SECCOMP_KILL, _SECCOMP_ALLOW, _SECCOMP_REFUSE = 0x80000000, 0x7FFF0000, 0x00050000 | errno.EPERM
_X32 = 0x40000000
# Per machine: the audit architecture, then the numbers of calls that reach other processes (socket, socketpair; kill,
# tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_send_signal; ptrace, process_vm_readv, process_vm_writev,
# pidfd_getfd; io_uring_setup, which could make sockets), and of those that change files without opening them for
# writing, over which Landlock has no say (truncate, ftruncate; the families of chmod, chown, utime, setxattr and
# removexattr); of those that may open for writing unseen (openat2, creat).
_FORBIDDEN_CALLS: dict[str, tuple[int, list[int]]] = {
    "x86_64": (
        0xC000003E,
        [
            *(41, 53, 62, 200, 234, 129, 297, 424, 101, 310, 311, 438, 425),
            *(76, 77, 90, 91, 268, 452, 92, 93, 94, 260, 132, 235, 261, 280, 188, 189, 190, 463, 197, 198, 199, 466),
            *(437, 85),
        ],
    ),
    "aarch64": (
        0xC00000B7,
        [
            *(198, 199, 129, 130, 131, 138, 240, 424, 117, 270, 271, 438, 425),
            *(45, 46, 52, 53, 452, 54, 55, 88, 5, 6, 7, 463, 14, 15, 16, 466),
            437,
        ],
    ),
}
_OPENING_CALLS = {"x86_64": [(257, 2), (2, 1)], "aarch64": [(56, 2)]}
"""Number, and which argument holds the flags: openat, open."""
_SECCOMP_SET_FILTER, _SECCOMP_NEW_LISTENER, _SECCOMP_ASK = 1, 8, 0x7FC00000
_OLDEST_KERNEL = (5, 9)
"""The first that also tells when nobody is left whose reads could be announced."""
_READING_CALLS = {"x86_64": (317, 0xC000003E, (0, 17)), "aarch64": (277, 0xC00000B7, (63, 67))}
"""Number of seccomp, the audit architecture, the numbers of read and pread64."""
_FOR_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def _limit(memory_bytes: int, cpu_s: int, files: int, file_bytes: int) -> None:
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, files),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_AS, memory_bytes),
    ):
        hard = resource.getrlimit(kind)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (allowed, allowed))


def _give_way(niceness: int) -> None:
    """To all others, also where the kernel shares time out by session first."""
    if not niceness:
        return
    os.nice(niceness)
    try:
        with open("/proc/self/autogroup", "w") as group:
            group.write(str(niceness))
    except OSError:
        return


def _die_with(libc: ctypes.CDLL, parent: int) -> None:
    libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent process is gone")


def _leave_network(libc: ctypes.CDLL) -> None:
    """Nothing where neither is allowed: `_forbid_calls` is what holds then."""
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        libc.unshare(_CLONE_NEWNET)


def _hide_files(libc: ctypes.CDLL, program: str) -> None:
    """From here on only the program and its libraries can be opened. Nothing where the kernel has no Landlock."""
    version = libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), _LANDLOCK_TELL_VERSION)
    if version < 1:
        return
    attributes = struct.pack("Q", _LANDLOCK_RIGHTS[min(version, max(_LANDLOCK_RIGHTS))])
    rules = libc.syscall(_LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if rules < 0:
        return
    folder = os.path.dirname(os.path.realpath(program))
    for path in (folder, os.path.join(os.path.dirname(folder), "lib"), *_READABLE):
        if os.path.exists(path):
            opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
            rights = _LANDLOCK_EXECUTE | _LANDLOCK_READ_FILE | (_LANDLOCK_READ_DIR if os.path.isdir(path) else 0)
            libc.syscall(_LANDLOCK_ADD_RULE, rules, 1, struct.pack("=Qi", rights, opened), 0)
            os.close(opened)
    libc.syscall(_LANDLOCK_RESTRICT_SELF, rules, 0)
    os.close(rules)


def _forbid_calls(libc: ctypes.CDLL) -> None:
    """No socket can be made, no other process touched, no file opened for writing or changed in place. Nothing on
    machines whose call numbers are not known here."""
    machine = os.uname().machine
    if machine not in _FORBIDDEN_CALLS:
        return
    architecture, calls = _FORBIDDEN_CALLS[machine]
    opening = _OPENING_CALLS[machine]
    tests = 4 * len(opening)
    program = [
        (_BPF_LOAD, 0, 0, 4),
        (_BPF_JUMP_IF_EQUAL, 1, 0, architecture),
        (_BPF_RETURN, 0, 0, _SECCOMP_KILL),
        (_BPF_LOAD, 0, 0, 0),
        (_BPF_JUMP_IF_AT_LEAST, len(calls) + tests + 1, 0, _X32),
        *((_BPF_JUMP_IF_EQUAL, len(calls) + tests - i, 0, call) for i, call in enumerate(calls)),
        *(
            step
            for i, (call, argument) in enumerate(opening)
            for step in (
                (_BPF_JUMP_IF_EQUAL, 0, 3, call),
                (_BPF_LOAD, 0, 0, 16 + 8 * argument),
                (_BPF_JUMP_IF_ANY_BIT, tests - 4 * i - 2, 0, _FOR_WRITING),
                (_BPF_RETURN, 0, 0, _SECCOMP_ALLOW),
            )
        ),
        (_BPF_RETURN, 0, 0, _SECCOMP_ALLOW),
        (_BPF_RETURN, 0, 0, _SECCOMP_REFUSE),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    filters = struct.pack("HP", len(program), ctypes.addressof(code))
    libc.prctl(_PR_SET_SECCOMP, 2, filters, 0, 0)


def _announce_reads(libc: ctypes.CDLL, socket_fd: int) -> None:
    """From here on each read waits until the other end of the socket lets it go on. Where the kernel knows no such
    thing, it is told so, and its word that all is there is waited for."""
    import _socket

    listener = _listener_of_reads(libc) if sys.platform == "linux" else -1
    channel = _socket.socket(fileno=socket_fd)
    if listener < 0:
        channel.sendmsg([b"0"])
        if not channel.recv(1):
            sys.exit("the parent process is gone")
        return
    handed = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", listener))
    channel.sendmsg([b"1"], [handed])
    channel.close()


def _listener_of_reads(libc: ctypes.CDLL) -> int:
    release = tuple(int(part) for part in os.uname().release.split(".")[:2] if part.isdecimal())
    if os.uname().machine not in _READING_CALLS or release < _OLDEST_KERNEL:
        return -1
    seccomp, architecture, calls = _READING_CALLS[os.uname().machine]
    program = [
        (_BPF_LOAD, 0, 0, 4),
        (_BPF_JUMP_IF_EQUAL, 1, 0, architecture),
        (_BPF_RETURN, 0, 0, _SECCOMP_KILL),
        (_BPF_LOAD, 0, 0, 0),
        *((_BPF_JUMP_IF_EQUAL, len(calls) - i, 0, call) for i, call in enumerate(calls)),
        (_BPF_RETURN, 0, 0, _SECCOMP_ALLOW),
        (_BPF_RETURN, 0, 0, _SECCOMP_ASK),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    filters = struct.pack("HP", len(program), ctypes.addressof(code))
    return int(libc.syscall(seccomp, _SECCOMP_SET_FILTER, _SECCOMP_NEW_LISTENER, filters))


def _main(parent: int, niceness: int, feed: int, limits: list[int], command: list[str]) -> None:
    try:
        if feed >= 0:
            import _socket  # noqa: F401 - while it can be opened still
        _give_way(niceness)
        if sys.platform == "linux":
            libc = ctypes.CDLL(None, use_errno=True)
            _die_with(libc, parent)
            libc.signal(_SIGXFSZ, None)  # Python ignores it; the program would too
            libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            _leave_network(libc)
            _hide_files(libc, command[0])
            _forbid_calls(libc)
        _limit(*limits)
        if feed >= 0:
            _announce_reads(ctypes.CDLL(None), feed)
        os.execv(command[0], command)
    except (OSError, ValueError) as error:
        os.write(2, f"cannot start {command[0]}: {error}\n".encode())
        sys.exit(126)


if __name__ == "__main__":
    _parent, _niceness, _feed, *_limits = map(int, sys.argv[1:8])
    _main(_parent, _niceness, _feed, _limits, sys.argv[8:])
