"""Settings that move on the command line: options of `match` and `render`, and what is printed of curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer
from numpy.typing import ArrayLike

from blackbox_grad.cli.console import out, table
from blackbox_grad.effects.automation import Automated
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.parameters.rows import rows

#: Knots of a curve, if nothing else is asked for.
KNOTS = 16

Automate: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--automate",
        metavar="NAMES",
        help="Let these settings move over the recording, and find their curves: 'Cutoff,Resonance'. The others are held, unless "
        "--only names them.",
        show_default=False,
    ),
]
Knots: TypeAlias = Annotated[
    int | None, typer.Option(metavar="M", help=f"Of each curve of --automate ({KNOTS}).", show_default=False)
]
Held: TypeAlias = Annotated[bool, typer.Option("--held", help="Curves of --automate are steps, not lines.")]
CurvesOut: TypeAlias = Annotated[
    Path | None, typer.Option("--curves", metavar="FILE", help="Write the curves as .json or .csv.", show_default=False)
]
CurvesIn: TypeAlias = Annotated[
    Path | None, typer.Option("--curves", metavar="FILE", help="Curves from `match --curves`.", show_default=False)
]


def automated(
    address: str,
    rate: float,
    automate: Sequence[str],
    knots: int | None,
    held: bool,
    seconds: float,
    only: Sequence[str] | None,
    fixed: dict[str, float | str],
    options: dict[str, Any],
) -> EffectSpec:
    """The effect with curves in place of the settings of --automate, over a recording of so many seconds."""
    moving = [name.strip() for text in automate for name in text.split(",") if name.strip()]
    spec = EffectSpec.of(address, rate, tuple(only or ()), fixed, **options)
    return Automated(spec, KNOTS if knots is None else knots, moving, seconds=seconds, shape="held" if held else "linear").spec


def check_options(automate: Sequence[str] | None, knots: int | None, held: bool, curves: Path | None) -> None:
    """Raise if options of curves are given without --automate."""
    if automate:
        return
    for option, given in (("--knots", knots is not None), ("--held", held), ("--curves", curves is not None)):
        if given:
            raise typer.BadParameter(f"{option} is for settings that move; name them: --automate 'Cutoff,Resonance'")


def print_curves(info: EffectInfo, point: ArrayLike) -> None:
    """A line for each control that moves: from where to where."""
    space = info.parameters
    values = space.check(point)
    shown = table("curve", "first", "lowest", "highest", "last", "knots", right=["knots"], whole=["first", "last"])
    for row in rows(space):
        if row.moves:
            own, parameter = values[row.places], space[row.start]
            ends = (own[0], own.min(), own.max(), own[-1])
            shown.add_row(row.name, *(parameter.text(float(value)) for value in ends), str(len(row.seconds)))
    out().print(shown)
