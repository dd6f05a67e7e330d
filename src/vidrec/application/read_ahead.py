"""Reading an iterator ahead of its consumer, in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from contextvars import copy_context
from typing import TypeVar

from vidrec.application.ports import Observe

T = TypeVar("T")
_LOOK_EVERY_S = 0.1
_END_S = 1.0


def read_ahead(source: Generator[T], *, ahead: int, check: Callable[[], None] = lambda: None) -> Generator[T]:
    """The items of `source`, of which up to `ahead` wait ready. Errors of the source are raised in their place; `check`
    is called while an item is awaited, and what it raises ends the waiting.

    Closing the generator closes the source, in the thread that reads it. Where that is in the middle of a long step,
    it is left to close after it."""
    ready: queue.Queue[tuple[T] | BaseException | None] = queue.Queue(ahead)
    closed = threading.Event()

    def put(item: tuple[T] | BaseException | None) -> bool:
        while not closed.is_set():
            with suppress(queue.Full):
                ready.put(item, timeout=_LOOK_EVERY_S)
                return True
        return False

    def read() -> None:
        try:
            for item in source:
                if not put((item,)):
                    return
            put(None)
        except BaseException as error:  # to be raised where the items are taken
            put(error)
        finally:
            source.close()

    thread = threading.Thread(target=copy_context().run, args=(read,), name="read-ahead", daemon=True)
    thread.start()
    try:
        while (item := _next(ready, check)) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]
    finally:
        closed.set()
        thread.join(_END_S)


def observed(source: Iterable[T], observe: Observe, step: str) -> Generator[T]:
    """The items of `source`; the making of each is a step."""
    items = iter(source)
    while True:
        with observe(step):
            item = next(items, None)
        if item is None:
            return
        yield item


def _next(
    ready: queue.Queue[tuple[T] | BaseException | None], check: Callable[[], None]
) -> tuple[T] | BaseException | None:
    while True:
        check()
        with suppress(queue.Empty):
            return ready.get(timeout=_LOOK_EVERY_S)
