"""What a page asks outside its own pixels reaches the operator's console, and the answer reaches the page."""

from __future__ import annotations

import asyncio
import base64

import pytest

from agent_bridge.client import AsyncClient, request_handoff
from tests.journeys.login_site import LoginSite
from tests.journeys.operators import Live, Operator
from tests.journeys.servers import Server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]
QUESTION, FILE = (200, 60), (60, 160)


@pytest.fixture
async def server(shared_server: Server) -> Server:
    """The module's server."""
    if not shared_server.up:
        await shared_server.start()
    return shared_server


async def asked(live: Live, kind: str) -> dict[str, str]:
    """Wait until the page asks; returns the prompt."""
    [prompt] = await live.until(
        lambda: [p for p in live.last("prompts").get("prompts", ()) if p["kind"] == kind], f"a {kind} prompt"
    )
    assert isinstance(prompt, dict)
    return prompt


async def check(human: Operator, sandbox: str, epoch: int) -> None:
    """Wait until the agent's condition holds."""
    for _ in range(150):
        if (await human.post(sandbox, "check", epoch=epoch)).json().get("met"):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the condition never held")


async def test_a_question_and_a_file_are_answered(server: Server, human: Operator, login_site: LoginSite) -> None:
    """A dialog and a file chooser become prompts of the holder; the diff tells of the dialog, never of its answer."""
    async with AsyncClient(server.url, await server.token()) as client:
        sandbox = await client.open(f"{login_site.site}/asks")
        condition = {"text": "read note.txt hello"}
        waiting = asyncio.create_task(request_handoff(sandbox, "upload", "Answer it.", condition=condition))
        await human.handoff(sandbox.id, "waiting")
        epoch = await human.take(sandbox.id)
        async with (
            human.live(sandbox.id, epoch) as live,
            Operator.signed_in(server) as other,
            other.live(sandbox.id) as watcher,
        ):
            await live.tab("/asks")
            await live.click(*QUESTION)
            question = await asked(live, "prompt")
            assert (question["origin"], question["message"], question["default"]) == (
                login_site.site, "Who are you?", "nobody",
            )  # fmt: skip
            await live.send("answer", id=question["id"], accept=True, text="a-human-of-few-words")
            await live.until(lambda: live.last("prompts").get("prompts") == [], "the end of the question")
            await live.click(*FILE)
            chooser = await asked(live, "file")
            data = base64.b64encode(b"hello").decode()
            await live.send("answer", id=chooser["id"], accept=True, files=[{"name": "note.txt", "data": data}])
            await check(human, sandbox.id, epoch)
            assert not any(m.get("prompts") for m in watcher.messages if m["t"] == "prompts")
            await human.say(sandbox.id, "done", epoch)
        result = await asyncio.wait_for(waiting, 20)
        await sandbox.close()

    assert (result.outcome, result.verification.verified) == ("resolved", True)
    assert [(d["kind"], d["accepted"]) for d in result.diff["dialogs"] if d["kind"] == "prompt"] == [("prompt", True)]
    assert "a-human-of-few-words" not in str(result.diff["dialogs"])
