"""The pages: static files of the package, served without any script or style from elsewhere."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files

from fastapi import APIRouter, HTTPException, Request, Response

from vidrec.api.access import EVERYBODY
from vidrec.api.ranges import matches

router = APIRouter(include_in_schema=False)

_KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:{media}; "
    "media-src 'self' blob:{media}; connect-src 'self'{media}; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class _File:
    data: bytes
    kind: str
    etag: str


def _load() -> dict[str, _File]:
    found = {}
    for entry in files("vidrec.web").iterdir():
        kind = _KINDS.get(entry.name.rpartition(".")[2])
        if kind is not None:
            data = entry.read_bytes()
            found[entry.name] = _File(data, kind, f'"{hashlib.sha256(data).hexdigest()[:32]}"')
    return found


_FILES = _load()


@router.get("/")
@EVERYBODY
async def home(request: Request) -> Response:
    """The viewer's page."""
    return _page("index.html", request)


@router.get("/upload")
@EVERYBODY
async def upload(request: Request) -> Response:
    """The producer's page."""
    return _page("upload.html", request)


@router.get("/docs")
@EVERYBODY
async def docs(request: Request) -> Response:
    """The API's documentation, drawn from /openapi.json."""
    return _page("docs.html", request)


@router.get("/web/{name}")
@EVERYBODY
async def file(name: str, request: Request) -> Response:
    """A script, style or picture of the pages."""
    return _page(name, request)


def _page(name: str, request: Request) -> Response:
    found = _FILES.get(name)
    if found is None:
        raise HTTPException(404)
    headers = {
        "ETag": found.etag,
        "Cache-Control": "no-cache",
        "Content-Security-Policy": _policy(request),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
    }
    if matches(request.headers.get("if-none-match"), found.etag):
        return Response(status_code=304, headers=headers)
    return Response(found.data, headers=headers, media_type=found.kind)


def _policy(request: Request) -> str:
    origins = request.app.state.context.media_origins
    return _POLICY.format(media="".join(f" {origin}" for origin in origins))
