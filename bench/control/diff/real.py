"""Sessions on sites that nobody here wrote: django-simple-captcha's test project, wagtail, and Django's own admin."""

from __future__ import annotations

from typing import Final

from bench.control.diff.human import Human
from bench.control.diff.leaks import ACCOUNT, WORD, WRONG
from bench.control.diff.own import clicks
from bench.control.diff.sessions import Place, Script, Session
from bench.control.diff.truth import (
    Change,
    came,
    cookie,
    field,
    now,
    opened,
    reloaded,
    secret,
    stored,
    went,
)
from web.demo.sites import USER


def _captcha(right: bool) -> Script:
    async def script(human: Human, place: Place) -> None:
        await human.fill("#id_captcha_1", place.answer() if right else "WRONG")
        await human.click("input[type=submit]")
        await human.see("location.search === '?ok'" if right else "!!document.querySelector('.errorlist')")

    return script


def _login(then: str) -> Script:
    async def script(human: Human, place: Place) -> None:
        await human.fill("#id_username", USER)
        await human.fill("#id_password", place.secret)
        await human.press("Enter")
        await human.see(f"{then} && document.readyState === 'complete'")

    return script


def _to(path: str, *steps: str) -> Script:
    """Do `steps` as `clicks` does, then wait for a path."""

    async def script(human: Human, place: Place) -> None:
        await clicks(*steps)(human, place)
        await human.at(path)

    return script


def _session(
    name: str,
    site: str,
    start: str,
    script: Script,
    *truth: Change,
    before: Script | None = None,
    secret: str = "",
    lease: bool = False,
) -> Session:
    return Session(name, site, start, script, truth, before, secret, lease)


def _typed(name: str, start: str, *filled: tuple[str, str, str]) -> Session:
    """Fields of wagtail are filled, nothing is sent: (selector, label, text)."""
    steps = [f"={selector}={text}" for selector, _, text in filled]
    return Session(name, "wagtail", start, clicks(*steps), tuple(field(label, text) for _, label, text in filled))


def _group(name: str) -> Script:
    """Make a group of the admin's and stay on its page."""
    return clicks(
        f"=#id_name={name}",
        "input[name=_continue]",
        "?location.pathname.endsWith('/change/') && document.readyState === 'complete'",
    )


def _sent(path: str, *steps: str) -> Script:
    """Do `steps` as `clicks` does, press Enter, wait for a path."""

    async def script(human: Human, place: Place) -> None:
        await clicks(*steps)(human, place)
        await human.press("Enter")
        await human.at(path)

    return script


async def _popup(human: Human, _place: Place) -> None:
    await human.click("#add_id_groups")
    await human.tabs(2)


async def _picture(human: Human, place: Place) -> None:
    file = place.folder / "face.png"
    file.write_bytes(b"a face")
    await human.upload("#id_avatar-avatar", file)
    await human.see("document.querySelector('#id_avatar-avatar').files.length === 1")


async def _leave(human: Human, place: Place) -> None:
    await human.fill("#id_title", "Not to be kept")
    await human.go(f"{place.url}/admin/collections/")
    await human.at("/admin/collections/")


_ADMIN: Final = "/django-admin"
_GROUPS: Final = came("Select group to change", "heading")
_WRONG: Final = "!!document.querySelector('.messages .error, .messages .critical, .errornote, [role=alert]')"

REAL: Final = (
    _session("captcha-right", "captcha", "/", _captcha(right=True), went("/"), came("Correct answer")),
    _session("captcha-mistyped", "captcha", "/", _captcha(right=False), reloaded("/"), came("Invalid CAPTCHA")),
    _session("wagtail-login", "guest", "/admin/login/", _login("location.pathname === '/admin/'"),
             went("/admin/"), cookie("sessionid"), secret=ACCOUNT),
    _session("wagtail-login-wrong", "guest", "/admin/login/", _login(_WRONG),
             reloaded("/admin/login/"), field("Username", USER),
             came("Your username and password didn't match. Please try again."), secret=WRONG),
    _session("wagtail-login-typed", "guest", "/admin/login/",
             clicks(f"=#id_username={USER}", "=#id_password=SECRET"), field("Username", USER), secret("Password"),
             secret=WORD),
    _session("wagtail-forgotten", "guest", "/admin/login/",
             _to("/admin/password_reset/", "a[href*=password_reset]"), went("/admin/password_reset/")),
    _session("admin-login", "guest", f"{_ADMIN}/login/?next={_ADMIN}/",
             _login(f"location.pathname === '{_ADMIN}/'"), went(f"{_ADMIN}/"), cookie("sessionid"),
             came("Site administration", "heading"), secret=ACCOUNT),
    _session("admin-login-wrong", "guest", f"{_ADMIN}/login/", _login(_WRONG),
             reloaded(f"{_ADMIN}/login/"), field("Username", USER),
             came("Please enter the correct username and password for a staff account. Note that both fields may be "
                  "case-sensitive."), secret=WRONG),
    _session("admin-login-typed", "guest", f"{_ADMIN}/login/",
             clicks(f"=#id_username={USER}", "=#id_password=SECRET"), field("Username", USER), secret("Password"),
             secret=WORD),
    _session("admin-out", "wagtail", f"{_ADMIN}/", _to(f"{_ADMIN}/logout/", "#logout-form button"),
             went(f"{_ADMIN}/logout/"), cookie("sessionid", "removed"), came("Logged out", "heading")),
    _session("admin-group", "wagtail", f"{_ADMIN}/auth/group/add/",
             _to(f"{_ADMIN}/auth/group/", "=#id_name=Readers", "input[name=_save]"), went(f"{_ADMIN}/auth/group/"),
             _GROUPS, came("The group “Readers” was added successfully.")),
    _session("admin-group-twice", "wagtail", f"{_ADMIN}/auth/group/add/",
             clicks("=#id_name=Editors", "input[name=_save]", f"?{_WRONG}"), reloaded(f"{_ADMIN}/auth/group/add/"),
             field("Name", "Editors"), came("Please correct the error below."),
             came("Group with this Name already exists.")),
    _session("admin-group-typed", "wagtail", f"{_ADMIN}/auth/group/add/", clicks("=#id_name=Writers"),
             field("Name", "Writers")),
    _session("admin-to-users", "wagtail", f"{_ADMIN}/", _to(f"{_ADMIN}/auth/user/", f"a[href='{_ADMIN}/auth/user/']"),
             went(f"{_ADMIN}/auth/user/"), came("Select user to change", "heading")),
    _session("admin-user-typed", "wagtail", f"{_ADMIN}/auth/user/add/",
             clicks("=#id_username=bob", "=#id_password1=SECRET", "=#id_password2=SECRET"),
             field("Username", "bob"), secret("Password"), secret("Password confirmation"), secret=WORD),
    _session("admin-password-typed", "wagtail", f"{_ADMIN}/password_change/",
             clicks("=#id_old_password=SECRET", "=#id_new_password1=SECRET"),
             secret("Old password"), secret("New password"), secret=WORD),
    _session("admin-search", "wagtail", f"{_ADMIN}/auth/user/",
             clicks("=#searchbar=nobody", "#changelist-search input[type=submit]",
                    "?location.search.includes('nobody') && document.readyState === 'complete'"),
             went(f"{_ADMIN}/auth/user/"), field("Search", "nobody")),
    _typed("wagtail-account", "/admin/account/", ("#id_name_email-first_name", "First name", "Ann"),
           ("#id_name_email-last_name", "Last name", "Lee")),
    _typed("wagtail-collection", "/admin/collections/add/", ("#id_name", "Name", "Holidays")),
    _typed("wagtail-redirect", "/admin/redirects/add/", ("#id_old_path", "Redirect from", "/old/")),
    _typed("wagtail-group", "/admin/groups/new/", ("#id_name", "Name", "Proofreaders")),
    _typed("wagtail-user", "/admin/users/new/", ("#id_username", "Username", "carol"),
           ("#id_first_name", "First name", "Carol")),
    _session("admin-theme", "wagtail", f"{_ADMIN}/", clicks(".theme-toggle"), stored("local:theme", "changed"),
             now("Toggle theme (current theme: dark)", "button")),
    _session("admin-another", "wagtail", f"{_ADMIN}/auth/group/add/",
             clicks("=#id_name=Painters", "input[name=_addanother]", "?!!document.querySelector('.messagelist')"),
             reloaded(f"{_ADMIN}/auth/group/add/"),
             came("The group “Painters” was added successfully. You may add another group below.")),
    _session("admin-deleted", "wagtail", f"{_ADMIN}/auth/group/add/",
             _to(f"{_ADMIN}/auth/group/", "a.deletelink", "?location.pathname.endsWith('/delete/')",
                 "#content input[type=submit]"),
             went(f"{_ADMIN}/auth/group/"), _GROUPS, came("The group “Temporary” was deleted successfully."),
             before=_group("Temporary")),
    _session("admin-changed", "wagtail", f"{_ADMIN}/auth/group/add/",
             _to(f"{_ADMIN}/auth/group/", "=#id_name=Smooth", "input[name=_save]"), went(f"{_ADMIN}/auth/group/"),
             _GROUPS, came("The group “Smooth” was changed successfully."), before=_group("Rough")),
    _session("admin-popup", "wagtail", f"{_ADMIN}/auth/user/1/change/", _popup, opened(f"{_ADMIN}/auth/group/add/"),
             came("Add group", "heading")),
    _session("admin-history", "wagtail", f"{_ADMIN}/auth/user/1/change/",
             _to(f"{_ADMIN}/auth/user/1/history/", "a.historylink"), went(f"{_ADMIN}/auth/user/1/history/"),
             came("Change history: editor", "heading")),
    _session("admin-to-site", "wagtail", f"{_ADMIN}/", _to("/", "#user-tools a[href='/']"), went("/"),
             came("Welcome to your new Wagtail site!", "heading")),
    _session("admin-password-wrong", "wagtail", f"{_ADMIN}/password_change/",
             clicks("=#id_old_password=SECRET", "=#id_new_password1=SECRET", "=#id_new_password2=SECRET",
                    "#content input[type=submit]", "?!!document.querySelector('.errorlist')"),
             reloaded(f"{_ADMIN}/password_change/"),
             came("Your old password was entered incorrectly. Please enter it again."), secret=WORD),
    _session("wagtail-reset-sent", "guest", "/admin/password_reset/",
             _sent("/admin/password_reset/done/", "=#id_email=editor@example.com"),
             went("/admin/password_reset/done/")),
    _session("wagtail-avatar", "wagtail", "/admin/account/", _picture, field("Upload a profile picture", "face.png")),
    _session("wagtail-left", "wagtail", "/admin/pages/add/home/homepage/3/", _leave, went("/admin/collections/"),
             came("Collections", "heading")),
    _session("wagtail-home", "guest", "/", _to("/admin/login/", "a[href='/admin/']"), went("/admin/login/")),
)  # fmt: skip
