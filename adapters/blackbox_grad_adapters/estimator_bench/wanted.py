"""Which measurements to make."""

from __future__ import annotations

from blackbox_grad.estimators import estimator as find_estimator
from blackbox_grad_adapters.estimator_bench import amortised, progress, quality
from blackbox_grad_adapters.estimator_bench.methods import FAMILIES, RIVALS, TRAINERS, Kind, Method, at_two_renders
from blackbox_grad_adapters.estimator_bench.results import KEYS
from blackbox_grad_adapters.estimator_bench.runner import Cell


class Wanted:
    """The measurements to make, for all rivals or for some estimators.

    Raises:
        EstimatorError: there is no such estimator.
    """

    #: what identifies a measurement, in the order of its arguments
    keys = KEYS | {"quality": ("task", "method", "kind")}

    def __init__(self, names: list[str] | None, kinds: list[Kind], rates: list[float], seeds: int) -> None:
        self._rates = rates
        self._seeds = range(seeds)
        self._methods, self._trainers = RIVALS, TRAINERS
        self._families: list[tuple[str, Kind]] = [(family, kind) for family in FAMILIES for kind in kinds]
        if names:
            searches = tuple(m for m in RIVALS if m.kind == "search" and m.name in names)
            estimators = [name for name in names if Method(name, "search") not in searches]
            for name in estimators:
                find_estimator(at_two_renders(name))  # fails now if it does not exist
            self._trainers = tuple(Method(at_two_renders(name), kind) for name in estimators for kind in kinds)
            self._methods = searches + self._trainers
            self._families = [(name, kind) for name in estimators for kind in kinds]

    def cells(self, part: str, tasks: list[str]) -> list[Cell]:
        """Those of one part of the bench, on some tasks."""
        if part == "quality":
            return [(quality.measure, (task, *family)) for task in tasks for family in self._families]
        if part == "amortised":
            runs = [(m.name, m.kind, rate, s) for m in self._trainers for rate in amortised.RATES for s in self._seeds]
            return [(amortised.measure, r) for r in runs]
        return [
            (progress.measure, (task, method.name, method.kind, rate, seed))
            for task in tasks
            for method in self._methods
            for rate in method.rates
            if method.kind == "search" or not self._rates or rate in self._rates
            for seed in self._seeds
        ]
