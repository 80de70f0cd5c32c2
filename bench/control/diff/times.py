"""What the state diff costs on a page of 5,000 elements, through a real keeper and with a real CDP client."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from bench.control.diff.sites import own_site
from bench.control.gate import Plain
from bench.figures import Figure, percentile
from sandbox.host import KeeperLink, Keepers, SandboxSpec
from sandbox.words import Epoch, Holder, OperatorId, SandboxId, Side, new_id

ROUNDS: Final = 30
_WARM: Final = 3
_HUMAN_S: Final = 0.6
_WHO: Final = Holder(Side.OPERATOR, OperatorId("op_bench"), "Ann")


async def measure() -> list[Figure]:
    """Hand over and take back `ROUNDS` times; p95 in milliseconds.

    The page has 5,000 elements, 3,000 of them with a role, and noise of its own; in each round thirty rows change and a
    field is filled. `diff_time_total`: `state.mark` and `state.diff` as the keeper answers them, without the time
    between. `diff_time_after_done`: from the call of `state.diff` until, the gate open, the agent's first command is
    answered.
    """
    print(f"  load average before: {os.getloadavg()[0]:.2f}", flush=True)
    totals: list[float] = []
    afters: list[float] = []
    async with _sandbox() as (link, agent):
        for number in range(ROUNDS + _WARM):
            total, after = await _round(link, agent, number)
            if number >= _WARM:
                totals.append(total)
                afters.append(after)
    for name, samples in (("two snapshots and a diff", totals), ("Done to the first command", afters)):
        cuts = "   ".join(f"p{share:.0%} {percentile(samples, share):.0f}" for share in (0.5, 0.95, 1.0))
        print(f"  {name:26} {cuts} ms".replace("%", ""))
    print(f"  load average after: {os.getloadavg()[0]:.2f}", flush=True)
    return [
        Figure("diff_time_total", percentile(totals, 0.95), "ms", len(totals)),
        Figure("diff_time_after_done", percentile(afters, 0.95), "ms", len(afters)),
    ]


async def _round(link: KeeperLink, agent: Plain, number: int) -> tuple[float, float]:
    await agent.call("Runtime.evaluate", {"expression": f"later({number})"})
    epoch, now, label = Epoch(4 * number + 2), time.time(), f"h{number}"
    await link.close_gate(epoch, Holder(Side.NOBODY), now, 2.0)
    began = time.perf_counter()
    await link.mark(label)
    marked = time.perf_counter() - began
    await link.push_control(Epoch(epoch + 1), _WHO, now)
    await asyncio.sleep(_HUMAN_S)
    await link.push_control(Epoch(epoch + 2), Holder(Side.NOBODY), now)
    began = time.perf_counter()
    answer = await link.diff(label)
    compared = time.perf_counter() - began
    await link.open_gate(Epoch(epoch + 3), now)
    await agent.call("Runtime.evaluate", {"expression": "1"})
    after = time.perf_counter() - began
    changed = sum(len(each) for each in answer["diff"]["elements"].values())
    if changed < 30 or not answer["diff"]["fields"]:
        raise RuntimeError(f"only {changed} elements of the page changed: {answer['text'][:300]}")
    return (marked + compared) * 1000, after * 1000


@asynccontextmanager
async def _sandbox() -> AsyncIterator[tuple[KeeperLink, Plain]]:
    """A keeper with the page open, and an agent attached to it through the gate."""
    home = Path(tempfile.mkdtemp(prefix="bench-times-"))
    home.chmod(0o711)
    keepers = Keepers(home, [sys.executable, "-m", "web.runtime", "keeper"])
    try:
        with own_site() as site:
            link = await keepers.open(SandboxSpec(SandboxId(new_id("sb")), 1280, 900, f"{site}/large"))
            await link.open_gate(Epoch(1), time.time())
            socket = await link.connect("/cdp", {"client": "bench"})
            async with socket, asyncio.timeout(120):
                agent = Plain(socket)
                infos = (await agent.call("Target.getTargets"))["targetInfos"]
                target = next(info["targetId"] for info in infos if info["type"] == "page")
                attached = await agent.call("Target.attachToTarget", {"targetId": target, "flatten": True})
                agent.session = attached["sessionId"]
                ready = {"expression": "typeof later === 'function' && document.readyState === 'complete'"}
                while not (await agent.call("Runtime.evaluate", ready))["result"].get("value"):  # noqa: ASYNC110 - of a page
                    await asyncio.sleep(0.1)
                yield link, agent
            await keepers.close(link.sandbox)
    finally:
        for sandbox in keepers.all:
            await keepers.close(sandbox)
        shutil.rmtree(home, ignore_errors=True)
