"""Which fields are secret by themselves, and scrubbing."""

from __future__ import annotations

import pytest

from sandbox.state.secrecy import is_secret, scrub


@pytest.mark.parametrize(
    "attributes",
    [
        {"type": "password"},
        {"type": "PASSWORD"},
        {"autocomplete": "section-x one-time-code"},
        {"autocomplete": "cc-number"},
        {"autocomplete": "current-password webauthn"},
        {"name": "user_password"},
        {"id": "loginPassword"},
        {"name": "otp"},
        {"name": "otp_code"},
        {"aria-label": "Verification code"},
        {"placeholder": "Security code"},
        {"name": "cvc"},
        {"name": "cardNumber"},
        {"name": "pin"},
    ],
)
def test_passwords_codes_and_cards_are_secret(attributes: dict[str, str]) -> None:
    """By type, autocomplete, name, id, label or placeholder."""
    assert is_secret(attributes)


@pytest.mark.parametrize(
    "attributes",
    [{}, {"name": "passenger"}, {"name": "compass"}, {"name": "spinner"}, {"name": "shopping"}, {"name": "username"},
     {"name": "captcha_1"}, {"autocomplete": "email"}, {"name": "postcode"}, {"name": "option"}],
)  # fmt: skip
def test_ordinary_fields_are_not(attributes: dict[str, str]) -> None:
    """Names that only look alike."""
    assert not is_secret(attributes)


def test_a_secret_is_scrubbed_wherever_it_stands() -> None:
    """In nested texts, whatever the case; short ones only as whole words; tiny ones not at all."""
    data = {"a": ["say HUNTER22 now", {"b": "xhunter22x"}], "n": 7}
    assert scrub(data, ["hunter22"]) == {"a": ["say [secret] now", {"b": "x[secret]x"}], "n": 7}
    assert scrub("bob and bobby", ["bob"]) == "[secret] and bobby"
    assert scrub("a is ab", ["ab"]) == "a is ab"
    assert scrub("two  words here", ["two  words", ""]) == "[secret] here"
    assert scrub("x", []) == "x"


def test_a_secret_is_scrubbed_from_addresses_too() -> None:
    """However much of it is percent-encoded: scripts, forms and the browser itself differ in that."""
    for written in ("a%20b%26c%25%c3%bc", "a+b%26c%25%C3%BC", "a%20b&c%%C3%BC", "a b&c%ü"):
        assert scrub(f"/x/{written}/y", ["a b&c%ü"]) == "/x/[secret]/y"
    assert scrub("/x/a.b", ["axb"]) == "/x/a.b"
