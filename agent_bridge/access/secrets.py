"""Making, hashing and redacting the secrets that open doors: tokens, links, sign-ins, capabilities.

They are 32 random bytes, so a plain SHA-256 is enough to store: there is nothing to guess and nothing to stretch.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

TOKEN_PREFIX: Final = "bt_"  # noqa: S105 - a prefix
CAPABILITY_PREFIX: Final = "bc_"

_SECRETS: Final = re.compile(
    r"(\b(?:bt|bc|bl|bs)_)[A-Za-z0-9_-]{8,}|([?&](?:token|t)=)[^&\s\"'#]+|(/link#)[A-Za-z0-9_-]+"
)


def new_secret(prefix: str) -> str:
    """Return `prefix` and 32 random bytes, safe in a URL."""
    return prefix + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Return what is stored in place of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def redact(text: str) -> str:
    """Return `text` with every token, capability and link in it cut off after its prefix."""
    return _SECRETS.sub(lambda m: f"{m[1] or m[2] or m[3]}…", text)
