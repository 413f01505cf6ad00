"""The report of an inspection: one HTML page, with curves for every parameter."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from blackbox_grad.inspection import wording as wording
from blackbox_grad.inspection.results import Agreement, Curve, Inspection, ParameterInspection
from blackbox_grad.reports.pages import render_page, write_page

#: Size of one drawing, in its own units.
WIDTH, HEIGHT = 220, 84

#: Least ranges of the drawings, so that rounding does not look like a mountain.
_LEAST = {"dB": 0.5, "Hz": 20.0}


@dataclass(frozen=True)
class Plot:
    """One small drawing: polylines in SVG notation, and the texts at its lower and upper edge."""

    title: str
    lines: tuple[tuple[str, str], ...]
    low: str
    high: str


@dataclass(frozen=True)
class Card:
    """One parameter on the page. `shaded`: left edge and width of each region without usable sound."""

    parameter: ParameterInspection
    facts: tuple[tuple[str, str], ...]
    remark: str
    plots: tuple[Plot, ...]
    agreement: Plot | None
    shaded: tuple[tuple[float, float], ...]


def write_report(path: str | os.PathLike[str], found: Inspection, *, command: str | None = None) -> None:
    """Write the page, whole or not at all.

    Args:
        path: `.html`.
        found: the result of `inspect_effect`.
        command: the command line that repeats it.

    Raises:
        AudioError: the path cannot be written.
        MissingDependencyError: jinja2 is not installed.
    """
    write_page(path, render_report(found, command=command))


def render_report(found: Inspection, *, command: str | None = None) -> str:
    """The page as text."""
    return render_page(
        "inspection.html",
        found=found,
        facts=wording.facts(found),
        stopped=wording.stopped(found) if found.stopped else "",
        cards=[_card(p) for p in found.parameters],
        width=WIDTH,
        height=HEIGHT,
        command=command,
    )


def _card(p: ParameterInspection) -> Card:
    known = {
        "changes the spectrum by": "" if p.influence is None else f"{p.influence:.2g} dB",
        "settings": wording.settings(p),
        "noise": wording.number(p.noise),
        "curvature": wording.number(p.curvature),
        "step, one-sided": wording.number(p.step),
        "step, two-sided": wording.number(p.central_step),
        "probes": p.probe_kind or "",
    }
    plots = () if p.curve is None else tuple(_plots(p.curve))
    shaded = tuple((round(WIDTH * r.low, 1), round(max(WIDTH * (r.high - r.low), 2.0), 1)) for r in p.regions)
    facts = tuple((name, text) for name, text in known.items() if text)
    return Card(p, facts, wording.remark(p), plots, _agreement(p.agreements), shaded)


def _plots(curve: Curve) -> list[Plot]:
    features = (
        ("distance", "dB", curve.distance),
        ("level", "dB", curve.level),
        ("brightness", "Hz", curve.brightness),
        ("crest", "dB", curve.crest),
    )
    made = []
    for title, unit, numbers in features:
        known = [n for n in numbers if n is not None]
        low, high = min(known, default=0.0), max(known, default=0.0)
        low, high = (low, low + _LEAST[unit]) if high - low < _LEAST[unit] else (low, high)
        line = _line(curve.values, [None if n is None else (n - low) / (high - low) for n in numbers])
        made.append(Plot(title, (("", line),), _text(low, unit), _text(high, unit)))
    return made


def _text(value: float, unit: str) -> str:
    return f"{value:.0f} {unit}" if unit == "Hz" else f"{value:.1f} {unit}"


def _agreement(agreements: Sequence[Agreement]) -> Plot | None:
    """How often each kind of probe points toward the target, over the tried steps, evenly spaced."""
    if len(agreements) < 2:
        return None
    places = [n / (len(agreements) - 1) for n in range(len(agreements))]
    lines = [(kind, _line(places, [getattr(a, kind) for a in agreements])) for kind in ("cotangent", "loss")]
    return Plot("right way", tuple(lines), "0 %", "100 %")


def _line(places: Sequence[float], heights: Sequence[float | None]) -> str:
    """Points of a polyline, from fractions of the width and the height."""
    pairs = [(x, y) for x, y in zip(places, heights, strict=True) if y is not None]
    return " ".join(f"{WIDTH * x:.1f},{HEIGHT * (0.95 - 0.9 * y):.1f}" for x, y in pairs)
