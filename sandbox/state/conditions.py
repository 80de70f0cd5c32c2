"""Completion conditions: what must hold before a handoff counts as done.

Pure: parsing and composition only. Looking at the browser is `check.py`'s work.
A leaf that could not be judged is neither met nor unmet (`None`), so that `not` never makes a hanging page a success.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sandbox.words import BadRequest

MAX_DEPTH: Final = 8
MAX_PARTS: Final = 50
_MAX_TEXT: Final = 2000
_STARS: Final = re.compile(r"\*+")
_CLASS: Final = re.compile(r"[1-5]xx")
_ESCAPE: Final = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|(.))", re.DOTALL)
_FIELD_STATE: Final = re.compile(
    r"\[[^\]]*value|:(?:-webkit-)?(?:user-)?(?:in)?valid|-range|:placeholder-shown|autofill|:default|:blank",
    re.IGNORECASE,
)


class Presence(StrEnum):
    """What a selector must be: shown, not shown, or in the document at all."""

    VISIBLE = "visible"
    GONE = "gone"
    PRESENT = "present"


@dataclass(frozen=True, slots=True)
class UrlIs:
    """The full URL of the page matches `glob`: `*` stands for any run of characters, everything else for itself."""

    glob: str

    def matches(self, url: str) -> bool:
        """Whether `url` matches as a whole."""
        first, *rest = _STARS.split(self.glob)
        if not rest:
            return url == first
        *middle, last = rest
        end = len(url) - len(last)
        if not url.startswith(first) or not url.endswith(last):
            return False
        # Not by a regular expression: a glob of many stars would keep it trying for ever.
        at = len(first)
        for part in middle:
            found = url.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return at <= end

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"url": self.glob}


@dataclass(frozen=True, slots=True)
class SelectorIs:
    """A CSS selector matches, in any frame and any open shadow root of the page, as `state` says."""

    css: str
    state: Presence

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"selector": self.css, "state": self.state.value}


@dataclass(frozen=True, slots=True)
class CookieSet:
    """A cookie of this name is set for the host of the page."""

    name: str

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"cookie": self.name}


@dataclass(frozen=True, slots=True)
class TextShown:
    """The page shows this text, whatever the case and the white space."""

    text: str

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"text": self.text}


@dataclass(frozen=True, slots=True)
class StorageHas:
    """localStorage or sessionStorage of the page has this key."""

    key: str

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"storage": self.key}


@dataclass(frozen=True, slots=True)
class StatusIs:
    """The server answered with one of these when the page was loaded: 200, or "2xx" for a whole class."""

    codes: tuple[int | str, ...]
    where: UrlIs | None = None
    """What the address must be besides; it may have changed since the page was loaded."""

    def matches(self, status: int) -> bool:
        """Whether `status` is among them."""
        return status in self.codes or f"{status // 100}xx" in self.codes

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form."""
        status = self.codes[0] if len(self.codes) == 1 else list(self.codes)
        return {"status": status, **(self.where.to_wire() if self.where else {})}


@dataclass(frozen=True, slots=True)
class Holds:
    """A JavaScript expression is true on the page: read-only (CDP's throwOnSideEffect), in a world of its own."""

    expression: str

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"predicate": self.expression}


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds."""

    parts: tuple[Condition, ...]

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"all": [part.to_wire() for part in self.parts]}


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple[Condition, ...]

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"any": [part.to_wire() for part in self.parts]}


@dataclass(frozen=True, slots=True)
class Not:
    """The part can be judged and does not hold."""

    part: Condition

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"not": self.part.to_wire()}


type Leaf = UrlIs | SelectorIs | CookieSet | TextShown | StorageHas | StatusIs | Holds
type Condition = Leaf | AllOf | AnyOf | Not


@dataclass(frozen=True, slots=True)
class Finding:
    """What looking for one leaf found; `met` is None where it could not be judged."""

    met: bool | None
    why: str


def parse_condition(data: Mapping[str, Any]) -> Condition:
    """Read the JSON form. Raises `BadRequest` that names the part which is wrong."""
    count = [0]
    return _parse(data, "condition", 1, count)


def leaves(condition: Condition) -> Iterator[Leaf]:
    """Every leaf, in reading order."""
    match condition:
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from leaves(part)
        case Not(part):
            yield from leaves(part)
        case _:
            yield condition


def reads_fields(condition: Condition) -> bool:
    """Whether it could tell something of what stands in a field: where that is secret, it must not be asked."""
    return any(
        isinstance(leaf, Holds) or (isinstance(leaf, SelectorIs) and _FIELD_STATE.search(_unescaped(leaf.css)))
        for leaf in leaves(condition)
    )


def _unescaped(css: str) -> str:
    # CSS Syntax 3, 4.3.7: a backslash before hexadecimal digits, or before the character itself.
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16) % 0x110000) if match[1] else match[2], css)


def judge(condition: Condition, findings: Mapping[Leaf, Finding]) -> bool | None:
    """Whether the whole holds, given what was found for each leaf; None where that cannot be known."""
    match condition:
        case AllOf(parts):
            return _fold([judge(part, findings) for part in parts], decisive=False)
        case AnyOf(parts):
            return _fold([judge(part, findings) for part in parts], decisive=True)
        case Not(part):
            inner = judge(part, findings)
            return None if inner is None else not inner
        case _:
            return findings[condition].met


def report(condition: Condition, findings: Mapping[Leaf, Finding]) -> dict[str, Any]:
    """Return `{"met", "parts": [{"condition", "met", "why"}]}`; a part is a leaf or a negated leaf or group.

    Of a part that could not be judged `met` is None; the whole is not met then.
    """
    return {"met": judge(condition, findings) is True, "parts": list(_parts(condition, findings))}


def _parts(condition: Condition, findings: Mapping[Leaf, Finding]) -> Iterator[dict[str, Any]]:
    match condition:
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from _parts(part, findings)
        case _:
            whys = dict.fromkeys(findings[leaf].why for leaf in leaves(condition))
            met = judge(condition, findings)
            yield {"condition": condition.to_wire(), "met": met, "why": "; ".join(why for why in whys if why)}


def _fold(values: list[bool | None], *, decisive: bool) -> bool | None:
    if decisive in values:
        return decisive
    return None if None in values else not decisive


def _parse(data: Any, path: str, depth: int, count: list[int]) -> Condition:
    count[0] += 1
    if depth > MAX_DEPTH:
        raise BadRequest(f"{path} is nested deeper than {MAX_DEPTH}; flatten it", part=path)
    if count[0] > MAX_PARTS:
        raise BadRequest(f"the condition has more than {MAX_PARTS} parts; ask for fewer", part=path)
    if not isinstance(data, Mapping):
        raise BadRequest(f'{path} must be an object such as {{"url": "*/done"}}', part=path)
    besides = {"state"} if "selector" in data else {"url"} if "status" in data else set()
    keys = set(data) - besides
    if len(keys) != 1 or next(iter(keys)) not in _READERS:
        raise BadRequest(f"{path} must have exactly one of: {', '.join(_READERS)}", part=path)
    key = next(iter(keys))
    return _READERS[key](data, f"{path}.{key}", depth, count)


def _text(data: Mapping[str, Any], path: str) -> str:
    value = data[path.rsplit(".", 1)[1]]
    if not isinstance(value, str) or not value.strip():
        raise BadRequest(f"{path} must be a text that is not empty", part=path)
    if len(value) > _MAX_TEXT:
        raise BadRequest(f"{path} is longer than {_MAX_TEXT} characters", part=path)
    return value


def _selector(data: Mapping[str, Any], path: str, _depth: int, _count: list[int]) -> Condition:
    state = data.get("state", Presence.VISIBLE.value)
    if state not in tuple(Presence):
        raise BadRequest(f"{path}: state must be one of {', '.join(Presence)}", part=path)
    return SelectorIs(_text(data, path), Presence(state))


def _status(data: Mapping[str, Any], path: str, _depth: int, _count: list[int]) -> Condition:
    given = data["status"] if isinstance(data["status"], list) else [data["status"]]
    for each in given:
        good = type(each) is int and 100 <= each <= 599  # noqa: PLR2004 - RFC 9110, 15
        if not (good or (isinstance(each, str) and _CLASS.fullmatch(each))):
            raise BadRequest(f'{path} must be a status such as 200 or "2xx", or a list of them', part=path)
    if not given:
        raise BadRequest(f"{path} must name at least one status", part=path)
    where = UrlIs(_text(data, f"{path.rpartition('.')[0]}.url")) if "url" in data else None
    return StatusIs(tuple(given), where)


def _group(data: Mapping[str, Any], path: str, depth: int, count: list[int]) -> tuple[Condition, ...]:
    value = data[path.rsplit(".", 1)[1]]
    if not isinstance(value, list) or not value:
        raise BadRequest(f"{path} must be a list of at least one condition", part=path)
    return tuple(_parse(part, f"{path}[{index}]", depth + 1, count) for index, part in enumerate(value))


_READERS: Final[dict[str, Callable[[Mapping[str, Any], str, int, list[int]], Condition]]] = {
    "url": lambda data, path, _d, _c: UrlIs(_text(data, path)),
    "selector": _selector,
    "cookie": lambda data, path, _d, _c: CookieSet(_text(data, path)),
    "text": lambda data, path, _d, _c: TextShown(_text(data, path)),
    "storage": lambda data, path, _d, _c: StorageHas(_text(data, path)),
    "status": _status,
    "predicate": lambda data, path, _d, _c: Holds(_text(data, path)),
    "all": lambda data, path, depth, count: AllOf(_group(data, path, depth, count)),
    "any": lambda data, path, depth, count: AnyOf(_group(data, path, depth, count)),
    "not": lambda data, path, depth, count: Not(_parse(data["not"], path, depth + 1, count)),
}
