"""The rows of the bench: a CSV file, one line for each run, so that a bench which was ended goes on."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from benchmarks.instruments.methods import KEPT

#: The results behind the page.
COMMITTED = Path(__file__).parent / "results.csv"

_COLUMNS = (
    "task",
    "method",
    "seed",
    "default",
    "preset",
    *(f"after {renders}" for renders in KEPT),
    "loss",
    "renders",
    "seconds",
)
_WORDS, _COUNTS = ("task", "method"), ("seed", "renders")

Row = dict[str, Any]


def read(file: Path) -> list[Row]:
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as lines:
        return [
            {name: text if name in _WORDS else int(text) if name in _COUNTS else float(text) for name, text in row.items()}
            for row in csv.DictReader(lines)
        ]


def append(file: Path, row: Row) -> None:
    new = not file.exists()
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, _COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()})
