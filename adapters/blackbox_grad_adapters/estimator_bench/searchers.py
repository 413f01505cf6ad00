"""Optimisers of other libraries as searchers, so that they drive `match` like its own."""

from __future__ import annotations

import queue
import threading
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from blackbox_grad.dependencies import library
from blackbox_grad.parameters import FloatArray, ParameterSpace

#: Number of residuals for DFO-LS: each is a sum of many residuals with random signs.
_RESIDUALS = 512


class Nevergrad:
    """An optimiser of nevergrad, by its name in the registry.

    J. Rapin, O. Teytaud, "Nevergrad - A gradient-free optimization platform", 2018.

    Args:
        space: of the settings.
        seed: of the optimiser.
        start: `[P]`: where it begins.
        name: of the optimiser.
        budget: the number of renders that it plans for.
    """

    def __init__(self, space: ParameterSpace, seed: int, start: FloatArray, name: str, budget: int) -> None:
        nevergrad = library("nevergrad", "the rival of this name", "bench")

        box = nevergrad.p.Array(init=start, lower=0.0, upper=1.0)
        box.random_state.seed(seed)
        self._name = name
        self._optimiser = nevergrad.optimizers.registry[name](box, budget=budget, num_workers=1)
        self._asked: list[Any] = []

    def __repr__(self) -> str:
        return f"nevergrad {self._name}"

    def ask(self, count: int) -> FloatArray:
        """One at a time: the optimiser learns from each."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # cma's, at every point that nevergrad moved into the box
            self._asked = [self._optimiser.ask()]
        return np.array([candidate.value for candidate in self._asked])

    def tell(self, points: FloatArray, losses: FloatArray, residuals: Sequence[Tensor]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for candidate, loss in zip(self._asked, losses, strict=True):
                self._optimiser.tell(candidate, float(loss))


class DFOLS:
    """Derivative-free Gauss-Newton in a trust region.

    C. Cartis, J. Fiala, B. Marteau, L. Roberts, "Improving the flexibility and robustness of model-based derivative-free
    optimization solvers", ACM Trans. Math. Softw. 45(3), 2019, doi:10.1145/3338517. Its solver calls the function itself, so it
    runs on a thread that waits for `tell`. Where it has converged, it begins again at random settings.

    Args:
        space: of the settings.
        seed: of the signs.
        start: `[P]`: where it begins.
        budget: renders allowed.
    """

    def __init__(self, space: ParameterSpace, seed: int, start: FloatArray, budget: int) -> None:
        self._random = np.random.default_rng(seed)
        self._signs: FloatArray | None = None
        self._asked: queue.SimpleQueue[FloatArray | None] = queue.SimpleQueue()
        self._told: queue.SimpleQueue[FloatArray] = queue.SimpleQueue()
        self._solver = threading.Thread(target=self._solve, args=(start, budget), daemon=True)

    def __repr__(self) -> str:
        return "DFO-LS"

    def _solve(self, start: FloatArray, budget: int) -> None:
        dfols = library("dfols", "the rival DFO-LS", "bench")

        def residuals(point: FloatArray) -> FloatArray:
            self._asked.put(point.copy())
            return self._told.get()

        box, point = (np.zeros(len(start)), np.ones(len(start))), start
        try:
            while True:  # where it has converged, it begins again elsewhere
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    dfols.solve(residuals, point, bounds=box, rhobeg=0.1, rhoend=1e-6, maxfun=budget)
                point = self._random.uniform(size=len(start))
        finally:
            self._asked.put(None)

    def ask(self, count: int) -> FloatArray:
        """One at a time, until the solver ends."""
        if not self._solver.is_alive() and self._solver.ident is None:
            self._solver.start()
        point = self._asked.get()
        return np.empty((0, 0)) if point is None else np.clip(point, 0.0, 1.0)[None]

    def tell(self, points: FloatArray, losses: FloatArray, residuals: Sequence[Tensor]) -> None:
        self._told.put(self._hashed(residuals[0].double().numpy()))

    def _hashed(self, residuals: FloatArray) -> FloatArray:
        """`[R]` -> `[512]`, as in the emulator's sketch."""
        if len(residuals) <= _RESIDUALS:
            return residuals
        if self._signs is None:
            self._signs = self._random.choice(np.array([-1.0, 1.0]), len(residuals))
        padded = np.pad(residuals * self._signs, (0, -len(residuals) % _RESIDUALS))
        hashed: FloatArray = np.nan_to_num(padded.reshape(-1, _RESIDUALS).sum(0), nan=1e6, posinf=1e6, neginf=-1e6)
        return hashed
