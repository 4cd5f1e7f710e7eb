"""What kind of answer a question wants, and how a sentence looks that gives it. Pure."""

import re
from dataclasses import dataclass

from shared.contracts.sentences import content_words

_I = re.IGNORECASE
_KINDS: tuple[tuple[str, str, str], ...] = (
    # kind, what the question looks like, what an answer contains
    (
        "time",
        r"\bhow (?:long|often|soon|late)\b|\bwie (?:lange|oft)\b|\bcombien de temps\b|\bcuánto tiempo\b",
        r"\d[\d.,]*\s*(?:ms|µs|s|sec\w*|min\w*|h|hours?|days?|weeks?|months?|years?|Sekunden|Minuten|Stunden|"
        r"heures|horas)\b"
        r"|\b(?:every|each|per)\b",
    ),
    (
        "number",
        r"\bhow (?:many|much|large|big|high|fast|far|old|deep|wide|small)\b|\b(?:what|"
        r"which) (?:\w+ ){0,2}(?:number|limit|size|"
        r"rate|percentage|value|port|version|default|maximum|minimum)\b|\bwie (?:viel\w*|groß|hoch)\b|\bcombien\b|"
        r"\bcuánt[oa]s?\b",
        r"\d|\b(?:two|three|four|five|six|seven|eight|nine|ten|twelve|half|twice|none|zero)\b",
    ),
    (
        "money",
        r"\bprices?\b|\bcosts?\b|\bfees?\b|\bexpensive\b|\bcheap\b|\bPreis\w*\b|\bkostet\b|\bprix\b|\bcoûte\b|\bprecio\b|\bcuesta\b",
        r"[$€£¥]|\b(?:euros?|dollars?|cents?|francs?|USD|EUR|GBP|CHF)\b|\bfree\b|\bkostenlos\b|\bgratuit\w*\b|\bgratis\b",
    ),
    (
        "mass",
        r"\bhow heavy\b|\bweigh(?:s|t|ts)?\b|\bwie schwer\b|\bpoids\b|\bpesa\b",
        r"\d\s*(?:[kmµ]?g|t|lbs?|oz)\b|\b(?:kilo)?gram(?:me)?s?\b|\btons?\b|\btonnes?\b|\bpounds?\b|\bKilogramm\b",
    ),
    (
        "temperature",
        r"\btemperatures?\b|\bhow (?:hot|cold|warm)\b|\bTemperatur\w*\b|\btempérature\b|\btemperatura\b",
        r"°\s?[CF]?\b|\bdegrees?\b|\bkelvin\b|\bGrad\b|\d\s?K\b",
    ),
    (
        "noise",
        r"\bhow (?:loud|noisy|quiet)\b|\bnoise level\b|\bwie laut\b",
        r"\bdB\b|\bdecibels?\b|\bdezibel\b|\bsilent\b",
    ),
    (
        "precision",
        r"\bhow (?:exact|precise|accurate)\w*\b|\baccuracy\b|\bprecision\b|\bwie genau\b",
        r"±|\bwithin\b|\baccura\w+\b|\bprecis\w+\b|\bpercent\b|%|\berror of\b|\bgenau\w*\b",
    ),
    (
        "when",
        r"\bwhen\b|\bwhat (?:year|date|day|time)\b|\bwann\b|\bquand\b|\bcuándo\b",
        r"\b(?:1[89]|20)\d\d\b|\b\d{1,2}:\d\d\b|\b(?:after|before|when|once|until|as soon as|January|February|"
        r"March|April|June|July|"
        r"August|September|October|November|December|Monday|Sunday|nach|wenn|sobald|lorsque|cuando)\b",
    ),
    (
        "why",
        r"\bwhy\b|\bwhat (?:is the reason|causes?)\b|\breasons?\b|\bwarum\b|\bwieso\b|\bpourquoi\b|\bpor qué\b",
        r"\b(?:because|since|so that|due to|reason|therefore|in order to|to avoid|to prevent|otherwise|"
        r"which is why|cause[sd]?|"
        r"leads? to|results? in|weil|damit|denn|parce que|afin|porque|para que)\b",
    ),
    (
        "compare",
        r"\bdiffer(?:s|ence|ences|ent)?\b|\bcompar\w+\b|\bversus\b|\bvs\b|\bbetter\b|\brather than\b|"
        r"\bunterschied\w*\b|"
        r"\bdifférence\w*\b|\bdiferencia\w*\b",
        r"\b(?:than|whereas|while|unlike|both|instead|but|compared|in contrast|only|each|neither|während|dagegen|"
        r"tandis|mientras)\b",
    ),
    (
        "define",
        r"^\W*(?:what|who) (?:is|are|was|were) (?:an? |the )?[\w\s.-]{1,40}\??\s*$|\bdefin\w+\b|\bmean(?:s|ing)?\b|"
        r"^\W*was ist\b|"
        r"^\W*qu'est-ce\b|^\W*qué es\b",
        r"^\W*(?:an?\s|the\s|[A-Z])[\w\s.-]{0,50}?\b(?:is|are|means|refers to|denotes|was|were|ist|sind|est|"
        r"es)\s+(?:an?|the|any|when|"
        r"ein\w*|une?|un)\b|\bis called\b|\bknown as\b",
    ),
    (
        "who",
        r"\bwho(?:se|m)?\b|\bwer\b|\bqui\b|\bquién\w*\b",
        r"(?<!^)(?<![.!?]\s)\b[A-Z][a-zé]+(?:\s+[A-Z][\w.]+)+|\bby\b|\b(?:author|owner|team|developer|user|"
        r"company)s?\b",
    ),
    (
        "where",
        r"\bwhere\b|\bwo\b|\boù\b|\bdónde\b",
        r"\b(?:in|at|under|on|into|from) (?:the |a |an )?[\w/.~-]+|[/\\~][\w./-]+",
    ),
    (
        "how",
        r"\bhow (?:do|does|can|to|is|are|should|would|did|was|were)\b|\bwie (?:kann|wird|werden|man)\b|\bcomment\b|"
        r"\bcómo\b",
        r"\b(?:by \w+ing|use|using|set|run|call|first|then|with|through|to \w+|durch|mit|en \w+ant|mediante)\b",
    ),
)
_MEANS = re.compile(
    r"\b(?:what does|was bedeutet|was heißt|que signifie|qué significa)\s+(.{2,60}?)(?:\s+(?:mean|stand for)\b|[?]|$)",
    _I,
)
_GERMAN = re.compile(r"\b(?:der|die|das|und|ist|wie|welche[rsn]?|werden|wird|warum|eine?[rmn]?|wann|wer)\b")
_EMPTY = frozenset(
    content_words(
        """difference differences differ different compare compared comparison versus vs mean means meaning define
        definition reason reasons explain describe happen happens work works way ways many much long often
        kind kinds type types thing things tell list name give need needs want main important best good
        unterschied unterschiede différence diferencia work please question answer know find say says said"""
    )
)
"""Words that ask rather than name what is asked about; they count only where a question has no others."""
_STRICT = frozenset(
    ("time", "number", "money", "mass", "temperature", "noise", "precision", "when", "why", "who", "where")
)
"""Kinds whose answer shows by its form. The other kinds are answered by almost anything."""
_MEASURED = frozenset(("time", "number", "when", "define", "money", "mass", "temperature", "noise", "precision"))


@dataclass(frozen=True)
class Question:
    """`words`: what it is about (stemmed, each once). `kinds`: what sort of answer it wants. `names`: those words that
    are written like names, so that an answer must be about them. `subject`: what is to be defined."""

    text: str
    words: tuple[str, ...]
    kinds: tuple[str, ...]
    names: tuple[str, ...] = ()
    subject: tuple[str, ...] = ()

    def fit(self, text: str) -> float:
        """1 to 1.7: how much a sentence looks like an answer of the wanted kind."""
        factor = 1.0
        for kind, _, answer in _KINDS:
            if kind in self.kinds and _answers(kind, answer, text):
                factor *= 1.35 if kind in _MEASURED else 1.2
        return min(factor, 1.7)

    def has_form(self, text: str) -> bool:
        """Has the sentence the form of all that is asked for (a number, a temperature, a reason)? Never, where the
        question does not say what form its answer has."""
        wanted = [(kind, answer) for kind, _, answer in _KINDS if kind in self.kinds and kind in _STRICT]
        return bool(wanted) and all(_answers(kind, answer, text) for kind, answer in wanted)


def ask(text: str) -> Question:
    """Takes a question apart."""
    every = tuple(dict.fromkeys(content_words(text)))
    about = tuple(word for word in every if word not in _EMPTY)
    kinds = tuple(kind for kind, question, _ in _KINDS if re.search(question, text, _I))
    names = tuple(word for word in content_words(" ".join(_names(text))) if word in every)
    meant = _MEANS.search(text)
    subject = tuple(content_words(meant[1])) if meant else about
    return Question(text, subject or about or every, kinds, tuple(dict.fromkeys(names)), subject)


def _answers(kind: str, answer: str, text: str) -> bool:
    return bool(re.search(answer, text, 0 if kind in ("define", "who") else _I))


def _names(text: str) -> list[str]:
    """Words spelled like names; none where most words are, as in titles and German."""
    written = re.findall(r"[^\W_][\w.-]*[^\W_]|[^\W_]", text)
    odd = [word for word in written if re.search(r"[A-Z\d_]", word[1:]) and re.search(r"[^\W\d]", word)]
    capital = [word for word in written[1:] if word[:1].isupper() and word not in odd]
    return odd + capital if 2 * len(capital) <= len(written) and not _GERMAN.search(text) else odd
