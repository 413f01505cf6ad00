"""The methods that are compared: estimators with Adam, and searches without gradients.

Published systems use `spsa` (two-sided, one direction, step 0.01) with Adam: M. A. Martínez Ramírez, O. Wang, P. Smaragdis,
N. J. Bryan, "Differentiable signal processing with black-box audio effects", ICASSP 2021, arXiv:2105.04752.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from blackbox_grad.module import DEFAULT_ESTIMATOR

Kind = Literal["cotangent", "loss", "search"]

#: Learning rates of Adam: the same for all estimators.
RATES = (0.01, 0.03, 0.1)

_TORCHOPT = "benchmarks.estimators.torchopt_estimator.TorchOpt"


@dataclass(frozen=True)
class Method:
    """Something that lowers the loss of a task.

    Attributes:
        name: of an estimator, with its options, or of an optimiser of nevergrad.
        kind: what the estimator probes, or "search" for an optimiser that needs no gradient.
    """

    name: str
    kind: Kind

    @property
    def rates(self) -> tuple[float, ...]:
        """The step sizes to try."""
        return (0.0,) if self.kind == "search" else RATES


#: What a user's estimator is compared with.
RIVALS = (
    Method("spsa", "cotangent"),
    Method("spsa", "loss"),
    Method(DEFAULT_ESTIMATOR, "cotangent"),
    Method(DEFAULT_ESTIMATOR, "loss"),
    Method("finite-difference:scheme=forward", "cotangent"),
    Method("finite-difference:scheme=forward", "loss"),
    Method("finite-difference", "cotangent"),
    Method("finite-difference", "loss"),
    Method(f"{_TORCHOPT}:method=forward", "loss"),
    Method(f"{_TORCHOPT}:method=antithetic", "loss"),
    Method("CMA", "search"),
    Method("TwoPointsDE", "search"),
    Method("OnePlusOne", "search"),
)
