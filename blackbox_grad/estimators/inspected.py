"""An estimator that uses the results of an inspection."""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Sequence

import torch

from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import EstimatorError
from blackbox_grad.estimators.base import Estimate, Estimator, Promises, promises_of
from blackbox_grad.estimators.by_name import estimator as find_estimator
from blackbox_grad.estimators.problem import Problem
from blackbox_grad.estimators.steps import LARGEST_STEP, USUAL_STEP, check_step
from blackbox_grad.inspection.results import Inspection, ParameterInspection

#: A parameter matters if its influence is at least this part of the largest.
_MATTERS = 0.1


class Inspected:
    """Another estimator, for the parameters that are audible, each with its recommended step and weight.

    Parameters that do not change the sound are left out: gradient 0. The others get the steps that the inspection recommends, and
    the influential ones are probed more often from the beginning, where the estimator has a method
    `informed(steps, influence) -> Estimator`; `Coordinates`, `SPSA` and `Chords` have one.

    It warns if it probes cotangents, and a linearised loss says nothing about a parameter that matters.

    Args:
        estimator: an `Estimator`, or its name with options.
        inspection: the result of `inspect_effect`.
        step: of parameters without a recommended step, in (0, 0.5].
    """

    def __init__(self, estimator: str | Estimator, inspection: Inspection, step: float = USUAL_STEP) -> None:
        if not isinstance(inspection, Inspection):
            raise EstimatorError(f"Inspected: inspection={inspection!r} must be what inspect_effect(…) returned")
        self.estimator, self.inspection = find_estimator(estimator), inspection
        self._warned = False
        self.step = step

    @property
    def step(self) -> float:
        """Of parameters that the inspection recommends none for."""
        return self._step

    @step.setter
    def step(self, step: float) -> None:
        self._step = check_step("Inspected", step)
        #: the parameters that were audible in the last problem, and the estimator that was informed of them
        self._names: tuple[str, ...] = ()
        self._informed = self.estimator

    def __repr__(self) -> str:
        return f"Inspected({self.estimator!r}, <inspection of {self.inspection.address}>)"

    def promises(self, parameters: int) -> Promises:
        """The estimator's promises, for a function that was not inspected."""
        return promises_of(self.estimator, parameters)

    def for_effect(self, spec: EffectSpec) -> Inspected:
        """Raises `EstimatorError` for an effect other than the inspected one, or at another sample rate, as ranges follow it."""
        if self.inspection.address != spec.address:
            raise EstimatorError(f"the inspection is of {self.inspection.address}, and the effect is {spec.address}")
        if self.inspection.sample_rate != spec.sample_rate:
            raise EstimatorError(
                f"{spec.address}: the inspection was made at {self.inspection.sample_rate:g} Hz, and the effect is opened at "
                f"{spec.sample_rate:g} Hz, where ranges and steps may differ; inspect it at this rate"
            )
        return Inspected(find_estimator(self.estimator, spec), self.inspection, self.step)

    def estimate(self, problem: Problem) -> Estimate:
        names = problem.space.names
        measured = {p.name: p for p in self.inspection.parameters if p.name in names}
        if problem.effect is not None and problem.loss is None:
            self._warn_of_cotangents(measured.values())
        audible = [name for name in names if name not in measured or measured[name].reaches_sound is not False]
        gradient = torch.zeros_like(problem.point)
        if audible:
            if self._names != tuple(audible):
                self._names, self._informed = tuple(audible), self._inform(audible, measured)
            found = self._informed.estimate(problem.along(audible))
            gradient[:, [names.index(name) for name in audible]] = found.gradient
        return Estimate(gradient)

    def _inform(self, names: Sequence[str], measured: dict[str, ParameterInspection]) -> Estimator:
        """Slopes differ less than influence over a whole range: about as its root."""
        inform = getattr(self.estimator, "informed", None)
        if inform is None:
            return self.estimator
        steps = {name: min(measured[name].step or self.step, LARGEST_STEP) for name in names if name in measured}
        influence = {name: measured[name].influence for name in names if name in measured}
        known = {name: math.sqrt(value) for name, value in influence.items() if value is not None and math.isfinite(value)}
        informed: Estimator = inform(dict.fromkeys(names, self.step) | steps, known)
        return informed

    def _warn_of_cotangents(self, measured: Collection[ParameterInspection]) -> None:
        """Warn once, if cotangent probes say nothing about a parameter that matters."""
        influence = {p.name: p.influence or 0.0 for p in measured}
        lost = [p.name for p in measured if p.probe_kind == "loss" and influence[p.name] > _MATTERS * max(influence.values())]
        if lost and not self._warned:
            self._warned = True
            warnings.warn(
                f"{self.inspection.address}: a loss that is linearised at the output says almost nothing about {', '.join(lost)} "
                "(phase that moves, hidden levels). Use layer.loss(x, p, loss_fn, target), which probes the loss itself",
                stacklevel=2,
            )
