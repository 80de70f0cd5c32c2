"""Whole journeys: real server, sandboxes and sites, an operator's real browser, agents in processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.journeys.login_site import LoginSite, running_login_site
from tests.journeys.operators import Operator
from tests.journeys.servers import ROOT, Server
from web.demo.sites import Site, captcha_site, free_port, wagtail_site

__all__ = ["Server", "click_remote", "type_remote"]

QUIET = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """A directory for one server's state, for nobody else's eyes."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    return state


@pytest.fixture
def world_readable() -> Iterator[Path]:
    """A directory that a sandbox's own user can reach (pytest's are closed to it)."""
    directory = Path(tempfile.mkdtemp(prefix="baton-journey-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
async def server(state_dir: Path) -> AsyncIterator[Server]:
    """A running server with short times, stopped and cleaned up afterwards."""
    server = Server(state_dir, free_port(), {"BATON_ADOPTION_S": "15"})
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for a whole module, not started yet: its tests start it when they find it down."""
    state = tmp_path_factory.mktemp("shared") / "state"
    state.mkdir(mode=0o700)
    server = Server(state, free_port(), {"BATON_ADOPTION_S": "20"})
    yield server
    asyncio.run(server.stop())


@pytest.fixture(scope="session")
def login_site() -> Iterator[LoginSite]:
    """The shop with its identity provider."""
    with running_login_site() as site:
        yield site


@pytest.fixture
async def human(server: Server) -> AsyncIterator[Operator]:
    """An operator without a console: signed in over REST."""
    async with Operator.signed_in(server) as operator:
        yield operator


@pytest.fixture(scope="session")
def sites_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the sites are made, once for the whole run."""
    return tmp_path_factory.mktemp("sites")


@pytest.fixture
async def captcha(sites_home: Path) -> AsyncIterator[Site]:
    """The CAPTCHA test project."""
    site = await captcha_site(sites_home)
    yield site
    await site.close()


@pytest.fixture
async def wagtail(sites_home: Path) -> AsyncIterator[Site]:
    """A fresh wagtail."""
    site = await wagtail_site(sites_home)
    yield site
    await site.close()


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    """The operator's own browser."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=QUIET, chromium_sandbox=False
        )
        yield browser
        await browser.close()


@pytest.fixture
async def operator(chromium: Browser, server: Server) -> AsyncIterator[Page]:
    """A signed-in operator looking at the queue."""
    context: BrowserContext = await chromium.new_context(viewport={"width": 1440, "height": 900})
    page = await context.new_page()
    await page.goto(await server.link())
    await page.wait_for_url(f"{server.url}/")
    yield page
    await context.close()


@dataclass
class Agent:
    """An agent process: one of the scripts beside this file. It prints one JSON object a line."""

    process: asyncio.subprocess.Process

    async def line(self, timeout: float = 40) -> dict[str, Any]:  # noqa: ASYNC109 - a deadline of the test's own
        """Read what the agent says next."""
        assert self.process.stdout is not None
        raw = await asyncio.wait_for(self.process.stdout.readline(), timeout)
        assert raw, f"the agent ended: {await self.errors()}"
        said: dict[str, Any] = json.loads(raw)
        return said

    async def errors(self) -> str:
        """What it wrote to standard error."""
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()[-3000:]

    async def tell(self, word: str) -> None:
        """Send it a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(word.encode() + b"\n")
        await self.process.stdin.drain()


@pytest.fixture
async def start_agent(server: Server) -> AsyncIterator[Any]:
    """Start agent scripts; whatever still runs at the end is ended."""
    agents: list[Agent] = []

    async def start(script: str, *arguments: str) -> Agent:
        program = ["node"] if script.endswith((".mjs", ".cjs")) else [sys.executable]
        process = await asyncio.create_subprocess_exec(
            *program, str(Path(__file__).parent / script), *arguments, cwd=ROOT,
            env={**os.environ, "BATON_URL": server.url, "BATON_TOKEN": await server.token(), "PYTHONPATH": str(ROOT)},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        agent = Agent(process)
        agents.append(agent)
        return agent

    yield start
    for agent in agents:
        if agent.process.returncode is None:
            agent.process.kill()
        await agent.process.communicate()


async def click_remote(page: Page, x: int, y: int) -> None:
    """Click the remote screen's pixel (x, y) through the console, with the operator's own mouse."""
    screen = page.locator("[data-screen]").last
    box = await screen.bounding_box()
    assert box is not None, "the console shows no screen"
    width, height = await screen.evaluate("e => [e.width, e.height]")
    await page.mouse.click(box["x"] + (x + 0.5) * box["width"] / width, box["y"] + (y + 0.5) * box["height"] / height)


async def type_remote(page: Page, text: str) -> None:
    """Type on the operator's own keyboard."""
    await page.keyboard.type(text)
