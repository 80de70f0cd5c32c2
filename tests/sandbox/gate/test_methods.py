"""The method table covers the installed Chromium's protocol, whole and once."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from sandbox.authority import Verb
from sandbox.browser import find_chromium
from sandbox.gate.methods import method_table, read_table
from sandbox.gate.standing import standing_table


@pytest.fixture(scope="module")
def protocol(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Every method of the installed Chromium, asked from itself."""
    profile = tmp_path_factory.mktemp("protocol")
    process = subprocess.Popen(
        [find_chromium(), "--headless", "--no-sandbox", "--remote-debugging-port=0", f"--user-data-dir={profile}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        described = _described(profile / "DevToolsActivePort")
    finally:
        process.terminate()
        process.wait(10)
    return {f"{d['domain']}.{c['name']}" for d in described["domains"] for c in d.get("commands", ())}


def _described(port_file: Path) -> dict[str, list[dict[str, Any]]]:
    deadline = time.monotonic() + 20
    while not (port_file.exists() and (text := port_file.read_text())):
        assert time.monotonic() < deadline, "Chromium did not open its port"
        time.sleep(0.05)
    port = text.split()[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/protocol", timeout=20) as answer:
        described: dict[str, list[dict[str, Any]]] = json.load(answer)
    return described


def test_lists_every_method_of_this_chromium(protocol: set[str]) -> None:
    """A method that Chromium has and the table lacks is named here: say what it is in methods.toml."""
    assert sorted(protocol - set(method_table())) == []


def test_what_clients_need_is_not_refused() -> None:
    """What Playwright and puppeteer cannot work without may be used."""
    table = method_table()
    for method in ("Target.setAutoAttach", "Page.enable", "Runtime.enable", "Runtime.evaluate",
                   "Runtime.callFunctionOn",
                   "Input.dispatchMouseEvent", "Page.captureScreenshot", "Browser.setDownloadBehavior"):  # fmt: skip
        assert table[method].verb is not None


def test_refusals_say_why() -> None:
    """Each refused method has a sentence, and no other method has one."""
    for rule in method_table().values():
        assert bool(rule.why) == (rule.verb is None), rule


def test_standing_methods_are_allowed() -> None:
    """Whatever is suspended could be armed at all."""
    for method in standing_table().records:
        assert method_table()[method].verb is not None


def test_a_method_is_listed_once() -> None:
    """A table that says two things of one method is not read."""
    assert read_table("[read]\nPage = ['enable']")["Page.enable"].verb is Verb.READ
    with pytest.raises(ValueError, match=r"Page\.enable"):
        read_table("[read]\nPage = ['enable']\n[act]\nPage = ['enable']")
