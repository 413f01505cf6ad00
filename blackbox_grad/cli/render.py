"""`blackbox-grad render`: a file through an effect, or notes with an instrument."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from blackbox_grad import audio_files
from blackbox_grad.cli.arguments import Address, HostOption, Json, Options, Preset, Set, options_of, values_of
from blackbox_grad.cli.completion import remember_parameters
from blackbox_grad.cli.console import out, print_json, say, table
from blackbox_grad.cli.outputs import refuse_overwriting, warn_of_clipping
from blackbox_grad.cli.sound import placed, sound_of
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.saved_settings import SavedSettings, saved_settings
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import NonFiniteAudioError
from blackbox_grad.hosts.default import opened_host
from blackbox_grad.parameters.names import plain_name

#: Parameters of an effect whose settings are all printed.
_MOST_ROWS = 40


def render(
    address: Address,
    source: Annotated[
        Path | None, typer.Argument(metavar="IN", help="An audio file; for an instrument a MIDI file.", show_default=False)
    ] = None,
    result: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="A .wav, .flac or .ogg file.", show_default=False)
    ] = None,
    settings: Set = None,
    parameters: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Settings from `match --parameters`.", show_default=False)
    ] = None,
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
    preset: Preset = None,
    option: Options = None,
    host: HostOption = None,
    json: Json = False,
) -> None:
    """Render a file through an effect, at the file's sample rate, or notes with an instrument.

    Parameters that are not set keep their defaults.

    \b
    Examples:
      blackbox-grad render pedalboard-builtin:Reverb in.wav out.wav --set damping=0.8
      blackbox-grad render ZamDelay.vst3 in.flac out.ogg --set 'Time=350ms'
      blackbox-grad render ZamTube.vst3 in.wav out.wav --parameters found.json
      blackbox-grad render dawdreamer:http://drobilla.net/plugins/mda/JX10 riff.mid out.wav
      blackbox-grad render dawdreamer:http://drobilla.net/plugins/mda/DX10 out.wav --note C4 --seconds 2
    """
    source, result = placed(source, result, note)
    refuse_overwriting(result, *([] if source is None else [source]))
    audio_files.check_written(result)
    saved = None if parameters is None else SavedSettings.read(parameters)
    values = values_of(settings)
    sound = sound_of(source, note, seconds, sample_rate)
    audio, rate = sound.audio, sound.sample_rate
    audio_files.check_written(result, audio.shape[0], rate)
    spec = EffectSpec.of(address, rate, (), values, **options_of(option, preset))
    with opened_host(host, hosts=1, time_limit=60.0 + 10.0 * sound.seconds) as rendering:
        info = rendering.open(spec)
        sound.check(info)
        if saved is not None:
            spec = EffectSpec.of(address, rate, (), saved.fixed(info, values) | values, **options_of(option, preset))
            info = rendering.open(spec)
        rendered, finite = rendering.render_batch(spec, audio[None], np.zeros((1, 0)))
    remember_parameters(info)
    space = info.parameters
    native = {p.name: p.text(v) for p, v in zip(space.everything, space.held, strict=True)}
    if not finite.all():
        setting = ", ".join(f"{name}={text}" for name, text in native.items())
        raise NonFiniteAudioError(f"{spec.address} returned NaN or infinity at {setting}; choose other settings")
    audio_files.write(result, rendered[0], rate)
    warn_of_clipping(result, rendered[0])
    if json:
        print_json(
            {
                "address": spec.address,
                **saved_settings(info),
                "input": sound.source,
                "output": str(result),
                "channels": audio.shape[0],
                "seconds": sound.seconds,
                "peak_db": audio_files.peak_decibels(rendered[0]),
            }
        )
    else:
        _print(info, set(map(plain_name, dict(spec.fixed))))
        say(f"{result}: {sound.seconds:.2f} s, {audio.shape[0]} channels, {rate:g} Hz, through {info.name}")


def _print(info: EffectInfo, chosen: set[str]) -> None:
    """The settings of the render; of a large effect, those that were chosen."""
    space = info.parameters
    rows = table("parameter", "setting", "normalised", right=["normalised"], whole=["setting"])
    shown = [i for i, p in enumerate(space.everything) if len(space.everything) <= _MOST_ROWS or plain_name(p.name) in chosen]
    for i in shown:
        parameter, value = space.everything[i], space.held[i]
        rows.add_row(parameter.name, parameter.text(value), f"{value:.4f}")
    if shown:
        out().print(rows)
    if len(shown) < len(space.everything):
        say(f"{len(space.everything) - len(shown)} other parameters are as the effect starts")
    say("")
