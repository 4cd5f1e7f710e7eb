"""What a source says in order to deny it: myths, what the next sentence takes back, lists of misconceptions. Pure."""

import re
from collections.abc import Sequence

_WRONG = (
    r"wrong|false|untrue|not true|not (?:actually )?(?:the case|correct|so)|incorrect|inaccurate|mistaken|"
    r"an? (?:myth|mistake|error|fallacy|misconception|misunderstanding|rumou?r|hoax|legend)|"
    r"refuted|disproved|debunked|withdrawn|retracted|outdated|"
    r"obsolete|nonsense|fiction|no longer (?:true|valid|correct|the case|so)|falsch|widerlegt|"
    r"nicht (?:wahr|richtig|der Fall)|überholt|ein (?:Irrtum|Mythos)|faux|inexact|une? (?:erreur|mythe)|"
    r"falso|incorrecto|un (?:error|mito)"
)
_BACK = re.compile(
    r"^\W*(?:but|yet|however|in (?:fact|reality|truth)|actually|jedoch|aber|mais|pero)?,?\s*"
    r"(?:(?:this|that|it|these|both|all of this)\b|(?:this|that|the|these|such an?)\s+(?:\w+\s+){0,2}?"
    r"(?:statements?|claims?|beliefs?|ideas?|assumptions?|views?|opinions?|notions?|rumou?rs?|stor(?:y|ies)|advice|rules?|figures?|numbers?|"
    r"values?)\b|das|dies|diese \w+|es|cela|c'est|ce|cette \w+|esto|eso|esta \w+)"
    rf"(?:(?!\b(?:when|if|where|because|which|wenn|falls|si|quand|cuando)\b)[^.;:]){{0,60}}?\b(?:{_WRONG})\b",
    re.IGNORECASE,
)
_HEADING = re.compile(
    r"\b(?:myths?|misconceptions?|misunderstandings?|fallac(?:y|ies)|rumou?rs?|hoax(?:es)?|legends?|fiction(?:al)?|errat(?:a|um)|"
    r"retracted|superseded|(?:false|wrong|incorrect|untrue|outdated|mistaken)(?:\s+(?:claims?|statements?|beliefs?|ideas?|"
    r"assumptions?|advice|answers?|information))?$|irrtümer|mythen|gerüchte|idées reçues|mythes|mitos)\b",
    re.IGNORECASE,
)
_MARK = re.compile(
    rf"\b(?:{_WRONG}|myths?|misconceptions?|fallac(?:y|ies)|wrongly|falsely|mistakenly|in (?:fact|reality|truth)|"
    r"actually|contrary to|despite|irrtümlich|fälschlich\w*)\b",
    re.IGNORECASE,
)


def takes_back(sentence: str) -> bool:
    """Does it say that what was said just before it is wrong?"""
    return bool(_BACK.match(sentence))


def taken_back(sentences: Sequence[str]) -> list[bool]:
    """For each sentence of a text: does the next one take it back?"""
    return [takes_back(after) for after in sentences[1:]] + [False] * bool(sentences)


def is_doubted(heading: str | None) -> bool:
    """Does this heading announce things that are not so?"""
    return bool(heading and _HEADING.search(heading))


def says_so(sentence: str) -> bool:
    """Does the sentence itself tell the reader that something is wrong?"""
    return bool(_MARK.search(sentence))
