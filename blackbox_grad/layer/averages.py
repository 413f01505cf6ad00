"""Probes as means: for effects that play with random numbers, so that equal renders differ."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.repeatability import REPEATABLE
from blackbox_grad.errors import EstimatorError, NotRepeatableWarning
from blackbox_grad.estimators.problem import Probe

#: Renders of which a probe is the mean, where equal renders differ by more than `REPEATABLE`.
AVERAGED = 8


class Averages:
    """How many renders a probe is the mean of.

    Args:
        info: of the effect.
        wanted: renders; None for 1, or for `AVERAGED` if the effect is not repeatable.
    """

    def __init__(self, info: EffectInfo, wanted: int | None) -> None:
        if wanted is not None and not (isinstance(wanted, int) and wanted >= 1):
            raise EstimatorError(f"averages={wanted!r} must be a whole number, 1 or more, or None")
        noisy = info.repeatability > REPEATABLE
        self.count = wanted or (AVERAGED if noisy else 1)
        self._info, self._silent = info, not noisy or wanted is not None

    def probe(self, evaluate: Probe, points: Tensor) -> Tensor:
        """`evaluate(points)`, the mean of `count` times. What is not finite is left out."""
        if self.count == 1:
            return evaluate(points)
        return _mean(evaluate(points.repeat(self.count, 1, 1)), self.count)

    def value(self, first: Tensor, evaluate: Probe, point: Tensor) -> Tensor:
        """`[B]`, at `point: [B, P]`, where one value is known already: the mean of it and `count - 1` others."""
        if self.count == 1:
            return first
        return _mean(torch.cat([first[None], evaluate(point.repeat(self.count - 1, 1, 1))]), self.count)[0]

    def say(self) -> None:
        """Warn, once, that a gradient costs more renders than its estimator says."""
        if not self._silent:
            self._silent = True
            warnings.warn(
                f"{self._info.spec.address}: equal renders differ by {self._info.repeatability:.2g} of their size (random numbers "
                f"that no host can reset), so each probe is the mean of {self.count} renders. averages={self.count} says that this "
                "is meant, and averages=1 turns it off",
                NotRepeatableWarning,
                stacklevel=4,
            )


def _mean(values: Tensor, count: int) -> Tensor:
    """`[count·K, B] -> [K, B]`."""
    return values.reshape(count, -1, values.shape[-1]).nanmean(dim=0)
