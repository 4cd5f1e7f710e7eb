"""The gate's figures: sentences of real documentation, turned into ones that their source does not support."""

import argparse
import asyncio
import configparser
import csv
import datetime
import decimal
import email
import http.client
import inspect
import json
import logging
import multiprocessing
import pathlib
import re
import shutil
import socket
import sqlite3
import ssl
import statistics
import subprocess
import tarfile
import tempfile
import threading
import unittest
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from services.inference.quotable import leans, quotable
from shared.contracts.evidence import supports
from shared.contracts.sentences import sentences
from tests.quality.paraphrases import DOCUMENTED_PARAPHRASES
from tests.unit.contracts.prose import MUTATIONS, PARAPHRASES

DOCUMENTED: tuple[ModuleType, ...] = (
    argparse, asyncio, configparser, csv, datetime, decimal, email, http.client, inspect, json, logging,
    multiprocessing, pathlib, shutil, socket, sqlite3, ssl, statistics, subprocess, tarfile, tempfile, threading,
    unittest, urllib.request, zipfile,
)  # fmt: skip
"""Documentation that every Python carries: its own."""
SENTENCES = 900
OPPOSITES = {
    "true": "false", "false": "true", "larger": "smaller", "smaller": "larger", "greater": "less", "maximum": "minimum",
    "minimum": "maximum", "always": "never", "never": "always", "all": "none of the", "start": "end", "end": "start",
    "before": "after", "after": "before", "open": "closed", "closed": "open", "read": "write", "first": "last",
    "last": "first", "left": "right", "right": "left", "input": "output", "server": "client", "client": "server",
    "longer": "shorter", "with": "without", "without": "with", "enabled": "disabled", "oldest": "newest",
    "lower": "upper", "upper": "lower", "local": "remote", "remote": "local", "success": "failure", "empty": "full",
    "positive": "negative", "negative": "positive", "above": "below", "below": "above", "same": "different",
}  # fmt: skip


@dataclass(frozen=True)
class Gate:
    """`refused` of `turned` sentences made from `sources` sentences; `kept` of `paraphrases`."""

    sources: int
    turned: int
    refused: int
    paraphrases: int
    kept: int
    passed: tuple[tuple[str, str, str], ...] = ()
    lost: tuple[tuple[str, str | None], ...] = ()

    def line(self) -> str:
        return (
            f"gate: of {self.turned} sentences turned round ({self.sources} sources) "
            f"{self.refused / self.turned:.1%} refused; of {self.paraphrases} faithful paraphrases {self.kept} kept"
        )

    def problems(self) -> list[str]:
        """The goals that were missed."""
        found = []
        if self.refused < 0.95 * self.turned:
            found.append(f"the gate refused {self.refused} of {self.turned} turned sentences (goal: 95 %)")
        if self.kept < 0.9 * self.paraphrases:
            found.append(f"the gate kept {self.kept} of {self.paraphrases} paraphrases (goal: 90 %)")
        return found


def documentation() -> list[str]:
    """Sentences that stand alone, from docstrings; each once, always the same for one Python."""
    found: dict[str, None] = {}
    for module in DOCUMENTED:
        members = [module, *(m for _, m in inspect.getmembers(module, lambda m: inspect.isclass(m) or callable(m)))]
        for member in members:
            for unit in sentences(inspect.getdoc(member) or ""):
                if unit.kind == "sentence" and quotable(unit) and not leans(unit) and len(unit.text) < 300:
                    found.setdefault(" ".join(unit.text.split()))
    return list(found)[:SENTENCES]


def opposed(text: str) -> str | None:
    """One word for its opposite."""
    for word in re.finditer(r"[a-z]+", text):
        if word[0] in OPPOSITES:
            return f"{text[: word.start()]}{OPPOSITES[word[0]]}{text[word.end() :]}"
    return None


def renamed(text: str) -> str | None:
    """Another name: a word with a capital that does not begin the sentence."""
    name = re.search(r"(?<=[a-z,] )[A-Z][A-Za-z]{2,}\b", text)
    return f"{text[: name.start()]}Zephyr{text[name.end() :]}" if name else None


def remeasured(text: str) -> str | None:
    """Another unit."""
    other = {"seconds": "hours", "bytes": "kilobytes", "days": "weeks", "minutes": "seconds", "characters": "lines"}
    unit = re.search(r"\b(seconds|bytes|days|minutes|characters)\b", text)
    return f"{text[: unit.start()]}{other[unit[0]]}{text[unit.end() :]}" if unit else None


def judged() -> Gate:
    """All mutations of all sentences, and the paraphrases. A few seconds."""
    sources = documentation()
    turned: list[tuple[str, str, str]] = []
    ways: tuple[Callable[[str], str | None], ...] = (*MUTATIONS, opposed, renamed, remeasured)
    for source in sources:
        made = {new: way.__name__ for way in ways if (new := way(source)) and new != source}
        turned += [(how, new, source) for new, how in made.items()]
    passed = tuple(each for each in turned if supports(each[1], [each[2]]).holds)
    pairs = [*PARAPHRASES, *DOCUMENTED_PARAPHRASES]
    verdicts = [(claim, supports(claim, [source])) for claim, source in pairs]
    lost = tuple((claim, verdict.reason) for claim, verdict in verdicts if not verdict.holds)
    return Gate(len(sources), len(turned), len(turned) - len(passed), len(pairs), len(pairs) - len(lost), passed, lost)
