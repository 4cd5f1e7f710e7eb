"""What a call has written so far, as a stream shows it: pieces that go at offsets, and when they are void. Pure."""

from dataclasses import dataclass, field

from services.inference.generation import without_thinking
from shared.contracts.stream import PIECE_CHARACTERS

_OPENS = "<think>"


@dataclass(frozen=True)
class Part:
    """`text` stands at `offset` characters of this revision."""

    revision: int
    offset: int
    text: str


@dataclass
class Written:
    """Text of one attempt at a call. `published`: how many characters of what is `shown` were handed out by `parts`.

    A text that does not go on from what was shown is a new revision, and begins at 0.
    """

    revision: int = 0
    shown: str = ""
    published: int = 0
    _raw: list[str] = field(default_factory=list)
    _void: bool = False

    def add(self, text: str) -> None:
        """At each token of each call, whether somebody looks or not."""
        self._raw.append(text)

    def look(self) -> None:
        """Brings `shown` up to what was added."""
        if len(self._raw) > 1 or (self._raw and not self.shown):
            raw = "".join(self._raw)
            self._raw = [raw]
            self._becomes(visible(raw))

    def end(self, text: str) -> None:
        """This is the answer: the same in most cases, or what is left of it."""
        self._raw = []
        self._becomes(text)

    def parts(self) -> list[Part]:
        """What is shown and was not handed out yet, in pieces of bounded size. Each is handed out once."""
        found = cut(self.shown, start=self.published, revision=self.revision)
        if not found and self._void:  # nothing is left of it, which has to be said, too
            found = [Part(self.revision, 0, "")]
        self.published, self._void = len(self.shown), False
        return found

    def since(self, revision: int, after: int) -> Part:
        """What follows `after` characters of a revision; of another one than that, everything."""
        offset = after if revision == self.revision and after <= len(self.shown) else 0
        return Part(self.revision, offset, self.shown[offset:])

    def _becomes(self, text: str) -> None:
        if not text.startswith(self.shown):
            self.revision += 1
            self.published, self._void = 0, True
        self.shown = text


def cut(text: str, *, start: int, revision: int) -> list[Part]:
    """From `start` on, in pieces of bounded size."""
    ends = range(start, len(text), PIECE_CHARACTERS)
    return [Part(revision, at, text[at : at + PIECE_CHARACTERS]) for at in ends]


def visible(raw: str) -> str:
    """Of an unfinished answer: nothing while it reasons, or may be about to; what comes after that."""
    begun = raw.lstrip()
    if _OPENS.startswith(begun[: len(_OPENS)]) and "</think" not in begun.lower():
        return ""
    return without_thinking(raw)
