"""Adaptive batching: one queue, one inference thread that takes whatever waits, and no added wait.

While an inference runs, requests gather; the next one takes them together. So a lone request is never held back, and
under load the batches grow by themselves ("continuous batching", Yu et al. 2022, Orca)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from bento import metrics
from vidrec.domain.errors import EncoderUnavailable, Overloaded
from vidrec.domain.models import Embeddings, Frames

MAX_BATCH = 32
"""Single images that are encoded together at most; a client's own batch is never cut or merged."""


@dataclass(slots=True)
class _Request:
    frames: Frames
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Embeddings]
    arrived: float = field(default_factory=time.perf_counter)


class Batcher:
    """Feeds frames of many callers to one `encode` function, which runs in one thread."""

    def __init__(self, encode: Callable[[Frames], Embeddings], *, max_waiting: int) -> None:
        """`max_waiting`: frames that are in here at most, those being encoded included."""
        self._encode = encode
        self._max_waiting = max_waiting
        self._reserved = 0
        self._singles: deque[_Request] = deque()
        self._batches: deque[_Request] = deque()
        self._single_turn = True
        self._wake = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    def reserve(self, frames: int) -> None:
        """Makes room before a body is read, so that memory is bounded too; give it back with `release`. Overloaded."""
        if self._reserved + frames > self._max_waiting:
            raise Overloaded(f"the encoder is full: {self._reserved} frames wait", retry_after_s=1.0)
        self._reserved += frames
        metrics.WAITING.set(self._reserved)

    def release(self, frames: int) -> None:
        """Gives reserved room back."""
        self._reserved -= frames
        metrics.WAITING.set(self._reserved)

    async def encode(self, frames: Frames) -> Embeddings:
        """(n, 224, 224, 3) uint8 -> (n, d) float32. EncoderUnavailable where the service is shutting down."""
        loop = asyncio.get_running_loop()
        request = _Request(frames, loop, loop.create_future())
        with self._wake:
            if self._closed:
                raise EncoderUnavailable("the encoder is shutting down", retry_after_s=2.0)
            (self._singles if len(frames) == 1 else self._batches).append(request)
            self._wake.notify()
        return await request.answer

    def close(self) -> None:
        """Encodes what waits, then ends the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        while requests := self._next():
            started = time.perf_counter()
            try:
                frames = requests[0].frames
                if len(requests) > 1:
                    frames = np.concatenate([request.frames for request in requests])
                embeddings: Embeddings | Exception = self._encode(frames)
            except Exception as error:  # the callers are told; the thread must live on
                embeddings = error
            _deliver(requests, embeddings)
            _observe(requests, started)

    def _next(self) -> list[_Request]:
        """The next requests to encode together; singles and batches take turns, so that neither starves the other.
        Empty where closed and nothing waits."""
        with self._wake:
            while not (self._singles or self._batches or self._closed):
                self._wake.wait()
            take_singles = self._singles and (self._single_turn or not self._batches)
            self._single_turn = not take_singles
            if take_singles:
                return [self._singles.popleft() for _ in range(min(len(self._singles), MAX_BATCH))]
            return [self._batches.popleft()] if self._batches else []


def _deliver(requests: list[_Request], embeddings: Embeddings | Exception) -> None:
    loop = requests[0].loop

    def resolve() -> None:
        row = 0
        for request in requests:
            count = len(request.frames)
            if not request.answer.done():  # its client may have gone
                if isinstance(embeddings, Exception):
                    request.answer.set_exception(embeddings)
                else:
                    request.answer.set_result(embeddings[row : row + count])
            row += count

    loop.call_soon_threadsafe(resolve)


def _observe(requests: list[_Request], started: float) -> None:
    ended = time.perf_counter()
    metrics.BATCH_FRAMES.observe(sum(len(request.frames) for request in requests))
    metrics.INFERENCE_SECONDS.observe(ended - started)
    for request in requests:
        metrics.WAIT_SECONDS.observe(started - request.arrived)
