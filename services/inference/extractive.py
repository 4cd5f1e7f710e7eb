"""The built-in engine: answers a question with verbatim sentences of the passages it was given. Deterministic, pure.

Sentences are scored by bm25 against the question, by what kind of answer the question wants, by heading and position;
then chosen one by one so that each adds something (maximal marginal relevance).
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

from services.inference.candidates import Candidate, candidates_of
from services.inference.questions import Question, ask
from shared.contracts.generation import Inputs
from shared.contracts.reading import same_word
from shared.contracts.rows import cells, stated
from shared.contracts.sentences import Sentence, sentences
from shared.contracts.terms import label

K1, B = 1.2, 0.6
"""bm25's usual constants; B a little lower than 0.75, as sentences differ less in length than documents."""
NEAREST = 0.3
"""A sentence scoring below this share of the best one is about something else."""
MIN_COVERAGE = 0.3
"""Share of the question's weight (idf) that a sentence and its heading must have, else it answers nothing."""
REDUNDANT = 0.6
BEGINS = 1.6
"""What a sentence counts more that begins with the very thing to be explained."""
ANNOUNCED = 0.7
"""What a word counts that stands in what announces a list, for each item of it."""
ALSO = 2
"""Further sources that a statement cites when they say the same."""
TABLED = 1.15
"""What a row counts whose values have the form asked for: limits and defaults live in tables."""
OFF_TOPIC = 0.4
"""What a sentence counts that has only the names of the question: it is about something else of them."""


def answer(inputs: Inputs) -> str:
    """Lines of `sentence [id]`, best first; "" when nothing in the passages answers. The same inputs, the same text."""
    question = ask(inputs.question)
    if not question.words:
        return ""
    candidates = [c for rank, passage in enumerate(inputs.passages) for c in candidates_of(passage, rank)]
    scored = _scored(question, candidates)
    chosen = _chosen(question, scored, inputs.limit)
    return "\n".join(_line(c, part, also) for c, also in chosen.items() for part in c.parts)


def _line(candidate: Candidate, part: Sentence, also: Sequence[str]) -> str:
    """The source's own reference marks are left out: they would read as ours. A row says its columns' names."""
    text = re.sub(r"\s*\[\d+(?:\s*[,–-]\s*\d+)*\]", "", part.text)
    if candidate.header is not None:
        row = stated(candidate.header.text, part.text)
        text = row if row and len(sentences(row)) == 1 else text
    if candidate.term is not None:
        text = f"{label(candidate.term.text)}: {part.text}"
    return f"{' '.join(text.split())} {''.join(f'[{name}]' for name in (candidate.passage.id, *also))}"


def _scored(question: Question, candidates: Sequence[Candidate]) -> list[tuple[float, Candidate]]:
    """Best first; only what has a word of the question and enough of its weight."""
    if not candidates:
        return []
    vocabulary = {word for c in candidates for word in (*c.words, *c.around, *c.lead)}
    forms = {w: frozenset(v for v in vocabulary if same_word(w, v)) for w in question.words}
    # A word that stands nowhere counts as the rarest that does: among few sentences it would outweigh all the others.
    held = {w: max(1, sum(not forms[w].isdisjoint(c.words) for c in candidates)) for w in question.words}
    weight = {w: math.log(1 + (len(candidates) - n + 0.5) / (n + 0.5)) for w, n in held.items()}
    mean = sum(len(c.words) for c in candidates) / len(candidates)
    rated, by_form = [], []
    for candidate in candidates:
        score = _bm25(candidate, forms=forms, weight=weight, mean=mean) * _fit(question, candidate)
        if score > 0 and _covered(candidate, forms=forms, weight=weight) >= MIN_COVERAGE:
            rated.append((score if _on_topic(question, candidate) else OFF_TOPIC * score, candidate))
        elif score > 0 and question.names and _named(question, candidate) == 1 and question.has_form(candidate.text):
            by_form.append((score, candidate))
    # One that names the subject and has the form asked for answers, too, in words that the question does not have.
    if not any(_named(question, candidate) == 1 and question.fit(candidate.text) > 1 for _, candidate in rated):
        rated += by_form
    rated.sort(key=lambda each: (-each[0], each[1].rank, each[1].place))
    return [each for each in rated if each[0] >= NEAREST * rated[0][0]]


def _on_topic(question: Question, candidate: Candidate) -> bool:
    """Does it, or its heading, have a word of the question that is no name? A question of names alone is about them."""
    words = (*candidate.words, *candidate.around, *candidate.lead)
    topic = [word for word in question.words if word not in question.names]
    return not topic or any(same_word(word, other) for word in topic for other in words)


def _named(question: Question, candidate: Candidate) -> float:
    """Share of the question's names that the statement or what stands around it mentions; 1 when there are none."""
    words = (*candidate.words, *candidate.around)
    held = sum(any(same_word(name, word) for word in words) for name in question.names)
    return held / len(question.names) if question.names else 1.0


Forms = dict[str, frozenset[str]]


def _bm25(candidate: Candidate, *, forms: Forms, weight: dict[str, float], mean: float) -> float:
    counts, around = Counter(candidate.words), frozenset(candidate.around)
    long = K1 * (1 - B + B * len(candidate.words) / mean)
    own = beside = 0.0
    for word, alike in forms.items():
        times = sum(counts[form] for form in alike)
        if times:
            own += weight[word] * times * (K1 + 1) / (times + long)
        elif not alike.isdisjoint(candidate.lead):
            own += ANNOUNCED * weight[word]
        else:
            beside += weight[word] if not alike.isdisjoint(around) else 0.0
    return own + 0.4 * beside if own else 0.0


def _covered(candidate: Candidate, *, forms: Forms, weight: dict[str, float]) -> float:
    words = frozenset((*candidate.words, *candidate.around, *candidate.lead))
    total = sum(weight.values())
    return sum(weight[w] for w, alike in forms.items() if not alike.isdisjoint(words)) / total if total else 0.0


def _fit(question: Question, candidate: Candidate) -> float:
    """How well a statement suits the question by kind and place, as a factor around 1."""
    factor = question.fit(candidate.text) * (0.4 + 0.6 * _named(question, candidate))
    subject = question.subject
    if "define" in question.kinds and subject and candidate.words[: len(subject)] == subject:
        factor *= BEGINS
    factor *= 1 + 0.15 / (1 + candidate.rank) + 0.05 / (1 + candidate.passage.position)
    if candidate.is_row:
        factor *= TABLED if question.has_form(_values(candidate)) else 0.85
    elif candidate.parts[-1].kind == "item" and not candidate.lead:
        factor *= 0.85
    return factor * (0.9 if len(candidate.parts) > 1 else 1.0)


def _values(candidate: Candidate) -> str:
    """The cells of a row after its name: where a figure in a table stands."""
    return " ".join(cells(candidate.parts[-1].text)[1:])


Chosen = dict[Candidate, list[str]]
"""A statement -> other passages that say the same."""


def _chosen(question: Question, scored: list[tuple[float, Candidate]], limit: int) -> Chosen:
    """One by one: the best that is left, less what was already said, more what of the question is still open."""
    chosen: Chosen = {}
    left = list(scored)
    said: set[tuple[str, int]] = set()
    size = 0
    while left and size < limit:
        open_words = {w for w in question.words if not any(_has(w, c) for c in chosen)}
        best = max(
            left, key=lambda each: (each[0] * _gain(each[1], [*chosen], open_words), -each[1].rank, -each[1].place)
        )
        left.remove(best)
        candidate = best[1]
        spans = {(candidate.passage.id, part.start) for part in candidate.parts}
        twin = next((other for other in chosen if _repeats(candidate, other)), None)
        if twin is not None and _same_statement(candidate, twin) and len(chosen[twin]) < ALSO:
            chosen[twin].append(candidate.passage.id)
        if spans & said or twin is not None or (size + len(candidate.parts) > limit and chosen):
            continue
        chosen[candidate] = []
        said |= spans
        size += len(candidate.parts)
    return chosen


def _same_statement(one: Candidate, other: Candidate) -> bool:
    """Two sources for one statement: then it is said once and cites both."""
    mine, theirs = set(one.words), set(other.words)
    alone = len(one.parts) == len(other.parts) == 1 and one.header is None and other.header is None
    return alone and one.passage.id != other.passage.id and len(mine & theirs) > REDUNDANT * max(len(mine), len(theirs))


def _has(word: str, candidate: Candidate) -> bool:
    return any(same_word(word, other) for other in candidate.words)


def _gain(candidate: Candidate, chosen: Sequence[Candidate], open_words: set[str]) -> float:
    alike = max((_overlap(candidate, other) for other in chosen), default=0.0)
    new = sum(_has(word, candidate) for word in open_words) if chosen else 0
    return (1 - 0.6 * alike) * (1 + 0.15 * new)


def _overlap(one: Candidate, other: Candidate) -> float:
    mine, theirs = set(one.words), set(other.words)
    return len(mine & theirs) / max(1, min(len(mine), len(theirs)))


_NEGATION = re.compile(r"\b(?:not|no|never|none|without|cannot|nicht|kein\w*|jamais|sans|nunca)\b|n't\b", re.IGNORECASE)


def _repeats(one: Candidate, other: Candidate) -> bool:
    """The same said again. Another number or a negation is no repetition but a contradiction: both are shown."""
    numbers = [{w for w in c.words if w[:1].isdigit()} for c in (one, other)]
    if numbers[0] != numbers[1] or bool(_NEGATION.search(one.text)) != bool(_NEGATION.search(other.text)):
        return False
    return _overlap(one, other) > REDUNDANT
