"""What the detector looks at: what `scan.js` read in each frame, and what the browser itself has signalled. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from sandbox.blockers.words import Box


class Native(StrEnum):
    """What a page has open outside its own pixels."""

    ALERT = "alert"
    CONFIRM = "confirm"
    PROMPT = "prompt"
    BEFOREUNLOAD = "beforeunload"
    FILE_CHOOSER = "file_chooser"
    PERMISSION = "permission"
    BASIC_AUTH = "basic_auth"
    PASSKEY = "passkey"
    PAYMENT = "payment_request"


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing the browser has open: `frame` is a CDP frame id ("" when unknown), `detail` a permission's name."""

    native: Native
    frame: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Stuck:
    """The agent has done the same `action` (a CDP method) on the same page state `times` times."""

    action: str
    times: int


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form. Never its value.

    `type` is the element's (`text`, `password`, `select`, `textarea`…), `name` its name and id, `label` what a person
    reads: labels, aria-label, placeholder and title. `length` is `maxlength`, 0 when there is none.
    """

    type: str
    name: str = ""
    label: str = ""
    autocomplete: str = ""
    visible: bool = True
    length: int = 0

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Self:
        """Read what scan.js says."""
        return cls(data["type"], data["name"], data["label"], data["autocomplete"], data["visible"], data["length"])


@dataclass(frozen=True, slots=True)
class Form:
    """A form, or all fields of a document that are in none. `about` is its id, class, name and action."""

    about: str = ""
    fields: tuple[Field, ...] = ()
    buttons: tuple[str, ...] = ()
    heading: str = ""
    text: str = ""
    visible: bool = True
    selector: str = ""
    box: Box | None = None

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Self:
        """Read what scan.js says."""
        return cls(
            data["about"], tuple(Field.from_wire(each) for each in data["fields"]), tuple(data["buttons"]),
            data["heading"], data["text"], data["visible"], data["selector"], _box(data["box"]),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mark:
    """Something the rules had scan.js look for: `name` is the rule's; or an iframe or an image by its address.

    Those two have no place: no rule says where they stand.
    """

    name: str
    visible: bool = True
    selector: str = ""
    box: Box | None = None
    about: str = ""

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Self:
        """Read what scan.js says."""
        return cls(data["name"], data["visible"], data.get("selector", ""), _box(data.get("box")), data["about"])


@dataclass(frozen=True, slots=True)
class Overlay:
    """A box over the page: fixed, sticky, a dialog or modal. `share` of the viewport it covers is in 0..1."""

    about: str = ""
    text: str = ""
    buttons: tuple[str, ...] = ()
    share: float = 0.0
    modal: bool = False
    selector: str = ""
    box: Box | None = None

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Self:
        """Read what scan.js says."""
        return cls(
            data["about"], data["text"], tuple(data["buttons"]), data["share"], data["modal"], data["selector"],
            _box(data["box"]),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scan:
    """What scan.js read in one frame.

    `text` is the beginning of what it shows, `length` how long that is: no more than 4,000 characters and a little.
    """

    frame: str = ""
    main: bool = True
    visible: bool = True
    url: str = ""
    title: str = ""
    language: str = ""
    text: str = ""
    length: int = 0
    links: int = 0
    headings: tuple[str, ...] = ()
    forms: tuple[Form, ...] = ()
    buttons: tuple[str, ...] = ()
    iframes: tuple[Mark, ...] = ()
    images: tuple[Mark, ...] = ()
    scripts: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()
    overlays: tuple[Overlay, ...] = ()

    @classmethod
    def from_wire(cls, frame: str, data: Mapping[str, Any], *, main: bool) -> Self:
        """Read what scan.js says of the frame with this id; `main` for the page itself."""
        return cls(
            frame=frame, main=main, visible=data["visible"], url=data["url"], title=data["title"],
            language=data["language"], text=data["text"], length=data["length"], links=data["links"],
            headings=tuple(data["headings"]), forms=tuple(Form.from_wire(each) for each in data["forms"]),
            buttons=tuple(data["buttons"]), iframes=_marks(data["iframes"]), images=_marks(data["images"]),
            scripts=tuple(data["scripts"]), marks=_marks(data["marks"]),
            overlays=tuple(Overlay.from_wire(each) for each in data["overlays"]),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of one page at one moment.

    `status` is the response status of the main document, None when unknown; `headers` what came with it, by lower-case
    name. `frames` has the page's own scan first.
    """

    url: str = ""
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    frames: tuple[Scan, ...] = ()
    signals: tuple[Signal, ...] = ()
    stuck: Stuck | None = None


def _box(data: Any) -> Box | None:
    return (int(data[0]), int(data[1]), int(data[2]), int(data[3])) if data else None


def _marks(data: Any) -> tuple[Mark, ...]:
    return tuple(Mark.from_wire(each) for each in data)
