"""`baton demo`: a server, two real sites, and an agent that gets stuck on them."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from agent_bridge.words import Role
from web.demo.sites import captcha_site, wagtail_site
from web.serve import running
from web.settings import Settings


async def play(settings: Settings) -> None:
    """Run until a signal; prints the one link to open."""
    quiet = settings.model_copy(update={"log_level": "warning"})
    home = settings.state_dir.resolve() / "demo"
    print("Preparing the demo's sites (the first time takes a few seconds) …", flush=True)
    sites = await asyncio.gather(captcha_site(home), wagtail_site(home))
    agent: asyncio.subprocess.Process | None = None
    try:
        async with running(quiet) as server:
            _, token = await server.services.access.create_token("demo agent", Role.AGENT)
            agent = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "web.demo.agent", sites[0].url, sites[1].url,
                cwd=Path(__file__).resolve().parents[2],
                env={**os.environ, "BATON_URL": server.url, "BATON_TOKEN": token},
            )  # fmt: skip
            print(
                f"\n  Baton is running. Open this link; it signs you in, once:\n\n      {await server.link()}\n\n"
                "  An agent is working and will need you in a moment. Ctrl-C ends everything.\n",
                flush=True,
            )
            done = asyncio.create_task(_told(agent))
            await server.stopped.wait()
            done.cancel()
            await _end(agent)
    finally:
        if agent is not None:
            await _end(agent)
        await asyncio.gather(*(site.close() for site in sites))


async def _told(agent: asyncio.subprocess.Process) -> None:
    if await agent.wait() == 0:
        print("\n  That was the whole demo. The console stays open until Ctrl-C.\n", flush=True)


async def _end(agent: asyncio.subprocess.Process) -> None:
    if agent.returncode is None:
        agent.terminate()
        await agent.wait()
