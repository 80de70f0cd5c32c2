"""Reading requests for a human."""

from __future__ import annotations

from typing import Any

import pytest

from agent_bridge.control.asking import HandoffRequest, clean_note, new_handoff, read_request
from agent_bridge.control.errors import InvalidAsk, InvalidCondition
from agent_bridge.control.words import ControlSettings
from agent_bridge.words import Blocker
from sandbox.words import BatonError, SandboxId, TooLarge

SETTINGS = ControlSettings()


def test_everything_that_can_be_said() -> None:
    """A full request is read as it was meant."""
    said = {
        "kind": "payment", "instructions": "pay", "condition": {"any": [{"url": "*ok*"}, {"cookie": "sid"}]},
        "timeout_s": 60, "idempotency_key": "k", "target": "t",
    }  # fmt: skip

    assert read_request(said, SETTINGS) == HandoffRequest(
        Blocker.PAYMENT, "pay", {"any": [{"url": "*ok*"}, {"cookie": "sid"}]}, 60.0, "k", "t"
    )


@pytest.mark.parametrize(
    ("said", "error", "word"),
    [
        ({"kind": "banana"}, InvalidAsk, "captcha"),
        ({"kind": "captcha", "banana": 1}, InvalidAsk, "banana"),
        ({"instructions": 5}, InvalidAsk, "instructions"),
        ({"instructions": "x" * 10_000_000}, TooLarge, "instructions"),
        ({"timeout_s": 0}, InvalidAsk, "timeout_s"),
        ({"timeout_s": float("nan")}, InvalidAsk, "timeout_s"),
        ({"timeout_s": True}, InvalidAsk, "timeout_s"),
        ({"timeout_s": 1e9}, InvalidAsk, "at most"),
        ({"condition": "url"}, InvalidCondition, "condition"),
        ({"condition": {"colour": "red"}}, InvalidCondition, "condition"),
        ({"condition": {"all": [{"url": "x" * 1500}] * 20}}, TooLarge, "condition"),
        ({"idempotency_key": "k" * 201}, TooLarge, "idempotency_key"),
    ],
)
def test_what_cannot_be_read_is_named(said: dict[str, Any], error: type[BatonError], word: str) -> None:
    """Each thing that is wrong gets an error that names it, and never repeats a long text."""
    with pytest.raises(error, match=word) as caught:
        read_request(said, SETTINGS)

    assert len(caught.value.message) < 400


def test_half_a_character_is_no_reason_to_fail() -> None:
    """Text that cannot be stored is made storable."""
    assert read_request({"instructions": "a\ud800b"}, SETTINGS).instructions == "a?b"


def test_a_handoff_shows_no_query() -> None:
    """The page's address is shown without credentials, query and fragment."""
    made = new_handoff(
        SandboxId("sb_1"), HandoffRequest(Blocker.STUCK), 5.0, SETTINGS, url="https://a:b@host/p?token=1#x", title="T"
    )

    assert (made.url, made.site, made.deadline_at) == ("https://host/p", "https://host", 5.0 + SETTINGS.deadline_s)


def test_a_note_has_a_bound() -> None:
    """A note is trimmed, and too long a one is refused."""
    assert clean_note("  fine ", SETTINGS) == "fine"
    with pytest.raises(TooLarge, match="note"):
        clean_note("x" * 5000, SETTINGS)


@pytest.mark.parametrize(
    "part",
    [
        {"predicate": "document.querySelector('input').value[0] === 'a'"},
        {"selector": "input[value^=a]"},
        {"selector": "input[data-value^=a]"},
        {"selector": r"input[\76 alue^=a]"},
        {"selector": "input:valid"},
        {"selector": "form:has(input:user-invalid)"},
    ],
)
def test_a_condition_is_no_oracle_on_what_is_typed(part: dict[str, Any]) -> None:
    """Where everything typed is secret, no part may look into fields, however it is wrapped."""
    wrapped = {"all": [{"url": "*"}, {"not": {"any": [part]}}]}
    with pytest.raises(InvalidCondition, match="look into fields"):
        read_request({"kind": "credentials", "condition": wrapped}, SETTINGS)
    assert read_request({"kind": "captcha", "condition": wrapped}, SETTINGS).condition == wrapped
