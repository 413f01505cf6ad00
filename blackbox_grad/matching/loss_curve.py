"""The distance over renders, drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from blackbox_grad.matching.result import Progress
from blackbox_grad.matching.wording import phase
from blackbox_grad.reports.figures import Tick, log_steps, round_steps


@dataclass(frozen=True)
class LossCurve:
    """The loss over renders, in the coordinates of a drawing of `width` by `height`.

    Attributes:
        best, loss: points of a polyline, in SVG notation.
        start: height of the loss at the default settings.
        x_ticks, y_ticks: places in the drawing's units.
        phases: name, left edge and width of each phase.
        points: `[x, y, renders, loss, best]` of each step, shown under the pointer.
    """

    width: int
    height: int
    best: str
    loss: str
    start: float
    start_value: float
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    phases: list[tuple[str, float, float]]
    points: list[list[float]]
    logarithmic: bool


def loss_curve(history: Sequence[Progress], width: int = 860, height: int = 260) -> LossCurve | None:
    """None if there is nothing to draw. The axis is logarithmic if the loss falls by more than 5 times."""
    steps = [h for h in history if math.isfinite(h.best) and math.isfinite(h.start)]
    if len(steps) < 2:
        return None
    right = float(steps[-1].renders)
    start = steps[0].start
    low = min(h.best for h in steps)
    # losses far above the start need no scale of their own
    high = min(max([start, *(h.loss for h in steps if math.isfinite(h.loss))]), 1.6 * max(start, steps[0].best))
    logarithmic = low > 0 and high / low > 5
    scale: Callable[[float], float] = math.log10 if logarithmic else float
    bottom = scale(low) if logarithmic else 0.0
    span = max(scale(high) - bottom, 1e-12)

    def x(renders: float) -> float:
        return round(width * renders / right, 1)

    def y(value: float) -> float:
        return round(height * (1 - 0.04 - 0.92 * (scale(min(max(value, low), high)) - bottom) / span), 1)

    best = [f"{x(h.renders)},{y(h.best)}" for h in steps]
    loss = [f"{x(h.renders)},{y(h.loss)}" for h in steps if math.isfinite(h.loss)]
    values = log_steps(low, high) if logarithmic else round_steps(0.0, high, 5)
    phases, left = [], 0.0
    for name, group in groupby(steps, key=lambda h: h.phase):
        end = x(list(group)[-1].renders)
        phases.append((phase(name), left, round(end - left, 1)))
        left = end
    points = [
        [x(h.renders), y(h.best), h.renders, float(f"{h.loss:.4g}"), float(f"{h.best:.4g}")]
        for h in steps
        if math.isfinite(h.loss)
    ]
    return LossCurve(
        width=width,
        height=height,
        best=" ".join(best),
        loss=" ".join(loss),
        start=y(start),
        start_value=start,
        x_ticks=[Tick(x(v), f"{v:g}") for v in round_steps(0.0, right, 6)],
        y_ticks=[Tick(y(v), f"{v:g}") for v in values if low <= v <= high or not logarithmic],
        phases=phases,
        points=points,
        logarithmic=logarithmic,
    )
