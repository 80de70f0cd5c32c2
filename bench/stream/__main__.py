"""`make bench-stream`: Baton and every installed peer before the same instruments, in one run.

Options come from the environment as well, so that `make bench-stream LINKS=lan SUBJECTS=baton` works: `LINKS`,
`SUBJECTS`, `REPEAT`, `SAMPLES`, `PEER_SAMPLES`, `EXTRAS` (which further measures; `none` for none), `RESULTS`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench import figures as goals_file
from bench.figures import judge
from bench.stream.extras import EXTRAS, Extras
from bench.stream.lab import BATON, BenchError, Lab, Subject, check_machine, peers, rulers
from bench.stream.machine import about
from bench.stream.plan import LEAD, LINKS, Link, Run, plan
from bench.stream.tables import NAMES, prose
from bench.stream.values import Outcome, figures

SAMPLES: Final = 60
PEER_SAMPLES: Final = 20


def options(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line and the environment. Names nobody knows end the program with a sentence."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    heard = os.environ.get
    parser.add_argument("--links", default=heard("LINKS") or ",".join(link.name for link in LINKS))
    parser.add_argument("--subjects", default=heard("SUBJECTS") or "all", help="all, or names separated by commas")
    parser.add_argument("--repeat", type=int, default=int(heard("REPEAT") or 1), help="how many passes")
    parser.add_argument("-n", type=int, default=int(heard("SAMPLES") or SAMPLES), help="samples of Baton's latencies")
    parser.add_argument("--peer-n", type=int, default=int(heard("PEER_SAMPLES") or PEER_SAMPLES), help="of all others")
    parser.add_argument("--extras", default=heard("EXTRAS") or ",".join(EXTRAS), help="further measures, or none")
    parser.add_argument("--results", type=Path, default=Path(heard("RESULTS") or "var/bench-stream.json"))
    told = parser.parse_args(given)
    told.links = _chosen(parser, "link", told.links, [link.name for link in LINKS])
    told.extras = [] if told.extras == "none" else _chosen(parser, "measure", told.extras, list(EXTRAS))
    return told


def _chosen(parser: argparse.ArgumentParser, what: str, names: str, known: Sequence[str]) -> list[str]:
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in chosen if name not in known]
    if unknown:
        parser.error(f"there is no {what} {', '.join(unknown)}; there are {', '.join(known)}")
    return chosen


def subjects_of(wanted: str, known: Sequence[Subject]) -> list[Subject]:
    """Return the wanted subjects that are there, and say which are not. Raises `BenchError` for unknown names."""
    names = [s.name for s in known] if wanted == "all" else [name.strip() for name in wanted.split(",")]
    unknown = [name for name in names if name not in {s.name for s in known}]
    if unknown:
        raise BenchError(f"there is no subject {', '.join(unknown)}; there are {', '.join(s.name for s in known)}")
    for subject in known:
        if subject.name in names and subject.missing:
            print(f"missing: {NAMES[subject.name]} ({subject.missing})", flush=True)
    return [subject for subject in known if subject.name in names and not subject.missing]


def ways_worth_measuring(subjects: Sequence[Subject], extras: Extras, link: Link) -> list[str]:
    """Return the subjects for a link: of Baton's ways only the one it does not choose there, and none it lacks.

    What it chooses by itself is measured as the lead, with more samples.
    """
    chosen, datagrams = extras.ways.get((link.name, "")), extras.ways.get((link.name, "datagrams"))
    names = []
    for subject in subjects:
        if subject.way == "datagrams" and datagrams == "socket":
            print(f"{link.name}: Baton opened no datagram way here; it is not measured", flush=True)
        elif not subject.way or subject.way != chosen:
            names.append(subject.name)
    return names


def runs(told: argparse.Namespace, subjects: Sequence[Subject], extras: Extras) -> list[Run]:
    """Plan all runs: the subjects differ from link to link."""
    links = [link for link in LINKS if link.name in told.links]
    names = {link.name: ways_worth_measuring(subjects, extras, link) for link in links}
    everyone = [subject.name for subject in subjects]
    return [
        run for run in plan(links, everyone, n=told.n, peer_n=told.peer_n, passes=told.repeat)
        if run.subject in names[run.link]
    ]  # fmt: skip


def measure(told: argparse.Namespace, lab: Lab, subjects: Sequence[Subject], extras: Extras) -> list[Outcome]:
    """Run everything; each result is told as it comes."""
    by_name = {subject.name: subject for subject in subjects}
    by_link = {link.name: link for link in LINKS}
    planned = runs(told, subjects, extras)
    outcomes = []
    for number, run in enumerate(planned, 1):
        outcome = lab.measure(run, by_link[run.link], by_name[run.subject])
        outcomes.append(outcome)
        print(f"[{number}/{len(planned)}] {run.link} {run.subject}: {', '.join(outcome.scenes) or 'nothing'} "
              f"in {outcome.seconds:.0f} s{f' ({outcome.error})' if outcome.error else ''}", flush=True)  # fmt: skip
    return outcomes


def results(told: argparse.Namespace, outcomes: Sequence[Outcome], extras: Extras, seconds: float) -> dict[str, Any]:
    """Return everything that was measured as JSON: what the report and the plot are made from."""
    return {
        **about(),
        "minutes": round(seconds / 60, 1),
        "options": {"links": told.links, "repeat": told.repeat, "n": told.n, "peer_n": told.peer_n},
        "outcomes": [dataclasses.asdict(outcome) for outcome in outcomes],
        "extras": extras.lines,
    }


def main() -> int:
    """Measure, tell, judge. Returns the exit status."""
    told = options()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Also where a shell started this in the background, ignoring the first: netlab.py is ended by it, and inherits.
        signal.signal(number, signal.default_int_handler)
    began = time.monotonic()
    try:
        check_machine()
        directory = rulers()
        subjects = subjects_of(told.subjects, [*BATON, *peers(directory)])
    except BenchError as error:
        print(f"bench-stream: {error}", file=sys.stderr)
        return 1
    log = Path(tempfile.mkdtemp(prefix="bench-stream-")) / "log"
    log.touch()
    print(f"what servers and instruments say: {log}", flush=True)
    lab, extras = Lab(directory, log), Extras()
    if LEAD in {subject.name for subject in subjects}:
        extras.measure(lab, [link for link in LINKS if link.name in told.links], told.extras)
    outcomes = measure(told, lab, subjects, extras)
    found = results(told, outcomes, extras, time.monotonic() - began)
    told.results.parent.mkdir(parents=True, exist_ok=True)
    told.results.write_text(json.dumps(found, indent=1) + "\n")
    wanted = json.loads(goals_file.GOALS.read_text())["stream"]
    print(prose(found, wanted))
    print(f"raw results: {told.results}; `make bench-stream-report` writes docs/stream-results.md from them\n")
    return judge("stream", figures(outcomes, wanted, extras.figures()))


if __name__ == "__main__":
    raise SystemExit(main())
