"""`blackbox-grad inspect`: what an effect is, and what it costs."""

from __future__ import annotations

import shlex
import statistics
import time
from dataclasses import asdict
from typing import Annotated, Any

import numpy as np
import typer

from blackbox_grad.cli.arguments import Address, Json, Options, Preset, options_of
from blackbox_grad.cli.console import out, print_json, say, table
from blackbox_grad.effects import EffectInfo, EffectSpec
from blackbox_grad.errors import RenderError
from blackbox_grad.hosts.process_pool import ProcessPool
from blackbox_grad.parameters import Parameter

#: Seconds that measuring the speed may take; an effect that needs more for one second of audio is called slow.
_PATIENCE = 20.0


def inspect(
    address: Address,
    sample_rate: Annotated[float, typer.Option(min=1.0, metavar="HZ")] = 44100.0,
    preset: Preset = None,
    option: Options = None,
    json: Json = False,
) -> None:
    """Show an effect: its parameters, layout, latency, repeatability and speed.

    \b
    Examples:
      blackbox-grad inspect pedalboard-builtin:Reverb
      blackbox-grad inspect ZamTube.vst3 --sample-rate 48000
      blackbox-grad inspect 'ZamTube.vst3 | pedalboard-builtin:Delay' --json
    """
    spec = EffectSpec.of(address, sample_rate, "all", **options_of(option, preset))
    with ProcessPool(hosts=1, time_limit=_PATIENCE) as pool:
        info = pool.open(spec)
        cost = seconds_per_second(pool, spec, info)
    if json:
        print_json(_as_json(spec, info, cost))
    else:
        _print(spec, info, cost)


def seconds_per_second(pool: ProcessPool, spec: EffectSpec, info: EffectInfo) -> float | None:
    """Seconds to render one second of mono noise at the defaults, the median of 3; None if it takes too long."""
    rate = round(spec.sample_rate)
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, (1, 1, rate)).astype(np.float32)
    point = info.parameters.defaults[None]
    took: list[float] = []
    deadline = time.monotonic() + _PATIENCE
    try:
        while len(took) < 4 and (time.monotonic() < deadline or not took):
            start = time.perf_counter()
            pool.render_batch(spec, noise, point)
            took.append(time.perf_counter() - start)
    except RenderError:
        return None
    return statistics.median(took[1:] or took)  # the first one warms up


def _kind(parameter: Parameter) -> str:
    return f"stepped, {parameter.levels}" if parameter.kind == "stepped" else parameter.kind


def _range(parameter: Parameter) -> str:
    if parameter.choices:
        return ", ".join(parameter.choices)
    low, high = parameter.text(0.0), parameter.text(1.0)
    scale = f" ({parameter.scale})" if parameter.scale == "log" else ""
    return f"{low} to {high}{scale}"


def _as_json(spec: EffectSpec, info: EffectInfo, cost: float | None) -> dict[str, Any]:
    return {
        "address": spec.address,
        "name": info.name,
        "sample_rate": spec.sample_rate,
        "layout": info.layout,
        "latency_samples": info.latency,
        "latency_ms": 1000.0 * info.latency / spec.sample_rate,
        "repeatability": info.repeatability if np.isfinite(info.repeatability) else None,
        "seconds_per_second": cost,
        "parameters": [
            asdict(p)
            | {"native_default": p.text(float(value)), "native_minimum": p.to_native(0.0), "native_maximum": p.to_native(1.0)}
            for p, value in zip(info.parameters, info.parameters.defaults, strict=True)
        ],
    }


def _print(spec: EffectSpec, info: EffectInfo, cost: float | None) -> None:
    say((info.name, "bold"), f"  {spec.address}\n")
    speed = (
        f"more than {_PATIENCE:g} s" if cost is None else f"{1000 * cost:.3g} ms ({1 / max(cost, 1e-9):.0f} times real time)"
    )
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
    say("")
    rows = table("parameter", "kind", "range", "default", "normalised", right=["normalised"], whole=["kind", "default"])
    for p, v in zip(info.parameters, info.parameters.defaults, strict=True):
        rows.add_row(p.name, _kind(p) + ("" if p.trainable else ", held"), _range(p), p.text(float(v)), f"{v:.3f}")
    out().print(rows)
    if not len(info.parameters):
        say("It has no parameters.")
        return
    parameter, default = info.parameters[0], float(info.parameters.defaults[0])
    speaks = parameter.unit or parameter.choices or parameter.kind == "toggle"  # a bare number would be normalised
    example = shlex.quote(f"{parameter.name}={parameter.text(default) if speaks else f'{default:.3g}'}")
    say("\n", ("set one      ", "dim"), f"blackbox-grad render {shlex.quote(spec.address)} in.wav out.wav --set {example}")
    say(("train it     ", "dim"), f"DifferentiableEffect({spec.address!r}, sample_rate={spec.sample_rate:g})")
