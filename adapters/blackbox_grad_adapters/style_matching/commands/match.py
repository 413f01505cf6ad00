"""`blackbox-grad style match`: set an effect so that one recording sounds like another."""

from __future__ import annotations

import json as json_format
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from blackbox_grad import audio_files
from blackbox_grad.cli import HostOption, Json, out, print_json, refuse_overwriting, say, table, warn_of_clipping
from blackbox_grad.files import check_writable, replacing


def match(
    source: Annotated[Path, typer.Option("--input", metavar="FILE", help="The recording to change.")],
    reference: Annotated[Path, typer.Option(metavar="FILE", help="The recording that it should sound like.")],
    effect: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Its address, or the name of one with weights in the package.",
            show_default=False,
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
    refine: Annotated[int, typer.Option(min=0, metavar="N", help="Renders to spend on better settings.")] = 0,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the refinement.")] = 0,
    host: HostOption = None,
    json: Json = False,
) -> None:
    """Set an effect so that INPUT sounds like REFERENCE, which may be a recording of something else.

    \b
    Examples:
      blackbox-grad style match --effect pedalboard-builtin:Reverb --input dry.wav --reference hall.wav -o wet.wav
      blackbox-grad style match --model runs/delay --input dry.wav --reference echo.flac --report report.html
    """
    if effect is None and model is None:
        raise typer.BadParameter("name an --effect with weights in the package, or a --model")
    for path, suffixes in ((output, tuple(audio_files.WRITTEN)), (report, (".html", ".htm")), (parameters, ())):
        if path is not None:
            check_writable(path, suffixes)
            refuse_overwriting(path, source, reference)
    audio, rate = audio_files.read(source)
    wanted, reference_rate = audio_files.read(reference)

    from blackbox_grad.hosts import opened_host
    from blackbox_grad_adapters.style_matching.matching.matcher import StyleMatcher

    with opened_host(host, hosts=1, time_limit=60.0 + 10.0 * audio.shape[1] / rate) as rendering:
        matcher = StyleMatcher.load(model or effect or "", rendering, effect=effect)
        found = matcher.match(audio, wanted, rate, reference_rate, refine=refine, seed=seed)

    command = shlex.join(["blackbox-grad", *sys.argv[1:]])
    if output is not None:
        audio_files.write(output, found.y, rate)
        warn_of_clipping(output, found.y)
    if parameters is not None:
        with replacing(parameters) as temporary:
            temporary.write_text(json_format.dumps(found.to_json() | {"command": command}, indent=2) + "\n", "utf-8")
    if report is not None:
        from blackbox_grad_adapters.style_matching.report import write_match_report

        write_match_report(report, found, audio, wanted, reference_rate, command)
    written = [(name, path) for name, path in (("audio", output), ("settings", parameters), ("report", report)) if path]
    if json:
        print_json(found.to_json() | {"files": [str(path) for _, path in written]})
        return
    rows = table("parameter", "setting", "normalised", right=["normalised"], whole=["setting"])
    for row in found.to_json()["parameters"]:
        rows.add_row(row["name"], row["native"], f"{row['normalised']:.4f}")
    out().print(rows)
    say("")
    say(
        f"input gain {found.gain:+.1f} dB; distance to the reference {found.distance_before:.3g} → ",
        (f"{found.distance:.3g}", "bold green"),
    )
    for name, path in written:
        say((f"{name:<9}", "dim"), str(path))
