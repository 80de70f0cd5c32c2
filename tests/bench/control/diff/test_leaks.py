"""Planted secrets are found however they are written, and are different each time."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from bench.control.diff.leaks import CARD, CODE, WORD, WRONG, leaked, plant

SECRET = "open 1f3a&77b2%\u00fc"


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        SECRET.upper(),
        f"https://h/p?q={quote(SECRET)}",
        base64.b64encode(f"ann:{SECRET}".encode()).decode(),
        base64.b64encode(f"an:{SECRET}, and more".encode()).decode(),
        SECRET[::-1],
        SECRET.encode().hex(),
        f"ends in {SECRET[len(SECRET) // 2 :]}",
        SECRET[: len(SECRET) // 2][::-1],
    ],
)
def test_a_secret_is_found(text: str) -> None:
    """As it is, encoded, half, backwards."""
    assert leaked([SECRET, "another"], ["nothing", f"<<{text}>>"]) == [SECRET]


def test_nothing_is_found_where_nothing_is() -> None:
    """Not even short parts of it."""
    assert leaked([SECRET], ["open", "[secret]", "77b2", ""]) == []


@pytest.mark.parametrize("sort", [WORD, WRONG, CARD, CODE])
def test_each_session_has_its_own(sort: str) -> None:
    """So what is found tells where it came from."""
    assert len({plant(sort) for _ in range(50)}) == 50


def test_a_card_is_one_that_forms_take() -> None:
    """Its digits add up (Luhn)."""
    for _ in range(20):
        digits = [int(digit) for digit in plant(CARD)]
        assert len(digits) == 16
        assert sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]) % 10 == -sum(digits[::-2]) % 10
