"""The estimator that is used when none is named: it remembers what it heard, where the same recordings come again."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from blackbox_grad.effects import EffectSpec
from blackbox_grad.emulator import Emulator, Pursuit
from blackbox_grad.errors import EstimatorError
from blackbox_grad.estimators import USUAL_STEP, Estimate, Promises, Step, check_step
from blackbox_grad.estimators.spsa import SPSA, enough
from blackbox_grad.inspection import Inspection, ParameterInspection, inspect_effect
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

#: A parameter matters if it changes the sound by this part of what the most influential one does.
_MATTERS = 0.1


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

    With an `inspection` it knows the effect. Parameters that do not reach the sound are left out, gradient 0, so that the same
    probes tell more of the others. Each of those has a step of its own, from `Inspection.steps`. Where cotangent probes are asked
    for though a loss that is linearised says nothing about a parameter that matters, a warning says so.

    A network in training hears other recordings at every step, and nothing can be remembered: the estimate is that of
    `SPSA(samples, sides=1, directions="orthogonal")`. When settings themselves are fitted, `layer.loss(x, p, loss_fn, target)` is
    asked about the same `x` and `target` step after step. Then the probes go where an `Emulator` of the effect expects the lowest
    loss and where it knows little, and the estimate is the slope of the loss along the way to the best settings known: the
    slope of a chord, which leads out of local minima, and not a derivative.

    Args:
        samples: probes of each item; SPSA makes fewer where so few parameters are heard that more would tell nothing
            new to first order.
        items: batches of so many items or fewer are remembered; larger ones count as new at every step, and so do those with the
            same recording twice.
        step: of SPSA, in (0, 0.5]; with an inspection, that of a parameter of median influence.
        inspection: what `inspect_effect` found. "measure" leaves that to the layer, when it is made: up to two minutes, once, as it
            is remembered until the plug-in's file changes. By default there is none, for gradients must not depend on what was
            measured on a machine before.

    Only what was heard at the step before is remembered. The loss function must stay the same meanwhile, and an `Auto` belongs to
    one layer.
    """

    def __init__(
        self,
        samples: int = 2,
        items: int = 4,
        step: float = USUAL_STEP,
        inspection: Inspection | Literal["measure"] | None = None,
    ) -> None:
        if not (isinstance(items, int) and items >= 0):
            raise EstimatorError(f"Auto: items={items!r} must be a whole number, 0 or more")
        library("scipy", "the estimator 'auto'")
        if not (inspection is None or inspection == "measure" or isinstance(inspection, Inspection)):
            raise EstimatorError(f"Auto: inspection={inspection!r} must be what inspect_effect(…) returned, 'measure' or None")
        SPSA(samples)  # checks them
        self.samples, self.items, self.step, self.inspection = samples, items, check_step("Auto", step), inspection
        self._warned = False
        self._last: dict[bytes, _Memory | None] = {}

    def __repr__(self) -> str:
        found = f"<of {self.inspection.address}>" if isinstance(self.inspection, Inspection) else repr(self.inspection)
        return f"Auto(samples={self.samples}, items={self.items}, step={self.step}, inspection={found})"

    def promises(self, parameters: int) -> Promises:
        """Of a function that the inspection, if there is one, tells nothing about."""
        return self._local(parameters, self.step).promises(parameters)

    def for_effect(self, spec: EffectSpec) -> Auto:
        """The one to use for an effect: with its inspection, if that was left to the layer."""
        found = self.inspection
        if found == "measure":
            found = inspect_effect(spec)
            if found.stopped == "interrupted":
                raise KeyboardInterrupt
            return Auto(self.samples, self.items, self.step, found)
        if found is not None and found.address != spec.address:
            raise EstimatorError(f"Auto: the inspection is of {found.address}, and the effect is {spec.address}")
        return self

    def _local(self, parameters: int, step: Step) -> SPSA:
        """The estimator for what is new."""
        return SPSA(samples=min(self.samples, enough(parameters)), sides=1, directions="orthogonal", step=step)

    def estimate(self, problem: Problem) -> Estimate:
        if self.inspection is None:
            return self._estimate(problem, self.step)
        if self.inspection == "measure":
            raise EstimatorError("Auto: inspection='measure' needs an effect to measure; give inspection=inspect_effect(…)")
        names = problem.space.names
        measured = {p.name: p for p in self.inspection.parameters if p.name in names}
        if problem.kind == "cotangent":
            self._warn_of_cotangents(self.inspection.address, measured.values())
        heard = [name for name in names if name not in measured or measured[name].reaches_sound is not False]
        steps = self.inspection.steps(self.step)
        step = {name: steps.get(name, self.step) for name in heard}
        gradient = torch.zeros_like(problem.point)
        if heard:
            gradient[:, [names.index(name) for name in heard]] = self._estimate(problem.along(heard), step).gradient
        return Estimate(gradient)

    def _warn_of_cotangents(self, address: str, measured: Collection[ParameterInspection]) -> None:
        """Once, if cotangent probes say nothing about a parameter that matters."""
        influence = {p.name: p.influence or 0.0 for p in measured}
        lost = [p.name for p in measured if p.probes == "loss" and influence[p.name] > _MATTERS * max(influence.values())]
        if lost and not self._warned:
            self._warned = True
            warnings.warn(
                f"{address}: a loss that is linearised at the output says almost nothing about {', '.join(lost)} (phase that "
                "moves, hidden levels). Use layer.loss(x, p, loss_fn, target), which probes the loss itself",
                stacklevel=2,
            )

    def _estimate(self, problem: Problem, step: Step) -> Estimate:
        """Of parameters that are heard."""
        if problem.target is None or problem.output is None or problem.batch > self.items or not problem.parameters:
            return self._local(problem.parameters, step).estimate(problem)
        prints = [_fingerprint(problem, i) for i in range(problem.batch)]
        again = all(name in self._last for name in prints) and len(set(prints)) == len(prints)
        if not again:
            self._last = dict.fromkeys(prints)
            return self._local(problem.parameters, step).estimate(problem)
        memories = [self._last[name] or _memory(problem, i) for i, name in enumerate(prints)]
        self._last = dict(zip(prints, memories, strict=True))
        here, value = problem.point.numpy(), problem.value.double().cpu().numpy()
        output = problem.output.float().cpu()
        for i, memory in enumerate(memories):
            for hearing in memory.hearings:
                hearing.learn(here[i : i + 1], value[i : i + 1], output[i : i + 1])
        if any(memory.best().belief < _BELIEVED for memory in memories):
            return self._local(problem.parameters, step).estimate(problem)
        return self._emulated(problem, memories, here, value)

    def _emulated(self, problem: Problem, memories: list[_Memory], here: FloatArray, value: FloatArray) -> Estimate:
        """What is found with probes where the emulators propose; `here: [B, P]` and `value: [B]` are the problem's own."""
        wanted = [problem.space.snap(memory.wanted(self.samples)) for memory in memories]
        count = max(map(len, wanted))  # where all levels of stepped parameters are known, there is nothing new to hear
        if count:
            padded = [np.concatenate([new, np.tile(here[i], (count - len(new), 1))]) for i, new in enumerate(wanted)]
            values, sounds = problem.listen(torch.from_numpy(np.stack(padded, axis=1)))
            losses, heard = values.double().cpu().numpy(), sounds.float().cpu()
            for i, (memory, new) in enumerate(zip(memories, wanted, strict=True)):
                for hearing in memory.hearings:
                    hearing.learn(new, losses[: len(new), i], heard[: len(new), i])
        gradient = torch.zeros_like(problem.point)
        for i, memory in enumerate(memories):
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
