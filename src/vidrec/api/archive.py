"""Several originals as one zip file, made while it is sent: nothing is held, in memory or on disk."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Annotated

from fastapi import APIRouter, Query, Response
from starlette.responses import StreamingResponse

from vidrec.api.access import VIEWERS
from vidrec.api.context import In
from vidrec.api.openapi import MEDIA_BODY
from vidrec.api.parameters import StrictRoute, VideoReference
from vidrec.application.ports import MediaStore
from vidrec.application.reading import pieces
from vidrec.domain.errors import NotFound
from vidrec.domain.models import Video

router = APIRouter(route_class=StrictRoute, tags=["media"])

_CHUNK = 256 << 10
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # zip knows nothing older


@router.get("/videos.zip", response_class=Response, responses=MEDIA_BODY)
@VIEWERS
def archive(
    context: In,
    video: Annotated[list[VideoReference], Query(min_length=1, max_length=100, description="Which; repeatable.")],
) -> Response:
    """The originals of these videos as one zip file, in this order."""
    store = context.services.store
    videos = [context.services.catalogue.get(name) for name in dict.fromkeys(video)]
    for found in videos:  # while a refusal can still be told
        try:
            store.size(found.location)
        except (NotFound, OSError) as error:
            raise NotFound(f"the original of video {found.id} is not there any more") from error
    headers = {"Content-Disposition": 'attachment; filename="videos.zip"', "Cache-Control": "private, no-store"}
    return StreamingResponse(_zipped(store, videos), headers=headers, media_type="application/zip")


class _Sent:
    """A file that zipfile can only append to; what was written is taken out again at once."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is buffered further down."""

    def taken(self) -> bytes:
        data, self._parts = b"".join(self._parts), []
        return data


def _zipped(store: MediaStore, videos: Sequence[Video]) -> Iterator[bytes]:
    sent = _Sent()
    with zipfile.ZipFile(sent, "w", zipfile.ZIP_STORED) as target:  # type: ignore[call-overload]  # needs write only
        for name, video in zip(_names(videos), videos, strict=True):
            stamp = max(_EARLIEST, video.created_at.timetuple()[:6])
            with (
                store.original(video.location) as original,
                # Videos do not shrink; their sizes follow them, and may be over 4 GiB.
                target.open(zipfile.ZipInfo(name, stamp), "w", force_zip64=True) as entry,
            ):
                for chunk in pieces(original, _CHUNK):
                    entry.write(chunk)
                    yield sent.taken()
    yield sent.taken()


def _names(videos: Sequence[Video]) -> list[str]:
    """The file names, numbered where two are the same, also on file systems that do not tell case."""
    names: list[str] = []
    taken: set[str] = set()
    for video in videos:
        plain = PurePath(video.filename.replace("\\", "_").replace("/", "_"))
        name, number = (video.id if plain.name in {"", "..", "."} else plain.name), 1
        while name.casefold() in taken:
            number += 1
            name = f"{plain.stem} ({number}){plain.suffix}"
        taken.add(name.casefold())
        names.append(name)
    return names
