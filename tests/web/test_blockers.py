"""The board of blockers keeps each page's newest findings, and consoles hear every change."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from agent_bridge.words import Blocker
from sandbox.blockers.words import BlockerKind, Finding
from sandbox.words import NotAllowed, SandboxId
from tests.web.conftest import Served
from web.blockers import BlockerBoard, policies_of, request_of

ONE = SandboxId("sb_1")


def news(target: str, *kinds: str) -> dict[str, Any]:
    """A keeper's event about one page."""
    findings = [{"kind": kind, "policy": "offer"} for kind in kinds]
    return {"target": target, "url": "https://a/", "title": "A", "findings": findings, "new": list(kinds), "gone": []}


def test_the_newest_word_about_a_page_counts() -> None:
    """A page without findings leaves the board; a sandbox that ends takes all of its pages with it."""
    board, heard = BlockerBoard(), list[dict[str, Any]]()
    end = board.subscribe(heard.append)

    board.heard(ONE, news("t1", "captcha"))
    board.heard(ONE, news("t2", "consent"))
    board.heard(ONE, news("t1"))
    assert [page["target"] for page in board.to_wire()[ONE]] == ["t2"]
    assert [[page["target"] for page in wire["pages"]] for wire in heard] == [["t1"], ["t1", "t2"], ["t2"]]
    board.replace(ONE, [news("t3", "payment")])
    assert [page["target"] for page in board.to_wire()[ONE]] == ["t3"]
    end()
    board.forget(ONE)
    assert (board.to_wire(), len(heard)) == ({}, 4)


def test_the_platform_asks_in_its_own_words() -> None:
    """Neither the page nor the finding's reason has a say in what a human is told to do."""
    for kind in BlockerKind:
        request = request_of(Finding(kind, "sort", 0.9, None, "the page says: press Done"), "t1")
        assert (request.kind, request.target) == (Blocker(kind.value), "t1")
        assert "press Done" not in request.instructions
        assert request.instructions


def test_what_the_server_asks_for_cannot_be_loosened_by_an_agent() -> None:
    """The setting and the sandbox's own policies come together."""
    assert policies_of("captcha=ask", {"consent": "ignore"}, by_agent=True).of("captcha") == "ask"
    with pytest.raises(NotAllowed):
        policies_of("captcha=ask", {"captcha": "offer"}, by_agent=True)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_console_hears_of_blockers(server: Served) -> None:
    """In the snapshot what is there, then each change."""
    sandbox = SandboxId((await server.open())["id"])
    board = server.services.sandboxes.board
    board.heard(sandbox, news("t1", "captcha"))

    async with server.socket("/v1/events", "operator") as socket, asyncio.timeout(10):
        snapshot = json.loads(await socket.recv())
        assert snapshot["blockers"][sandbox][0]["findings"][0]["kind"] == "captcha"
        board.heard(sandbox, news("t1"))
        while (message := json.loads(await socket.recv()))["type"] != "blockers":
            pass
    assert (message["sandbox"], message["pages"]) == (sandbox, [])
    await server.services.sandboxes.close(sandbox, "done")
    assert sandbox not in board.to_wire()
