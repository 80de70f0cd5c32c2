"""Control measured at full length: `make bench-control`, or `python -m bench.control PART…` for some parts."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import time
from types import MappingProxyType
from typing import Final

from bench.figures import Figure, judge

PARTS: Final = MappingProxyType(
    {
        "race": "Unmodified clients race with transfers of control",
        "broker": "10,000 open handoffs, 200 claims a second",
        "gate": "What the gate costs an agent",
        "diff": "What a human changed, told to the agent",
        "detector": "Blockers on pages that somebody has labelled",
    }
)
"""Each is a module here with `async def measure() -> list[Figure]`, measured in this order."""


async def main(parts: list[str]) -> int:
    """Measure, print, judge. Returns the exit status."""
    figures: list[Figure] = []
    for name in parts:
        print(f"{PARTS[name]}:", flush=True)
        began = time.monotonic()
        figures += await importlib.import_module(f"bench.control.{name}").measure()
        print(f"  ({time.monotonic() - began:.0f} s)\n", flush=True)
    return judge("control", figures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.control", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="which to measure; all where none is named")
    chosen = parser.parse_args().parts or list(PARTS)
    raise SystemExit(asyncio.run(main(chosen)))
