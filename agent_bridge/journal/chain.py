"""The chain: each record's digest covers the one before it, so that nothing can be changed, cut out or put in unseen.

What it cannot show by itself is a tail cut off; whoever must exclude that keeps the last digest elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from agent_bridge.journal.words import MAX_DATA, Entry, ForbiddenData, Record

GENESIS: Final = "0" * 64
"""What the first record calls its predecessor."""


def canonical(entry: Entry) -> str:
    """Return the one JSON text that stands for an entry: sorted keys, no blanks, UTF-8."""
    return json.dumps(
        {
            "actor": entry.actor, "at": entry.at, "data": entry.data, "handoff": entry.handoff, "kind": entry.kind,
            "sandbox": entry.sandbox,
        },
        sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False,
    )  # fmt: skip


def digest(previous: str, seq: int, text: str) -> str:
    """Return the digest of the record `seq` whose canonical entry is `text`."""
    return hashlib.sha256(f"{previous}\n{seq}\n{text}".encode()).hexdigest()


def link(previous: str, seq: int, entries: Iterable[Entry]) -> Iterator[Record]:
    """Chain entries after the record `seq` whose digest is `previous`. Raises `ForbiddenData` for one too long."""
    for entry in entries:
        text = canonical(entry)
        if len(text) > MAX_DATA:
            raise ForbiddenData(f"{entry.kind}: a record has at most {MAX_DATA} bytes", event=entry.kind)
        seq += 1
        own = digest(previous, seq, text)
        yield Record(seq, entry, previous, own)
        previous = own


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a walk along the chain found. `broken_at` is the first record that does not fit, `why` the reason."""

    records: int
    last: str
    broken_at: int | None = None
    why: str = ""

    @property
    def intact(self) -> bool:
        """Whether every record fits."""
        return self.broken_at is None


class Walk:
    """Verifies a chain record by record, so that a long one needs no memory."""

    def __init__(self) -> None:
        self._seq = 0
        self._last = GENESIS
        self._broken: tuple[int, str] | None = None

    def see(self, record: Record) -> bool:
        """Take the next record; False when the chain is broken, here or before."""
        if self._broken is None:
            if record.seq != self._seq + 1:
                self._broken = (self._seq + 1, f"record {self._seq + 1} is missing")
            elif record.previous != self._last:
                self._broken = (record.seq, "it does not follow the record before it")
            elif record.digest != digest(record.previous, record.seq, canonical(record.entry)):
                self._broken = (record.seq, "its content was changed")
            else:
                self._seq, self._last = record.seq, record.digest
        return self._broken is None

    def verdict(self) -> Verdict:
        """Return what was found so far."""
        at, why = self._broken or (None, "")
        return Verdict(self._seq, self._last, at, why)
