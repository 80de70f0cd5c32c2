"""`SoundPlayer` in a real Chromium: what was encoded is played, after a pause too, and a queue does not stay."""

from __future__ import annotations

import asyncio
import base64
import shutil
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
import pytest
from playwright.async_api import Page, async_playwright
from websockets.asyncio.server import ServerConnection, serve

from streaming.sound import RATE, SAMPLES, OpusEncoder, pack
from streaming.testing import Respond

pytestmark = pytest.mark.browser

START = """async () => {
  const { SoundPlayer } = await import('/stream/audio.js');
  window.player = new SoundPlayer();
  await player.start();
  window.meter = new AnalyserNode(player.context, { fftSize: 8192, smoothingTimeConstant: 0 });
  player.node.connect(meter);
  window.play = async (messages, everyMs) => {
    for (const message of messages) {
      player.push(Uint8Array.from(atob(message), c => c.charCodeAt(0)));
      if (everyMs) await new Promise(done => setTimeout(done, everyMs));
    }
  };
  window.loudest = () => {
    const bins = new Float32Array(meter.frequencyBinCount);
    meter.getFloatFrequencyData(bins);
    const top = bins.indexOf(Math.max(...bins));
    return bins[top] < -60 ? 0 : top * player.context.sampleRate / meter.fftSize;
  };
}"""


def packets(hertz: float, count: int) -> list[str]:
    """A tone as the console gets it, in base64."""
    encoder, made = OpusEncoder(), []
    for block in range(count):
        at = np.arange(block * SAMPLES, (block + 1) * SAMPLES)
        tone = np.repeat(np.sin(2 * np.pi * hertz * at / RATE) * 8000, 2).astype("<i2").tobytes()
        made.append(base64.b64encode(pack(block + 1, block * 20_000, encoder.encode(tone) or b"")).decode())
    return made


@pytest.fixture
async def page(respond: Respond) -> AsyncIterator[Page]:
    """A page that has the player and was clicked."""
    path = shutil.which("chromium") or pytest.skip("Chromium is not installed")

    async def nothing(_connection: ServerConnection) -> None:
        pass

    async with serve(nothing, "127.0.0.1", 0, process_request=respond) as server, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = await browser.new_page()
        await page.goto(f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/stream/audio.js")
        await page.mouse.click(5, 5)
        await page.evaluate(START)
        yield page
        await browser.close()


async def played(page: Page, messages: Sequence[str], every_ms: float) -> None:
    """Let the player have messages, one every so often."""
    await page.evaluate("([messages, everyMs]) => play(messages, everyMs)", [messages, every_ms])


async def loudest(page: Page, wanted: Any) -> None:
    """Wait until the loudest frequency is what is wanted; 0 is silence."""
    got = -1.0
    for _ in range(150):
        got = await page.evaluate("loudest()")
        if got == pytest.approx(wanted, abs=12):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"the loudest is {got} Hz, not {wanted}")


async def test_a_tone_is_played(page: Page) -> None:
    """440 Hz, silence when it ends, and another tone after it."""
    playing = asyncio.ensure_future(played(page, packets(440, 60), 18))
    await loudest(page, 440)
    await playing
    await loudest(page, 0)
    playing = asyncio.ensure_future(played(page, packets(1000, 60), 18))
    await loudest(page, 1000)
    await playing


async def test_a_burst_does_not_stay_behind(page: Page) -> None:
    """What a pause of the network held back is skipped: the sound is soon 60 ms behind again."""
    await played(page, packets(440, 45), 0)
    await asyncio.sleep(0.6)
    assert await page.evaluate("loudest()") == 0


async def test_what_is_no_sound_is_survived(page: Page) -> None:
    """A broken packet costs a moment, not the sound."""
    broken = base64.b64encode(pack(1, 0, bytes([0xFF] * 5))).decode()
    await played(page, [broken, base64.b64encode(b"\x03\x00").decode()], 0)
    playing = asyncio.ensure_future(played(page, packets(440, 60), 18))
    await loudest(page, 440)
    await playing
    await page.evaluate("player.stop()")
    assert await page.evaluate("player.context") is None
