"""What is planted in a corpus: facts, contradictions, false statements marked as such, and questions without an answer.

Each question says it in other words than the page does. Names are made from syllables by the seed, so nothing here can
be known beforehand.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

SYLLABLES = "bar dol fen gar hul jin kem lor mav nex pol quo rin sul tam vek wor xil yar zem".split()
LIQUIDS = ("glycol", "paraffin", "methanol", "silicone oil", "brine")


@dataclass(frozen=True)
class Planted:
    """`text` stands on a page; whoever asks `question` must read all of `wanted` (any spelling within one entry)."""

    text: str
    question: str
    wanted: tuple[str, ...]
    subject: str
    table: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class FalseStatement:
    """`text` carries the false `kernel` and says so; a sentence with the kernel and none of `marks` repeats it."""

    text: str
    question: str
    kernel: str
    subject: str
    heading: str | None = None
    marks: tuple[str, ...] = (
        "myth",
        "wrong",
        "not true",
        "false",
        "misconception",
        "believe",
        "claim",
        "novel",
        "mistake",
    )


def names(random_: random.Random) -> Iterator[str]:
    """Names that no dictionary has, each once."""
    seen: set[str] = set()
    while True:
        name = "".join(random_.choice(SYLLABLES) for _ in range(random_.choice((2, 3)))).capitalize()
        if name not in seen:
            seen.add(name)
            yield name


def facts(r: random.Random, name: Iterator[str]) -> list[Planted]:
    """Twelve of thirteen kinds, in an order of the seed's own."""
    x = [next(name) for _ in range(13)]
    person, town, place = next(name), next(name), next(name)
    watts, year, weeks, days = r.randint(120, 980), r.randint(1921, 1998), r.randint(3, 23), r.randint(11, 95)
    code, port, kilos, months = f"E{r.randint(100, 999)}", r.randint(2000, 9000), r.randint(14, 99), r.randint(13, 60)
    people, degrees, liquid = r.randint(3, 19), r.randint(41, 97), r.choice(LIQUIDS)
    table = (
        ("Device", "Highest temperature", "Colour"),
        (x[12], f"{degrees} °C", "grey"),
        (next(name), "31 °C", "red"),
    )
    kinds = [
        Planted(f"A {x[0]} draws {watts} watts when all of its lamps are lit.",
                f"How much power does a {x[0]} use?", (f"{watts} watts",), x[0]),
        Planted(f"The first {x[1]} was assembled in {year} in the town of {town}.",
                f"When was the {x[1]} built for the first time?", (str(year),), x[1]),
        Planted(f"Technicians must clean the filter of the {x[2]} every {weeks} weeks.",
                f"How often does the filter of the {x[2]} need cleaning?", (f"{weeks} weeks",), x[2]),
        Planted(f"The {x[3]} stops with error {code} once its cover is removed.",
                f"Which error does the {x[3]} show if somebody takes off the cover?", (code,), x[3]),
        Planted(f"By default the {x[4]} keeps its records for {days} days.",
                f"How long are records stored by the {x[4]}?", (f"{days} days",), x[4]),
        Planted(f"{person} designed the housing of the {x[5]}.",
                f"Who was the designer of the {x[5]} housing?", (person,), x[5]),
        Planted(f"The {x[6]} listens on port {port} unless its configuration file says otherwise.",
                f"Which port does the {x[6]} use?", (f"port {port}",), x[6]),
        Planted(f"A {x[7]} weighs {kilos} kilograms without its stand.",
                f"How heavy is a {x[7]}?", (f"{kilos} kilograms",), x[7]),
        Planted(f"The warranty of a {x[8]} ends after {months} months.",
                f"For how long is a {x[8]} under warranty?", (f"{months} months",), x[8]),
        Planted(f"The {x[9]} is cooled with {liquid} because water would corrode its plates.",
                f"Why is water not used for cooling in the {x[9]}?", ("corrode",), x[9]),
        Planted(f"Readings of the {x[10]} are stored in the {place} archive.",
                f"Where do the measurements of the {x[10]} end up?", (f"{place} archive",), x[10]),
        Planted(f"At most {people} operators can share one {x[11]}.",
                f"How many people may work with a single {x[11]} at the same time?", (f"{people} operators",), x[11]),
        Planted("", f"What is the highest temperature allowed for the {x[12]}?", (f"{degrees} °C",), x[12], table),
    ]  # fmt: skip
    r.shuffle(kinds)
    return kinds[:12]


def contradictions(r: random.Random, name: Iterator[str]) -> list[tuple[Planted, Planted]]:
    """Pairs of pages that say different things; both must be shown."""
    found = []
    a, b, c = next(name), next(name), next(name)
    for one, two, question, subject, unit in (
        ("The tank of the {x} holds {n} litres.", "A {x} has a tank for {n} litres.",
         "What is the capacity of the {x} tank?", a, "litres"),
        ("The {x} needs {n} minutes to start.", "Starting a {x} takes {n} minutes.",
         "How long does the start of the {x} take?", b, "minutes"),
        ("{n} sensors are built into the {x}.", "The {x} has {n} sensors.",
         "How many sensors does the {x} contain?", c, "sensors"),
    ):  # fmt: skip
        first, second = r.sample(range(12, 90), 2)
        wanted = (f"{first} {unit}", f"{second} {unit}")
        asked = question.format(x=subject)
        found.append((
            Planted(one.format(x=subject, n=first), asked, wanted, subject),
            Planted(two.format(x=subject, n=second), asked, wanted, subject),
        ))  # fmt: skip
    return found


def false_statements(name: Iterator[str]) -> list[FalseStatement]:
    a, b, c, d = (next(name) for _ in range(4))
    return [
        FalseStatement(f"It is a myth that the {a} runs without oil.",
                       f"Does the {a} run without oil?", f"{a} runs without oil", a),
        FalseStatement(f"The {b} needs no earth wire when it stands on wood.",
                       f"Does the {b} need an earth wire?", f"{b} needs no earth wire", b,
                       heading="Common misconceptions"),
        FalseStatement(f"Many visitors believe that the {c} can be opened during operation. That is wrong.",
                       f"Can the {c} be opened during operation?", f"{c} can be opened during operation", c),
        FalseStatement(f"The {d} heals its own cracks over night. This statement of an early brochure is not true.",
                       f"Does the {d} repair cracks by itself?", f"{d} heals its own cracks", d),
    ]  # fmt: skip


def unanswerable(name: Iterator[str], known: str) -> list[tuple[str, str]]:
    """(question, a word that `not_found` must say was sought): a name that is nowhere, a property nobody states."""
    absent = next(name)
    return [(f"How loud is a {absent}?", absent), (f"What is the price of a {known} in euros?", "price")]
