"""Words that turn the meaning of a sentence round: negations, opposites, hedges, strong words. Data, no logic."""

from shared.contracts.words import STOP_WORDS, stem


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _token(word: str) -> str:
    """As `words()` has it."""
    return word if word in STOP_WORDS else stem(word)


NEGATIONS = _set(
    """not no never none neither nor without cannot nothing nobody nowhere hardly barely unable impossible lacks lack
    lacking nicht kein keine keinen keiner keines nie niemals ohne weder aucun aucune jamais sans ni nunca ningún
    ninguna ninguno sin tampoco"""
)
"""Words as written in lower case; `n't` counts too."""

LACKING = _set("without ohne sans sin")
"""Negations of the noun phrase that follows them, and of nothing else: `faster without confirms` denies no `faster`."""
INTO_PHRASE = _set(
    """a an the any all some its their his her our your being be having ein eine einen einem einer der die das den dem
    des un une le la les el los las ningún ninguna aucun aucune"""
)
"""Stop words that open such a phrase. Any other is the phrase itself (`them`), or what follows it (`is`)."""

_OPPOSITES = """before/after earlier/later more/less more/fewer most/least increase/decrease increase/reduce
raise/lower grow/shrink rise/fall rising/falling higher/lower high/low faster/slower fast/slow quicker/slower
larger/smaller large/small bigger/smaller greater/smaller greater/less longer/shorter long/short stronger/weaker
strong/weak better/worse best/worst newer/older new/old cheaper/dearer cheap/expensive easier/harder easy/hard
easy/difficult simple/complex enable/disable enabled/disabled allow/forbid allow/deny allow/prevent allow/prohibit
permit/forbid permit/prohibit accept/reject accept/refuse include/exclude inclusive/exclusive first/last start/stop
begin/end open/close open/closed add/remove minimum/maximum min/max upper/lower above/below always/never true/false
success/failure succeed/fail successful/failed required/optional mandatory/optional public/private internal/external
synchronous/asynchronous sync/async automatic/manual automatically/manually read/write input/output send/receive
publish/consume push/pull encrypt/decrypt encrypted/unencrypted connect/disconnect lock/unlock install/uninstall
import/export ascending/descending left/right top/bottom local/remote many/few same/different gain/lose keep/discard
keep/delete keep/drop keep/lose store/discard persist/discard improve/degrade improve/worsen temporary/permanent
persistent/transient durable/transient static/dynamic single/multiple odd/even positive/negative empty/full
inside/outside forward/backward incoming/outgoing inbound/outbound create/delete create/destroy create/remove
show/hide visible/hidden north/south east/west early/late hot/cold warm/cold wet/dry day/night oldest/newest
largest/smallest highest/lowest fastest/slowest longest/shortest stateful/stateless sequential/parallel
serial/parallel mutable/immutable volatile/persistent ordered/unordered primary/secondary upstream/downstream
client-side/server-side strict/lenient vor/nach mehr/weniger größer/kleiner schneller/langsamer höher/niedriger
avant/après plus/moins antes/después más/menos mayor/menor"""

_REVERSIBLE = """before after earlier later more less fewer higher lower faster slower quicker larger smaller bigger
greater longer shorter stronger weaker better worse newer older cheaper dearer easier harder above below vor nach
mehr weniger größer kleiner schneller langsamer höher niedriger avant après plus moins antes después más menos mayor
menor"""
REVERSIBLE: frozenset[str] = frozenset(_token(word) for word in _REVERSIBLE.split())
"""`A is faster than B` and `B is slower than A` are the same: an opposite and a swap cancel out."""

CONVERSE: frozenset[str] = frozenset(
    stem(word) for word in "send receive publish consume push pull import export input output read write".split()
)
"""Two sides of one thing: the broker sends what the consumer receives. Opposites only in a near copy of the source."""


def _pairs() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for pair in _OPPOSITES.split():
        one, other = (_token(word) for word in pair.split("/"))
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    return {word: frozenset(others) for word, others in found.items()}


OPPOSITES: dict[str, frozenset[str]] = _pairs()
PREFIXES = ("non", "dis", "un", "in", "im", "ir", "de", "mis", "anti")
"""`unsupported` denies `supported`; only where both forms are in play."""

HEDGES: dict[str, frozenset[str]] = {
    "possibility": _set(
        """may might could can possibly perhaps likely probably potentially maybe unlikely kann können könnte
        vielleicht möglicherweise peut peuvent pourrait puede pueden podría"""
    ),
    "frequency": _set(
        """usually often typically generally sometimes normally frequently commonly occasionally mostly rarely seldom
        tends tend meist oft manchmal gewöhnlich souvent parfois généralement normalement suele generalmente"""
    ),
    "part": _set(
        "some most many several partly partially certain few einige manche viele certains plusieurs algunos varios"
    ),
    "approximation": _set("approximately roughly nearly almost circa ca etwa ungefähr environ presque aproximadamente"),
    "hearsay": _set(
        "seems seem appears appear suggests suggest reportedly allegedly supposedly believed expected proposed"
    ),
    "doubt": _set(
        """myth myths misconception misconceptions fallacy rumour rumor rumours rumors hoax legend wrongly falsely
        mistakenly erroneously untrue pretends pretended novel fiction fictional mythos irrtümlich fälschlich mythe
        mito"""
    ),
    "condition": _set("if unless except wenn falls außer si sauf salvo"),
    "upper bound": _set("maximum max höchstens maximal"),
    "lower bound": _set("minimum min mindestens minimal"),
}
PHRASES: tuple[tuple[str, str], ...] = (
    (r"\bup to (?=[\d a-z])", "upper bound"),
    (r"\b(?:at (?:the )?most|no more than|not more than|or (?:less|fewer)|not exceed\w*)\b", "upper bound"),
    (r"\b(?:at least|no (?:less|fewer) than|not less than|or more|more than \d)", "lower bound"),
    (r"(?:\b(?:about|around|some)\s+(?=[\d~$€])|[~≈]\s?\d)", "approximation"),
    (r"\bin (?:some|most|many|certain) cases\b", "frequency"),
    (r"\baccording to\b", "hearsay"),
    (r"\bprovided (?:that|it|the|you|they|there)\b", "condition"),
    (r"\b(?:claim|believe|think|assume|say|allege|assert|argue|maintain)(?:s|d|ed)? that\b", "hearsay"),
    (r"\b(?:thought|said) (?:that|to)\b", "hearsay"),
    (r"\b(?:not|never|hardly|n't|wrong|false|incorrect)(?: (?:true|correct|right|the case|so))? that\b", "doubt"),
    (r"\b(?:claimed|alleged|rumou?red|reputed) to\b", "hearsay"),
)
MEETS: dict[str, frozenset[str]] = {
    "possibility": HEDGES["frequency"]
    | _set(
        """allow allows allowed let lets enable enables able possible option optional optionally permit permits
        available"""
    ),
    "frequency": HEDGES["possibility"] | _set("default"),
    "part": HEDGES["frequency"],
    "approximation": _set("about around some"),
    "hearsay": HEDGES["possibility"]
    | _set(
        """according claim claims claimed believe believes believed think thinks thought assume assumes assumed say says
        said allege alleges alleged assert asserts asserted argue argues argued"""
    ),
    "doubt": _set("wrong false not never no"),
    "condition": _set("when where once whenever while until after case only depending"),
    "upper bound": _set("limit limits limited below under within"),
    "lower bound": _set("over above exceeds exceed"),
}
"""What else in the sentence keeps a hedge of the source (words as written, lower case)."""

STRONG: dict[str, frozenset[str]] = {
    "all": _set(
        """all every always each any whole entire entirely completely fully alle immer jede tous toujours todos
        siempre"""
    ),
    "must": _set(
        "must required requires require mandatory need needs needed has have shall should muss müssen doit debe"
    ),
    "exactly": _set("exactly precisely genau exactement exactamente"),
    "most": _set(
        "most mostly majority usually typically generally mainly largely nearly almost meisten plupart mayoría"
    ),
    "only": _set("only solely exclusively alone just nur seulement uniquement solo sólo solamente únicamente"),
    "guaranteed": _set(
        "guarantee guarantees guaranteed guaranteeing ensures ensure certainly definitely proves proven"
    ),
}
TRIGGERS: dict[str, frozenset[str]] = {
    **STRONG,
    "must": _set("must mandatory shall"),
    "most": _set("most mostly majority"),
}
"""A word of this kind in the sentence needs one of its `STRONG` kind in the source."""

_ALIKE = """begin/start stop/end/finish delete/remove/erase show/display buy/purchase big/large quick/fast/rapid
use/utilize keep/retain/preserve/hold allow/permit/let need/require error/failure/fault lost/lose/lost happen/occur
choose/select/pick get/obtain/receive send/transmit/deliver default/standard document/file maximum/max minimum/min
make/create/produce wait/await whole/entire several/multiple also/too must/shall build/construct change/alter/modify
help/assist limit/restrict size/length machine/computer/host store/save/keep shut/close every/each/all
survive/outlive config/configuration/setting/option number/count amount/quantity run/execute try/attempt
check/verify ask/request written/write/wrote sent/send took/take/taken kept/keep held/hold made/make lost/lose
chosen/choose built/build ran/run stopped/stop gave/give/given went/go/gone began/begin/begun found/find
known/know/knew told/tell left/leave read/reading broke/break/broken thrown/throw/threw shown/show grew/grow/grown
fell/fall/fallen rose/rise/risen"""


def _alike() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for group in _ALIKE.split():
        members = {_token(word) for word in group.split("/")}
        for member in members:
            found.setdefault(member, set()).update(members)
    return {word: frozenset(others) for word, others in found.items()}


ALIKE: dict[str, frozenset[str]] = _alike()

SUFFIXES = _set(
    """l le ility ity er or ar al ation ion ition ment ness ance ence ant ent ive ic ical able ible abl ibl y ist ism
    ize ise iz is ful t s d n r e en ate at ator ator ious ous ag age ed ing ally ly ur ure"""
) | {""}
"""Endings that may differ between two forms of one word (`durable`, `durability`); not `less`, which denies."""
