"""The strategy of `match` for many parameters: all are searched for a while, then those that are heard are polished; in turn."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence

import numpy as np

from blackbox_grad.matching.strategy import Renders, Strategy
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace
from blackbox_grad.search.base import Found, Script, ScriptedSearcher, Searcher
from blackbox_grad.search.polish import Polish

#: Up to this many parameters, a `Strategy` alone finds more.
TOGETHER = 24

#: Renders of one search of all parameters, and the most of it as a part of the renders allowed.
_SEARCH, _SEARCH_SHARE = Renders(64, 1), 0.25

#: Settings that the search asks for at a time.
_AT_ONCE = 8

#: How far each parameter is moved to find out whether it is heard.
_MOVE = 0.05

#: Renders without success that end a polish.
_POLISH = Renders(16, 3)

#: A turn that leaves more than this part of the loss has failed; so many of these in a row end the search.
_SUCCESS, _FAILURES = 0.98, 2

#: It has converged when the loss is this part of the loss at the start.
_ENOUGH = 1e-4


class Turns(ScriptedSearcher):
    """Searches all parameters with an emulator; moves each continuous one alone; and polishes those that were heard. Then again.

    The emulator of a hundred parameters switches bands on and soon finds nothing more. Of a parameter that is not heard there, such
    as the frequency of a band that is off, the polish need not know.

    Args:
        space: of the settings.
        seed: of all randomness.
        limit: renders allowed.
        start: the results at the defaults, and then at `places`.
        places: `[N, P]`: settings that may be near. The search begins at the best of them.

    Attributes:
        phase, method, reason: as those of `Strategy`.
        best, lowest: the best settings so far, `[P]`, and their loss.
    """

    method = "emulator"
    reason = (
        "No gradient was estimated: of many parameters, an emulator of the effect and a polish of what is heard took turns."
    )

    def __init__(self, space: ParameterSpace, seed: int, limit: int, start: Found, places: FloatArray | None = None) -> None:
        super().__init__(space)
        known = space.snap(np.concatenate([space.defaults[None], *([] if places is None else [places])]))
        self._seed, self._limit, self._renders = seed, limit, len(known)
        self.phase = "search"
        best = int(np.argmin(start[0]))
        self.best, self.lowest, self._residual = known[best], float(start[0][best]), start[1][best]
        self._enough = _ENOUGH * float(start[0][0]) if math.isfinite(start[0][0]) else 0.0

    def script(self) -> Script:
        failures = turn = 0
        while failures < _FAILURES and self.lowest > self._enough:
            before = self.lowest
            yield from self._search(self._seed + turn)
            yield from self._polish((yield from self._heard()))
            failures = 0 if self.lowest < _SUCCESS * before else failures + 1
            turn += 1

    def _search(self, seed: int) -> Script:
        everything, start = range(len(self.space)), (np.array([self.lowest]), [self._residual])
        until = self._renders + min(_SEARCH.of(len(self.space)), max(_AT_ONCE, int(_SEARCH_SHARE * self._limit)))
        strategy = Strategy(self._part(everything), seed, self._limit, start)
        yield from self._drive(everything, strategy, _AT_ONCE, lambda: self._renders < until and self.lowest > self._enough)

    def _heard(self) -> Generator[FloatArray, Found, list[int]]:
        """The continuous parameters that change the sound around the best settings."""
        self.phase = "lines"
        continuous = [i for i, parameter in enumerate(self.space) if parameter.levels is None]
        here, points = self._residual, np.tile(self.best, (len(continuous), 1))
        for row, i in zip(points, continuous, strict=True):
            row[i] += _MOVE if row[i] < 0.5 else -_MOVE
        _, residuals = yield from self._rendered(points)
        return [i for i, residual in zip(continuous, residuals, strict=True) if not residual.equal(here)]

    def _polish(self, heard: Sequence[int]) -> Script:
        if heard:
            self.phase = "polish"
            part = self._part(heard)
            polish = Polish(part, part.defaults, enough=self._enough, patience=_POLISH.of(len(heard)))
            yield from self._drive(heard, polish, self._limit)

    def _drive(self, free: Sequence[int], searcher: Searcher, at_once: int, go_on: Callable[[], bool] = lambda: True) -> Script:
        """Search these parameters, the others at their best values."""
        others = self.best.copy()
        while go_on() and len(points := searcher.ask(at_once)):
            self.phase = getattr(searcher, "phase", self.phase)
            whole = np.tile(others, (len(points), 1))
            whole[:, list(free)] = points
            searcher.tell(points, *(yield from self._rendered(whole)))

    def _part(self, free: Sequence[int]) -> ParameterSpace:
        """These parameters alone, with the best values as their defaults."""
        space = self.space
        return ParameterSpace(space.everything, [space.free[i] for i in free], space.complete(self.best).tolist())

    def _rendered(self, points: FloatArray) -> Generator[FloatArray, Found, Found]:
        points = self.space.snap(points)
        losses, residuals = yield points
        self._renders += len(points)
        if len(losses) and losses.min() < self.lowest:
            at = int(losses.argmin())
            self.lowest, self.best, self._residual = float(losses[at]), points[at].copy(), residuals[at]
        return losses, residuals
