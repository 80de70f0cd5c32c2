"""What a human changed, told to the agent.

`sessions` are scripted humans, `own` and `real` those that there are, each with its `truth`; `play` plays them and
`judge` compares. `leaks` plants secrets, `handoffs` looks for them in what a server writes, `times` takes the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.control.diff import handoffs, times
from bench.control.diff.own import OWN
from bench.control.diff.play import Played, play
from bench.control.diff.real import REAL
from bench.control.diff.sessions import Session
from bench.figures import Figure

SESSIONS: tuple[Session, ...] = (*OWN, *REAL)


async def run(sessions: Sequence[Session]) -> list[Played]:
    """Play sessions and print what was missed or claimed wrongly in each. Raises `SystemExit` where one fell over."""
    played, broken = [], []
    async for each in play(sessions):
        if isinstance(each, Played):
            played.append(each)
            tell(each)
        else:
            session, error = each
            broken.append(session.name)
            print(f"  BROKEN {session.name}: {type(error).__name__}: {error}", flush=True)
    if broken:
        raise SystemExit(f"sessions that could not be played: {', '.join(broken)}")
    return played


def tell(played: Played) -> None:
    """Print one session."""
    verdict = played.verdict
    good = not verdict.missed and not verdict.wrong and not played.leaked
    print(f"  {'ok    ' if good else 'DIFFER'} {played.session.name} ({played.seconds:.1f} s)", flush=True)
    for change in verdict.missed:
        words = (change.kind, change.op, repr(change.what), change.role, repr(change.value) if change.value else "")
        print("     missed:", *filter(None, words))
    for claim in verdict.wrong:
        words = (claim.kind, claim.op, repr(claim.what), claim.role, repr(claim.value) if claim.value else "")
        print("     wrong: ", *filter(None, words), flush=True)
    if played.leaked:
        print(f"     LEAKED: {len(played.leaked)} of {len(played.planted)} secrets", flush=True)


def judged(played: Sequence[Played]) -> list[Figure]:
    """Precision and recall over all changes of all sessions (micro-averaged), and how many planted secrets got out.

    n is the number of sessions; each has secrets in a cookie and in storage, and many have one that is typed.
    """
    found = sum(len(each.verdict.found) for each in played)
    wrong = sum(len(each.verdict.wrong) for each in played)
    missed = sum(len(each.verdict.missed) for each in played)
    return [
        Figure("diff_precision", found / max(1, found + wrong), "share", len(played)),
        Figure("diff_recall", found / max(1, found + missed), "share", len(played)),
        Figure("diff_secrets_leaked", sum(len(each.leaked) for each in played), "secrets", len(played)),
    ]


async def measure() -> list[Figure]:
    """Play every session and judge, do a handoff of each kind through a real server, take times; prints each."""
    precision, recall, leaks = judged(await run(SESSIONS))
    elsewhere = await handoffs.found()
    print(f"  a handoff of each of {len(handoffs.KINDS)} kinds through a server: {len(elsewhere)} secrets found")
    for line in elsewhere:
        print(f"     LEAKED: {line}", flush=True)
    return [precision, recall, replace(leaks, value=leaks.value + len(elsewhere)), *await times.measure()]
