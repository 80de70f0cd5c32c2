"""`python -m bench.control.diff [--session NAME]…`: play sessions, print what was missed or claimed wrongly."""

from __future__ import annotations

import argparse
import asyncio

from bench.control.diff import SESSIONS, judged, run

parser = argparse.ArgumentParser(prog="python -m bench.control.diff", description=__doc__)
parser.add_argument("--session", action="append", choices=[each.name for each in SESSIONS], metavar="NAME")
wanted = parser.parse_args().session
chosen = [each for each in SESSIONS if not wanted or each.name in wanted]
for figure in judged(asyncio.run(run(chosen))):
    print(f"{figure.name} {figure.value:.3f} (n={figure.n})")
