"""Searchers driven by one objective, with progress."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from torch import Tensor

from blackbox_grad.matching.objective import CHUNK, BudgetSpent, Objective
from blackbox_grad.matching.result import Progress
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.search.base import Found, Searcher
from blackbox_grad.search.driver import drive


class Driver:
    """Drives searchers with one objective, and reports the progress.

    Args:
        objective: what is lowered.
        budget: renders allowed, for the report.
        on_progress: called after every batch of renders.

    Attributes:
        start: the loss at the default settings.
        history: one `Progress` a batch.
    """

    def __init__(self, objective: Objective, budget: int, on_progress: Callable[[Progress], None] | None = None) -> None:
        self.objective, self.budget, self.on_progress = objective, budget, on_progress
        self.history: list[Progress] = []
        self.start = math.inf

    def evaluate_start(self) -> Found:
        """Render the default settings."""
        found = self.objective.evaluate(self.objective.space.defaults[None])
        self.start = float(found[0][0])
        self.report(self.start, "search")
        return found

    def drive(self, searcher: Searcher, phase: str = "search") -> None:
        """Until the searcher has nothing more to ask. Raises `BudgetSpent` where the renders do not suffice.

        A searcher may say in an attribute `phase` what it is at.
        """
        objective = self.objective

        def evaluate(points: FloatArray) -> Found:
            return self.evaluate(points, getattr(searcher, "phase", phase))

        if not drive(searcher, objective.space, evaluate, objective.left, CHUNK):
            raise BudgetSpent

    def evaluate(self, points: FloatArray, phase: str) -> Found:
        """The losses of any settings `[N, P]`, and their residuals."""
        losses, residuals = np.empty(0), list[Tensor]()
        for chunk in np.split(points, range(CHUNK, len(points), CHUNK)):
            found, of_chunk = self.objective.evaluate(chunk)
            self.report(float(found.min()), phase)
            losses, residuals = np.concatenate([losses, found]), [*residuals, *of_chunk]
        return losses, residuals

    def report(self, loss: float, phase: str) -> None:
        """Note the loss of the best of a batch."""
        objective = self.objective
        self.history.append(Progress(objective.renders, self.budget, loss, objective.best_loss, self.start, phase))
        if self.on_progress is not None:
            self.on_progress(self.history[-1])
