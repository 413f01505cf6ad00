"""blackbox_grad: any audio effect plug-in as an ordinary differentiable torch module.

The names below are the public interface. They are loaded when first used, so that a host process never imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blackbox_grad.dependencies import lazy_names

if TYPE_CHECKING:
    from blackbox_grad import audio_files as audio_files
    from blackbox_grad import cache as cache
    from blackbox_grad import cli as cli
    from blackbox_grad import dependencies as dependencies
    from blackbox_grad import effects as effects
    from blackbox_grad import errors as errors
    from blackbox_grad import estimators as estimators
    from blackbox_grad import files as files
    from blackbox_grad import hosts as hosts
    from blackbox_grad import inspection as inspection
    from blackbox_grad import interrupts as interrupts
    from blackbox_grad import layer as layer
    from blackbox_grad import losses as losses
    from blackbox_grad import parameters as parameters
    from blackbox_grad import reports as reports
    from blackbox_grad import search as search
    from blackbox_grad import testing as testing
    from blackbox_grad.effects import Automated as Automated
    from blackbox_grad.effects import Backend as Backend
    from blackbox_grad.effects import Effect as Effect
    from blackbox_grad.effects import EffectSpec as EffectSpec
    from blackbox_grad.effects import Note as Note
    from blackbox_grad.effects import Notes as Notes
    from blackbox_grad.effects import PluginEffect as PluginEffect
    from blackbox_grad.effects import chain as chain
    from blackbox_grad.effects import load as load
    from blackbox_grad.estimators import LTI as LTI
    from blackbox_grad.estimators import SPSA as SPSA
    from blackbox_grad.estimators import Auto as Auto
    from blackbox_grad.estimators import Chords as Chords
    from blackbox_grad.estimators import Coordinates as Coordinates
    from blackbox_grad.estimators import Estimate as Estimate
    from blackbox_grad.estimators import Estimator as Estimator
    from blackbox_grad.estimators import FiniteDifference as FiniteDifference
    from blackbox_grad.estimators import Inspected as Inspected
    from blackbox_grad.estimators import Problem as Problem
    from blackbox_grad.estimators import Segments as Segments
    from blackbox_grad.estimators import StraightThrough as StraightThrough
    from blackbox_grad.hosts import Host as Host
    from blackbox_grad.hosts import InProcessHost as InProcessHost
    from blackbox_grad.hosts import ProcessPool as ProcessPool
    from blackbox_grad.hosts import default_host as default_host
    from blackbox_grad.inspection import Inspection as Inspection
    from blackbox_grad.inspection import inspect_effect as inspect_effect
    from blackbox_grad.inspection import scan as scan
    from blackbox_grad.layer import DifferentiableEffect as DifferentiableEffect
    from blackbox_grad.layer import Renderer as Renderer
    from blackbox_grad.losses import FeatureLoss as FeatureLoss
    from blackbox_grad.matching import Match as Match
    from blackbox_grad.matching.match import match as match
    from blackbox_grad.parameters import Parameter as Parameter
    from blackbox_grad.parameters import ParameterSpace as ParameterSpace


_HOME = {
    "Auto": "estimators",
    "Automated": "effects",
    "Backend": "effects",
    "Chords": "estimators",
    "Coordinates": "estimators",
    "DifferentiableEffect": "layer",
    "Effect": "effects",
    "EffectSpec": "effects",
    "Estimate": "estimators",
    "Estimator": "estimators",
    "FeatureLoss": "losses",
    "FiniteDifference": "estimators",
    "Host": "hosts",
    "Inspection": "inspection",
    "InProcessHost": "hosts",
    "Inspected": "estimators",
    "LTI": "estimators",
    "Match": "matching",
    "Note": "effects",
    "Notes": "effects",
    "Parameter": "parameters",
    "ParameterSpace": "parameters",
    "PluginEffect": "effects",
    "Problem": "estimators",
    "ProcessPool": "hosts",
    "Renderer": "layer",
    "SPSA": "estimators",
    "Segments": "estimators",
    "StraightThrough": "estimators",
    "chain": "effects",
    "default_host": "hosts",
    "inspect_effect": "inspection",
    "load": "effects",
    "match": "matching",
    "scan": "inspection",
}
_MODULES = (
    "audio_files",
    "cache",
    "cli",
    "dependencies",
    "effects",
    "errors",
    "estimators",
    "files",
    "hosts",
    "inspection",
    "interrupts",
    "layer",
    "losses",
    "parameters",
    "reports",
    "search",
    "testing",
)

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOME, _MODULES)
__all__ = [*__all__, "__version__"]
