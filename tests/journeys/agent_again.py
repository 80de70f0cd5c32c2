"""An agent that asks for a human under a key, and asks the same again when it is started anew.

Usage: agent_again.py URL [SANDBOX]. Opens a sandbox unless it is told which is its own. Prints one JSON object a line.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from agent_bridge.client import AsyncClient

ASK = {"kind": "captcha", "instructions": "Please help.", "idempotency_key": "the-one"}


def say(**fields: Any) -> None:
    """Print one line for the test."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


async def main(url: str, sandbox: str | None = None) -> None:
    """Ask, say for what, wait, say what came of it."""
    async with AsyncClient() as client:
        if sandbox is None:
            sandbox = (await client.open(url=url)).id
        handoff = await client.begin(sandbox, ASK, 30)
        say(event="asked", sandbox=sandbox, handoff=handoff["id"])
        result = await client.wait(handoff["id"])
        say(event="result", handoff=result.handoff, outcome=result.outcome, note=result.note)


asyncio.run(main(*sys.argv[1:]))
