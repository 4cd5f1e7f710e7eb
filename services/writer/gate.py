"""The citation gate: a sentence stands only if what it cites exists, is in the stored text, and supports it. Pure.

sentence ── cites nothing, or nothing that exists ──> fails
   │ each cited quote: does it stand in the stored text at its offsets? no ──> not counted
   v
supported by its quotes? ── no ──> fails ── repaired once, judged again ──> fails: removed, and recorded
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from shared.contracts.citing import CitedSentence, cited_sentences
from shared.contracts.evidence import Evidence, evidence_id, supports
from shared.contracts.report import Removed
from shared.contracts.sentences import sentences as sentences_of
from shared.contracts.words import content_words

SENTENCE_CHARACTERS = 600
ANSWER_CHARACTERS = 20_000
"""What is read of one answer: a model that loops says nothing new after this."""
ANSWER_SENTENCES = 40
SAME = 0.6
"""Two sentences that share more of their content words than this (and all numbers) say the same."""
NOT_STORED = "its quote does not stand in the stored text at its offsets"


@dataclass(frozen=True)
class Claim:
    """A sentence that passed, with the evidence that supports it, at least one."""

    text: str
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Failure:
    """A sentence that did not pass. `ids`: what it cites and exists."""

    text: str
    ids: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Judged:
    """The sentences of one answer. `repeated`: said before, left out without a word: it is no lie."""

    passed: tuple[Claim, ...] = ()
    failed: tuple[Failure, ...] = ()
    repeated: int = 0


@dataclass(frozen=True)
class Archive:
    """All evidence of the goal: `standing` was found in the stored texts, `broken` was not."""

    standing: Mapping[str, Evidence]
    broken: frozenset[str] = frozenset()

    @property
    def ids(self) -> tuple[str, ...]:
        return (*self.standing, *sorted(self.broken))


def readable(evidence: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """Evidence that is what its id says; the rest, made up or mangled, is not even worth a look at the stored text."""
    sound = (e for e in evidence if e.evidence_id == evidence_id(e.sha256, e.start, e.end))
    return tuple({e.evidence_id: e for e in sound if len(e.quote) == e.end - e.start}.values())


def archive(evidence: Sequence[Evidence], stored: Sequence[str | None]) -> Archive:
    """Compares each quote with what memory read at its offsets; `stored` is in the order of `evidence`."""
    standing: dict[str, Evidence] = {}
    broken: set[str] = set()
    for item, text in zip(evidence, stored, strict=True):
        if text is not None and text == item.quote:
            standing[item.evidence_id] = item
        else:
            broken.add(item.evidence_id)
    return Archive(standing, frozenset(broken - standing.keys()))


def judge(text: str, archive: Archive, *, first: Sequence[CitedSentence] = (), said: Iterable[str] = ()) -> Judged:
    """`first` and all sentences of an answer. `said`: sentences that stand already and need not be said again."""
    sentences = cited_sentences(text[:ANSWER_CHARACTERS], archive.ids)[:ANSWER_SENTENCES]
    return judge_sentences([*first, *sentences], archive, said=said)


def judge_sentences(sentences: Iterable[CitedSentence], archive: Archive, *, said: Iterable[str] = ()) -> Judged:
    """One after another: what passes counts as said for those that follow."""
    before = list(said)
    passed: list[Claim] = []
    failed: dict[str, Failure] = {}
    repeated = 0
    for sentence in sentences:
        if sentence.text in failed or any(same(sentence.text, other) for other in before):
            repeated += 1
            continue
        verdict = verdict_on(sentence, archive)
        if isinstance(verdict, Claim):
            passed.append(verdict)
            before.append(sentence.text)
        else:
            failed[sentence.text] = verdict
    return Judged(tuple(passed), tuple(failed.values()), repeated)


def verdict_on(sentence: CitedSentence, archive: Archive) -> Claim | Failure:
    """A claim with the citations that hold, or why it fails. Citations that add nothing to its support are dropped."""
    standing = tuple(i for i in sentence.ids if i in archive.standing)
    if len(sentence.text) > SENTENCE_CHARACTERS:
        return Failure(sentence.text, standing, f"it is longer than {SENTENCE_CHARACTERS} characters")
    if not standing:
        return Failure(sentence.text, (), _cites_nothing(sentence))
    quotes = {i: archive.standing[i].quote for i in standing}
    together = supports(sentence.text, list(quotes.values()))
    if not together.holds:
        return Failure(sentence.text, standing, f"not supported by what it cites: {together.reason}")
    kept = needed(sentence.text, quotes)
    holds = kept == standing or supports(sentence.text, [quotes[i] for i in kept]).holds
    return Claim(sentence.text, kept if holds else standing)


def needed(text: str, quotes: Mapping[str, str]) -> tuple[str, ...]:
    """The citations that carry the sentence: each supports it alone, or adds words that those before it do not have."""
    words = set(content_words(text))
    kept = [name for name, quote in quotes.items() if supports(text, [quote]).holds]
    covered = {word for name in kept for word in content_words(quotes[name])}
    for name, quote in quotes.items():
        new = words & set(content_words(quote)) - covered
        if name not in kept and (len(new) > 1 or not kept):
            kept.append(name)
            covered |= new
    return tuple(name for name in quotes if name in kept)


def verbatim(failure: Failure, archive: Archive) -> Claim | None:
    """The repair that needs no model: the sentence of the cited quotes that is nearest to what was claimed."""
    words = set(content_words(failure.text))
    quoted = [(unit.text, name) for name in failure.ids for unit in sentences_of(archive.standing[name].quote)]
    shares = [(len(words & set(content_words(text))), text, name) for text, name in quoted]
    for share, text, name in sorted(shares, key=lambda each: -each[0]):
        claim = verdict_on(CitedSentence(one_line(text), (name,)), archive)
        if share and isinstance(claim, Claim):
            return claim
    return None


def quotes_as_claims(evidence: Iterable[Evidence], archive: Archive, *, said: Iterable[str] = ()) -> Judged:
    """The quotes themselves, for a section that nobody could write."""
    sentences = [CitedSentence(one_line(item.quote), (item.evidence_id,)) for item in evidence]
    return judge_sentences(sentences, archive, said=said)


def repaired(failures: Sequence[Failure], claims: Sequence[Claim]) -> tuple[Failure, ...]:
    """The failures that are left when these claims came out of their repair: each claim mends the one nearest to it."""
    left = list(failures)
    for claim in claims:
        words = set(content_words(claim.text))
        nearest = max(left, key=lambda f: len(words & set(content_words(f.text))), default=None)
        if nearest is not None and (words & set(content_words(nearest.text)) or set(claim.ids) & set(nearest.ids)):
            left.remove(nearest)
    return tuple(left)


def removed(section: str, failures: Iterable[Failure]) -> list[Removed]:
    return [Removed(section=section[:300], sentence=f.text[:SENTENCE_CHARACTERS], reason=f.reason) for f in failures]


def same(one: str, other: str) -> bool:
    """Do they say the same? Sentences that differ in a number do not: contradictions stand side by side."""
    a, b = set(content_words(one)), set(content_words(other))
    if not a or not b:
        return one.casefold() == other.casefold()
    numbers = {word for word in a ^ b if any(c.isdigit() for c in word)}
    return not numbers and len(a & b) / len(a | b) > SAME


def completed(said: Sequence[Claim], wanted: Sequence[Claim]) -> tuple[Claim, ...]:
    """What was said, and what it leaves out of what is wanted (best first). Where it leaves out the best, it has missed
    the point, and stands behind."""
    left_out = tuple(claim for claim in wanted if not _is_told(claim, said))
    missed = bool(left_out) and left_out[0] is wanted[0]
    return (*left_out, *said) if missed else (*said, *left_out)


def _is_told(claim: Claim, said: Sequence[Claim]) -> bool:
    words = set(content_words(claim.text))
    near = [other for other in said if set(other.ids) & set(claim.ids) or same(other.text, claim.text)]
    told = words & {word for other in near for word in content_words(other.text)}
    numbers = {word for word in words if any(c.isdigit() for c in word)}
    return bool(words) and numbers <= told and len(told) / len(words) > SAME


def one_line(text: str) -> str:
    return " ".join(text.split())


def _cites_nothing(sentence: CitedSentence) -> str:
    if sentence.ids:
        return NOT_STORED
    if sentence.unknown:
        return f"it cites [{', '.join(sentence.unknown)[:60]}], which is no evidence of this goal"
    return "it cites nothing"
