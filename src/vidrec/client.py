"""A client of the API for producers: uploads files, large ones in parts and resumed after a cut, and follows the videos
until they can be recommended. httpx and the standard library only."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from vidrec.domain.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthorized, Unavailable, VidrecError

LARGE = 64 << 20
"""Files of so many bytes are sent in parts."""
PARTS_AT_ONCE = 4
_PARTS_SIGNED = 16
"""So few that all are sent before an address expires, or nearly."""
_ATTEMPTS = 5
_TIMEOUT = httpx.Timeout(30.0, read=120.0, write=120.0)
_COMPLETE_S = 3600.0
_LOOK_EVERY_S = 0.5
_LONGEST_WAIT_S = 60.0
_PIECE = 256 << 10
_TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_ERRORS: Mapping[int, type[VidrecError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Conflict,
}

Sent = Callable[[int], None]
"""Is told how many more bytes were sent; a negative number takes some back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What is told of a file beside its bytes."""

    bucket: str = "videos"
    category: str | None = None
    tags: Sequence[str] = ()
    title: str | None = None
    external_id: str | None = None


class Client:
    """Of one API. `state`: folder that remembers uploads in parts, so that another run resumes them. Thread-safe.
    Raises VidrecError alone: InvalidInput and its like where the file is refused, Unavailable where the API does not
    answer for long."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        state: Path | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`key`: shown to the API alone, not where its addresses lead."""
        self._url = url.rstrip("/")
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._state = state or _state_folder()
        self._ended = threading.Event()
        self._http = httpx.Client(timeout=_TIMEOUT, transport=transport, follow_redirects=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.close()

    def end(self) -> None:
        """Whatever is under way ends soon, with Unavailable."""
        self._ended.set()

    def upload(self, file: Path, details: Details, *, sent: Sent = lambda _: None, large: int = LARGE) -> str:
        """Sends the file and answers its video's id once all bytes are kept."""
        try:
            size = file.stat().st_size
            if size == 0:
                raise InvalidInput(f"{file}: the file is empty", field="file")
            send = self._in_parts if size >= large else self._whole
            return send(file, size, details, sent)
        except OSError as error:
            raise InvalidInput(f"{file}: cannot be read ({error.strerror})", field="file") from None

    def video(self, video_id: str) -> Mapping[str, Any]:
        """The video as the API tells of it."""
        return self._json("GET", f"/videos/{quote(video_id)}")

    def follow(self, video_id: str) -> Iterator[Mapping[str, Any]]:
        """The video now and whenever its stage or progress changed, until it is indexed or failed."""
        last: tuple[object, object] | None = None
        while True:
            video = self.video(video_id)
            now = (video["stage"], video["progress"])
            if now != last:
                yield video
                last = now
            if video["stage"] in ("indexed", "failed"):
                return
            self._pause(_LOOK_EVERY_S)

    def _pause(self, seconds: float) -> None:
        if self._ended.wait(seconds):
            raise Unavailable("interrupted")

    # ------------------------------------------------------------------------------------- in one piece

    def _whole(self, file: Path, size: int, details: Details, sent: Sent) -> str:
        with file.open("rb") as body:
            digest = hashlib.file_digest(body, "sha256").hexdigest()
        told = {**_told(file, details), "size": size, "sha256": digest, "if_none_match": "*"}
        bucket = told.pop("bucket")
        signed = self._json("GET", f"/presigned_for_upload/upload/{quote(str(bucket), safe='')}", params=told)
        try:
            self._put(signed["PresignedURL"], signed["headers"], file, 0, size, sent)
        except Conflict:  # an answer was lost, and what it told of is there
            here = str(signed["PresignedURL"]).startswith(self._url)  # else it may not have been told of yet
            if here and self.video(signed["video_id"])["stage"] == "uploading":
                raise
        return str(signed["video_id"])

    # ---------------------------------------------------------------------------------------- in parts

    def _in_parts(self, file: Path, size: int, details: Details, sent: Sent) -> str:
        note = self._note(file, size, details)
        upload = self._resumed(note) or self._begun(file, size, details, note)
        path = f"/uploads/{upload['upload_id']}"
        part_size = int(upload["part_size"])
        there = {part["number"]: part["size"] for part in upload["parts"]}
        sent(sum(there.values()))
        missing = [n for n in range(1, -(-size // part_size) + 1) if n not in there]

        def send(part: Mapping[str, Any]) -> None:
            start = (part["number"] - 1) * part_size
            length = min(part_size, size - start)
            try:
                self._put(part["url"], part["headers"], file, start, length, sent)
            except Forbidden:  # it took longer than the address was good for
                [again] = self._json("POST", f"{path}/parts", json={"numbers": [part["number"]]})["parts"]
                self._put(again["url"], again["headers"], file, start, length, sent)

        with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
            for first in range(0, 0 if upload["complete"] else len(missing), _PARTS_SIGNED):
                numbers = missing[first : first + _PARTS_SIGNED]
                signed = self._json("POST", f"{path}/parts", json={"numbers": numbers})
                list(pool.map(send, signed["parts"]))
        done = self._json("POST", f"{path}/complete", timeout=_COMPLETE_S)
        note.unlink(missing_ok=True)
        return str(done["video_id"])

    def _begun(self, file: Path, size: int, details: Details, note: Path) -> Mapping[str, Any]:
        begun = self._json("POST", "/uploads", json={**_told(file, details), "size": size})
        with suppress(OSError):  # then it cannot be resumed by another run
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(begun["upload_id"])
        return {**begun, "parts": [], "complete": False}

    def _resumed(self, note: Path) -> Mapping[str, Any] | None:
        try:
            return self._json("GET", f"/uploads/{quote(note.read_text())}")
        except (OSError, NotFound, InvalidInput):
            return None

    def _note(self, file: Path, size: int, details: Details) -> Path:
        """Where the upload's id is kept: another file, or the same after a change, has another place."""
        identity = [self._url, str(file.absolute()), size, file.stat().st_mtime_ns, _told(file, details)]
        digest = hashlib.sha256(json.dumps(identity).encode("utf-8", "surrogateescape")).hexdigest()
        return self._state / digest[:32]

    # ------------------------------------------------------------------------------------------ requests

    def _put(self, url: str, headers: Mapping[str, str], file: Path, start: int, size: int, sent: Sent) -> None:
        done = 0

        def pieces() -> Iterator[bytes]:
            nonlocal done
            with file.open("rb") as body:
                body.seek(start)
                while done < size and (piece := body.read(min(_PIECE, size - done))):
                    self._pause(0)
                    yield piece
                    done += len(piece)
                    sent(len(piece))

        def put() -> httpx.Response:
            nonlocal done
            sent(-done)
            done = 0
            return self._http.put(url, content=pieces(), headers={**headers, "Content-Length": str(size)})

        try:
            self._patiently(put)
        except VidrecError:
            sent(-done)
            raise

    def _json(self, method: str, path: str, **options: Any) -> Mapping[str, Any]:
        url, headers = f"{self._url}{path}", self._headers
        answer = self._patiently(lambda: self._http.request(method, url, headers=headers, **options))
        try:
            value: Mapping[str, Any] = answer.json()
        except ValueError:
            raise Unavailable(f"{self._url} does not answer as vidrec does: is it the right address?") from None
        return value

    def _patiently(self, request: Callable[[], httpx.Response]) -> httpx.Response:
        """The answer, which is a success; tried again where that can help."""
        problem = ""
        asked_to_wait = 0.0
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._pause(max(asked_to_wait, min(0.5 * 2**attempt, 8.0)))
            try:
                answer = request()
            except httpx.HTTPError as error:
                problem = f"{self._url} does not answer: {error or type(error).__name__}"
                continue
            if answer.is_success:
                return answer
            problem = _detail(answer)
            asked_to_wait = _retry_after(answer)
            if answer.status_code not in _TRY_AGAIN:
                raise _ERRORS.get(answer.status_code, InvalidInput)(problem)
        raise Unavailable(problem)


def _told(file: Path, details: Details) -> dict[str, Any]:
    name = os.fsencode(file.name).decode("utf-8", "replace")
    told = {
        "bucket": details.bucket,
        "filename": name,
        "title": details.title,
        "category": details.category,
        "tags": list(details.tags),
        "external_id": details.external_id,
    }
    return {name: value for name, value in told.items() if value not in (None, [])}


def _retry_after(answer: httpx.Response) -> float:
    """Seconds that the answer asks to wait, a minute at most."""
    asked = answer.headers.get("retry-after", "")
    return min(float(asked), _LONGEST_WAIT_S) if asked.isdecimal() else 0.0


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.url.host} answers {answer.status_code} {answer.reason_phrase}"


def _state_folder() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "vidrec" / "uploads"
