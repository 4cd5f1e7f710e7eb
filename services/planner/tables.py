"""The planner's tables: goals, steps, events, parked messages."""

from sqlalchemy import Column, ForeignKeyConstraint, Integer, LargeBinary, MetaData, String, Table, Text

from shared.messaging.columns import UTCDateTime

TABLES = MetaData()
goals = Table(
    "goals",
    TABLES,
    Column("goal_id", String(64), primary_key=True),
    Column("status", String(16), nullable=False, index=True),
    Column("namespace", String(64), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("created_at", UTCDateTime, nullable=False, index=True),
    Column("deadline_at", UTCDateTime, nullable=False),
    Column("ended_at", UTCDateTime, index=True),
    Column("body", Text, nullable=False),
)
steps = Table(
    "steps",
    TABLES,
    Column("goal_id", String(64), primary_key=True),
    Column("run", Integer, primary_key=True),
    Column("step", String(64), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("agent", String(64), nullable=False),
    Column("namespace", String(64), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("since", UTCDateTime),
    Column("worker", String(128), index=True),
    Column("lease_until", UTCDateTime),
    Column("body", Text, nullable=False),
    ForeignKeyConstraint(["goal_id"], ["goals.goal_id"], ondelete="CASCADE"),
)
events = Table(
    "events",
    TABLES,
    Column("goal_id", String(64), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("body", Text, nullable=False),
    ForeignKeyConstraint(["goal_id"], ["goals.goal_id"], ondelete="CASCADE"),
)
cancellations = Table(
    "cancellations",
    TABLES,
    Column("goal_id", String(64), primary_key=True),
    Column("at", UTCDateTime, nullable=False),
    Column("reason", Text, nullable=False),
)
parked = Table(
    "parked",
    TABLES,
    Column("id", String(64), primary_key=True),
    Column("at", UTCDateTime, nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("queue", String(255), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("goal_id", String(64)),
    Column("type", String(255)),
    Column("headers", Text, nullable=False),
    Column("trace", Text),
    Column("body", LargeBinary, nullable=False),
)
parked_envelopes = Table(
    "parked_envelopes",
    TABLES,
    Column("id", String(64), primary_key=True),
    Column("envelope", Text, nullable=False),
)
"""How each parked message came: what it takes to send it again."""
