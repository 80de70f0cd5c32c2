"""What rules may see: for each scope, features by name, each either texts or a number. Pure.

Of the page: `url` (no query), `title`, `heading`, `text`, `button`, `iframe` (addresses and titles of visible frames),
`script`, `image`, `field`, `status`, `length`, `links`, `fields`, `passwords`, `forms`, `header.NAME`.
Of a form: `about`, `field`, `hidden`, `button`, `heading`, `text`, `shown` (0 or 1), `fields`, `passwords`, `texts`,
`selects`, `short` (fields for one character), and the page's with `page.` before the name.
Of an overlay: `about`, `text`, `button`, `buttons`, `share`, `modal`, `length`, and the page's as above.
A field is one text: `type name autocomplete label`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from sandbox.blockers.facts import Facts, Field, Form, Overlay, Scan
from sandbox.blockers.matching import Matcher, Prepared

type Seen = tuple[str, ...] | float | None
"""Texts, a number, or nothing known."""

_TYPED: Final = frozenset({"text", "email", "tel", "number", "search", "url", "textarea", "password"})
_MOST_CHOICES: Final = 1


def _frames(facts: Facts) -> list[Scan]:
    return [frame for frame in facts.frames if frame.visible]


def _main(facts: Facts) -> Scan:
    return facts.frames[0] if facts.frames else Scan()


def field_text(each: Field) -> str:
    """Return what rules see of a field."""
    return f"{each.type} {each.name} {each.autocomplete} {each.label}"


def _iframes(facts: Facts) -> tuple[str, ...]:
    held = [f"{each.name} {each.about}" for frame in _frames(facts) for each in frame.iframes if each.visible]
    return (*held, *(frame.url for frame in _frames(facts) if not frame.main))


def _passwords(forms: tuple[Form, ...]) -> int:
    return sum(each.type == "password" and each.visible for form in forms for each in form.fields)


def _count(form: Form, wanted: Callable[[Field], object] = bool) -> int:
    return sum(bool(wanted(each)) for each in form.fields if each.visible or not form.visible)


PAGE: Final[Mapping[str, Callable[[Facts], Seen]]] = {
    "url": lambda facts: (facts.url.split("?")[0].split("#")[0],),
    "title": lambda facts: (_main(facts).title,),
    "heading": lambda facts: tuple(each for frame in _frames(facts) for each in frame.headings),
    "text": lambda facts: tuple(frame.text for frame in _frames(facts)),
    "button": lambda facts: tuple(each for frame in _frames(facts) for each in frame.buttons),
    "iframe": _iframes,
    "script": lambda facts: tuple(each for frame in facts.frames for each in frame.scripts),
    "image": lambda facts: tuple(
        f"{each.name} {each.about}" for frame in _frames(facts) for each in frame.images if each.visible
    ),
    "field": lambda facts: tuple(
        field_text(each) for frame in _frames(facts) for form in frame.forms for each in form.fields if each.visible
    ),
    "status": lambda facts: facts.status,
    "length": lambda facts: _main(facts).length,
    "links": lambda facts: _main(facts).links,
    "forms": lambda facts: sum(form.visible for frame in _frames(facts) for form in frame.forms),
    "fields": lambda facts: sum(
        each.visible for frame in _frames(facts) for form in frame.forms for each in form.fields
    ),
    "passwords": lambda facts: sum(_passwords(frame.forms) for frame in _frames(facts)),
}

FORM: Final[Mapping[str, Callable[[Form], Seen]]] = {
    "about": lambda form: (form.about,),
    "field": lambda form: tuple(field_text(each) for each in form.fields if each.visible or not form.visible),
    "hidden": lambda form: tuple(field_text(each) for each in form.fields if not each.visible),
    "button": lambda form: form.buttons,
    "heading": lambda form: (form.heading,),
    "text": lambda form: (form.text,),
    "shown": lambda form: int(form.visible),
    "fields": _count,
    "passwords": lambda form: _count(form, lambda each: each.type == "password"),
    "texts": lambda form: _count(form, lambda each: each.type in _TYPED),
    "selects": lambda form: _count(form, lambda each: each.type.startswith("select")),
    "short": lambda form: _count(form, lambda each: each.length == _MOST_CHOICES),
}

OVERLAY: Final[Mapping[str, Callable[[Overlay], Seen]]] = {
    "about": lambda overlay: (overlay.about,),
    "text": lambda overlay: (overlay.text,),
    "button": lambda overlay: overlay.buttons,
    "buttons": lambda overlay: len(overlay.buttons),
    "share": lambda overlay: overlay.share,
    "modal": lambda overlay: int(overlay.modal),
    "length": lambda overlay: len(overlay.text),
}


def knows(scope: str, name: str) -> bool:
    """Whether rules of this scope may see this feature."""
    own: Mapping[str, object] = {"page": PAGE, "form": FORM, "overlay": OVERLAY}[scope]
    if scope != "page" and name.startswith("page."):
        return knows("page", name.removeprefix("page."))
    return name in own or (scope == "page" and name.startswith("header."))


class View:
    """Looks features up, each computed once: the page's, and those of one of its forms or overlays."""

    def __init__(self, facts: Facts, subject: Form | Overlay | None = None, page: View | None = None) -> None:
        self._facts, self._subject, self._page = facts, subject, page
        self._known: dict[str, Seen] = {}
        self._prepared: dict[str, tuple[Prepared, ...]] = {}

    def __repr__(self) -> str:
        return f"<View of {type(self._subject).__name__ if self._subject else 'page'}>"

    def see(self, name: str) -> Seen:
        """Return a feature. Raises `KeyError` for one that is not known."""
        if self._page is not None and name.startswith("page."):
            return self._page.see(name.removeprefix("page."))
        if name not in self._known:
            self._known[name] = self._look(name)
        return self._known[name]

    def matches(self, name: str, matcher: Matcher) -> bool:
        """Whether any text of a feature is like that. Raises `KeyError` for a feature that is not known."""
        if self._page is not None and name.startswith("page."):
            return self._page.matches(name.removeprefix("page."), matcher)
        if name not in self._prepared:
            seen = self.see(name)
            self._prepared[name] = tuple(map(Prepared, seen)) if isinstance(seen, tuple) else ()
        return any(matcher.matches(text) for text in self._prepared[name])

    def _look(self, name: str) -> Seen:
        if isinstance(self._subject, Form):
            return FORM[name](self._subject)
        if isinstance(self._subject, Overlay):
            return OVERLAY[name](self._subject)
        if name.startswith("header."):
            found = self._facts.headers.get(name.removeprefix("header."))
            return None if found is None else (found,)
        return PAGE[name](self._facts)
