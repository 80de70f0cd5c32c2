"""Settings and their page."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from web.settings import Settings, render

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"


def test_the_page_is_current() -> None:
    """docs/settings.md is what the class says; `python -m web.settings` writes it."""
    assert PAGE.read_text() == render()


def test_every_setting_is_explained() -> None:
    """Every setting stands on the page with a sentence."""
    for name, field in Settings.model_fields.items():
        assert f"`BATON_{name.upper()}`" in PAGE.read_text()
        assert (field.description or "").endswith((".", "."))


def test_the_environment_sets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables with the prefix are read; lists are separated by blanks."""
    monkeypatch.setenv("BATON_PORT", "9000")
    monkeypatch.setenv("BATON_NOTIFY_URLS", "json://a json://b")

    settings = Settings()

    assert settings.port == 9000
    assert settings.notify_urls == ("json://a", "json://b")


def test_notification_urls_are_not_shown() -> None:
    """URLs that hold services' secrets stay out of a repr."""
    assert "hunter2" not in repr(Settings(notify_urls=("slack://hunter2",)))


def test_certificate_and_key_come_together() -> None:
    """One without the other is refused."""
    with pytest.raises(ValidationError, match="come together"):
        Settings(tls_cert=Path("cert.pem"))


@pytest.mark.parametrize("url", ["baton.example.com", "ftp://x", "https://x/path", "https://x/?q=1"])
def test_a_public_url_is_an_origin(url: str) -> None:
    """Anything but scheme and host is refused."""
    with pytest.raises(ValidationError, match="scheme and host only"):
        Settings(public_url=url)


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ({}, "http://127.0.0.1:8700"),
        ({"host": "0.0.0.0", "port": 1}, "http://127.0.0.1:1"),
        ({"host": "::1"}, "http://[::1]:8700"),
        ({"public_url": "https://b.example/"}, "https://b.example"),
        ({"tls_cert": Path("c"), "tls_key": Path("k")}, "https://127.0.0.1:8700"),
    ],
)
def test_the_base_url_follows_from_the_others(given: dict[str, object], base: str) -> None:
    """Links start with the public URL where there is one, else with what is listened on."""
    assert Settings(**given).base_url() == base  # type: ignore[arg-type] # mixed on purpose


def test_datagrams_of_a_local_server_stay_on_the_machine() -> None:
    """What only this machine reaches opens no port to others; what others reach does, and what says an address."""
    for settings, loopback in [
        (Settings(), True),
        (Settings(host="0.0.0.0"), False),
        (Settings(public_url="https://baton.example.com"), False),
        (Settings(rtc_host=("203.0.113.7",)), False),
    ]:
        datagrams = settings.datagrams()
        assert datagrams is not None
        assert datagrams.places.loopback is loopback
    assert Settings(rtc=False).datagrams() is None


def test_ports_addresses_and_relay_of_datagrams(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are written in the environment."""
    monkeypatch.setenv("BATON_RTC_PORTS", "40000-40100")
    monkeypatch.setenv("BATON_RTC_HOST", "203.0.113.7 [2001:db8::7]:40000 2001:db8::8 198.51.100.1:9")
    monkeypatch.setenv("BATON_RTC_TURN_URL", "turn:turn.example.com")
    monkeypatch.setenv("BATON_RTC_TURN_SECRET", "hunter2")
    settings = Settings()
    datagrams = settings.datagrams()

    assert datagrams is not None
    assert datagrams.places.ports == range(40000, 40101)
    assert datagrams.places.advertised == (
        ("203.0.113.7", None), ("2001:db8::7", 40000), ("2001:db8::8", None), ("198.51.100.1", 9),
    )  # fmt: skip
    assert datagrams.turn is not None
    assert datagrams.turn.secret == "hunter2"
    assert "hunter2" not in repr(settings) + repr(datagrams) + repr(datagrams.turn.relay(0))


@pytest.mark.parametrize("ports", ["40100-40000", "0-5", "x", "1-70000", "-"])
def test_a_range_that_is_none_is_refused(ports: str) -> None:
    """With a word about the range."""
    with pytest.raises(ValidationError):
        Settings(rtc_ports=ports)


@pytest.mark.parametrize("host", ["example.com", "203.0.113.7:0", "203.0.113.7:x", "[2001:db8::7]:70000"])
def test_an_address_that_is_none_is_refused(host: str) -> None:
    """Names are not asked for: the browser is told addresses."""
    with pytest.raises(ValidationError):
        Settings(rtc_host=(host,))
