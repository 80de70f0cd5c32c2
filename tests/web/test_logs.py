"""Logs and what never stands in them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from agent_bridge.access.secrets import new_secret
from web import logs


@pytest.fixture
def _restored() -> Iterator[None]:
    """Put the root logger and structlog back as they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    for name in logs.QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.mark.usefixtures("_restored")
@pytest.mark.parametrize("style", ["json", "console"])
def test_secrets_never_reach_a_line(style: str) -> None:
    """Forbidden keys are dropped at any depth, and tokens are cut out of every string, traceback and library line."""
    out = io.StringIO()
    logs.setup("debug", style, stream=out)
    secret = new_secret("bt_")
    log = structlog.get_logger("baton.test")

    log.info(
        "one",
        token="hunter2",
        deep={"Cookie": "hunter2", "fine": ["x", {"password": "hunter2"}]},
        url=f"/?token={secret}",
    )
    logging.getLogger("some.library").warning("GET %s", f"/v1/cdp?token={secret}")
    try:
        raise RuntimeError(f"could not open ws://h/?token={secret}")  # noqa: TRY301 - the traceback is the test
    except RuntimeError:
        log.exception("two")

    shown = out.getvalue()
    assert "hunter2" not in shown
    assert secret[3:] not in shown
    assert "one" in shown
    assert "RuntimeError" in shown
    assert "some.library" in shown


@pytest.mark.usefixtures("_restored")
def test_json_lines_are_json() -> None:
    """Each line of the JSON format is an object with time, level and event."""
    out = io.StringIO()
    logs.setup("info", "json", stream=out)

    structlog.get_logger("baton.test").info("hello", sandbox="sb_1")

    line = json.loads(out.getvalue())
    assert line["event"] == "hello"
    assert line["sandbox"] == "sb_1"
    assert line["level"] == "info"
    assert "timestamp" in line


@pytest.mark.usefixtures("_restored")
def test_libraries_that_would_log_secrets_are_quiet() -> None:
    """Uvicorn's own lines for requests and accepted WebSockets, which carry the query string, are off."""
    out = io.StringIO()
    logs.setup("debug", "json", stream=out)

    logging.getLogger("uvicorn.access").info("GET /?token=hunter2")
    logging.getLogger("uvicorn.error").info('"WebSocket /cdp?token=hunter2" [accepted]')
    logging.getLogger("apprise").error("Unparseable URL slack://hunter2")
    logging.getLogger("urllib3.connectionpool").warning("Retrying: /services/hunter2")
    logging.getLogger("sqlalchemy.engine.Engine").info("INSERT hunter2")

    assert out.getvalue() == ""
