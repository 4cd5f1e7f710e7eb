"""PDF bytes -> lines of pages, by pypdf. Runs in the parsing child only."""

import re
from collections import Counter
from io import BytesIO
from itertools import islice
from typing import Any

from services.memory.blocks import Block, clean
from services.memory.extract import Unreadable
from services.memory.pdf_tables import Piece, page_text
from services.memory.pdf_text import read_pages

MAX_OUTLINE = 2000
LARGER = 1.12
"""A line in letters this much larger than the body's is a heading."""
NO_TEXT = 20
"""Characters in a whole file: fewer and there is no text layer to speak of."""


def read_pdf(data: bytes) -> tuple[str, list[Block]]:
    """(title, blocks). Raises Unreadable: encrypted, damaged, or without a text layer."""
    from pypdf import PdfReader  # late: most children see other files first
    from pypdf.errors import DependencyError, PdfReadError, PyPdfError

    if b"%PDF-" not in data[:1024]:
        raise Unreadable("not a PDF, whatever its name says")
    try:
        reader = PdfReader(BytesIO(data), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("encrypted PDF: needs a password")
        letters = _Letters()
        pages = [clean(_text(page, letters)) for page in reader.pages]
        title, outline = _title(reader), [*_outline(reader), *letters.headings()]
    except DependencyError as error:
        raise Unreadable("encrypted PDF: save it without encryption") from error
    except PdfReadError as error:
        kind = "encrypted PDF" if "decrypt" in str(error) else "damaged PDF"
        raise Unreadable(f"{kind}: {error}") from error
    except PyPdfError as error:
        raise Unreadable(f"hostile or damaged PDF: {error}") from error
    if sum(len(page.strip()) for page in pages) < NO_TEXT:
        raise Unreadable("no text layer: a scan?")
    blocks = read_pages(pages, outline=outline)
    return title or _first_line(pages), blocks


def _text(page: Any, letters: "_Letters") -> str:
    """As pypdf puts it together, but for tables."""
    pieces: list[Piece] = []

    def see(text: str, cm: Any, tm: Any, font: Any, size: float) -> None:
        letters.see(text, cm, tm, font, size)
        x = float(tm[4]) * float(cm[0]) + float(tm[5]) * float(cm[2]) + float(cm[4])
        y = float(tm[4]) * float(cm[1]) + float(tm[5]) * float(cm[3]) + float(cm[5])
        height = abs(float(size) * float(tm[3] or tm[1] or 1) * float(cm[3] or cm[1] or 1))
        pieces.append(Piece(x, y, height, text or ""))

    whole = str(page.extract_text(visitor_text=see))
    text = page_text(pieces)
    return text if _letters_of(text) == _letters_of(whole) else whole


def _letters_of(text: str) -> str:
    """What must be the same whoever puts the pieces together."""
    return re.sub(r"[\s|\\]+", "", text)


class _Letters:
    """Sizes of the letters of a file, seen while its pages are read: what is large may be a heading. (Bold letters of
    the body's size are as often the head of a table.)"""

    def __init__(self) -> None:
        self._sizes: Counter[float] = Counter()
        self._lines: list[tuple[str, float]] = []

    def see(self, text: str, _: Any, matrix: Any, _font: Any, size: float) -> None:
        """pypdf calls this for every piece of text."""
        line = clean(text or "").strip()
        if not line:
            return
        height = round(abs(float(size) * float(matrix[3] or matrix[1] or 1)), 1)
        self._sizes[height] += len(line)
        if len(line) <= 120 and len(self._lines) < 50_000:
            self._lines.append((line, height))

    def headings(self) -> list[str]:
        if not self._sizes:
            return []
        body = self._sizes.most_common(1)[0][0]
        return [line for line, height in self._lines if height > body * LARGER]


def _title(reader: Any) -> str:
    """The title in the file's properties, unless a program put a file name or nothing there."""
    title = str((reader.metadata.title if reader.metadata else "") or "").strip()
    useless = title.lower() in ("", "untitled", "(anonymous)", "anonymous") or title.lower().endswith(
        (".doc", ".docx", ".tex", ".dvi", ".pdf", ".indd")
    )
    return "" if useless or title.lower().startswith("microsoft word") else title


def _outline(reader: Any) -> list[str]:
    """Headings the PDF names itself. A broken outline is no reason to lose the text."""
    found: list[str] = []
    try:
        waiting = list(reader.outline)
        for _ in range(MAX_OUTLINE):
            if not waiting:
                break
            entry = waiting.pop(0)
            if isinstance(entry, list):
                waiting[:0] = entry[:MAX_OUTLINE]
            else:
                found.append(clean(str(entry.title)))
    except Exception:  # whatever pypdf makes of a damaged outline, the pages were read
        return found
    return found


def _first_line(pages: list[str]) -> str:
    lines = (line.strip() for page in pages[:1] for line in page.split("\n"))
    return next((line for line in islice(lines, 5) if 4 <= len(line) <= 150 and not line.isdigit()), "")
