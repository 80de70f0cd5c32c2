"""Conditions as values: reading, refusing, composing."""

from __future__ import annotations

import time
from typing import Any

import pytest

from sandbox.state.conditions import Finding, UrlIs, judge, leaves, parse_condition, report
from sandbox.words import BadRequest


@pytest.mark.parametrize(
    "data",
    [
        {"url": "https://*/done"},
        {"selector": "#x", "state": "gone"},
        {"cookie": "sid"},
        {"text": "Welcome"},
        {"storage": "token"},
        {"all": [{"cookie": "a"}, {"any": [{"text": "b"}, {"not": {"url": "*"}}]}]},
    ],
)
def test_a_condition_survives_reading_and_writing(data: dict[str, Any]) -> None:
    """What is parsed is written as it came."""
    assert parse_condition(data).to_wire() == data


@pytest.mark.parametrize(
    ("data", "part"),
    [
        ({}, "condition"),
        ({"cookie": "a", "url": "b"}, "condition"),
        ({"selectr": "#x"}, "condition"),
        ({"url": ""}, "condition.url"),
        ({"url": 7}, "condition.url"),
        ({"cookie": "x", "state": "gone"}, "condition"),
        ({"selector": "#x", "state": "there"}, "condition.selector"),
        ({"all": []}, "condition.all"),
        ({"all": [{"cookie": "a"}, {"any": [{"text": 1}]}]}, "condition.all[1].any[0].text"),
        ({"not": "x"}, "condition.not"),
        ({"text": "x" * 2001}, "condition.text"),
    ],
)
def test_a_wrong_condition_is_refused_by_the_name_of_its_part(data: dict[str, Any], part: str) -> None:
    """The error says which part, as a path."""
    with pytest.raises(BadRequest) as caught:
        parse_condition(data)
    assert caught.value.fields["part"] == part


def test_depth_and_number_of_parts_are_bounded() -> None:
    """Eight levels and fifty parts pass, one more does not."""
    deep: dict[str, Any] = {"cookie": "a"}
    for _ in range(7):
        deep = {"not": deep}
    parse_condition(deep)
    with pytest.raises(BadRequest, match="nested"):
        parse_condition({"not": deep})
    parse_condition({"all": [{"cookie": "a"}] * 49})
    with pytest.raises(BadRequest, match="50"):
        parse_condition({"all": [{"cookie": "a"}] * 50})


@pytest.mark.parametrize(
    ("glob", "url", "met"),
    [
        ("https://a.b/done", "https://a.b/done", True),
        ("https://a.b/done", "https://a.b/done?x=1", False),
        ("https://a.b/done*", "https://a.b/done?x=1", True),
        ("**/done", "https://a.b/c/done", True),
        ("*/d.ne", "https://a.b/done", False),
        ("*?x=[1]", "https://a.b/?x=[1]", True),
    ],
)
def test_only_the_star_is_special_in_a_url_pattern(glob: str, url: str, met: bool) -> None:
    """Every other character stands for itself, and the whole URL must match."""
    assert UrlIs(glob).matches(url) is met


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        ({"all": [{"text": "yes"}, {"text": "yes"}]}, True),
        ({"all": [{"text": "yes"}, {"text": "no"}]}, False),
        ({"all": [{"text": "yes"}, {"text": "unknown"}]}, None),
        ({"all": [{"text": "no"}, {"text": "unknown"}]}, False),
        ({"any": [{"text": "no"}, {"text": "yes"}]}, True),
        ({"any": [{"text": "no"}, {"text": "unknown"}]}, None),
        ({"any": [{"text": "yes"}, {"text": "unknown"}]}, True),
        ({"not": {"text": "no"}}, True),
        ({"not": {"text": "unknown"}}, None),
    ],
)
def test_what_could_not_be_judged_is_never_turned_into_success(data: dict[str, Any], whole: bool | None) -> None:
    """Three values: met, unmet, unknown; the report counts unknown as not met."""
    condition = parse_condition(data)
    known = {"yes": True, "no": False, "unknown": None}
    findings = {leaf: Finding(known[leaf.to_wire()["text"]], leaf.to_wire()["text"]) for leaf in leaves(condition)}
    assert judge(condition, findings) is whole
    assert report(condition, findings)["met"] is (whole is True)


def test_a_report_lists_leaves_and_negations() -> None:
    """A negated part is shown as such, with the reason of what is inside."""
    condition = parse_condition({"all": [{"text": "a"}, {"not": {"text": "b"}}]})
    findings = {leaf: Finding(True, f"saw {leaf.to_wire()['text']}") for leaf in leaves(condition)}
    assert report(condition, findings)["parts"] == [
        {"condition": {"text": "a"}, "met": True, "why": "saw a"},
        {"condition": {"not": {"text": "b"}}, "met": False, "why": "saw b"},
    ]


@pytest.mark.parametrize(
    ("glob", "url", "met"),
    [("a*a", "a", False), ("a*a", "aa", True), ("*b*b*", "b", False), ("**", "", True), ("a*bc*c", "abc", False)],
)
def test_parts_of_a_url_pattern_do_not_overlap(glob: str, url: str, met: bool) -> None:
    """Each character of the URL stands for one thing."""
    assert UrlIs(glob).matches(url) is met


def test_a_pattern_of_many_stars_is_judged_at_once() -> None:
    """An agent's pattern cannot keep the keeper busy."""
    began = time.perf_counter()
    assert not UrlIs("*a" * 900 + "*b").matches("a" * 8000)
    assert time.perf_counter() - began < 1
