"""The diff as a function of two snapshots."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sandbox.state.diff import Notes, diff, is_empty
from sandbox.state.snapshot import Digest, Element, Field, Snapshot, TabState

DIGEST = Digest(b"k" * 32)


def field(label: str, value: str, node: int = 1, **more: Any) -> Field:
    """A text field of the page itself."""
    made = Field("", label, "textbox", ("s", node), False, True, bool(value), not value, DIGEST(value), value)
    return replace(made, **more)


def tab(*fields: Field, elements: tuple[Element, ...] = (), target: str = "T", url: str = "http://a/x") -> TabState:
    """One tab."""
    return TabState(target, url, DIGEST(url), "Title", {"F": ("d", url)}, fields, elements)


def element(name: str, node: int, role: str = "link") -> Element:
    """One element."""
    return Element(role, name, ("s", node))


def compare(before: TabState, after: TabState, notes: Notes | None = None) -> dict[str, Any]:
    """Diff two states of one tab."""
    return diff(Snapshot("T", (before,)), Snapshot("T", (after,)), notes or Notes())


def test_digests_depend_on_the_key() -> None:
    """The same value under another key is another digest."""
    assert Digest(b"a")("v") == Digest(b"a")("v") != Digest(b"b")("v")


def test_in_a_secret_lease_no_typed_text_is_shown() -> None:
    """Filled, changed and emptied; what was not typed (a choice) is shown as ever."""
    before = tab(field("A", "", 1), field("B", "old", 2), field("C", "old", 3), field("D", "x", 4, typed=False))
    after = tab(field("A", "sec", 1), field("B", "sec", 2), field("C", "", 3), field("D", "y", 4, typed=False))
    found = compare(before, after, Notes(secret=True))["fields"]
    assert [each.get("change") for each in found] == ["filled", "changed", "emptied", None]
    assert found[3]["after"] == "y"
    assert "sec" not in str(found[:3]).replace("'secret': True", "")


def test_a_field_of_a_new_page_counts_only_when_it_was_filled_in() -> None:
    """What the page itself put there is not a change of the human's."""
    before = tab(url="http://a/1")
    after = tab(
        field("Given", "x", 7, default=True),
        field("Empty", "", 8),
        field("Typed", "y", 9, default=False),
        url="http://a/2",
    )
    assert [(each["label"], each["before"], each["after"]) for each in compare(before, after)["fields"]] == [
        ("Typed", "", "y")
    ]


def test_the_same_page_loaded_again_matches_fields_by_place() -> None:
    """New nodes, same label and role: the value is compared with the one before."""
    found = compare(tab(field("A", "1", 1), field("A", "2", 2)), tab(field("A", "1", 8), field("A", "3", 9)))["fields"]
    assert [(each["before"], each["after"]) for each in found] == [("2", "3")]


def test_reordered_and_recycled_elements_cancel_out() -> None:
    """A list whose nodes swap their names has not changed; one more of the same has."""
    before = tab(elements=(element("one", 1), element("two", 2)))
    assert is_empty(compare(before, tab(elements=(element("two", 1), element("one", 2)))))
    found = compare(before, tab(elements=(element("one", 1), element("two", 2), element("two", 3))))["elements"]
    assert found == {"added": [{"role": "link", "name": "two", "tab": "T"}], "removed": [], "changed": []}


def test_who_is_signed_in_is_read_from_the_page() -> None:
    """By an offer to sign out, or by being asked for a secret; else nothing is said."""
    secret = field("Password", "", secret=True)
    before = tab(secret, elements=(element("Log in", 1, "button"),))
    after = tab(elements=(element("Log out", 1, "button"),))
    assert compare(before, after)["signed_in"] == {"before": False, "after": True}
    assert compare(after, tab(elements=(element("Checkout", 1), element("Log outcomes", 2))))["signed_in"] == {
        "before": True,
        "after": None,
    }


def test_a_form_for_a_new_password_says_nothing_of_who_is_signed_in() -> None:
    """It may be asked of somebody who is."""
    old, new = (field(name, "", node, secret=True) for node, name in enumerate(("Old password", "New password")))
    assert compare(tab(), tab(old, new, elements=(element("Sign in", 9, "button"),)))["signed_in"]["after"] is None


def test_documents_that_were_replaced_are_named() -> None:
    """The page's own and its frames'; one that went by itself is marked."""
    before = replace(tab(), documents={"T": ("d1", "http://a/x"), "F": ("f1", "http://b/ad"), "G": ("g", "http://c/")})
    after = replace(tab(), documents={"T": ("d2", "http://a/x"), "F": ("f2", "http://b/ad2"), "G": ("g", "http://c/")})
    notes = Notes(inputs=(5.0,), navigations={"T": (5.1,), "F": (2.0,)})
    assert compare(before, after, notes)["documents"]["replaced"] == [
        {"tab": "T", "frame": "", "url": "http://a/x"},
        {"tab": "T", "frame": "http://b/ad", "url": "http://b/ad2", "noise": True},
    ]


def test_cookies_and_storage_that_a_page_writes_by_itself_are_marked() -> None:
    """As they were seen to change before anyone acted; what changed with the click is the human's."""
    was, now = {("a", "h", "/"): b"1", ("b", "h", "/"): b"1"}, {("a", "h", "/"): b"2", ("b", "h", "/"): b"2"}
    notes = Notes(inputs=(5.0,), written={("a", "h", "/"): (1.0,), ("b", "h", "/"): (5.3,)})
    changed = diff(Snapshot("T", (tab(),), was), Snapshot("T", (tab(),), now), notes)["cookies"]["changed"]
    assert [(each["name"], each.get("noise")) for each in changed] == [("a", True), ("b", None)]


def test_a_tab_that_did_not_answer_is_not_compared() -> None:
    """Its elements are neither gone nor new; the diff says that it is silent."""
    found = compare(tab(elements=(element("one", 1),)), replace(tab(), answered=False))
    assert found["elements"]["removed"] == []
    assert found["left_out"] == {"silent_tabs": ["T"]}


def test_long_lists_and_texts_are_cut_and_counted() -> None:
    """Five hundred entries of two hundred characters; the rest is a number."""
    found = compare(tab(), tab(elements=tuple(element(f"{n:04}" * 100, n) for n in range(600))))
    assert len(found["elements"]["added"]) == 500
    assert len(found["elements"]["added"][0]["name"]) == 200
    assert found["left_out"] == {"elements added": 100}


def test_storage_is_gone_only_where_its_origin_is_still_shown() -> None:
    """What an origin stored that no tab shows any more, or that did not answer, was not looked at."""
    keys = {(origin, "local", "k"): b"1" for origin in ("http://a", "http://b", "http://a in http://b")}
    shows = replace(tab(), documents={"T": ("d", "http://a/x")})
    for now, gone in ((shows, ["http://a", "http://a in http://b"]), (replace(shows, answered=False), [])):
        result = diff(Snapshot("T", (shows,), storage=keys), Snapshot("T", (now,)), Notes())
        assert [each["origin"] for each in result["storage"]["removed"]] == gone
