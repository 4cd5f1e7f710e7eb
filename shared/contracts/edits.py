"""Edits: a sentence that is nearly a copy of its source must differ from it only in what changes nothing.

Where three words of four are the same, the few that differ carry the difference: one more `not`, one other number or
name, `minimum` for `maximum`, two words that have changed places.
"""

import re
from collections import Counter
from difflib import SequenceMatcher

from shared.contracts.meaning import HEDGES, MEETS, NEGATIONS, OPPOSITES, REVERSIBLE
from shared.contracts.ordering import PREPOSITIONS
from shared.contracts.reading import Reading, has
from shared.contracts.words import STOP_WORDS

NEAR = 0.7
"""Share of words that two sentences have in common, of the longer one, from which one counts as a copy."""


def is_near(claim: Reading, source: Reading) -> bool:
    """Is it nearly a copy?"""
    shared = (Counter(claim.tokens) & Counter(source.tokens)).total()
    return shared >= NEAR * max(len(claim.tokens), len(source.tokens), 1)


def turned(claim: Reading, source: Reading, *, exchanged: bool) -> str | None:
    """Why a near copy says something else. `exchanged`: what it compares has changed places as well, so that an
    opposite (`slower` for `faster`) puts it right again."""
    added = Counter(claim.tokens) - Counter(source.tokens)
    gone = Counter(source.tokens) - Counter(claim.tokens)
    if _negations(claim) != _negations(source) and not _opposite(added, gone):
        more = _negations(claim) > _negations(source)
        return "denies what the quote says" if more else "leaves out a negation of the quote"
    if number := next((word for word in added if re.match(r"-?\d", word)), None):
        return f"the quotes do not have the number {number} there"
    if (pair := _opposite(added, gone)) and not (exchanged and pair[0] in REVERSIBLE):
        return f'says "{pair[0]}" where the quote says "{pair[1]}"'
    reason = _name(claim, source) or _hedge(claim, source)
    return reason or (None if pair else _places(claim, source) or _put_in(claim, source))


def _negations(reading: Reading) -> int:
    return sum(word in NEGATIONS or word.endswith("n't") for word in reading.written)


def _opposite(added: Counter[str], gone: Counter[str]) -> tuple[str, str] | None:
    for word in added:
        if others := OPPOSITES.get(word, frozenset()) & gone.keys():
            return word, min(others)
    return None


def _name(claim: Reading, source: Reading) -> str | None:
    """A first word is capitalised anyway; in a copy it is a new subject if the source does not have it."""
    token, word = claim.tokens[0], claim.cased[0]
    if word[:1].isupper() and token not in STOP_WORDS and not has(token, source.pool):
        return f'the quotes do not have the name "{word}"'
    return None


def _hedge(claim: Reading, source: Reading) -> str | None:
    gone = Counter(source.written) - Counter(claim.written)
    added = Counter(claim.written) - Counter(source.written)
    kept = sum(has(token, claim.pool) for token in source.pool) >= _WHOLE * len(source.pool)
    for kind, members in HEDGES.items():
        if kind == "condition" and kept:
            continue  # "if it is empty" as "an empty one": what was the condition is still said
        lost = next((word for word in gone if word in members), None)
        if lost and not (members | MEETS[kind]) & added.keys():
            return f'drops "{lost}" ({kind})'
    return None


def _put_in(claim: Reading, source: Reading) -> str | None:
    """One word in the place of another, and all the rest the same: then that word is what the sentence is about."""
    if len(claim.tokens) < _LONG:
        return None
    changes = SequenceMatcher(a=source.tokens, b=claim.tokens, autojunk=False).get_opcodes()
    changed = [change for change in changes if change[0] != "equal"]
    if len(changed) != 1 or changed[0][0] != "replace":
        return None
    _, i1, i2, j1, j2 = changed[0]
    was = [t for t in source.tokens[i1:i2] if t not in STOP_WORDS]
    now = [t for t in claim.tokens[j1:j2] if t not in STOP_WORDS]
    if len(was) == len(now) == 1 and not has(now[0], frozenset(was)):
        return f'says "{claim.cased[j2 - 1]}" where the quote says "{source.cased[i2 - 1]}"'
    return None


def _places(claim: Reading, source: Reading) -> str | None:
    """Two stretches that each stand where the other stood. A stretch that moved alone is another order, no more."""
    changes = SequenceMatcher(a=source.tokens, b=claim.tokens, autojunk=False).get_opcodes()
    replaced = [
        ({t for t in source.tokens[i1:i2] if t not in _LIGHT}, {t for t in claim.tokens[j1:j2] if t not in _LIGHT})
        for tag, i1, i2, j1, j2 in changes
        if tag == "replace"
    ]
    for at, (was, now) in enumerate(replaced):
        for was_there, now_there in replaced[at + 1 :]:
            if now & PREPOSITIONS and now_there & PREPOSITIONS:
                continue  # phrases that take their prepositions along only stand elsewhere
            if now and now_there and now <= was_there and now_there <= was and not _listed(claim, now | now_there):
                return f'"{" ".join(sorted(now))}" and "{" ".join(sorted(now_there))}" have changed places'
    return None


def _listed(claim: Reading, moved: set[str]) -> bool:
    """`A, B and C`: members of one list may change places, unless numbers or `respectively` bind them."""
    if "respectively" in claim.written or any(re.match(r"-?\d", word) for word in moved):
        return False
    at = [n for n, token in enumerate(claim.tokens) if token in moved]
    between = claim.written[min(at) + 1 : max(at)]
    return len(between) <= 4 and bool(_LIST & set(between))


_WHOLE = 0.8
"""Share of a source's content words from which on a copy has left out nothing that matters."""
_LONG = 5
"""Words: in a shorter sentence one word is a quarter of it, and it is no copy."""
_LIGHT = frozenset("a an the".split())
_LIST = frozenset("and or und oder et ou y o".split())
