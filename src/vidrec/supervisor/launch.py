"""`python -I -S launch.py COMMAND...`: becomes COMMAND, which ends when the process that launched it does.

Run by path, so that it starts in milliseconds. The kernel sends SIGTERM when the launching thread ends (prctl(2),
PR_SET_PDEATHSIG, kept over exec), however that happens; a `preexec_fn` would not be safe beside threads."""

import ctypes
import os
import signal
import sys

if sys.platform == "linux":
    parent = os.getppid()
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before it could be noted
        sys.exit(1)
os.execvp(sys.argv[1], sys.argv[1:])  # the file's whole purpose
