"""Probes and metrics."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from vidrec.api import schemas
from vidrec.api.access import EVERYBODY
from vidrec.api.answers import answer
from vidrec.api.context import In
from vidrec.api.parameters import StrictRoute
from vidrec.domain.errors import StoreUnavailable

router = APIRouter(route_class=StrictRoute, tags=["health"])


@router.get("/livez", response_model=schemas.HealthOut)
@EVERYBODY
async def livez() -> Response:
    """The process runs."""
    return answer({"status": "ok"})


@router.get("/readyz", response_model=schemas.HealthOut)
@EVERYBODY
def readyz(context: In) -> Response:
    """Recommendations can be answered, if need be the popular list from memory; 503 where not even that."""
    try:
        context.services.database.ping()
    except StoreUnavailable as error:
        context.services.spotlight.videos()  # raises where nothing was ever read
        return answer({"status": f"degraded: {error}"})
    return answer({"status": "ok"})


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"description": "Prometheus text format.", "content": {"text/plain": {}}}},
)
@EVERYBODY
def metrics(context: In) -> Response:
    """Metrics for Prometheus."""
    return Response(context.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
