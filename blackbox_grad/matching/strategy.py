"""The phases of a match."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from blackbox_grad.estimators.base import Estimator
from blackbox_grad.matching.descent import Descent
from blackbox_grad.matching.objective import Kind, Objective, OnStep
from blackbox_grad.matching.result import Progress
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.search.emulator import Emulator
from blackbox_grad.search.line_search import LineSearch
from blackbox_grad.search.polish import Polish
from blackbox_grad.search.pursuit import Pursuit
from blackbox_grad.search.sampling import distinct, global_search

#: Cosine between the changes of the loss that cotangents foretell and the true ones, above which cotangents are trusted.
_AGREEMENT = 0.7


#: Below this part of the loss at the start it gives up sooner, when nothing helps any more.
_GOOD = 0.01


#: Other valleys along single parameters that are looked into.
_VALLEYS = 4


#: If there are no more settings than this, all are tried.
_FEW = 64


#: It has converged when the loss is this part of the one at the start.
ENOUGH = 1e-4


class Strategy:
    """The phases, and what is told about them."""

    def __init__(self, objective: Objective, budget: int, seed: int, on_progress: Callable[[Progress], None] | None) -> None:
        self.objective, self.budget, self.seed, self.on_progress = objective, budget, seed, on_progress
        self.history: list[Progress] = []
        self.start = math.inf
        self.phase = "search"
        self.enough = 0.0
        self.method = "search"
        self.reason = "All renders went into the search for a start."

    def everything(self, estimator: Estimator | None, probes: str) -> None:
        """Search, emulation, polish, lines; or search, descent, polish. Raises `BudgetSpent` where the renders do not suffice."""
        objective = self.objective
        if estimator is None and len(objective.space):
            objective.emulator = Emulator(objective.space, self.seed)
        self.start = float(objective.evaluate(objective.space.defaults[None])[0])
        self._tell(self.start)
        if len(objective.space) == 0:
            self.reason = "Nothing was searched: no parameter is free."
            return
        levels = [parameter.levels or math.inf for parameter in objective.space]
        if estimator is None and math.prod(levels) <= min(_FEW, objective.limit - objective.renders):
            self.method, self.reason = (
                "all settings",
                "No gradient was estimated: there are so few settings that all were tried.",
            )
            every = itertools.product(*(np.linspace(0.0, 1.0, int(count)) for count in levels))
            self._tell(float(objective.evaluate(np.array(list(every))).min()))
            return
        self.enough = ENOUGH * self.start if math.isfinite(self.start) else 0.0
        if estimator is None:
            self._emulate()
            return
        starts = self._descend(estimator, probes)
        self.phase = "polish"
        failures = 0  # three starts in a row that bring nothing are enough
        for start in [objective.best_point, *starts]:
            if objective.best_loss <= self.enough or failures == 3:
                return
            lowest = objective.best_loss
            Polish(enough=self.enough).run(objective, start, self._tell)
            failures = 0 if objective.best_loss < 0.98 * lowest else failures + 1

    def _emulate(self) -> None:
        """One attempt after the other, until two or three in a row have brought nothing."""
        objective = self.objective
        self.method = "emulator"
        self.reason = "No gradient was estimated: settings were tried where an emulator of the effect expected a low loss."
        before, idle = math.inf, 0
        for seed in itertools.count(self.seed):
            if seed != self.seed:  # the first emulator knows the defaults, others nothing
                objective.emulator = Emulator(objective.space, seed)
            self._attempt(seed)
            found = math.isfinite(objective.best_loss)
            idle = idle + 1 if found and not objective.best_loss < 0.98 * before else 0
            if objective.best_loss <= self.enough or idle == (2 if objective.best_loss < _GOOD * self.start else 3):
                return
            before = objective.best_loss

    def _attempt(self, seed: int) -> None:
        """Other settings to begin with, and all means from the best that the emulator knows, while they help."""
        objective, count = self.objective, len(self.objective.space)
        emulator = objective.emulator
        assert emulator is not None
        self.phase = "search"
        global_search(objective, min(max(6, count + 2), 16, objective.limit // 4), seed, self._tell)
        pursuit, before = Pursuit(emulator, seed), math.inf
        while emulator.lowest < 0.8 * before:
            self.phase = "emulation"
            Emulation(64 + 12 * count, self.enough).run(objective, pursuit, self._tell)
            if emulator.lowest <= self.enough:
                return
            self.phase = "polish"
            Polish(enough=self.enough, patience=4 * (count + 8)).run(objective, emulator.best, self._tell)
            if emulator.lowest <= self.enough:
                return
            before = emulator.lowest
            self.phase = "lines"
            lines = LineSearch(objective.space, emulator.best, before)
            self._along(lines, 64 + 16 * count)
            for start in lines.valleys()[:_VALLEYS]:
                if emulator.lowest <= self.enough:
                    return
                refit = Polish(enough=self.enough, patience=count + 8, held=lines.parameter_of(start))
                there, loss = refit.run(objective, start, self._tell)
                if loss < 1.5 * before:
                    Polish(enough=self.enough, patience=2 * (count + 8)).run(objective, there, self._tell)

    def _along(self, lines: LineSearch, renders: int) -> None:
        """So many renders along the lines, or fewer if that is enough."""
        until = self.objective.renders + renders
        while self.objective.renders < until and self.objective.best_loss > self.enough:
            points = lines.next(8)
            if not len(points):
                return
            losses = self.objective.evaluate(points)
            lines.learn(points, losses)
            self._tell(float(losses.min()))

    def _descend(self, estimator: Estimator, probes: str) -> FloatArray:
        """Down the gradients of an estimator; then other good settings."""
        objective, count = self.objective, len(self.objective.space)
        generator = torch.Generator().manual_seed(self.seed)
        points, losses = global_search(objective, max(4, min(32 + 12 * count, objective.limit // 5)), self.seed, self._tell)
        points, losses = np.concatenate([objective.space.defaults[None], points]), np.concatenate([[self.start], losses])
        starts = distinct(points, losses, 4)
        kind = self._choose(probes, starts, generator)
        self.method = f"{estimator!r}, {kind} probes"
        self.phase = "descent"
        # half of the starts go on to the next stage, with smaller steps
        for kept, rate, steps in [(4, 0.06, 12), (2, 0.03, 16)]:
            starts, lowest = Descent(estimator, kind, rate, steps).run(objective, starts[:kept], generator, self._tell)
            starts = starts[np.argsort(lowest, kind="stable")]
            if objective.best_loss <= self.enough:
                break
        return np.concatenate([starts[1:], distinct(points, losses, 8)])

    def _choose(self, probes: str, points: FloatArray, generator: torch.Generator) -> Kind:
        """Which of the two functions gradients are estimated from, by measurement if it is left to us."""
        if probes != "auto":
            self.reason = f"Chosen by the caller: {probes} probes."
            return "loss" if probes == "loss" else "cotangent"
        signs = torch.randint(0, 2, (6, points.shape[1]), generator=generator).double().numpy() * 2 - 1
        agreement = self.objective.agreement(points[:2], 0.05 * signs)
        trusted = agreement >= _AGREEMENT
        verdict = f"at least the {_AGREEMENT} at which" if trusted else f"less than the {_AGREEMENT} from which"
        self.reason = (
            f"Over steps of 0.05, cotangents foretell the changes of the loss with a cosine of {agreement:.2f}, {verdict} "
            "they are trusted."
        )
        return "cotangent" if trusted else "loss"

    def _tell(self, loss: float) -> None:
        best = self.objective.best_loss
        self.history.append(Progress(self.objective.renders, self.budget, loss, best, self.start, self.phase))
        if self.on_progress is not None:
            self.on_progress(self.history[-1])


@dataclass
class Emulation:
    """Three renders at a time, at the settings that an emulator proposes.

    Attributes:
        patience: it ends when so many renders in a row have not lowered the best loss that the emulator knows by a hundredth.
        enough: it has converged at this loss.
    """

    patience: int
    enough: float = 0.0

    def run(self, objective: Objective, pursuit: Pursuit, on_step: OnStep) -> None:
        """Until it has converged, or has lost its patience. The objective's emulator must be that of `pursuit`."""
        emulator = pursuit.emulator
        reference, since = emulator.lowest, objective.renders
        while emulator.lowest > self.enough and objective.renders - since < self.patience:
            trials = pursuit.next(3)
            if not len(trials):
                return
            losses = objective.evaluate(trials)
            if emulator.lowest < 0.99 * reference:
                reference, since = emulator.lowest, objective.renders
            on_step(float(losses.min()))
