"""blackbox_grad: any audio effect plug-in as an ordinary differentiable torch module.

The names below are the public interface. They are loaded when first used, so that a host process never imports torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blackbox_grad import errors as errors
    from blackbox_grad import testing as testing
    from blackbox_grad.effects import Backend as Backend
    from blackbox_grad.effects import Effect as Effect
    from blackbox_grad.effects import EffectSpec as EffectSpec
    from blackbox_grad.effects import PluginEffect as PluginEffect
    from blackbox_grad.effects import chain as chain
    from blackbox_grad.effects import load as load
    from blackbox_grad.estimators import Estimate as Estimate
    from blackbox_grad.estimators import Estimator as Estimator
    from blackbox_grad.estimators.auto import Auto as Auto
    from blackbox_grad.estimators.coordinates import Coordinates as Coordinates
    from blackbox_grad.estimators.finite_difference import FiniteDifference as FiniteDifference
    from blackbox_grad.estimators.lti import LTI as LTI
    from blackbox_grad.estimators.spsa import SPSA as SPSA
    from blackbox_grad.estimators.straight_through import StraightThrough as StraightThrough
    from blackbox_grad.hosts import Host as Host
    from blackbox_grad.hosts import default_host as default_host
    from blackbox_grad.hosts.in_process import InProcessHost as InProcessHost
    from blackbox_grad.hosts.process_pool import ProcessPool as ProcessPool
    from blackbox_grad.inspection import Inspection as Inspection
    from blackbox_grad.inspection import inspect_effect as inspect_effect
    from blackbox_grad.matching import Match as Match
    from blackbox_grad.matching import match as match
    from blackbox_grad.module import DifferentiableEffect as DifferentiableEffect
    from blackbox_grad.parameters import Parameter as Parameter
    from blackbox_grad.parameters import ParameterSpace as ParameterSpace
    from blackbox_grad.problem import Problem as Problem
    from blackbox_grad.scanning import scan as scan

_HOME = {
    "Auto": "estimators.auto",
    "Backend": "effects",
    "Coordinates": "estimators.coordinates",
    "DifferentiableEffect": "module",
    "Effect": "effects",
    "EffectSpec": "effects",
    "Estimate": "estimators",
    "Estimator": "estimators",
    "FiniteDifference": "estimators.finite_difference",
    "Host": "hosts",
    "Inspection": "inspection",
    "InProcessHost": "hosts.in_process",
    "LTI": "estimators.lti",
    "Match": "matching",
    "Parameter": "parameters",
    "ParameterSpace": "parameters",
    "PluginEffect": "effects",
    "Problem": "problem",
    "ProcessPool": "hosts.process_pool",
    "SPSA": "estimators.spsa",
    "StraightThrough": "estimators.straight_through",
    "chain": "effects",
    "default_host": "hosts",
    "inspect_effect": "inspection",
    "load": "effects",
    "match": "matching",
    "scan": "scanning",
}
_MODULES = ("errors", "testing")

__version__ = "0.1.0"
__all__ = [*sorted(_HOME), *_MODULES, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
