"""Listening to what Procrastinate says of new jobs, so that idle workers need not ask for them all the time."""

from __future__ import annotations

import logging
import threading

import psycopg

from vidrec.adapters.sql.database import SqlDatabase
from vidrec.domain.errors import StoreUnavailable

log = logging.getLogger(__name__)

CHANNEL = "procrastinate_any_queue_v1"
_LOOK_S = 1.0
"""How often the thread looks whether it is to end, and tries again to listen."""


class Arrivals:
    """A thread and a connection of its own, until `close`."""

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database
        self._heard = 0
        self._listening = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="arrivals", daemon=True)
        self._thread.start()

    @property
    def heard(self) -> int | None:
        """Changes when a job is enqueued anywhere; None while nothing can be heard."""
        return self._heard if self._listening else None

    def close(self) -> None:
        """Ends the thread within about a second."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._listen()
            except (StoreUnavailable, psycopg.Error) as error:
                log.debug("not listening for jobs: %s", error)
            except Exception:  # a worker that hears nothing still asks
                log.exception("listening for jobs failed")
            self._listening = False
            self._over.wait(_LOOK_S)

    def _listen(self) -> None:
        with self._database.outside_transactions() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            connection.exec_driver_sql(f"LISTEN {CHANNEL}")
            self._listening = True
            try:
                while not self._over.is_set():
                    for _ in driver.notifies(timeout=_LOOK_S, stop_after=1):
                        self._heard += 1
            finally:
                connection.invalidate()  # it must not go back to the pool with ears
