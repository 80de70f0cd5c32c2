"""Pages that move by themselves while a human acts."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

RESTLESS = """
<h1>Shop</h1><p id=clock>tick 0</p><div id=ad><a href=/0>Offer 0</a></div><ul id=feed></ul>
<button id=add onclick="setTimeout(done, 20)">Add</button>
<p id=count>0 things</p><div id=said role=status></div>
<script>
const done = () => { said.textContent = 'Added to your basket'; count.textContent = '1 thing' };
let n = 0;
const grow = () => {
  n += 1; clock.textContent = `tick ${n}`; ad.innerHTML = `<a href=/${n}>Offer ${n}</a>`; localStorage.beat = n;
  document.cookie = `seen=${n}`;
};
window.timer = setInterval(grow, 130);
</script>
"""


async def click(tester: Any, selector: str) -> None:
    """Click as a human does."""
    box = await tester.run(f"JSON.parse(JSON.stringify(document.querySelector('{selector}').getBoundingClientRect()))")
    at = {"x": box["x"] + 5, "y": box["y"] + 5, "button": "left", "clickCount": 1}
    for kind in ("mousePressed", "mouseReleased"):
        await tester.call("Input.dispatchMouseEvent", {"type": kind, **at})


def told(entries: list[dict[str, Any]]) -> list[str]:
    """Names of the entries that are not noise."""
    return [each.get("after") or each.get("name") or each["key"] for each in entries if not each.get("noise")]


async def test_clocks_adverts_and_beats_are_marked_and_what_a_click_did_is_not(tester: Any) -> None:
    """Noise is in the diff, marked, and last and short in the text."""
    await tester.open(RESTLESS)
    await tester.room.mark("h")
    await tester.until(lambda: tester.run("n >= 14"))
    await click(tester, "#add")
    await tester.until(lambda: tester.run("said.textContent !== '' && n >= 18"))
    answer = await tester.room.diff("h")
    changed = answer["diff"]
    assert told(changed["elements"]["added"]) + told(changed["elements"]["removed"]) == []
    assert sorted(told(changed["elements"]["changed"])) == ["1 thing", "Added to your basket"]
    assert told(changed["storage"]["added"]) + told(changed["storage"]["changed"]) == []
    assert told(changed["cookies"]["added"]) + told(changed["cookies"]["changed"]) == []
    noise = [each for each in changed["elements"]["changed"] if each.get("noise")]
    assert [each["before"].split()[0] for each in noise] == ["tick"]
    assert {each["key"] for each in changed["storage"]["changed"] + changed["storage"]["added"]} == {"beat"}
    lines = answer["text"].splitlines()
    assert lines[1:3] == ["The page now says:", '- status now "Added to your basket"']
    assert lines[-1].startswith("The page also changed by itself: ")
    assert "tick" not in "\n".join(lines[:-1])


async def test_what_a_human_adds_to_a_part_that_moves_is_theirs(tester: Any) -> None:
    """A feed grows by itself, and by a post of the human's."""
    await tester.open(
        "<ul id=feed></ul><button id=post onclick=\"feed.insertAdjacentHTML('beforeend', '<li>My post</li>')\">Post"
        "</button><script>window.n = 0; const more = () => { n += 1;"
        "feed.insertAdjacentHTML('beforeend', `<li>News ${n}</li>`); if (n < 4) setTimeout(more, 50 + 90 * n) };"
        "setTimeout(more, 300)</script>"
    )
    await tester.room.mark("h")
    await tester.until(lambda: tester.run("n === 4"))
    await click(tester, "#post")
    changed = (await tester.room.diff("h"))["diff"]
    assert told(changed["elements"]["added"]) == ["My post"]
    assert len(changed["elements"]["added"]) == 5


async def test_a_frame_that_moves_on_by_itself_is_noise(tester: Any) -> None:
    """An advert in a frame loads the next one; the document is said to be replaced all the same."""
    tester.site.pages["/ad2"] = "<!doctype html><h2>Buy two</h2>"
    tester.site.pages["/ad1"] = (
        "<!doctype html><h2>Buy one</h2><script>setTimeout(() => location.replace('/ad2'), 300)</script>"
    )
    await tester.open("<h1>News</h1><iframe id=ad src=/ad1></iframe><button id=b>Press</button>")
    await tester.room.mark("h")
    await tester.until(lambda: tester.run("ad.contentDocument?.querySelector('h2')?.textContent === 'Buy two'"))
    await click(tester, "#b")
    answer = await tester.room.diff("h")
    changed = answer["diff"]
    assert [each.get("noise") for each in changed["elements"]["added"] + changed["elements"]["removed"]] == [True, True]
    assert [(each["frame"], each["url"], each["noise"]) for each in changed["documents"]["replaced"]] == [
        (tester.site.url("/ad1"), tester.site.url("/ad2"), True)
    ]


async def test_what_becomes_visible_is_attributed_too(tester: Any) -> None:
    """A part shown by a class is the human's after their click, and the page's own before."""
    await tester.open(
        "<style>.off { display: none }</style><div id=mine class=off><p>Mine</p></div>"
        "<div id=own class=off><p>Own</p></div><button id=b onclick=\"mine.className = ''\">Show</button>"
    )
    await tester.room.mark("h")
    await tester.run("own.className = ''")
    await click(tester, "#b")
    changed = (await tester.room.diff("h"))["diff"]
    assert [(each["name"], each.get("noise")) for each in changed["elements"]["added"]] == [
        ("Mine", None),
        ("Own", True),
    ]


async def test_nothing_is_noted_while_the_agent_has_control(tester: Any) -> None:
    """With the return the pages are left alone; the next handoff begins anew."""
    await tester.open("<p id=p>one</p><button id=b>Press</button>")
    await tester.room.mark("h")
    await tester.room.diff("h")
    await tester.room.blank_secrets()
    await tester.run("p.textContent = 'two'")
    changed = (await tester.room.diff("h"))["diff"]["elements"]["changed"]
    await tester.room.mark("next")
    await tester.run("p.textContent = 'three'")
    await click(tester, "#b")
    again = (await tester.room.diff("next"))["diff"]["elements"]["changed"]
    assert [(each["after"], each.get("noise")) for each in changed + again] == [("two", None), ("three", True)]
