"""Generated pictures as a training needs them: a window of programs that moves on, rendered by other processes.

What is in the window at a step is a function of the seed and the step alone, so a training that goes on after a kill
sees the pictures it would have seen."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.shared_memory import SharedMemory
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from vidrec.domain.errors import Unavailable

VIEWS = 2
CHUNK = 64
"""Programs that one task renders."""


class PictureStream:
    """Programs `first` to `first + window`, each in two views. To be used as a context."""

    def __init__(self, seed: int, *, side: int, window: int, workers: int) -> None:
        self._seed, self._side = seed, side
        self._window = _chunks(window) * CHUNK
        self._slots = self._window + max(8, 2 * workers) * CHUNK
        shape = (self._slots, VIEWS, side, side, 3)
        self._memory = _shared(int(np.prod(shape)))
        self._pictures: npt.NDArray[np.uint8] = np.ndarray(shape, dtype=np.uint8, buffer=self._memory.buf)
        self._pool = ProcessPoolExecutor(
            workers, mp_context=get_context("spawn"), initializer=_attach, initargs=(self._memory.name, shape, seed)
        )
        self._tasks: dict[int, Future[None]] = {}

    def __enter__(self) -> PictureStream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)
        del self._pictures
        self._memory.close()
        self._memory.unlink()

    def move_to(self, first: int) -> int:
        """Moves the window on to begin at the chunk that holds `first`, waits until all of it is rendered, and answers
        where it begins. Unavailable where a rendering process was ended."""
        begin = first // CHUNK
        for chunk in [number for number in self._tasks if number < begin]:
            self._tasks.pop(chunk).result()
        for chunk in range(begin, begin + self._slots // CHUNK):
            if chunk not in self._tasks:
                self._tasks[chunk] = self._submit(chunk)
        try:
            for chunk in range(begin, begin + self._window // CHUNK):
                self._tasks[chunk].result()
        except BrokenProcessPool:
            raise Unavailable("a process that renders pictures was ended from outside; start again to go on") from None
        return begin * CHUNK

    def take(self, programs: npt.NDArray[np.int64], views: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Pictures (n, side, side, 3) of programs in the window."""
        taken: npt.NDArray[np.uint8] = self._pictures[programs % self._slots, views]
        return taken

    def _submit(self, chunk: int) -> Future[None]:
        try:
            return self._pool.submit(_render_chunk, chunk * CHUNK, chunk * CHUNK % self._slots)
        except BrokenProcessPool:
            raise Unavailable("a process that renders pictures was ended from outside; start again to go on") from None


def _shared(size: int) -> SharedMemory:
    """Memory that other processes can attach to. Unavailable where the system has not that much to share: to write
    beyond it would end the process without a word."""
    free = shutil.disk_usage("/dev/shm").free
    if size > free:
        raise Unavailable(
            f"the window needs {size >> 20} MiB of shared memory, /dev/shm has {free >> 20} MiB: take a smaller "
            "--window or --side"
        )
    return SharedMemory(create=True, size=size)


def _chunks(programs: int) -> int:
    return -(-programs // CHUNK)


_worker: dict[str, Any] = {}
"""Of a rendering process: the shared memory and its shape."""


def _attach(name: str, shape: tuple[int, ...], seed: int) -> None:
    import cv2

    from vidrec.model.pictures.bank import bank_of

    for number in (signal.SIGINT, signal.SIGTERM):  # they may reach the whole group; the parent ends this one
        signal.signal(number, signal.SIG_IGN)
    os.nice(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    _worker["memory"] = memory = SharedMemory(name=name)
    _worker["pictures"] = np.ndarray(shape, dtype=np.uint8, buffer=memory.buf)
    _worker["seed"] = seed
    bank_of(seed)


def _end_with_parent() -> None:
    """A parent that was killed sends no word, and this process would wait for tasks for ever."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _render_chunk(first: int, slot: int) -> None:
    from vidrec.model.pictures.program import render

    pictures, seed = _worker["pictures"], _worker["seed"]
    for offset in range(CHUNK):
        for view in range(VIEWS):
            pictures[slot + offset, view] = render(seed, first + offset, view, pictures.shape[2])
