"""Arguments and options that several commands share, and the parsing of their text."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from blackbox_grad.cli.completion import effect_names, preset_names, set_names
from blackbox_grad.parameters.space import SELECTIONS

Address: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="EFFECT",
        help="The effect: its name (Reverb, Overdrive), backend:name, a plug-in file, an LV2 URI, or a chain 'a | b'.",
        show_default=False,
        autocompletion=effect_names,
    ),
]
#: Of a command that takes its effect and its recordings by place or by name; `placed` puts both together.
EffectPlace: TypeAlias = Annotated[
    str | None,
    typer.Argument(
        metavar="EFFECT",
        help="The effect: its name (Reverb, Overdrive), backend:name, a plug-in file, an LV2 URI, or a chain 'a | b'.",
        show_default=False,
        autocompletion=effect_names,
    ),
]
EffectName: TypeAlias = Annotated[
    str | None,
    typer.Option("--effect", metavar="EFFECT", help="The effect, by name instead of by place.", autocompletion=effect_names),
]
InputPlace: TypeAlias = Annotated[
    str | None, typer.Argument(metavar="INPUT", help="The recording to change.", show_default=False)
]
InputName: TypeAlias = Annotated[
    str | None, typer.Option("--input", metavar="FILE", help="The recording to change, by name instead of by place.")
]
HostOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--host",
        metavar="NAME",
        help="Where to render: processes:hosts=4, in-process, or a host of another package.",
        show_default=False,
    ),
]
Hosts: TypeAlias = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Processes that render; one per core by default.", show_default=False),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else.")]
Set: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Set a parameter: native with its unit (Time=350ms, 'Ratio=4 native'), or 'Drive=0.4 normalised'. Repeatable.",
        show_default=False,
        autocompletion=set_names,
    ),
]
Amount: TypeAlias = Annotated[
    float,
    typer.Option(
        min=0.0,
        max=1.5,
        metavar="0..1.5",
        help="How much of the settings, as heard: 0 is neutral (the effect does nothing or least), 1 all, 1.5 past them.",
    ),
]
Preset: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Start from a preset: the name of a factory preset (`inspect --presets`), or a file.",
        show_default=False,
        autocompletion=preset_names,
    ),
]
SavePreset: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write a preset for a DAW: .vstpreset (VST3), .fxp or .fxb (VST2), .lv2 (a bundle), .py (Pedalboard's own effects); "
        "of a chain, a folder.",
        show_default=False,
    ),
]
Options: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="NAME=VALUE", help="An option of the backend. Repeatable.", show_default=False),
]


def placed(
    by_place: Sequence[str | None], by_name: Mapping[str, str | None], optional: str = "", instead: str = ""
) -> dict[str, str]:
    """What a command works on, given by place, by name, or both: each place goes to the next that has no name.

    Args:
        by_place: in their order.
        by_name: what it is ("INPUT", for messages and keys) -> what its option says, in the order of the places.
        optional: the one of them that may be missing.
        instead: another way to write the command, for the message.
    """
    given = [text for text in by_place if text is not None]
    missing = [what for what, text in by_name.items() if text is None]
    if optional in missing and len(given) < len(missing):
        missing.remove(optional)
    if len(given) != len(missing):
        usual = " ".join(f"[{what}]" if what == optional else what for what in by_name)
        wrong = f"{given[len(missing)]!r} is one too many" if len(given) > len(missing) else f"{missing[len(given)]} is missing"
        names = ", ".join(f"--{what.lower()}" for what in by_name)
        raise typer.BadParameter(f"{wrong}; write {usual}, in this order, or name them: {names}{instead and '; ' + instead}")
    found = {what: text for what, text in by_name.items() if text is not None} | dict(zip(missing, given, strict=True))
    return {what: found[what] for what in by_name if what in found}


def values_of(settings: list[str] | None) -> dict[str, float | str]:
    """`["Drive=12dB"]` -> `{"Drive": "12dB"}`, for `Parameter.parse` to read. The last "=" separates them."""
    found: dict[str, float | str] = {}
    for text in settings or []:
        name, value = _pair(text, "--set", "Time=350ms or 'Drive=0.4 normalised'", last=True)
        if name in found:
            raise typer.BadParameter(f"--set {name!r} is given twice; leave one out")
        found[name] = value
    return found


def selection_of(only: list[str] | None, usual: str) -> str | list[str]:
    """The free parameters from --only: names and patterns of names, or one of "audible", "continuous", "trainable" and "all"."""
    if only and len(only) == 1 and only[0] in SELECTIONS:
        return only[0]
    return only or usual


def options_of(options: list[str] | None, preset: str | None) -> dict[str, Any]:
    """Options for the backend. Values are Python literals if they can be parsed as such, otherwise text."""
    found: dict[str, Any] = {} if preset is None else {"preset": preset}
    for text in options or []:
        name, value = _pair(text, "--option", "name=value")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            found[name] = value
    return found


def host_of(host: str | None, hosts: int | None) -> str | None:
    """The host's description from --host and --hosts; `--hosts 4` is short for `--host processes:hosts=4`."""
    if hosts is None:
        return host
    if host is not None:
        raise typer.BadParameter(f"--hosts {hosts} is short for --host processes:hosts={hosts}; give one of the two")
    return f"processes:hosts={hosts}"


def _pair(text: str, option: str, example: str, last: bool = False) -> tuple[str, str]:
    name, equals, value = text.rpartition("=") if last else text.partition("=")
    if not (equals and name.strip() and value.strip()):
        raise typer.BadParameter(f"write {option} {example}, got {text!r}")
    return name.strip(), value.strip()
