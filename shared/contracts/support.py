"""Does a quote support a sentence? Deterministic, and stricter than shared words: see the list of checks below.

A sentence stands if it is one of its quotes' sentences, or if they cover its content words clause by clause and agree
in numbers, names, negations, opposites, order and hedges. Rather a good paraphrase refused than a lie kept.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.contracts.clauses import unsaid
from shared.contracts.doubt import taken_back
from shared.contracts.edits import is_near, turned
from shared.contracts.items import reads_as_item, says_item
from shared.contracts.meaning import CONVERSE, HEDGES, MEETS, OPPOSITES, PHRASES, PREFIXES, REVERSIBLE, STRONG, TRIGGERS
from shared.contracts.ordering import swapped
from shared.contracts.reading import Negation, Reading, coverage, has, plain, read
from shared.contracts.rows import says_row
from shared.contracts.sentences import sentences
from shared.contracts.terms import says_term
from shared.contracts.words import STOP_WORDS, content_words, words

_CLAUSE = re.compile(r"(?:,|;)?\s+(?:and|while|whereas|but|und|et|y)\s+|;\s+", re.IGNORECASE)
_HALVES = re.compile(r";\s+|,\s+(?:but|while|whereas|aber|mais|pero)\s+", re.IGNORECASE)
_GERMAN = frozenset("der die das und ist ein eine einen wird werden nicht mit von den dem auf im zu sich".split())
"""German writes every noun with a capital."""
MIN_COVERAGE = 0.6
"""Share of a sentence's content words that its quotes must contain; below it says something else."""
CLAUSE_COVERAGE = 0.8
"""The same for one clause of a sentence that was put together from several quotes: short, so one word is a lot."""


@dataclass(frozen=True)
class Verdict:
    """`reason` says, for people, why a sentence does not hold; None when it does."""

    holds: bool
    reason: str | None = None


def supports(sentence: str, quotes: Sequence[str]) -> Verdict:
    """Do these quotes, taken together, support this sentence? Never raises; the same input gives the same verdict. The
    one judgement of all: of researcher, gate and `warren verify`."""
    claim_text = plain(sentence)
    units = [text for quote in quotes for text in _standing(quote)]
    if _verbatim(claim_text, units, quotes) or any(says(sentence, quotes) for says in (says_row, says_term, says_item)):
        return Verdict(True)
    if reads_as_item(sentence):
        return Verdict(False, "the quotes do not state this value of this term")
    claim = read(claim_text)
    if not claim.pool:
        return Verdict(False, "says nothing that could be checked")
    readings = [read(unit) for unit in units]
    if not readings:
        return Verdict(False, "no quote says anything")
    everything = frozenset().union(*(reading.pool for reading in readings))
    reason = _numbers(claim, readings) or _names(claim, readings, everything)
    if reason is None and (share := coverage(claim, everything)) < MIN_COVERAGE:
        reason = f"the quotes have only {share:.0%} of its words"
    reason = reason or unsaid(claim_text, quotes)
    return Verdict(False, reason) if reason else _meaning(claim, readings)


def _standing(quote: str) -> list[str]:
    """The sentences of a quote that the next one does not take back."""
    texts = [plain(unit.text) for unit in sentences(quote)]
    return [text for text, gone in zip(texts, taken_back(texts), strict=True) if not gone]


def _verbatim(claim: str, units: Sequence[str], quotes: Sequence[str]) -> bool:
    """Word for word one or several whole sentences: a part of one could drop the `not` in front of it."""
    if not any(map(str.isalnum, claim)):
        return False
    bare = [re.sub(r"[\s.;:]+$", "", text) for text in (*units, *(plain(quote) for quote in quotes))]
    wanted = re.sub(r"[\s.;:]+$", "", claim)
    parts = {re.sub(r"[\s.;:]+$", "", plain(part.text)) for part in sentences(claim)}
    return wanted in bare or bool(parts) and parts <= set(bare)


def _meaning(claim: Reading, readings: Sequence[Reading]) -> Verdict:
    """Check against the one sentence that covers the claim, else against the few that do so together."""
    ranked = sorted(readings, key=lambda unit: -coverage(claim, unit.pool))
    best = coverage(claim, ranked[0].pool)
    group = _together(claim, ranked)
    torn = _clauses(claim, group) if len(group) > 1 else None
    first: str | None = None
    for unit in ranked:
        share = coverage(claim, unit.pool)
        if share < MIN_COVERAGE or share < best - 0.2:
            break
        reason = _agrees(claim, [unit]) or torn
        if reason is None:
            return Verdict(True)
        first = first or reason
    if first and len(group) < 2:
        return Verdict(False, first)
    reason = torn or _agrees(claim, group)
    return Verdict(reason is None, reason and (first or reason))


def _clauses(claim: Reading, group: Sequence[Reading]) -> str | None:
    """What was put together from several sentences must hold clause by clause: `A does x and B does y`."""
    parts = [read(part) for part in _CLAUSE.split(claim.text)]
    parts = [part for part in parts if len(part.pool) >= 3]
    for part in parts if len(parts) > 1 else ():
        if not any(_holds_alone(part, unit) for unit in group):
            return f'no one sentence says "{part.text.strip()}"'
    return None


def _holds_alone(part: Reading, unit: Reading) -> bool:
    if coverage(part, unit.pool) < CLAUSE_COVERAGE:
        return False
    return not (_numbers(part, [unit]) or _names(part, [unit], unit.pool) or _agrees(part, [unit]))


def _together(claim: Reading, ranked: Sequence[Reading]) -> list[Reading]:
    """Greedy: sentences that each add words of the claim, until nothing is added (at most four)."""
    group: list[Reading] = []
    missing = set(claim.pool)
    while missing and len(group) < 4:
        best = max(ranked, key=lambda unit: sum(has(word, unit.pool) for word in missing))
        added = {word for word in missing if has(word, best.pool)}
        if not added or group and len(added) < 2:
            break
        group.append(best)
        missing -= added
    return group or list(ranked[:1])


def _agrees(claim: Reading, group: Sequence[Reading]) -> str | None:
    """Why the claim turns round what these sentences say together; None when it does not."""
    flipped = _opposite(claim, group)
    exchanged = next(
        (pair for unit in group if (pair := swapped(claim.text, unit.text, copy=is_near(claim, unit)))), None
    )
    for unit in group:
        if is_near(claim, unit) and (reason := turned(claim, unit, exchanged=exchanged is not None)):
            return reason
    if flipped and exchanged and flipped[0] in REVERSIBLE:
        flipped = exchanged = None
    if flipped:
        return f'says "{flipped[0]}" where the quote says "{flipped[1]}"'
    if exchanged:
        return f'"{exchanged[0]}" and "{exchanged[1]}" have changed places'
    checks: tuple[Callable[[Reading, Sequence[Reading]], str | None], ...] = (_polarity, _hedges, _strong)
    return next((reason for check in checks if (reason := check(claim, group))), None)


def _numbers(claim: Reading, readings: Sequence[Reading]) -> str | None:
    for at, token in enumerate(claim.tokens):
        if not re.match(r"-?\d", token):
            continue
        holders = [unit for unit in readings if token in unit.tokens]
        if not holders:
            return f"the quotes do not have the number {claim.cased[at]}"
        around = {t for t in claim.tokens[max(0, at - 6) : at + 7] if t not in STOP_WORDS and t != token}
        counted = claim.tokens[at + 1 : at + 2]
        if around and not any(any(has(word, unit.pool) for word in around) for unit in holders):
            return f"the quotes have the number {claim.cased[at]} about something else"
        bare = token.lstrip("-").replace(".", "").isdigit() and counted and counted[0] not in STOP_WORDS
        if bare and not any(has(counted[0], unit.pool) for unit in holders):
            return f'the quotes do not have "{claim.cased[at]} {claim.cased[at + 1]}"'
    return None


def _is_name(word: str) -> bool:
    return word[:1].isupper() or word[1:] != word[1:].lower() or bool(re.search(r"[_.\d]", word) and word[0].isalpha())


def _names(claim: Reading, readings: Sequence[Reading], everything: frozenset[str]) -> str | None:
    known = everything | {part for unit in readings for word in unit.written for part in re.split(r"[^\w]+|_", word)}
    capitals_are_common = len(_GERMAN & {word for unit in readings for word in unit.written}) >= 2
    for at, (token, word) in enumerate(zip(claim.tokens, claim.cased, strict=True)):
        if token in STOP_WORDS or not _is_name(word) or has(token, everything) or word.lower() in known:
            continue
        strong = word[1:] != word[1:].lower() or not word.isalpha()
        if capitals_are_common and not strong:
            continue
        if at > 0 or strong or _displaced(claim, readings):
            return f'the quotes do not have the name "{word}"'
    return None


def _displaced(claim: Reading, readings: Sequence[Reading]) -> bool:
    """Is the claim's first word in the place of one of its source's? Then it is another subject."""
    nearest = max(readings, key=lambda unit: coverage(claim, unit.pool))
    subject = next((t for t in nearest.tokens if t not in STOP_WORDS), None)
    names = {t for t, word in zip(nearest.tokens, nearest.cased, strict=True) if t not in STOP_WORDS and _is_name(word)}
    return (subject is not None and not has(subject, claim.pool)) or any(not has(name, claim.pool) for name in names)


def _opposite(claim: Reading, group: Sequence[Reading]) -> tuple[str, str] | None:
    said = {token for unit in group for token in unit.tokens}
    for token, others in ((t, OPPOSITES[t]) for t in claim.tokens if t in OPPOSITES and t not in CONVERSE):
        if token not in said and (turned := others & said) and not turned & set(claim.tokens):
            negated = any(token in negation.scope for negation in claim.negated)
            if not negated and not any(t in n.scope for t in turned for unit in group for n in unit.negated):
                return token, min(turned)
    for token in claim.pool - said:
        for prefix in PREFIXES:
            if token.startswith(prefix) and len(token) - len(prefix) > 3 and token[len(prefix) :] in said:
                return (token, token[len(prefix) :]) if not any(unit.negated for unit in group) else None
            if len(token) > 3 and prefix + token in said and not claim.negated:
                return token, prefix + token
    return None


def _polarity(claim: Reading, group: Sequence[Reading]) -> str | None:
    theirs = [entry for unit in group for entry in unit.negated]
    said = {token for unit in group for token in unit.tokens}
    for after, _, _ in claim.negated:
        opposite = any(other in said for token in after for other in OPPOSITES.get(token, ()))
        if not opposite and not any(has(word, around) for word in after for _, around, _ in theirs):
            return "denies what the quote says"
    mine = [negation.around for negation in claim.negated]
    for after, _, _ in (entry for unit in group for entry in _concerning(claim, unit)):
        touched = [word for word in after if has(word, claim.pool)]
        opposite = any(other in claim.tokens for token in after for other in OPPOSITES.get(token, ()))
        if touched and not opposite and not any(has(word, around) for word in touched for around in mine):
            return "leaves out a negation of the quote"
    return None


def _concerning(claim: Reading, unit: Reading) -> Sequence[Negation]:
    """The negations of a sentence, without those of a clause that the claim says nothing of."""
    parts = [read(part) for part in _HALVES.split(unit.text)]
    if len(parts) < 2:
        return unit.negated
    said = [part for part in parts if coverage(part, claim.pool) >= MIN_COVERAGE]
    return [entry for part in said for entry in part.negated]


def _classes(reading: Reading) -> dict[str, int]:
    """The kinds of hedges in a sentence, and where the first of each stands (index of its word)."""
    found: dict[str, int] = {}
    for at, word in enumerate(reading.written):
        if reading.written[max(0, at - 1) : at] in (("how",), ("at",), ("as",), ("the",), ("so",)):
            continue
        for kind, members in HEDGES.items():
            if word in members:
                found.setdefault(kind, at)
    lower = reading.text.lower()
    for pattern, kind in PHRASES:
        if match := re.search(pattern, lower):
            found.setdefault(kind, len(words(lower[: match.start()])))
    return found


def _dropped(claim: Reading, unit: Reading, kind: str, at: int) -> bool:
    """Does the claim say what the hedge was about, without it? A condition is about the rest of its sentence."""
    if kind == "condition":
        clause, rest = _conditional(unit, at)
        return bool(rest) and not _most_in(clause, claim) and _most_in(rest, claim)
    scope = [t for t in unit.tokens[at + 1 :] if t not in STOP_WORDS][:4]
    return bool(scope) and _most_in(scope, claim)


def _conditional(unit: Reading, at: int) -> tuple[list[str], list[str]]:
    """The words of the condition that begins with word `at`, up to the next comma, and those of the rest."""
    starts = [start for _, _, start in words(unit.text)]
    comma = re.compile(r"[,;:]").search(unit.text, starts[at])
    end = sum(start < comma.start() for start in starts) if comma else len(starts)
    clause = [t for t in unit.tokens[at + 1 : end] if t not in STOP_WORDS]
    return clause, [t for t in (*unit.tokens[:at], *unit.tokens[end:]) if t not in STOP_WORDS]


def _most_in(tokens: Sequence[str], claim: Reading) -> bool:
    return sum(has(token, claim.pool) for token in tokens) * 2 >= max(1, len(tokens))


def _hedges(claim: Reading, group: Sequence[Reading]) -> str | None:
    mine = _classes(claim)
    spoken = set(claim.written)
    for unit in group:
        for kind, at in _classes(unit).items():
            if kind not in mine and not spoken & MEETS[kind] and _dropped(claim, unit, kind, at):
                return f'drops "{unit.written[at]}" ({kind})'
    theirs = {kind for unit in group for kind in _classes(unit)}
    said = {word for unit in group for word in unit.written}
    for bound in ("upper bound", "lower bound"):
        if bound in mine and bound not in theirs and not said & MEETS[bound]:
            return f"makes it an {bound}" if bound == "upper bound" else f"makes it a {bound}"
    return None


def _strong(claim: Reading, group: Sequence[Reading]) -> str | None:
    said = {word for unit in group for word in unit.written}
    for kind, triggers in TRIGGERS.items():
        for at, word in enumerate(claim.written):
            superlative = word == "most" and claim.written[max(0, at - 1) : at] in (("at",), ("the",), ("as",))
            if word in triggers and not superlative and not said & STRONG[kind]:
                return f'adds "{word}"'
    return None


def best_units(claim: str, texts: Sequence[str]) -> list[float]:
    """Coverage of the claim by each text: which are worth a closer look."""
    reading = read(plain(claim))
    return [coverage(reading, frozenset(content_words(text))) for text in texts]
