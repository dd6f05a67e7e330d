"""The OpenAPI document: bodies that routes read themselves are described here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from vidrec.api.access import COOKIE, stated
from vidrec.api.errors import MEDIA_TYPE, Problem
from vidrec.api.schemas import EventIn, PartsIn, UploadIn, VideoPatch
from vidrec.api.session_schemas import SessionIn, TokenIn
from vidrec.application.events import MAX_BATCH

_SCHEMAS = "#/components/schemas/"
_BINARY = {"schema": {"type": "string", "format": "binary"}}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": _SCHEMAS + name}


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}


PICTURE_BODY = _body(
    {
        "multipart/form-data": {
            "schema": {"type": "object", "required": ["file"], "properties": {"file": _BINARY["schema"]}}
        },
        "image/*": _BINARY,
    }
)
_BATCH = {"type": "array", "items": _reference("EventIn"), "minItems": 1, "maxItems": MAX_BATCH}
EVENTS_BODY = _body({"application/json": {"schema": {"oneOf": [_reference("EventIn"), _BATCH]}}})
UPLOAD_BODY = _body({"application/json": {"schema": _reference("UploadIn")}})
PARTS_BODY = _body({"application/json": {"schema": _reference("PartsIn")}})
NOTIFICATION_BODY = _body({"*/*": {"schema": {"type": "object"}}})
FILE_BODY = _body({"*/*": _BINARY})
SESSION_BODY = _body({"application/json": {"schema": _reference("SessionIn")}})
TOKEN_BODY = _body({"application/json": {"schema": _reference("TokenIn")}})
PATCH_BODY = _body({"application/json": {"schema": _reference("VideoPatch")}})

PROBLEM: dict[int | str, dict[str, Any]] = {
    "default": {"description": "An RFC 9457 problem.", "content": {MEDIA_TYPE: {"schema": _reference("Problem")}}}
}
MEDIA_BODY: dict[int | str, dict[str, Any]] = {
    200: {"description": "The bytes.", "content": {"*/*": _BINARY}},
    302: {"description": "The bytes are there, for some minutes: on an S3 store they do not pass this service."},
}


_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer", "description": "A key, or a viewer token."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
}


def _tell_who(paths: dict[str, Any], routers: Sequence[APIRouter]) -> None:
    """Who may ask, of every operation: `x-who`, in words, and the standard's own member."""
    for route in (route for router in routers for route in router.routes if isinstance(route, APIRoute)):
        who = stated(route.endpoint)
        for method in route.methods or ():
            operation = paths.get(route.path, {}).get(method.lower())
            if operation is not None and who is not None:
                operation["x-who"] = who.words
                operation["security"] = [] if who.everybody else [{name: []} for name in _SCHEMES]


_BODIES = (EventIn, VideoPatch, UploadIn, PartsIn, SessionIn, TokenIn)


def document(app: FastAPI, routers: Sequence[APIRouter]) -> dict[str, Any]:
    """The app's OpenAPI document, made once. `routers`: those that the app includes."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        _, extra = models_json_schema(
            [*((model, "validation") for model in _BODIES), (Problem, "serialization")],
            ref_template=_SCHEMAS + "{model}",
        )
        made.setdefault("components", {}).setdefault("schemas", {}).update(extra["$defs"])
        made["components"]["securitySchemes"] = _SCHEMES
        _tell_who(made["paths"], routers)
        app.openapi_schema = made
    return app.openapi_schema
