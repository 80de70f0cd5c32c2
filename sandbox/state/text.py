"""The state diff as a text for a language model: at most 6,000 characters, what matters first, always the same. Pure.

Everything a page may have written is quoted and kept on one line, so that a page cannot pass its words off as ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

LIMIT: Final = 6000
_QUOTED: Final = 100
_FEW: Final = 8
_EXAMPLES: Final = 3
_STALE: Final = 4
_SIGN_IN: Final = re.compile(r"sess|sid$|^sid|auth|token|login|user|account|remember|jwt", re.IGNORECASE)
_TELLING: Final = ("alert", "alertdialog", "dialog", "status")


def text(diff: Mapping[str, Any]) -> str:
    """Return the text of a diff made by `diff.diff`."""
    lines = [_where(diff), *_signed_in(diff)]
    first = len(lines)
    own, diff = _noise(diff), _without_noise(diff)
    if diff.get("no_snapshot_before"):
        lines.append("There was no snapshot before the handoff, so what changed is not known. Look at the page again.")
    for section in _SECTIONS:
        lines.extend(section(diff))
    if len(lines) == first:
        lines.append("Nothing changed while the human had control" + (", but by itself." if own else "."))
    return _fit([*lines, *own])


def _signed_in(diff: Mapping[str, Any]) -> list[str]:
    before, after = diff["signed_in"]["before"], diff["signed_in"]["after"]
    if after is not None:
        line = (
            "Signed in: the page offers to sign out" if after else "Not signed in, it seems: this is a form to sign in"
        )
        return [line + ("." if before == after else ", as it did not before." if after else ", as it was not before.")]
    if before is None:
        return []
    if before:
        return ["The page no longer offers to sign out."]
    new = any(_SIGN_IN.search(each["name"]) for each in diff["cookies"]["added"])
    return [f"The form to sign in is gone{', and a cookie of a sign-in is new' if new else ''}."]


def _without_noise(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _without_noise(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_without_noise(each) for each in data if not (isinstance(each, Mapping) and each.get("noise"))]
    return data


def _noise(diff: Mapping[str, Any]) -> list[str]:
    """One line about what the page moved by itself."""
    groups = {
        "tab(s)": [*diff["tabs"]["navigated"], *diff["tabs"]["reloaded"]],
        "element(s)": [each for entries in diff["elements"].values() for each in entries],
        "cookie(s)": [each for entries in diff["cookies"].values() for each in entries],
        "key(s) of storage": [each for entries in diff["storage"].values() for each in entries],
    }
    counted = {what: [each for each in entries if each.get("noise")] for what, entries in groups.items()}
    shown = [f"{len(entries)} {what}" for what, entries in counted.items() if entries]
    if not shown:
        return []
    names = [_quote(each.get("after") or each.get("name"), 40) for each in counted["element(s)"][:_EXAMPLES]]
    return [f"The page also changed by itself: {', '.join(shown)}{', as ' + ', '.join(names) if names else ''}."]


def _fit(lines: Sequence[str]) -> str:
    kept: list[str] = []
    room = LIMIT - 60
    for index, line in enumerate(lines):
        if len(line) + 1 > room:
            kept.append(f"…and {len(lines) - index} more lines; the diff as data has them all.")
            break
        kept.append(line)
        room -= len(line) + 1
    return "\n".join(kept)


def _quote(value: Any, limit: int = _QUOTED) -> str:
    plain = " ".join("".join(c if c.isprintable() else " " for c in str(value or "")).split())
    return json.dumps(plain if len(plain) <= limit else plain[: limit - 1] + "…", ensure_ascii=False)


def _link(url: Any) -> str:
    """A URL as it is, unless it could be mistaken for something else."""
    plain = str(url or "about:blank")
    return plain if len(plain) <= 2 * _QUOTED and plain.isprintable() and " " not in plain else _quote(plain, 200)


def _block(head: str, lines: Iterable[str], few: int = _FEW) -> list[str]:
    listed = list(lines)
    if not listed:
        return []
    more = [f"- …and {len(listed) - few} more"] if len(listed) > few else []
    return [head, *(f"- {line}" for line in listed[:few]), *more]


def _where(diff: Mapping[str, Any]) -> str:
    url = diff["url"]
    if url["after"] is None:
        return "No tab is open."
    here = f"You are now at {_link(url['after'])}, title {_quote(url['title'])}"
    return f"{here} (before: {_link(url['before'])})." if url["before"] not in {None, url["after"]} else f"{here}."


def _tabs(diff: Mapping[str, Any]) -> list[str]:
    tabs = diff["tabs"]
    moved = [
        f"{_link(each['from'])} → {_link(each['to'])}, title {_quote(each['title'])}"
        if "only" not in each
        else f"{_link(each['to'])}: query or fragment changed"
        for each in tabs["navigated"]
    ]
    return [
        *_block("Tabs opened:", (f"{_link(each['url'])}, title {_quote(each['title'])}" for each in tabs["opened"])),
        *_block("Tabs closed:", (f"{_link(each['url'])}, title {_quote(each['title'])}" for each in tabs["closed"])),
        *_block("Tabs navigated:", moved),
        *_block("Tabs reloaded:", (_link(each["url"]) for each in tabs["reloaded"])),
    ]


def _documents(diff: Mapping[str, Any]) -> list[str]:
    replaced = dict.fromkeys(_link(each["frame"] or each["url"]) for each in diff["documents"]["replaced"])
    if not replaced:
        return []
    more = f" and {len(replaced) - _STALE} more" if len(replaced) > _STALE else ""
    return [f"Replaced, so that what you know of its elements is stale: {', '.join(list(replaced)[:_STALE])}{more}."]


def _messages(diff: Mapping[str, Any]) -> list[str]:
    elements = diff["elements"]
    added = [f"{each['role']} {_quote(each['name'], 200)}" for each in elements["added"] if each["role"] in _TELLING]
    changed = [
        f"{each['role']} now {_quote(each['after'], 200)}" for each in elements["changed"] if each["role"] in _TELLING
    ]
    return _block("The page now says:", added + changed)


def _dialogs(diff: Mapping[str, Any]) -> list[str]:
    return _block(
        "Browser dialogs answered:",
        (f"{each['kind']} of {_link(each['origin'])}, {_accepted(each)}" for each in diff["dialogs"]),
    )


def _accepted(dialog: Mapping[str, Any]) -> str:
    return "accepted" if dialog["accepted"] else "dismissed"


def _downloads(diff: Mapping[str, Any]) -> list[str]:
    return _block("Downloads:", (f"{_quote(d['name'])}, {d['state']}, {d['size']} bytes" for d in diff["downloads"]))


def _fields(diff: Mapping[str, Any]) -> list[str]:
    def line(each: Mapping[str, Any]) -> str:
        where = f" in frame {_link(each['frame'])}" if each["frame"] else ""
        name = f"{each['role']} {_quote(each['label'])}{where}"
        if each.get("secret"):
            return f"{name}: {each['change']} (secret)"
        return f"{name}: {_quote(each['before'])} → {_quote(each['after'])}"

    return _block("Form fields changed:", map(line, diff["fields"]), 15)


def _cookies(diff: Mapping[str, Any]) -> list[str]:
    lines = []
    for change, entries in diff["cookies"].items():
        ranked = sorted(entries, key=lambda each: (not _SIGN_IN.search(each["name"]), each["name"], each["domain"]))
        if ranked:
            shown = ", ".join(f"{_quote(each['name'], 60)} ({each['domain'][:60]})" for each in ranked[:_FEW])
            more = f" …and {len(ranked) - _FEW} more" if len(ranked) > _FEW else ""
            lines.append(f"Cookies {change}: {shown}{more}")
    return lines


def _unfinished(diff: Mapping[str, Any]) -> list[str]:
    return _block("Still under way:", (_what(each) for each in diff["unfinished"]))


def _what(each: Mapping[str, Any]) -> str:
    return f"{each['kind']} {_quote(each['what'])}" if each["what"] != each["kind"] else each["kind"]


def _elements(diff: Mapping[str, Any]) -> list[str]:
    def rank(each: Mapping[str, Any]) -> int:
        return 0 if each["role"] == "heading" else 2 if each["role"] == "text" else 1

    def names(entries: Sequence[Mapping[str, Any]]) -> list[str]:
        return [f"{each['role']} {_quote(each['name'])}" for each in sorted(entries, key=rank)]

    elements = diff["elements"]
    changed = [
        f"{each['role']} {_quote(each['before'])} → {_quote(each['after'])}"
        for each in sorted(elements["changed"], key=rank)
        if each["role"] not in _TELLING
    ]
    return [
        *_block("Appeared:", names([each for each in elements["added"] if each["role"] not in _TELLING]), 12),
        *_block("Changed:", changed),
        *_block("Gone:", names(elements["removed"])),
    ]


def _storage(diff: Mapping[str, Any]) -> list[str]:
    lines = []
    for change, entries in diff["storage"].items():
        shown = ", ".join(
            f"{_quote(each['key'], 60)} ({each['area']}, {_link(each['origin'])})" for each in entries[:5]
        )
        more = f" …and {len(entries) - 5} more" if len(entries) > 5 else ""  # noqa: PLR2004 - as many as are shown
        lines.extend([f"Storage {change}: {shown}{more}"] if entries else [])
    return lines


def _left_out(diff: Mapping[str, Any]) -> list[str]:
    left = dict(diff["left_out"])
    silent = left.pop("silent_tabs", [])
    lines = [f"{len(silent)} tab(s) did not answer, so what changed in them is not known."] if silent else []
    if left:
        lines.append("Left out: " + ", ".join(f"{count} {what}" for what, count in left.items()) + ".")
    return lines


_SECTIONS: Final[tuple[Callable[[Mapping[str, Any]], list[str]], ...]] = (
    _tabs, _messages, _dialogs, _downloads, _fields, _cookies, _unfinished, _elements, _storage, _documents, _left_out,
)  # fmt: skip
