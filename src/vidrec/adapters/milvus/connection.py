"""One connection to Milvus: made at the first call, healed after a restart of the server, patient with hiccups."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from vidrec.adapters.milvus.failures import (
    DATABASE_NOT_FOUND,
    NOT_LOADED,
    code_of,
    is_forbidden,
    is_late,
    is_passing,
    translated,
    vendor_errors,
)
from vidrec.adapters.milvus.light import import_pymilvus
from vidrec.application.deadline import waiting
from vidrec.application.ports import Observe, unobserved
from vidrec.domain.errors import IndexUnavailable, InvalidInput

T = TypeVar("T")
Client = Any
"""pymilvus.MilvusClient, which carries no types."""

OLDEST = (2, 3, 5)
"""Servers before this one are refused; nothing that came later is used without asking for the version."""
PATIENT_S = 60.0
"""Timeout of calls that nobody waits for at a screen."""
_PAUSES_S = (0.05, 0.15, 0.3)
"""Between the attempts of one call, give or take a third: long enough for a proxy that restarts or a shard that moves,
and short enough to answer without the index soon where it is down."""
_DEFAULT_DATABASE = "default"
_CHANNEL = {
    # gRPC waits up to two minutes between attempts to reconnect unless told otherwise.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 500,
    # Milvus Lite's server takes pymilvus's pings on an idle connection for an attack and hangs up.
    "grpc.keepalive_permit_without_calls": 0,
    "grpc.keepalive_time_ms": 30_000,
}


@dataclass(frozen=True, slots=True)
class Access:
    """Where a server is and how it lets us in."""

    uri: str
    """http://host:port, or https:// for TLS."""
    token: str = ""
    """`user:password`, or a token of the server's own; empty: none."""
    database: str = ""
    """Made where the server lacks it and lets us; empty: the server's default one."""
    certificate: Path | None = None
    """PEM file of the certificate that the server must show, or of whoever signed it; None: who is trusted usually."""

    def check(self) -> None:
        """InvalidInput names the setting that cannot be."""
        try:
            parts = urlsplit(self.uri)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # a port beyond 65535, half an IPv6 address
            usable = False
        if not usable:
            # A path would make pymilvus open Milvus Lite inside of this process, where no other process can reach it.
            raise InvalidInput(
                f"VIDREC_MILVUS_URI must be http://host:port or https://host:port, not {self.uri!r}",
                field="VIDREC_MILVUS_URI",
            )
        if self.certificate is not None and not self.certificate.is_file():
            raise InvalidInput(
                f"VIDREC_MILVUS_CERTIFICATE: there is no file {self.certificate}", field="VIDREC_MILVUS_CERTIFICATE"
            )
        if self.certificate is not None and parts.scheme != "https":
            raise InvalidInput(
                "VIDREC_MILVUS_CERTIFICATE is for TLS: VIDREC_MILVUS_URI must begin with https://",
                field="VIDREC_MILVUS_URI",
            )


class MilvusConnection:
    """Thread-safe. A call that meets what a moment may cure is tried again, a few times and within its deadline: reads
    change nothing and every write is an upsert or a deletion by key, so that twice is as good as once. Once the server
    was found to be down, and until a call succeeds, one call at a time tries, once, and the others fail at once: who
    waits for a hiccup need not wait for an outage, and a silent server does not hold every thread. A refused
    connection fails within a second, a silent server after `timeout_s`; a server that is back is used again by the next
    call. InvalidInput where the access cannot be."""

    def __init__(self, access: Access, *, timeout_s: float, observe: Observe = unobserved) -> None:
        access.check()
        self.uri = access.uri
        self._access = access
        self._timeout_s = timeout_s
        self._observe = observe
        self.is_lite = False
        """Known once connected."""
        self._client: Client | None = None
        self._connecting = threading.Lock()
        self._failed_at = -1.0
        self._failure = ""
        self._down = False
        self._trying = threading.Lock()

    def call(self, method: str, collection: str, *args: Any, timeout: float | None = None, **options: Any) -> Any:
        """What the client's method answers about a collection, within `timeout` seconds (else the connection's own). A
        restarted server may have to be told to load the collection again. IndexUnavailable."""

        def operation(client: Client, left_s: float) -> Any:
            return getattr(client, method)(collection, *args, timeout=left_s, **options)

        return self.run(operation, step=method, loads=collection, timeout_s=timeout)

    def run(
        self,
        operation: Callable[[Client, float], T],
        *,
        step: str,
        loads: str | None = None,
        timeout_s: float | None = None,
    ) -> T:
        """What `operation` answers, given the client and the seconds that are left; tried again as said above, and with
        the collection `loads` loaded where that was missing. IndexUnavailable."""
        pauses = [] if self._down else [pause * random.uniform(0.7, 1.3) for pause in _PAUSES_S]
        with self._observe(step), self._one_at_a_time_while_down(), waiting(timeout_s or self._timeout_s) as given_s:
            ends_at = time.monotonic() + given_s
            while True:
                try:
                    answer = self._attempt(operation, loads, ends_at)
                except vendor_errors() as error:
                    pause = pauses.pop(0) if pauses and is_passing(error) else None
                    if pause is None or time.monotonic() + pause >= ends_at:
                        told = translated(error, self.uri)
                        if is_passing(error) or (is_late(error) and given_s >= self._timeout_s / 2):
                            self._down, self._failure = True, str(told)
                        raise told from error
                    time.sleep(pause)
                else:
                    self._down = False
                    return answer

    @contextmanager
    def _one_at_a_time_while_down(self) -> Iterator[None]:
        if not self._down:
            yield
        elif self._trying.acquire(blocking=False):
            try:
                yield
            finally:
                self._trying.release()
        else:
            raise IndexUnavailable(self._failure)

    def ping(self) -> None:
        """Returns where the server answers; IndexUnavailable."""
        self.run(lambda client, left_s: client.get_server_version(timeout=left_s), step="ping")

    def load(self, client: Client, collection: str, *, timeout_s: float) -> None:
        """Makes a collection searchable."""
        deadline = time.monotonic() + timeout_s
        if self.is_lite:
            # What the server recovered from its log is only indexed, and fast to search, once flushed.
            client.flush(collection, timeout=timeout_s)
        client.load_collection(collection, timeout=max(deadline - time.monotonic(), 0.1))

    def close(self) -> None:
        with self._connecting:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _attempt(self, operation: Callable[[Client, float], T], loads: str | None, ends_at: float) -> T:
        client = self._connected(ends_at)
        try:
            return operation(client, _left(ends_at))
        except vendor_errors() as error:
            if loads is None or code_of(error) != NOT_LOADED:
                raise
        self.load(client, loads, timeout_s=_left(ends_at))
        return operation(client, _left(ends_at))

    def _connected(self, ends_at: float) -> Client:
        asked_at = time.monotonic()
        if self._client is not None:
            return self._client
        with self._connecting:
            if self._client is None:
                if self._failed_at >= asked_at:
                    # Found out while this thread waited: else each of many threads would wait a whole timeout in turn.
                    raise IndexUnavailable(self._failure)
                self._client = self._connect(_left(ends_at))
            return self._client

    def _connect(self, timeout_s: float) -> Client:
        pymilvus = import_pymilvus()
        options: dict[str, Any] = {"dedicated": True, "grpc_options": _CHANNEL}
        if self._access.certificate is not None:
            options["server_pem_path"] = str(self._access.certificate)
        client: Client | None = None
        try:
            client = pymilvus.MilvusClient(
                self.uri, token=self._access.token, db_name=self._access.database, timeout=timeout_s, **options
            )
            version = str(client.get_server_version(timeout=timeout_s))
            # The server of the `milvus` package calls itself "v2.3.5-lite" and is a real one.
            self.is_lite = version.startswith("milvus_lite")
            if not self.is_lite:
                _check_version(version, self.uri)
            if self._access.database not in ("", _DEFAULT_DATABASE):
                _need_database(client, self._access.database, self.uri, timeout_s)
        except Exception as error:
            if client is not None:
                client.close()
            told = translated(error, self.uri) if isinstance(error, vendor_errors()) else error
            self._failed_at, self._failure = time.monotonic(), str(told)
            raise
        return client


def _left(ends_at: float) -> float:
    return max(ends_at - time.monotonic(), 0.001)


def _check_version(version: str, uri: str) -> None:
    """IndexUnavailable where the server is older than what is supported. A version that is no number, such as that of a
    build of one's own, is taken on trust."""
    number = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    if number and tuple(map(int, number.groups())) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise IndexUnavailable(
            f"the vector index at {uri} is Milvus {version}, which is too old: {oldest} or later works"
        )


def _need_database(client: Client, name: str, uri: str, timeout_s: float) -> None:
    """Makes the database where there is none; IndexUnavailable where that is not allowed."""
    try:
        client.list_collections(timeout=timeout_s)
    except vendor_errors() as error:
        if code_of(error) != DATABASE_NOT_FOUND:
            if is_forbidden(error):
                return  # whoever may not list may still read and write: what is missing will be said then
            raise
    else:
        return
    try:
        client.create_database(name, timeout=timeout_s)
    except vendor_errors() as error:
        if is_forbidden(error):
            text = f"the vector index at {uri} has no database {name!r} and does not let this user make it"
            raise IndexUnavailable(f"{text}: VIDREC_MILVUS_DATABASE must name one that is there") from error
        try:  # another process may have been faster
            client.list_collections(timeout=timeout_s)
        except vendor_errors():
            raise error from None
