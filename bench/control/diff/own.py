"""Sessions on our own pages (`pages/`), whose sources say what each press does."""

from __future__ import annotations

from typing import Final

from bench.control.diff.human import Human
from bench.control.diff.leaks import CARD, CODE, WORD, WRONG
from bench.control.diff.sessions import Place, Script, Session
from bench.control.diff.truth import (
    Change,
    answered,
    came,
    closed,
    cookie,
    downloaded,
    field,
    gone,
    now,
    opened,
    reloaded,
    routed,
    secret,
    stored,
    went,
)  # fmt: skip


def _login(then: str) -> Script:
    async def script(human: Human, place: Place) -> None:
        await human.fill("#user", "ann")
        await human.fill("#password", place.secret)
        await human.click("#go")
        await human.see(f"document.body.innerText.includes({then!r})")

    return script


def clicks(*steps: str) -> Script:
    """Press one selector after the other.

    "?expression" waits for one, "=selector=text" fills, with the session's secret where the text is SECRET, and
    "~selector~text" chooses.
    """

    async def script(human: Human, place: Place) -> None:
        for step in steps:
            if step.startswith("?"):
                await human.see(step[1:])
            elif step.startswith("="):
                _, selector, text = step.split("=", 2)
                await human.fill(selector, place.secret if text == "SECRET" else text)
            elif step.startswith("~"):
                _, selector, text = step.split("~", 2)
                await human.choose(selector, text)
            else:
                await human.click(step)

    return script


async def _upload(human: Human, place: Place) -> None:
    file = place.folder / "passport.txt"
    file.write_text("a passport")
    await human.upload("#file", file)
    await human.see("state.textContent.includes('passport')")


async def _download(human: Human, _place: Place) -> None:
    await human.click("#report")
    await human.downloaded(1)


async def _frame(human: Human, _place: Place) -> None:
    await human.click("#frame", 150, 10)
    await human.type("Ann Lee")
    await human.click("#frame", 50, 75)
    await human.settled()


async def _frame_field(human: Human, _place: Place) -> None:
    await human.click("#frame", 150, 10)
    await human.type("Bob")
    await human.settled()


async def _virtual(human: Human, _place: Place) -> None:
    await human.wheel("#box", 3000)
    await human.see("box.scrollTop > 2900")
    await human.click("#m105")
    await human.see("chosen.textContent.startsWith('Chosen')")
    await human.look("box.scrollTop")


def _dialog(button: str, accept: bool, text: str = "") -> Script:
    async def script(human: Human, _place: Place) -> None:
        await human.answer(accept, text)
        await human.click(button)
        await human.until(lambda: human.dialogs, "a dialog")

    return script


async def _popup(human: Human, _place: Place) -> None:
    await human.click("#open")
    await human.tabs(2)
    await human.click("#yes")
    await human.tabs(1)
    await human.see("who.textContent.includes('Ann')")


async def _popup_left(human: Human, _place: Place) -> None:
    await human.click("#open")
    await human.tabs(2)


async def _second_tab(human: Human, place: Place) -> None:
    await human.new_tab(f"{place.url}/welcome")
    await human.at("/welcome")


async def _two(human: Human, place: Place) -> None:
    await human.new_tab(f"{place.url}/thanks")
    await human.at("/thanks")


async def _close_first(human: Human, _place: Place) -> None:
    await human.close_tab(human.first)


async def _nothing(human: Human, _place: Place) -> None:
    await human.settled()


async def _look_around(human: Human, _place: Place) -> None:
    await human.click("h1")
    await human.settled()


async def _signed_in(human: Human, place: Place) -> None:
    await human.go(f"{place.url}/login")
    await human.at("/login")
    await _login("Welcome back")(human, place)


_WALL: Final = (gone("Your privacy", "dialog"), gone("Accept all", "button"), gone("Reject all", "button"))
_COFFEE: Final = (came("Coffee"), now("Total: 9 euros"))
_PHRASE: Final = secret("Phrase")
_CHOSE: Final = (cookie("consent"), stored("local:consent"), *_WALL)
_IN: Final = (went("/account"), cookie("sid"), came("Your account", "heading"), came("Sign out", "link"))


async def _secret_entry(human: Human, place: Place) -> None:
    await human.enter_secret("#reference", place.secret)
    await human.see("!!document.getElementById('reference').value")


def _own(
    name: str,
    start: str,
    script: Script,
    *truth: Change,
    before: Script | None = None,
    secret: str = "",
    lease: bool = False,
    idle_s: float = 1.2,
) -> Session:
    return Session(name, "own", start, script, truth, before, secret, lease, idle_s)


OWN: Final = (
    _own("login", "/login", _login("Welcome back"), *_IN, secret=WORD),
    _own("login-noisy", "/login-noisy", _login("Welcome back"), *_IN, secret=WORD),
    _own("login-wrong", "/login", _login("is wrong"), reloaded("/login"),
         came("The password is wrong.", "alert"), gone("Stay signed in", "checkbox"),
         gone("Use your company's account", "link"), secret=WRONG),
    _own("login-half", "/login", clicks("=#user=ann", "=#password=SECRET"), field("User", "ann"),
         secret("Password"), secret=WORD),
    _own("login-stay", "/login", clicks("=#user=ann", "#stay"), field("User", "ann"),
         field("Stay signed in", "checked")),
    _own("sso", "/login", clicks("#sso", "?location.pathname === '/account'"), went("/account"), cookie("idp"),
         came("Your account", "heading")),
    _own("sign-out", "/account", clicks("#out", "?location.pathname === '/login'"), went("/login"),
         cookie("sid", "removed"), came("Sign in", "heading"), before=_signed_in, secret=WORD),
    _own("captcha", "/captcha", clicks("=#answer=W68HP", "#go", "?location.pathname === '/welcome'"),
         went("/welcome"), cookie("human"), came("Welcome", "heading")),
    _own("captcha-wrong", "/captcha", clicks("=#answer=WRONG", "#go", "?!!document.querySelector('[role=alert]')"),
         reloaded("/captcha"), came("Those are not the letters.", "alert"), gone("Letters to read", "img")),
    _own("captcha-typed", "/captcha", clicks("=#answer=W68HP"), field("Letters", "W68HP")),
    _own("consent-all", "/consent", clicks("#accept", "?!document.getElementById('wall')"), *_CHOSE),
    _own("consent-none", "/consent", clicks("#reject", "?!document.getElementById('wall')"), *_CHOSE),
    _own("consent-noisy", "/consent-noisy", clicks("#accept", "?!document.getElementById('wall')"), *_CHOSE),
    _own("upload", "/upload", _upload, field("Document", "passport.txt"), now("passport.txt is ready", "status")),
    _own("download", "/account", _download, downloaded("report.csv"), before=_signed_in, secret=WORD),
    _own("form", "/form", clicks("=#name=Ann Lee", "=#city=Oslo", "~#size~Lar", "#gift", "#cash", "=#note=Ring"),
         field("Name", "Ann Lee"), field("City", "Oslo"), field("Size", "Large"), field("It is a gift", "checked"),
         field("Cash", "checked"), field("Card", "unchecked"), field("Note", "Ring")),
    _own("form-card", "/form", clicks("=#name=Ann Lee", "=#number=SECRET"), field("Name", "Ann Lee"),
         secret("Card number"), secret=CARD),
    _own("form-noisy", "/form-noisy", clicks("=#city=Oslo", "#gift"), field("City", "Oslo"),
         field("It is a gift", "checked")),
    _own("form-sent", "/form", clicks("=#name=Ann", "#go", "?location.pathname === '/thanks'"), went("/thanks"),
         came("Thank you", "heading")),
    _own("todo", "/todo", clicks("=#text=Milk", "#add", "=#text=Bread", "#add"), stored("local:items"),
         came("Remove Milk", "button"), came("Remove Bread", "button")),
    _own("todo-removed", "/todo", clicks("#list button >> Milk", "?!list.children.length"),
         gone("Remove Milk", "button"), before=clicks("=#text=Milk", "#add")),
    _own("route", "/route", clicks("#inbox"), routed("/route/inbox"), now("Inbox", "heading"),
         gone("Refresh", "button"), came("Write to Inbox", "button")),
    _own("shadow", "/shadow", clicks("#use"), now("Voucher used", "status"), gone("Use it", "button")),
    _own("shadow-field", "/shadow", clicks("=#voucher=TEN"), field("Voucher", "TEN")),
    _own("frame", "/frame", _frame, field("Holder", "Ann Lee"), now("Confirmed", "status")),
    _own("frame-field", "/frame", _frame_field, field("Holder", "Bob")),
    _own("virtual", "/virtual", _virtual, now("Chosen: Message 105", "heading"),
         *(gone(f"Message {number}", "button") for number in range(12)),
         *(came(f"Message {number}", "button") for number in range(100, 112))),
    _own("confirm", "/dialogs", _dialog("#remove", True), answered("confirm"), gone("report.txt", "button")),
    _own("confirm-no", "/dialogs", _dialog("#remove", False), answered("confirm", False)),
    _own("prompt", "/dialogs", _dialog("#rename", True, "new.txt"), answered("prompt"), now("new.txt", "button")),
    _own("confirm-noisy", "/dialogs-noisy", _dialog("#remove", True), answered("confirm"),
         gone("report.txt", "button")),
    _own("popup", "/popup", _popup, now("Signed in as Ann", "heading"), stored("session:partner")),
    _own("popup-left", "/popup", _popup_left, opened("/popup-inner"), came("Allow?", "heading")),
    _own("second-tab", "/login", _second_tab, opened("/welcome"), came("Welcome", "heading")),
    _own("tab-closed", "/login", _close_first, closed("/login"), before=_two),
    _own("vault", "/vault", clicks("=#phrase=SECRET"), _PHRASE, secret=WORD),
    _own("vault-shown", "/vault", clicks("=#phrase=SECRET", "#show"), _PHRASE, secret=WORD),
    _own("vault-kept", "/vault", clicks("=#phrase=SECRET", "#keep"), _PHRASE, stored("local:kept"), cookie("kept"),
         secret=WORD),
    _own("vault-said", "/vault", clicks("=#phrase=SECRET", "#say"), _PHRASE, now("You said…", "status"), secret=WORD),
    _own("vault-moved", "/vault", clicks("=#phrase=SECRET", "#move", "?location.search"), _PHRASE,
         routed("/vault/[secret]"), secret=WORD),
    _own("vault-left", "/vault", clicks("=#word=SECRET", "#go", "?location.pathname === '/welcome'"), went("/welcome"),
         came("Welcome", "heading"), secret=WORD),
    _own("vault-code", "/vault", clicks("=#code=SECRET"), secret("Code"), secret=CODE),
    _own("vault-lease", "/vault", clicks("=#reference=SECRET"), secret("Reference"), secret=WORD, lease=True),
    _own("vault-entry", "/vault", _secret_entry, secret("Reference"), secret=WORD),
    _own("basket-add", "/slow", clicks("#add"), *_COFFEE),
    _own("basket-drop", "/slow", clicks("#drop"), gone("Tea"), now("Total: 0 euros")),
    _own("slow-waited", "/slow", clicks("#add", "?banner.dataset.turn >= 2"), *_COFFEE, idle_s=6),
    _own("slow-late", "/slow", clicks("#add", "?banner.dataset.turn >= 1"), *_COFFEE),
    _own("slow-nothing", "/slow", clicks("?banner.dataset.turn >= 1")),
    _own("nothing", "/form", _nothing),
    _own("nothing-noisy", "/form-noisy", _nothing),
    _own("looked-noisy", "/todo", _look_around),
)  # fmt: skip
