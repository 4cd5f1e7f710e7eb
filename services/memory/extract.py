"""A file's bytes -> a Document with its passages. CPU-heavy and fed with strangers' files: called in the parsing child
only (`extract_child.py`)."""

import codecs
import re
from pathlib import PurePosixPath

from services.memory.blocks import Block, Document, assemble, clean

PARSER = 2
"""Rises with every change that makes another text of the same bytes; what older ones made is then asked for again."""
SIGNATURES = (
    (b"%PDF-", "a PDF"), (b"PK\x03\x04", "a zip archive"), (b"\x89PNG", "a PNG image"), (b"\x7fELF", "a program"),
    (b"GIF8", "a GIF image"), (b"\xff\xd8\xff", "a JPEG image"), (b"\x1f\x8b", "a gzip file"),
)  # fmt: skip
BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
CHARSET = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{2,40})""", re.IGNORECASE)
CONTROL = bytes(set(range(32)) - {9, 10, 12, 13, 27} | {127})
STRANGE = 0.3
"""Share of bytes above ASCII from which on a text that is not UTF-8 is taken for something else."""


class Unreadable(Exception):
    """This file has no text for us; the message says why, to the person who offered it."""


def extract(data: bytes, *, kind: str, name: str) -> Document:
    """The stored text of a file. `kind`: as `transfer.kind_of` says. Raises Unreadable."""
    if not data.strip():
        raise Unreadable("empty")
    title, blocks = _read(data, kind)
    document = assemble(title or _stem(name), blocks)
    if not any(letter.isalnum() for letter in document.text):
        raise Unreadable("no text in it")
    return document


def decode(data: bytes, *, declared: str | None = None) -> str:
    """Bytes as text: byte order mark, UTF-8, what the file declares, Western European. Raises Unreadable."""
    for mark, encoding in BOMS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    for signature, what in SIGNATURES:
        if data.startswith(signature):
            raise Unreadable(f"binary, not text: {what}")
    if b"\0" in data:
        raise Unreadable("binary, not text: it holds NUL bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        pass
    if declared is not None:
        try:
            return data.decode(declared, "replace")
        except LookupError:
            pass
    return _western(data)


def _western(data: bytes) -> str:
    high = len(data) - len(data.translate(None, bytes(range(128, 256))))
    control = len(data) - len(data.translate(None, CONTROL))
    if control > len(data) * 0.002 or high > len(data) * STRANGE:
        raise Unreadable("binary, or in an encoding other than UTF-8, UTF-16 or Western European")
    return data.decode("cp1252", "replace")


def _read(data: bytes, kind: str) -> tuple[str, list[Block]]:
    if kind == "pdf":
        from services.memory.pdf_pages import read_pdf

        return read_pdf(data)
    if kind == "html":
        from services.memory.web_page import read_html

        declared = CHARSET.search(data[:4096])
        return read_html(clean(decode(data, declared=declared.group(1).decode() if declared else None)))
    from services.memory.markdown import read_markdown
    from services.memory.plain_text import read_rst, read_text

    reader = {"md": read_markdown, "rst": read_rst, "txt": read_text}[kind]
    return reader(clean(decode(data)))


def _stem(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).stem
