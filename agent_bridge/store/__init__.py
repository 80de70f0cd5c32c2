"""Where everything durable is kept: SQLite through SQLAlchemy's asyncio API, migrated by Alembic at start."""
