"""For machines that watch: is the server well, and its figures."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from web.signin import Give

router = APIRouter(tags=["health"])


@router.get("/healthz", response_model=None)
async def healthz(services: Give) -> JSONResponse:
    """Say whether the database answers and every open sandbox's keeper does. 503 without the database."""
    database = await services.database_answers()
    keepers = services.sandboxes.keepers_alive()
    answering = sum(keepers.values())
    body: dict[str, Any] = {
        "status": "ok" if database and answering == len(keepers) else "degraded" if database else "down",
        "database": database,
        "keepers": {"open": len(keepers), "answering": answering},
    }
    return JSONResponse(body, 200 if database else 503, {"Cache-Control": "no-store"})


@router.get("/metrics", response_class=Response)
async def metrics(services: Give) -> Response:
    """Return the figures for Prometheus."""
    views = services.broker.views()
    text = services.metrics.scrape(
        (view.phase.value for view in views), (view.handoff.state.value for view in views if view.handoff)
    )
    return Response(text, media_type=CONTENT_TYPE_LATEST)
