"""Options that many commands share."""

from typing import Annotated

from cyclopts import Parameter

AsJson = Annotated[
    bool, Parameter(name="--json", negative=(), show_default=False, help="Print JSON, and nothing else on stdout.")
]
Url = Annotated[str | None, Parameter(name="--url", help="The broker's address, amqp://user:password@host:port/.")]
Namespace = Annotated[str, Parameter(help="The namespace of findings.")]
