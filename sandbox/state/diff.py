"""What changed between two snapshots. Pure; values of cookies, storage and secret fields are never in the result."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sandbox.state.roles import LIVE, TICKED
from sandbox.state.snapshot import Element, Snapshot, TabState

SHOWN: Final = 200
_MOST: Final = 500


@dataclass(frozen=True, slots=True)
class Notes:
    """What happened in between that two snapshots cannot show."""

    secret: bool = False
    """Whether all text the operator typed is secret."""
    downloads: tuple[Mapping[str, Any], ...] = ()
    dialogs: tuple[Mapping[str, Any], ...] = ()


def diff(before: Snapshot | None, after: Snapshot, notes: Notes) -> dict[str, Any]:
    """Return what changed.

    Without a snapshot before: only where the sandbox is now, and `"no_snapshot_before": true`.
    """
    now = after.current
    result: dict[str, Any] = {
        "url": {"before": None, "after": now.url if now else None, "title": now.title[:SHOWN] if now else ""},
        "tabs": {"opened": [], "closed": [], "navigated": [], "reloaded": []},
        "cookies": {"added": [], "removed": [], "changed": []},
        "storage": {"added": [], "removed": [], "changed": []},
        "fields": [],
        "elements": {"added": [], "removed": [], "changed": []},
        "downloads": [dict(note) for note in notes.downloads],
        "dialogs": [dict(note) for note in notes.dialogs],
        "unfinished": _unfinished(after, notes),
        "left_out": {},
    }
    if before is None:
        result["no_snapshot_before"] = True
        return result
    was = before.current
    result["url"]["before"] = was.url if was else None
    left: Counter[str] = Counter()
    _tabs(before, after, result["tabs"])
    result["cookies"] = _named(before.cookies, after.cookies, ("name", "domain", "path"), left)
    result["storage"] = _named(before.storage, after.storage, ("origin", "area", "key"), left)
    earlier = {tab.target: tab for tab in before.tabs}
    silent = []
    for tab in after.tabs:
        old = earlier.get(tab.target) or TabState(tab.target, "", b"", "")
        left.update(tab.left_out)
        if not tab.answered or not old.answered:
            silent.append(tab.target)
            continue
        _fields(old, tab, notes.secret, result["fields"])
        _elements(old, tab, result["elements"])
    _cut(result, left)
    result["left_out"] = {**dict(sorted(left.items())), **({"silent_tabs": silent} if silent else {})}
    return result


def is_empty(result: Mapping[str, Any]) -> bool:
    """Whether nothing changed (what is left out or unfinished aside)."""
    lists = [result["fields"], result["downloads"], result["dialogs"]]
    for group in ("tabs", "cookies", "storage", "elements"):
        lists.extend(result[group].values())
    return not any(lists) and not result.get("no_snapshot_before")


def _tabs(before: Snapshot, after: Snapshot, result: dict[str, list[Any]]) -> None:
    old, new = ({tab.target: tab for tab in each.tabs} for each in (before, after))
    for target, tab in new.items():
        was = old.get(target)
        if was is None:
            result["opened"].append({"tab": target, "url": tab.url, "title": tab.title[:SHOWN]})
        elif was.address != tab.address:
            moved = {"tab": target, "from": was.url, "to": tab.url, "title": tab.title[:SHOWN]}
            result["navigated"].append(moved if was.url != tab.url else {**moved, "only": "query or fragment"})
        elif was.document != tab.document and was.answered and tab.answered:
            result["reloaded"].append({"tab": target, "url": tab.url})
    result["closed"] = [
        {"tab": target, "url": tab.url, "title": tab.title[:SHOWN]} for target, tab in old.items() if target not in new
    ]


def _named(
    before: Mapping[tuple[str, str, str], bytes],
    after: Mapping[tuple[str, str, str], bytes],
    names: tuple[str, str, str],
    left: Counter[str],
) -> dict[str, list[dict[str, str]]]:
    def listed(keys: Iterable[tuple[str, str, str]]) -> list[dict[str, str]]:
        ordered = sorted(keys)
        left.update({"cookies and storage": max(0, len(ordered) - _MOST)} if len(ordered) > _MOST else {})
        return [dict(zip(names, (part[:SHOWN] for part in key), strict=True)) for key in ordered[:_MOST]]

    return {
        "added": listed(after.keys() - before.keys()),
        "removed": listed(before.keys() - after.keys()),
        "changed": listed(key for key in before.keys() & after.keys() if before[key] != after[key]),
    }


def _fields(old: TabState, new: TabState, secret_lease: bool, result: list[Any]) -> None:
    by_node = {field.node: field for field in old.fields}
    by_place = dict(zip(_places(old), old.fields, strict=True)) if old.url == new.url else {}
    for place, field in zip(_places(new), new.fields, strict=True):
        was = by_node.get(field.node) or by_place.get(place)
        if was is not None and was.digest == field.digest:
            continue
        if was is None and (field.default or not field.filled):
            continue
        if was is None and field.role in TICKED and field.shown == "unchecked":
            continue
        entry: dict[str, Any] = {
            "tab": new.target,
            "frame": field.frame,
            "label": field.label[:SHOWN],
            "role": field.role,
        }
        if field.secret or (was is not None and was.secret) or (secret_lease and field.typed):
            filled = was is not None and was.filled
            change = "emptied" if not field.filled else "changed" if filled else "filled"
            result.append({**entry, "secret": True, "change": change})
        else:
            result.append({**entry, "before": was.shown[:SHOWN] if was else "", "after": field.shown[:SHOWN]})


def _places(tab: TabState) -> list[tuple[str, str, str, int]]:
    seen: Counter[tuple[str, str, str]] = Counter()
    places = []
    for field in tab.fields:
        key = (field.frame, field.role, field.label)
        places.append((*key, seen[key]))
        seen[key] += 1
    return places


def _elements(old: TabState, new: TabState, result: dict[str, list[Any]]) -> None:
    """Equal role and name cancel out first: what a page merely redraws or reorders has not changed."""
    gone, come = _rest(old.elements, new.elements), _rest(new.elements, old.elements)
    earlier = {element.node: element for element in gone}
    for element in come:
        was = earlier.get(element.node)
        if was is not None and was.role == element.role:
            del earlier[element.node]
            result["changed"].append(
                {"role": element.role, "before": was.name[:SHOWN], "after": element.name[:SHOWN], "tab": new.target}
            )
        else:
            result["added"].append({"role": element.role, "name": element.name[:SHOWN], "tab": new.target})
    left = set(earlier)
    result["removed"].extend(
        {"role": element.role, "name": element.name[:SHOWN], "tab": new.target}
        for element in gone
        if element.node in left
    )


def _rest(these: tuple[Element, ...], others: tuple[Element, ...]) -> list[Element]:
    """Return the elements of `these` that are left when equal ones in `others` are taken away, same nodes first."""
    nodes: dict[tuple[str, str], set[tuple[str, int]]] = defaultdict(set)
    for element in others:
        nodes[(element.role, element.name)].add(element.node)
    spare = {key: len(held) for key, held in nodes.items()}
    open_ones = []
    for element in these:
        key = (element.role, element.name)
        if element.node in nodes.get(key, ()):
            spare[key] -= 1
        else:
            open_ones.append(element)
    rest = []
    for element in open_ones:
        key = (element.role, element.name)
        if spare.get(key, 0) > 0:
            spare[key] -= 1
        else:
            rest.append(element)
    return rest


def _unfinished(after: Snapshot, notes: Notes) -> list[dict[str, Any]]:
    found = [{"kind": _kind(what), "tab": tab.target, "what": what} for tab in after.tabs for what in tab.unfinished]
    running = (note for note in notes.downloads if note.get("state") not in {"completed", "canceled", "cancelled"})
    return found + [{"kind": "download", "what": note["name"]} for note in running]


def _kind(what: str) -> str:
    return "navigation" if what == "navigation" else "timer"


def _cut(result: dict[str, Any], left: Counter[str]) -> None:
    for name, entries in (("fields", result["fields"]), *result["elements"].items()):
        if len(entries) > _MOST:
            # Whatever is cut, not what the page says by itself.
            entries.sort(key=lambda entry: entry["role"] not in LIVE)
            left[name if name == "fields" else f"elements {name}"] += len(entries) - _MOST
            del entries[_MOST:]
