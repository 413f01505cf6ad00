"""Finite differences, one parameter at a time: few surprises, `P` or `2·P` renders."""

from __future__ import annotations

from typing import Literal

import torch

from blackbox_grad.errors import EstimatorError
from blackbox_grad.estimators.base import Estimate, Promises
from blackbox_grad.estimators.problem import Problem
from blackbox_grad.estimators.steps import check_step, reach


class FiniteDifference:
    """Differences along each parameter.

    Args:
        scheme: "central": 2·P probes, exact on quadratics, error O(step²); where a face of the box is nearer than the step, both
            points lie on the inner side and the three-point formula is used, so this holds up to the faces. "forward": P probes,
            exact on affine functions, error O(step).
        step: in (0, 0.25], of the normalised range. A stepped parameter moves by whole levels; one with two levels
            (a toggle) has only the difference between them.

    A direction with a probe that is not finite gets the gradient 0.
    """

    def __init__(self, scheme: Literal["central", "forward"] = "central", step: float = 0.01) -> None:
        if scheme not in ("central", "forward"):
            raise EstimatorError(f"FiniteDifference: scheme={scheme!r} is unknown; allowed are 'central' and 'forward'")
        self.scheme = scheme
        self.step = check_step("FiniteDifference", step)
        if step > 0.25:
            raise EstimatorError(f"FiniteDifference: step={step} must lie in (0, 0.25], so that two steps fit beside a face")

    def __repr__(self) -> str:
        return f"FiniteDifference(scheme={self.scheme!r}, step={self.step})"

    def promises(self, parameters: int) -> Promises:
        if self.scheme == "forward":
            return Promises(exact_degree=1, unbiased_degree=1, order=1, probes=parameters)
        return Promises(exact_degree=2, unbiased_degree=2, order=2, probes=2 * parameters)

    def estimate(self, problem: Problem) -> Estimate:
        down, up = reach(problem, self.step)
        longest = torch.maximum(up, -down)
        upwards = up >= longest  # unless the box ends there
        first = torch.where(upwards, up, down)
        slope_first = self._slopes(problem, first)
        if self.scheme == "forward":
            return Estimate(torch.nan_to_num(slope_first, nan=0.0, posinf=0.0, neginf=0.0))
        second = torch.where(upwards & (-down >= longest), down, 2 * first)  # the other side, or twice as far
        reached = problem.point + second
        second = torch.where((reached < 0) | (reached > 1), first, second)  # a toggle has no third point
        slope_second = self._slopes(problem, second)
        # with φ(p + t) = φ + g·t + c·t²: the slopes are g + c·a and g + c·b, and g is their combination free of c
        apart = torch.where(first == second, torch.ones_like(first), second - first)
        gradient = torch.where(first == second, slope_first, (slope_first * second - slope_second * first) / apart)
        return Estimate(torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0))

    @staticmethod
    def _slopes(problem: Problem, travel: torch.Tensor) -> torch.Tensor:
        """`[B, P]`: difference quotients for moving each parameter by `travel: [B, P]` alone."""
        count = problem.count
        points = problem.point.expand(count, -1, -1).clone()
        diagonal = torch.arange(count)
        points[diagonal, :, diagonal] = (problem.point + travel).T.clamp(0.0, 1.0)
        moved = points[diagonal, :, diagonal].T - problem.point  # what was really travelled
        return (problem.probe(points).T - problem.value[:, None]) / moved
