"""The output of commands: tables and JSON on stdout, progress, warnings and errors on stderr."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Iterable
from typing import Any

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
    """stderr."""
    width = None if sys.stderr.isatty() or "COLUMNS" in os.environ else _WIDE
    return Console(stderr=True, markup=False, highlight=False, emoji=False, width=width)


def complain(message: str) -> None:
    """An error, in red."""
    err().print(Text.assemble(("Error: ", "bold red"), (message, "red")), soft_wrap=True)


def warn(message: str) -> None:
    err().print(Text.assemble(("Warning: ", "bold yellow"), message), soft_wrap=True)


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
