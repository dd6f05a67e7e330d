"""The bytes: what is played, originals to keep, and pictures."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Annotated
from urllib.parse import quote

import anyio
from fastapi import APIRouter, Path, Query, Request, Response
from starlette.responses import StreamingResponse

from vidrec.api.access import ALL_ROLES, VIEWERS, or_link
from vidrec.api.context import Context, In
from vidrec.api.errors import problem
from vidrec.api.openapi import MEDIA_BODY
from vidrec.api.parameters import StrictRoute, VideoName
from vidrec.api.ranges import ByteRange, Unsatisfiable, matches, range_applies, requested_range
from vidrec.api.redirects import redirect
from vidrec.application import pictures
from vidrec.application.ports import MediaStore
from vidrec.domain.errors import NotFound
from vidrec.domain.models import Playback, Video

router = APIRouter(route_class=StrictRoute, tags=["media"])

_CHUNK = 256 << 10
_PICTURE = "image/jpeg"
_MOST_S = 12 * 3600.0
_MIDDLE = 1  # of a segment's pictures; that of few is the first
_KINDS = {
    ".webm": "video/webm",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mkv": "video/x-matroska",
    ".mov": "video/quicktime",
    ".avi": "video/x-msvideo",
    ".ogv": "video/ogg",
    ".ogg": "video/ogg",
    ".wmv": "video/x-ms-wmv",
    ".flv": "video/x-flv",
    ".ts": "video/mp2t",
    ".mpg": "video/mpeg",
    ".mpeg": "video/mpeg",
    ".3gp": "video/3gpp",
    ".gif": "image/gif",
}
_PLAYED = {"mp4": "video/mp4", "webm": "video/webm"}
"""By what is in the file: an original that plays may be called anything."""
# What a sniffing browser might make of a file that somebody sent in must not run here; types are never documents.
_SAFE = {"X-Content-Type-Options": "nosniff"}


@router.head("/videos/{video_id}/stream", include_in_schema=False)
@router.get("/videos/{video_id}/stream", response_class=Response, responses=MEDIA_BODY)
@or_link(VIEWERS, "stream")
def stream(context: In, video: VideoName, request: Request) -> Response:
    """What browsers play: the original where they do, else a copy once there is one; takes Range requests."""
    found = context.services.catalogue.get(video)
    length_s = found.media.duration_s if found.media else 0.0
    return _file(context, _played(found), request, "inline", more_s=min(length_s, _MOST_S))


@router.head("/videos/{video_id}/download", include_in_schema=False)
@router.get("/videos/{video_id}/download", response_class=Response, responses=MEDIA_BODY)
@or_link(VIEWERS, "download")
def download(context: In, video: VideoName, request: Request) -> Response:
    """The original, to be kept under its own name: takes Range requests."""
    found = context.services.catalogue.get(video)
    return _file(context, _original(found), request, "attachment")


@router.head("/videos/{video_id}/thumbnail", include_in_schema=False)
@router.get("/videos/{video_id}/thumbnail", response_class=Response, responses=MEDIA_BODY)
@or_link(ALL_ROLES, "thumbnail")
def thumbnail(context: In, video: VideoName, request: Request) -> Response:
    """A picture of the video."""
    found = context.services.catalogue.get(video)
    return _picture(context, pictures.location(pictures.thumbnail_key(found.id)), request)


@router.head("/videos/{video_id}/segments/{number}/picture", include_in_schema=False)
@router.get("/videos/{video_id}/segments/{number}/picture", response_class=Response, responses=MEDIA_BODY)
@or_link(ALL_ROLES, "segments")
def segment_picture(
    context: In,
    video: VideoName,
    number: Annotated[int, Path(ge=0, le=999_999)],
    request: Request,
    position: Annotated[
        int | None, Query(ge=0, le=2, description="Which of the segment's up to three frames; the middle one.")
    ] = None,
    model: Annotated[
        str | None,
        Query(pattern="^[a-z0-9_]{1,64}$", description="Model version that cut the segments; the active one."),
    ] = None,
) -> Response:
    """A frame of one segment of the video. Where it has fewer frames, the last one before `position`."""
    found = context.services.catalogue.get(video)
    version = model or found.indexed_model or ""
    wanted = range(_MIDDLE if position is None else position, -1, -1)
    keys = [pictures.segment_key(found.id, version, number, at) for at in wanted if version]
    if version == found.indexed_model and number < found.segment_count:
        keys += [pictures.unversioned_segment_key(found.id, number, at) for at in wanted]
    for key in keys:
        with suppress(NotFound):
            return _picture(context, pictures.location(key), request)
    raise NotFound("there is no such picture")


def _picture(context: Context, location: str, request: Request) -> Response:
    try:
        if (elsewhere := redirect(context, location, _PICTURE, "inline", request)) is not None:
            return elsewhere
        data = context.services.store.read(location)
    except NotFound as error:
        raise NotFound("there is no such picture") from error
    headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()[:32]}"', "Cache-Control": "private, max-age=300", **_SAFE}
    if matches(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(data, headers=headers, media_type="image/webp" if data[8:12] == b"WEBP" else _PICTURE)


@dataclass(frozen=True, slots=True)
class _Sent:
    """A file that is sent."""

    what: str
    location: str
    tag: str
    """Part of the ETag: differs where the bytes do."""
    name: str
    kind: str


def _original(video: Video) -> _Sent:
    kind = _KINDS.get(PurePath(video.filename).suffix.lower(), "application/octet-stream")
    return _Sent("original", video.location, video.content_sha256[:16], video.filename, kind)


def _played(video: Video) -> _Sent:
    """The copy that plays, where there is one; else the original, as what it is in where it plays."""
    original = _original(video)
    if video.playback is Playback.RENDITION and video.rendition:
        suffix = video.rendition.rpartition(".")[2]
        name = f"{PurePath(video.filename).stem}.{suffix}"
        return _Sent("copy that plays", video.rendition, f"r{original.tag}", name, _PLAYED[suffix])
    if video.playback is Playback.ORIGINAL and video.media and video.media.container in _PLAYED:
        return replace(original, kind=_PLAYED[video.media.container])
    return original


def _file(context: Context, sent: _Sent, request: Request, disposition: str, *, more_s: float = 0.0) -> Response:
    store, shown = context.services.store, content_disposition(disposition, sent.name)
    try:
        if (elsewhere := redirect(context, sent.location, sent.kind, shown, request, more_s=more_s)) is not None:
            return elsewhere
        with store.local(sent.location) as path:
            found = path.stat()
    except (NotFound, OSError) as error:
        raise NotFound(f"the {sent.what} of this video is not there any more") from error
    etag = f'"{sent.tag}-{found.st_size:x}-{found.st_mtime_ns:x}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": shown,
        **_SAFE,
    }
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    part = None
    if range_applies(request.headers.get("if-range"), etag):
        try:
            part = requested_range(request.headers.get("range"), found.st_size)
        except Unsatisfiable:
            return problem(
                416,
                f"the file has {found.st_size} bytes",
                headers={"Content-Range": f"bytes */{found.st_size}"},
                field="Range",
            )
    if part is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.end}/{found.st_size}"
    span = part or ByteRange(0, found.st_size - 1)
    headers["Content-Length"] = str(span.length)
    status = 200 if part is None else 206
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=sent.kind)
    return StreamingResponse(_chunks(store, sent.location, span), status, headers=headers, media_type=sent.kind)


async def _chunks(store: MediaStore, location: str, span: ByteRange) -> AsyncIterator[bytes]:
    with store.local(location) as path:
        async with await anyio.open_file(path, "rb") as file:
            await file.seek(span.start)
            left = span.length
            while left and (chunk := await file.read(min(_CHUNK, left))):
                left -= len(chunk)
                yield chunk


def content_disposition(kind: str, filename: str) -> str:
    """The header for a file name in any script (RFC 6266, RFC 8187), with a plain one for old clients."""
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%;/' else "_" for c in filename)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='', errors='replace')}"
