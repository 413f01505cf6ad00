"""Finite differences of a few random parameters per item: influential ones often, the others seldom.

Most of a gradient lies along few parameters. A probe that moves one alone gives its slope exactly. Strong parameters do not hide
weak ones, as they do if all move at once.

Yu. Nesterov, "Efficiency of coordinate descent methods on huge-scale optimization problems", SIAM J. Optim. 22(2), 2012,
doi:10.1137/100802001. The probabilities are those of least variance: P. Zhao, T. Zhang, "Stochastic optimization with importance
sampling for regularized loss minimization", ICML 2015, arXiv:1401.2753.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real

import torch
from torch import Tensor

from blackbox_grad.errors import EstimatorError
from blackbox_grad.estimators.base import Estimate, Promises
from blackbox_grad.estimators.problem import Problem
from blackbox_grad.estimators.steps import USUAL_STEP, Step, check_steps, reach
from blackbox_grad.parameters.space import ParameterSpace

#: This part of all draws is spread evenly, so that no slope is ever multiplied by more than P / (0.2 · samples).
_EVEN = 0.2


class Coordinates:
    """Differences along single parameters, `samples` of them for each item, divided by the probability of drawing them.

    The estimate is right on average for all probabilities; they only set the variance of single estimates. They follow the earlier
    slopes, in all items: a parameter is drawn in proportion to the root mean square of its slopes. At first, all are drawn equally
    often. With `samples` >= P each is probed once, and nothing is random but the side.

    Its memory belongs to one effect and one loss: use one `Coordinates` for each layer. It makes two equal calls differ; two equal
    runs, from new estimators, are equal.

    Args:
        samples: probes of each item; never more than parameters.
        step: in (0, 0.5], of the normalised range; or one for each parameter, by name, and 0.01 for those that are not named. A
            stepped parameter moves by whole levels. The side is drawn, unless a face of the box is near.
        memory: in [0, 1): the weight of the past after every estimate. 0: no memory, all are drawn equally often.
        influence: expected sizes of the slopes, by name, in any unit; 0 or more. It counts until a slope was measured.

    A parameter whose probe is not finite gets the gradient 0.
    """

    def __init__(
        self, samples: int = 2, step: Step = USUAL_STEP, memory: float = 0.95, influence: Mapping[str, float] | None = None
    ) -> None:
        if not (isinstance(samples, int) and samples >= 1):
            raise EstimatorError(f"Coordinates: samples={samples!r} must be a whole number, 1 or more")
        if not (isinstance(memory, (int, float)) and 0.0 <= memory < 1.0):
            raise EstimatorError(f"Coordinates: memory={memory!r} must lie in [0, 1); 0 remembers nothing")
        if not (influence is None or isinstance(influence, Mapping)):
            raise EstimatorError(f"Coordinates: influence={influence!r} must map names of parameters to numbers")
        if wrong := {name: v for name, v in (influence or {}).items() if not (isinstance(v, Real) and 0.0 <= v < math.inf)}:
            raise EstimatorError(f"Coordinates: influence={wrong} must be 0 or more, and finite")
        self.samples, self.memory, self.influence = samples, memory, influence
        self.step = check_steps("Coordinates", step)
        self._names: tuple[str, ...] = ()
        self._expected = self._squares = self._counts = torch.empty(0, dtype=torch.float64)

    def __repr__(self) -> str:
        return f"Coordinates(samples={self.samples}, step={self.step}, memory={self.memory})"

    def promises(self, parameters: int) -> Promises:
        return Promises(
            exact_degree=1 if self.samples >= parameters else 0,
            unbiased_degree=2,
            order=2,
            probes=min(self.samples, parameters),
        )

    def informed(self, steps: Mapping[str, float], influence: Mapping[str, float]) -> Coordinates:
        """The same with a step for each parameter, and with their expected slopes."""
        return Coordinates(self.samples, steps, self.memory, influence)

    def estimate(self, problem: Problem) -> Estimate:
        if not problem.count:
            return Estimate(torch.zeros_like(problem.point))
        if problem.space.names != self._names:
            self._begin(problem.space)
        count = min(self.samples, problem.count)
        probability = _inclusion(self._importance(), count)
        drawn = _draw(probability, count, problem.batch, problem.generator)  # [B, K]
        down, up = reach(problem, self.step)
        travel = _sides(down, up, problem.generator).gather(1, drawn)
        moved = (problem.point.gather(1, drawn) + travel).clamp(0.0, 1.0)
        points = problem.point.expand(count, -1, -1).clone()
        points.scatter_(2, drawn.T[:, :, None], moved.T[:, :, None])
        slopes = (problem.probe(points).T - problem.value[:, None]) / (moved - problem.point.gather(1, drawn))
        finite = torch.isfinite(slopes)
        self._learn(drawn[finite], slopes[finite])
        slopes = torch.where(finite, slopes, 0.0) / probability[drawn]
        return Estimate(torch.zeros_like(problem.point).scatter_(1, drawn, slopes))

    def _begin(self, space: ParameterSpace) -> None:
        """Forget everything but `influence`."""
        self._names = space.names
        known = {space.names[space.index(name)]: float(value) for name, value in (self.influence or {}).items()}
        largest = max(known.values(), default=0.0) or 1.0
        usual = sum(value / largest for value in known.values()) / len(known) if known else 1.0
        expected = [known[name] / largest if name in known else usual for name in space.names]
        self._expected = torch.tensor(expected, dtype=torch.float64).square()
        self._squares, self._counts = torch.zeros(2, len(expected), dtype=torch.float64)

    def _importance(self) -> Tensor:
        """`[P]`: the size of the slopes, in any unit: the measured size, or else at most the expected one."""
        seen = self._counts > 0
        found = self._squares / torch.where(seen, self._counts, 1.0)
        known = seen & (self._expected > 0)
        unit = (found[known] / self._expected[known]).max() if known.any() else 1.0
        return torch.where(seen, found, self._expected * unit).sqrt()

    def _learn(self, drawn: Tensor, slopes: Tensor) -> None:
        """From slopes `[N]` of the parameters `drawn: [N]`."""
        if self.memory == 0.0:
            return
        largest = slopes.abs().max() if len(slopes) else torch.tensor(0.0, dtype=torch.float64)
        if not 1e-100 < largest < 1e100:  # their squares say nothing
            return
        self._squares = (self.memory * self._squares).index_add(0, drawn, slopes.square())
        self._counts = (self.memory * self._counts).index_add(0, drawn, torch.ones_like(slopes))


def _inclusion(importance: Tensor, count: int) -> Tensor:
    """`[P]`: probabilities that add up to `count`, in proportion to the importance where none exceeds 1, and never 0."""
    parameters = len(importance)
    share = importance / importance.sum() if importance.sum() > 0 else torch.full_like(importance, 1 / parameters)
    share = (1.0 - _EVEN) * share + _EVEN / parameters
    probability, sure = torch.zeros_like(share), torch.zeros(parameters, dtype=torch.bool)
    while int(sure.sum()) < count:
        left = torch.where(sure, 0.0, share)
        probability = torch.where(sure, 1.0, left / left.sum() * (count - sure.sum()))
        if not (probability > 1.0).any():
            return probability
        sure |= probability >= 1.0
    return torch.where(sure, 1.0, probability)


def _draw(probability: Tensor, count: int, batch: int, generator: torch.Generator) -> Tensor:
    """`[B, K]`: different parameters for each item, each with its probability; systematic sampling in a random order.

    W. G. Madow, "On the theory of systematic sampling, II", Ann. Math. Statist. 20(3), 1949, doi:10.1214/aoms/1177729988.
    """
    order = torch.rand(batch, len(probability), generator=generator, dtype=torch.float32).argsort(dim=1)
    ends = probability[order].cumsum(dim=1)
    marks = torch.rand(batch, 1, generator=generator, dtype=torch.float64) + torch.arange(count)
    chosen = torch.searchsorted(ends / ends[:, -1:] * count, marks, right=True).clamp(max=len(probability) - 1)
    return order.gather(1, chosen)


def _sides(down: Tensor, up: Tensor, generator: torch.Generator) -> Tensor:
    """`[B, P]`: one of the two ways, drawn; the longer one where the other is cut off by a face of the box."""
    even = torch.isclose(up, -down, rtol=1e-6, atol=0.0)
    upwards = torch.where(even, torch.randint(0, 2, up.shape, generator=generator).bool(), up > -down)
    return torch.where(upwards, up, down)
