"""The default estimator, composed of others."""

from __future__ import annotations

from typing import Literal

from blackbox_grad.dependencies import library
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import EstimatorError
from blackbox_grad.estimators.base import Estimate, Estimator, Promises, promises_of
from blackbox_grad.estimators.chords import Chords
from blackbox_grad.estimators.coordinates import Coordinates
from blackbox_grad.estimators.inspected import Inspected
from blackbox_grad.estimators.problem import Problem
from blackbox_grad.estimators.segments import Segments
from blackbox_grad.estimators.steps import USUAL_STEP, check_step
from blackbox_grad.inspection.examination import inspect_effect
from blackbox_grad.inspection.results import Inspection


class Auto:
    """The default: `Coordinates`, right on average. On demand `Chords` around it, for settings that are fitted, and `Inspected`.

    Where settings move, and none of these is asked for, it is `Segments`.

    Args:
        samples: probes of each item; never more than audible parameters.
        items: batches of so many items or fewer are fitted with `Chords`. 0, the default: every estimate is right on average.
        step: of parameters that the inspection recommends none for, in (0, 0.5].
        inspection: the result of `inspect_effect`, for `Inspected`. "measure": the layer measures its effect when it is made, which
            takes up to two minutes, once: the result is cached until the plug-in's file changes. By default there is none, because
            gradients must not depend on earlier measurements on a machine.

    An `Auto` belongs to one layer. What it remembers makes two equal calls differ; two equal runs, from new layers, are equal.
    """

    def __init__(
        self,
        samples: int = 2,
        items: int = 0,
        step: float = USUAL_STEP,
        inspection: Inspection | Literal["measure"] | None = None,
    ) -> None:
        if not (isinstance(items, int) and items >= 0):
            raise EstimatorError(f"Auto: items={items!r} must be a whole number, 0 or more")
        if items:
            library("scipy", "the estimator 'auto:items=…'")
        if not (inspection is None or inspection == "measure" or isinstance(inspection, Inspection)):
            raise EstimatorError(f"Auto: inspection={inspection!r} must be what inspect_effect(…) returned, 'measure' or None")
        self.samples, self.items, self.inspection = samples, items, inspection
        self.step = step

    @property
    def step(self) -> float:
        """The step of parameters without a recommended one. A change clears the memory."""
        return self._step

    @step.setter
    def step(self, step: float) -> None:
        self._step = check_step("Auto", step)
        composed: Estimator = Coordinates(self.samples, self._step)
        if self.items:
            composed = Chords(composed, self.items, self.samples)
        if isinstance(self.inspection, Inspection):
            composed = Inspected(composed, self.inspection, self._step)
        self._composed = composed

    def __repr__(self) -> str:
        found = f"<of {self.inspection.address}>" if isinstance(self.inspection, Inspection) else repr(self.inspection)
        return f"Auto(samples={self.samples}, items={self.items}, step={self.step}, inspection={found})"

    def promises(self, parameters: int) -> Promises:
        """The promises for a function without an inspection and without sounds."""
        return promises_of(self._composed, parameters)

    def for_effect(self, spec: EffectSpec) -> Estimator:
        """The estimator for an effect: with its inspection, for `inspection="measure"`; of one whose settings move, `Segments`."""
        if spec.curves is not None and not self.items and self.inspection is None:
            return Segments(self.samples, self.step)
        if self.inspection == "measure":
            found = inspect_effect(spec)
            if found.stopped == "interrupted":
                raise KeyboardInterrupt
            return Auto(self.samples, self.items, self.step, found)
        if isinstance(self._composed, Inspected):
            self._composed.for_effect(spec)
        return self

    def estimate(self, problem: Problem) -> Estimate:
        if self.inspection == "measure":
            raise EstimatorError("Auto: inspection='measure' needs an effect to measure; give inspection=inspect_effect(…)")
        return self._composed.estimate(problem)
