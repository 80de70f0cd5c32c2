"""A login in a popup of another origin: the agent's page goes on, and what the human typed is found nowhere."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from streaming.canvas import Rgb
from streaming.ops import Flag
from tests.journeys.conftest import Agent
from tests.journeys.login_site import BUTTON, PASSWORD, USER, LoginSite
from tests.journeys.operators import Live, Operator
from tests.journeys.overhearing import Prying, overheard
from tests.journeys.servers import Server, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def disguises(secret: str) -> list[bytes]:
    """Return the forms in which a secret would still be one."""
    plain = secret.encode()
    in_base64 = [base64.b64encode(b"\0" * shift + plain)[4 if shift else 0 : -4] for shift in range(3)]
    digests = [hashlib.new(name, plain).hexdigest().encode() for name in ("md5", "sha1", "sha256")]
    return [plain, secret.encode("utf-16-le"), plain.hex().encode(), *in_base64, *digests]


def holding(secret: str, where: Path) -> list[str]:
    """Name the files under a directory that hold the secret.

    Chromium's tab histories are left out: what a plain field held is there for its Back button, until the sandbox ends.
    """
    found = []
    for path in where.rglob("*"):
        if path.is_file() and path.parent.name != "Sessions":
            data = path.read_bytes()
            found += [str(path.relative_to(where)) for form in disguises(secret) if form in data]
    return found


def uttering(secret: str, texts: Iterable[str]) -> list[str]:
    """Return the texts that hold the secret."""
    return [t[:300] for t in texts if any(form in t.encode() for form in disguises(secret))]


INSIDE, ALL = (-140, -10, 100, 10), (-170, -30, 170, 30)
"""What of a field is looked at, from its middle."""


def contrast(picture: Image.Image | Rgb, at: tuple[int, int], part: tuple[int, int, int, int] = INSIDE) -> float:
    """Return how much there is to see at a place on the remote screen, in a picture of any width."""
    image = (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).convert("L")
    left, top, right, bottom = (round((at[n % 2] + part[n]) * image.width / 1280) for n in range(4))
    return float(np.asarray(image.crop((left, top, right, bottom))).std())


async def seen(live: Live, what: str, at: tuple[int, int], part: tuple[int, int, int, int] = INSIDE) -> None:
    """Wait, as a human does, until there is something to be seen."""
    await live.until(lambda: contrast(live.shown, at, part) > 5, what)


async def sign_in(live: Live, name: str, secret: str, human: Operator, site: LoginSite) -> None:
    """Do what a human does: the button, the popup's fields with mouse and keys, Enter."""
    await live.tab("/")
    await live.click(*BUTTON)
    await live.tab("/login")
    await seen(live, "the popup's form", PASSWORD, ALL)
    await live.click(*USER)
    await live.type(name)
    await live.click(*PASSWORD)
    await live.type(secret)
    await shown_to_nobody_else(live, human)
    await live.type("\n")
    await until(lambda: bool(site.passwords), "the password's arrival")
    await live.tab("/account")


async def shown_to_nobody_else(live: Live, human: Operator) -> None:
    """While the secret stands in its field, watchers and thumbnails get a masked picture, the holder a clear one."""
    await seen(live, "the dots in the password field", PASSWORD)
    assert not live.frames[-1].flags & Flag.MASKED
    thumbnail = await human.http.get(f"/sandboxes/{live.sandbox}/thumbnail.jpg", params={"width": 960})
    assert thumbnail.status_code == 200
    assert contrast(Image.open(io.BytesIO(thumbnail.content)), PASSWORD) < 3
    async with Operator.signed_in(human.server) as other, other.live(live.sandbox) as watching:
        assert all(frame.flags & Flag.MASKED for frame in watching.frames)
        assert contrast(watching.shown, PASSWORD) < 3


async def test_a_login_in_a_popup_leaves_no_secret_behind(
    server: Server, human: Operator, start_agent: Any, login_site: LoginSite
) -> None:
    """The popup closes itself, the page comes back through another origin, the same `page` goes on; no secret stays."""
    name, secret = (f"{start}{secrets.token_hex(9)}" for start in ("ada", "zq"))
    token = {"Authorization": f"Bearer {await server.token()}"}
    opened = await human.http.post(f"{server.url}/v1/sandboxes", json={}, headers=token)
    assert opened.status_code == 201, opened.text
    sandbox, cdp_url = opened.json()["id"], opened.json()["cdp_url"]
    async with overheard(cdp_url) as (address, heard), Prying.connected(cdp_url) as prying:
        agent: Agent = await start_agent("agent_login.py", f"{login_site.site}/", address)
        assert (await agent.line())["title"] == "Shop"
        await human.handoff(sandbox, "waiting")
        epoch = await human.take(sandbox)
        async with human.live(sandbox, epoch) as live:
            await sign_in(live, name, secret, human, login_site)
            await human.say(sandbox, "done", epoch, note="signed in")
        result, after = await agent.line(), await agent.line()
        await prying.pry()

    assert login_site.passwords[-1] == secret
    assert (result["outcome"], result["verified"], result["note"]) == ("resolved", True, "signed in")
    assert "/account" in result["text"]
    assert (after["heading"], after["url"], after["pages"]) == ("Welcome back", f"{login_site.site}/account", 1)
    assert login_site.hits
    assert len(heard) > 20
    assert len(prying.heard) > 50
    journal = [entry for (entry,) in server.rows("SELECT entry FROM journal")]
    assert len(journal) > 5
    room = server.record(sandbox).room
    assert room is not None
    for typed in (name, secret):
        assert uttering(typed, [str(result), str(after), *heard, *prying.heard, *journal]) == []
        assert [*holding(typed, server.state), *holding(typed, room)] == []
    await the_pictures_are_there(human, server, result, sandbox)


async def the_pictures_are_there(human: Operator, server: Server, result: dict[str, Any], sandbox: str) -> None:
    """Before and after can be looked at, by agent and operator alike; closing the sandbox removes its profile."""
    assert set(result["images"]) == {"before", "after"}
    (handoff,) = server.rows("SELECT id FROM handoffs WHERE sandbox = ?", sandbox)[0]
    for which in ("before", "after"):
        jpeg = (await human.http.get(f"/handoffs/{handoff}/images/{which}.jpg")).content
        assert len(jpeg) == result["images"][which]
        assert Image.open(io.BytesIO(jpeg)).size == (1280, 720)
    token = {"Authorization": f"Bearer {await server.token()}"}
    gone = await human.http.delete(f"{server.url}/v1/sandboxes/{sandbox}", headers=token)
    assert gone.status_code == 204
    assert not await asyncio.to_thread(server.directory(sandbox).exists)
