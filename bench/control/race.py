"""Unmodified clients race with transfers of control: no command acts and none reads while a human holds it.

Playwright (Python and Node) and puppeteer-core each flood the gate with pipelined commands, most of them within 20 ms
of a transfer, while control goes back and forth. Two judges who do not know the gate: the page counts what runs in it
while it is told that a human has control, and a listener in Chromium's place notes every message on the pipe.
"""

from __future__ import annotations

import asyncio
import bisect
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import websockets

from bench.figures import Figure
from sandbox.browser import launch
from sandbox.gate.socket import PATH, CdpConnection
from sandbox.pages import Pages
from sandbox.screen import Size
from tests.journeys.pipe_listener import make_listener, written
from tests.sandbox.gate.rig import Rig, until_async

CLIENTS = Path(__file__).parent / "clients"
ROOT = Path(__file__).resolve().parents[2]
RATE = 1200
NEAR_MS = 20.0
_PAUSE_S = 0.02
_SEED = 7

_SETUP = """document.title = 'race'; var acts = 0, reads = 0, stolen = 0, peeked = 0, human = false;
function act() { acts++; if (human) stolen++; return human }
Object.defineProperty(window, 'probe', {get() { reads++; if (human) peeked++; return human }}); 1"""


@dataclass(frozen=True, slots=True)
class Raced:
    """What one client did in one race, and what got through while a human held control (all must be 0)."""

    client: str
    transfers: int
    per_s: float
    near: float
    """Share of commands sent within `NEAR_MS` of a transfer, 0..1."""
    acted: int
    read: int
    refused: int
    answered: int


@asynccontextmanager
async def _listened_rig(directory: Path) -> AsyncIterator[tuple[Rig, Path]]:
    """Yield a gate before a Chromium whose pipe somebody else listens to, and that listener's notes."""
    program, notes = make_listener(directory)
    named, os.environ["BATON_CHROMIUM"] = os.environ.get("BATON_CHROMIUM"), str(program)
    try:
        browser = await launch(directory / "profile", Size(1024, 768))
    finally:
        del os.environ["BATON_CHROMIUM"]
        if named is not None:
            os.environ["BATON_CHROMIUM"] = named
    try:
        pages = Pages(browser.connection)
        await pages.start()
        rig = Rig(browser, pages, directory)
        await rig.gate.start()
        async with websockets.serve(
            rig.serve, "127.0.0.1", 0, compression=None, max_size=None, create_connection=CdpConnection
        ) as server:
            rig.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}{PATH}"
            yield rig, notes
    finally:
        await browser.close()


def _command(client: str, url: str) -> list[str]:
    if client == "playwright-python":
        return [sys.executable, str(CLIENTS / "flood.py"), url, str(RATE)]
    return ["node", str(CLIENTS / "flood.mjs"), client.removesuffix("-node"), url, str(RATE)]


async def race(client: str, transfers: int) -> Raced:
    """Let one client race against `transfers` hand-overs to a human and back."""
    directory = Path(tempfile.mkdtemp(prefix="bench-race-"))
    try:
        async with _listened_rig(directory) as (rig, notes):
            return await _race(rig, notes, client, transfers)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _race(rig: Rig, notes: Path, client: str, transfers: int) -> Raced:
    await rig.js(_SETUP)
    await rig.open()
    process = await asyncio.create_subprocess_exec(
        *_command(client, rig.url), cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        limit=1 << 26,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        if (await process.stdout.readline()).strip() != b"ready":
            raise RuntimeError(f"{client} did not start")
        await until_async(lambda: rig.js("acts > 50"))
        held, moments = await _transfer(rig, transfers)
        process.stdin.write(b"\n")
        told = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    counted = json.loads(await rig.js("JSON.stringify({stolen, peeked, acts, reads})"))
    if not counted["acts"] or not counted["reads"]:
        raise RuntimeError(f"{client} did nothing at all, so nothing was raced")
    piped = _on_the_pipe(notes, held)
    return _raced(client, told, moments, counted, piped)


async def _transfer(rig: Rig, transfers: int) -> tuple[list[tuple[float, float]], list[float]]:
    """Take control and give it back; returns when a human held it, and the moments of all transfers (both in s)."""
    chance = random.Random(_SEED)
    held, moments = [], []
    for _ in range(transfers):
        await asyncio.sleep(chance.random() * _PAUSE_S)
        moments.append(time.time())
        await rig.shut(drain_s=2.0)
        granted = time.time()
        await rig.js("human = true")
        await asyncio.sleep(chance.random() * _PAUSE_S)
        await rig.js("human = false")
        held.append((granted, time.time()))
        await rig.open()
        moments.append(time.time())
    return held, moments


def _on_the_pipe(notes: Path, held: list[tuple[float, float]]) -> tuple[int, int]:
    """Count the agent's acts and reads that went into the pipe while a human held control."""
    starts = [start for start, _ in held]
    acts = reads = 0
    for at, message in written(notes):
        found = bisect.bisect_right(starts, at) - 1
        if found >= 0 and at <= held[found][1]:
            acts += "act of the agent" in message
            reads += "read of the agent" in message
    return acts, reads


def _raced(
    client: str, told: dict[str, Any], moments: list[float], counted: dict[str, int], piped: tuple[int, int]
) -> Raced:
    during = [at / 1000 for at in told["sent"] if moments[0] - 1 <= at / 1000 <= moments[-1]]
    near = sum(_nearest(moments, at) * 1000 <= NEAR_MS for at in during)
    seconds = max(during) - min(during)
    return Raced(
        client, len(moments) // 2, len(during) / seconds, near / len(during),
        counted["stolen"] + piped[0], counted["peeked"] + piped[1] + told["while_human"],
        told["refused"], told["answered"],
    )  # fmt: skip


def _nearest(moments: list[float], at: float) -> float:
    index = bisect.bisect(moments, at)
    return min(abs(at - moment) for moment in moments[max(0, index - 1) : index + 1])


async def measure(transfers: int = 500) -> list[Figure]:
    """Race every client; prints what each did. Figures: commands that acted and reads that were answered, all clients.

    A client that was too slow, too far from the transfers, or never refused has proven nothing: then the number of
    transfers that count (`n`) is 0.
    """
    results = [await race(client, transfers) for client in ("playwright-python", "playwright-node", "puppeteer-node")]
    for each in results:
        print(
            f"  {each.client:18} {each.transfers} transfers, {each.per_s:.0f} commands/s, {each.near:.0%} within "
            f"{NEAR_MS:g} ms of one; {each.answered} answered, {each.refused} refused; "
            f"while a human held control: {each.acted} acted, {each.read} read"
        )
    fair = all(each.per_s >= 1000 and each.near >= 0.5 and each.refused > each.transfers for each in results)
    n = min(each.transfers for each in results) if fair else 0
    return [
        Figure("race_commands_acted", sum(each.acted for each in results), "commands", n),
        Figure("race_reads_answered", sum(each.read for each in results), "commands", n),
    ]
