"""`blackbox-grad match`: the settings that turn one recording into another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from blackbox_grad import audio_files
from blackbox_grad.cli.arguments import (
    EffectName,
    EffectPlace,
    HostOption,
    Hosts,
    InputName,
    InputPlace,
    Json,
    Options,
    Preset,
    SavePreset,
    Set,
    host_of,
    options_of,
    placed,
    selection_of,
    values_of,
)
from blackbox_grad.cli.completion import only_names, remember_parameters
from blackbox_grad.cli.console import print_json
from blackbox_grad.cli.curves import Automate, CurvesOut, Held, Knots, automated, check_options
from blackbox_grad.cli.importing import importing
from blackbox_grad.cli.outputs import Outputs, write_match
from blackbox_grad.cli.sound import notes_of
from blackbox_grad.dependencies import entry_points_of
from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.notes import Notes
from blackbox_grad.interrupts import deferred_interrupts

#: The names from `blackbox_grad.losses.loss_names`, without importing that module: it imports torch, and help must not.
_LOSSES = ", ".join(sorted(entry_points_of("blackbox_grad.losses")))


def match(
    effect_place: EffectPlace = None,
    input_place: InputPlace = None,
    target_place: Annotated[
        str | None, typer.Argument(metavar="TARGET", help="The recording to match.", show_default=False)
    ] = None,
    effect_name: EffectName = None,
    input_name: InputName = None,
    target_name: Annotated[
        str | None,
        typer.Option("--target", "--reference", metavar="FILE", help="The recording to match, by name instead of by place."),
    ] = None,
    notes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="For an instrument, in place of INPUT: the MIDI file that TARGET plays.", show_default=False
        ),
    ] = None,
    note: Annotated[
        str | None,
        typer.Option(metavar="NOTE", help="In place of a MIDI file: one note, C4 (60) or 0 to 127.", show_default=False),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.0, metavar="SECONDS", help="How long --note is held (1).", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the matched audio.", show_default=False)
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write an HTML report to listen to.", show_default=False)
    ] = None,
    parameters: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the settings as JSON.", show_default=False)
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="NAME",
            help="Change this parameter and hold the others: a name, or a pattern ('Gain *', '* 3'). Repeatable. "
            "'audible': those that change the sound.",
            show_default=False,
            autocompletion=only_names,
        ),
    ] = None,
    settings: Set = None,
    automate: Automate = None,
    knots: Knots = None,
    held: Held = False,
    curves: CurvesOut = None,
    renders: Annotated[int, typer.Option(min=8, metavar="N", help="The most renders of the effect.")] = 2000,
    loss: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"The distance: {_LOSSES}, package.module.Class, or a sum: 'mrstft + 0.5*l1'. By default mrstft, for instruments "
            "tones.",
            show_default=False,
        ),
    ] = None,
    estimator: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Descend its gradients instead of emulating the effect: spsa:samples=4, …", show_default=False
        ),
    ] = None,
    probes: Annotated[str, typer.Option(metavar="KIND", help="What the estimator probes: loss, cotangent, or auto.")] = "auto",
    excerpt: Annotated[
        float,
        typer.Option(min=0.0, metavar="SECONDS", help="Search on the loudest part only, of notes on the beginning; 0 for all."),
    ] = 4.0,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed repeats a run.")] = 0,
    host: HostOption = None,
    hosts: Hosts = None,
    preset: Preset = None,
    save_preset: SavePreset = None,
    option: Options = None,
    json: Json = False,
) -> None:
    """Find the settings with which the effect turns INPUT into TARGET. Ctrl-C ends it with the best so far.

    An instrument needs no INPUT, but the notes that TARGET plays: --notes or --note.

    TARGET is the same recording as INPUT, through the effect or something like it. For two different recordings, see
    `blackbox-grad style match`.

    \b
    Examples:
      blackbox-grad match Reverb dry.wav wet.wav -o matched.wav
      blackbox-grad match --effect Reverb --input dry.wav --target wet.wav -o matched.wav
      blackbox-grad match ZamTube.vst3 di.wav amp.wav --only Drive --only Bass
      blackbox-grad match ZamDelay.vst3 dry.wav wet.wav --set 'Feedback=0.2'
      blackbox-grad match 'a.vst3 | b.vst3' dry.wav wet.wav --report report.html
      blackbox-grad match LadderFilter dry.wav sweep.wav --automate 'cutoff_hz,resonance' --knots 16 --curves sweep.json
      blackbox-grad match dawdreamer:http://drobilla.net/plugins/mda/DX10 --note C3 --seconds 2 bell.wav
      blackbox-grad match dawdreamer:http://drobilla.net/plugins/mda/JX10 --notes riff.mid riff.wav
    """
    played = notes_of(notes, note, seconds)
    names = {"EFFECT": effect_name, "INPUT": input_name, "TARGET": target_name}
    if played is not None:
        if input_name is not None:
            raise typer.BadParameter("--notes and --note stand in the place of INPUT; write EFFECT TARGET --note C3")
        del names["INPUT"]
    instead = "" if played is not None else "with an instrument, write EFFECT TARGET --note C3"
    files = placed((effect_place, input_place, target_place), names, instead=instead)
    address, target = files["EFFECT"], Path(files["TARGET"])
    source = Path(files["INPUT"]) if played is None else notes
    check_options(automate, knots, held, curves)
    if automate and save_preset is not None:
        raise typer.BadParameter("a preset holds settings that stay; write those that move with --curves FILE")
    outputs = Outputs(output, report, parameters, save_preset, curves)
    outputs.check(*[path for path in (source, target) if path is not None])
    where = host_of(host, hosts)
    fixed, options = values_of(settings), options_of(option, preset)
    sound: Audio | Notes
    if played is None:
        sound, rate = audio_files.read(Path(files["INPUT"]))
        wanted, _ = audio_files.read(target, rate)
    else:
        sound, (wanted, rate) = played, audio_files.read(target)
    outputs.check_audio(wanted.shape[0], rate)
    with importing():
        from blackbox_grad.cli.match_output import Search, print_match
        from blackbox_grad.effects.leaving_out import without_silent
        from blackbox_grad.effects.spec import EffectSpec
        from blackbox_grad.hosts.default import opened_host
        from blackbox_grad.matching import match as find_settings
        from blackbox_grad.matching.wording import searching

    search = Search()
    with deferred_interrupts(lambda: search.found) as interrupt:
        # a render of the whole recording must not end a long search
        with opened_host(where, time_limit=60.0 + 10.0 * wanted.shape[1] / rate) as rendering:
            length = (wanted.shape[1] if isinstance(sound, Notes) else min(sound.shape[1], wanted.shape[1])) / rate
            if automate:
                spec = automated(address, rate, automate, knots, held, length, only, fixed, options)
                excerpt = 0.0
            else:
                spec = EffectSpec.of(address, rate, selection_of(only, "trainable"), fixed, **options)
            outputs.check_preset(spec)

            def first() -> str:
                remember_parameters(opened := rendering.open(spec))
                info = rendering.open(without_silent(opened)[0])
                part = "loudest" if played is None else "first"
                return searching(f"{info.name} ({spec.address})", len(info.parameters), renders, excerpt, length, part)

            found = search.run(
                first,
                lambda on_progress: find_settings(
                    spec,
                    sound,
                    wanted,
                    loss=loss,
                    renders=renders,
                    estimator=estimator,
                    probe_kind=probes,  # type: ignore[arg-type]
                    excerpt=excerpt or None,
                    seed=seed,
                    host=rendering,
                    on_progress=on_progress,
                ),
            )
        write_match(outputs, found, found.input if isinstance(sound, Notes) else sound, wanted)
        if json:
            print_json(found.to_json() | {"files": [str(path) for path in outputs.written]})
        else:
            print_match(found, interrupt)
            outputs.print()
    outputs.exit(interrupt, found.error)
