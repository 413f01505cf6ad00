"""The conformance kit: the promises of effects, estimators, hosts and losses as laws, to test any implementation.

    from blackbox_grad.testing import check_effect

    check_effect("pedalboard-builtin:Reverb")

The names below are loaded at first use: importing this module imports no torch, pytest or audio host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blackbox_grad.dependencies import lazy_names

if TYPE_CHECKING:
    from blackbox_grad.testing import strategies as strategies
    from blackbox_grad.testing.beside import BESIDE_LAWS as BESIDE_LAWS
    from blackbox_grad.testing.curves import CURVE_LAWS as CURVE_LAWS
    from blackbox_grad.testing.effects import EFFECT_LAWS as EFFECT_LAWS
    from blackbox_grad.testing.effects import EffectCheck as EffectCheck
    from blackbox_grad.testing.effects import check_effect as check_effect
    from blackbox_grad.testing.estimators import ESTIMATOR_LAWS as ESTIMATOR_LAWS
    from blackbox_grad.testing.estimators import check_estimator as check_estimator
    from blackbox_grad.testing.examination import CheckFailed as CheckFailed
    from blackbox_grad.testing.hosts import HOST_LAWS as HOST_LAWS
    from blackbox_grad.testing.hosts import check_host as check_host
    from blackbox_grad.testing.instruments import INSTRUMENT_LAWS as INSTRUMENT_LAWS
    from blackbox_grad.testing.losses import LOSS_LAWS as LOSS_LAWS
    from blackbox_grad.testing.losses import check_loss as check_loss
    from blackbox_grad.testing.pytest_items import parametrize_estimators_with_checks as parametrize_estimators_with_checks
    from blackbox_grad.testing.pytest_items import parametrize_with_checks as parametrize_with_checks

_HOME = {
    "BESIDE_LAWS": "beside",
    "CURVE_LAWS": "curves",
    "CheckFailed": "examination",
    "EFFECT_LAWS": "effects",
    "ESTIMATOR_LAWS": "estimators",
    "EffectCheck": "effects",
    "HOST_LAWS": "hosts",
    "INSTRUMENT_LAWS": "instruments",
    "LOSS_LAWS": "losses",
    "check_effect": "effects",
    "check_estimator": "estimators",
    "check_host": "hosts",
    "check_loss": "losses",
    "parametrize_estimators_with_checks": "pytest_items",
    "parametrize_with_checks": "pytest_items",
}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOME, ["strategies"])
