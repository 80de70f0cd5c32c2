"""One handoff of each kind through a real server, with secrets typed, and a look into all that was written or sent."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from agent_bridge.client import AsyncClient
from agent_bridge.words import SECRET_BLOCKERS, Blocker
from bench.control.diff.leaks import leaked
from bench.control.diff.sites import own_site
from bench.control.gate import Plain
from tests.journeys.operators import Live, Operator
from tests.journeys.servers import Server
from web.demo.sites import free_port

KINDS: Final = tuple(Blocker)
_PATIENCE_S: Final = 60.0
_NOTE: Final = "It was said aloud"
_BOXES: Final = """JSON.stringify(Object.fromEntries([...document.querySelectorAll('input, button')].map(e => {
  const box = e.getBoundingClientRect();
  return [e.id, [Math.round(box.x + box.width / 2), Math.round(box.y + box.height / 2)]];
})))"""


async def found(kinds: tuple[Blocker, ...] = KINDS) -> list[str]:
    """Do a handoff of each kind; returns where which secret was found, a sentence each.

    What is looked through: the agent's results, everything its socket got, the events of the queue, and every file of
    the server's state directory (database, its log of writes, journal, pictures, the server's and the keepers' logs,
    downloads) while the sandbox is open, once it is closed, and once the server has ended. Left out is what only the
    sandbox's own browser writes, its profile: it goes with the sandbox. Raises `RuntimeError` where not even what
    must be there is found, `TimeoutError` where a handoff hangs.
    """
    with _state() as state, own_site() as site:
        server = Server(state, free_port())
        await server.start()
        try:
            planted, texts, files = await _handoffs(server, site, kinds)
        finally:
            await server.stop()
        files |= _written(state)
    for name, text in (*texts, ("the files", "".join(files.values()))):
        if _NOTE not in text:
            raise RuntimeError(f"{name} should hold what the operator noted; the search is broken")
    told = [f"a secret of {kind} in {name}" for kind, typed in planted for name, text in texts if leaked(typed, [text])]
    return told + sorted(
        f"a secret of {kind} in the file {name}"
        for name, text in files.items()
        for kind, typed in planted
        if leaked(typed, [text])
    )


async def _handoffs(
    server: Server, site: str, kinds: tuple[Blocker, ...]
) -> tuple[list[tuple[Blocker, list[str]]], list[tuple[str, str]], dict[str, str]]:
    planted: list[tuple[Blocker, list[str]]] = []
    texts: list[tuple[str, str]] = []
    async with (
        AsyncClient(url=server.url, token=await server.token()) as client,
        Operator.signed_in(server) as human,
        _events(human) as events,
    ):
        sandbox = await client.open(f"{site}/vault")
        async with Plain.on_page(sandbox.cdp_url) as agent:
            for kind in kinds:
                planted.append((kind, [secrets.token_hex(8) for _ in range(3)]))
                async with asyncio.timeout(_PATIENCE_S):
                    result = await _handoff(client, human, agent, f"{site}/vault", sandbox.id, *planted[-1])
                texts.append((f"the result of {kind}", result))
        handoffs = (await human.http.get("/handoffs?state=all")).text
        texts += [("the list of handoffs", handoffs), ("the events", "\n".join(events))]
        files = _written(server.state)
        await client.close(sandbox.id)
    return planted, texts, files | _written(server.state)


async def _handoff(
    client: AsyncClient, human: Operator, agent: Plain, url: str, sandbox: str, kind: Blocker, typed: list[str]
) -> str:
    """Let the human type three secrets into a new page; returns the result as text. Raises `RuntimeError`."""
    await agent.call("Page.navigate", {"url": url})
    boxes: dict[str, tuple[int, int]] = {}
    while "say" not in boxes:
        answer = await agent.call("Runtime.evaluate", {"expression": _BOXES})
        boxes = json.loads(answer["result"]["value"])
    wanted = {"text": "You said"}
    asked = {"kind": kind.value, "instructions": "Say the phrase", "condition": wanted}
    handoff = await client.begin(sandbox, asked, 60.0)
    await human.handoff(sandbox, "waiting")
    epoch = await human.take(sandbox)
    async with human.live(sandbox, epoch) as live:
        await _type(live, boxes, kind, typed)
        async with asyncio.timeout(10):
            while not (await human.post(sandbox, "check", epoch=epoch)).json()["met"]:  # noqa: ASYNC110 - of a page
                await asyncio.sleep(0.1)
        await human.say(sandbox, "done", epoch, note=_NOTE)
    result = await client.wait(handoff["id"])
    if not result.verification.verified:
        raise RuntimeError(f"a handoff of {kind} was not done: {result.text}")
    return f"{result!r}\n{json.dumps(await client.handoff(handoff['id']))}"


async def _type(live: Live, boxes: dict[str, tuple[int, int]], kind: Blocker, typed: list[str]) -> None:
    phrase, code, reference = typed
    await live.click(*boxes["phrase"])
    await live.type(phrase)
    await live.click(*boxes["code"])
    await live.type(code)
    await live.click(*boxes["reference"])
    if kind in SECRET_BLOCKERS:
        await live.type(reference)
    else:
        await live.send("text", text=reference, secret=True)
    await live.click(*boxes["say"])


@asynccontextmanager
async def _events(human: Operator) -> AsyncIterator[list[str]]:
    """Everything that the queue's socket tells an operator."""
    heard: list[str] = []
    cookies = "; ".join(f"{name}={value}" for name, value in human.http.cookies.items())
    address = f"ws{human.server.url.removeprefix('http')}/v1/events"

    async def listen(socket: Any) -> None:
        try:
            async for message in socket:
                heard.append(str(message))  # noqa: PERF401 - it is read while more comes
        except ConnectionClosed:
            return

    async with connect(
        address, additional_headers={"Cookie": cookies}, origin=human.server.url, max_size=None, proxy=None,  # type: ignore[arg-type] # a NewType of str
    ) as socket:  # fmt: skip
        listening = asyncio.create_task(listen(socket))
        try:
            yield heard
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


@contextmanager
def _state() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="bench-leaks-"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _written(state: Path) -> dict[str, str]:
    """Every file under the state directory but the browser's own, with what is in it."""
    return {
        str(path.relative_to(state)): path.read_bytes().decode("latin-1")
        for path in state.rglob("*")
        if path.is_file() and "profile" not in path.parts
    }
