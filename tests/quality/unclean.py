"""Sentences that may never be in a report, recognised by signs of their own rather than by the product's rules."""

import re

MIN_WORDS, MAX_WORDS = 5, 60
_SIGNS = {
    "question": r"\?\s*$",
    "reference": r"\bdoi[:.]\s*10\.|\barXiv:\d|\bISBN\b|\bIn Proc\.|^\[\d+\]",
    "caption": r"^(?:Figure|Fig\.|Table|Listing|Abbildung|Tabla|Tableau)\s*\d+[.:]\d*",
    "contents": r"(?:\.\s?){5,}|^(?:\d+\.)+\d*\s+\S+\s+(?:\d+\.)+\d",
    "navigation": r"^(?:Prev|Next|Up|Home|Menu)\b.*\b(?:Next|Up|Home|Search)\b|\bTable of Contents\b|\bskip to\b",
    "licence": r"(?i)\ball rights reserved\b|©|\bthis license\b|\bwithout warranty\b",
    "cookie": r"(?i)\bcookie (?:policy|consent)\b|\bwe use cookies\b",
    "code": r"[{};]$|^\s*(?:\$|#|>>>|sqlite>)\s|=>|^\w+\s*=\s*\w+$|\bSELECT \*|^\w+\(.*\)$",
    "leans": r"^(?:However|These|Therefore|Thus|Hence|Moreover|Furthermore|As Fig|As Table|Such|Consequently)\b",
}


def unclean(text: str) -> str | None:
    """Which of these a sentence of a report is; None when it is clean. A row shown as pairs has no length to keep."""
    plain = text.replace("\\", "").strip()
    words = len(plain.split())
    if words > MAX_WORDS or (words < MIN_WORDS and ":" not in plain):
        return "length"
    return next((name for name, sign in _SIGNS.items() if re.search(sign, plain)), None)
