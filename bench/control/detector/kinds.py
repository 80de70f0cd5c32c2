"""Pages of the other kinds, made for measuring only: wordings of ten languages in the markup of several frameworks.

`pages.toml` has both. They are worded as large sites word theirs, not out of the rules' lists, and no rule has been
tuned on them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any, Final

_PAGES: Final[dict[str, Any]] = tomllib.loads(Path(__file__).with_name("pages.toml").read_text(encoding="utf-8"))
_FILLS: Final = 5
_STATUS: Final = {"not found": 404, "broken": 500}


@dataclass(frozen=True, slots=True)
class Made:
    """A page, what it is (a kind and a sort; "" for nothing), and what the browser would say of it.

    `scripts` are those it may load, by address.
    """

    name: str
    kind: str
    sort: str
    html: str
    url: str = "https://www.site.example/a/b"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    scripts: dict[str, str] = field(default_factory=dict)


def made() -> list[Made]:
    """Return all pages that block."""
    return [*_codes(), *_passkeys(), *_cards(), *_banks(), *_consents(), *_refusals()]


def plain() -> list[Made]:
    """Return the pages that only look alike and block nobody."""
    return [
        Made(f"{name} {layout}", "", "", _page(layout, "en", title, _filled(body)), status=_STATUS.get(name, 200))
        for name, (title, body) in _PAGES["plain"].items()
        for layout in ("bootstrap", "table")
    ]


def _filled(markup: str, **words: str) -> str:
    own = _PAGES["markup"]
    return Template(markup).safe_substitute(words, nav=own["nav"], fill=own["fill"] * _FILLS)


def _body(name: str, **words: str) -> str:
    return _filled(_PAGES["markup"][name], **words)


def _page(layout: str, language: str, title: str, body: str) -> str:
    return _body(layout, language=language, title=title, body=body)


def _codes() -> Iterator[Made]:
    for language, (title, text, label, button, sort) in _PAGES["wording"]["code"].items():
        for markup, layout in (("code_one", "bootstrap"), ("code_named", "table"), ("code_six", "component")):
            page = _page(layout, language, title, _body(markup, text=text, label=label, button=button))
            yield Made(f"{markup} {language}", "one_time_code", sort, page, "https://id.site.example/step2")


def _passkeys() -> Iterator[Made]:
    for language, (title, text) in _PAGES["wording"]["passkey"].items():
        for layout in ("bootstrap", "component"):
            page = _page(layout, language, title, _body("passkey", text=text))
            yield Made(f"passkey {layout} {language}", "passkey", "passkey", page)


def _cards() -> Iterator[Made]:
    for language, (title, number, holder, expiry, code, button) in _PAGES["wording"]["card"].items():
        for markup, layout in (("card_plain", "bootstrap"), ("card_auto", "component")):
            body = _body(markup, number=number, holder=holder, expiry=expiry, code=code, button=button)
            yield Made(f"{markup} {language}", "payment", "card", _page(layout, language, title, body))


def _banks() -> Iterator[Made]:
    for language, (title, text) in _PAGES["wording"]["bank"].items():
        page = _page("bootstrap", language, title, _body("bank", text=text))
        yield Made(f"bank {language}", "payment", "three_d_secure", page)
        bare = _body("bank_bare", title=title, text=text)
        yield Made(f"bank_bare {language}", "payment", "three_d_secure", bare, "https://acs2.issuer.example/acs/auth")


def _consents() -> Iterator[Made]:
    for language, (title, text, yes, no) in _PAGES["wording"]["cookies"].items():
        for markup in ("consent_modal", "consent_shadow"):
            page = _body(markup, language=language, title=title, text=text, yes=yes, no=no)
            yield Made(f"{markup} {language}", "consent", "cookie_consent", page)


def _refusals() -> Iterator[Made]:
    kind = "blocked_page"
    for language, (title, text) in _PAGES["wording"]["denied"].items():
        page = _page("bootstrap", language, title, _body("refused", text=text))
        yield Made(f"denied {language}", kind, "access_denied", page, status=403)
        yield Made(f"denied_bare {language}", kind, "access_denied", _body("denied_bare", title=title, text=text))
    for language, (title, text) in _PAGES["wording"]["limited"].items():
        page = _page("bootstrap", language, title, _body("refused", text=text))
        yield Made(f"limited {language}", kind, "rate_limited", page, status=429)
        bare = _body("limited_bare", title=title, text=text)
        yield Made(f"limited_bare {language}", kind, "rate_limited", bare, status=503, headers={"retry-after": "60"})
