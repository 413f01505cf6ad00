"""Estimators by name: `"spsa:samples=4"` becomes an estimator.

A third party registers its own without touching the core, in its `pyproject.toml`:

    [project.entry-points."blackbox_grad.estimators"]
    mine = "my_package:MyEstimator"
"""

from __future__ import annotations

import ast
import pkgutil
from typing import TYPE_CHECKING, Any, cast

from blackbox_grad.dependencies import entry_points_of, missing_dependency
from blackbox_grad.errors import EstimatorError, MissingDependencyError, suggest

if TYPE_CHECKING:
    from blackbox_grad.effects.spec import EffectSpec
    from blackbox_grad.estimators.base import Estimator

ESTIMATORS = "blackbox_grad.estimators"


def estimator_names() -> list[str]:
    """Names of all registered estimators."""
    return sorted(entry_points_of(ESTIMATORS))


def estimator(description: str | Estimator, spec: EffectSpec | None = None) -> Estimator:
    """An estimator from `"name"` or `"name:option=value,option=value"`; an estimator passes through.

    A name with a dot is a class that is not registered, in a module that can be imported: `"my_package.Mine:step=0.02"`.

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
            raise EstimatorError(f"{description!r} is no estimator: it has no method estimate(problem)")
        return description
    name, _, options = description.partition(":")
    entries = entry_points_of(ESTIMATORS)
    if name not in entries and "." not in name:
        raise EstimatorError(f"no estimator {name!r}; {suggest(name, sorted(entries))}")
    arguments: dict[str, Any] = {}
    for pair in filter(None, (o.strip() for o in options.split(","))):
        key, equals, text = pair.partition("=")
        if not equals:
            raise EstimatorError(f"{description!r}: write options as name=value, got {pair!r}")
        try:
            arguments[key.strip()] = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError):
            arguments[key.strip()] = text.strip()
    try:
        kind = entries[name].load() if name in entries else _imported(name)
        return cast("Estimator", kind(**arguments))
    except MissingDependencyError:
        raise
    except ImportError as error:
        raise missing_dependency(error, f"estimator {name!r}") from error
    except TypeError as error:
        raise EstimatorError(f"{description!r}: {error}") from error


def _imported(name: str) -> Any:
    """What `package.module.Class` names."""
    try:
        return pkgutil.resolve_name(name)
    except (AttributeError, ValueError) as error:
        raise EstimatorError(f"no estimator {name!r}: {error}") from error
