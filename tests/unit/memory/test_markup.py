"""Files as people write them -> text as people read it."""

from services.memory.blocks import assemble, clean
from services.memory.markdown import plain, read_markdown
from services.memory.plain_text import read_rst, read_text
from shared.contracts.sentences import sentences

MARKDOWN = """---
title: "Retries, explained"
---
[![Build](https://x/b.svg)](https://x) ![logo](logo.png)

# Retries #

A **retry** is a *fresh* copy, see [the docs](https://x.org/a_(b) "Docs")
and `basic.nack(requeue=True)`; not snake_case_names.<br>
It counts 2 * 3 * 4 attempts[^1]. <!-- a comment
over lines --> AT&amp;T.

Second heading
--------------

| Queue | Limit |
|-------|:-----:|
| **quorum** | `2000` |
| classic | none |

- first item
  goes on
- [ ] second
  1. nested

```python
x = "# no heading, **no** emphasis"

y = 1
```

> quoted words

[ref]: https://example.org
[^1]: A footnote text.
"""


def _text(reader, source: str) -> str:
    title, blocks = reader(clean(source))
    return assemble(title, blocks).text


def test_markdown_becomes_what_a_reader_sees() -> None:
    assert _text(read_markdown, MARKDOWN) == (
        "Retries\n\n"
        "A retry is a fresh copy, see the docs and basic.nack(requeue=True); not snake_case_names. "
        "It counts 2 * 3 * 4 attempts. AT&T.\n\n"
        "Second heading\n\n"
        "| Queue | Limit |\n| quorum | 2000 |\n| classic | none |\n\n"
        "- first item goes on\n- second\n1. nested\n\n"
        '    x = "# no heading, **no** emphasis"\n\n    y = 1\n\n'
        "quoted words\n\n"
        "A footnote text."
    )


def test_markdown_has_its_title_from_the_front_matter_else_from_the_first_heading() -> None:
    assert read_markdown(MARKDOWN)[0] == "Retries, explained"
    assert read_markdown("# One\n\ntext")[0] == "One"


def test_markdown_headings_are_marked_where_they_stand() -> None:
    document = assemble(*read_markdown("# One\n\ntext\n\nTwo\n===\n\nmore"))
    assert [document.text[mark.start : mark.end] for mark in document.headings] == ["One", "Two"]


def test_inline_markdown_that_is_none_stays() -> None:
    for text in (
        "2 * 3 * 4",
        "snake_case_name",
        "a_b and c_d",
        "x < y > z",
        "**kwargs",
        "C:\\dir",
        "array[0](1",
        "5 ~ 6",
    ):
        assert plain(text) == text


def test_an_unclosed_fence_or_comment_loses_nothing_before_it() -> None:
    assert _text(read_markdown, "Before.\n\n```\ncode").startswith("Before.")
    assert _text(read_markdown, "Before.\n\n<!-- never closed\nmore").startswith("Before.")


RST = """
=======
Leases
=======

.. image:: x.png
   :alt: nothing

A *lease* is held by :term:`worker <x>`, see `the page <https://x>`_ and ``code_here``.

Fences
------

.. note:: Tokens grow.

   They never shrink.

.. code-block:: python
   :linenos:

   fence += 1

====  =====
Key   Value
====  =====
ttl   10 s
====  =====

Like this::

    indented code

.. _target:
"""


def test_restructured_text_becomes_what_a_reader_sees() -> None:
    assert _text(read_rst, RST) == (
        "Leases\n\nA lease is held by worker, see the page and code_here.\n\nFences\n\nTokens grow.\n\n"
        "They never shrink.\n\n"
        "    fence += 1\n\n| Key | Value |\n| ttl | 10 s |\n\nLike this:\n\n    indented code"
    )


def test_plain_text_wrapped_at_a_margin_is_joined_and_columns_keep_their_lines() -> None:
    source = (
        "NOTES ON QUEUES\n\n"
        "A queue keeps the messages that nobody has taken yet, and it\n"
        "does so in the order in which they came to the broker.\n\n"
        "name      limit     kind\nquorum    2000      durable\nclassic   none      any\n\n"
        "1. one thing that goes on\n   in the next line\n2. another\n"
    )
    assert _text(read_text, source) == (
        "NOTES ON QUEUES\n\n"
        "A queue keeps the messages that nobody has taken yet, and it does so in the order in which they came to the "
        "broker.\n\n"
        "| name | limit | kind |\n| quorum | 2000 | durable |\n| classic | none | any |\n\n"
        "1. one thing that goes on in the next line\n2. another"
    )


def test_text_is_brought_to_one_form() -> None:
    assert clean("ﬁle\u00a0e\u0301\r\nx\x00\u200b\ud83d\ude00") == "file é\nx😀"


def test_code_in_a_stored_text_is_known_as_code_to_whoever_quotes_it() -> None:
    text = _text(read_markdown, "Use it so.\n\n```\nfor x in queue:\n    ack(x)\n\nreject(y)\n```\n\nThen it ends.")
    assert [(unit.kind, unit.text) for unit in sentences(text)] == [
        ("sentence", "Use it so."),
        ("code", "for x in queue:"),
        ("code", "ack(x)"),
        ("code", "reject(y)"),
        ("sentence", "Then it ends."),
    ]
