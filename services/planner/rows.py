"""A changed copy of a row, as `dataclasses.replace` makes it, in a part of its time: the planner makes sixty a goal."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a type checker knows its fields
    from dataclasses import replace as replace
else:

    def replace(row: Any, **changes: Any) -> Any:
        """For dataclasses whose fields are all that they hold: nothing is computed when one is made."""
        copy = object.__new__(type(row))
        copy.__dict__.update(row.__dict__)
        copy.__dict__.update(changes)
        return copy
