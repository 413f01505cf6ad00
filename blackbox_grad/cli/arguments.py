"""Arguments and options that several commands share, and how their text is read."""

from __future__ import annotations

import ast
from typing import Annotated, Any, TypeAlias

import typer

Address: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="ADDRESS",
        help="The effect: backend:name (pedalboard-builtin:Reverb), a plug-in file, an LV2 URI, or a chain 'a | b'.",
        show_default=False,
    ),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else.")]
Set: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Set a parameter: normalised (Drive=0.4), or native with its unit (Time=350ms). Repeatable.",
        show_default=False,
    ),
]
Preset: TypeAlias = Annotated[
    str | None, typer.Option(metavar="FILE", help="A preset the plug-in loads first.", show_default=False)
]
Options: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="NAME=VALUE", help="An option of the backend. Repeatable.", show_default=False),
]


def values_of(settings: list[str] | None) -> dict[str, float | str]:
    """`["Drive=0.4"]` -> `{"Drive": "0.4"}`, for `Parameter.parse` to read."""
    return dict(_pair(text, "--set", "Drive=0.4 or Time=350ms") for text in settings or [])


def options_of(options: list[str] | None, preset: str | None) -> dict[str, Any]:
    """Options for the backend; values are Python literals where they can be read as such, text otherwise."""
    found: dict[str, Any] = {} if preset is None else {"preset": preset}
    for text in options or []:
        name, value = _pair(text, "--option", "name=value")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = value
    return found


def _pair(text: str, option: str, example: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (equals and name.strip() and value.strip()):
        raise typer.BadParameter(f"write {option} {example!r}, got {text!r}")
    return name.strip(), value.strip()
