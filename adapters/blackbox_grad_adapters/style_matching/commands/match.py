"""`blackbox-grad style match`: set an effect so that one recording sounds like another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from blackbox_grad import audio_files
from blackbox_grad.cli import (
    Amount,
    EffectName,
    EffectPlace,
    HostOption,
    InputName,
    InputPlace,
    Json,
    Outputs,
    SavePreset,
    command_line,
    err,
    importing,
    out,
    placed,
    print_json,
    say,
    table,
)
from blackbox_grad.interrupts import Interrupt, deferred_interrupts

Order: TypeAlias = Literal["given", "free"]
Level: TypeAlias = Literal["loudness", "peak", "none"]

if TYPE_CHECKING:
    from blackbox_grad_adapters.style_matching.matching.matcher import StyleMatcher
    from blackbox_grad_adapters.style_matching.matching.result import StyleMatch


def match(
    effect_place: EffectPlace = None,
    input_place: InputPlace = None,
    reference_place: Annotated[
        str | None,
        typer.Argument(metavar="REFERENCE", help="The recording that it should sound like.", show_default=False),
    ] = None,
    effect_name: EffectName = None,
    input_name: InputName = None,
    reference_name: Annotated[
        str | None,
        typer.Option(
            "--reference",
            "--target",
            metavar="FILE",
            help="The recording that it should sound like, by name instead of by place.",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="FILE", help="Weights of a controller, or the folder of a run.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the matched audio.", show_default=False)
    ] = None,
    parameters: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the settings as JSON.", show_default=False)
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write an HTML report to listen to.", show_default=False)
    ] = None,
    save_preset: SavePreset = None,
    refine: Annotated[
        int, typer.Option(min=0, metavar="N", help="Renders to spend on better settings than a trained network's.")
    ] = 0,
    renders: Annotated[
        int | None,
        typer.Option(
            min=8,
            metavar="N",
            help="Search with so many renders, for which nothing needs to be trained; 300 where there are no weights.",
            show_default=False,
        ),
    ] = None,
    order: Annotated[
        Order, typer.Option(help="Of a chain that is searched: as given, or free: parts may change places or fall out.")
    ] = "given",
    amount: Amount = 1.0,
    guard: Annotated[
        bool, typer.Option("--guard/--no-guard", help="Take the settings back where they come no nearer to the reference.")
    ] = True,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the refinement or search.")] = 0,
    level: Annotated[
        Level, typer.Option(help="What the output has of the input: its loudness, its peak, or none, as it leaves the effect.")
    ] = "loudness",
    force: Annotated[bool, typer.Option("--force", help="Take weights whose training has learnt nothing.")] = False,
    host: HostOption = None,
    json: Json = False,
) -> None:
    """Set an effect so that INPUT sounds like REFERENCE, which may be a recording of something else.

    \b
    Examples:
      blackbox-grad style match Overdrive dry.wav radio.wav -o wet.wav
      blackbox-grad style match --effect Overdrive --input dry.wav --reference radio.wav -o wet.wav
      blackbox-grad style match Overdrive dry.wav radio.wav -o wet.wav --amount 0.6
      blackbox-grad style match --model runs/delay dry.wav echo.flac --report report.html
      blackbox-grad style match ZamEQ2.vst3 dry.wav radio.wav -o wet.wav --renders 300
      blackbox-grad style match "HighpassFilter | Chorus" dry.wav radio.wav --order free --report report.html
    """
    names = {"EFFECT": effect_name, "INPUT": input_name, "REFERENCE": reference_name}
    given = placed((effect_place, input_place, reference_place), names, optional="" if model is None else "EFFECT")
    effect, source, reference = given.get("EFFECT"), Path(given["INPUT"]), Path(given["REFERENCE"])
    outputs = Outputs(output, report, parameters, save_preset)
    outputs.check(source, reference)
    audio, rate = audio_files.read(source)
    wanted, reference_rate = audio_files.read(reference)
    outputs.check_audio(audio.shape[0], rate)
    with importing():
        from blackbox_grad.hosts import opened_host
        from blackbox_grad_adapters.style_matching.commands.searching import Searching, check_way
        from blackbox_grad_adapters.style_matching.matching.matcher import StyleMatcher

    found: StyleMatch | None = None
    search = check_way(effect, model, refine, renders, order)
    with deferred_interrupts(lambda: found is not None) as interrupt:
        with opened_host(host, hosts=1, time_limit=60.0 + 10.0 * audio.shape[1] / rate) as rendering:
            if search:
                searching = Searching(search, rendering, order, outputs)
                found = searching.match(
                    audio, wanted, rate, reference_rate, renders=renders, seed=seed, amount=amount, level=level
                )
            else:
                matcher = StyleMatcher.load(model or effect or "", rendering, effect=effect, force=force)
                outputs.check_preset(matcher.path.spec)
                err().print(_begun(matcher, refine), soft_wrap=True)
                found = matcher.match(
                    audio, wanted, rate, reference_rate, refine=refine, seed=seed, amount=amount, level=level, guard=guard
                )
        command, data = command_line(), found.to_json()

        def page(path: Path) -> None:
            from blackbox_grad_adapters.style_matching.report import write_match_report

            write_match_report(path, found, audio, wanted, reference_rate, command)

        outputs.write(data | {"command": command}, found.y, rate, page, found.save_preset)
        if json:
            print_json(data | {"files": [str(path) for path in outputs.written]})
        else:
            _print(found, interrupt)
            outputs.print()
    outputs.exit(interrupt)


def _begun(matcher: StyleMatcher, refine: int) -> str:
    """The first words about a match."""
    effect = f"{matcher.path.effect.info.name} ({matcher.path.spec.address})"
    then = f"then {refine} renders look for better ones" if refine else "and few renders check them"
    count = len(matcher.path.names)
    settings = "1 setting" if count == 1 else f"{count} settings"
    return f"{effect}: a trained network chooses {settings}, {then}; --renders N searches without it"


def _print(found: StyleMatch, interrupt: Interrupt) -> None:
    rows = table("parameter", "setting", "normalised", right=["normalised"], whole=["setting"])
    for row in found.to_json()["parameters"]:
        rows.add_row(row["name"], row["native"], f"{row['normalised']:.4f}")
    out().print(rows)
    say("")
    if found.amount != 1.0:
        say(f"amount {found.amount:g} of the settings that were found; 0 is where the effect does nothing, or least")
    for line in found.remarks:
        say((line, "yellow" if found.bypassed else ""))
    if found.interrupted:
        say((f"Stopped by {interrupt.name}; these are the best settings so far.", "yellow"))
    if found.bypassed:
        return
    say(
        f"distance to the reference, as the network hears it: {found.distance_before:.3g} without the effect → ",
        (f"{found.distance:.3g}", "bold green"),
        "; 1 is usual between two parts of one recording",
    )
    say(found.levels())
