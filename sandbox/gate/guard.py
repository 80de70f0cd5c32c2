"""Rules for the parameters of commands: schemes, paths, contexts. Pure but for looking at the two file directories.

`guard` returns the parameters to send (rewritten where they name a path) or raises `MethodRefused`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from sandbox.gate.errors import MethodRefused

type Params = dict[str, Any]

_SCHEMES: Final = frozenset({"http", "https", "blob"})
_PRIVILEGED: Final = ("chrome:", "chrome-untrusted:", "chrome-extension:", "devtools:", "file:", "view-source:")
_STRIPPED: Final = "".join(map(chr, range(0x21)))
_WEB_TYPES: Final = frozenset(
    {"page", "iframe", "worker", "shared_worker", "service_worker", "worklet", "auction_worklet",
     "shared_storage_worklet", "tab", "browser"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command is sent: the browser's own CDP session or one on a target, and where files may lie."""

    browser: bool
    downloads: Path
    uploads: Path


def is_web_target(info: Params) -> bool:
    """Whether a target belongs to the web: the browser's own windows and pages are not for an agent."""
    return info.get("type") in _WEB_TYPES and not is_privileged(info.get("url", ""))


def is_privileged(url: str) -> bool:
    """Whether a page with this address has powers that a site has not."""
    return url.startswith(_PRIVILEGED)


def check_url(url: Any) -> None:
    """Pass http(s), about:blank and blob; read as Chromium reads it (controls and blanks stripped, WHATWG URL 4.4)."""
    if not isinstance(url, str):
        raise MethodRefused("the address is not a string")
    plain = url.strip(_STRIPPED).translate({9: None, 10: None, 13: None})
    scheme, colon, rest = plain.partition(":")
    scheme = scheme.lower()
    if scheme in _SCHEMES and colon:
        return
    if plain == "" or (scheme == "about" and rest.split("#")[0].split("?")[0] == "blank"):
        return
    raise MethodRefused(
        f"addresses that begin with {scheme[:20]!r} are not opened here; use http:, https:, blob: or about:blank"
    )


def _url(params: Params, _place: Place) -> Params:
    check_url(params.get("url", ""))
    return params


def _context(params: Params, _place: Place) -> Params:
    if params.get("proxyServer") or params.get("proxyBypassList"):
        raise MethodRefused(
            "a browser context with a proxy of its own would leave the sandbox's network rules; omit it"
        )
    if params.get("originsWithUniversalNetworkAccess"):
        raise MethodRefused("originsWithUniversalNetworkAccess is not given in a sandbox; omit it")
    # A client that drops its connection finds the same targets when it is back, and a human keeps theirs.
    return {**params, "disposeOnDetach": False}


def _flat(params: Params, _place: Place) -> Params:
    if params.get("flatten") is not True and params.get("autoAttach", True):
        raise MethodRefused("only flat CDP sessions pass the gate; send flatten: true")
    return params


def _downloads(params: Params, place: Place) -> Params:
    behavior = params.get("behavior")
    return {**params, "behavior": "allow" if behavior == "default" else behavior, "downloadPath": str(place.downloads)}


def inside(name: Any, place: Place) -> str:
    """Return the real path of a file named relative to uploads, or absolutely inside uploads or downloads."""
    if isinstance(name, str) and "\0" not in name:
        path = (place.uploads / name).resolve()
        if any(path.is_relative_to(room.resolve()) for room in (place.uploads, place.downloads)):
            return str(path)
    raise MethodRefused(
        "that file is not in the sandbox. Put it into the sandbox's uploads first and "
        "name it by its bare name, or name a download of this sandbox"
    )


def _files(params: Params, place: Place) -> Params:
    return {**params, "files": [inside(name, place) for name in params.get("files", ())]}


def _drag(params: Params, place: Place) -> Params:
    data = params.get("data") or {}
    if not data.get("files"):
        return params
    return {**params, "data": {**data, "files": [inside(name, place) for name in data["files"]]}}


def _stream(params: Params, place: Place) -> Params:
    if place.browser:
        raise MethodRefused("streams of the whole browser are not read through the gate; use the page's CDP session")
    return params


_GUARDS: Final[MappingProxyType[str, Callable[[Params, Place], Params]]] = MappingProxyType(
    {
        "Page.navigate": _url,
        "Target.createTarget": _url,
        "Network.loadNetworkResource": _url,
        "Target.createBrowserContext": _context,
        "Target.attachToTarget": _flat,
        "Target.setAutoAttach": _flat,
        "Browser.setDownloadBehavior": _downloads,
        "Page.setDownloadBehavior": _downloads,
        "DOM.setFileInputFiles": _files,
        "Input.dispatchDragEvent": _drag,
        "IO.read": _stream,
        "IO.close": _stream,
        "IO.resolveBlob": _stream,
    }
)


def guard(method: str, params: Params, place: Place) -> Params:
    """Return the parameters to send for `method`. Raises `MethodRefused` with what to do instead."""
    rule = _GUARDS.get(method)
    try:
        return params if rule is None else rule(params, place)
    except (TypeError, ValueError, AttributeError):
        raise MethodRefused(f"{method} has parameters of the wrong kind; see the protocol", method=method) from None
