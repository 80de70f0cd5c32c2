"""Making, hashing and redacting secrets."""

from __future__ import annotations

import pytest

from agent_bridge.access.secrets import CAPABILITY_PREFIX, TOKEN_PREFIX, digest, new_secret, redact


def test_a_secret_has_256_bits() -> None:
    """A secret is its prefix and 32 random bytes."""
    assert len(new_secret(TOKEN_PREFIX)) == len(TOKEN_PREFIX) + 43
    assert new_secret(TOKEN_PREFIX) != new_secret(TOKEN_PREFIX)


def test_a_digest_gives_nothing_away() -> None:
    """What is stored does not contain the secret and survives odd characters."""
    secret = new_secret(TOKEN_PREFIX)

    assert secret not in digest(secret)
    assert len(digest("\udcff")) == 64


@pytest.mark.parametrize(
    "text",
    [
        "GET /v1/sandboxes/sb_1/cdp?token={} HTTP/1.1",
        "http://127.0.0.1:8700/link#{}",
        "Authorization: Bearer {}",
        "{}",
        "ws://host/v1/x?a=1&token={}&b=2",
    ],
)
@pytest.mark.parametrize("prefix", [TOKEN_PREFIX, CAPABILITY_PREFIX, "bl_", "bs_"])
def test_redact_cuts_every_secret_off(text: str, prefix: str) -> None:
    """No secret survives redaction, wherever it stands."""
    secret = new_secret(prefix)

    shown = redact(text.format(secret))

    assert secret not in shown
    assert secret[8:] not in shown
    assert "…" in shown


def test_redact_cuts_foreign_tokens_out_of_queries() -> None:
    """A token parameter is cut whatever it looks like."""
    assert redact("/cdp?token=hunter2&x=1") == "/cdp?token=…&x=1"


def test_redact_leaves_ids_alone() -> None:
    """Ids are not secrets and stay readable."""
    assert redact("sb_0123456789abcdef0123 ho_ffff") == "sb_0123456789abcdef0123 ho_ffff"
