"""The rules: each is found on its own examples, and not on what only looks alike, in a real Chromium."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bench.control.detector.reader import Reader, opened
from sandbox.blockers.detect import LIKELY
from sandbox.blockers.features import knows
from sandbox.blockers.matching import Prepared
from sandbox.blockers.rules import RULES, Example, Rule, read_rules, read_words

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reader() -> AsyncIterator[Reader]:
    """One tab for all rules."""
    async with opened() as made:
        yield made


async def _confidence(reader: Reader, rule: Rule, example: Example) -> float:
    await reader.open(example.html, example.url, example.status or 200)
    read = await reader.read(example.url, example.status, example.headers)
    sorts = {rule.sort, *(each.sort for each in rule.refine)}
    return max(
        (each.confidence for each in read.findings if each.kind == rule.kind and each.sort in sorts), default=0.0
    )


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
async def test_a_rule_holds_on_its_examples(reader: Reader, rule: Rule) -> None:
    """Every rule names pages on which it must be found and pages on which it must not."""
    assert rule.examples, f"{rule.name} has no example"
    assert rule.against, f"{rule.name} has no counter-example"

    for example in rule.examples:
        assert await _confidence(reader, rule, example) >= LIKELY, example.html
    for example in rule.against:
        assert await _confidence(reader, rule, example) < LIKELY, example.html


async def test_rules_have_names_of_their_own() -> None:
    """Marks in a page are told apart by the rule's name."""
    names = [rule.name for rule in RULES]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
async def test_rules_see_what_there_is(rule: Rule) -> None:
    """A rule names features of its scope, or an element, and every evidence says why."""
    for evidence in rule.evidence:
        assert evidence.css or knows(rule.scope, evidence.see), evidence
        assert evidence.why
    for finer in rule.refine:
        assert knows(rule.scope, finer.see), finer


async def test_words_have_edges_where_their_letters_have() -> None:
    """A word is not found inside another, but Chinese and Japanese words are found anywhere."""
    words = read_words('[a]\nen = ["pay now", "otp"]\nzh = ["登录"]')
    rule = """[[rule]]
    name = "x"
    kind = "captcha"
    sort = "x"
    bias = 0.0
    evidence = [{see = "text", like = "{a}", weight = 1.0, why = "a word"}]"""

    like = read_rules(rule, words)[0].evidence[0].like

    assert like is not None
    assert like.matches(Prepared("Pay-now!"))
    assert like.matches(Prepared("PayNow"))
    assert like.matches(Prepared("请登录吧"))
    assert not like.matches(Prepared("hotpot"))


async def test_pages_cannot_blind_the_scan(reader: Reader) -> None:
    """What a page redefines is not seen from Baton's world."""
    await reader.open(
        "<form><input name=u><input type=password name=p><button>Log in</button></form><script>"
        "document.querySelectorAll = Element.prototype.checkVisibility = () => { throw new Error() };"
        "Array.prototype.map = JSON.stringify = String.prototype.slice = () => { throw new Error() };</script>",
        "https://site.example/login",
    )

    assert (await reader.read("https://site.example/login")).has("credentials", "login")


async def test_a_huge_page_is_read_in_part(reader: Reader) -> None:
    """Counts bound what is read of a page, however large it is."""
    html = "<form>" + "<p>Row <input name=a><b>cell</b></p>" * 20_000 + "</form>"
    await reader.open(html, "https://site.example/rows")

    scan = (await reader.read("https://site.example/rows")).facts.frames[0]

    assert len(scan.forms[0].fields) <= 300
    assert len(scan.text) <= 4000


async def test_values_of_fields_are_not_read(reader: Reader) -> None:
    """Nothing that stands in a field is in the facts."""
    await reader.open("<form><input name=u value=s3cret><textarea>s3cret</textarea></form>", "https://site.example/")

    assert "s3cret" not in repr((await reader.read("https://site.example/")).facts)
