"""What collections need besides reads and writes: flushes and compactions, where and when the server needs them."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Sequence

from vidrec.adapters.milvus.connection import PATIENT_S, MilvusConnection
from vidrec.domain.errors import IndexUnavailable

log = logging.getLogger(__name__)

BULK_ROWS = 20_000
"""So many rows that were written since the last flush are a bulk load."""
MANY_DELETED = 10_000
"""So many deleted rows are worth a compaction."""


class Upkeep:
    """Of this process's writes. Milvus Lite is slow to search until it is flushed, and compacts by itself then. A
    Milvus server seals and indexes what it holds by itself after a while, and limits the rate of flushes: it is told
    to only after a bulk load, which would be searched without an index until then. It compacts by itself too, in its
    own time; after many deletions it is told to. Thread-safe."""

    def __init__(self, connection: MilvusConnection) -> None:
        self._connection = connection
        self._written: Counter[str] = Counter()
        self._deleted: Counter[str] = Counter()
        self._lock = threading.Lock()

    def written(self, name: str, rows: int) -> None:
        """Notes what was written to a collection."""
        with self._lock:
            self._written[name] += rows

    def deleted(self, name: str, rows: int) -> None:
        """Notes what was deleted, and starts a compaction where it was much; the server does that in its own time. One
        that cannot be started is put off to the next deletion: nothing depends on it."""
        with self._lock:
            self._deleted[name] += rows
            due = self._deleted[name] >= MANY_DELETED and not self._connection.is_lite
            before = self._deleted.pop(name) if due else 0
        if due:
            try:
                self._connection.call("compact", name, timeout=PATIENT_S)
            except IndexUnavailable as error:
                log.warning("not compacted: %s", error)
                with self._lock:
                    self._deleted[name] += before

    def flush(self, names: Sequence[str]) -> None:
        """Flushes the collections that need it. IndexUnavailable."""
        self._connection.ping()  # only then is known what it is
        for name in names:
            with self._lock:
                due = self._connection.is_lite or self._written[name] >= BULK_ROWS
                before = self._written.pop(name, 0) if due else 0
            if due:
                try:
                    self._connection.call("flush", name, timeout=PATIENT_S)
                except IndexUnavailable:
                    with self._lock:
                        self._written[name] += before
                    raise
