"""Commands and their parts, made of what a person typed: what the contract refuses is a usage error that names it."""

from typing import Any, TypeVar

from pydantic import ValidationError

from services.cli.outcome import UsageError
from shared.contracts.message import Value

C = TypeVar("C", bound=Value)


def checked(contract: type[C], **fields: Any) -> C:
    """The command. Raises UsageError with the field's name and what is wrong with it."""
    try:
        return contract(**fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or contract.__name__
        raise UsageError(f"{field}: {first['msg']}", field=field) from None
