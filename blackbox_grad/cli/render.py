"""`blackbox-grad render`: a file through an effect, or notes with an instrument."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from blackbox_grad import audio_files
from blackbox_grad.cli.arguments import (
    Address,
    Amount,
    HostOption,
    Hosts,
    Json,
    Options,
    Preset,
    SavePreset,
    Set,
    host_of,
    options_of,
    values_of,
)
from blackbox_grad.cli.chosen import Chosen
from blackbox_grad.cli.completion import remember_parameters
from blackbox_grad.cli.console import print_json, say
from blackbox_grad.cli.curves import CurvesIn
from blackbox_grad.cli.outputs import refuse_overwriting, warn_of_clipping
from blackbox_grad.cli.rendering import Rendering, print_settings, render_many
from blackbox_grad.cli.sound import placed, seconds_of, several
from blackbox_grad.effects.preset_files import check_preset_path
from blackbox_grad.effects.saved_curves import SavedCurves
from blackbox_grad.effects.saved_settings import SavedSettings, saved_settings
from blackbox_grad.hosts.answering import save_preset_in
from blackbox_grad.hosts.default import opened_host


def render(
    address: Address,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="IN OUT",
            help="An audio file (for an instrument a MIDI file), and a .wav, .flac or .ogg file; or any number of files and -o.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="PATH", help="In place of OUT; a folder for several files.", show_default=False),
    ] = None,
    settings: Set = None,
    parameters: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Settings from `match --parameters`.", show_default=False)
    ] = None,
    notes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A MIDI file beside IN, for an effect that hears notes.", show_default=False),
    ] = None,
    curves: CurvesIn = None,
    note: Annotated[
        str | None, typer.Option(metavar="NOTE", help="In place of IN: one note, C4 (60) or 0 to 127.", show_default=False)
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.0, metavar="SECONDS", help="How long --note is held (1); the file is 1 s longer.", show_default=False
        ),
    ] = None,
    sample_rate: Annotated[
        float | None, typer.Option(min=1.0, metavar="HZ", help="Of a render of notes (44100).", show_default=False)
    ] = None,
    amount: Amount = 1.0,
    tail: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Render on after the end, for reverbs and echoes: 3s, 500ms.", show_default=False),
    ] = None,
    preset: Preset = None,
    save_preset: SavePreset = None,
    option: Options = None,
    host: HostOption = None,
    hosts: Hosts = None,
    json: Json = False,
) -> None:
    """Render files through an effect, at their sample rates, or notes with an instrument.

    Parameters that are not set keep their defaults. Several files are rendered in parallel, into the folder -o; one that fails
    stops no other.

    \b
    Examples:
      blackbox-grad render pedalboard-builtin:Reverb in.wav out.wav --set damping=0.8
      blackbox-grad render ZamDelay.vst3 in.flac out.ogg --set 'Time=350ms'
      blackbox-grad render ZamTube.vst3 in.wav out.wav --parameters found.json
      blackbox-grad render ZamDelay.vst3 in.wav out.wav --set 'Time=350ms' --save-preset slap.vstpreset
      blackbox-grad render Reverb stems/*.wav -o processed/ --parameters found.json --tail 3s --amount 0.7
      blackbox-grad render LadderFilter in.wav out.wav --curves sweep.json
      blackbox-grad render dawdreamer:http://drobilla.net/plugins/mda/JX10 riff.mid out.wav
      blackbox-grad render dawdreamer:http://drobilla.net/plugins/mda/DX10 out.wav --note C4 --seconds 2
      blackbox-grad render Filterclavier in.wav out.wav --notes riff.mid
    """
    saved = None if parameters is None else SavedSettings.read(parameters)
    moving = None if curves is None else SavedCurves.read(curves)
    if moving is not None:
        _check_beside_curves(saved is not None, amount, save_preset)
    chosen = Chosen(address, values_of(settings), saved, options_of(option, preset), amount, moving)
    rendering = Rendering(chosen, note, seconds, sample_rate, 0.0 if tail is None else seconds_of(tail, "--tail"), notes)
    where = host_of(host, hosts)
    if (many := several(files, output, note)) is None:
        source, result = placed(files, output, note, notes is not None)
        _render_one(rendering, source, result, save_preset, where, json)
    elif save_preset is not None:
        raise typer.BadParameter("--save-preset goes with one file; all files have the same settings")
    else:
        render_many(rendering, *many, where, json)


def _check_beside_curves(saved: bool, amount: float, save_preset: Path | None) -> None:
    """Raise if an option is for settings that stay."""
    for option, given in (("--parameters", saved), ("--amount", amount != 1.0), ("--save-preset", save_preset is not None)):
        if given:
            raise typer.BadParameter(f"--curves holds all settings, and they move; leave {option} out")


def _render_one(
    rendering: Rendering, source: Path | None, result: Path, save_preset: Path | None, where: str | None, json: bool
) -> None:
    refuse_overwriting(result, *([] if source is None else [source]))
    audio_files.check_written(result)
    if save_preset is not None:
        check_preset_path(rendering.chosen.spec(44100.0), save_preset)
        if os.path.realpath(save_preset) in map(os.path.realpath, filter(None, (source, result))):
            raise typer.BadParameter(f"--save-preset {save_preset} is another file of the command; name another")
    sound = rendering.sound_of(source)
    audio_files.check_written(result, sound.channels, sound.sample_rate)
    with opened_host(where, hosts=1, time_limit=60.0 + 10.0 * sound.seconds) as host:
        info, rendered = rendering.render(host, sound)
        if save_preset is not None:
            save_preset_in(host, info.spec, save_preset)
    remember_parameters(info)
    audio_files.write(result, rendered, sound.sample_rate)
    warn_of_clipping(result, rendered)
    if json:
        print_json(
            {
                "address": info.spec.address,
                **saved_settings(info, rendering.chosen.point(sound.sample_rate)),
                **rendering.amount_as_json(),
                "input": sound.source,
                "output": str(result),
                "preset": None if save_preset is None else str(save_preset),
                "channels": sound.channels,
                "seconds": sound.seconds,
                "peak_db": audio_files.peak_decibels(rendered),
            }
        )
    else:
        print_settings(info, rendering.chosen)
        what = f"{sound.seconds:.2f} s, {sound.channels} channels, {sound.sample_rate:g} Hz"
        say(f"{result}: {what}, through {info.name}")
        if save_preset is not None:
            say(("preset   ", "dim"), str(save_preset))
