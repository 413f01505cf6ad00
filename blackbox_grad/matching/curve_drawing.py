"""The curves of a match, drawn: as they were found, and as they were hidden, where that is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blackbox_grad.parameters.rows import Row, rows
from blackbox_grad.reports.figures import Tick, round_steps

if TYPE_CHECKING:
    from blackbox_grad.matching.result import Match


@dataclass(frozen=True)
class CurveDrawing:
    """One curve, in the coordinates of a drawing of `width` by `height`.

    Attributes:
        name: of the control.
        found, truth: points of a polyline, in SVG notation; `truth` is empty if nothing is known.
        dots: `[x, y, text]` of each knot.
        default: height of the default setting.
        x_ticks, y_ticks: places in the drawing's units.
        error: mean distance from the truth, normalised; None if nothing is known.
    """

    name: str
    width: int
    height: int
    found: str
    truth: str
    dots: list[tuple[float, float, str]]
    default: float
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    error: float | None


def curve_drawings(match: Match, truth: Mapping[str, float], width: int = 860, height: int = 150) -> list[CurveDrawing]:
    """One for each control that moves; none where settings are constant. `truth`: normalised values by name of the knot."""
    curves = match.info.spec.curves
    if curves is None:
        return []
    seconds = max(curves.seconds, match.audio.shape[1] / match.sample_rate)
    return [_drawing(match, row, truth, seconds, width, height) for row in rows(match.info.parameters) if row.moves]


def _drawing(match: Match, row: Row, truth: Mapping[str, float], seconds: float, width: int, height: int) -> CurveDrawing:
    space, values = match.info.parameters, match.point[row.places].tolist()
    parameters = space[row.places]

    def x(time: float) -> float:
        return round(width * time / seconds, 1)

    def y(value: float) -> float:
        return round(height * (1.0 - value), 1)

    def line(heights: list[float]) -> str:
        times = [*row.seconds, seconds]
        if row.shape == "linear":
            corners = list(zip(times, [*heights, heights[-1]], strict=True))
        else:
            corners = [corner for k, value in enumerate(heights) for corner in ((times[k], value), (times[k + 1], value))]
        return " ".join(f"{x(t)},{y(v)}" for t, v in corners)

    known = [truth[p.name] for p in parameters if p.name in truth]
    whole = len(known) == len(values)
    texts = [f"{t:.2f} s: {p.text(v)}" for t, p, v in zip(row.seconds, parameters, values, strict=True)]
    return CurveDrawing(
        name=row.name,
        width=width,
        height=height,
        found=line(values),
        truth=line(known) if whole else "",
        dots=[(x(t), y(v), text) for t, v, text in zip(row.seconds, values, texts, strict=True)],
        default=y(parameters[0].default),
        x_ticks=[Tick(x(t), f"{t:g} s") for t in round_steps(0.0, seconds, 8)],
        y_ticks=[Tick(y(v), parameters[0].text(v)) for v in (0.0, 0.5, 1.0)],
        error=sum(abs(a - b) for a, b in zip(values, known, strict=True)) / len(values) if whole else None,
    )
