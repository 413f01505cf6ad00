"""Answers from files and databases, checked, by listener."""

from __future__ import annotations

import json
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blackbox_grad.errors import AudioError
from blackbox_grad.files import text_of
from blackbox_grad_adapters.style_matching.listening.database import is_database, read_database
from blackbox_grad_adapters.style_matching.listening.description import (
    Answer,
    AnswerError,
    Description,
    check_answer,
    check_listener,
)

#: Bytes of a file of answers.
_MOST_BYTES = 1 << 22


@dataclass(frozen=True)
class Answers:
    """The answers to one test.

    Attributes:
        test: what was asked.
        listeners: by name, the answers by trial. Two listeners who chose the same name in files of their own are told apart by a
            number.
    """

    test: Description
    listeners: dict[str, dict[str, Answer]]


def gathered(paths: Iterable[Path], test: str | None = None) -> Answers:
    """All answers of some files: JSON from a page, databases, and folders of both.

    A listener's later answer to the same trial takes the place of the earlier one.

    Args:
        test: the id of the test, if the files hold answers to several.

    Raises:
        AudioError: a file cannot be read, holds something else, or the answers belong to several tests.
    """
    tests: dict[str, Description] = {}
    found: defaultdict[str, dict[tuple[str, str], dict[str, Answer]]] = defaultdict(dict)
    for path in _files(paths):
        for description, name, key, answer in _read(path):
            tests.setdefault(description.id, description)
            found[description.id].setdefault((name, key), {})[answer["trial"]] = answer
    if not tests:
        raise AudioError("there are no answers yet; files from the page, or the database of `style listen serve`, hold them")
    if test is None and len(tests) > 1:
        there = ", ".join(f"{one.id} ({one.title})" for one in tests.values())
        raise AudioError(f"these are answers to {len(tests)} tests: {there}; choose one: --test ID")
    chosen = next(iter(tests)) if test is None else test
    if chosen not in tests:
        raise AudioError(f"there are no answers to the test {chosen!r}; there are some to {', '.join(tests)}")
    return Answers(tests[chosen], _named(found[chosen]))


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            inside = sorted(f for f in path.iterdir() if f.suffix.lower() in (".json", ".db") and f.is_file())
            if not inside:
                raise AudioError(f"{path}: no answers in this folder; files of answers end in .json or .db")
            yield from inside
        else:
            yield path


def _read(path: Path) -> Iterator[tuple[Description, str, str, Answer]]:
    """Test, listener's name, key that tells listeners of one name apart, and answer."""
    try:
        if is_database(path):
            known: dict[str, Description] = {}
            for description, listener, answer in read_database(path):
                if description not in known:
                    known[description] = Description.from_json(json.loads(description))
                yield known[description], check_listener(listener), "", check_answer(known[description], json.loads(answer))
            return
        data: Any = json.loads(text_of(path, _MOST_BYTES))
        if not isinstance(data, dict) or data.get("listening test answers") != 1 or not isinstance(data.get("answers"), list):
            raise AnswerError("it holds no answers")
        test, listener = Description.from_json(data.get("test")), check_listener(data.get("listener"))
        for answer in data["answers"]:
            yield test, listener, str(data.get("key", ""))[:64], check_answer(test, answer)
    except (AnswerError, ValueError, RecursionError) as error:
        if isinstance(error, AudioError):
            raise
        raise AudioError(f"{path}: is no file of answers to a listening test ({error}); leave it out") from error


def _named(listeners: dict[tuple[str, str], dict[str, Answer]]) -> dict[str, dict[str, Answer]]:
    """Those of one name, numbered."""
    made: dict[str, dict[str, Answer]] = {}
    for (name, _), answers in listeners.items():
        number, unique = 2, name
        while unique in made:
            number, unique = number + 1, f"{name} ({number})"
        if unique != name:
            warnings.warn(f"two listeners are called {name}; one is shown as {unique}", stacklevel=2)
        made[unique] = answers
    return made
