"""Content words: what is left of a text when its little words and endings are gone, numbers with their units."""

import re
from functools import lru_cache

_STOP = {
    "en": """a about above again all also am an and any are as at be because been being below between both but by can
        could did do does doing done down during each either else etc every few for from further get gets had has have
        having he her here hers him his how i if in into is it its itself just let like may me might more most must my
        no nor not now of off on once only onto or other our out over own per rather same shall she should so some such
        than that the their them then there these they this those through thus to too under until up upon us use used
        uses using very via was we were what when where whether which while who whom whose why will with within without
        would yet you your""",
    "de": """aber als am an auch auf aus bei beim bis da damit dann das dass dem den denn der des dessen die dies diese
        diesem diesen dieser dieses doch durch ein eine einem einen einer eines er es für hat haben hier ich ihr ihre im
        in ist ja kann man mit nach noch nur ob oder ohne sehr sein seine sich sie sind so über um und uns unter vom von
        vor war waren warum was wenn wer werden wie wird wo wurde zu zum zur""",
    "fr": """au aux avec ce ces cet cette chez comme comment dans de des donc du elle elles en est et été être eux il
        ils la le les leur leurs lui mais même ne nous on ont ou où par pas plus pour pourquoi qu quand que quel quelle
        quels qui sa sans se ses son sont sur ta te tes très tu un une vos votre vous""",
    "es": """al como cómo con cual cuál cuando cuándo de del desde donde dónde el ella ellas ellos en entre era es esa
        ese eso esta está estas este esto estos fue ha han hay la las lo los más muy no nos o para pero por porque que
        qué quién se sea ser si sin sobre son su sus también un una unas uno unos y ya""",
}
STOP_WORDS: frozenset[str] = frozenset(word for text in _STOP.values() for word in text.split())

_UNITS = {
    "%": "% percent pct prozent pourcent",
    "ms": "ms msec millisecond milliseconds",
    "us": "us µs μs microsecond microseconds",
    "ns": "ns nanosecond nanoseconds",
    "s": "s sec secs second seconds sekunde sekunden seconde secondes segundo segundos",
    "min": "min mins minute minutes minuten minuto minutos",
    "h": "h hr hrs hour hours stunde stunden heure heures hora horas",
    "day": "d day days tag tage tagen jour jours día días",
    "week": "week weeks woche wochen semaine semaines semana semanas",
    "month": "month months monat monate monaten mois mes meses",
    "year": "yr year years jahr jahre jahren an ans année années año años",
    "byte": "b byte bytes",
    "kb": "kb kilobyte kilobytes",
    "mb": "mb megabyte megabytes",
    "gb": "gb gigabyte gigabytes",
    "tb": "tb terabyte terabytes",
    "kib": "kib",
    "mib": "mib",
    "gib": "gib",
    "tib": "tib",
    "mm": "mm millimeter millimeters millimetre millimetres",
    "cm": "cm centimeter centimeters centimetre centimetres",
    "m": "m meter meters metre metres",
    "km": "km kilometer kilometers kilometre kilometres",
    "g": "g gram grams",
    "kg": "kg kilogram kilograms",
    "hz": "hz hertz",
    "khz": "khz",
    "mhz": "mhz",
    "ghz": "ghz",
    "w": "w watt watts",
    "kw": "kw kilowatt kilowatts",
    "v": "v volt volts",
    "°c": "°c celsius",
    "°f": "°f fahrenheit",
    "$": "$ usd dollar dollars",
    "€": "€ eur euro euros",
    "bit": "bit bits",
}
UNIT_OF: dict[str, str] = {spelling: unit for unit, text in _UNITS.items() for spelling in text.split()}
_SCALES = {"thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_NUMBER_WORDS = {
    word: str(number)
    for number, word in enumerate(
        ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"], start=2
    )
}
_NUMBER_WORDS |= {"twenty": "20", "thirty": "30", "fifty": "50", "hundred": "100", "twice": "2", "zero": "0"}

_TOKEN = re.compile(
    r"(?P<number>[$€]?(?<![\w.])[-−]?\d+(?:[.,:]\d+)*)(?:[\s-]?(?P<unit>°?[^\W\d_]+(?![\w.]\w)|%|€|\$))?"
    r"|(?P<word>[^\W_](?:[\w’']|[.+/](?=\w))*)",
    re.UNICODE,
)
_LETTER = re.compile(
    r"(?!I\b)[A-Z]\b(?!['’])(?:(?<=[\w,] [A-Z])|(?=[ ,]*(?:is|are|was|has|and|or|can|may|will|does|than|to|takes)\b))"
)
"""A thing called by one letter (`A is faster than B`), which is no article."""
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


def number_of(text: str) -> str:
    """A number in one spelling: `1,000` is `1000`, `2.50` is `2.5`."""
    plain = _THOUSANDS.sub("", text).replace("−", "-")
    if re.fullmatch(r"-?\d+\.\d+", plain):
        plain = plain.rstrip("0").rstrip(".")
    return plain


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """A lower-case word without its common English endings: store, stores, stored and storing are one. Light."""
    if len(word) < 4 or not word.isalpha():
        return word
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith(("sses", "shes", "ches", "xes", "zes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed", "ly"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and any(c in "aeiouy" for c in word[: -len(ending)]):
            word = word[: -len(ending)]
            if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
                word = word[:-1]
            break
    if word.endswith("i"):
        word = word[:-1] + "y"
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def _number_token(match: re.Match[str]) -> tuple[str, bool]:
    """The number with its unit where the next word is one; False: the next word is not part of it."""
    raw, unit = match["number"], (match["unit"] or "").lower()
    sign = raw[0] if raw[0] in "$€" else ""
    number = number_of(raw.lstrip("$€"))
    if unit in _SCALES and re.fullmatch(r"-?\d+(\.\d+)?", number):
        number, unit_is_used = number_of(str(round(float(number) * _SCALES[unit], 6))), True
        return number + sign, unit_is_used
    if unit in UNIT_OF:
        return number + UNIT_OF[unit], True
    return number + sign, not unit


def words(text: str) -> list[tuple[str, str, int]]:
    """All words in order: (stemmed or number with unit, as written, offset). Stop words included, in lower case."""
    found: list[tuple[str, str, int]] = []
    position = 0
    while match := _TOKEN.search(text, position):
        position = match.end()
        if match["number"]:
            token, whole = _number_token(match)
            if not whole:
                position = match.end("number")
            found.append((token, text[match.start() : position], match.start()))
            continue
        written = match["word"].replace("’", "'")
        lower = written.lower()
        lower = lower[:-2] if lower.endswith("'s") else lower
        if lower in _NUMBER_WORDS:
            token, position = _spelled_number(text, _NUMBER_WORDS[lower], position)
        elif _LETTER.match(text, match.start()):
            token = written
        else:
            token = lower if lower in STOP_WORDS else stem(lower)
        found.append((token, written, match.start()))
    return found


def _spelled_number(text: str, number: str, position: int) -> tuple[str, int]:
    """`ten seconds` is `10s` as `10 seconds` is."""
    following = re.match(r"[\s-]([^\W\d_]+)", text[position : position + 30])
    if following and len(following[1]) > 1 and following[1].lower() in UNIT_OF:
        return number + UNIT_OF[following[1].lower()], position + following.end()
    return number, position


@lru_cache(maxsize=20_000)
def content_words(text: str) -> tuple[str, ...]:
    """The words that carry meaning, in order and with repeats: lower case, lightly stemmed, stop words (en, de, fr, es)
    dropped, numbers with their unit as one (`10 ms`, `10ms` and `ten milliseconds` are all `10ms`)."""
    return tuple(token for token, _, _ in words(text) if token not in STOP_WORDS)
