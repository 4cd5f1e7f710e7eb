"""The search index: one SQLite FTS5 file per replica, derived from the store and rebuilt whenever in doubt.

It follows the store by the number of the last change it has seen. Synchronous: call it off the loop.
"""

import contextlib
import json
import math
import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.memory.recall import match_expression, quoted_terms, related, within
from services.memory.store import StoredText
from shared.contracts.findings import RememberedFinding
from shared.contracts.library import Passage

VERSION = 1
"""Rises when the tables below change; an index of another version is built anew."""
TABLES = """
CREATE TABLE state (library TEXT NOT NULL, seq INTEGER NOT NULL);
CREATE TABLE spans (id INTEGER PRIMARY KEY, sha TEXT NOT NULL, position INTEGER NOT NULL, start INTEGER NOT NULL,
                    stop INTEGER NOT NULL, page INTEGER);
CREATE INDEX spans_sha ON spans (sha);
CREATE TABLE members (corpus TEXT NOT NULL, sha TEXT NOT NULL, source TEXT NOT NULL,
                      PRIMARY KEY (corpus, sha)) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5(title, heading, body, tokenize='porter unicode61');
CREATE TABLE found (id INTEGER PRIMARY KEY, finding_id TEXT NOT NULL, namespace TEXT NOT NULL, goal_id TEXT NOT NULL,
                    corpora TEXT NOT NULL);
CREATE INDEX found_goal ON found (goal_id);
CREATE VIRTUAL TABLE found_words USING fts5(text, goal, tokenize='porter unicode61');
"""
SEARCH = """
SELECT spans.sha, spans.position, spans.start, spans.stop, spans.page, words.title, words.heading, words.body,
       round(-bm25(words, 2.0, 2.0, 1.0), 6) AS score
FROM words JOIN spans ON spans.id = words.rowid
WHERE words MATCH ? AND spans.sha IN (SELECT sha FROM members WHERE corpus IN (SELECT value FROM json_each(?)))
ORDER BY score DESC, spans.sha, spans.position LIMIT ?
"""
HOLD = "SELECT count(*) FROM words WHERE words MATCH ?"
K1, RARE = 1.2, 1e-6
"""FTS5's constants: how much repetition counts, and the least that a term weighs."""
ONE = """
SELECT spans.sha, spans.position, spans.start, spans.stop, spans.page, words.title, words.heading, words.body, 0.0
FROM spans JOIN words ON words.rowid = spans.id WHERE spans.sha = ? AND spans.position = ?
"""
RECALL = """
SELECT found.finding_id, found.corpora, found_words.text, found_words.goal,
       round(-bm25(found_words, 2.0, 1.0), 6) AS score
FROM found_words JOIN found ON found.id = found_words.rowid
WHERE found_words MATCH ? AND found.namespace = ? AND found.goal_id != ? ORDER BY score DESC, found.finding_id
"""


@dataclass
class SearchIndex:
    """Opened by the first call; a file that SQLite cannot read is deleted and starts empty (watermark 0)."""

    path: Path
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _connection: sqlite3.Connection | None = None

    def watermark(self, library: str) -> int:
        """The last change of this library that was applied. Another library's index is emptied."""
        with self._working() as connection:
            row = connection.execute("SELECT library, seq FROM state").fetchone()
            if row is not None and row[0] == library:
                return int(row[1])
            if row is not None:
                self.reset()
            with self._working() as fresh:
                fresh.execute("DELETE FROM state")
                fresh.execute("INSERT INTO state VALUES (?, 0)", (library,))
                fresh.commit()
            return 0

    def set_watermark(self, seq: int) -> None:
        with self._working() as connection:
            connection.execute("UPDATE state SET seq = ?", (seq,))
            connection.commit()

    def put_texts(self, keys: Collection[str], texts: Sequence[StoredText]) -> None:
        """These texts changed; those not in `texts` are gone. Twice is harmless."""
        with self._working() as connection:
            for key in keys:
                connection.execute("DELETE FROM words WHERE rowid IN (SELECT id FROM spans WHERE sha = ?)", (key,))
                connection.execute("DELETE FROM spans WHERE sha = ?", (key,))
            for stored in texts:
                _insert(connection, stored)
            connection.commit()

    def put_members(self, corpus: str, members: Sequence[tuple[str, str]]) -> None:
        """What a corpus consists of: (text sha256, name). The first name of a text is its source."""
        with self._working() as connection:
            connection.execute("DELETE FROM members WHERE corpus = ?", (corpus,))
            rows = [(corpus, key, name) for key, name in sorted(members, key=lambda member: member[1])]
            connection.executemany("INSERT OR IGNORE INTO members VALUES (?, ?, ?)", rows)
            connection.commit()

    def put_findings(
        self, goals: Collection[str], findings: Sequence[tuple[RememberedFinding, tuple[str, ...]]]
    ) -> None:
        """All that is remembered of these goals now."""
        with self._working() as connection:
            for goal in goals:
                connection.execute(
                    "DELETE FROM found_words WHERE rowid IN (SELECT id FROM found WHERE goal_id = ?)", (goal,)
                )
                connection.execute("DELETE FROM found WHERE goal_id = ?", (goal,))
            for one, corpora in findings:
                row = (one.finding_id, one.namespace, one.goal_id, json.dumps(corpora))
                at = connection.execute("INSERT INTO found VALUES (NULL, ?, ?, ?, ?)", row).lastrowid
                connection.execute(
                    "INSERT INTO found_words (rowid, text, goal) VALUES (?, ?, ?)", (at, one.text, one.goal)
                )
            connection.commit()

    def search(self, query: str, *, corpora: Sequence[str], limit: int) -> list[Passage]:
        """The passages of these corpora nearest to the query, best first; equal ones in a fixed order."""
        expression = match_expression(query)
        with self._working() as connection:
            if not expression:
                return []
            rows = connection.execute(SEARCH, (expression, json.dumps(list(corpora)), limit)).fetchall()
            sources = self._sources(connection, corpora, {row[0] for row in rows})
        return [_passage(row, sources) for row in rows]

    def most(self, query: str) -> float:
        """What bm25 could be at most for this query: of a passage full of each of its terms. FTS5's own formula; a term
        that stands nowhere counts as the rarest there can be."""
        with self._working() as connection:
            total = int(connection.execute("SELECT count(*) FROM spans").fetchone()[0])
            found = (connection.execute(HOLD, (term,)).fetchone()[0] for term in quoted_terms(query))
            return sum((K1 + 1) * max(RARE, math.log((total - n + 0.5) / (n + 0.5))) for n in found)

    def passages(self, keys: Sequence[tuple[str, int]], *, corpora: Sequence[str]) -> list[Passage]:
        """These passages, by (text sha256, position), where the corpora hold them; their score is 0."""
        with self._working() as connection:
            sources = self._sources(connection, corpora, {sha for sha, _ in keys})
            found = (connection.execute(ONE, key).fetchone() for key in keys if key[0] in sources)
            return [_passage(row, sources) for row in found if row is not None]

    def documents(self, corpora: Sequence[str]) -> int:
        """How many texts these corpora hold together."""
        with self._working() as connection:
            query = "SELECT count(DISTINCT sha) FROM members WHERE corpus IN (SELECT value FROM json_each(?))"
            return int(connection.execute(query, (json.dumps(list(corpora)),)).fetchone()[0])

    def hold(self, corpora: Sequence[str], keys: Collection[str]) -> bool:
        """Are all these texts in these corpora?"""
        with self._working() as connection:
            return set(keys) <= set(self._sources(connection, corpora, keys))

    def recall(
        self, query: str, *, namespace: str, corpora: Sequence[str], except_goal: str | None
    ) -> list[tuple[str, float]]:
        """(finding id, score), best first, of what was found within these corpora and is about the query."""
        expression = match_expression(query)
        if not expression:
            return []
        with self._working() as connection:
            rows = connection.execute(RECALL, (expression, namespace, except_goal or "")).fetchall()
        return [
            (finding_id, score)
            for finding_id, made_over, text, goal, score in rows
            if within(json.loads(made_over), corpora) and related(query, f"{text} {goal}")
        ]

    def reset(self) -> None:
        """Deletes the file: the next call starts an empty one."""
        with self._lock:
            self.close()
            for suffix in ("", "-wal", "-shm"):
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @staticmethod
    def _sources(connection: sqlite3.Connection, corpora: Sequence[str], keys: Collection[str]) -> dict[str, str]:
        """text sha256 -> its name in the first of these corpora that has it."""
        query = "SELECT sha, source FROM members WHERE corpus = ? AND sha IN (SELECT value FROM json_each(?))"
        found: dict[str, str] = {}
        for corpus in corpora:
            for sha, source in connection.execute(query, (corpus, json.dumps(sorted(keys)))):
                found.setdefault(sha, source)
        return found

    @contextlib.contextmanager
    def _working(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._open()
                yield self._connection
            except sqlite3.DatabaseError:
                self.close()
                raise

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, check_same_thread=False, timeout=5)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=OFF")  # derived: what a power cut takes is built again
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            sound = connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
        except sqlite3.DatabaseError:
            connection.close()
            raise
        if version != VERSION or not sound:
            connection.close()
            self.reset()
            connection = sqlite3.connect(self.path, check_same_thread=False, timeout=5)
            connection.executescript(
                f"PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; {TABLES}; PRAGMA user_version={VERSION};"
            )
        return connection


def _passage(row: tuple[Any, ...], sources: Mapping[str, str]) -> Passage:
    sha, position, start, stop, page, title, heading, body, score = row
    return Passage(
        passage_id=f"{sha[:16]}-{position}", source=sources[sha], title=title, page=page,
        heading=heading or None, sha256=sha, start=start, end=stop, text=body, position=position, score=score,
    )  # fmt: skip


def _insert(connection: sqlite3.Connection, stored: StoredText) -> None:
    for position, cut in enumerate(stored.cuts):
        row = (stored.sha256, position, cut.start, cut.end, cut.page)
        at = connection.execute("INSERT INTO spans VALUES (NULL, ?, ?, ?, ?, ?)", row).lastrowid
        words = (at, stored.title, cut.heading or "", stored.text[cut.start : cut.end])
        connection.execute("INSERT INTO words (rowid, title, heading, body) VALUES (?, ?, ?, ?)", words)
