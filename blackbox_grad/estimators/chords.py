"""The way to the best settings known, instead of a gradient: for settings that are fitted to one recording."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from blackbox_grad.dependencies import library
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import EstimatorError
from blackbox_grad.estimators.base import Estimate, Estimator, Promises, promises_of
from blackbox_grad.estimators.by_name import estimator as find_estimator
from blackbox_grad.estimators.coordinates import Coordinates
from blackbox_grad.estimators.problem import Problem
from blackbox_grad.losses.base import FeatureLoss
from blackbox_grad.losses.mrstft import MultiResolutionSTFT
from blackbox_grad.losses.waveform import Waveform
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.search.pursuit import Pursuit
from blackbox_grad.search.sampling import Sampling

#: Quasi-random renders before the emulator is asked: so many, and one for every parameter.
_FIRST = 6

#: Pairs of loss and distance that are compared.
_PAIRS = 64

#: Rank correlation between the loss and the distance that is emulated, below which the emulator is not trusted.
_TRUSTED = 0.5

#: Parameters that move further than this from one step to the next do not come from an optimiser.
_FURTHEST = 0.25

#: At every success, and every so many steps, it is checked whether the loss of a sound is still the same, within this error.
_CHECKED, _SAME_LOSS = 4, 1e-3

#: After surprises it waits 2, 4, 8, … steps, at most two to this power.
_LONGEST = 16


class Chords:
    """The slope of the loss along the way from the best settings known, which an emulator of the effect finds.

    It is for fitting settings: `layer.loss(x, p, loss_fn, target)` is asked about the same `x` and targets at every step, and
    nothing else in between, at a point that moves. Then the probes go where a `Pursuit` expects a low loss. What is returned is
    no gradient: it leads to the best settings known in few renders, out of local minima, and is 0 where nothing better is
    known. It is for losses that are to be lowered, by optimisers that move some hundredths a step, such as Adam.

    Where the point rests, or moves by more than a quarter of a range, the estimate is the fallback's. The first estimate is the
    fallback's, too. If a known sound gets another loss, because `loss_fn` changes or is random, the fallback takes over for 2, 4,
    8, … steps.

    Args:
        fallback: the estimator where chords do not apply, or its name with options.
        items: batches of so many items or fewer, unless a recording is there twice. With more than one, each is led to the best
            settings of its own: right where items have their own settings, and wrong where they share them.
        samples: probes of each item.

    It belongs to one layer. What it remembers makes two equal calls differ; two equal runs, from new layers, are equal. Copies and
    pickles hold what it remembers: some megabytes, recordings among them.
    """

    def __init__(self, fallback: str | Estimator = "coordinates", items: int = 1, samples: int = 2) -> None:
        if not (isinstance(items, int) and items >= 1):
            raise EstimatorError(f"Chords: items={items!r} must be a whole number, 1 or more")
        Coordinates(samples)  # checks them
        library("scipy", "the estimator 'chords'")
        self.fallback = find_estimator(fallback)
        self.items, self.samples = items, samples
        #: whether the last estimate was 0, so that a point rests that would move
        self._flat = False
        self._last: dict[bytes, _Step] = {}
        self._known: dict[bytes, _Item] = {}
        #: times that a loss was not what it had been, and steps before it remembers again
        self._surprises = self._wait = 0

    def __repr__(self) -> str:
        return f"Chords(fallback={self.fallback!r}, items={self.items}, samples={self.samples})"

    def promises(self, parameters: int) -> Promises:
        """The fallback's, for functions without a sound."""
        return promises_of(self.fallback, parameters)

    def for_effect(self, spec: EffectSpec) -> Chords:
        return Chords(find_estimator(self.fallback, spec), self.items, self.samples)

    def informed(self, steps: Mapping[str, float], influence: Mapping[str, float]) -> Chords:
        """The same with an informed fallback."""
        inform = getattr(self.fallback, "informed", None)
        return self if inform is None else Chords(inform(steps, influence), self.items, self.samples)

    def estimate(self, problem: Problem) -> Estimate:
        chords = self._chords(problem)
        estimate = chords or self.fallback.estimate(problem)
        self._flat = chords is None and not estimate.gradient.any()
        return estimate

    def _chords(self, problem: Problem) -> Estimate | None:
        """Where the same recordings come again, and their sounds explain the loss."""
        if problem.loss is None or problem.loss.target is None or problem.effect is None or not problem.count:
            return None
        if problem.batch > self.items:
            return None
        names = [_fingerprint(problem, i) for i in range(problem.batch)]
        here, value = problem.point.numpy().copy(), problem.value.double().cpu().numpy()
        output = problem.effect.output.float().cpu()
        last, now = self._last, {name: _Step(here[i], float(value[i]), output[i]) for i, name in enumerate(names)}
        self._last = now
        again = len(now) == len(names) and now.keys() <= last.keys()
        moved = max(float(np.abs(now[name].point - last[name].point).max()) for name in names) if again else math.inf
        if moved > _FURTHEST:
            self._known = {}
            return None
        if self._wait or (moved == 0.0 and not self._flat):
            self._wait = max(0, self._wait - 1)
            return None
        items = [self._known.get(name) or _new_item(problem, i, last[name]) for i, name in enumerate(names)]
        self._known = dict(zip(names, items, strict=True))
        better = any(value[i] < item.loss for i, item in enumerate(items))
        if (better or items[0].age % _CHECKED == 0) and not _same_loss(problem, items):
            self._known, self._surprises = {}, self._surprises + 1
            self._wait = 2 ** min(self._surprises, _LONGEST)
            return None
        for i, item in enumerate(items):
            item.tell_step(here[i], float(value[i]), output[i])
        if any(item.view.trust < _TRUSTED for item in items):
            return None
        self._probe(problem, items, here)
        gradient = torch.zeros_like(problem.point)
        for i, item in enumerate(items):
            pursuit = item.view.pursuit
            if not math.isfinite(pursuit.lowest):
                continue
            way, fall = here[i] - pursuit.best, value[i] - pursuit.lowest
            if way.any() and fall > 0.0:
                gradient[i] = torch.from_numpy(fall / float(way @ way) * way)
        return Estimate(gradient)

    def _probe(self, problem: Problem, items: list[_Item], here: FloatArray) -> None:
        """Render what the pursuits ask for; `here: [B, P]` is the problem's own point."""
        asked = [problem.space.snap(item.ask(self.samples)) for item in items]
        count = max(map(len, asked))  # where all levels of stepped parameters are known, nothing new is asked for
        if not count:
            return
        padded = [np.concatenate([points, np.tile(here[i], (count - len(points), 1))]) for i, points in enumerate(asked)]
        values, sounds = problem.probe_sounds(torch.from_numpy(np.stack(padded, axis=1)))
        losses, sounds = values.double().cpu().numpy(), sounds.float().cpu()
        for i, (item, points) in enumerate(zip(items, asked, strict=True)):
            item.tell(points, losses[: len(points), i], sounds[: len(points), i])


@dataclass
class _View:
    """One way to look at an item's renders: features of the sounds, and a pursuit of the loss through them."""

    distance: FeatureLoss
    pursuit: Pursuit
    parameters: int
    #: the last losses, and distances
    pairs: list[tuple[float, float]] = field(default_factory=list)
    sounds: int = 0

    def tell(self, points: FloatArray, losses: FloatArray, sounds: Tensor) -> None:
        """Renders at `points: [N, P]`: their `losses: [N]` and `sounds: [N, C, T]`."""
        with torch.no_grad():
            residuals = [self.distance.residuals(sound[None])[0] for sound in sounds]
        distances = np.array([float(r.abs().sum()) for r in residuals])
        finite = np.isfinite(losses) & np.isfinite(distances)
        self.pairs = [*self.pairs, *zip(losses[finite].tolist(), distances[finite].tolist(), strict=True)][-_PAIRS:]
        self.sounds += int(finite.sum())
        self.pursuit.tell(points, np.where(finite, losses, np.inf), residuals)

    @property
    def ready(self) -> bool:
        """Whether there are enough renders to ask the pursuit."""
        return self.sounds >= _FIRST + self.parameters

    @property
    def trust(self) -> float:
        """How well the loss follows the distance: their rank correlation; 1 as long as there are too few."""
        if not self.ready:
            return 1.0
        losses, distances = np.array(self.pairs).T
        if not (np.ptp(losses) and np.ptp(distances)):
            return 0.0
        return float(library("scipy.stats", "the estimator 'chords'").spearmanr(losses, distances).statistic)


@dataclass(frozen=True)
class _Step:
    """The step before, of one item: `point: [P]`, the loss there, `sound: [C, T]`."""

    point: FloatArray
    loss: float
    sound: Tensor


@dataclass
class _Item:
    """One item: a recording, a target and an effect.

    Attributes:
        views: ways to look at its renders; one of them, once it is known which explains the loss best.
        best, loss: `[C, T]`: of the sounds asked about, the one with the lowest loss.
        age: steps since it was begun.
    """

    views: list[_View]
    sampling: Sampling
    best: Tensor
    loss: float
    age: int = 0

    @property
    def view(self) -> _View:
        """The one that explains the loss best."""
        return max(self.views, key=lambda view: view.trust)

    def ask(self, count: int) -> FloatArray:
        """`[≤ count, P]`: where to render next."""
        view = self.view
        return view.pursuit.ask(count) if view.ready else self.sampling.ask(count)

    def tell(self, points: FloatArray, losses: FloatArray, sounds: Tensor) -> None:
        """Renders at `points: [N, P]`."""
        for view in self.views:
            view.tell(points, losses, sounds)

    def tell_step(self, point: FloatArray, loss: float, sound: Tensor) -> None:
        """The forward render."""
        self.age += 1
        if loss < self.loss or not math.isfinite(self.loss):
            self.best, self.loss = sound.clone(), loss
        self.tell(point[None], np.array([loss]), sound[None])
        if len(self.views) > 1 and self.views[0].ready:
            self.views = [self.view]


def _new_item(problem: Problem, item: int, last: _Step) -> _Item:
    """It knows one sound. It looks at spectrograms, and, for losses that compare samples, at waveforms."""
    assert problem.loss is not None
    assert problem.loss.target is not None
    target = problem.loss.target[item].float().cpu()
    seed = int(torch.randint(2**31, (), generator=problem.generator))
    kinds = [Waveform] if target.shape[-1] < MultiResolutionSTFT.sizes[0] else [MultiResolutionSTFT, Waveform]
    views = [_View(kind(target, 0.0), Pursuit(problem.space, seed), problem.count) for kind in kinds]
    return _Item(views, Sampling(problem.space, seed), last.sound, last.loss)


def _same_loss(problem: Problem, items: list[_Item]) -> bool:
    """Whether the loss of the best sounds is what it was."""
    assert problem.loss is not None
    found = problem.loss.of(torch.stack([item.best for item in items])).numpy()
    before = np.array([item.loss for item in items])
    return bool((np.isclose(found, before, rtol=_SAME_LOSS, atol=1e-9) | ~np.isfinite(before)).all())


def _fingerprint(problem: Problem, item: int) -> bytes:
    """What identifies an item of a batch."""
    assert problem.effect is not None
    assert problem.loss is not None
    digest = hashlib.blake2b(repr(problem.space.names).encode(), digest_size=16)
    for given in (problem.effect.input, *problem.loss.targets):
        digest.update(repr((given.dtype, given.shape[1:])).encode())
        digest.update(given[item].detach().cpu().double().contiguous().numpy().tobytes())
    return digest.digest()
