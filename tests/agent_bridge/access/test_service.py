"""Access over a real database: tokens, links, sign-ins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent_bridge.access.secrets import digest
from agent_bridge.access.service import SLIDE_S, Access, clean_name
from agent_bridge.access.words import LinkExpired, LinkUnknown, LinkUsed, TokenRefused
from agent_bridge.journal.journal import Journal
from agent_bridge.store.access import AccessStore
from agent_bridge.store.database import Database
from agent_bridge.store.journal import SqlJournalStore
from agent_bridge.words import Role
from sandbox.words import BadRequest, NotFound


class Hand:
    """A clock turned by hand."""

    time = 1_000_000.0

    def now(self) -> float:
        """See `Clock.now`."""
        return self.time

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self.time


@dataclass
class Bench:
    """Access, its clock, and the file everything is kept in."""

    access: Access
    clock: Hand
    directory: Path


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Access over a fresh database."""
    database = await Database.open(tmp_path)
    clock = Hand()
    journal = Journal(SqlJournalStore(database), clock)
    yield Bench(Access(AccessStore(database), journal, clock, lambda: "http://here"), clock, tmp_path)
    await database.close()


def secret_of(url: str) -> str:
    """The secret in a link's fragment."""
    return url.partition("#")[2]


async def test_a_link_signs_in_people_only(bench: Bench) -> None:
    """A link may make a supervisor, with a name, but never an agent or an admin."""
    _, url = await bench.access.create_link(name="Kim", role=Role.SUPERVISOR)
    _, token = await bench.access.create_token("Lou", Role.SUPERVISOR)
    redeemed = await bench.access.redeem(url.partition("#")[2])

    assert (redeemed.caller.role, redeemed.operator.name) == (Role.SUPERVISOR, "Kim")
    assert (operator := (await bench.access.by_token(token)).operator) is not None
    assert operator.name == "Lou"
    for role in (Role.AGENT, Role.ADMIN, Role.QA):
        with pytest.raises(BadRequest, match="make a token"):
            await bench.access.create_link(role=role)


async def test_a_token_stands_for_its_role(bench: Bench) -> None:
    """A token is known by its secret; an operator's is a person, an agent's is not."""
    agent, secret = await bench.access.create_token("scraper", Role.AGENT)
    _, human = await bench.access.create_token("Kim", Role.OPERATOR)

    caller = await bench.access.by_token(secret)
    person = await bench.access.by_token(human)

    assert (caller.id, caller.role, caller.operator) == (agent.id, Role.AGENT, None)
    assert person.operator is not None
    assert person.operator.name == "Kim"


async def test_secrets_are_kept_nowhere(bench: Bench) -> None:
    """Neither a token's nor a link's nor a sign-in's secret is found in any file."""
    _, token = await bench.access.create_token("scraper", Role.AGENT)
    _, url = await bench.access.create_link()
    redeemed = await bench.access.redeem(secret_of(url))

    kept = b"".join(path.read_bytes() for path in bench.directory.iterdir() if path.is_file())

    for secret in (token, secret_of(url), redeemed.secret):
        assert secret[3:].encode() not in kept
    assert digest(token).encode() in kept
    assert token not in repr(await bench.access.tokens())
    assert redeemed.secret not in repr(redeemed)


async def test_expiry_and_revocation(bench: Bench) -> None:
    """Unknown, expired and revoked tokens are refused with three different sentences."""
    _, short = await bench.access.create_token("short", Role.QA, expires_s=10)
    long, revoked = await bench.access.create_token("long", Role.QA)
    ended: list[str] = []
    bench.access.on_end(ended.append)
    await bench.access.revoke_token(long.id)
    bench.clock.time += 10

    for secret, words in ((short, "has expired"), (revoked, "was revoked"), ("bt_x", "not known")):
        with pytest.raises(TokenRefused, match=words):
            await bench.access.by_token(secret)
    with pytest.raises(TokenRefused, match="was revoked"):
        await bench.access.by_id(long.id)
    with pytest.raises(NotFound, match="no live token"):
        await bench.access.revoke_token(long.id)
    assert ended == [long.id]


async def test_a_link_is_redeemed_once_even_in_a_race(bench: Bench) -> None:
    """Of ten who redeem a link at the same moment one gets in."""
    _, url = await bench.access.create_link()

    answers = await asyncio.gather(*(bench.access.redeem(secret_of(url)) for _ in range(10)), return_exceptions=True)

    assert sum(not isinstance(answer, BaseException) for answer in answers) == 1
    assert sum(isinstance(answer, LinkUsed) for answer in answers) == 9


async def test_links_fail_in_three_ways(bench: Bench) -> None:
    """Used, expired and unknown are told apart."""
    _, used = await bench.access.create_link()
    _, old = await bench.access.create_link(expires_s=5)
    await bench.access.redeem(secret_of(used))
    bench.clock.time += 5

    with pytest.raises(LinkUsed):
        await bench.access.redeem(secret_of(used))
    with pytest.raises(LinkExpired):
        await bench.access.redeem(secret_of(old))
    with pytest.raises(LinkUnknown):
        await bench.access.redeem("bl_x")


async def test_a_sign_in_slides(bench: Bench) -> None:
    """A sign-in that is used goes on; one that rests for its time ends."""
    _, url = await bench.access.create_link(name="Kim")
    secret = (await bench.access.redeem(secret_of(url))).secret
    for _ in range(4):
        bench.clock.time += bench.access.sign_in_s - SLIDE_S
        assert (await bench.access.by_sign_in(secret)).sign_in
    bench.clock.time += bench.access.sign_in_s

    with pytest.raises(TokenRefused, match="signed out"):
        await bench.access.by_sign_in(secret)


async def test_everything_is_journalled(bench: Bench) -> None:
    """Each act of access leaves an entry that names things by id."""
    token, _ = await bench.access.create_token("scraper", Role.AGENT)
    await bench.access.revoke_token(token.id)
    _, url = await bench.access.create_link()
    redeemed = await bench.access.redeem(secret_of(url))
    await bench.access.rename(redeemed.operator.id, "Kim")
    await bench.access.sign_out(redeemed.caller)

    kinds = [record.entry.kind async for record in bench.access.journal.records()]

    assert kinds == [
        "token/created", "token/revoked", "link/created", "link/redeemed", "sign_in/started", "operator/renamed",
        "sign_in/ended",
    ]  # fmt: skip


@pytest.mark.parametrize(("given", "shown"), [("  a\n\tb ", "a b"), ("x" * 200, "x" * 80), ("a\x00b", "a b")])
def test_names_are_fit_to_be_shown(given: str, shown: str) -> None:
    """Names lose line breaks and what cannot be printed, and are cut."""
    assert clean_name(given) == shown


@pytest.mark.parametrize("given", ["", "  ", "\u200b\x00"])
def test_a_name_must_be_visible(given: str) -> None:
    """A name of nothing is refused."""
    with pytest.raises(BadRequest):
        clean_name(given)
