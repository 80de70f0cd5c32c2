"""Errors as the API shows them: one shape, `BatonError.to_wire()`, with the status of `sandbox.words.CODES`."""

from __future__ import annotations

import secrets
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from sandbox.words import CODES, BadRequest, BatonError, Kind

log = structlog.get_logger(__name__)

SHOWN_PROBLEMS: Final = 8

_KIND_OF_STATUS: Final = {codes.http: kind for kind, codes in reversed(list(CODES.items()))}


def install(app: FastAPI) -> None:
    """Make every error of the application come out in the one shape."""
    app.add_exception_handler(BatonError, _ours)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(Exception, _unexpected)


def to_response(error: BatonError) -> JSONResponse:
    """Return an error as a response."""
    headers = {"Retry-After": str(error.fields["retry_after_s"])} if "retry_after_s" in error.fields else {}
    if error.kind is Kind.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(error.to_wire(), error.codes.http, headers)


def explain(error: RequestValidationError) -> BadRequest:
    """Turn pydantic's list into one error that names each field, and never repeats what was sent."""
    problems = [
        {"field": ".".join(str(part) for part in item["loc"][1:]) or str(item["loc"][0]), "problem": str(item["msg"])}
        for item in error.errors()
    ]
    sentence = "; ".join(f"{p['field']}: {p['problem']}" for p in problems[:SHOWN_PROBLEMS])
    return BadRequest(f"the request cannot be read: {sentence}", problems=problems[:SHOWN_PROBLEMS])


async def _ours(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BatonError)  # noqa: S101 - what it is registered for
    return to_response(error)


async def _unreadable(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
    return to_response(explain(error))


async def _framework(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    kind = _KIND_OF_STATUS.get(error.status_code, Kind.INVALID)
    message = (
        f"there is no {request.method} {request.url.path} here; /v1/openapi.json lists what there is"
        if error.status_code in {404, 405}
        else str(error.detail)
    )
    body: dict[str, Any] = {"error": "NotFound" if error.status_code == 404 else "BadRequest", "kind": kind.value}  # noqa: PLR2004
    return JSONResponse({**body, "message": message}, error.status_code, dict(error.headers or {}))


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    incident = f"er_{secrets.token_hex(6)}"
    log.error("unexpected error", incident=incident, method=request.method, path=request.url.path, exc_info=error)
    return JSONResponse(
        {
            "error": "BatonError",
            "kind": Kind.BUG.value,
            "message": f"something broke that is ours to mend; the server's log has it under {incident}",
            "incident": incident,
        },
        CODES[Kind.BUG].http,
    )
