"""Which language a question is in, by its small words and its letters. Pure."""

import re
import unicodedata

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_SIGNS = {
    "en": "the of and is are how what why which does do in to for with who when where can many much between compare a "
    "an",
    "de": "der die das und ist sind wie was warum welche welcher welches ein eine einen im für mit von zu wer wann wo "
    "zwischen unterscheiden unterschied viele wird werden den dem des kann nicht auf bei",
    "fr": "le la les de des du et est sont comment que qu'est quoi pourquoi quel quelle quels quelles une dans pour "
    "avec qui quand où entre combien ce diffèrent au aux un il elle on sa son ses peut sur ne pas par faut",
    "es": "el la los las de del y es son cómo qué por cuál cuáles un una en para con quién cuándo dónde entre cuántos "
    "cuánto difieren se al",
}
"""Languages that reports are written in."""
_OTHERS = {
    "it": "il lo gli i la le l' di del dello della dei degli delle e è sono come cosa che quali quale quanto quanti "
    "quante quando quanta dove perché per con tra fra chi un una uno nel nella si non funziona",
    "pt": "o os a as um uma de do da dos das e é são como que quais qual por porque para com entre quem quando onde "
    "quantos quantas não em no na nos nas",
    "nl": "de het een en is zijn wat hoe waarom welke welk wie wanneer waar van voor met tussen hoeveel kan niet op "
    "verschil werkt",
    "sv": "och är vad hur varför vilken vilka vilket en ett den det för med av till mellan vem när var skillnaden",
    "da": "og er hvad hvordan hvorfor hvilken hvilke hvilket en et den det for med af til mellem hvem hvornår hvor",
    "no": "og er hva hvordan hvorfor hvilken hvilke hvilket en et den det for med av til mellom hvem når hvor",
    "pl": "i jest są co jak jaki jaka jakie dlaczego który która które w z na do dla kto kiedy gdzie ile między się od",
    "cs": "a je jsou co jak jaký jaká jaké proč který která které v s na do pro kdo kdy kde kolik mezi se",
    "ro": "și este sunt ce cum de care cine când unde pentru cu între un o în la cât câte",
    "tr": "ve nedir ne nasıl neden hangi kim bir için ile arasında kaç nerede mi mı",
    "fi": "ja on ovat mikä mitä miten miksi kuka milloin missä kuinka välillä",
    "hu": "a az és mi hogyan miért melyik ki mikor hol mennyi között egy van",
}
"""Relatives and neighbours: whoever asks in one of them is not taken for somebody who asks in one of those."""
_KNOWN = {name: frozenset(words.split()) for name, words in _SIGNS.items()}
_FOREIGN = {name: frozenset(words.split()) for name, words in _OTHERS.items()}


def language_of(question: str) -> str:
    """`en`, `de`, `fr` or `es`; English where it is none of these, or has no word that tells."""
    return "en" if is_foreign(question) else _likely(question)[0]


def is_foreign(question: str) -> bool:
    """Is it surely in another language than those that reports are written in?"""
    letters = [character for character in question if character.isalpha()]
    latin = sum(unicodedata.name(character, "").startswith("LATIN") for character in letters)
    if letters and latin * 2 < len(letters):
        return True
    words = _words(question)
    most = max(sum(word in known for word in words) for known in _FOREIGN.values())
    return most > _likely(question)[1]


def _likely(question: str) -> tuple[str, int]:
    words = _words(question)
    counts = {name: sum(word in known for word in words) for name, known in _KNOWN.items()}
    best = max(counts, key=lambda name: (counts[name], name == "en"))
    return (best, counts[best]) if counts[best] else ("en", 0)


def _words(question: str) -> list[str]:
    return _WORD.findall(question.lower())
