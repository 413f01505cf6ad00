"""The results of an evaluation: CSV files with a row for each example and method, always whole."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from blackbox_grad.errors import BlackboxGradError
from blackbox_grad.files import replacing
from blackbox_grad_adapters.style_matching.measures.metrics import METRICS
from blackbox_grad_adapters.style_matching.networks import shipped

Row = dict[str, Any]

#: The ways to set an effect, with descriptions. "refined N" is one more, for a number of renders.
METHODS = {
    "dry": "no effect; faded and normalised as all others are",
    "middle": "all settings at 0.5",
    "random": "settings uniform at random",
    "nearest": "the settings of the training pair whose two embeddings are nearest",
    "controller": "the network",
    "guarded": "the network in `style match`: another answer, or less effect, where a result is not clearly nearer",
    "truth": "the true settings, rendered again: the bound",
}

#: Stands before a setting's name: the true settings, except that this one is the controller's.
ONE_WRONG = "truth but "

#: The column that says whether a result is audibly effected.
AUDIBLE = "audible"

#: Methods of a model alone. "refined N" is another.
MODELS = ("controller", "guarded")

#: Methods without a model.
MODEL_FREE = ("dry", "middle", "random", "truth")

#: How each column is read. `mark` identifies what the row depends on. `settings`, by name, are the method's; none without effect.
#: `audible` is how far the result is from the dry input, in units of what is just audible.
COLUMNS: dict[str, Callable[[str], Any]] = {
    "effect": str,
    "kind": str,
    "index": int,
    "clean": int,
    "method": str,
    "mark": str,
    "settings": json.loads,
    AUDIBLE: lambda text: _measure(text),
    **dict.fromkeys(METRICS, lambda text: _measure(text)),
}


#: No metric comes near it, and its square is a number still.
_LARGEST = 1e100


class ResultsError(BlackboxGradError, ValueError):
    """A file of results cannot be read, or there is none."""


class Sheet:
    """The results of an effect on one kind of recordings, in one file."""

    def __init__(self, folder: Path, effect: str, kind: str) -> None:
        self._file = folder / f"{shipped.file_of(effect).stem}-{kind}.csv"
        self._rows = {_key(row): row for row in _read(self._file)} if self._file.exists() else {}
        self._saved = True
        self._own: set[tuple[int, str]] = set()  # added or dropped here, whatever the file holds
        self._marks: Mapping[str, str] = {}

    def has(self, index: int, method: str) -> bool:
        return (index, method) in self._rows

    def lacks(self, index: int, method: str, metric: str) -> bool:
        """Whether a row that is there has no value of a metric."""
        return math.isnan(self._rows[index, method][metric])

    def forget_other(self, marks: Mapping[str, str]) -> None:
        """Drop the rows of these methods with another mark: they belong to other weights, recordings or options."""
        self._marks = marks
        other = [key for key, row in self._rows.items() if not self._fits(row)]
        if other:
            names = ", ".join(sorted({method for _, method in other}))
            warnings.warn(f"{self._file}: {names} of another model or other recordings: measured again", stacklevel=2)
        for key in other:
            del self._rows[key]
        self._own.update(other)

    def _fits(self, row: Row) -> bool:
        return bool(self._marks.get(row["method"], row["mark"]) == row["mark"])

    def add(self, row: Row) -> None:
        self._rows[_key(row)] = row
        self._own.add(_key(row))
        self._saved = False

    def save(self) -> None:
        """Write the file if there are new rows, with those that another command wrote there meanwhile.

        Raises:
            AudioError: the disk is full.
        """
        if self._saved:
            return
        with contextlib.suppress(ResultsError):  # damaged or gone: what is known here is written
            theirs = {key: row for row in _read(self._file) if (key := _key(row)) not in self._own and self._fits(row)}
            self._rows = theirs | {key: row for key, row in self._rows.items() if key in self._own}
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for key in sorted(self._rows):
            writer.writerow({name: _written(value) for name, value in self._rows[key].items()})
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self._file) as temporary:
            temporary.write_text(text.getvalue(), "utf-8")
        self._saved = True


def results(folder: Path) -> list[Row]:
    """All rows of a folder. Raises `ResultsError` if there are none."""
    rows = [row for file in sorted(folder.glob("*.csv")) for row in _read(file)]
    if not rows:
        raise ResultsError(f"{folder}: no results of an evaluation; blackbox-grad style evaluate -o {folder} makes them")
    return rows


def _measure(text: str) -> float:
    """NaN if there is none, as for the PESQ of music."""
    number = float(text or "nan")
    if abs(number) > _LARGEST:
        raise ValueError(f"{text[:40]} is no measure")
    return number


def _key(row: Row) -> tuple[int, str]:
    return row["index"], row["method"]


def _read(file: Path) -> list[Row]:
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            return [{name: read(row[name]) for name, read in COLUMNS.items()} for row in csv.DictReader(lines)]
    except OSError as error:
        raise ResultsError(f"{file}: cannot be read ({error.strerror})") from error
    except (KeyError, ValueError, TypeError, RecursionError, csv.Error) as error:
        raise ResultsError(f"{file}: is not a table of results ({error!r}); delete it, or name another folder") from error


def _written(value: Any) -> Any:
    if isinstance(value, dict):
        return json.dumps(value)
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.5g}"
    return value
