"""Pytest decorators: one item for every effect or estimator and every law, with named expected failures."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.testing.effects import EFFECT_LAWS, check_effect
from blackbox_grad.testing.examination import CheckFailed

if TYPE_CHECKING:
    from blackbox_grad.estimators.base import Estimator

#: name of the effect or estimator -> law -> reason
ExpectedFailures: TypeAlias = Mapping[str, Mapping[str, str]]

#: Pytest marks for the effect or estimator of this name.
Marks: TypeAlias = Callable[[str], Sequence[Any]]


def parametrize_with_checks(
    effects: Sequence[EffectSpec | str], expected_failures: ExpectedFailures | None = None, marks: Marks | None = None
) -> Any:
    """Pytest decorator: one item for every effect and law. The test takes `effect` and `check` and calls `check(effect)`.

    Args:
        effects: addresses or specs.
        expected_failures: address -> law -> reason. These items must fail: it is an error if one passes.
        marks: pytest marks for an address.
    """
    named = [(effect.address if isinstance(effect, EffectSpec) else effect, effect) for effect in effects]
    laws = [name for name, _ in EFFECT_LAWS]
    return _parametrize("effect", named, laws, check_effect, expected_failures or {}, marks)


def parametrize_estimators_with_checks(
    estimators: Sequence[Estimator | str], expected_failures: ExpectedFailures | None = None, marks: Marks | None = None
) -> Any:
    """The same for estimators: the test takes `estimator` and `check` and calls `check(estimator)`.

    Args:
        estimators: names with options ("spsa:samples=2"), or estimators, whose name here is their `repr`.
        expected_failures: name -> law -> reason. These items must fail: it is an error if one passes.
        marks: pytest marks for a name.
    """
    from blackbox_grad.testing.estimators import ESTIMATOR_LAWS, check_estimator

    named = [(estimator if isinstance(estimator, str) else repr(estimator), estimator) for estimator in estimators]
    laws = [law.name for law in ESTIMATOR_LAWS]
    return _parametrize("estimator", named, laws, check_estimator, expected_failures or {}, marks)


def _parametrize(
    kind: str,
    named: Sequence[tuple[str, Any]],
    laws: Sequence[str],
    check: Callable[..., Any],
    expected: ExpectedFailures,
    marks: Marks | None,
) -> Any:
    import pytest

    for name, reasons in expected.items():
        if name not in dict(named):
            raise ValueError(f"expected_failures: {name!r} is not among the {kind}s: {', '.join(dict(named))}")
        for law in reasons:
            if law not in laws:
                raise ValueError(f"expected_failures of {name!r}: no {kind} law {law!r}; there are: {', '.join(laws)}")
    items = []
    for name, subject in named:
        for law in laws:
            own = list(marks(name)) if marks else []
            if reason := expected.get(name, {}).get(law):
                own.append(pytest.mark.xfail(raises=CheckFailed, reason=reason, strict=True))
            items.append(pytest.param(subject, functools.partial(check, laws=(law,)), marks=own, id=f"{name}-{law}"))
    return pytest.mark.parametrize((kind, "check"), items)
