"""The encoder service over HTTP: raw frames out, raw embeddings back, from whichever encoder has most room."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
import numpy as np

from vidrec.adapters.endpoints import Endpoint, Endpoints, Resolve, resolve
from vidrec.application.ports import Observe, unobserved
from vidrec.domain.errors import EncoderUnavailable, ModelVersionMismatch, Overloaded, VidrecError
from vidrec.domain.models import Embeddings, Frames

MAX_FRAMES = 64
"""Of one request; more are sent in several."""
CONNECT_TIMEOUT_S = 2.0


class RemoteEncoder:
    """Implements the Encoder port. Each request goes to the endpoint with the fewest outstanding ones (see
    `Endpoints`). One that cannot be reached, breaks off, is full or holds another model version is passed over for the
    next, as long as the timeout lasts: encoding twice is as good as once. Thread-safe."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        timeout_s: float,
        resolve: Resolve = resolve,
        headers: Callable[[], Mapping[str, str]] = dict,
        observe: Observe = unobserved,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        """`headers` are asked for with every request, for what travels along with it; `verify`: whom https endpoints
        are checked by."""
        self._timeout_s = timeout_s
        self._headers = headers
        self._observe = observe
        self._endpoints = Endpoints(urls, resolve=resolve)
        self._client = httpx.Client(trust_env=False, verify=verify)

    def encode(self, frames: Frames, *, model_version: str) -> Embeddings:
        """See the port. A single frame takes the route that batches over callers."""
        parts = [
            self._encode(frames[start : start + MAX_FRAMES], model_version)
            for start in range(0, len(frames), MAX_FRAMES)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def serves(self, model_version: str) -> bool:
        """See the port: asks one after the other."""
        tried: list[Endpoint] = []
        failure: VidrecError | None = None
        answered = False
        while endpoint := self._endpoints.choose(but=tried):
            tried.append(endpoint)
            try:
                response = self._ask(endpoint, "GET", "/v1/describe", None, None, self._timeout_s)
                _check(response, endpoint)
            except (EncoderUnavailable, Overloaded) as error:
                failure = error
                continue
            answered = True
            described = response.json()
            if model_version in described.get("model_versions", [described["model_version"]]):
                return True
        if failure is not None and not answered:
            raise failure
        if not tried:
            raise EncoderUnavailable(f"no encoder is known: {self._endpoints.names()} has no address")
        return False

    def describe(self) -> Mapping[str, Any]:
        """See the port."""
        answer: Mapping[str, Any] = self._send("GET", "/v1/describe").json()
        return answer

    def close(self) -> None:
        self._client.close()

    def _encode(self, frames: Frames, model_version: str) -> Embeddings:
        path = "/v1/encode_image" if len(frames) == 1 else "/v1/encode"
        with self._observe("encode"):
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
        """The first good answer; else the refusal that says most: full, then another version, then not there."""
        ends_at = time.monotonic() + self._timeout_s
        tried: list[Endpoint] = []
        refusals: list[VidrecError] = []
        while (endpoint := self._endpoints.choose(but=tried)) and (left_s := ends_at - time.monotonic()) > 0:
            tried.append(endpoint)
            try:
                response = self._ask(endpoint, method, path, params, content, left_s)
                _check(response, endpoint)
            except (Overloaded, ModelVersionMismatch, EncoderUnavailable) as error:
                refusals.append(error)
            else:
                self._endpoints.succeeded(endpoint)
                return response
        if not refusals:
            raise EncoderUnavailable(f"no encoder is known: {self._endpoints.names()} has no address")
        raise min(refusals, key=_says_little)

    def _ask(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        content: bytes | None,
        left_s: float,
    ) -> httpx.Response:
        """The answer, whatever it says; a connection that was closed meanwhile is made again. EncoderUnavailable."""
        for last in (False, True):
            try:
                with self._endpoints.calling(endpoint):
                    response = self._client.request(
                        method,
                        endpoint.url + path,
                        params=params,
                        content=content,
                        headers={"Host": endpoint.authority, **self._headers()},
                        extensions={"sni_hostname": endpoint.host},
                        timeout=httpx.Timeout(left_s, connect=min(CONNECT_TIMEOUT_S, left_s)),
                    )
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                self._endpoints.failed(endpoint)
                raise EncoderUnavailable(f"the encoder does not answer at {endpoint.name}") from error
            except httpx.TimeoutException as error:
                self._endpoints.failed(endpoint)
                text = f"the encoder at {endpoint.name} did not answer in {self._timeout_s:g} s"
                raise EncoderUnavailable(text) from error
            except httpx.TransportError as error:
                if last:
                    self._endpoints.failed(endpoint)
                    raise EncoderUnavailable(f"the encoder at {endpoint.name} broke off: {error}") from error
            else:
                self._put_aside(endpoint, response)
                return response
        raise AssertionError

    def _put_aside(self, endpoint: Endpoint, response: httpx.Response) -> None:
        if response.status_code in (429, 503):
            self._endpoints.full(endpoint, _retry_after_s(response))
        elif response.status_code >= 500:
            self._endpoints.failed(endpoint)


def _says_little(error: VidrecError) -> int:
    return 0 if isinstance(error, Overloaded) else 1 if isinstance(error, ModelVersionMismatch) else 2


def _retry_after_s(response: httpx.Response) -> float:
    try:
        return max(0.0, float(response.headers.get("retry-after", 1)))
    except ValueError:  # a date, of some proxy
        return 1.0


def _check(response: httpx.Response, endpoint: Endpoint) -> None:
    """Returns where the answer is a good one."""
    if response.is_success:
        return
    try:
        detail = str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"the encoder at {endpoint.name} answered {response.status_code}"
    match response.status_code:
        case 409:
            raise ModelVersionMismatch(detail)
        case 429:
            raise Overloaded(detail, retry_after_s=_retry_after_s(response))
        case _:
            raise EncoderUnavailable(detail, retry_after_s=_retry_after_s(response))
