"""Ids. What we send has an id that derives from its cause, so that doing it twice sends the same id twice."""

from uuid import UUID, uuid5

NAMESPACE = UUID("6f1d7d4e-54a5-5b0f-9c5e-0a7e1c2b3d4f")
"""Warren's own namespace for version 5 UUIDs (RFC 9562, section 5.5); any constant serves, but it must never change."""


def derived_id(*parts: object) -> str:
    """The same parts give the same id, everywhere and always."""
    return str(uuid5(NAMESPACE, "\x1f".join(map(str, parts))))


def goal_id_for(user: str, message_id: str) -> str:
    """The id of the goal that this message submits: known to its sender before it is published.

    `user` is AMQP's `user_id` property as the client set it ("" when it did not): the broker vouches for it.
    """
    return derived_id("goal", user, message_id)
