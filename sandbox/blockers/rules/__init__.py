r"""What we know of blockers, as data: every `.toml` here but words.toml is a list of rules.

    [[rule]]
    name = "hcaptcha"            # unique
    kind = "captcha"             # a word of BlockerKind
    sort = "hcaptcha"
    scope = "page"               # what is judged: "page", every "form", or every "overlay" of it
    bias = -4.0                  # the score when nothing speaks for it
    general = false              # true: not told when a rule that is not general found the same kind
    evidence = [                 # each that holds adds its weight, once
      {css = ".h-captcha[data-sitekey]", weight = 7.0, why = "an hCaptcha widget"},
      {see = "iframe", like = "hcaptcha\\.com/", weight = 7.0, why = "hCaptcha's frame"},
      {see = "passwords", low = 1, high = 1, weight = 2.0, why = "one password field"},
    ]
    examples = ['<div class="h-captcha" data-sitekey="k">…</div>']   # pages on which it must be found…
    against = ['<p>protected by hCaptcha</p>']                       # …and on which it must not

The confidence is the logistic function of the score: 0 is 0.5, 2 is 0.88, 4 is 0.98.
`see` names a feature (see `features.py`): of texts, of which one must match `like` (a regular expression, any case), or
a number from `low` to `high`. `{list}` as an alternative of a pattern stands for the words of a list of words.toml,
which with `whole = true` must be all of a text; with `of` a text must match that pattern too. `css` wants an element in
any frame, visible unless `hidden = true`. `not = true` turns evidence round. An example may also set `url`, `status`,
`headers`: `{html = "…", status = 429}`. `refine` names finer sorts, of which the first that matches is told:
`{sort = "sms", see = "page.text", like = "{by_message}"}`. The tests run every example, and a rule without one fails
them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.resources import files
from typing import Any, Final

from sandbox.blockers.matching import Matcher, Words
from sandbox.blockers.words import BlockerKind

_A_LIST: Final = re.compile(r"\{[a-z_]+\}")
_COUNTS: Final = re.compile(r"\{\d+(,\d*)?\}")


class Scope(StrEnum):
    """What a rule judges."""

    PAGE = "page"
    FORM = "form"
    OVERLAY = "overlay"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that speaks for a rule (or, with a negative weight, against it)."""

    weight: float
    why: str
    see: str = ""
    like: Matcher | None = None
    low: float = float("-inf")
    high: float = float("inf")
    css: str = ""
    hidden: bool = False
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Refinement:
    """A finer sort, for when a feature's texts match."""

    sort: str
    see: str
    like: Matcher


@dataclass(frozen=True, slots=True)
class Example:
    """A page for a rule's test: markup, and what the browser would say of it."""

    html: str
    url: str = "https://site.example/page"
    status: int | None = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; see the module's text."""

    name: str
    kind: BlockerKind
    sort: str
    scope: Scope
    bias: float
    evidence: tuple[Evidence, ...]
    general: bool
    refine: tuple[Refinement, ...]
    examples: tuple[Example, ...]
    against: tuple[Example, ...]


def read_words(text: str) -> dict[str, tuple[str, ...]]:
    """Read a file in the form of words.toml: for each list the words of all its languages."""
    lists = tomllib.loads(text)
    return {name: tuple(word for words in by.values() for word in words) for name, by in lists.items()}


def read_rules(text: str, words: Mapping[str, tuple[str, ...]]) -> list[Rule]:
    """Read a list of rules. Raises `ValueError` or `KeyError` that names what is wrong."""
    rules = []
    for raw in tomllib.loads(text)["rule"]:
        evidence = tuple(_evidence(each, words) for each in raw["evidence"])
        rules.append(
            Rule(
                raw["name"], BlockerKind(raw["kind"]), raw["sort"], Scope(raw.get("scope", "page")), raw["bias"],
                evidence, raw.get("general", False),
                tuple(
                    Refinement(each["sort"], each["see"], _matcher(each, words))
                    for each in raw.get("refine", ())
                ),
                _examples(raw.get("examples", ())), _examples(raw.get("against", ())),
            )
        )  # fmt: skip
    return rules


def _evidence(raw: dict[str, Any], words: Mapping[str, tuple[str, ...]]) -> Evidence:
    return Evidence(
        weight=raw["weight"], why=raw["why"], see=raw.get("see", ""),
        like=_matcher(raw, words) if "like" in raw else None,
        low=raw.get("low", float("-inf")), high=raw.get("high", float("inf")), css=raw.get("css", ""),
        hidden=raw.get("hidden", False), negated=raw.get("not", False),
    )  # fmt: skip


def _matcher(raw: Mapping[str, Any], words: Mapping[str, tuple[str, ...]]) -> Matcher:
    parts = raw["like"].split("|")
    lists = [part[1:-1] for part in parts if _A_LIST.fullmatch(part)]
    rest = "|".join(part for part in parts if not _A_LIST.fullmatch(part))
    if "{" in _COUNTS.sub("", rest):
        raise ValueError(f"{raw['like']}: a list of words must be an alternative of its own")
    return Matcher(
        Words(word for name in lists for word in words[name]),
        re.compile(rest, re.IGNORECASE) if rest else None,
        re.compile(raw["of"], re.IGNORECASE) if "of" in raw else None,
        whole=raw.get("whole", False),
    )


def _examples(raw: Any) -> tuple[Example, ...]:
    return tuple(Example(each) if isinstance(each, str) else Example(**each) for each in raw)


def _load() -> tuple[Rule, ...]:
    here = files("sandbox.blockers.rules")
    words = read_words(here.joinpath("words.toml").read_text(encoding="utf-8"))
    rules = []
    for each in sorted(here.iterdir(), key=lambda each: each.name):
        if each.name.endswith(".toml") and each.name != "words.toml":
            rules.extend(read_rules(each.read_text(encoding="utf-8"), words))
    return tuple(rules)


IMAGES: Final = (
    r"captcha|securimage|verif|vcode|seccode|seccheck|authcode|checkcode|turing|antispam|human|security.?code"
)
"""Which images scan.js reports: those that may be a CAPTCHA's."""

RULES: Final = _load()
"""All rules."""
