"""The description of a test: its trials without their sounds, as it stands in the page, in files of answers and in the database.

An answer is checked against it, wherever it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

from blackbox_grad.errors import BlackboxGradError

#: MUSHRA: rate all sounds beside a reference. AB: which of two. ABX: which of two is the third.
Design: TypeAlias = Literal["mushra", "ab", "abx"]
DESIGNS = get_args(Design)

#: Of the format of descriptions and answers.
FORMAT = 1

#: Characters of a listener's name, and of any other name.
MOST_NAME, MOST_TEXT = 40, 200

#: Trials of a test, and signals of a trial (ITU-R BS.1534-3, 5.3).
MOST_TRIALS, MOST_SIGNALS = 500, 12

Answer: TypeAlias = "dict[str, Any]"


class AnswerError(BlackboxGradError, ValueError):
    """An answer, or the description of a test, is not what it must be."""


@dataclass(frozen=True)
class Trial:
    """What a listener answers at a time.

    Attributes:
        id: unique in the test.
        item, effect, kind: of its `Item`.
        systems: of its hidden sounds. For MUSHRA the reference and anchors are among them; for AB and ABX there are two.
    """

    id: str
    item: str
    effect: str
    kind: str
    systems: tuple[str, ...]


@dataclass(frozen=True)
class Description:
    """A test without its sounds.

    Attributes:
        id: depends on the trials and on every sound.
    """

    id: str
    title: str
    design: Design
    trials: tuple[Trial, ...]

    def trial(self, name: Any) -> Trial:
        """The trial of this id. Raises `AnswerError` if there is none."""
        for trial in self.trials:
            if trial.id == name:
                return trial
        raise AnswerError(f"the test has no trial {str(name)[:MOST_NAME]!r}")

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, data: Any) -> Description:
        """Raises `AnswerError` if it is no description."""
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            raise AnswerError("it holds no listening test of this version")
        trials = data.get("trials")
        if data.get("design") not in DESIGNS or not isinstance(trials, Sequence) or not 0 < len(trials) <= MOST_TRIALS:
            raise AnswerError("its listening test has no design or no trials")
        made = tuple(_trial(trial) for trial in trials)
        if len({trial.id for trial in made}) < len(made):
            raise AnswerError("two of its trials have the same id")
        if any(len(trial.systems) != 2 for trial in made) and data["design"] != "mushra":
            raise AnswerError("a comparison is of two systems")
        return cls(_text(data, "id"), _text(data, "title"), data["design"], made)


def check_answer(test: Description, answer: Any) -> Answer:
    """The answer to one trial, with nothing in it that does not belong there.

    Every answer has `trial` and `seconds`. MUSHRA has `ratings`: a number from 0 to 100 for each system. AB and ABX have `first`,
    the system that was A, and `choice`, a system; ABX also `x`, the system that was X.

    Raises:
        AnswerError: a field is missing, of another type, or out of range.
    """
    if not isinstance(answer, Mapping):
        raise AnswerError("an answer is an object with a trial")
    trial = test.trial(answer.get("trial"))
    made: Answer = {"trial": trial.id, "seconds": _number(answer.get("seconds", 0.0), "seconds", 1e6)}
    if test.design == "mushra":
        ratings = answer.get("ratings")
        if not isinstance(ratings, Mapping) or set(ratings) != set(trial.systems):
            raise AnswerError(f"trial {trial.id}: there must be a rating of each of {', '.join(trial.systems)}")
        return made | {"ratings": {s: _number(ratings[s], f"the rating of {s}", 100.0) for s in trial.systems}}
    for field in ("first", "choice") + (("x",) if test.design == "abx" else ()):
        if answer.get(field) not in trial.systems:
            raise AnswerError(f"trial {trial.id}: {field} must be one of {', '.join(trial.systems)}")
        made[field] = answer[field]
    return made


def check_listener(name: Any) -> str:
    """A listener's name. Raises `AnswerError` unless it is printable text of 1 to 40 characters."""
    stripped = name.strip() if isinstance(name, str) else ""
    if not 0 < len(stripped) <= MOST_NAME or not stripped.isprintable():
        raise AnswerError(f"a listener's name has 1 to {MOST_NAME} printable characters")
    return stripped


def _trial(data: Any) -> Trial:
    systems = data.get("systems") if isinstance(data, Mapping) else None
    if not isinstance(systems, Sequence) or isinstance(systems, str) or not 0 < len(systems) <= MOST_SIGNALS:
        raise AnswerError("one of its trials has no systems")
    if not all(isinstance(s, str) and 0 < len(s) <= MOST_TEXT for s in systems) or len(set(systems)) < len(systems):
        raise AnswerError("the systems of a trial are different names")
    return Trial(_text(data, "id"), _text(data, "item"), _text(data, "effect"), _text(data, "kind"), tuple(systems))


def _text(data: Mapping[str, Any], field: str) -> str:
    value = data.get(field)
    if not isinstance(value, str) or len(value) > MOST_TEXT:
        raise AnswerError(f"its {field} is no text of up to {MOST_TEXT} characters")
    return value


def _number(value: Any, what: str, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:  # nor NaN
        raise AnswerError(f"{what} must be a number from 0 to {most:g}")
    return float(value)
