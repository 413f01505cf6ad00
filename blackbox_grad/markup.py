"""Small pieces of HTML, for notebooks. Everything that is given is text, and is escaped: names come from plug-ins and files."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

#: Rows of a table that are shown at once; a longer one scrolls.
_MOST_ROWS = 24


def heading(title: str, *facts: str) -> str:
    """A title, and facts in smaller letters below it."""
    below = "".join(f'<div style="opacity: 0.7">{html.escape(fact)}</div>' for fact in facts if fact)
    return f"<div><b>{html.escape(title)}</b>{below}</div>"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts."""
    lines = ["".join(f"<td style='text-align: left'>{html.escape(cell)}</td>" for cell in row) for row in rows]
    head = "".join(f"<th style='text-align: left'>{html.escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    made = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return made if len(lines) <= _MOST_ROWS else f"<div style='max-height: 30em; overflow: auto'>{made}</div>"


def player(title: str, source: str) -> str:
    """A player with its title; `source` is the URI of the audio."""
    audio = f'<audio controls preload="metadata" src="{html.escape(source)}"></audio>'
    return f"<div style='margin: 4px 0'><div>{html.escape(title)}</div>{audio}</div>"
