"""The tables of inference's ledger, and how an older database becomes a new one."""

from sqlalchemy import Boolean, Column, DateTime, Integer, MetaData, String, Table, Text

TABLES = MetaData()
generations = Table(
    "generations",
    TABLES,
    Column("id", String(40), primary_key=True),
    Column("goal_id", String(255), nullable=False, index=True),
    Column("hash", String(64), nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("failed", Boolean, nullable=False, default=False),
    Column("priority", Integer, nullable=False),
    Column("engine", String(255), nullable=False),
    Column("since", DateTime(timezone=True), nullable=False, index=True),
    Column("owner", String(255)),
    Column("lease_until", DateTime(timezone=True)),
    Column("attempt", Integer, nullable=False, default=0),
    Column("request", Text, nullable=False),
    Column("result", Text),
    # Of what runs at a host, its address: together with `state` these are the slots that are taken.
    Column("lane", String(255)),
    # The exact cache (cache.py): what equal requests have in common, and the engine that a call was placed at.
    Column("share", String(64), index=True),
    Column("used", String(255)),
    # The host at which it failed, once it was sent on to another; that happens once.
    Column("avoid", String(255)),
    # Of its request; null: the usual level.
    Column("sensitivity", String(16)),
    # Of its request: what is chosen by while it waits.
    Column("deadline_at", DateTime(timezone=True)),
    Column("max_tokens", Integer),
    # The host that it was last placed at; stays when it is done.
    Column("placed", String(255)),
    # Where the routing table leads: the engine that is asked now, in place of the request's, and those that failed.
    Column("route", String(255)),
    Column("tried", Text),
)
waiters = Table(
    "waiters",
    TABLES,
    Column("message_id", String(255), primary_key=True),
    Column("call", String(40), nullable=False, index=True),
    Column("envelope", Text, nullable=False),
)
savings = Table(  # of its own, and not columns of the ledger: counted only when something was saved
    "savings",
    TABLES,
    Column("call", String(40), primary_key=True),
    Column("asked_again", Integer, nullable=False),
    Column("joined", Integer, nullable=False),
)
MIGRATIONS = (
    "ALTER TABLE generations ADD COLUMN lane VARCHAR(255)",
    "ALTER TABLE generations ADD COLUMN share VARCHAR(64)",
    "ALTER TABLE generations ADD COLUMN used VARCHAR(255)",
    "CREATE INDEX IF NOT EXISTS ix_generations_share ON generations (share)",
    "ALTER TABLE generations ADD COLUMN avoid VARCHAR(255)",
    "ALTER TABLE generations ADD COLUMN sensitivity VARCHAR(16)",
    "ALTER TABLE generations ADD COLUMN deadline_at TIMESTAMP WITH TIME ZONE",
    "ALTER TABLE generations ADD COLUMN max_tokens INTEGER",
    "ALTER TABLE generations ADD COLUMN placed VARCHAR(255)",
    "ALTER TABLE generations ADD COLUMN route VARCHAR(255)",
    "ALTER TABLE generations ADD COLUMN tried TEXT",
)
"""One per version after the first; only ever appended to. They mean the same to SQLite and PostgreSQL."""
