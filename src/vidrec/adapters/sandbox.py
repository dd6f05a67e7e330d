"""Programs that read untrusted bytes, in a child process that can do little else.

On Linux, for the life of the child:

- memory, CPU time and open files are limited, no core is dumped, and no file is written (rlimits) but one that it is
  handed open, up to a size;
- it is killed when this process dies, however that happens, and it gains no privileges (prctl);
- its environment is empty, so no credentials are in it, and it opens no files but its program and libraries (Landlock);
- it can make no socket, touch no other process, open no file for writing and change none in place (seccomp on x86-64
  and ARM64), and has a network namespace of its own where the kernel lets it.

Landlock, seccomp and the namespace each stand alone: where a kernel or a container runtime refuses one, the others
hold. Where all are refused, the program's own whitelist of protocols is what is left. Elsewhere than on Linux only the
rlimits hold.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from vidrec.adapters.feeding import Feeder, Fill
from vidrec.domain.errors import Unavailable

_LAUNCHER = Path(__file__).with_name("confine.py")
_COULD_NOT_START = 126
_PIPE_BYTES = 1 << 20
_READ_BYTES = 1 << 20
_STDERR_BYTES = 1 << 16
_OPEN_FILES = 64

# A child's death signal is tied to the thread that made it, so one thread that never ends makes them all.
_spawner = ThreadPoolExecutor(1, thread_name_prefix="spawn")


def _renew_spawner() -> None:
    global _spawner
    _spawner = ThreadPoolExecutor(1, thread_name_prefix="spawn")


os.register_at_fork(after_in_child=_renew_spawner)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a child may use at most."""

    wall_s: float
    """Seconds that are spent waiting for it; pauses of the reader do not count."""
    cpu_s: float
    memory_bytes: int
    """Address space."""
    file_bytes: int = 0
    """How large the file that it is handed to write may get."""


class LimitExceeded(Exception):
    """The child was ended because it went over a limit."""


class ConfinedProcess:
    """A running program. `stdin` is an open file that it reads; its stdout and, where `extra` names one, a second pipe
    are read through `chunks`; `written` is an open file that it may write, under the same number, as far as the limits
    allow. Leaving the context kills it and reaps it."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        stdin: IO[bytes],
        limits: Limits,
        extra: tuple[int, int] | None = None,
        written: IO[bytes] | None = None,
        fill: Fill | None = None,
        niceness: int = 0,
    ) -> None:
        """`extra` is a pipe (read end, write end): the child inherits the write end under the same number; both ends
        are closed here. `fill(start, stop)` is called before bytes of `stdin` are read, and what it raises ends the
        child and is raised by `chunks`. With a `niceness` of up to 19 it gives way to others. Unavailable where no
        process can be started."""
        self._limits = limits
        self._waited_s = 0.0
        self._stderr = bytearray()
        self._selector = selectors.DefaultSelector()
        self._feeder = Feeder(stdin, fill) if fill is not None else None
        feed = self._feeder.child_end if self._feeder else -1
        passed = (*((extra[1],) if extra else ()), *((written.fileno(),) if written else ()))
        try:
            self._process: subprocess.Popen[bytes] = _spawner.submit(
                _start, command, stdin, limits, passed, niceness, feed
            ).result()
        except OSError as error:
            if extra:
                os.close(extra[0])
            if self._feeder:
                self._feeder.close()
            raise Unavailable(f"no process for decoding can be started: {error.strerror}") from error
        finally:
            if extra:
                os.close(extra[1])
        if self._feeder:
            self._feeder.start(self._process.kill)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._files: Mapping[int, str] = {
            self._process.stdout.fileno(): "stdout",
            self._process.stderr.fileno(): "stderr",
            **({extra[0]: "extra"} if extra else {}),
        }
        self._extra = extra[0] if extra else None
        for fd in self._files:
            os.set_blocking(fd, False)
            self._selector.register(fd, selectors.EVENT_READ)
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._process.stdout, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def chunks(self) -> Iterator[tuple[str, bytes]]:
        """Output as it comes, (`stdout` or `extra`, bytes), until the child has closed both and ended. LimitExceeded
        where it took too long, used too much or was killed; Unavailable where the program could not be started."""
        while self._selector.get_map():
            for key, _ in self._wait():
                data = os.read(key.fd, _READ_BYTES)
                if not data:
                    self._selector.unregister(key.fd)
                elif self._files[key.fd] == "stderr":
                    self._stderr += data
                    del self._stderr[:-_STDERR_BYTES]
                else:
                    yield self._files[key.fd], data
        try:
            self._process.wait(max(1.0, self._left_s))
        except subprocess.TimeoutExpired as error:
            raise LimitExceeded from error
        self._check_end()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def failed(self) -> bool:
        """Whether it ended with another status than 0."""
        return bool(self._process.poll())

    @property
    def messages(self) -> str:
        """The last of what it wrote on stderr."""
        return self._stderr.decode("utf-8", "replace")

    def close(self) -> None:
        """Kills it where it still runs, reaps it and closes the pipes; may be called again."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._feeder is not None:
            self._feeder.close()
        self._selector.close()
        for file in (self._process.stdout, self._process.stderr):
            if file is not None:
                file.close()
        if self._extra is not None:
            os.close(self._extra)
            self._extra = None

    def __enter__(self) -> ConfinedProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _left_s(self) -> float:
        """Of the time that it may take; that bytes come late is not its fault."""
        return self._limits.wall_s - self._waited_s + (self._feeder.waited_s if self._feeder else 0.0)

    def _wait(self) -> list[tuple[selectors.SelectorKey, int]]:
        began = time.monotonic()
        ready = self._selector.select(max(0.0, self._left_s))
        self._waited_s += time.monotonic() - began
        if not ready and self._left_s <= 0:
            raise LimitExceeded
        return ready

    def _check_end(self) -> None:
        if self._feeder is not None and self._feeder.error is not None:
            raise self._feeder.error
        if self._process.returncode in (-signal.SIGKILL, -signal.SIGXCPU, -signal.SIGXFSZ):
            raise LimitExceeded
        if self._process.returncode == _COULD_NOT_START:
            raise Unavailable(self.messages.strip() or "the decoder cannot be started")


def _start(
    command: Sequence[str], stdin: IO[bytes], limits: Limits, passed: tuple[int, ...], niceness: int, feed: int
) -> subprocess.Popen[bytes]:
    used = (limits.memory_bytes, max(1, round(limits.cpu_s)), _OPEN_FILES, limits.file_bytes)
    rights = (os.getpid(), niceness, feed, *used)
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(_LAUNCHER), *map(str, rights), *command],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "MALLOC_ARENA_MAX": "2"},
        cwd="/",
        pass_fds=(*passed, *((feed,) if feed >= 0 else ())),
        start_new_session=True,
        bufsize=0,
    )
