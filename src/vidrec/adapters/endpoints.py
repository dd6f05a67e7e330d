"""Which of several servers of one kind the next call goes to.

Kubernetes' own balancing picks a server for each connection, so that kept-alive ones stay where they are and a new
server gets nothing. Here the caller chooses for each call: the server with the fewest calls outstanding ("least
outstanding requests"), of equals the one that was called longest ago. A host name that stands for several addresses,
such as that of a headless Service, is looked up again every few seconds, and each address is a server.
"""

from __future__ import annotations

import ipaddress
import logging
import random
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

log = logging.getLogger(__name__)

RESOLVE_EVERY_S = 5.0
FIRST_ASIDE_S = 0.5
LONGEST_ASIDE_S = 10.0
"""A server that fails is left alone for so long, twice as long each time, and then tried again."""

Resolve = Callable[[str, int], Sequence[str]]
"""Host name and port to IP addresses; OSError where there are none."""


def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a host name by the system's resolver. OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(eq=False, slots=True)
class Endpoint:
    """One server: a named URL at one address."""

    name: str
    """The URL as it was given: what the server is told (Host), and whose certificate it must show."""
    url: str
    """The same with the address in the host's place."""
    outstanding: int = field(default=0, init=False)
    called: int = field(default=0, init=False)
    failures: int = field(default=0, init=False)
    aside_until: float = field(default=0.0, init=False)

    @property
    def host(self) -> str:
        """Host name as given."""
        return urlsplit(self.name).hostname or ""

    @property
    def authority(self) -> str:
        """Host name and port as given."""
        return urlsplit(self.name).netloc


class Endpoints:
    """The servers behind some URLs (http://host:port). Thread-safe."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        resolve: Resolve = resolve,
        every_s: float = RESOLVE_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._urls = [url.rstrip("/") for url in urls]
        self._resolve = resolve
        self._every_s = every_s
        self._clock = clock
        self._known: dict[str, list[Endpoint]] = {}
        self._looked_at: float | None = None
        self._calls = 0
        self._lock = threading.Lock()
        self._looking = threading.Lock()

    def choose(self, *, but: Collection[Endpoint] = ()) -> Endpoint | None:
        """The server for the next call, none of `but`: one of those that are well, or where there is none the one whose
        time aside is over first; None where no other is known."""
        self._keep_fresh()
        now = self._clock()
        with self._lock:
            there = [e for endpoints in self._known.values() for e in endpoints if e not in but]
            well = [e for e in there if e.aside_until <= now]
            if well:
                return min(well, key=lambda e: (e.outstanding, e.called))
            return min(there, key=lambda e: e.aside_until, default=None)

    @contextmanager
    def calling(self, endpoint: Endpoint) -> Iterator[None]:
        """The time of one call."""
        with self._lock:
            self._calls += 1
            endpoint.called = self._calls
            endpoint.outstanding += 1
        try:
            yield
        finally:
            with self._lock:
                endpoint.outstanding -= 1

    def succeeded(self, endpoint: Endpoint) -> None:
        """It answered."""
        with self._lock:
            endpoint.failures = 0
            endpoint.aside_until = 0.0

    def failed(self, endpoint: Endpoint) -> None:
        """It did not answer: it is put aside, longer each time, and its name is looked up again."""
        with self._lock:
            pause = min(FIRST_ASIDE_S * 2**endpoint.failures, LONGEST_ASIDE_S) * random.uniform(0.8, 1.2)
            endpoint.failures = min(endpoint.failures + 1, 10)
            endpoint.aside_until = self._clock() + pause
            if self._looked_at is not None:
                self._looked_at = min(self._looked_at, self._clock() - self._every_s + FIRST_ASIDE_S)

    def full(self, endpoint: Endpoint, retry_after_s: float) -> None:
        """It asks to be left alone for a while."""
        with self._lock:
            endpoint.aside_until = self._clock() + min(retry_after_s, LONGEST_ASIDE_S)

    def names(self) -> str:
        """For messages: the URLs as given."""
        return ", ".join(self._urls)

    def _keep_fresh(self) -> None:
        """The first look-up is waited for; later ones go on beside the calls, since a resolver may take its time."""
        if self._looked_at is None:
            with self._looking:
                if self._looked_at is None:
                    self._look()
        elif self._clock() - self._looked_at >= self._every_s and self._looking.acquire(blocking=False):
            threading.Thread(target=self._look_beside, name="endpoints", daemon=True).start()

    def _look_beside(self) -> None:
        try:
            self._look()
        finally:
            self._looking.release()

    def _look(self) -> None:
        for url in self._urls:
            self._look_up(url)
        found = any(self._known.values())
        with self._lock:
            # With nothing known at all the next call looks again, and waits for it.
            self._looked_at = self._clock() if found else None

    def _look_up(self, url: str) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            addresses = [host] if _is_address(host) else self._resolve(host, port)
        except OSError as error:
            # Those known may still answer: a resolver that is down must not take the servers with it.
            log.warning("no addresses of %s: %s", host, error)
            return
        with self._lock:
            before = {endpoint.url: endpoint for endpoint in self._known.get(url, ())}
            now = [f"{parts.scheme}://{_bracketed(address)}:{port}{parts.path}" for address in addresses]
            self._known[url] = [before.get(each) or self._newcomer(url, each) for each in now]

    def _newcomer(self, name: str, url: str) -> Endpoint:
        endpoint = Endpoint(name, url)
        endpoint.called = self._calls  # not one that was neglected since the start
        return endpoint


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
