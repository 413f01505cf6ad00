"""All knots of a curve from few renders: knots far enough apart are moved in one probe, and told apart by when they are heard.

A knot is heard from the one before it on, and until the effect has forgotten the one behind it. The Jacobian has a row for each
segment of the audio and a column for each knot, and only a band of it is not zero: columns whose bands do not overlap share a
probe. A. R. Curtis, M. J. D. Powell, J. K. Reid, "On the estimation of sparse Jacobian matrices", IMA J. Appl. Math. 13(1), 1974,
doi:10.1093/imamat/13.1.117.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox_grad.errors import EstimatorError
from blackbox_grad.estimators.base import Estimate, Promises
from blackbox_grad.estimators.memory import memory_of
from blackbox_grad.estimators.problem import Problem
from blackbox_grad.estimators.steps import USUAL_STEP, Step, check_steps, reach
from blackbox_grad.parameters.rows import Row, rows

#: Of the time from one knot to the next: a memory beyond whole knots that is not worth one more.
_SLIGHT = 0.1


@dataclass(frozen=True)
class Group:
    """Parameters that one probe moves, and the segments in which each is heard.

    Attributes:
        places: of the parameters, in a point.
        begins, ends: the first segment of each, and the one behind its last.
    """

    places: tuple[int, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]


class Segments:
    """Differences of cotangent probes, taken in segments of the audio: many knots of a curve in one render.

    One control is moved at a time, at every `stride`-th knot. `stride` is the memory of the effect, in knots, and 2 more (held
    curves: 1 more). So all slopes of `A` controls that move and of `C` constant ones take `C + A · stride` renders, whatever the
    number of knots. With fewer `samples`, each item of a batch draws as many of these groups, and the estimate is right on average.

    It is right as far as the memory is: filters, gains, distortions and compressors forget within a few knots. A delay or a reverb
    does not, and gets one knot a probe: no better than `Coordinates`, and as right. Parameters without knots are probed alone.

    Its slopes are those of a cotangent, for small steps, also in `layer.loss`.

    Args:
        samples: probes of each item, at most.
        step: in (0, 0.5], of the normalised range; or one for each parameter, by name. The side is drawn.
        memory: seconds for which a change of a setting is heard, as `Inspection.memory` has it. By default the first estimate
            measures it, with one render of one item for each control that moves, and remembers it.
    """

    def __init__(self, samples: int = 16, step: Step = USUAL_STEP, memory: float | None = None) -> None:
        if not (isinstance(samples, int) and samples >= 1):
            raise EstimatorError(f"Segments: samples={samples!r} must be a whole number, 1 or more")
        if not (memory is None or (isinstance(memory, (int, float)) and memory >= 0.0)):
            raise EstimatorError(f"Segments: memory={memory!r} must be seconds, 0 or more, or None to measure it")
        self.samples, self.memory = samples, memory
        self.step = check_steps("Segments", step)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(samples={self.samples}, step={self.step}, memory={self.memory})"

    def promises(self, parameters: int) -> Promises:
        """For parameters without knots."""
        whole = self.samples >= parameters
        return Promises(
            exact_degree=int(whole), unbiased_degree=2, order=2, probes=min(self.samples, parameters), segments=True
        )

    def estimate(self, problem: Problem) -> Estimate:
        if not problem.count:
            return Estimate(torch.zeros_like(problem.point))
        effect = problem.effect
        controls = rows(problem.space)
        moving = [row for row in controls if row.moves]
        if not moving or effect is None or effect.find_segments is None or effect.sample_rate is None:
            controls, moving = [Row("", i) for i in range(problem.count)], []
        elif self.memory is None:
            self.memory = memory_of(problem, moving)
        groups = groups_of(controls, self.memory or 0.0)
        drawn = self._draw(problem, len(groups))  # [K, B]
        down, up = reach(problem, self.step)
        even = torch.isclose(up, -down, rtol=1e-6, atol=0.0)
        upwards = torch.where(even, torch.randint(0, 2, up.shape, generator=problem.generator).bool(), up > -down)
        travel = torch.where(upwards, up, down)
        mask = torch.zeros(len(groups), problem.count, dtype=torch.bool)
        for group, row in zip(groups, mask, strict=True):
            row[list(group.places)] = True
        points = torch.where(mask[drawn], (problem.point + travel).clamp(0.0, 1.0), problem.point)
        if moving:
            assert effect is not None
            bounds = _bounds(moving[0], effect.sample_rate or 1.0, effect.input.shape[-1])
            differences = problem.probe_segments(points, bounds) - effect.products(bounds)
        else:
            differences = (problem.probe(points) - problem.value)[..., None]
        sums = torch.nn.functional.pad(differences.cumsum(dim=-1), (1, 0))  # [K, B, S + 1]
        places, begins, ends = (table[drawn] for table in _tables(groups))  # [K, B, W]
        change = sums.gather(-1, ends) - sums.gather(-1, begins)
        slopes = change / (points - problem.point).gather(-1, places) * (len(groups) / len(drawn))
        slopes = torch.where(ends > begins, slopes, 0.0).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        gradient = torch.zeros_like(problem.point)
        for where, slope in zip(places, slopes, strict=True):
            gradient.scatter_add_(1, where, slope)
        return Estimate(gradient)

    def _draw(self, problem: Problem, groups: int) -> Tensor:
        """Which groups are probed, `[K, B]`: all, or different ones for each item."""
        if self.samples >= groups:
            return torch.arange(groups)[:, None].expand(-1, problem.batch)
        order = torch.rand(problem.batch, groups, generator=problem.generator, dtype=torch.float32).argsort(dim=1)
        return order[:, : self.samples].T


def stride_of(row: Row, memory: float) -> int:
    """Knots of one control between two that a probe may move together: so many, or all of them."""
    spacing = row.seconds[1] - row.seconds[0]
    beside = 2 if row.shape == "linear" else 1
    return len(row.seconds) if math.isinf(memory) else min(len(row.seconds), math.ceil(memory / spacing - _SLIGHT) + beside)


def groups_of(controls: Sequence[Row], memory: float) -> list[Group]:
    """The parameters that are moved together, for a memory in seconds: no two of a group are heard at the same time."""
    groups = []
    segments = max(len(row.seconds) for row in controls)
    for row in controls:
        if not row.moves:
            groups.append(Group((row.start,), (0,), (max(1, segments),)))
            continue
        stride, early = stride_of(row, memory), int(row.shape == "linear")
        for first in range(stride):
            knots = range(first, len(row.seconds), stride)
            begins = [max(0, k - early) for k in knots]
            groups.append(Group(tuple(row.start + k for k in knots), tuple(begins), (*begins[1:], segments)))
    return groups


def _tables(groups: Sequence[Group]) -> tuple[Tensor, Tensor, Tensor]:
    """Places, begins and ends of all groups, `[G, W]` each; what is missing in a row is heard in no segment."""
    widest = max(len(group.places) for group in groups)
    tables = torch.zeros(3, len(groups), widest, dtype=torch.int64)
    for i, group in enumerate(groups):
        tables[:, i, : len(group.places)] = torch.tensor([group.places, group.begins, group.ends])
    places, begins, ends = tables
    return places, begins, ends


def _bounds(row: Row, sample_rate: float, samples: int) -> Tensor:
    """`[M + 1]`: segment `m` is from knot `m` to the next, the last one to the end of the audio."""
    starts = torch.tensor(row.seconds, dtype=torch.float64) * sample_rate
    return torch.cat([starts.ceil().clamp(max=samples).long(), torch.tensor([samples])])
