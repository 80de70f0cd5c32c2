"""The keeper's log: one JSON object a line.

Neither parameters nor an exception's words are logged: they may be secret.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from typing import Any, Final

import structlog

_DEEPEST: Final = 12


def configure_log() -> None:
    """Log to standard error, which the server has pointed at `keeper.log`."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def where(error: BaseException) -> list[str]:
    """Return the innermost lines an exception passed through, without its words."""
    frames = traceback.extract_tb(error.__traceback__)[-_DEEPEST:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


def log_uncaught(loop: asyncio.AbstractEventLoop) -> None:
    """Log what nobody catches on `loop`."""
    log = structlog.get_logger("keeper")

    def uncaught(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        log.error(
            "uncaught", error=type(error).__name__, said=context.get("message", ""), where=where(error) if error else []
        )

    loop.set_exception_handler(uncaught)
