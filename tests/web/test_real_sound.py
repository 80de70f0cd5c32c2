"""What a page of a real sandbox plays is heard in the operator's real browser, and costs nothing until then."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright

from agent_bridge.words import Role
from sandbox.keeper.files import KeeperRecord
from tests.web.conftest import Served, quick, serving

pytestmark = [
    pytest.mark.full,
    pytest.mark.browser,
    pytest.mark.skipif(not shutil.which("pulseaudio"), reason="needs Debian's pulseaudio"),
]

KEEPER = [sys.executable, "-m", "web.runtime", "keeper"]

TONE = """async hertz => {
  window.sound ??= new AudioContext();
  window.tone?.stop();
  window.tone = new OscillatorNode(sound, { frequency: hertz });
  tone.connect(sound.destination);
  tone.start();
  await sound.resume();
  return sound.state;
}"""

TAP = """{
  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (to, ...more) {
    if (this instanceof AudioWorkletNode && to === this.context.destination) {
      window.meter = new AnalyserNode(this.context, { fftSize: 8192, smoothingTimeConstant: 0 });
      connect.call(this, meter);
    }
    return connect.call(this, to, ...more);
  };
}"""

LOUDEST = """() => {
  if (!window.meter) return 0;
  const bins = new Float32Array(meter.frequencyBinCount);
  meter.getFloatFrequencyData(bins);
  const top = bins.indexOf(Math.max(...bins));
  return bins[top] < -60 ? 0 : top * meter.context.sampleRate / meter.fftSize;
}"""


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[Served]:
    """A server whose sandboxes are real."""
    async with serving(quick(tmp_path), KEEPER) as served:
        await served.token("agent", Role.AGENT)
        yield served


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    """The operator's own browser."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        await browser.close()


async def console(browser: Browser, real: Served, sandbox: str, way: str = "socket") -> Page:
    """Open the live view as an operator who is signed in."""
    name, _, value = (await real.sign_in())["Cookie"].partition("=")
    context = await browser.new_context(viewport={"width": 1000, "height": 700})
    await context.add_cookies([{"name": name, "value": value, "url": real.url}])
    page = await context.new_page()
    await page.add_init_script(TAP)
    await page.goto(f"{real.url}/sandboxes/{sandbox}?way={way}")
    await page.wait_for_selector("body[data-view=watching]")
    return page


async def hears(page: Page, hertz: float) -> None:
    """Wait until this is the loudest frequency at the operator's loudspeaker; 0 is silence."""
    got = -1.0
    for _ in range(250):
        got = await page.evaluate(LOUDEST)
        if got == pytest.approx(hertz, abs=12):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"the loudest is {got} Hz, not {hertz}")


def recorders(keeper: int) -> int:
    """How many recorders a keeper runs."""
    count = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = stat.read_text().partition(" (")[2].rpartition(") ")
            count += name in {"parec", "pacat"} and int(rest.split()[1]) == keeper
    return count


@pytest.mark.parametrize("way", ["socket", "datagrams"])
async def test_a_tone_is_heard_at_the_operators_end(real: Served, chromium: Browser, way: str) -> None:
    """440 Hz, then 1 kHz, after the button and not before; turned off again, the recorder is gone."""
    sandbox = await real.open(width=640, height=480)
    record = KeeperRecord.read(real.services.settings.state_dir / "sandboxes" / sandbox["id"])
    assert record is not None
    keeper = record.keeper.pid
    async with async_playwright() as playwright:
        agent = await playwright.chromium.connect_over_cdp(sandbox["cdp_url"])
        playing = agent.contexts[0].pages[0]
        assert await playing.evaluate(TONE, 440) == "running"
        page = await console(chromium, real, sandbox["id"], way)
        assert recorders(keeper) == 0
        assert await page.evaluate(LOUDEST) == 0

        await page.click("#sound")
        await hears(page, 440)
        assert await page.get_attribute("#sound", "data-state") == "on"
        assert recorders(keeper) == 1
        await playing.evaluate(TONE, 1000)
        await hears(page, 1000)

        await page.click("#sound")
        for _ in range(100):
            if not recorders(keeper):
                break
            await asyncio.sleep(0.02)
        assert recorders(keeper) == 0
        await agent.close()


@pytest.fixture
def without_sound(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine with every program but the sound server's."""
    programs = Path(tempfile.mkdtemp(prefix="b-"))
    programs.chmod(0o755)
    for folder in os.environ["PATH"].split(":"):
        for each in Path(folder).iterdir() if Path(folder).is_dir() else ():
            if each.name not in {"pulseaudio", "parec"} and not (programs / each.name).exists():
                (programs / each.name).symlink_to(each)
    monkeypatch.setenv("PATH", str(programs))
    yield
    shutil.rmtree(programs)


@pytest.mark.usefixtures("without_sound")
async def test_a_machine_without_a_sound_server_says_so(chromium: Browser, real: Served) -> None:
    """The sandbox works all the same, and the button names the package."""
    sandbox = await real.open(width=640, height=480)
    page = await console(chromium, real, sandbox["id"])
    await page.click("#sound")
    await page.wait_for_selector("text=apt-get install pulseaudio")
    assert await page.get_attribute("#sound", "data-state") == "none"
