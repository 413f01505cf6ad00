"""Answers in a SQLite database: one for each test, listener and trial."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from blackbox_grad.errors import AudioError
from blackbox_grad.files import check_writable
from blackbox_grad_adapters.style_matching.listening.description import Answer, AnswerError, Description

#: Listeners of a test. A name is easily invented, and a disk is full some day.
MOST_LISTENERS = 1000

#: Seconds to wait for another program that writes into the database.
_PATIENCE = 5.0

#: SQLite's message about a damaged file may hold bytes of it.
_FAILED = (sqlite3.Error, UnicodeError)

_TABLES = """
CREATE TABLE IF NOT EXISTS tests (id TEXT PRIMARY KEY, description TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS answers (
    test TEXT NOT NULL REFERENCES tests (id), listener TEXT NOT NULL, trial TEXT NOT NULL, answer TEXT NOT NULL,
    PRIMARY KEY (test, listener, trial)
);
"""


class Database:
    """Of one file, which exists from the first moment. Any thread may call it.

    Each answer is one transaction, so the file is whole after a crash. It holds no time, no address and nothing of a listener but
    the chosen name.

    Raises:
        AudioError: the file cannot be opened, is no database, or holds something else.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        check_writable(self.path, ())
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(self.path, timeout=_PATIENCE, check_same_thread=False, isolation_level=None)
            if _tables(self._connection) - {"tests", "answers"}:
                raise AudioError(f"{self.path}: is a database of something else; name another file")
            self._connection.executescript(_TABLES)
        except _FAILED as error:
            raise AudioError(f"{self.path}: is no database that can be written ({error}); name another file") from error

    def open_test(self, test: Description) -> None:
        """Take answers to this test from now on. Raises `AudioError` if the file cannot be written."""
        kept = test.id, json.dumps(test.to_json())
        try:
            with self._writing() as connection:
                connection.execute("INSERT OR REPLACE INTO tests VALUES (?, ?)", kept)
        except _FAILED as error:
            raise AudioError(f"{self.path}: cannot be written ({error}); name another file") from error

    def keep(self, test: Description, listener: str, answer: Answer) -> None:
        """Keep a checked answer. A later one to the same trial, of a listener who went back to it, takes the place of the first.

        Raises:
            AnswerError: there are `MOST_LISTENERS` listeners already.
        """
        with self._writing() as connection:
            known = connection.execute(
                "SELECT count(DISTINCT listener), coalesce(max(listener = ?), 0) FROM answers WHERE test = ?",
                (listener, test.id),
            ).fetchone()
            if known[0] >= MOST_LISTENERS and not known[1]:
                raise AnswerError(f"this test has {MOST_LISTENERS} listeners already")
            connection.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)",
                (test.id, listener, answer["trial"], json.dumps(answer)),
            )

    def answered(self, test: Description, listener: str) -> list[str]:
        """The trials that a listener has answered."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT trial FROM answers WHERE test = ? AND listener = ?", (test.id, listener)
            ).fetchall()
        return sorted(row[0] for row in rows)

    def counts(self, test: Description) -> tuple[int, int]:
        """Listeners and answers of a test. Raises `AudioError` if the file cannot be read any more."""
        try:
            with self._lock:
                row = self._connection.execute(
                    "SELECT count(DISTINCT listener), count(*) FROM answers WHERE test = ?", (test.id,)
                ).fetchone()
        except _FAILED as error:
            raise AudioError(f"{self.path}: cannot be read any more ({error}); keep a copy of it") from error
        return int(row[0]), int(row[1])

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction; undone if the block raises."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # SQLite itself undoes it if the disk is full
                    self._connection.execute("ROLLBACK")
                raise


def is_database(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError:
        return False


def read_database(path: Path) -> Iterator[tuple[str, str, str]]:
    """Each test's description, each of its listeners, and one answer: texts as they were kept.

    Raises:
        AudioError: it is no such database.
    """
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE)
        try:
            rows = connection.execute(
                "SELECT description, listener, answer FROM tests JOIN answers ON test = id ORDER BY answers.rowid"
            ).fetchall()
        finally:
            connection.close()
    except _FAILED as error:
        raise AudioError(f"{path}: cannot be read as answers of a listening test ({error}); name another file") from error
    yield from rows


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
