"""The methods that are compared: estimators with Adam, and searches without gradients.

Published systems use `spsa` (two-sided, one direction, step 0.01) with Adam: M. A. Martínez Ramírez, O. Wang, P. Smaragdis,
N. J. Bryan, "Differentiable signal processing with black-box audio effects", ICASSP 2021, arXiv:2105.04752.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["cotangent", "loss", "search"]

#: Learning rates of Adam on the settings: the same for all estimators.
RATES = (0.01, 0.03, 0.1)

_ORTHOGONAL = "spsa:samples=2,sides=1,directions=orthogonal"
_TORCHOPT = "blackbox_grad_adapters.estimator_bench.torchopt_estimator.TorchOpt"


@dataclass(frozen=True)
class Method:
    """Something that lowers the loss of a task.

    Attributes:
        name: of an estimator, with its options, of an optimiser of nevergrad, "DFO-LS", or "match".
        kind: what the estimator probes, or "search" for an optimiser without gradients.
    """

    name: str
    kind: Kind

    @property
    def label(self) -> str:
        """Its name in a table."""
        return self.name.replace("blackbox_grad_adapters.estimator_bench.torchopt_estimator.", "")

    @property
    def rates(self) -> tuple[float, ...]:
        """The step sizes to try."""
        return (0.0,) if self.kind == "search" else RATES


#: The method of published systems.
PUBLISHED = Method("spsa", "cotangent")

#: Methods that run on all tasks.
RIVALS: tuple[Method, ...] = (
    PUBLISHED,
    Method("spsa", "loss"),
    Method(_ORTHOGONAL, "cotangent"),
    Method(_ORTHOGONAL, "loss"),
    Method("coordinates", "cotangent"),
    Method("coordinates", "loss"),
    Method("finite-difference:scheme=forward", "cotangent"),
    Method("finite-difference:scheme=forward", "loss"),
    Method("finite-difference", "cotangent"),
    Method("finite-difference", "loss"),
    Method(f"{_TORCHOPT}:method=forward", "loss"),
    Method(f"{_TORCHOPT}:method=antithetic", "loss"),
    Method("CMA", "search"),
    Method("TwoPointsDE", "search"),
    Method("OnePlusOne", "search"),
    Method("DFO-LS", "search"),
    Method("auto:items=1", "loss"),
    Method("match", "search"),
)

#: Methods that fit into the table of effects.
COLUMNS = (
    PUBLISHED,
    Method("coordinates", "loss"),
    Method("CMA", "search"),
    Method("auto:items=1", "loss"),
    Method("match", "search"),
)

#: Families of estimators, to compare their gradients at equal renders: `{m}` stands for the renders, `{pairs}` for half of them.
FAMILIES = (
    "spsa:samples={pairs}",
    "spsa:samples={m},sides=1",
    "spsa:samples={m},sides=1,directions=orthogonal",
    "coordinates:samples={m}",
    "auto:samples={m},inspection=measure",
    "finite-difference:scheme=forward",
    "finite-difference",
    f"{_TORCHOPT}:method=forward,samples={{m}}",
    f"{_TORCHOPT}:method=antithetic,samples={{pairs}}",
)

#: Methods that train a network.
TRAINERS: tuple[Method, ...] = (
    PUBLISHED,
    Method(_ORTHOGONAL, "cotangent"),
    Method(_ORTHOGONAL, "loss"),
    Method("finite-difference:scheme=forward", "cotangent"),
    Method("coordinates", "cotangent"),
    Method("coordinates", "loss"),
    Method("auto:inspection=measure", "cotangent"),
)


def at_two_renders(family: str) -> str:
    """The estimator of a family with two renders per gradient; a single estimator passes through."""
    return family.format(m=2, pairs=1) if "{" in family else family
