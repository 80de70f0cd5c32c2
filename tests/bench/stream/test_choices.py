"""Options, and what is measured of what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.stream.__main__ import options, runs, subjects_of
from bench.stream.extras import Extras
from bench.stream.lab import BATON, BenchError, Subject, peers, rulers
from bench.stream.viewers import acknowledgement, hello_of


def way(link: str, asked: str, took: str) -> dict[str, str]:
    """What the chair says of ways."""
    return {"measure": "way", "link": link, "asked": asked, "took": took}


def test_options_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As make passes its variables on."""
    monkeypatch.setenv("LINKS", "wan,lan")
    monkeypatch.setenv("REPEAT", "3")

    told = options(["--extras", "none"])

    assert (told.links, told.repeat, told.extras, told.n) == (["wan", "lan"], 3, [], 60)


def test_unknown_names_end_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    """And the known ones are named."""
    with pytest.raises(SystemExit):
        options(["--links", "moon"])

    assert "there is no link moon; there are lan, wan, slow" in capsys.readouterr().err


def test_missing_instruments_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable that says where they are."""
    monkeypatch.setenv("RULERS", str(tmp_path))

    with pytest.raises(BenchError, match=r"ruler\.py.*RULERS="):
        rulers()


def test_peers_that_are_not_installed_say_what_would_install_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the run goes on without them."""
    monkeypatch.setenv("SELKIES", str(tmp_path / "selkies"))

    left = subjects_of("baton,selkies-ws", [*BATON, *peers(tmp_path)])

    assert [subject.name for subject in left] == ["baton"]
    assert "missing: Selkies WebSocket" in capsys.readouterr().out


def test_an_unknown_subject_is_an_error() -> None:
    """Not an empty run."""
    with pytest.raises(BenchError, match="there is no subject citrix"):
        subjects_of("citrix", BATON)


def test_the_way_that_baton_chooses_is_not_measured_twice() -> None:
    """And one that it lacks not at all."""
    told = options(["--links", "lan,wan,slow"])
    extras = Extras([
        way("lan", "", "socket"), way("lan", "datagrams", "datagrams"),
        way("wan", "", "datagrams"), way("wan", "datagrams", "datagrams"),
        way("slow", "", "socket"), way("slow", "datagrams", "socket"),
    ])  # fmt: skip
    subjects = [*BATON, Subject("novnc")]

    planned = {(run.link, run.subject) for run in runs(told, subjects, extras)}

    assert {subject for link, subject in planned if link == "lan"} == {"baton", "baton-datagrams", "novnc"}
    assert {subject for link, subject in planned if link == "wan"} == {"baton", "baton-socket", "novnc"}
    assert {subject for link, subject in planned if link == "slow"} == {"baton", "novnc"}


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        (bytes([2, 0, 0, 0, 1, 2]) + bytes(4), '{"t": "ack", "f": 258, "d": 2.0}'),
        (bytes([2, 4, 0, 0, 1, 2]) + bytes(4), None),
        (bytes([3, 0, 0, 0, 1, 2]), None),
        (b"\2", None),
    ],
    ids=["picture", "quiet picture", "sound", "cut short"],
)
def test_lean_viewers_acknowledge_pictures(message: bytes, answer: str | None) -> None:
    """All but those that ask for no answer."""
    assert acknowledgement(message) == answer


def test_lean_viewers_say_what_the_browser_said() -> None:
    """Without what was true of its own opening only."""
    assert hello_of('{"t": "hello", "pictures": ["h264"], "opened": 31}') == '{"t": "hello", "pictures": ["h264"]}'
