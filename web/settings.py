"""Settings: every one has a default, an environment variable with the prefix `BATON_`, and a line in docs/settings.md.

That page is written by `render()`; a test fails when it is not current.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

type Urls = Annotated[tuple[str, ...], NoDecode]
"""NoDecode: the variable holds URLs separated by blanks, not JSON."""


class Settings(BaseSettings):
    """What can be set from outside. Durations are seconds, sizes are bytes."""

    model_config = SettingsConfigDict(env_prefix="BATON_", frozen=True, extra="ignore")

    state_dir: Path = Field(
        Path("var"), description="Where the database and the sandboxes' directories lie (mode 0700)."
    )
    host: str = Field(
        "127.0.0.1", description="The address to listen on. Anything but loopback is taken with a warning."
    )
    port: int = Field(8700, ge=0, le=65535, description="The port to listen on; 0 takes a free one.")
    public_url: str | None = Field(
        None, description="The address people reach this server by, for links: `https://baton.example.com`."
    )
    tls_cert: Path | None = Field(
        None, description="Certificate chain (PEM) to serve HTTPS with; needs `BATON_TLS_KEY`."
    )
    tls_key: Path | None = Field(None, description="Private key (PEM) of that certificate.")

    max_sandboxes: int = Field(8, ge=1, description="How many sandboxes may be open at once.")
    width: int = Field(1280, ge=320, le=4096, description="A sandbox's width in pixels where the agent names none.")
    height: int = Field(720, ge=240, le=4096, description="A sandbox's height in pixels where the agent names none.")
    adoption_s: float = Field(
        60, gt=0, description="How long a keeper waits for the next server before it ends itself."
    )
    launch_s: float = Field(60, gt=0, description="How long a sandbox may take to start.")

    lease_s: float = Field(20, gt=0, description="How long an operator's lease lasts without a heartbeat.")
    heartbeat_s: float = Field(5, gt=0, description="How often the console renews the lease.")
    drain_s: float = Field(2, ge=0, description="How long commands in flight may finish when the gate closes.")
    deadline_s: float = Field(1800, gt=0, description="A handoff's deadline where the agent names no timeout.")
    max_deadline_s: float = Field(86400, gt=0, description="The longest timeout an agent may name.")

    link_s: float = Field(3600, gt=0, description="How long a one-use link may be redeemed.")
    sign_in_s: float = Field(43200, gt=0, description="How long a sign-in lasts after its last use.")
    failures_per_minute: int = Field(10, ge=1, description="Wrong tokens or links one address may try in a minute.")
    max_body: int = Field(1_000_000, ge=1000, description="The largest request body the API reads.")
    max_instructions: int = Field(16384, ge=100, description="The longest instructions, in characters.")

    notify_urls: Urls = Field(
        (), repr=False, description="Apprise URLs that are told of waiting handoffs, separated by blanks."
    )
    notify_tries: int = Field(5, ge=1, description="How often one notification is tried before it is given up.")

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least level that is logged."
    )
    log_format: Literal["console", "json"] = Field("console", description="Log lines for people or for machines.")

    @field_validator("notify_urls", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(value.split()) if isinstance(value, str) else value

    @field_validator("public_url")
    @classmethod
    def _origin(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path.strip("/") or parts.query:
            raise ValueError("public_url must be scheme and host only, as in https://baton.example.com")
        return f"{parts.scheme}://{parts.netloc}"

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("BATON_TLS_CERT and BATON_TLS_KEY come together")
        return self

    @property
    def tls(self) -> bool:
        """Whether this server speaks HTTPS itself."""
        return self.tls_cert is not None

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in LOOPBACK

    def base_url(self) -> str:
        """The address that links and `cdp_url` start with; never ends in a slash."""
        if self.public_url:
            return self.public_url
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104 - read, not bound
        return f"{'https' if self.tls else 'http'}://{f'[{host}]' if ':' in host else host}:{self.port}"


def render() -> str:
    """Return docs/settings.md, written from the class."""
    rows = [
        f"| `BATON_{name.upper()}` | {_shown(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(
        [
            "# Settings",
            "",
            "Each is an environment variable. Durations are seconds, sizes are bytes. This page is written from",
            "`web/settings.py` by `python -m web.settings`.",
            "",
            "| variable | default | what it sets |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def _shown(value: object) -> str:
    return "" if value is None or value == () else f"`{value}`"


if __name__ == "__main__":
    Path("docs/settings.md").write_text(render())
