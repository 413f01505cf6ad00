"""The searchable list of installed effects."""

from __future__ import annotations

from typing import Any

import gradio as gr

from blackbox_grad.inspection import scan


def choices() -> list[tuple[str, str]]:
    """Every installed effect: what the list shows, and its address. No plug-in is opened."""
    rows = [row for row in scan() if row.status != "unavailable"]
    shown = [(f"{row.name}  ·  {row.maker + '  ·  ' if row.maker else ''}{row.address}", row.address) for row in rows]
    return sorted(shown, key=lambda pair: pair[0].lower())


def effect_box(listed: list[tuple[str, str]], value: str | None = None) -> Any:
    """A box to search in; a chain or a file may be typed."""
    return gr.Dropdown(
        listed,
        value=value,
        label="Effect",
        info="Type a part of its name, maker or address. A chain 'a | b' or a plug-in file may be typed, too.",
        allow_custom_value=True,
        filterable=True,
    )
