"""What a page means changes when what an action on it would do may have changed, and not otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.state import meaning
from sandbox.words import NotFound, TooLarge, Unavailable

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

PAGE = """
<p id=price>Total: 10</p><p id=clock>12:00:01</p><div id=host></div>
<form action=/pay method=post><input name=amount value=10><input type=checkbox name=terms>
<select name=to><option>Ann<option>Bob</select><button>Pay</button></form><a href=/back>Back</a>
<script>host.attachShadow({mode: 'open'}).innerHTML = '<button class=deep>Confirm</button>';</script>
"""


async def token(tester: Any) -> str:
    """Of the active page."""
    return str(await tester.room.token(tester.page.target))


@pytest.mark.parametrize(
    "change",
    [
        "price.textContent = 'Total: 1000'",
        "document.forms[0].amount.value = '1000'",
        "document.forms[0].terms.checked = true",
        "document.forms[0].to.value = 'Bob'",
        "document.forms[0].action = 'https://evil.example/'",
        "document.querySelector('a').href = '/elsewhere'",
        "document.querySelector('button').disabled = true",
        "document.querySelector('button').textContent = 'Delete'",
        "host.shadowRoot.querySelector('button').textContent = 'Delete'",
        "host.shadowRoot.querySelector('button').style.marginLeft = '200px'",
        "document.body.insertAdjacentHTML('beforeend', '<dialog open>Sure?</dialog>')",
        "history.pushState(0, '', '?step=2')",
        "location.hash = 'other'",
    ],
)
async def test_what_matters_changes_it(tester: Any, change: str) -> None:
    """Texts, values, targets, states, places, address; in shadow roots too."""
    await tester.open(PAGE)
    before = await token(tester)
    assert await token(tester) == before
    await tester.run(f"void ({change})")
    assert await token(tester) != before


async def test_what_does_not_matter_does_not(tester: Any) -> None:
    """A clock, white space, what is hidden, storage."""
    await tester.open(PAGE + "<p hidden id=hid>x</p>")
    before = await token(tester)
    await tester.run("clock.textContent = '12:00:02'; price.append('  '); hid.textContent = 'y'; localStorage.a = '1'")
    assert await token(tester) == before
    assert len(before) == 64


async def test_another_document_means_something_else(tester: Any) -> None:
    """The same page loaded again is another one; so are two tabs."""
    await tester.open(PAGE)
    before = await token(tester)
    await tester.go(tester.site.url("/page"))
    assert await token(tester) != before
    with pytest.raises(NotFound):
        await tester.room.token("nowhere")


async def test_frames_of_others_count_by_their_fields(tester: Any) -> None:
    """An advert may move; a field of a payment frame may not."""
    tester.site.pages["/inner"] = "<!doctype html><p id=ad>Buy soap</p><input name=card><button>Go</button>"
    await tester.open(PAGE + f"<iframe src={tester.site.url('/inner', 'localhost')}></iframe>")
    await tester.until(lambda: len(tester.page.frames) == 1)
    [inner] = tester.page.frames
    await tester.until(lambda: tester.run("document.querySelector('button')?.textContent === 'Go'", inner))
    before = await token(tester)
    await tester.run("ad.textContent = 'Buy rope'; 0", inner)
    assert await token(tester) == before
    await tester.run("document.querySelector('input').value = '1'; 0", inner)
    assert await token(tester) != before


async def test_a_page_that_redefines_everything_is_read_all_the_same(tester: Any) -> None:
    """Nothing that a page overwrites or names reaches the world in which it is read."""
    await tester.open(
        "<script>JSON.stringify = () => 'same'; Array.prototype.map = () => ['same'];"
        "String.prototype.replace = () => 'same'; document.querySelectorAll = () => [];"
        "Element.prototype.getAttribute = () => 'same'; Element.prototype.matches = () => false;</script>"
        "<form name=body><input name=querySelectorAll><input name=localName></form><p id=price>Total: 10</p>"
    )
    before = await token(tester)
    await tester.run("price.firstChild.data = 'Total: 1000'")
    changed = await token(tester)
    assert changed != before
    await tester.run("document.forms[0].elements[1].value = 'x'; 0")
    assert await token(tester) not in {before, changed}


async def test_too_large_is_not_bound_to(tester: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read to its end could change there."""
    monkeypatch.setattr(meaning, "MOST_NODES", 100)
    await tester.open("<button>x</button>" * 200)
    with pytest.raises(TooLarge):
        await token(tester)


async def test_a_hanging_page_means_nothing(alone: Any) -> None:
    """It is said in time."""
    await alone.open(PAGE)
    alone.room._pages.connection.forward(
        {"id": 0, "method": "Runtime.evaluate", "params": {"expression": "for(;;);"}, "sessionId": alone.page.session},
        lambda _raw: None,
    )
    with pytest.raises(Unavailable, match="does not answer"):
        await token(alone)
