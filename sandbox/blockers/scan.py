"""The script that reads a document's facts, made ready with what the rules want looked for."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Final

from sandbox.blockers.rules import IMAGES, RULES

_SCRIPT: Final = files("sandbox.blockers").joinpath("scan.js").read_text(encoding="utf-8").rstrip()
_MARKS: Final = [
    {"name": f"{rule.name}/{number}", "css": each.css}
    for rule in RULES
    for number, each in enumerate(rule.evidence)
    if each.css
]

SOURCE: Final = f"{_SCRIPT}({json.dumps({'marks': _MARKS, 'images': IMAGES})})"
"""An expression for `Runtime.evaluate` in Baton's isolated world of any frame, `returnByValue`; its value is what
`facts.Scan.from_wire` reads. Reads only; takes a few milliseconds; bounded in time and size by the counts it names."""
