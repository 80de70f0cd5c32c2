"""A hub behind a real socket, and a page with `LiveScreen` in a real Chromium."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from sandbox.screen import Size
from sandbox.words import Holder, OperatorId, Side
from streaming.testing import PaintedScreen, Respond, Stage, staged

STATIC = Path(__file__).parents[2] / "web" / "static"
PAGE = b"""<!doctype html><meta charset=utf-8><title>console</title>
<style>body{margin:0;background:#333}canvas{display:block;position:absolute;left:20px;top:10px}</style>
<div id=stage><canvas id=c></canvas></div>
<script type=module>
import { LiveScreen } from '/stream/live.js';
const query = new URLSearchParams(location.search);
const canvas = document.querySelector('#c');
if (query.has('width')) canvas.style.width = query.get('width') + 'px';
if (query.has('flush')) Object.assign(canvas.style, { left: '0', top: '0' });
const operator = query.get('operator') ?? 'op_ann';
const url = '/stream?viewer=v1&name=Ann&way=socket&operator=' + operator;
const live = window.live = new LiveScreen(canvas, { url });
window.heard = [];
for (const name of ['state', 'control', 'tabs', 'prompts', 'clipboard', 'refused', 'size', 'picture',
  'keyboard-released'])
  live.addEventListener(name, e => heard.push([name, e.detail]));
if (query.has('epoch')) live.drive(Number(query.get('epoch')));
live.connect();
</script>"""


ANN = Holder(Side.OPERATOR, OperatorId("op_ann"), "Ann")


def console(connection: ServerConnection, request: Request) -> Response | None:
    """Answer with the page or one of the modules."""
    path = urlsplit(request.path).path
    if path == "/stream":
        return None
    file = STATIC / path.lstrip("/")
    if path == "/":
        kind, body = "text/html", PAGE
    elif path.endswith(".js") and file.is_file():
        kind, body = "text/javascript", file.read_bytes()
    else:
        return connection.respond(HTTPStatus.NOT_FOUND, "no such file")
    headers = Headers([("Content-Type", kind), ("Content-Length", str(len(body))), ("Connection", "close")])
    return Response(200, "OK", headers, body)


@pytest.fixture
def painted() -> PaintedScreen:
    """A screen in memory, held by Ann under epoch 1."""
    screen = PaintedScreen(Size(320, 240))
    screen.set_control(ANN, 1)
    return screen


@pytest.fixture
async def stage(painted: PaintedScreen) -> AsyncIterator[Stage]:
    """A hub on the painted screen."""
    async with staged(painted, respond=console) as stage:
        yield stage


@pytest.fixture
def respond() -> Respond:
    """What answers the console page's requests."""
    return console
