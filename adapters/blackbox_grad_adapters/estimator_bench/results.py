"""The results: CSV files with one row per measurement, always whole, so that a run continues where it ended."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from blackbox_grad.files import replacing

#: The results behind the page of the docs.
COMMITTED = Path(__file__).parent / "results"

#: Columns that identify a measurement; the others hold its result.
KEYS = {
    "progress": ("task", "method", "kind", "rate", "seed"),
    "quality": ("task", "method", "kind", "renders"),
    "amortised": ("method", "kind", "rate", "seed"),
}

Row = dict[str, Any]


class Table:
    """Rows of one part of the bench, including the rows of the docs.

    Args:
        part: a key of `KEYS`.
        folder: for new rows.
    """

    def __init__(self, part: str, folder: Path) -> None:
        self._keys = KEYS[part]
        self._file = folder / f"{part}.csv"
        self._own = {self._key(row): row for row in _read(self._file)}
        self._given = {self._key(row): row for row in _read(COMMITTED / f"{part}.csv")}

    def __contains__(self, wanted: Row) -> bool:
        key = self._key(wanted)
        return key in self._own or key in self._given

    @property
    def rows(self) -> list[Row]:
        return list((self._given | self._own).values())

    def add(self, rows: Iterable[Row]) -> None:
        """Add rows, and replace older ones of the same measurement."""
        self._own |= {self._key(row): row for row in rows}
        text = io.StringIO()
        columns = list(next(iter(self._own.values())))
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        for key in sorted(self._own):
            writer.writerow({name: f"{v:.4g}" if isinstance(v, float) else v for name, v in self._own[key].items()})
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self._file) as temporary:
            temporary.write_text(text.getvalue(), "utf-8")

    def _key(self, row: Row) -> tuple[Any, ...]:
        return tuple(row[name] for name in self._keys)


def _read(file: Path) -> list[Row]:
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as lines:
        return [{name: _value(text) for name, text in row.items()} for row in csv.DictReader(lines)]


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
