"""The words keep their meaning across a wire."""

from __future__ import annotations

import pytest

from sandbox import words


@pytest.mark.parametrize("kind", list(words.Kind))
def test_every_kind_has_its_codes(kind: words.Kind) -> None:
    """The one table names a code on every wire for every kind of error."""
    codes = words.CODES[kind]

    assert 400 <= codes.http < 600
    assert 4000 <= codes.ws < 5000
    assert codes.cdp < 0
    assert codes.mcp < 0


@pytest.mark.parametrize(
    "error", [words.StaleEpoch("old", epoch=3), words.TooLarge("too much", limit=10), words.BatonError("?")]
)
def test_errors_cross_a_wire(error: words.BatonError) -> None:
    """An error read back has the same class, sentence and fields."""
    again = words.error_from_wire(error.to_wire())

    assert type(again) is type(error)
    assert (again.message, again.fields) == (error.message, error.fields)


@pytest.mark.parametrize(
    "holder", [words.THE_AGENT, words.NOBODY, words.Holder(words.Side.OPERATOR, words.OperatorId("op_1"), "Ann")]
)
def test_holders_cross_a_wire(holder: words.Holder) -> None:
    """A holder read back is equal to the one sent."""
    assert words.Holder.from_wire(holder.to_wire()) == holder


def test_ids_are_long_and_differ() -> None:
    """Two ids of one kind never meet."""
    assert words.new_id("sb") != words.new_id("sb")
    assert len(words.new_id("sb")) == 23
