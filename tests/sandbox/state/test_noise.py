"""What is the page's own doing, and what may be the human's."""

from __future__ import annotations

import pytest

from sandbox.state.noise import beats, by_itself, housekeeping, tells_time
from sandbox.state.snapshot import Motion

SECONDS = tuple(float(n) for n in range(20))


@pytest.mark.parametrize(
    ("motion", "inputs", "own"),
    [
        pytest.param(None, (5.0,), False, id="nothing known"),
        pytest.param(Motion(1.0, (1.0,)), (5.0,), True, id="before anyone acted"),
        pytest.param(Motion(5.1, (5.1,)), (5.0,), False, id="at once after a click"),
        pytest.param(Motion(7.5, (7.5,)), (5.0,), False, id="once, a while after a click"),
        pytest.param(Motion(19.0, SECONDS), (4.5, 8.7), True, id="a clock"),
        pytest.param(Motion(19.0, SECONDS), (18.95,), True, id="a clock that strikes with the click"),
        pytest.param(Motion(9.0, (5.0, 6.0, 7.0, 8.0, 9.0)), (4.9,), False, id="progress that a click set off"),
        pytest.param(Motion(19.5, (*SECONDS[5:], 19.5)), (4.9,), True, id="a clock that a click set off"),
        pytest.param(Motion(5.1, (5.1, 8.0, 14.0)), (5.0,), False, id="a part that moves later too"),
        pytest.param(Motion(14.0, (7.1, 8.0, 14.0)), (5.0,), True, id="moves again and again while nobody acts"),
        pytest.param(
            Motion(2.05, (1.05, 1.3, 1.55, 1.8, 2.05)),
            (1.0, 1.25, 1.5, 1.75, 2.0),
            False,
            id="a count of what is typed",
        ),
        pytest.param(Motion(14.0, (2.0, 8.0, 14.0)), (5.0,), True, id="irregular, and before anyone acted too"),
        pytest.param(Motion(5.1, (0.5, 5.1)), (5.0,), False, id="the agent's last deed showed before the click"),
        pytest.param(Motion(5.1, ()), (), False, id="nobody acted, it moved once"),
    ],
)
def test_whose_doing_it_was(motion: Motion | None, inputs: tuple[float, ...], own: bool) -> None:
    """Doubt counts for the human, so that nothing they did is hidden."""
    assert by_itself(motion, inputs, 20.0) is own


def test_what_is_written_again_and_again_beats() -> None:
    """Seen only now and then, so no rhythm is asked for; once is the human's unless nobody had acted."""
    assert beats((1.0, 3.0, 5.5), (5.0,))
    assert beats((1.0,), (5.0,))
    assert not beats((1.0, 5.5), (5.0,))
    assert not beats((), (5.0,))


def test_a_time_is_known_by_its_form() -> None:
    """Times of day and ages are; counts are not."""
    assert tells_time("It is 12:00:01", "It is 12:00:09")
    assert tells_time("Posted 2 minutes ago", "Posted 3 minutes ago")
    assert not tells_time("Cart (0)", "Cart (1)")
    assert not tells_time("12:00:01", "12:00:01")
    assert not tells_time("Opens 12:00", "Closed since 12:00")


def test_tokens_and_counters_of_sites_are_housekeeping() -> None:
    """A cookie of a sign-in is not."""
    assert all(map(housekeeping, ("csrftoken", "XSRF-TOKEN", "_ga_X1", "_pk_id.1", "analytics.seen")))
    assert not any(map(housekeeping, ("sessionid", "sid", "consent", "token", "cart")))
