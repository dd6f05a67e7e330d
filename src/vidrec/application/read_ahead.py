"""Reading an iterator ahead of its consumer, in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


def read_ahead(source: Iterator[T], *, ahead: int) -> Generator[T]:
    """The items of `source`, of which up to `ahead` wait ready. Errors of the source are raised in their place. Closing
    the generator closes the source, in the thread that reads it, before it returns."""
    ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(ahead)
    closed = threading.Event()

    def put(item: T | None, error: BaseException | None = None) -> bool:
        while not closed.is_set():
            with suppress(queue.Full):
                ready.put((item, error), timeout=0.1)
                return True
        return False

    def read() -> None:
        try:
            for item in source:
                if not put(item):
                    return
            put(None, StopIteration())
        except BaseException as error:  # to be raised where the items are taken
            put(None, error)
        finally:
            if isinstance(source, Generator):
                source.close()

    thread = threading.Thread(target=read, name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            assert item is not None
            yield item
    finally:
        closed.set()
        thread.join()
