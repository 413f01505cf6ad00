"""Estimators by name: `"spsa:samples=4"` becomes an estimator.

A third party registers its own estimator in its `pyproject.toml`, without touching the core:

    [project.entry-points."blackbox_grad.estimators"]
    mine = "my_package:MyEstimator"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from blackbox_grad.by_name import made
from blackbox_grad.dependencies import entry_points_of
from blackbox_grad.errors import EstimatorError

if TYPE_CHECKING:
    from blackbox_grad.effects.spec import EffectSpec
    from blackbox_grad.estimators.base import Estimator

ESTIMATORS = "blackbox_grad.estimators"


def estimator_names() -> list[str]:
    """Names of all registered estimators."""
    return sorted(entry_points_of(ESTIMATORS))


def estimator(description: str | Estimator, spec: EffectSpec | None = None) -> Estimator:
    """An estimator from `"name"` or `"name:option=value,option=value"`; an estimator passes through.

    A name with a dot is a class that is not registered, in an importable module: `"my_package.Mine:step=0.02"`.

    With `spec` it is the one for this effect: what the estimator's method `for_effect` returns, if it has one.

    >>> estimator("spsa:samples=4,step=0.05")
    SPSA(samples=4, sides=2, directions='rademacher', step=0.05)
    """
    found = _estimator(description)
    return found if spec is None or not hasattr(found, "for_effect") else cast("Estimator", found.for_effect(spec))


def _estimator(description: str | Estimator) -> Estimator:
    if not isinstance(description, str):
        if isinstance(description, type):
            raise EstimatorError(f"{description.__name__} is a class; give an instance: {description.__name__}()")
        if not callable(getattr(description, "estimate", None)):
            raise EstimatorError(f"{description!r} is not an estimator: it has no method estimate(problem)")
        return description
    return cast("Estimator", made(ESTIMATORS, "estimator", description, EstimatorError, "estimate"))
