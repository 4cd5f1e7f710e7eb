"""Real files through real parsing children: what is read, what is skipped and why, and that nothing kills anything."""

import zlib
from collections.abc import AsyncIterator
from hashlib import sha256
from io import BytesIO

import pytest
from pypdf import PdfReader, PdfWriter
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate

from services.memory.parsers import Job, Limits, Parsed, Parsers, Unparsed
from services.memory.transfer import kind_of

SENTENCE = "The prefetch limit says how many messages a consumer may hold without an acknowledgement. "
PAGE = f"""<!doctype html><html><head><title>Prefetch - Docs</title></head><body>
<nav><a href="/">Home</a> <a href="/docs">Documentation</a></nav>
<main><h1>Prefetch</h1><p>{SENTENCE * 3}</p><h2>Defaults</h2>
<table><tr><th>Queue</th><th>Limit</th></tr><tr><td>quorum</td><td>2000</td></tr></table>
<ul><li>first thing to know</li><li>second thing to know</li></ul><pre>rabbitmqctl list_queues
  --vhost /</pre><p>{SENTENCE * 2}</p></main><footer>Cookie settings</footer></body></html>"""


@pytest.fixture
async def parsers() -> AsyncIterator[Parsers]:
    async with Parsers(children=1, limits=Limits(seconds=20, memory_mb=512)) as pool:
        yield pool


def _job(name: str, data: bytes) -> Job:
    return Job(name=name, kind=kind_of(name) or "", sha256=sha256(data).hexdigest(), data=data)


async def _text(parsers: Parsers, name: str, data: bytes) -> str:
    found = await parsers.parse(_job(name, data))
    assert isinstance(found, Parsed), found
    text = found.document.text
    assert all(text[cut.start : cut.end].strip() for cut in found.cuts)
    return text


async def _reason(parsers: Parsers, name: str, data: bytes) -> str:
    found = await parsers.parse(_job(name, data))
    assert isinstance(found, Unparsed), found.document.text[:200]
    return found.reason


def _pdf(*pages: str) -> bytes:
    out, style = BytesIO(), getSampleStyleSheet()
    story = [flowable for page in pages for flowable in (
        Paragraph("Prefetch", style["Heading1"]), Paragraph(page, style["BodyText"]), PageBreak())]  # fmt: skip
    SimpleDocTemplate(out, title="On Prefetch").build(story)
    return out.getvalue()


async def test_html_is_read_without_navigation_and_with_tables(parsers: Parsers) -> None:
    found = await parsers.parse(_job("a.html", PAGE.encode()))
    assert isinstance(found, Parsed)
    text = found.document.text
    assert [mark.title for mark in found.document.headings] == ["Prefetch", "Defaults"]
    assert "| Queue | Limit |\n| quorum | 2000 |" in text
    assert "- first thing to know" in text
    assert "    rabbitmqctl list_queues\n      --vhost /" in text
    assert "Cookie" not in text
    assert "Documentation" not in text


async def test_a_page_too_short_for_trafilatura_is_read_whole(parsers: Parsers) -> None:
    text = await _text(parsers, "a.htm", b"<html><body><nav>Home</nav><div>The limit is 2000.</div></body></html>")
    assert text == "The limit is 2000."


async def test_a_page_of_old_keeps_its_headings(parsers: Parsers) -> None:
    page = (
        f"<html><head><title>Manual</title></head><body><h1>Manual</h1><p>{SENTENCE * 3}<h2>Options</h2>"
        f"<dl><dt>-t<dd>The time-out.</dl><table><tr><td>{SENTENCE * 6}</td></tr><tr><td>a</td><td>b</td></tr></table>"
        "<ul><li>one <b>thing</b><ul><li>inner</ul><li><p>two</p></ul><pre>x = 1\n  y = 2</pre></body></html>"
    )
    found = await parsers.parse(_job("a.html", page.encode()))
    assert isinstance(found, Parsed)
    assert found.document.text == (
        f"Manual\n\n{(SENTENCE * 3).strip()}\n\nOptions\n\n-t\n\nThe time-out.\n\n{(SENTENCE * 6).strip()}\n\n"
        "| a | b |\n\n- one thing\n- inner\n- two\n\n    x = 1\n      y = 2"
    )
    assert [mark.title for mark in found.document.headings] == ["Manual", "Options"]


async def test_pdf_is_read_with_pages_and_headings(parsers: Parsers) -> None:
    found = await parsers.parse(_job("a.pdf", _pdf(SENTENCE * 4, SENTENCE * 5)))
    assert isinstance(found, Parsed)
    assert found.document.title == "On Prefetch"
    assert {(cut.page, cut.heading) for cut in found.cuts} == {(1, "Prefetch"), (2, "Prefetch")}
    assert SENTENCE.strip() in found.document.text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
async def test_text_is_read_in_the_encodings_people_have(parsers: Parsers, encoding: str) -> None:
    assert await _text(parsers, "a.txt", "Größe: 5 µm – naïve".encode(encoding)) == "Größe: 5 µm – naïve"


async def test_what_is_no_text_is_skipped_with_its_reason(parsers: Parsers) -> None:
    assert "binary" in await _reason(parsers, "a.txt", b"MZ\x00\x01" * 1000)
    assert "a PNG image" in await _reason(parsers, "a.md", b"\x89PNG\r\n\x1a\n" + bytes(range(1, 200)))
    assert "binary" in await _reason(parsers, "a.txt", bytes(range(1, 256)) * 40)
    assert await _reason(parsers, "a.txt", b" \n\n ") == "empty"
    assert await _reason(parsers, "a.pdf", b"hello, I am no PDF") == "not a PDF, whatever its name says"
    assert "PDF" in await _reason(parsers, "a.pdf", b"%PDF-1.7\n" + b"garbage " * 100)
    assert await _reason(parsers, "a.html", b"<html><body><script>x()</script></body></html>") == "no text in it"


async def test_a_scan_has_no_text_layer(parsers: Parsers) -> None:
    out = BytesIO()
    canvas = Canvas(out)
    canvas.rect(100, 100, 300, 300, fill=1)
    canvas.showPage()
    canvas.save()
    assert await _reason(parsers, "scan.pdf", out.getvalue()) == "no text layer: a scan?"


async def test_an_encrypted_pdf_says_so(parsers: Parsers) -> None:
    writer, out = PdfWriter(clone_from=PdfReader(BytesIO(_pdf(SENTENCE)))), BytesIO()
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(out)
    assert await _reason(parsers, "a.pdf", out.getvalue()) == "encrypted PDF: needs a password"


def _bomb(megabytes: int) -> bytes:
    """One page whose content inflates to so many megabytes of drawing operators."""
    squeezer = zlib.compressobj(9)
    piece = b"0 0 m 1 1 l S\n" * 75_000
    stream = b"".join(squeezer.compress(piece) for _ in range(megabytes)) + squeezer.flush()
    parts = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>",
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(stream), stream),
    ]
    body, places = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, start=1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 5\n0000000000 65535 f \n" + table
    return body + head + b"trailer << /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % len(body)


async def test_hostile_files_lose_only_themselves() -> None:
    async with Parsers(children=1, limits=Limits(seconds=4, memory_mb=400)) as parsers:
        files = {
            "bomb.pdf": _bomb(600),
            "deep.html": b"<div>" * 300_000 + b"deep",
            "deep.md": b"> " * 200_000 + b"deep",
            "loop.pdf": b"%PDF-1.4\n1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj\n"
            b"2 0 obj << /Type /Pages /Kids [2 0 R] /Count 1 >> endobj\ntrailer << /Root 1 0 R >>",
            "brackets.md": b"[" * 400_000 + b"](" * 100,
        }
        for name, data in files.items():
            found = await parsers.parse(_job(name, data))
            assert isinstance(found, Parsed) or found.reason, name
            assert await _text(parsers, "next.txt", b"The next file is read.") == "The next file is read."
        assert isinstance(await parsers.parse(_job("bomb.pdf", files["bomb.pdf"])), Unparsed)


async def test_a_file_that_takes_too_long_or_too_much_is_given_up_and_may_be_tried_again() -> None:
    slow = b"<p>A sentence of some words here.</p>" * 80_000
    async with Parsers(children=1, limits=Limits(seconds=0.5, memory_mb=1024)) as parsers:
        await parsers.parse(_job("warm.txt", b"so that the child is not fresh"))
        found = await parsers.parse(_job("slow.html", slow))
        assert isinstance(found, Unparsed)
        assert found.passing
        assert found.reason.startswith("parsing took over 0.5 s")
    async with Parsers(children=1, limits=Limits(seconds=30, memory_mb=160)) as parsers:
        found = await parsers.parse(_job("large.txt", "größer ".encode() * 7_000_000))
        assert isinstance(found, Unparsed)
        assert found.passing
        assert found.reason == "parser ran out of memory (160 MiB)"
        assert await _text(parsers, "next.txt", b"The next file is read.")


async def test_bytes_that_are_not_what_was_offered_are_damaged(parsers: Parsers) -> None:
    found = await parsers.parse(Job(name="a.txt", kind="txt", sha256="0" * 64, data=b"hello"))
    assert isinstance(found, Unparsed)
    assert found.damaged
