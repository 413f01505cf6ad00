"""The output of commands: tables and JSON on stdout, progress, warnings and errors on stderr."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import sys
from collections.abc import Iterable
from typing import IO, Any, cast

from rich.console import Console
from rich.table import Table
from rich.text import Text

#: Width of a table that goes into a pipe or a file, in characters: addresses stay whole.
_WIDE = 1000


@functools.cache
def out() -> Console:
    """stdout. Prints names from plug-ins as they are, never as markup."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDE
    return Console(markup=False, highlight=False, emoji=False, width=width)


@functools.cache
def err() -> Console:
    """stderr. If it is full or closed, what is said there is lost, and the work goes on."""
    width = None if sys.stderr.isatty() or "COLUMNS" in os.environ else _WIDE
    return Console(file=cast("IO[str]", _Stderr()), markup=False, highlight=False, emoji=False, width=width)


class _Stderr(io.TextIOBase):
    """stderr of this moment, without its errors."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return sys.stderr.encoding

    def write(self, text: str, /) -> int:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()

    def isatty(self) -> bool:
        return sys.stderr.isatty()

    def fileno(self) -> int:
        return sys.stderr.fileno()


def complain(message: str) -> None:
    """An error, in red."""
    err().print(Text.assemble(("Error: ", "bold red"), (_in_a_line(message), "red")), soft_wrap=True)


def warn(message: str) -> None:
    err().print(Text.assemble(("Warning: ", "bold yellow"), _in_a_line(message)), soft_wrap=True)


def _in_a_line(message: str) -> str:
    """Names and values in a message may hold line breaks and codes that change a terminal."""
    return "".join(c if c.isprintable() or "\udc80" <= c <= "\udcff" else " " for c in message)


def say(*parts: str | tuple[str, str]) -> None:
    """A line on stdout, of texts and (text, style) pairs."""
    out().print(Text.assemble(*parts), soft_wrap=True)


def print_json(data: Any) -> None:
    print(json.dumps(data, indent=2, allow_nan=False))


def table(*columns: str, right: Iterable[str] = (), whole: Iterable[str] = ()) -> Table:
    """An empty table. Columns in `right` are aligned to the right; columns in `whole` never wrap."""
    made = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", no_wrap=column in whole, overflow="fold")
    return made
