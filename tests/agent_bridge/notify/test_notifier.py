"""Telling operators: against a real web hook, with a real outbox."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent_bridge.journal.journal import Journal
from agent_bridge.journal.words import Record
from agent_bridge.notify.notifier import Notifier, compose
from agent_bridge.notify.words import DeliveryState
from agent_bridge.store.database import Database
from agent_bridge.store.deliveries import DeliveryStore
from agent_bridge.store.journal import SqlJournalStore
from sandbox.words import HandoffId

HANDOFF = {
    "id": "ho_0123456789abcdef0123", "sandbox": "sb_1", "state": "waiting", "kind": "one_time_code",
    "site": "https://shop.example", "instructions": "Type the code from the mail.\nSecond line.",
}  # fmt: skip


class Hook:
    """A web hook that fails as often as it is told to, and remembers what it was sent."""

    def __init__(self) -> None:
        self.failures = 0
        self.got: list[dict[str, Any]] = []
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.got.append(body)
                hook.failures -= 1
                self.send_response(500 if hook.failures >= 0 else 200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self.server.server_port}/hook"


class Hand:
    """A clock turned by hand."""

    time = 1_000_000.0

    def now(self) -> float:
        """See `Clock.now`."""
        return self.time

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self.time


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A web hook on a free port."""
    one = Hook()
    thread = threading.Thread(target=one.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield one
    one.server.shutdown()
    one.server.server_close()
    thread.join()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A fresh database."""
    one = await Database.open(tmp_path)
    yield one
    await one.close()


class Bench:
    """A notifier, its clock, and the state of the handoff it asks for."""

    def __init__(self, database: Database, *urls: str) -> None:
        self.clock = Hand()
        self.handoff: Mapping[str, Any] | None = HANDOFF
        self.links = 0
        self.journal = Journal(SqlJournalStore(database), self.clock)
        self.records = DeliveryStore(database)
        self.tried: list[bool] = []
        self.notifier = Notifier(
            urls, self.records, self.clock, self._handoff, self._link, self.journal, on_try=self.tried.append
        )

    async def _handoff(self, handoff: HandoffId) -> Mapping[str, Any] | None:
        return self.handoff

    async def _link(self, handoff: Mapping[str, Any]) -> str:
        self.links += 1
        return f"http://127.0.0.1:8700/link#bl_planted-secret-{self.links}"

    async def journalled(self) -> list[Record]:
        """What the journal says."""
        return [record async for record in self.journal.records()]


async def test_a_message_says_what_where_and_how(hook: Hook, database: Database) -> None:
    """The message carries kind, site, the first line of the instructions and a one-use link."""
    bench = Bench(database, hook.url)
    await bench.notifier.announce(HANDOFF)

    await bench.notifier.deliver_due()

    [message] = hook.got
    assert message["title"] == "An agent needs a human: one time code on https://shop.example"
    assert "Type the code from the mail." in message["message"]
    assert "Second line" not in message["message"]
    assert "/link#bl_planted-secret-1" in message["message"]


async def test_a_failed_delivery_is_tried_again(hook: Hook, database: Database) -> None:
    """Failing twice delays it, with a fresh link each time; each try is journalled, and no link in full anywhere."""
    hook.failures = 2
    bench = Bench(database, hook.url)
    await bench.notifier.announce(HANDOFF)
    waits = []
    for _ in range(3):
        waits.append(await bench.notifier.deliver_due())
        bench.clock.time += waits[-1]

    assert waits[:2] == [5.0, 20.0]
    assert len(hook.got) == 3
    assert len({message["message"] for message in hook.got}) == 3
    assert bench.tried == [False, False, True]
    assert await bench.records.pending() == []
    entries = [record.entry for record in await bench.journalled()]
    assert [entry.kind for entry in entries] == ["notify/failed", "notify/failed", "notify/delivered"]
    assert [entry.data["tries"] for entry in entries] == [1, 2, 3]
    assert "planted" not in str(entries)


async def test_it_is_given_up_in_the_end(hook: Hook, database: Database) -> None:
    """After five tries a delivery is given up, and the journal says so."""
    hook.failures = 99
    bench = Bench(database, hook.url)
    await bench.notifier.announce(HANDOFF)
    for _ in range(6):
        bench.clock.time += await bench.notifier.deliver_due()
        bench.clock.time += 300

    assert len(hook.got) == 5
    last = (await bench.journalled())[-1].entry
    assert (last.kind, last.data["final"]) == ("notify/failed", True)


async def test_announcing_again_changes_nothing(hook: Hook, database: Database) -> None:
    """A handoff is not told of twice, but where it has come back to the queue."""
    bench = Bench(database, hook.url)
    for _ in range(2):
        await bench.notifier.announce(HANDOFF)
        await bench.notifier.deliver_due()
    once = len(hook.got)
    await bench.notifier.announce(HANDOFF, again=True)
    await bench.notifier.deliver_due()
    await bench.notifier.deliver_due()

    assert (once, len(hook.got)) == (1, 2)


@pytest.mark.parametrize("state", ["held", "resolved", "cancelled", None])
async def test_nobody_is_told_of_what_is_over(hook: Hook, database: Database, state: str | None) -> None:
    """A handoff that was claimed or has ended meanwhile is not told of any more."""
    bench = Bench(database, hook.url)
    await bench.notifier.announce(HANDOFF)
    bench.handoff = {**HANDOFF, "state": state} if state else None

    await bench.notifier.deliver_due()

    assert hook.got == []
    assert await bench.records.pending() == []


async def test_the_outbox_outlives_the_server(hook: Hook, database: Database) -> None:
    """What was announced before a restart is delivered after it."""
    await Bench(database, hook.url).notifier.announce(HANDOFF)

    await Bench(database, hook.url).notifier.deliver_due()

    assert len(hook.got) == 1


async def test_one_broken_service_does_not_stop_the_others(hook: Hook, database: Database) -> None:
    """An address nobody knows fails by itself, and is named nowhere."""
    bench = Bench(database, "nonsense://hunter2", hook.url)
    await bench.notifier.announce(HANDOFF)
    await bench.notifier.deliver_due()

    assert len(hook.got) == 1
    assert sorted(bench.tried) == [False, True]
    assert "hunter2" not in str([record.entry for record in await bench.journalled()])
    assert {delivery.state for delivery in await bench.records.pending()} == {DeliveryState.PENDING}


async def test_run_delivers_at_once(hook: Hook, database: Database) -> None:
    """The running notifier wakes up for what is announced."""
    bench = Bench(database, hook.url)
    running = asyncio.create_task(bench.notifier.run())
    await bench.notifier.announce(HANDOFF)
    await _until(lambda: bench.tried == [True])
    running.cancel()

    assert len(hook.got) == 1


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - the hook is another thread's
            await asyncio.sleep(0.01)


def test_a_long_first_line_is_cut() -> None:
    """Only so much of the instructions goes out."""
    _, body = compose({**HANDOFF, "instructions": "x" * 500}, "http://l")

    assert "x" * 199 + "…" in body
    assert "x" * 201 not in body
