"""What changed between two snapshots. Pure; values of cookies, storage and secret fields are never in the result."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from sandbox.state.noise import beats, by_itself, housekeeping, tells_time, timeless
from sandbox.state.roles import LIVE, TICKED
from sandbox.state.snapshot import Element, Motion, Snapshot, TabState

SHOWN: Final = 200
_MOST: Final = 500
_ACTED_ON: Final = frozenset({"link", "button", "menuitem"})
_SIGN_IN: Final = re.compile(
    r"^(sign|log)\s?-?(in|on)\b|^anmelden|^einloggen|^connexion|^se connecter|^iniciar sesión|^accedi|^inloggen|^войти"
    r"|^登录|^登入|^ログイン",
    re.IGNORECASE,
)
_SIGN_OUT: Final = re.compile(
    r"^(sign|log)\s?-?(out|off)\b|^abmelden|^déconnexion|^se déconnecter|^cerrar sesión|^esci$|^uitloggen|^выйти"
    r"|^退出|^登出|^ログアウト",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Notes:
    """What happened in between that two snapshots cannot show."""

    secret: bool = False
    """Whether all text the operator typed is secret."""
    downloads: tuple[Mapping[str, Any], ...] = ()
    dialogs: tuple[Mapping[str, Any], ...] = ()
    inputs: tuple[float, ...] = ()
    """When somebody acted, in order, in seconds since 1970."""
    navigations: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Frame id → when its document was replaced."""
    written: Mapping[tuple[str, str, str], tuple[float, ...]] = field(default_factory=dict)
    """Key of a cookie or of storage → when its value was seen to change."""

    now: float = 0.0
    """When the snapshot after was taken."""

    def moved(self, motion: Motion | None) -> bool:
        """Whether that was the page's own doing."""
        return by_itself(motion, self.inputs, self.now)

    def replaced(self, frame: str) -> bool:
        """Whether a frame went from document to document by itself."""
        times = self.navigations.get(frame, ())
        return bool(times) and self.moved(Motion(times[-1], times))


def diff(before: Snapshot | None, after: Snapshot, notes: Notes) -> dict[str, Any]:
    """Return what changed.

    Without a snapshot before: only where the sandbox is now, and `"no_snapshot_before": true`.
    """
    now = after.current
    result: dict[str, Any] = {
        "url": {"before": None, "after": now.url if now else None, "title": now.title[:SHOWN] if now else ""},
        "signed_in": {"before": None, "after": _signed_in(now)},
        "tabs": {"opened": [], "closed": [], "navigated": [], "reloaded": []},
        "documents": {"replaced": []},
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
    result["signed_in"]["before"] = _signed_in(was)
    left: Counter[str] = Counter()
    _tabs(before, after, notes, result["tabs"])
    result["cookies"] = _named(before.cookies, after.cookies, ("name", "domain", "path"), notes, left)
    # What is stored by an origin that no page shows any more is still there, and not looked at.
    shown = _origins(after)
    stored = {key: value for key, value in before.storage.items() if key[0].split(" ")[0] in shown}
    result["storage"] = _named(stored, after.storage, ("origin", "area", "key"), notes, left)
    earlier = {tab.target: tab for tab in before.tabs}
    silent = []
    for tab in after.tabs:
        old = earlier.get(tab.target) or TabState(tab.target, "", b"", "")
        left.update(tab.left_out)
        if not tab.answered or not old.answered:
            silent.append(tab.target)
            continue
        _documents(old, tab, notes, result["documents"]["replaced"])
        _fields(old, tab, notes.secret, result["fields"])
        _elements(old, tab, notes, result["elements"])
    _cut(result, left)
    result["left_out"] = {**dict(sorted(left.items())), **({"silent_tabs": silent} if silent else {})}
    return result


def is_empty(result: Mapping[str, Any]) -> bool:
    """Whether nothing changed (what is left out or unfinished aside); noise is a change."""
    lists = [result["fields"], result["downloads"], result["dialogs"]]
    for group in ("tabs", "cookies", "storage", "elements"):
        lists.extend(result[group].values())
    return not any(lists) and not result.get("no_snapshot_before")


def _signed_in(tab: TabState | None) -> bool | None:
    """Whether the page offers to sign out (or is a form to sign in with); None where it is neither."""
    if tab is None:
        return None
    buttons = [element.name for element in tab.elements if element.role in _ACTED_ON]
    if any(_SIGN_OUT.search(name) for name in buttons):
        return True
    secrets = sum(each.secret and each.role == "textbox" for each in tab.fields)
    # More than one is a form to choose a new password, which may be asked of somebody who is signed in.
    return False if secrets == 1 and any(_SIGN_IN.search(name) for name in buttons) else None


def _marked(entry: dict[str, Any], noise: bool) -> dict[str, Any]:
    """An entry, marked where it is the page's own doing."""
    return {**entry, "noise": True} if noise else entry


def _tabs(before: Snapshot, after: Snapshot, notes: Notes, result: dict[str, list[Any]]) -> None:
    old, new = ({tab.target: tab for tab in each.tabs} for each in (before, after))
    for target, tab in new.items():
        was = old.get(target)
        if was is None:
            result["opened"].append({"tab": target, "url": tab.url, "title": tab.title[:SHOWN]})
        elif was.address != tab.address:
            moved = {"tab": target, "from": was.url, "to": tab.url, "title": tab.title[:SHOWN]}
            entry = moved if was.url != tab.url else {**moved, "only": "query or fragment"}
            result["navigated"].append(_marked(entry, notes.replaced(target)))
        elif was.document != tab.document and was.answered and tab.answered:
            result["reloaded"].append(_marked({"tab": target, "url": tab.url}, notes.replaced(target)))
    result["closed"] = [
        {"tab": target, "url": tab.url, "title": tab.title[:SHOWN]} for target, tab in old.items() if target not in new
    ]


def _documents(old: TabState, new: TabState, notes: Notes, result: list[Any]) -> None:
    """Handles to elements of a replaced document are stale; so are those of frames that are gone with it."""
    for frame, (document, _) in old.documents.items():
        now, url = new.documents.get(frame, ("", None))
        if now != document and len(result) < _MOST:
            entry = {"tab": new.target, "frame": old.documents[frame][1] if frame != new.target else "", "url": url}
            result.append(_marked(entry, notes.replaced(frame)))


def _origins(snapshot: Snapshot) -> set[str]:
    urls = [urlsplit(url) for tab in snapshot.tabs if tab.answered for _, url in tab.documents.values()]
    return {f"{url.scheme}://{url.netloc}" for url in urls}


def _named(
    before: Mapping[tuple[str, str, str], bytes],
    after: Mapping[tuple[str, str, str], bytes],
    names: tuple[str, str, str],
    notes: Notes,
    left: Counter[str],
) -> dict[str, list[dict[str, Any]]]:
    def entry(key: tuple[str, str, str]) -> dict[str, Any]:
        named = dict(zip(names, (part[:SHOWN] for part in key), strict=True))
        name = key[names.index("name" if "name" in names else "key")]
        return _marked(named, housekeeping(name) or beats(notes.written.get(key, ()), notes.inputs))

    def listed(keys: Iterable[tuple[str, str, str]]) -> list[dict[str, Any]]:
        ordered = sorted(keys)
        left.update({"cookies and storage": max(0, len(ordered) - _MOST)} if len(ordered) > _MOST else {})
        return [entry(key) for key in ordered[:_MOST]]

    return {
        "added": listed(after.keys() - before.keys()),
        "removed": listed(before.keys() - after.keys()),
        "changed": listed(key for key in before.keys() & after.keys() if before[key] != after[key]),
    }


def _fields(old: TabState, new: TabState, secret_lease: bool, result: list[Any]) -> None:
    by_node = {each.node: each for each in old.fields}
    by_place = dict(zip(_places(old), old.fields, strict=True)) if old.url == new.url else {}
    for place, now in zip(_places(new), new.fields, strict=True):
        was = by_node.get(now.node) or by_place.get(place)
        if was is not None and was.digest == now.digest:
            continue
        if was is None and (now.default or not now.filled):
            continue
        if was is None and now.role in TICKED and now.shown == "unchecked":
            continue
        entry: dict[str, Any] = {
            "tab": new.target,
            "frame": now.frame,
            "label": now.label[:SHOWN],
            "role": now.role,
        }
        if now.secret or (was is not None and was.secret) or (secret_lease and now.typed):
            filled = was is not None and was.filled
            change = "emptied" if not now.filled else "changed" if filled else "filled"
            result.append({**entry, "secret": True, "change": change})
        else:
            result.append({**entry, "before": was.shown[:SHOWN] if was else "", "after": now.shown[:SHOWN]})


def _places(tab: TabState) -> list[tuple[str, str, str, int]]:
    seen: Counter[tuple[str, str, str]] = Counter()
    places = []
    for each in tab.fields:
        key = (each.frame, each.role, each.label)
        places.append((*key, seen[key]))
        seen[key] += 1
    return places


def _elements(old: TabState, new: TabState, notes: Notes, result: dict[str, list[Any]]) -> None:
    """Equal role and name cancel out first: what a page merely redraws or reorders has not changed."""
    gone, come = _rest(old.elements, new.elements), _rest(new.elements, old.elements)
    earlier = {element.node: element for element in gone}
    moving = {document for tab in (old, new) for frame, (document, _) in tab.documents.items() if notes.replaced(frame)}
    added = []
    for element in come:
        was = earlier.get(element.node)
        if was is None or was.role != element.role:
            added.append(element)
            continue
        del earlier[element.node]
        noise = notes.moved(element.moved) or tells_time(was.name, element.name)
        result["changed"].append(_changed(was, element, new.target, noise))
    clocks = {timeless(element.name): element for element in earlier.values() if timeless(element.name)}
    for element in added:
        was = clocks.pop(timeless(element.name), None)
        if was is not None and was.role == element.role:
            del earlier[was.node]
            result["changed"].append(_changed(was, element, new.target, noise=True))
            continue
        noise = notes.moved(element.came) if element.came else element.node[0] in moving
        entry = {"role": element.role, "name": element.name[:SHOWN], "tab": new.target}
        result["added"].append(_marked(entry, noise))
    for element in gone:
        if element.node not in earlier:
            continue
        motion = new.gone.get(element.node)
        noise = notes.moved(motion) if motion else element.node[0] in moving
        entry = {"role": element.role, "name": element.name[:SHOWN], "tab": new.target}
        result["removed"].append(_marked(entry, noise))


def _changed(was: Element, now: Element, tab: str, noise: bool) -> dict[str, Any]:
    entry = {"role": now.role, "before": was.name[:SHOWN], "after": now.name[:SHOWN], "tab": tab}
    return _marked(entry, noise)


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
            # Whatever is cut, not what the page says in so many words, and noise first.
            entries.sort(key=lambda entry: ("noise" in entry, entry["role"] not in LIVE))
            left[name if name == "fields" else f"elements {name}"] += len(entries) - _MOST
            del entries[_MOST:]
