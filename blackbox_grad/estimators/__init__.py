"""Gradients of a batch of scalar functions on the unit box, from few evaluations. One estimator a file.

An estimator of one's own is one class with one method:

    class Mine:
        def estimate(self, problem: Problem) -> Estimate: ...
"""

from __future__ import annotations

from blackbox_grad.estimators.auto import Auto
from blackbox_grad.estimators.base import Estimate, Estimator, Promises, promises_of
from blackbox_grad.estimators.by_name import estimator, estimator_names
from blackbox_grad.estimators.chords import Chords
from blackbox_grad.estimators.coordinates import Coordinates
from blackbox_grad.estimators.finite_difference import FiniteDifference
from blackbox_grad.estimators.inspected import Inspected
from blackbox_grad.estimators.lti import LTI
from blackbox_grad.estimators.problem import Problem, ProblemEffect, ProblemLoss
from blackbox_grad.estimators.segments import Segments
from blackbox_grad.estimators.spsa import SPSA
from blackbox_grad.estimators.steps import USUAL_STEP, Step, check_step, check_steps, reach
from blackbox_grad.estimators.straight_through import StraightThrough

__all__ = [
    "LTI",
    "SPSA",
    "USUAL_STEP",
    "Auto",
    "Chords",
    "Coordinates",
    "Estimate",
    "Estimator",
    "FiniteDifference",
    "Inspected",
    "Problem",
    "ProblemEffect",
    "ProblemLoss",
    "Promises",
    "Segments",
    "Step",
    "StraightThrough",
    "check_step",
    "check_steps",
    "estimator",
    "estimator_names",
    "promises_of",
    "reach",
]
