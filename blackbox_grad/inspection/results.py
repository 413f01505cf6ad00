"""The result of an inspection: plain data that converts to JSON and back."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeAlias

from blackbox_grad.errors import ParameterError, suggest

ProbeKind: TypeAlias = Literal["cotangent", "loss"]
Stopped: TypeAlias = Literal["", "time", "renders", "interrupted"]


@dataclass(frozen=True)
class Region:
    """Values of one parameter, from `low` to `high`, at which the effect is "silent" or "non-finite"."""

    kind: Literal["silent", "non-finite"]
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """How well differences over ±`step` find the direction to a known target, over many starts and targets on a sweep.

    Attributes:
        step: distance of the probes, normalised.
        linear: cosine between the changes of the loss that its linearisation at the output predicts (what a cotangent probe sees)
            and the true changes. 1: the parameter is smooth at this step; near 0: it moves phase. None if nothing changes.
        cotangent, loss: share of starts and targets for which these probes point toward the target; 0.5 is chance.
    """

    step: float
    linear: float | None
    cotangent: float
    loss: float


@dataclass(frozen=True)
class Curve:
    """A sweep of one parameter, all others held. One number for each of `values`; None where the output is silent or not finite.

    Attributes:
        values: normalised.
        distance: root-mean-square difference of log spectra from the setting that the sweep was made around, dB.
        level: root-mean-square level, dB relative to full scale.
        brightness: spectral centroid, Hz.
        crest: peak over root-mean-square level, dB.
    """

    values: tuple[float, ...]
    distance: tuple[float | None, ...]
    level: tuple[float | None, ...]
    brightness: tuple[float | None, ...]
    crest: tuple[float | None, ...]


@dataclass(frozen=True)
class ParameterInspection:
    """One parameter. None: not measured.

    `noise` and `curvature` describe `φ`, the function of this parameter that estimators see: a probe of a log-spectral loss
    toward another setting, relative to that loss. 0.01 is a hundredth of the way.

    Attributes:
        name, kind: as in `Parameter`.
        reaches_sound: whether it is audible: some value changed the output, around one of the settings tried.
        influence: root-mean-square change of the log spectrum over its range, dB.
        steps: the true number of different settings; None if too many to count.
        resolution: width of the widest step, normalised; 0 if continuous.
        noise: standard deviation of `φ`, by ECnoise.
        curvature: `|φ''|`.
        step: the recommended distance of one-sided differences, normalised.
        central_step: the same for two-sided ones.
        probe_kind: the probes to estimate its gradient from: "loss" if it moves phase, so that a linearised loss says nothing.
        agreements: the measurements behind `probe_kind`, by step.
        regions: values without usable sound.
        curve: the sweep.
        around: other parameters that the sweep held at values other than their defaults: name -> normalised.
        note: what went wrong.
    """

    name: str
    kind: str
    reaches_sound: bool | None = None
    influence: float | None = None
    steps: int | None = None
    resolution: float | None = None
    noise: float | None = None
    curvature: float | None = None
    step: float | None = None
    central_step: float | None = None
    probe_kind: ProbeKind | None = None
    agreements: tuple[Agreement, ...] = ()
    regions: tuple[Region, ...] = ()
    curve: Curve | None = None
    around: tuple[tuple[str, float], ...] = ()
    note: str = ""

    @property
    def direction(self) -> float | None:
        """Share of starts and targets where the recommended probes, at about the recommended step, point toward the target."""
        if not self.agreements or self.probe_kind is None or self.step is None:
            return None
        wanted = math.log(self.step)
        nearest = min(self.agreements, key=lambda a: abs(math.log(a.step) - wanted))
        return nearest.loss if self.probe_kind == "loss" else nearest.cotangent


@dataclass(frozen=True)
class Inspection:
    """An effect.

    Attributes:
        address, name, sample_rate, layout: as in `EffectInfo`.
        parameters: one for each free parameter, in the order of a point.
        repeatability: largest relative error between two renders of one setting in a row; 0 is bit-equal.
        leakage: the same with renders of other settings in between.
        latency: samples that the plug-in reports, and every render takes out.
        measured_latency: the delay that was measured, samples; None if the output resembles the input too little.
        seconds_per_second: time to render one second of audio, seconds; None if it took too long.
        nonfinite, silent: share of random settings without usable sound.
        loud: share of random settings whose peak is more than 60 dB above that of the input.
        bad_settings: one of them, name -> normalised.
        memory: seconds after a change of a setting for which it is heard, of the parameter where that is longest; infinite if to
            the end of the test signal. None: its settings cannot move, or nothing is heard.
        renders, seconds: what the inspection cost.
        stopped: why it ended early; empty if everything was measured.
        time_limit, render_limit: what it was allowed.
        notes: further remarks.
    """

    address: str
    name: str
    sample_rate: float
    layout: str
    latency: int
    parameters: tuple[ParameterInspection, ...]
    repeatability: float | None = None
    leakage: float | None = None
    measured_latency: int | None = None
    seconds_per_second: float | None = None
    nonfinite: float | None = None
    silent: float | None = None
    loud: float | None = None
    bad_settings: tuple[tuple[str, float], ...] = ()
    memory: float | None = None
    renders: int = 0
    seconds: float = 0.0
    stopped: Stopped = ""
    time_limit: float = 0.0
    render_limit: int = 0
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        audible = sum(p.reaches_sound is True for p in self.parameters)
        cost = f"{self.renders} renders, {self.seconds:.1f} s"
        return f"Inspection({self.name}: {audible} of {len(self.parameters)} parameters audible; {cost})"

    def _repr_html_(self) -> str:
        # by name, here and below: these modules know the class
        html: str = import_module("blackbox_grad.inspection.notebook").html(self)
        return html

    def report(self, path: str | os.PathLike[str], *, command: str | None = None) -> Path:
        """Write a page with curves for every parameter, and return its path.

        Args:
            path: `.html`.
            command: the command line that repeats it.

        Raises:
            AudioError: the path cannot be written.
            MissingDependencyError: jinja2 is not installed.
        """
        import_module("blackbox_grad.inspection.report").write_report(path, self, command=command)
        return Path(path)

    def __getitem__(self, name: str) -> ParameterInspection:
        """A parameter by its name."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise ParameterError(f"{self.address}: no parameter {name!r}; {suggest(name, [p.name for p in self.parameters])}")

    def to_json(self) -> dict[str, Any]:
        """Plain lists, numbers and texts; infinity is the text "inf"."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Inspection:
        """The inverse of `to_json`. Raises `ValueError`, `TypeError` or `KeyError` on anything else."""
        made: Inspection = _made(cls, data)
        return made


_PARTS: dict[str, Any] = {"agreements": Agreement, "regions": Region, "curve": Curve, "parameters": ParameterInspection}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(v) for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _made(kind: Any, data: Mapping[str, Any]) -> Any:
    known = {f.name for f in fields(kind)}
    if set(data) != known:
        raise ValueError(f"{kind.__name__} has the fields {sorted(known)}, got {sorted(data)}")
    return kind(**{name: _value(name, value) for name, value in data.items()})


def _value(name: str, value: Any) -> Any:
    part = _PARTS.get(name)
    if part is not None and isinstance(value, Mapping):
        return _made(part, value)
    if isinstance(value, list):
        return tuple(_made(part, v) if part and isinstance(v, Mapping) else _value("", v) for v in value)
    return float(value) if value in ("inf", "-inf", "nan") else value
