"""Run as a script, never imported: takes rights away from its own process, then becomes the given program.

    python -I -S confine.py '{"parent": PID, "memory_bytes": N, "cpu_s": N, "files": N}' PROGRAM [ARGUMENT...]

It exists because a threaded parent cannot safely run code between fork and exec. Only the standard library is used.
Exits with 126 and one line on stderr where the program cannot be started or a limit cannot be set.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000


def _limit(limits: dict[str, int]) -> None:
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, limits["files"]),
        (resource.RLIMIT_CPU, limits["cpu_s"]),
        (resource.RLIMIT_AS, limits["memory_bytes"]),
    ):
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def _isolate(parent: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent process is gone")
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        libc.unshare(_CLONE_NEWNET)


def _main(limits: dict[str, int], command: list[str]) -> None:
    try:
        if sys.platform == "linux":
            _isolate(limits["parent"])
        _limit(limits)
        os.execv(command[0], command)
    except (OSError, ValueError) as error:
        os.write(2, f"cannot start {command[0]}: {error}\n".encode())
        sys.exit(126)


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]), sys.argv[2:])
