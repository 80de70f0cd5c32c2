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
