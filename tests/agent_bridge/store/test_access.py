"""Tokens, links, sign-ins and operators in the database."""

from __future__ import annotations

import asyncio

from agent_bridge.access.words import AccessRecords, Link, Operator, SignIn, Token
from agent_bridge.store.access import AccessStore
from agent_bridge.store.database import Database
from agent_bridge.words import Role
from sandbox.words import HandoffId, OperatorId, SandboxId

ANN = Operator(OperatorId("op_ann"), "Ann")


async def test_operators(database: Database) -> None:
    """Operators are kept and can be renamed."""
    store: AccessRecords = AccessStore(database)
    await store.add_operator(ANN, 1.0)
    await store.rename_operator(ANN.id, "Anna")

    assert await store.operator(ANN.id) == Operator(ANN.id, "Anna")
    assert await store.operator(OperatorId("op_none")) is None


async def test_tokens(database: Database) -> None:
    """A token is found by its hash and revoked once."""
    store = AccessStore(database)
    await store.add_operator(ANN, 1.0)
    token = Token("tk_1", "ci", Role.OPERATOR, 1.0, 9.0, hash="h1", operator=ANN.id)
    await store.add_token(token)
    await store.add_token(Token("tk_0", "old", Role.AGENT, 0.5, hash="h0"))

    assert await store.token_by_hash("h1") == token
    assert await store.token_by_hash("h2") is None
    assert [one.id for one in await store.tokens()] == ["tk_0", "tk_1"]
    assert [await store.revoke_token("tk_1", 5.0), await store.revoke_token("tk_1", 6.0)] == [True, False]
    found = await store.token_by_hash("h1")
    assert found is not None
    assert found.revoked_at == 5.0


async def test_a_link_is_used_once(database: Database) -> None:
    """Of many who redeem a link at the same moment exactly one succeeds."""
    store = AccessStore(database)
    link = Link("ln_1", Role.OPERATOR, 1.0, 9.0, "Ann", SandboxId("sb_1"), HandoffId("ho_1"), take=True, hash="h1")
    await store.add_link(link)
    found = await store.link_by_hash("h1")
    used = await asyncio.gather(*(store.use_link("h1", 2.0) for _ in range(8)))

    assert found == link
    assert used.count(True) == 1
    assert await store.link_by_hash("none") is None


async def test_sign_ins(database: Database) -> None:
    """A sign-in is found by its hash, extended, and ended once."""
    store = AccessStore(database)
    await store.add_operator(ANN, 1.0)
    await store.add_sign_in(SignIn("si_1", Role.OPERATOR, ANN.id, 1.0, 9.0, hash="h1"))
    await store.extend_sign_in("si_1", 20.0)
    ended = [await store.end_sign_in("si_1", 5.0), await store.end_sign_in("si_1", 6.0)]

    assert await store.sign_in_by_hash("h1") == SignIn("si_1", Role.OPERATOR, ANN.id, 1.0, 20.0, 5.0, hash="h1")
    assert ended == [True, False]
