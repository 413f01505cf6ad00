"""One search for the settings of one effect or chain: from where the prior is dense, then where an emulator expects more."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from blackbox_grad.errors import BlackboxGradError
from blackbox_grad.hosts import presets_in
from blackbox_grad.parameters import FloatArray
from blackbox_grad.search import Found, Pursuit, Sampling, distinct, drive
from blackbox_grad_adapters.style_matching.data.rejection import silent
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.matching.hearing import Hearing
from blackbox_grad_adapters.style_matching.matching.prior import Prior

#: Weight of the mean squared difference of traits against the prior. The prior decides where settings sound alike: from 30 to 120
#: it held back right settings too, on 60 items of ten effects.
_TRAITS = 200.0

#: Quasi-random settings: so many and so many for each parameter, at most a share of all renders.
_FIRST, _EACH, _SHARE = 16, 4, 0.3

#: Renders per batch: while they do not depend on each other, and of a pursuit.
_BATCH, _AT_ONCE = 8, 3


class Quest:
    """The best settings of one path so far.

    Args:
        path: the effect.
        hearing: what is compared.
        seed: of the search.
        start: `[P]`: settings that may be near, which are rendered first.

    Attributes:
        point: `[P]`: the best settings.
        lowest: their loss: the squared distance of the traits, and what the prior has against them; infinite before any.
        distance: theirs, as in `StyleMatch`.
        renders: so far.
    """

    def __init__(self, path: EffectPath, hearing: Hearing, seed: int = 0, start: FloatArray | None = None) -> None:
        self.path, self._hearing, self._seed, self._start = path, hearing, seed, start
        self.space = path.effect.parameter_space
        self.prior = Prior(self.space)
        self.point = self.space.snap(self.space.defaults)
        self.lowest = self.distance = math.inf
        self.renders = 0
        self._pursuit = Pursuit(self.space, seed) if len(self.space) else None

    def run(self, renders: int, after: Callable[[Quest, int], None] = lambda quest, count: None) -> Quest:
        """Spend so many renders; what was found before is kept.

        Args:
            after: called after every batch, with its number of renders. It may raise `KeyboardInterrupt`.
        """

        def evaluate(points: FloatArray) -> Found:
            found = self._evaluated(points)
            after(self, len(points))
            return found

        first = self._first(renders) if not self.renders else self.space.defaults[None][:0]
        for part in np.array_split(first, max(1, -(-len(first) // _BATCH))):
            found = evaluate(part) if len(part) else None
            if found is not None and self._pursuit is not None:
                self._pursuit.tell(part, *found)
        if self._pursuit is not None:
            drive(self._pursuit, self.space, evaluate, renders - len(first), _AT_ONCE)
        return self

    def _first(self, renders: int) -> FloatArray:
        """`[N, P]`: what is rendered first: the start, the defaults, factory presets, and quasi-random settings by the prior."""
        defaults = self.space.snap(self.space.defaults)[None]
        if not len(self.space):
            return defaults
        if self._start is not None:
            drawn = np.random.default_rng([self._seed, 3]).standard_normal((min(_BATCH, renders // 3), len(self.space)))
            return self.space.snap(np.concatenate([self._start[None], np.clip(self._start + 0.15 * drawn, 0.0, 1.0)]))
        count = max(4, min(_FIRST + _EACH * len(self.space), int(_SHARE * renders)))
        sampled = self.prior.drawn(Sampling(self.space, self._seed).ask(count))
        return np.concatenate([defaults, self._presets(renders // 3), sampled])[:renders]

    def _presets(self, renders: int) -> FloatArray:
        """`[N, P]`: a few factory presets that are far from each other."""
        info = self.path.effect.info
        try:
            presets = [preset.p for preset in presets_in(self.path.effect.host, info.spec)]
        except BlackboxGradError:
            presets = []
        points = self.space.snap(np.array(presets).reshape(len(presets), len(self.space)))
        return distinct(points, np.zeros(len(points)), renders)

    def _evaluated(self, points: FloatArray) -> Found:
        with torch.no_grad():
            rendered = self.path.render(self._hearing.excerpt, torch.from_numpy(points).float())
            quiet = silent(rendered).numpy()
            apart = self._hearing.apart(self.path.finish(rendered))
        against = torch.from_numpy(self.prior.residuals(points)).to(apart)
        residuals: Tensor = torch.cat([apart * math.sqrt(_TRAITS / apart.shape[1]), against], dim=1)
        losses = np.where(quiet, math.inf, residuals.square().sum(dim=1).double().numpy())
        self.renders += len(points)
        best = int(losses.argmin())
        if losses[best] < self.lowest:
            self.point, self.lowest = points[best], float(losses[best])
            self.distance = float(apart[best].square().mean().sqrt())
        return losses, list(residuals)
