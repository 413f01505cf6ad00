"""`blackbox-grad inspect`: an effect's parameters, properties and speed."""

from __future__ import annotations

import shlex
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from blackbox_grad.cli.arguments import Address, HostOption, Json, Options, Preset, options_of
from blackbox_grad.cli.completion import remember_parameters
from blackbox_grad.cli.console import out, print_json, say, table
from blackbox_grad.cli.outputs import attempted, command_line
from blackbox_grad.cli.preset_list import list_presets
from blackbox_grad.cli.progress import progress_bar
from blackbox_grad.effects.first_look import FirstLook, unlooked
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import ParameterError, RenderError
from blackbox_grad.files import check_writable
from blackbox_grad.hosts.default import opened_host
from blackbox_grad.inspection.whole import PATIENCE, seconds_per_second
from blackbox_grad.interrupts import deferred_interrupts
from blackbox_grad.parameters.parameter import Parameter
from blackbox_grad.parameters.wording import kind, range_
from blackbox_grad.reports.pages import check_page_libraries


def inspect(
    address: Address,
    sample_rate: Annotated[float, typer.Option(min=1.0, metavar="HZ")] = 44100.0,
    preset: Preset = None,
    option: Options = None,
    presets: Annotated[bool, typer.Option("--presets", help="List its factory presets instead.")] = False,
    folder: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="With --presets: of the files in this folder.", show_default=False),
    ] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Measure what it really does; see below.")] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --deep: an HTML page with curves.", show_default=False)
    ] = None,
    time_limit: Annotated[float, typer.Option(min=1.0, metavar="SECONDS", help="With --deep: the time limit.")] = 120.0,
    renders: Annotated[int, typer.Option(min=1, metavar="N", help="With --deep: the most renders.")] = 20_000,
    again: Annotated[bool, typer.Option("--again", help="With --deep: ignore a cached result.")] = False,
    host: HostOption = None,
    json: Json = False,
) -> None:
    """Show an effect: its parameters, layout, latency, repeatability and speed.

    With --deep, renders of a recording and of noise measure the effect. Does it repeat itself, and keep no state? What is its true
    latency? Which parameters are audible, at what resolution, with how much noise and curvature? Which step and which probes suit
    each? Ctrl-C or a limit ends it with the results so far. The result is cached until the plug-in changes.

    \b
    Examples:
      blackbox-grad inspect pedalboard-builtin:Reverb
      blackbox-grad inspect ZamTube.vst3 --sample-rate 48000
      blackbox-grad inspect 'ZamTube.vst3 | pedalboard-builtin:Delay' --json
      blackbox-grad inspect ZamCompX2.vst3 --deep --report report.html
      blackbox-grad inspect dawdreamer:http://drobilla.net/plugins/mda/DX10 --presets
    """
    spec = EffectSpec.of(address, sample_rate, "all", **options_of(option, preset))
    if presets or folder is not None:
        list_presets(spec, folder, host, json)
        return
    if deep or report is not None:
        _measure(spec, report, time_limit, renders, again, host, json)
        return
    with opened_host(host, hosts=1, time_limit=PATIENCE) as rendering:
        info = rendering.open(unlooked(spec))
        remember_parameters(info)
        cost: float | None = None
        trouble: RenderError | None = None
        try:
            cost = seconds_per_second(rendering, spec, info)
        except RenderError as error:
            trouble = error
        # which of the parameters that a layer trains are heard, with the others at their defaults
        look = rendering.open(replace(info.spec, parameters="continuous")).look or FirstLook()
    if json:
        print_json(_as_json(spec, info, cost, look) | ({"error": str(trouble)} if trouble else {}))
    else:
        _print(spec, info, "its render fails" if trouble else _speed(cost), look)
    if trouble:
        raise trouble


def _measure(
    spec: EffectSpec, report: Path | None, time_limit: float, renders: int, again: bool, host: str | None, json: bool
) -> None:
    from blackbox_grad.cli.inspection_table import print_inspection, shown
    from blackbox_grad.inspection import inspect_effect

    if report is not None:
        check_writable(report, (".html", ".htm"))
        check_page_libraries()
    measured = False
    with deferred_interrupts(lambda: measured) as interrupt:
        with progress_bar() as show:
            found = inspect_effect(
                spec, time_limit=time_limit, render_limit=renders, again=again, host=host, on_progress=lambda p: show(shown(p))
            )
        measured = True

        def page(path: Path) -> None:
            from blackbox_grad.inspection.report import write_report

            write_report(path, found, command=command_line())

        there = [report] if report is not None and attempted(report, page) else []
        if json:
            print_json(found.to_json() | {"files": [str(path) for path in there]})
        else:
            print_inspection(found)
            for path in there:
                say("\n", ("report   ", "dim"), str(path))
    if report is not None and not there:
        raise typer.Exit(1)
    if interrupt.pressed or found.stopped == "interrupted":
        raise typer.Exit(interrupt.exit_code)


def _as_json(spec: EffectSpec, info: EffectInfo, cost: float | None, look: FirstLook) -> dict[str, Any]:
    return {
        "address": spec.address,
        "name": info.name,
        "sample_rate": spec.sample_rate,
        "layout": info.layout,
        "takes": info.takes,
        "notes": list(info.notes),
        "latency_samples": info.latency,
        "latency_ms": 1000.0 * info.latency / spec.sample_rate,
        "repeatability": info.repeatability if np.isfinite(info.repeatability) else None,
        "seconds_per_second": cost,
        "dead": list(look.dead),
        "switches": [asdict(switch) for switch in look.switches],
        "parameters": [
            asdict(p)
            | {"native_default": p.text(float(value)), "native_minimum": p.to_native(0.0), "native_maximum": p.to_native(1.0)}
            for p, value in zip(info.parameters, info.parameters.defaults, strict=True)
        ],
    }


def _typed(parameter: Parameter, value: float) -> str:
    """What to type for a value."""
    text = parameter.text(value)
    for typed in (text, f"{text} native"):
        try:
            if abs(parameter.parse(typed) - value) < 1e-2:
                return typed
        except ParameterError:
            continue
    return f"{value:.3g} normalised"


def _speed(cost: float | None) -> str:
    if cost is None:
        return f"more than {PATIENCE:g} s"
    return f"{1000 * cost:.3g} ms ({1 / max(cost, 1e-9):.0f} times real time)"


def _print(spec: EffectSpec, info: EffectInfo, speed: str, look: FirstLook) -> None:
    say((info.name, "bold"), f"  {spec.address}\n")
    repeatable = "bit-equal" if info.repeatability == 0 else f"relative error {info.repeatability:.2g} between equal renders"
    latency = f"{info.latency} samples ({1000 * info.latency / spec.sample_rate:.3g} ms), taken out of every render"
    facts = {
        "layout": info.layout,
        "latency": latency if info.latency else "none",
        "repeatability": repeatable,
        "one second of audio": speed,
        "sample rate": f"{spec.sample_rate:g} Hz",
    }
    for name, text in facts.items():
        say((f"{name:<21}", "dim"), text)
    for note in info.notes:
        say((f"{'note':<21}", "dim"), note)
    say("")
    rows = table("parameter", "kind", "range", "default", "normalised", right=["normalised"], whole=["kind", "default"])
    for p, v in zip(info.parameters, info.parameters.defaults, strict=True):
        dead = p.name in look.dead
        what = kind(p) + ("" if p.trainable else ", held") + (", not heard" if dead else "")
        rows.add_row(p.name, what, range_(p), p.text(float(v)), f"{v:.3f}", style="dim" if dead else None)
    out().print(rows)
    if any(not p.trainable for p in info.parameters):
        say(("held: match and training leave it alone, unless it is named (--only NAME)", "dim"))
    if look.dead:
        say("\n", f"{len(look.dead)} continuous parameters change nothing while steps and toggles are held at their defaults.")
    for switch in look.switches:
        typed = switch.setting if isinstance(switch.setting, str) else f"{switch.setting:.6g} normalised"
        typed = shlex.quote(f"{switch.name}={typed}")
        say(f"{switch}: fixed={{{switch.name!r}: {switch.setting!r}}}, or --set {typed}")
    if not len(info.parameters):
        say("It has no parameters.")
        return
    parameter, default = info.parameters[0], float(info.parameters.defaults[0])
    given = "in.mid" if info.takes == "notes" else "in.wav"
    example = shlex.quote(f"{parameter.name}={_typed(parameter, default)}")
    say("\n", ("set one      ", "dim"), f"blackbox-grad render {shlex.quote(spec.address)} {given} out.wav --set {example}")
    say(("train it     ", "dim"), f"DifferentiableEffect({spec.address!r}, sample_rate={spec.sample_rate:g})")
