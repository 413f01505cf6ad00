"""The estimator that is used when none is named: single parameters, an inspection, and an emulator where that is wanted."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from blackbox_grad.dependencies import library
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import EstimatorError
from blackbox_grad.estimators.base import Estimate, Promises
from blackbox_grad.estimators.coordinates import Coordinates
from blackbox_grad.estimators.problem import Problem
from blackbox_grad.estimators.steps import USUAL_STEP, check_step
from blackbox_grad.inspection import Inspection, ParameterInspection, inspect_effect
from blackbox_grad.losses.base import FeatureLoss
from blackbox_grad.losses.mrstft import MultiResolutionSTFT
from blackbox_grad.losses.waveform import Waveform
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.search.emulator import Emulator
from blackbox_grad.search.pursuit import Pursuit

#: Sounds before an emulator is asked for the first time: so many, and one for every parameter. They are heard at quasi-random
#: settings.
_FIRST = 6

#: Rank correlation between the loss and what is emulated, below which an emulator is not believed.
_BELIEVED = 0.5

#: Parameters that move further than this from one step to the next do not come from an optimiser.
_LITTLE = 0.25

#: It is checked at every success and every so many steps whether the loss of a sound is still the same, within this relative error.
_CHECKED, _SAME_LOSS = 4, 1e-3

#: After surprises it waits 2, 4, 8, … steps, at most two to this power.
_LONGEST = 16

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
        losses, distances = library("scipy.stats", "the estimator 'auto:items=…'").rankdata(self.pairs, axis=0).T
        if not (np.ptp(losses) and np.ptp(distances)):
            return 0.0
        return float(np.corrcoef(losses, distances)[0, 1])


@dataclass(frozen=True)
class _Seen:
    """What was asked about an item in the step before: `point: [P]`, the loss there, `sound: [C, T]`."""

    point: FloatArray
    loss: float
    sound: Tensor


@dataclass
class _Memory:
    """One item: a recording, a target and an effect.

    Attributes:
        hearings: of its sounds; one of them, once it is known which tells the loss best.
        best, loss: `[C, T]`: of the sounds asked about, the one with the lowest loss.
        age: steps since it was begun.
    """

    hearings: list[_Hearing]
    sobol: torch.quasirandom.SobolEngine
    best: Tensor
    loss: float
    age: int = 0

    def learn(self, point: FloatArray, loss: float, sound: Tensor) -> None:
        """From the forward render."""
        self.age += 1
        if loss < self.loss or not math.isfinite(self.loss):
            self.best, self.loss = sound.clone(), loss
        for hearing in self.hearings:
            hearing.learn(point[None], np.array([loss]), sound[None])
        if len(self.hearings) > 1 and self.hearings[0].ready:
            self.hearings = [self.hearing()]

    def hearing(self) -> _Hearing:
        """The one that tells the loss best."""
        return max(self.hearings, key=lambda hearing: hearing.belief)

    def wanted(self, count: int) -> FloatArray:
        """`[count, P]`: where to listen next."""
        hearing = self.hearing()
        if not hearing.ready:
            drawn: FloatArray = self.sobol.draw(count, dtype=torch.float64).numpy()
            return drawn
        return hearing.pursuit.next(count)


class Auto:
    """The default: `Coordinates`, with what an inspection knows; on demand, an emulator of the effect where settings are fitted.

    By itself it is `Coordinates`: right on average, from probes of single parameters, those that matter more often than others.

    With an `inspection` it knows the effect. Parameters that do not reach the sound are left out, gradient 0. Each of the others
    has its recommended step, and the influential ones are probed more often from the beginning. Where cotangent probes are asked
    for though a loss that is linearised says nothing about a parameter that matters, a warning says so.

    With `items` it is for fitting settings: `layer.loss(x, p, loss_fn, target)` is asked about the same `x` and targets at every
    step, and nothing else meanwhile, at a point that moves. Then the probes go where an `Emulator` of the effect expects the
    lowest loss, where it knows little, and along single parameters; what is returned is no gradient, but the slope of the loss
    along the way from the best settings known: it leads there in few renders, out of local minima, and is 0 where nothing better
    is known. It is for losses that are to be lowered, by optimisers that move some hundredths a step, such as Adam. Where the point
    rests, or moves by more than a quarter of a range, the estimate is that of `Coordinates`, and so is the first; and ever longer
    where a sound heard before has another loss now, because `loss_fn` changes or is random.

    Args:
        samples: probes of each item; never more than parameters are heard.
        items: batches of so many items or fewer are emulated, unless a recording is there twice. With more than one, each is led to
            the best settings of its own: right where items have their own settings, and wrong where they share them. 0, the
            default: every estimate is right on average.
        step: of parameters that the inspection recommends none for, in (0, 0.5].
        inspection: what `inspect_effect` found. "measure" leaves that to the layer, when it is made: up to two minutes, once, as it
            is remembered until the plug-in's file changes. By default there is none, for gradients must not depend on what was
            measured on a machine before.

    An `Auto` belongs to one layer. What it remembers makes two equal calls differ; two equal runs, from new layers, are equal. With
    `items`, copies and pickles hold what it heard: some megabytes, recordings among them.
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
        Coordinates(samples)  # checks them
        self.samples, self.items, self.inspection = samples, items, inspection
        self._warned = False
        self.step = step
        #: whether the last estimate was 0, so that a point rests that would move
        self._flat = False
        #: by what the items are known by
        self._last: dict[bytes, _Seen] = {}
        self._memories: dict[bytes, _Memory] = {}
        #: times that a loss was not what it had been, and steps before memories are begun again
        self._surprises = self._wait = 0

    @property
    def step(self) -> float:
        """Of parameters that an inspection recommends none for."""
        return self._step

    @step.setter
    def step(self, step: float) -> None:
        self._step = check_step("Auto", step)
        self._names: tuple[str, ...] = ()
        self._coordinates = Coordinates(self.samples, self._step)

    def __repr__(self) -> str:
        found = f"<of {self.inspection.address}>" if isinstance(self.inspection, Inspection) else repr(self.inspection)
        return f"Auto(samples={self.samples}, items={self.items}, step={self.step}, inspection={found})"

    def promises(self, parameters: int) -> Promises:
        """Of a function that the inspection tells nothing about, and where nothing is emulated."""
        return self._coordinates.promises(parameters)

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

    def estimate(self, problem: Problem) -> Estimate:
        if self.inspection is None:
            return self._estimate(problem)
        if self.inspection == "measure":
            raise EstimatorError("Auto: inspection='measure' needs an effect to measure; give inspection=inspect_effect(…)")
        names = problem.space.names
        measured = {p.name: p for p in self.inspection.parameters if p.name in names}
        if problem.kind == "cotangent":
            self._warn_of_cotangents(self.inspection.address, measured.values())
        heard = [name for name in names if name not in measured or measured[name].reaches_sound is not False]
        gradient = torch.zeros_like(problem.point)
        if heard:
            if self._names != tuple(heard):
                self._names, self._coordinates = tuple(heard), self._informed(heard, measured)
            gradient[:, [names.index(name) for name in heard]] = self._estimate(problem.along(heard)).gradient
        return Estimate(gradient)

    def _informed(self, names: Sequence[str], measured: Mapping[str, ParameterInspection]) -> Coordinates:
        """For these parameters. Slopes differ less than influence over a whole range does: as its root, on the whole."""
        steps = {name: min(measured[name].step or self.step, 0.5) for name in names if name in measured}
        influence = {name: measured[name].influence for name in names if name in measured}
        known = {name: math.sqrt(value) for name, value in influence.items() if value is not None and math.isfinite(value)}
        return Coordinates(self.samples, dict.fromkeys(names, self.step) | steps, influence=known)

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

    def _estimate(self, problem: Problem) -> Estimate:
        """Of parameters that are heard."""
        emulated = self._emulated(problem)
        estimate = emulated or self._coordinates.estimate(problem)
        self._flat = emulated is None and not estimate.gradient.any()
        return estimate

    def _emulated(self, problem: Problem) -> Estimate | None:
        """The slopes of chords, where the same recordings come again and are understood."""
        if problem.target is None or problem.output is None or problem.batch > self.items or not problem.parameters:
            return None
        prints = [_fingerprint(problem, i) for i in range(problem.batch)]
        here, value = problem.point.numpy().copy(), problem.value.double().cpu().numpy()
        output = problem.output.float().cpu()
        last, now = self._last, {name: _Seen(here[i], float(value[i]), output[i]) for i, name in enumerate(prints)}
        self._last = now
        again = len(now) == len(prints) and now.keys() <= last.keys()
        moved = max(float(np.abs(now[name].point - last[name].point).max()) for name in prints) if again else math.inf
        if moved > _LITTLE:
            self._memories = {}
            return None
        if self._wait or (moved == 0.0 and not self._flat):
            self._wait = max(0, self._wait - 1)
            return None
        memories = [self._memories.get(name) or _memory(problem, i, last[name]) for i, name in enumerate(prints)]
        self._memories = dict(zip(prints, memories, strict=True))
        better = any(value[i] < memory.loss for i, memory in enumerate(memories))
        if (better or memories[0].age % _CHECKED == 0) and not self._same_loss(problem, memories):
            self._memories, self._surprises = {}, self._surprises + 1
            self._wait = 2 ** min(self._surprises, _LONGEST)
            return None
        for i, memory in enumerate(memories):
            memory.learn(here[i], float(value[i]), output[i])
        if any(memory.hearing().belief < _BELIEVED for memory in memories):
            return None
        return self._chords(problem, memories, here, value)

    def _same_loss(self, problem: Problem, memories: list[_Memory]) -> bool:
        """Whether the loss of the best sounds is what it was."""
        found = problem.judge(torch.stack([memory.best for memory in memories])).numpy()
        before = np.array([memory.loss for memory in memories])
        return bool((np.isclose(found, before, rtol=_SAME_LOSS, atol=1e-9) | ~np.isfinite(before)).all())

    def _chords(self, problem: Problem, memories: list[_Memory], here: FloatArray, value: FloatArray) -> Estimate:
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
            emulator = memory.hearing().pursuit.emulator
            if not len(emulator):
                continue
            way, fall = here[i] - emulator.best, value[i] - emulator.lowest
            if way.any() and fall > 0.0:
                gradient[i] = torch.from_numpy(fall / float(way @ way) * way)
        return Estimate(gradient)


def _fingerprint(problem: Problem, item: int) -> bytes:
    """What an item of a batch is known by."""
    assert problem.audio is not None
    digest = hashlib.blake2b(repr(problem.space.names).encode(), digest_size=16)
    for given in (problem.audio, *problem.targets):
        digest.update(repr((given.dtype, given.shape[1:])).encode())
        digest.update(given[item].detach().cpu().double().contiguous().numpy().tobytes())
    return digest.digest()


def _memory(problem: Problem, item: int, seen: _Seen) -> _Memory:
    """One that knows a sound, and has learnt nothing.

    Spectrograms are listened to, and, for losses that compare samples, waveforms.
    """
    assert problem.target is not None
    target = problem.target[item].float().cpu()
    seed = int(torch.randint(2**31, (), generator=problem.generator))
    kinds = [Waveform] if target.shape[-1] < MultiResolutionSTFT.sizes[0] else [MultiResolutionSTFT, Waveform]
    return _Memory(
        [_Hearing(kind(target, 0.0), Pursuit(Emulator(problem.space, seed), seed)) for kind in kinds],
        torch.quasirandom.SobolEngine(problem.parameters, scramble=True, seed=seed),
        seen.sound,
        seen.loss,
    )
