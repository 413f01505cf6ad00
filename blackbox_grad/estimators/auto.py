"""The estimator that is used when none is named: it remembers what it heard, where the same recordings come again."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from blackbox_grad.emulator import Emulator, Pursuit
from blackbox_grad.errors import EstimatorError
from blackbox_grad.estimators import Estimate, Promises
from blackbox_grad.estimators.spsa import SPSA
from blackbox_grad.losses import FeatureLoss, MultiResolutionSTFT, Waveform
from blackbox_grad.parameters import FloatArray
from blackbox_grad.problem import Problem
from blackbox_grad.registry import library

#: Samples by which a recording is known again.
_PRINT = 512

#: Sounds before an emulator is asked for the first time: so many, and one for every parameter. They are heard at quasi-random
#: settings.
_FIRST = 6

#: Rank correlation between the loss and what is emulated, below which an emulator is not believed.
_BELIEVED = 0.5


@dataclass
class _Hearing:
    """What was heard of one item in one way: features of the sounds, an emulator of them, and whether they tell the loss."""

    distance: FeatureLoss
    pursuit: Pursuit
    #: the last losses, and distances
    pairs: list[tuple[float, float]] = field(default_factory=list)
    sounds: int = 0

    def learn(self, points: FloatArray, losses: FloatArray, sounds: Tensor) -> None:
        """From renders at `points: [N, P]`: their `losses: [N]` and `sounds: [N, C, T]`."""
        with torch.no_grad():
            residuals = [self.distance.residuals(sound[None])[0] for sound in sounds]
        distances = np.array([float(r.abs().sum()) for r in residuals])
        heard = np.isfinite(losses) & np.isfinite(distances)
        self.pairs = [*self.pairs, *zip(losses[heard].tolist(), distances[heard].tolist(), strict=True)][-64:]
        self.sounds += int(heard.sum())
        self.pursuit.emulator.add(points, np.where(heard, losses, np.inf), residuals)

    @property
    def ready(self) -> bool:
        """Whether enough was heard to ask the emulator."""
        return self.sounds >= _FIRST + len(self.pursuit.emulator.space)

    @property
    def belief(self) -> float:
        """How well the loss follows the distance: the rank correlation, and 1 before there is enough to tell."""
        if not self.ready:
            return 1.0
        ranks = np.argsort(np.argsort(np.array(self.pairs), axis=0), axis=0)
        return float(np.asarray(np.corrcoef(ranks.T))[0, 1])


@dataclass
class _Memory:
    """One item: a recording, a target and an effect."""

    hearings: list[_Hearing]
    sobol: torch.quasirandom.SobolEngine

    def best(self) -> _Hearing:
        return max(self.hearings, key=lambda hearing: hearing.belief)

    def wanted(self, count: int) -> FloatArray:
        """`[count, P]`: where to listen next."""
        hearing = self.best()
        if not hearing.ready:
            drawn: FloatArray = self.sobol.draw(count, dtype=torch.float64).numpy()
            return drawn
        return hearing.pursuit.next(count)


class Auto:
    """SPSA with orthogonal one-sided directions; for a loss on recordings that come again, an emulator of the effect.

    A network in training hears other recordings at every step, and nothing can be remembered: the estimate is that of
    `SPSA(samples, sides=1, directions="orthogonal")`. When settings themselves are fitted, `layer.loss(x, p, loss_fn, target)` is
    asked about the same `x` and `target` step after step. Then the probes go where an `Emulator` of the effect expects the lowest
    loss and where it knows little, and the estimate is the slope of the loss along the way to the best settings known: the
    slope of a chord, which leads out of local minima, and not a derivative.

    Args:
        samples: probes of each item.
        items: batches of so many items or fewer are remembered; larger ones count as new at every step, and so do those with the
            same recording twice.
        step: of SPSA, in (0, 0.5].

    Only what was heard at the step before is remembered. The loss function must stay the same meanwhile, and an `Auto` belongs to
    one layer.
    """

    def __init__(self, samples: int = 2, items: int = 4, step: float = 0.01) -> None:
        if not (isinstance(items, int) and items >= 0):
            raise EstimatorError(f"Auto: items={items!r} must be a whole number, 0 or more")
        library("scipy", "the estimator 'auto'")
        self.samples, self.items, self.step = samples, items, step
        self._local()  # which checks the others
        self._last: dict[bytes, _Memory | None] = {}

    def __repr__(self) -> str:
        return f"Auto(samples={self.samples}, items={self.items}, step={self.step})"

    def promises(self, parameters: int) -> Promises:
        return self._local().promises(parameters)

    def _local(self) -> SPSA:
        """The estimator for what is new."""
        return SPSA(samples=self.samples, sides=1, directions="orthogonal", step=self.step)

    def estimate(self, problem: Problem) -> Estimate:
        if problem.target is None or problem.output is None or problem.batch > self.items or not problem.parameters:
            return self._local().estimate(problem)
        prints = [_fingerprint(problem, i) for i in range(problem.batch)]
        again = all(name in self._last for name in prints) and len(set(prints)) == len(prints)
        if not again:
            self._last = dict.fromkeys(prints)
            return self._local().estimate(problem)
        memories = [self._last[name] or _memory(problem, i) for i, name in enumerate(prints)]
        self._last = dict(zip(prints, memories, strict=True))
        here, value = problem.point.numpy(), problem.value.double().cpu().numpy()
        output = problem.output.float().cpu()
        for i, memory in enumerate(memories):
            for hearing in memory.hearings:
                hearing.learn(here[i : i + 1], value[i : i + 1], output[i : i + 1])
        if any(memory.best().belief < _BELIEVED for memory in memories):
            return self._local().estimate(problem)
        return self._emulated(problem, memories, here, value)

    def _emulated(self, problem: Problem, memories: list[_Memory], here: FloatArray, value: FloatArray) -> Estimate:
        """What is found with probes where the emulators propose; `here: [B, P]` and `value: [B]` are the problem's own."""
        wanted = np.stack([memory.wanted(self.samples) for memory in memories], axis=1)  # [K, B, P]
        points = problem.space.snap(wanted)
        values, sounds = problem.listen(torch.from_numpy(points))
        losses, heard = values.double().cpu().numpy(), sounds.float().cpu()
        gradient = torch.zeros_like(problem.point)
        for i, memory in enumerate(memories):
            for hearing in memory.hearings:
                hearing.learn(points[:, i], losses[:, i], heard[:, i])
            emulator = memory.best().pursuit.emulator
            if not len(emulator):
                continue
            best = int(emulator.losses.argmin())
            way, fall = here[i] - emulator.points[best], value[i] - emulator.losses[best]
            if way.any() and fall > 0.0:
                gradient[i] = torch.from_numpy(fall / float(way @ way) * way)
        return Estimate(gradient)


def _fingerprint(problem: Problem, item: int) -> bytes:
    """What an item of a batch is known by."""
    assert problem.audio is not None
    assert problem.target is not None
    parts = [repr((problem.space.names, tuple(problem.target.shape[1:]))).encode()]
    for recording in (problem.audio[item], problem.target[item]):
        flat = recording.detach().flatten()
        parts.append(flat[:: max(1, len(flat) // _PRINT)].float().cpu().numpy().tobytes())
    return b"".join(parts)


def _memory(problem: Problem, item: int) -> _Memory:
    """An empty one: spectrograms are listened to, and, for losses that compare samples, the waveform."""
    assert problem.target is not None
    target = problem.target[item].float().cpu()
    seed = int(torch.randint(2**31, (), generator=problem.generator))
    kinds = [Waveform] if target.shape[-1] < MultiResolutionSTFT.sizes[0] else [MultiResolutionSTFT, Waveform]
    return _Memory(
        [_Hearing(kind(target, 0.0), Pursuit(Emulator(problem.space, seed), seed)) for kind in kinds],
        torch.quasirandom.SobolEngine(problem.parameters, scramble=True, seed=seed),
    )
