"""Deciding, without a browser: what it signals, and how findings are told."""

from __future__ import annotations

import pytest

from sandbox.blockers.detect import detect
from sandbox.blockers.facts import Facts, Field, Form, Native, Scan, Signal, Stuck
from sandbox.blockers.words import BlockerKind

_LOGIN = Form(fields=(Field("email", "mail"), Field("password", "pw")), buttons=("Log in",), selector="#login")


@pytest.mark.parametrize(
    ("native", "kind"),
    [
        (Native.ALERT, BlockerKind.DIALOG),
        (Native.CONFIRM, BlockerKind.DIALOG),
        (Native.PROMPT, BlockerKind.DIALOG),
        (Native.BEFOREUNLOAD, BlockerKind.DIALOG),
        (Native.FILE_CHOOSER, BlockerKind.UPLOAD),
        (Native.PERMISSION, BlockerKind.CONSENT),
        (Native.BASIC_AUTH, BlockerKind.CREDENTIALS),
        (Native.PASSKEY, BlockerKind.PASSKEY),
        (Native.PAYMENT, BlockerKind.PAYMENT),
    ],
)
def test_what_the_browser_signals_is_certain(native: Native, kind: BlockerKind) -> None:
    """A signal needs no page to be believed."""
    (finding,) = detect(Facts(signals=(Signal(native, "F1"),)))

    assert (finding.kind, finding.sort, finding.confidence) == (kind, native, 1.0)
    assert finding.where is not None
    assert finding.where.frame == "F1"


@pytest.mark.parametrize(("times", "found"), [(2, False), (3, True), (9, True)])
def test_three_times_is_stuck(times: int, found: bool) -> None:
    """The same action on the same page state is being stuck from the third time on."""
    findings = detect(Facts(stuck=Stuck("Input.dispatchMouseEvent", times)))

    assert [each.sort for each in findings] == (["repeated_action"] if found else [])


def test_nothing_known_is_nothing_found() -> None:
    """Without facts there is no blocker."""
    assert detect(Facts()) == ()
    assert detect(Facts(frames=(Scan(text="Good morning", length=12),))) == ()


def test_a_login_is_found_where_it_stands() -> None:
    """A finding names the frame and the form, and why."""
    main, inner = Scan(frame="F1"), Scan(frame="F2", main=False, forms=(_LOGIN,))

    (finding,) = detect(Facts(frames=(main, inner)))

    assert (finding.kind, finding.sort) == ("credentials", "login")
    assert finding.where is not None
    assert (finding.where.frame, finding.where.selector) == ("F2", "#login")
    assert "one password field" in finding.why


def test_a_frame_that_is_not_shown_blocks_nobody() -> None:
    """Forms of hidden frames are left alone."""
    assert detect(Facts(frames=(Scan(), Scan(main=False, visible=False, forms=(_LOGIN,))))) == ()


def test_the_surest_comes_first_and_a_general_rule_gives_way() -> None:
    """A vendor's widget is told instead of "some captcha", and every kind and sort once."""
    field = Form(fields=(Field("text", "captcha_code"),))
    alone = detect(Facts(frames=(Scan(forms=(field, field)),)))
    named = detect(Facts(frames=(Scan(forms=(field,), scripts=("https://g.example/recaptcha/api/challenge?k=1",)),)))

    assert [each.sort for each in alone] == ["image"]
    assert [each.sort for each in named] == ["recaptcha"]
    both = detect(Facts(frames=(Scan(forms=(_LOGIN, field)),), signals=(Signal(Native.ALERT),)))
    assert [each.confidence for each in both] == sorted((each.confidence for each in both), reverse=True)
    assert {each.kind for each in both} == {"dialog", "credentials", "captcha"}
