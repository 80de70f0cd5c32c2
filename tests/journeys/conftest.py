"""Whole journeys: real server, sandboxes and sites, an operator's real browser, agents in processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from web.demo.sites import Site, captcha_site, free_port, wagtail_site

ROOT = Path(__file__).resolve().parents[2]
QUIET = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@dataclass
class Server:
    """A `baton serve` process on a state directory of its own; may be killed and started again on the same one."""

    state: Path
    port: int
    env: dict[str, str] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self, *arguments: str) -> None:
        """Start it and wait until it answers."""
        log = (self.state / "server.log").open("ab")
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "web.cli", "serve", "--port", str(self.port), "--state-dir", str(self.state),
            *arguments, cwd=ROOT, env={**os.environ, "BATON_LOG_FORMAT": "json", **self.env}, stdout=log, stderr=log,
        )  # fmt: skip
        log.close()
        async with httpx.AsyncClient() as http:
            for _ in range(300):
                if self.process.returncode is not None:
                    break
                with contextlib.suppress(httpx.HTTPError):
                    if (await http.get(f"{self.url}/healthz")).status_code == 200:
                        return
                await asyncio.sleep(0.1)
        raise AssertionError(f"the server did not start: {(self.state / 'server.log').read_text()[-2000:]}")

    async def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> None:
        """SIGINT, as Ctrl-C would: it closes its sandboxes."""
        if self.process is None or self.process.returncode is not None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            await asyncio.wait_for(self.process.wait(), 20)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    async def command(self, *arguments: str) -> str:
        """Run another `baton` command on the same state directory; returns what it printed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "web.cli", *arguments, "--state-dir", str(self.state), cwd=ROOT,
            env={**os.environ, "BATON_PORT": str(self.port)},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode().strip()

    async def token(self, role: str = "agent") -> str:
        """Create a token."""
        return await self.command("token", "create", "--role", role)

    async def link(self) -> str:
        """Create a one-use sign-in link."""
        return await self.command("link")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A running server with short times, stopped and cleaned up afterwards."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    server = Server(state, free_port(), {"BATON_ADOPTION_S": "15"})
    await server.start()
    yield server
    await server.stop()


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
            await agent.process.wait()
