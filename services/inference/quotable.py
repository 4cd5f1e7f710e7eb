"""Which sentences of a source can stand in an answer on their own. Pure."""

import re

from shared.contracts.rows import cells
from shared.contracts.sentences import Sentence

MIN_WORDS, MAX_WORDS, MIN_NAMED = 5, 60, 3
MAX_CHARACTERS = 600
"""Of one statement with the sentence before it: what fits into a quote."""
_LEANS = re.compile(
    r"""^["'“(]*(?:however|these|this|that|those|it|its|they|their|he|she|such|but|and|or|also|moreover|furthermore|therefore
    |thus|hence|consequently|instead|otherwise|then|accordingly|nevertheless|nonetheless|meanwhile|similarly|likewise
    |conversely|besides|additionally|finally|next|yet|so|here|both\s+of|one\s+of\s+them|as\s+a\s+(?:result|consequence)
    |as\s+(?:fig|figure|table|shown|described|mentioned|noted|above|before|such|we\s+saw|discussed)|for\s+(?:example|instance)
    |in\s+(?:contrast|addition|particular|other\s+words|this|that|these|such|both\s+cases|fact|short)|by\s+contrast
    |on\s+the\s+(?:other|contrary)|at\s+(?:this|that)|to\s+(?:this|that|do\s+(?:so|this))|because\s+of\s+(?:this|that)
    |if\s+(?:so|not)|the\s+(?:latter|former|above|following|same|other|others|second|third)\b|with\s+(?:this|that|these)
    |from\s+(?:this|that|these)|after\s+(?:this|that)|until\s+then|unlike\s+(?:this|that|these)|see\b
    |(?:the|its)\s+(?:default|valid\s+range|values?|default\s+values?|parameter|option|setting|flag)\s+(?:is|are|must|may|can|has|of\s+th)
    |daher|deshalb|jedoch|aber|dies|diese[rsmn]?|das\s+ist|außerdem|dennoch|somit|cependant|toutefois|donc|ainsi|cela|ces?\b
    |cette|en\s+outre|sin\s+embargo|además|por\s+lo\s+tanto|est[aeo]s?\b)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_LEANS_LATER = re.compile(
    r"^(?:[\w'’-]+\s+){1,5}?(?:therefore|thus|hence|accordingly|such\s+(?!as\b|that\b)|deshalb|daher|donc|por\s+lo\s+tanto)\b",
    re.IGNORECASE,
)
_LEANS_ON_TERM = re.compile(
    r"^(?:it\b|its\b|(?:the|this)\s+(?:default|valid\s+range|values?|default\s+values?|parameter|option|setting|flag)\b)",
    re.I,
)
_WAYS = frozenset("home next prev previous up index contents top back forward zurück weiter nach oben suivant".split())
_LEANS_ON_ONE = re.compile(
    r"^(?:the|a|an|its|each|any|some)\s+(?:[\w'’-]+\s+){1,3}?(?:of|for|in|on|to)\s+(?:this|these|that|those)\s+(?!which\b|who\b)\w+",
    re.IGNORECASE,
)
"""`The default value of this macro`: of which one, the sentence before says."""
_SHOWN = re.compile(
    r"^\W*(?:as|see)\s+(?:fig|figure|table|section|chapter|abb)|\b(?:shown|see)\s+(?:above|below)\b", re.I
)
_CAPTION = re.compile(
    r"^\W*(?:fig(?:ure)?|table|tab|listing|abb(?:ildung)?|algorithm|exhibit)\.?\s*(?:[A-Z]\.)?\d+\b", re.I
)
_REFERENCE = re.compile(
    r"^\W*\[\d+\]|^\W*\d+\.\s+[A-Z][\w-]+,\s+[A-Z]\.|\bdoi[:.]|\barxiv[:.]|\bISBN\b|\bpp\.\s*\d+|"
    r"\bet al\.,?\s*[“\"(]?\d{4}\)?\.?$"
    r"|\bIn Proc(?:eedings|\.)|\bvol\.\s*\d+|\b(?:retrieved|accessed) (?:on )?\d",
    re.IGNORECASE,
)
_BOILERPLATE = re.compile(
    r"\b(?:all rights reserved|copyright|©|\(c\) \d{4}|licen[sc]ed under|this license|"
    r"(?:without|no|any|express|implied|disclaims?)\s+(?:\w+\s+){0,3}warrant(?:y|ies)|"
    r"cookies?\b.{0,40}\b(?:use|accept|"
    r"consent|policy|site)|use of cookies|privacy policy|terms of (?:use|service)|sign (?:in|up)\b|log in to|"
    r"subscribe|newsletter|"
    r"table of contents|edit (?:this|on) (?:page|github)|skip to|back to top|click here|read more|previous\s+next|"
    r"next\s+(?:page|chapter|topic)|last (?:updated|modified)|page \d+ of \d+|share this|all (?:pages|posts)|"
    r"build (?:passing|status))\b",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"[{};]\s*$|=>|->|::|\(\)\s*;|^\s*(?:\$|>>>|#!|//|/\*|import |from \w+ import|def |class \w+[(:]|sudo |"
    r"apt(?:-get)? |pip |docker "
    r"|curl |git |return |if __name__)|^\w+\s*=\s*\S+$|</?\w+[^>]*>"
)
_LEADERS = re.compile(r"(?:\.\s?){4,}|…{2,}|\s\d{1,3}\s*$(?<=\D\s\d)")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+\.\w+")
_VERBLESS = re.compile(r"^(?:[A-Z][\w.'-]*[,\s]+(?:(?:and|of|the|for|in|on|to|a|&)\s+)*){4,}[A-Z][\w.'-]*\.?$")


_APPARATUS = re.compile(
    r"^[\W\d]*(?:references|bibliography|works cited|literature(?: cited)?|further reading|see also|acknowledge?ments?|"
    r"(?:table of )?contents|index|copyright|licen[sc]es?|about the authors?|author information|"
    r"Literatur(?:verzeichnis)?|Quellen|Inhalt(?:sverzeichnis)?|Danksagung|références|bibliographie|remerciements|sommaire|referencias|"
    r"bibliografía|agradecimientos|índice)\W*$",
    re.IGNORECASE,
)


def is_apparatus(heading: str | None) -> bool:
    """Does this heading stand over references, contents, thanks or a licence rather than over text?"""
    return bool(heading and _APPARATUS.match(heading))


def leans(sentence: Sentence) -> bool:
    """Does it open with something that only the sentence before explains?"""
    return any(pattern.match(sentence.text) for pattern in (_LEANS, _LEANS_LATER, _LEANS_ON_ONE))


def leans_on_term(sentence: Sentence) -> bool:
    """Does it open with what the term above it explains (`The default is 5432.`)?"""
    return bool(_LEANS_ON_TERM.match(sentence.text))


def quotable(sentence: Sentence, *, named: bool = False) -> bool:
    """Is this prose that states something? Not a question, code, navigation, heading, caption, reference, licence.
    `named`: the term above it is said with it, so that it may be short (`The default is 5432.`)."""
    text = sentence.text
    if sentence.kind in ("heading", "code", "row"):
        return False
    count = len(text.split())
    if not (MIN_NAMED if named else MIN_WORDS) <= count <= MAX_WORDS or len(text) > MAX_CHARACTERS:
        return False
    last = re.sub(r"(?:\s*\[\d+(?:[,–-]\s*\d+)*\])+$", "", text).rstrip("\"'”’»)*_` ")[-1:]
    if last in "?:,;" or _SHOWN.search(text) or (sentence.kind == "sentence" and last not in ".!…。"):
        return False
    if text.count("(") != text.count(")"):
        return False  # a part of a sentence
    refused = (_CAPTION, _REFERENCE, _BOILERPLATE, _CODE, _LEADERS, _MAIL, _VERBLESS)
    return not any(pattern.search(text) for pattern in refused) and _is_prose(text)


def quotable_row(sentence: Sentence) -> bool:
    """A row of a table with at least two cells that say something."""
    filled = [cell for cell in cells(sentence.text) if cell]
    if any(cell.casefold() in _WAYS or cell.endswith("?") for cell in filled):
        return False  # the links at the foot of a page, or the contents of a FAQ, laid out as a table
    return sentence.kind == "row" and len(filled) >= 2 and len(sentence.text) <= MAX_CHARACTERS // 2


def is_header(sentence: Sentence) -> bool:
    """Can the first row of a passage name columns? The passage may begin in the middle of a table: then the row has
    values, or cells with nothing in them, and would give wrong names to what stands below."""
    names = cells(sentence.text)[1:]
    return all(name and (not re.search(r"\d", name) or re.fullmatch(r"(?:19|20)\d\d", name)) for name in names)


def _is_prose(text: str) -> bool:
    """Mostly letters; not a line of links; begins like a sentence."""
    letters = sum(character.isalpha() or character.isspace() for character in text)
    if letters < 0.75 * len(text) or text.count("|") > 1 or text.count("»") > 1 or text.count("http") > 1:
        return False
    words = re.findall(r"[^\W\d_]{2,}", text)
    capital = sum(word[0].isupper() for word in words)
    return bool(words) and capital <= 0.7 * len(words)
