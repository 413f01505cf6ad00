"""`blackbox-grad style map`: what an encoder hears of an effect, to look at and to play with."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blackbox_grad import audio_files
from blackbox_grad.cli.arguments import Json
from blackbox_grad.cli.console import err, print_json, say
from blackbox_grad.cli.render import refuse_overwriting

if TYPE_CHECKING:
    from torch import Tensor

    from blackbox_grad import Host
    from blackbox_grad_adapters.style_matching.encoder import Encoder

Input = Annotated[
    Path | None,
    typer.Option(
        "--input",
        metavar="FILE",
        help="The recording; its loudest seconds are heard. By default, a guitar.",
        show_default=False,
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="NAME", help="Set this parameter and leave others at their defaults. Repeatable."),
]
EncoderFile = Annotated[
    Path | None,
    typer.Option("--encoder", metavar="FILE", help="Its weights; by default the package's.", show_default=False),
]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="The same seed makes the same.")]


def map_(
    effect: Annotated[str, typer.Option(metavar="ADDRESS", help="The effect.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="An .html file.")],
    source: Input = None,
    only: Only = None,
    encoder: EncoderFile = None,
    points: Annotated[int, typer.Option(min=32, metavar="N", help="Settings that are listened to.")] = 400,
    grid: Annotated[int, typer.Option(min=4, max=24, metavar="N", help="Sounds in a row and in a column.")] = 20,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Map how an effect sounds on a plane: a page to click or drag in, hear the result, and see the settings.

    \b
    Examples:
      blackbox-grad style map --effect pedalboard-builtin:Reverb -o reverb.html
      blackbox-grad style map --effect ZamDelay.vst3 --input voice.wav -o delay.html
    """
    audio_files.check_writable(output, (".html", ".htm"))
    if source is not None:
        refuse_overwriting(output, source)

    from blackbox_grad_adapters.style_matching import shipped
    from blackbox_grad_adapters.style_matching.control_map import control_map, write_control_map
    from blackbox_grad_adapters.style_matching.effect_path import EffectPath

    ears = shipped.encoder(encoder)
    x = _excerpt(source, ears)
    with _working("rendering and listening") as host:
        path = EffectPath(effect, ears.sample_rate, host=host, parameters=only or "continuous")
        made = control_map(path, ears, x, points=points, grid=grid, seed=seed)
    write_control_map(output, made, _command())
    if json:
        found = {"map": str(output), "effect": path.spec.address, "parameters": list(path.names)}
        print_json(found | {"explained": made.explained, "sounds": len(made.sounds)})
        return
    say(f"{len(made.sounds)} sounds; of a setting left out, the map explains ", (f"{made.explained:.0%}", "bold green"))
    say(("map  ", "dim"), str(output))


def _excerpt(source: Path | None, ears: Encoder) -> Tensor:
    """The loudest part, `[1, T]`, of a recording or of the bundled one, as long as what the encoder hears at a time."""
    import torch

    from blackbox_grad_adapters.style_matching.excerpts import loudest
    from blackbox_grad_adapters.style_matching.matching import audible

    audio, rate = audio_files.example() if source is None else audio_files.read(source)
    mono = audio_files.resample(audible(audio, "the recording").mean(axis=0, keepdims=True), rate, ears.sample_rate)
    return loudest(torch.from_numpy(mono), ears.length)


@contextlib.contextmanager
def _working(what: str) -> Iterator[Host]:
    """A pool of hosts, and a sign that something is being done."""
    from blackbox_grad.hosts.process_pool import ProcessPool

    with contextlib.closing(ProcessPool()) as host, err().status(what):
        yield host


def _command() -> str:
    return shlex.join(["blackbox-grad", *sys.argv[1:]])
