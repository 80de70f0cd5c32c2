"""A broker on a real SQLite file, with keepers that are fakes and a clock that stands still."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from agent_bridge.control.asking import read_request
from agent_bridge.control.broker import Broker
from agent_bridge.control.testing import SB, World, soon
from agent_bridge.control.words import Handoff, Phase


@pytest.fixture
async def broker(world: World) -> Broker:
    """A broker with one sandbox that the agent holds."""
    made = await world.broker()
    await made.sandbox_opened(SB, name="shop")
    return made


type AskFor = Callable[..., Awaitable[Handoff]]


@pytest.fixture
def ask(broker: Broker) -> AskFor:
    """Ask for a human and wait until the handoff is in the queue and its gate closed."""

    async def asking(kind: str = "captcha", **more: object) -> Handoff:
        asked = await broker.ask(SB, read_request({"kind": kind, "instructions": "help", **more}, broker.settings))
        await soon(lambda: broker.views()[0].phase is not Phase.CLOSING)
        return await broker.get(asked.handoff.id)

    return asking
