"""Gradients of a batch of scalar functions on the unit box, from few evaluations. One estimator a file."""

from __future__ import annotations

from blackbox_grad.estimators.auto import Auto
from blackbox_grad.estimators.base import Estimate, Estimator, Promises
from blackbox_grad.estimators.by_name import ESTIMATORS, estimator, estimator_names
from blackbox_grad.estimators.coordinates import Coordinates
from blackbox_grad.estimators.finite_difference import FiniteDifference
from blackbox_grad.estimators.lti import LTI
from blackbox_grad.estimators.problem import Problem
from blackbox_grad.estimators.spsa import SPSA
from blackbox_grad.estimators.steps import USUAL_STEP, Step, check_step, check_steps, reach
from blackbox_grad.estimators.straight_through import StraightThrough

__all__ = [
    "ESTIMATORS",
    "LTI",
    "SPSA",
    "USUAL_STEP",
    "Auto",
    "Coordinates",
    "Estimate",
    "Estimator",
    "FiniteDifference",
    "Problem",
    "Promises",
    "Step",
    "StraightThrough",
    "check_step",
    "check_steps",
    "estimator",
    "estimator_names",
    "reach",
]
