"""The application: routers, guards and error shapes around the services. It decides nothing itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from web import errors, pages
from web.api import agent, approvals, control, events, handoffs, health, live, sandboxes, signins
from web.guard import BodyLimit, SecurityHeaders
from web.metrics import TimeRequests
from web.relay import CDP_LIMIT
from web.services import Services
from web.settings import Settings
from web.splice import SpliceWebSocket

DESCRIPTION: Final = """Browser sandboxes that an agent drives and a human takes over, live.

Agents send `Authorization: Bearer …` with a token of the role agent; operators come with a sign-in cookie from a
one-use link, or with a token of theirs. Every error has the shape of `Error`."""


SNAPSHOT: Final = Path(__file__).resolve().parents[1] / "docs" / "openapi.json"
"""The checked-in OpenAPI document; a test compares it with what the application says."""

ROUTERS: Final = (
    sandboxes.router, handoffs.router, control.router, approvals.router, signins.router, agent.router, live.router,
    events.router,
)  # fmt: skip


def create_app(services: Services) -> FastAPI:
    """Return the application around these services. It starts and stops none of them."""
    app = _routes()
    app.state.services = services
    errors.install(app)
    pages.install(app)
    # The last added is the outermost: time everything, head everything, then bound bodies.
    app.add_middleware(BodyLimit, limit=services.settings.max_body)
    app.add_middleware(SecurityHeaders, tls=services.settings.tls)
    app.add_middleware(TimeRequests, metrics=services.metrics)
    return app


def _routes() -> FastAPI:
    app = FastAPI(
        title="Baton", version="1", description=DESCRIPTION, openapi_url="/v1/openapi.json", docs_url=None,
        redoc_url=None, generate_unique_id_function=_name, separate_input_output_schemas=False,
    )  # fmt: skip
    v1 = APIRouter(prefix="/v1")
    for router in ROUTERS:
        v1.include_router(router)
    app.include_router(v1)
    app.include_router(health.router)
    return app


def openapi_document() -> str:
    """Return the OpenAPI document as it is checked in."""
    return json.dumps(_routes().openapi(), indent=1, ensure_ascii=False) + "\n"


def _name(route: APIRoute) -> str:
    return route.name


def server_options(settings: Settings) -> dict[str, Any]:
    """Return what uvicorn must be told so that relays are quick, large messages pass and no query is logged."""
    given: dict[str, Any] = {
        "host": settings.host, "port": settings.port, "loop": "uvloop", "http": "auto", "ws": SpliceWebSocket,
        "ws_max_size": CDP_LIMIT, "ws_per_message_deflate": False, "ws_ping_interval": 20.0, "ws_ping_timeout": 60.0,
        "access_log": False, "log_config": None, "server_header": False, "proxy_headers": True,
        "timeout_graceful_shutdown": 3, "lifespan": "off",
    }  # fmt: skip
    if settings.tls_cert is not None and settings.tls_key is not None:
        given |= {"ssl_certfile": str(settings.tls_cert), "ssl_keyfile": str(settings.tls_key)}
    return given


if __name__ == "__main__":
    SNAPSHOT.write_text(openapi_document())
