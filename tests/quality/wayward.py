"""Models that nobody should trust, each wayward in its own way. None knows the corpus; each sees what it is sent."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from shared.contracts.generation import Generate, Generated

Answer = Callable[[Generate], str]


def _first_id(request: Generate) -> str:
    return request.inputs.passages[0].id if request.inputs.passages else "none"


def _sentences(request: Generate) -> list[tuple[str, str]]:
    """Each first sentence of what it was shown, with its id."""
    shown = [(passage.text.split(". ")[0].strip(" .\n"), passage.id) for passage in request.inputs.passages]
    return [(" ".join(text.split()), name) for text, name in shown]


def _turned(request: Generate) -> str:
    """Every number another one, every "is" an "is not"."""
    other = [(re.sub(r"\d", lambda d: str((int(d[0]) + 3) % 10), text), name) for text, name in _sentences(request)]
    return "\n".join(f"{re.sub(r' is ', ' is not ', text)}. [{name}]" for text, name in other)


WAYWARD: dict[str, Answer] = {
    "says nothing": lambda request: "",
    "one word": lambda request: "Yes.",
    "goes round": lambda request: f"It is as it is, as it is said to be. [{_first_id(request)}]\n" * 200,
    "invents sources": lambda request: "\n".join(
        f"{text}. [x9-{n}]" for n, (text, _) in enumerate(_sentences(request))
    ),
    "turns it round": _turned,
    "mixes up sources": lambda request: "\n".join(
        f"{text}. [{name}]"
        for (text, _), (_, name) in zip(_sentences(request), reversed(_sentences(request)), strict=True)
    ),
    "says the least of it": lambda request: "\n".join(f"{text}. [{name}]" for text, name in _sentences(request)[-1:]),
    "the same thrice": lambda request: "\n".join(f"{text}. [{name}]" for text, name in _sentences(request)[:1] * 3),
    "another language": lambda request: f"Das steht so in der Quelle und ist richtig. [{_first_id(request)}]",
    "JSON": lambda request: '{"answer": {"text": "see above", "citations": ["' + _first_id(request) + '"]}}',
    "ten thousand characters": lambda request: "".join(chr(33 + n * 7919 % 90) for n in range(10_000)),
}


@dataclass
class WaywardAuthor:
    """Stands where a model stands."""

    answer: Answer
    engine: str = "ollama/wayward"

    async def __call__(self, request: Generate) -> Generated:
        return Generated(call=request.call, engine=self.engine, finish="stop", text=self.answer(request))
