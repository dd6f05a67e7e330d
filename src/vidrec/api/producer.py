"""Handing over videos: signed addresses, uploads in parts, and the addresses that are answered here."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import ValidationError

from vidrec.api import schemas
from vidrec.api.access import EVERYBODY, PRODUCERS, UPLOADER, caller_of
from vidrec.api.answers import Json, answer
from vidrec.api.body import body_refusal, pieces, read_json
from vidrec.api.context import In
from vidrec.api.openapi import FILE_BODY, PARTS_BODY, UPLOAD_BODY
from vidrec.api.parameters import ContentType, ExternalId, FileName, FileSize, Sha256, StrictRoute, Text, Uuid, refusal
from vidrec.application.ports import ArrivedPart, SignedRequest
from vidrec.application.upload import Announced
from vidrec.domain.uploads import Upload

router = APIRouter(route_class=StrictRoute, tags=["producer"])

MAX_BODY = 256 << 10
_Digits = Annotated[str, Query(pattern=r"^\d{1,15}$")]
_Bucket = Annotated[str, Path(max_length=256)]


@router.get("/presigned_for_upload/upload/{bucket}", response_model=schemas.SignedOut)
@PRODUCERS
def sign(
    context: In,
    request: Request,
    bucket: _Bucket,
    filename: Annotated[FileName | None, Query(description="Kept as name and title alone.")] = None,
    old_filename: Annotated[FileName | None, Query(alias="Filename", include_in_schema=False)] = None,
    title: Text | None = None,
    category: Text | None = None,
    tags: Annotated[list[Text], Query(max_length=100, description="Repeatable.")] = [],  # noqa: B006 - FastAPI copies it
    external_id: ExternalId | None = None,
    size: FileSize | None = None,
    content_type: Annotated[ContentType | None, Query(description="The request must have it then.")] = None,
    sha256: Annotated[Sha256 | None, Query(description="Other bytes are refused then.")] = None,
    if_none_match: Annotated[
        Literal["*"] | None, Query(description="`*`: the request must have this header, and the first object stays.")
    ] = None,
) -> Response:
    """An address to which the file can be PUT, once, within some minutes. The video is `uploading` until then."""
    if (filename is None) == (old_filename is None):
        raise refusal("query", "filename", "Field required" if filename is None else "must be given once")
    announced = Announced(
        bucket=bucket,
        filename=filename or old_filename or "",
        title=title,
        category=category,
        tags=tuple(tags),
        external_id=external_id,
        size=size,
        content_type=content_type,
        sha256=sha256,
        key_id=caller_of(request).key_id,
        if_none_match=if_none_match is not None,
    )
    upload, signed = context.services.uploads.sign(announced)
    base = context.base(request)
    made = answer({"PresignedURL": _absolute(base, signed), **_where(base, upload), **_request(signed)})
    made.headers["Cache-Control"] = "no-store"
    return made


@router.put(
    "/upload/{bucket}/{key:path}", response_model=schemas.UploadedOut | schemas.PartOut, openapi_extra=FILE_BODY
)
@EVERYBODY
async def put(
    context: In,
    request: Request,
    bucket: _Bucket,
    key: Annotated[str, Path(max_length=500)],
    expires: _Digits,
    signature: Annotated[str, Query(max_length=200)],
    size: _Digits | None = None,
    content_type: Annotated[str | None, Query(alias="type", max_length=200)] = None,
    sha256: Sha256 | None = None,
    upload: Uuid | None = None,
    part: _Digits | None = None,
) -> Response:
    """Takes the bytes of a file or a part: the addresses are signed by this service, not made by its clients."""
    uploads = context.services.uploads
    declared = request.headers.get("content-length", "")
    receiving = await run_sync(
        lambda: uploads.receive(
            bucket,
            key,
            dict(request.query_params),
            content_type=request.headers.get("content-type"),
            content_length=int(declared[:18]) if declared.isdecimal() else None,
        )
    )
    try:
        async for piece in pieces(request):
            await run_sync(receiving.write, piece)
        of, found = await run_sync(receiving.finish)
    finally:
        with anyio.CancelScope(shield=True):
            await run_sync(receiving.discard)
    made = answer(_part(found) if isinstance(found, ArrivedPart) else _where(context.base(request), of))
    made.headers["ETag"] = f'"{found.etag}"'
    return made


@router.post("/uploads", status_code=201, response_model=schemas.BegunOut, openapi_extra=UPLOAD_BODY)
@PRODUCERS
async def begin(context: In, request: Request) -> Response:
    """Begins an upload in parts, for large files: what arrived is kept when the connection is cut."""
    try:
        taken = schemas.UploadIn.model_validate_json(await read_json(request, MAX_BODY))
    except ValidationError as error:
        raise body_refusal(error) from None
    announced = replace(taken.announced(), key_id=caller_of(request).key_id)
    upload = await run_sync(lambda: context.services.uploads.begin(announced))
    return answer(
        {
            "upload_id": upload.id,
            **_where(context.base(request), upload),
            "part_size": upload.part_size,
            "expires_at": upload.expires_at,
        },
        201,
    )


@router.get("/uploads/{upload_id}", response_model=schemas.UploadOut)
@UPLOADER
def upload(context: In, upload_id: Uuid) -> Response:
    """Which parts are there."""
    found, parts = context.services.uploads.parts(upload_id)
    return answer(
        {
            "upload_id": found.id,
            "video_id": found.video_id,
            "size": found.size,
            "part_size": found.part_size,
            "complete": found.arrived_at is not None,
            "parts": [_part(part) for part in parts],
            "expires_at": found.expires_at,
        }
    )


@router.post("/uploads/{upload_id}/parts", response_model=schemas.SignedPartsOut, openapi_extra=PARTS_BODY)
@UPLOADER
async def sign_parts(context: In, upload_id: Uuid, request: Request) -> Response:
    """Addresses to which parts can be PUT, in any order and at the same time; again, where one has expired."""
    try:
        taken = schemas.PartsIn.model_validate_json(await read_json(request, MAX_BODY))
    except ValidationError as error:
        raise body_refusal(error) from None
    signed = await run_sync(lambda: context.services.uploads.sign_parts(upload_id, taken.numbers))
    base = context.base(request)
    parts = [{"number": number, "url": _absolute(base, part), **_request(part)} for number, part in signed]
    return answer({"parts": parts})


@router.post("/uploads/{upload_id}/complete", status_code=202, response_model=schemas.UploadedOut)
@UPLOADER
def complete(context: In, upload_id: Uuid, request: Request) -> Response:
    """Makes the file of its parts: the video waits to be indexed from now on. Asked again, the same answer."""
    return answer(_where(context.base(request), context.services.uploads.complete(upload_id)), 202)


@router.delete("/uploads/{upload_id}", status_code=204, response_class=Response)
@UPLOADER
def end(context: In, upload_id: Uuid) -> Response:
    """Ends an upload in parts and leaves nothing of it."""
    context.services.uploads.end(upload_id)
    return Response(status_code=204)


def _where(base: str, upload: Upload) -> Json:
    return {"video_id": upload.video_id, "status_url": f"{base}/videos/{upload.video_id}"}


def _request(signed: SignedRequest) -> Json:
    return {"method": signed.method, "headers": signed.headers, "expires_at": signed.expires_at}


def _absolute(base: str, signed: SignedRequest) -> str:
    return f"{base}{signed.url}" if signed.url.startswith("/") else signed.url


def _part(part: ArrivedPart) -> Json:
    return {"number": part.number, "size": part.size, "etag": part.etag}
