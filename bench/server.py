"""A real server of a benchmark's own, in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx


async def serve(state: Path, port: int, env: Mapping[str, str] | None = None) -> asyncio.subprocess.Process:
    """Start `baton serve` on a state directory and wait for it. Raises `SystemExit` when it does not start."""
    with (state / "server.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "web.cli", "serve", "--port", str(port), "--state-dir", str(state),
            stdout=log, stderr=log, env={**os.environ, **(env or {})},
        )  # fmt: skip
    async with httpx.AsyncClient() as http:
        for _ in range(300):
            with contextlib.suppress(httpx.HTTPError):
                if (await http.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200:
                    return process
            await asyncio.sleep(0.1)
    raise SystemExit(f"bench: the server did not start; see {state / 'server.log'}")


async def command(state: Path, port: int, *words: str) -> str:
    """Run a `baton` command on that server's state; returns what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "web.cli", *words, "--state-dir", str(state),
        env={**os.environ, "BATON_PORT": str(port)}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    return out.decode().strip()
