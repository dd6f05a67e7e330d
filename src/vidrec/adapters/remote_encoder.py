"""The encoder service over HTTP: raw frames out, raw embeddings back."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np

from vidrec.domain.errors import EncoderUnavailable, ModelVersionMismatch, Overloaded
from vidrec.domain.models import Embeddings, Frames

MAX_FRAMES = 64
"""Of one request; more are sent in several."""
CONNECT_TIMEOUT_S = 2.0


class _Unreachable(EncoderUnavailable):
    """Another address may be."""


class RemoteEncoder:
    """Implements the Encoder port. Requests go to the address with the fewest outstanding ones; one that cannot be
    reached is passed over. Thread-safe."""

    def __init__(self, urls: Sequence[str], *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._outstanding = {url.rstrip("/"): 0 for url in urls}
        self._lock = threading.Lock()
        self._client = httpx.Client(timeout=httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S), trust_env=False)

    def encode(self, frames: Frames, *, model_version: str) -> Embeddings:
        """See the port. A single frame takes the route that batches over callers."""
        parts = [
            self._encode(frames[start : start + MAX_FRAMES], model_version)
            for start in range(0, len(frames), MAX_FRAMES)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def serves(self, model_version: str) -> bool:
        """See the port: asks one after the other."""
        failure: EncoderUnavailable | None = None
        answered = False
        for url in self._by_load():
            try:
                described = self._ask(url, "GET", "/v1/describe").json()
            except EncoderUnavailable as error:
                failure = error
                continue
            answered = True
            if model_version in described.get("model_versions", [described["model_version"]]):
                return True
        if failure is not None and not answered:
            raise failure
        return False

    def describe(self) -> Mapping[str, Any]:
        """See the port."""
        answer: Mapping[str, Any] = self._send("GET", "/v1/describe").json()
        return answer

    def close(self) -> None:
        self._client.close()

    def _encode(self, frames: Frames, model_version: str) -> Embeddings:
        path = "/v1/encode_image" if len(frames) == 1 else "/v1/encode"
        response = self._send(
            "POST",
            path,
            params={"model_version": model_version},
            content=frames.tobytes(),
        )
        dimension = int(response.headers["x-dimension"])
        return np.frombuffer(response.content, dtype="<f4").reshape(len(frames), dimension)

    def _send(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, content: bytes | None = None
    ) -> httpx.Response:
        """The first answer; of encoders that refuse the model version (a change is going on) the next one is asked."""
        failure: _Unreachable | ModelVersionMismatch | None = None
        for url in self._by_load():
            try:
                return self._ask(url, method, path, params=params, content=content)
            except _Unreachable as error:
                failure = failure or error
            except ModelVersionMismatch as error:
                failure = error
        if isinstance(failure, ModelVersionMismatch):
            raise failure
        raise EncoderUnavailable(f"the encoder does not answer at {', '.join(self._outstanding)}") from failure

    def _by_load(self) -> list[str]:
        return sorted(self._outstanding, key=lambda url: self._outstanding[url])

    def _ask(
        self,
        url: str,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        try:
            with self._counted(url):
                response = self._client.request(method, url + path, params=params, content=content)
        except httpx.TimeoutException as error:
            raise EncoderUnavailable(f"the encoder at {url} did not answer in {self._timeout_s:g} s") from error
        except httpx.TransportError as error:
            raise _Unreachable(f"the encoder at {url} cannot be reached") from error
        return _checked(response, url)

    @contextmanager
    def _counted(self, url: str) -> Iterator[None]:
        with self._lock:
            self._outstanding[url] += 1
        try:
            yield
        finally:
            with self._lock:
                self._outstanding[url] -= 1


def _checked(response: httpx.Response, url: str) -> httpx.Response:
    if response.is_success:
        return response
    try:
        detail = str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"the encoder at {url} answered {response.status_code}"
    retry_after_s = float(response.headers.get("retry-after", 1))
    match response.status_code:
        case 409:
            raise ModelVersionMismatch(detail)
        case 429:
            raise Overloaded(detail, retry_after_s=retry_after_s)
        case _:
            raise EncoderUnavailable(detail, retry_after_s=retry_after_s)
