"""`blackbox-grad style map` and `figures`: an effect in the latent space of an encoder, as pages to look at and to play with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blackbox_grad import audio_files
from blackbox_grad.cli import (
    EffectName,
    EffectPlace,
    HostOption,
    Json,
    attempted,
    command_line,
    err,
    out,
    placed,
    print_json,
    refuse_overwriting,
    say,
    selection_of,
    table,
)
from blackbox_grad.errors import AudioError
from blackbox_grad.files import check_folder, check_writable
from blackbox_grad_adapters.style_matching.commands.progress import decoding

if TYPE_CHECKING:
    from torch import Tensor

    from blackbox_grad import Host
    from blackbox_grad_adapters.style_matching.data.recordings import Tracks
    from blackbox_grad_adapters.style_matching.effect_path import EffectPath
    from blackbox_grad_adapters.style_matching.networks.encoder import Encoder
    from blackbox_grad_adapters.style_matching.networks.style_encoder import StyleEncoder

#: Excerpts of recordings for the measurement of what embeddings contain.
_EXCERPTS = 50

Input = Annotated[
    Path | None,
    typer.Option(
        "--input",
        metavar="FILE",
        help="The recording; its loudest seconds are used. By default, a guitar.",
        show_default=False,
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="NAME",
        help="Set this parameter (or 'Gain *', or 'audible'); others keep their defaults. Repeatable.",
    ),
]
EncoderFile = Annotated[
    Path | None,
    typer.Option(
        "--encoder",
        metavar="FILE",
        help="Weights of an encoder, or the folder of its run; by default the package's style encoder.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="The same seed gives the same result.")]


def map_(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="An .html file.")],
    effect_place: EffectPlace = None,
    effect_name: EffectName = None,
    source: Input = None,
    only: Only = None,
    encoder: EncoderFile = None,
    points: Annotated[int, typer.Option(min=32, metavar="N", help="Settings to render.")] = 400,
    grid: Annotated[int, typer.Option(min=4, max=24, metavar="N", help="Sounds in a row and in a column.")] = 20,
    seed: Seed = 0,
    host: HostOption = None,
    json: Json = False,
) -> None:
    """Map the sounds of an effect on a plane: a page on which you click or drag, hear the result, and see the settings.

    \b
    Examples:
      blackbox-grad style map Reverb -o reverb.html
      blackbox-grad style map ZamDelay.vst3 --input voice.wav -o delay.html
    """
    effect = placed((effect_place,), {"EFFECT": effect_name})["EFFECT"]
    check_writable(output, (".html", ".htm"))
    if source is not None:
        refuse_overwriting(output, source)

    from blackbox_grad_adapters.style_matching.effect_path import EffectPath
    from blackbox_grad_adapters.style_matching.maps.control_map import control_map, write_control_map
    from blackbox_grad_adapters.style_matching.maps.plane import check_libraries
    from blackbox_grad_adapters.style_matching.networks import shipped

    check_libraries()
    ears = shipped.ears(encoder)
    if trouble := audio_files.MP3.trouble(1, ears.sample_rate):
        raise AudioError(f"{trouble}; the map's sounds are MP3, so use an encoder of one of these rates")
    x = _excerpt(source, ears)
    with _working(host, "rendering and embedding") as rendering:
        path = EffectPath(effect, ears.sample_rate, host=rendering, parameters=selection_of(only, "continuous"))
        made = control_map(path, ears, x, points=points, grid=grid, seed=seed)
    write_control_map(output, made, command_line())
    if json:
        found = {"map": str(output), "effect": path.spec.address, "parameters": list(path.names)}
        print_json(found | {"explained": made.explained, "sounds": len(made.sounds)})
        return
    say(
        f"{len(made.sounds)} sounds; for a setting that was left out, the map explains ",
        (f"{made.explained:.0%}", "bold green"),
    )
    say(("map  ", "dim"), str(output))


def figures(
    effect: Annotated[
        list[str], typer.Option(metavar="EFFECT", help="An effect, from the training or not. Repeatable.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder of the figures.")],
    source: Input = None,
    recordings: Annotated[
        list[Path] | None,
        typer.Option(
            "--recordings",
            metavar="FOLDER",
            help="Evaluate the encoder on the audio in it, not on the corpora for evaluation. Repeatable.",
            show_default=False,
        ),
    ] = None,
    encoder: EncoderFile = None,
    points: Annotated[int, typer.Option(min=32, metavar="N", help="Settings per effect.")] = 400,
    seed: Seed = 0,
    host: HostOption = None,
    json: Json = False,
) -> None:
    """Draw effects in the latent space, and measure how well embeddings reveal the effect and its settings.

    The figures show INPUT; the measurements use excerpts of the recordings.

    \b
    Examples:
      blackbox-grad style figures --effect pedalboard-builtin:Reverb --effect ZamDelay.vst3 -o figures
      blackbox-grad style figures --effect pedalboard-builtin:Delay --recordings music -o figures --json
    """
    check_folder(output)
    from blackbox_grad_adapters.style_matching.data import corpora
    from blackbox_grad_adapters.style_matching.data.recordings import Tracks, in_folder
    from blackbox_grad_adapters.style_matching.effect_path import EffectPath
    from blackbox_grad_adapters.style_matching.maps.latent_space import latent_space
    from blackbox_grad_adapters.style_matching.maps.plane import check_libraries
    from blackbox_grad_adapters.style_matching.maps.readability import readability
    from blackbox_grad_adapters.style_matching.maps.report import write_latent_report
    from blackbox_grad_adapters.style_matching.networks import shipped

    check_libraries()
    ears = shipped.ears(encoder)
    x = _excerpt(source, ears)
    if recordings:
        tracks = Tracks([r for folder in recordings for r in in_folder(folder)], ears.sample_rate, on_progress=decoding)
    else:
        tracks = corpora.tracks("evaluate", ears.sample_rate, on_progress=decoding)
    with _working(host, "rendering and embedding") as rendering:
        paths = _named([EffectPath(address, ears.sample_rate, host=rendering) for address in dict.fromkeys(effect)])
        spaces = {name: latent_space(path, ears, x, points, seed) for name, path in paths.items()}
        read = readability(paths, ears, _excerpts(tracks, ears, seed), points, seed)
    files: list[Path] = []
    attempted(output, lambda folder: files.extend(write_latent_report(folder, spaces, read, command_line(), seed)))
    if json:
        measured = {name: asdict(one) | {"effect": paths[name].spec.address} for name, one in read.items()}
        print_json({"page": str(files[0]) if files else None, "files": [str(file) for file in files[1:]], "read": measured})
        raise typer.Exit(0 if files else 1)
    rows = table("effect", "recognised", "parameters read", right=["recognised"], whole=["effect"])
    for name, one in read.items():
        shares = ", ".join(f"{parameter} {share:.2f}" for parameter, share in one.explained.items())
        rows.add_row(name, "" if one.accuracy is None else f"{one.accuracy:.2f}", shares)
    out().print(rows)
    if not files:
        raise typer.Exit(1)
    say("")
    say(("page  ", "dim"), str(files[0]))


def _named(paths: list[EffectPath]) -> dict[str, EffectPath]:
    """Names: the end of the address if it is unique, otherwise the whole address."""
    from blackbox_grad_adapters.style_matching.networks.shipped import short_name

    addresses = [path.spec.address for path in paths]
    short = [short_name(address) for address in addresses]
    return {a if short.count(s) > 1 else s: path for a, s, path in zip(addresses, short, paths, strict=True)}


def _excerpts(tracks: Tracks, ears: StyleEncoder | Encoder, seed: int) -> Tensor:
    """Random excerpts, `[K, 1, T]`."""
    import numpy as np
    import torch

    from blackbox_grad_adapters.style_matching.data.excerpts import draw

    rng = np.random.default_rng(seed)
    return torch.from_numpy(np.stack([draw(tracks, ears.length, rng) for _ in range(_EXCERPTS)]))


def _excerpt(source: Path | None, ears: StyleEncoder | Encoder) -> Tensor:
    """The loudest part, `[1, T]`, of a recording, by default the bundled one, as long as the encoder's window."""
    import torch

    from blackbox_grad_adapters.style_matching.data.excerpts import loudest
    from blackbox_grad_adapters.style_matching.matching.setter import audible

    audio, rate = audio_files.example() if source is None else audio_files.read(source)
    mono = audio_files.resample(audible(audio, "the recording").mean(axis=0, keepdims=True), rate, ears.sample_rate)
    return loudest(torch.from_numpy(mono), ears.length)


@contextlib.contextmanager
def _working(host: str | None, what: str) -> Iterator[Host]:
    """A host, and a status line while it works."""
    from blackbox_grad.hosts import opened_host

    with opened_host(host) as rendering, err().status(what):
        yield rendering
