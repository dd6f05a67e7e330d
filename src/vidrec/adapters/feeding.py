"""Lets a confined child read a file that is filled as it reads.

The child's reads are announced by the kernel (seccomp's user notification): each waits until the bytes that it asks for
are in the file, and then goes on as any other read. The child needs neither network nor a word with us, and nothing in
it knows. Where the kernel or a container runtime does not allow that, the file is filled as a whole first."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import IO

from vidrec.domain.errors import StoreUnavailable

ANNOUNCED, UNABLE = b"1", b"0"
"""What the launcher says: here is the descriptor on which reads are announced; there can be none."""
_ASK, _ANSWER = 0xC0502100, 0xC0182101
_ASKED = struct.Struct("=QIIiIQ6Q")
"""struct seccomp_notif: id, pid, flags; number of the call, architecture, instruction pointer, arguments."""
_ANSWERED = struct.Struct("=QqiI")
_GO_ON = 1
_PREAD = frozenset({17, 67})
"""On x86-64 and ARM64."""
_AT_ONCE = 64 << 20
_LOOK_MS = 500

Fill = Callable[[int, int], None]


class Feeder:
    """Serves the reads of one child. `file` is what it inherits: the position is shared. Give it `child_end` to
    inherit, `start` it once it runs, and `close` it in the end."""

    def __init__(self, file: IO[bytes], fill: Fill) -> None:
        self._file = file
        self._fill = fill
        self._ours, self._theirs = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="feed", daemon=True)
        self._kill: Callable[[], None] = lambda: None
        self._over = False
        self._waited_s = 0.0
        self._waits_since: float | None = None
        self.error: Exception | None = None
        """Why bytes did not come; the child was ended then."""

    @property
    def child_end(self) -> int:
        return self._theirs.fileno()

    @property
    def waited_s(self) -> float:
        """How long the child had to wait for bytes so far."""
        since = self._waits_since
        return self._waited_s + (time.monotonic() - since if since is not None else 0.0)

    def start(self, kill: Callable[[], None]) -> None:
        """Begins to serve; `kill` ends the child."""
        self._kill = kill
        self._theirs.close()
        self._thread.start()

    def close(self) -> None:
        """Called when the child has ended."""
        self._over = True
        with contextlib.suppress(OSError):  # it has closed its end
            self._ours.shutdown(socket.SHUT_RDWR)
        if self._thread.ident is not None:
            self._thread.join()
        self._ours.close()
        self._theirs.close()

    def _serve(self) -> None:
        handed: list[int] = []
        try:
            said, handed, _, _ = socket.recv_fds(self._ours, 1, 1)
            if said == UNABLE:
                self._bring(0, os.fstat(self._file.fileno()).st_size)
                self._ours.send(ANNOUNCED)
            elif handed:
                self._answer_all(handed[0])
        except OSError:  # the child has ended
            return
        except Exception as error:  # told to whoever waits for the child
            self.error = error
            self._kill()
        finally:  # only now: without it the child's reads fail
            for listener in handed:
                os.close(listener)

    def _answer_all(self, listener: int) -> None:
        watch = select.poll()
        watch.register(listener, select.POLLIN)
        while not self._over:
            for _, ready in watch.poll(_LOOK_MS):
                if not ready & select.POLLIN:  # the child has ended
                    return
                self._answer(listener)

    def _answer(self, listener: int) -> None:
        asked = bytearray(_ASKED.size)
        try:
            fcntl.ioctl(listener, _ASK, asked)
            number, _, _, call, _, _, _, _, count, offset, *_ = _ASKED.unpack(asked)
            at = offset if call in _PREAD else os.lseek(self._file.fileno(), 0, os.SEEK_CUR)
            self._bring(at, at + min(count, _AT_ONCE))
            fcntl.ioctl(listener, _ANSWER, bytearray(_ANSWERED.pack(number, 0, 0, _GO_ON)))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EINTR):  # killed while it waited
                raise

    def _bring(self, start: int, stop: int) -> None:
        self._waits_since = began = time.monotonic()
        try:
            self._fill(start, stop)
        except OSError as error:  # the child's own are another matter
            raise StoreUnavailable(f"what is read of a video does not come: {error}") from error
        finally:
            self._waits_since = None
            self._waited_s += time.monotonic() - began
