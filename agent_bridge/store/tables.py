"""The tables. `migrations/` makes them; a test fails when the two differ.

What is searched for has a column; the rest of a value is its JSON document, so that a new field needs no migration.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s",
    }
)  # fmt: skip

sandboxes: Final = Table(
    "sandboxes", metadata,
    Column("id", String, primary_key=True),
    Column("name", Text, nullable=False),
    Column("owner", String, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("closed_at", Float),
    Column("close_reason", Text),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("isolation", String, nullable=False),
    Column("document", JSON, nullable=False),
)  # fmt: skip

controls: Final = Table(
    "controls", metadata,
    Column("sandbox", String, primary_key=True),
    Column("phase", String, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("document", JSON, nullable=False),
    Index(None, "phase"),
)  # fmt: skip

handoffs: Final = Table(
    "handoffs", metadata,
    Column("id", String, primary_key=True),
    Column("sandbox", String, ForeignKey("controls.sandbox"), nullable=False),
    Column("state", String, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("idempotency_key", String),
    Column("document", JSON, nullable=False),
    UniqueConstraint("sandbox", "idempotency_key"),
    Index(None, "created_at"),
    Index(None, "sandbox", "created_at"),
)  # fmt: skip

approvals: Final = Table(
    "approvals", metadata,
    Column("id", String, primary_key=True),
    Column("sandbox", String, nullable=False),
    Column("state", String, nullable=False),
    Column("asked_at", Float, nullable=False),
    Column("document", JSON, nullable=False),
    Index(None, "asked_at"),
    Index(None, "state"),
)  # fmt: skip

journal: Final = Table(
    "journal", metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),
    Column("sandbox", String),
    Column("handoff", String),
    Column("at", Float, nullable=False),
    Column("entry", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Index(None, "handoff"),
    Index(None, "sandbox"),
)  # fmt: skip
"""`entry` is the canonical text that the digest covers; the columns beside it only help to find it."""

operators: Final = Table(
    "operators", metadata,
    Column("id", String, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", Float, nullable=False),
)  # fmt: skip

tokens: Final = Table(
    "tokens", metadata,
    Column("id", String, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", String, nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("operator", String, ForeignKey("operators.id")),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    Column("revoked_at", Float),
)  # fmt: skip

links: Final = Table(
    "links", metadata,
    Column("id", String, primary_key=True),
    Column("role", String, nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("name", Text),
    Column("sandbox", String),
    Column("handoff", String),
    Column("take", Boolean(create_constraint=False), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("used_at", Float),
)  # fmt: skip

sign_ins: Final = Table(
    "sign_ins", metadata,
    Column("id", String, primary_key=True),
    Column("role", String, nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("operator", String, ForeignKey("operators.id"), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("ended_at", Float),
)  # fmt: skip

deliveries: Final = Table(
    "deliveries", metadata,
    Column("id", String, primary_key=True),
    Column("handoff", String, nullable=False),
    Column("service", String, nullable=False),
    Column("state", String, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("error", Text, nullable=False),
    UniqueConstraint("handoff", "service"),
    Index(None, "state", "due_at"),
)  # fmt: skip

keys: Final = Table(
    "keys", metadata,
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
    Column("created_at", Float, nullable=False),
)  # fmt: skip
"""The server's own secrets (such as a signing key), and nothing of users."""
