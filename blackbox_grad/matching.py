"""`match`: the settings with which an effect turns one recording into another."""

from __future__ import annotations

import contextlib
import itertools
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from blackbox_grad.effects import Audio, EffectInfo, EffectSpec, as_spec, check_audio
from blackbox_grad.emulator import Emulator, Pursuit
from blackbox_grad.errors import AudioError, EstimatorError, NonFiniteAudioError, RenderError
from blackbox_grad.estimators import Estimator
from blackbox_grad.hosts import Host, default_host
from blackbox_grad.line_search import LineSearch
from blackbox_grad.losses import loss_for
from blackbox_grad.parameters import FloatArray, Selection
from blackbox_grad.registry import estimator as find_estimator
from blackbox_grad.search import BudgetSpent, Descent, Emulation, Kind, Objective, Polish, distinct, global_search

#: Peaks below this, -100 dBFS, are silence.
_SILENCE = 1e-5

#: Seconds before the excerpt that are rendered too, so that echoes and envelopes are on their way when it begins.
_LEAD = 1.0

#: Renders of the whole recording at the end: at the best settings and at the defaults.
_WHOLE = 2

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


@dataclass(frozen=True)
class Progress:
    """Given to `on_progress` after every step. Losses are those of the excerpt.

    Attributes:
        renders: plug-in renders so far.
        budget: renders allowed.
        loss: of this step's best start.
        best: the best so far.
        start: at the default settings.
        phase: "search", "emulation" or "descent", "polish", "lines", the latter with the valleys that they show.
    """

    renders: int
    budget: int
    loss: float
    best: float
    start: float
    phase: str


@dataclass
class Match:
    """What `match` found. Losses are those of the whole recording.

    Attributes:
        spec, info: the effect.
        point: `[P] in [0, 1]`: the best settings.
        loss: at `point`.
        loss_start: at the effect's defaults.
        loss_dry: of the unprocessed input.
        loss_name: name of the loss.
        method: how it was found: "emulator", the estimator and what it probed, "all settings", or "search" where that was all.
        method_reason: why, one sentence.
        renders: plug-in renders used.
        seconds: time taken.
        history: one `Progress` a step.
        audio: `[C, T] float32`: the input through the effect at `point`, whole length.
        sample_rate: Hz.
        seed: of the run.
        finished: "converged", "budget" (all renders used), "interrupted" (Ctrl-C) or "failed" (a render crashed, hung or raised).
        notes: what was done to the recordings before they were compared.
        error: why it failed; empty otherwise.
    """

    spec: EffectSpec
    info: EffectInfo
    point: NDArray[np.float64]
    loss: float
    loss_start: float
    loss_dry: float
    loss_name: str
    method: str
    method_reason: str
    renders: int
    seconds: float
    history: list[Progress]
    audio: NDArray[np.float32]
    sample_rate: float
    seed: int
    finished: str
    notes: list[str] = field(default_factory=list)
    error: str = ""

    def settings(self) -> list[dict[str, Any]]:
        """One row for every parameter, free or held: name, kind, normalised, native (text), unit, default (native text), free."""
        space = self.info.parameters
        values = space.complete(self.point)
        return [
            {
                "name": p.name,
                "kind": p.kind,
                "normalised": float(values[i]),
                "native": p.text(float(values[i])),
                "unit": p.unit,
                "default": p.text(p.default),
                "free": i in space.free,
            }
            for i, p in enumerate(space.everything)
        ]

    def to_json(self) -> dict[str, Any]:
        """Everything but the audio, ready for `json.dumps`. A loss that is not finite is null."""

        def number(value: float) -> float | None:
            return value if math.isfinite(value) else None

        def progress(p: Progress) -> dict[str, Any]:
            losses = {"loss": number(p.loss), "best": number(p.best), "start": number(p.start)}
            return {"renders": p.renders, "budget": p.budget, **losses, "phase": p.phase}

        return {
            "effect": self.spec.address,
            "name": self.info.name,
            "sample_rate": self.sample_rate,
            "parameters": self.settings(),
            "loss": number(self.loss),
            "loss_start": number(self.loss_start),
            "loss_dry": number(self.loss_dry),
            "loss_name": self.loss_name,
            "method": self.method,
            "method_reason": self.method_reason,
            "renders": self.renders,
            "seconds": self.seconds,
            "seed": self.seed,
            "finished": self.finished,
            "notes": self.notes,
            "error": self.error,
            "history": [progress(p) for p in self.history],
        }


def match(
    effect: str | EffectSpec,
    audio: ArrayLike | torch.Tensor,
    target: ArrayLike | torch.Tensor,
    sample_rate: float = 44100.0,
    *,
    parameters: Selection = "trainable",
    fixed: Mapping[str, float | str] | None = None,
    loss: str = "mrstft",
    renders: int = 2000,
    estimator: str | Estimator | None = None,
    probes: Literal["auto", "loss", "cotangent"] = "auto",
    seed: int = 0,
    host: Host | None = None,
    excerpt: float | None = 4.0,
    on_progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> Match:
    """Find the settings with which `effect` turns `audio` into `target`.

    Args:
        effect: an address, or a spec, which then brings `sample_rate`, `parameters`, `fixed` and options itself.
        audio: the input `[C, T]`. Its channels are averaged or repeated to be as many as the target's.
        target: `[C, T]`, at the same sample rate. The longer of the two is cut.
        sample_rate: Hz.
        parameters: what may change: "trainable" (stepped ones and toggles too), "continuous", "all", or names.
        fixed: values of others, by name.
        loss: the distance: "mrstft", "mel", "envelope", "l1", or a sum with weights ("mrstft + 0.5*envelope").
        renders: the most renders of the plug-in.
        estimator: descend its gradients: an `Estimator`, or its name with options. By default an emulator of the effect foretells
            where the loss is low, which needs fewer renders.
        probes: an estimator's: differences of the "loss" or the "cotangent" product; "auto" measures which one suits.
        seed: the same seed gives the same settings, whatever the number of hosts.
        host: where to render; by default the pool of processes that all modules share.
        excerpt: seconds of the loudest part to search on; None for the whole recording. The result is checked on the whole.
        on_progress: called after every step.
        options: for the backend (`preset=…`).

    Ctrl-C ends it with the best settings so far; pressed again, it raises `KeyboardInterrupt`. So does a render that fails: see
    `Match.error`.

    Raises:
        AudioError: the recordings cannot be compared, or one of them is silent.
        RenderError: the effect failed before any settings were found.
        NonFiniteAudioError: no settings gave a finite loss.
    """
    began = time.monotonic()
    if probes not in ("auto", "loss", "cotangent"):
        raise EstimatorError(f"match: probes={probes!r} is unknown; allowed are 'auto', 'loss' and 'cotangent'")
    if probes != "auto" and estimator is None:
        raise EstimatorError(f"match: probes={probes!r} are those of an estimator; give one, such as estimator='spsa'")
    if not (isinstance(renders, int) and renders >= 8):
        raise EstimatorError(f"match: renders={renders!r} must be a whole number, 8 or more")
    if not (isinstance(seed, int) and abs(seed) < 2**63):
        raise EstimatorError(f"match: seed={seed!r} must be a whole number of 63 bits")
    host = host if host is not None else default_host()
    spec = as_spec(effect, sample_rate, parameters, fixed, **options)
    x, wanted, notes = _prepare(audio, target)
    descended = None if estimator is None else find_estimator(estimator, spec)
    info = host.open(spec)
    for note in notes:
        warnings.warn(note, stacklevel=2)
    part, lead = _loudest(wanted, spec.sample_rate, excerpt)
    whole = part.stop - part.start == x.shape[1]

    def objective_on(piece: slice, lead: int) -> Objective:
        reference = loss_for(loss, torch.from_numpy(wanted[:, piece.start + lead : piece.stop]), spec.sample_rate)
        return Objective(spec, info.parameters, host, np.ascontiguousarray(x[:, piece]), reference, lead)

    with _one_thread():
        objective = objective_on(part, lead)
    objective.limit = renders - _WHOLE
    run = _Run(objective, renders, seed, on_progress)
    failure = ""
    with _one_thread(), _deferred_interrupt(lambda: math.isfinite(objective.best_loss)) as check:
        objective.check = check
        try:
            run.everything(descended, probes)
            finished = "converged"
        except BudgetSpent:
            finished = "budget"
        except KeyboardInterrupt:
            if not math.isfinite(objective.best_loss):
                raise
            finished = "interrupted"
        except RenderError as error:
            if not math.isfinite(objective.best_loss):
                raise
            finished, failure = "failed", str(error)
    if not math.isfinite(objective.best_loss):
        raise NonFiniteAudioError(
            f"{spec.address}: at none of {objective.renders} settings is the loss a finite number. The effect may return NaN or "
            f"infinity at all of them, or the recordings are too loud: audio has a peak of {np.abs(x).max():.3g}, target of "
            f"{np.abs(wanted).max():.3g}, full scale is 1"
        )
    candidates = [objective.best_point] if whole else [objective.best_point, info.parameters.defaults]
    with _one_thread():  # as in the search: sums of other threads differ in their last bits
        chosen = _Whole(spec, info, host, x, wanted, loss)
        losses, rendered = zip(*(chosen.at(point) for point in candidates), strict=True)
        loss_dry = chosen.dry()
    best = int(np.argmin(losses))
    return Match(
        spec=spec,
        info=info,
        point=candidates[best],
        loss=losses[best],
        loss_start=run.start if whole else losses[1],
        loss_dry=loss_dry,
        loss_name=loss,
        method=run.method,
        method_reason=run.reason,
        renders=objective.renders + len(candidates),
        seconds=time.monotonic() - began,
        history=run.history,
        audio=rendered[best],
        sample_rate=spec.sample_rate,
        seed=seed,
        finished=finished,
        notes=notes,
        error=failure,
    )


class _Run:
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


class _Whole:
    """The loss on the whole recordings."""

    def __init__(self, spec: EffectSpec, info: EffectInfo, host: Host, x: Audio, wanted: Audio, loss: str) -> None:
        self._spec, self._host, self._x = spec, host, x
        self._loss = loss_for(loss, torch.from_numpy(wanted), spec.sample_rate)

    def at(self, point: FloatArray) -> tuple[float, Audio]:
        """The loss at `point: [P]`, infinite if the render is, and the render `[C, T]`."""
        y, finite = self._host.render_batch(self._spec, self._x[None], point[None])
        return (self._of(y[0]) if finite[0] else math.inf), y[0]

    def dry(self) -> float:
        """The loss of the unprocessed input."""
        return self._of(self._x)

    def _of(self, y: Audio) -> float:
        with torch.no_grad():
            return float(self._loss(torch.from_numpy(y)[None])[0])


def _prepare(audio: Any, target: Any) -> tuple[Audio, Audio, list[str]]:
    """Both recordings as `[C, T] float32`, of one length and channel count, and what was done to them."""
    notes = []
    arrays = []
    for name, given in (("audio", audio), ("target", target)):
        try:
            array = check_audio(given.detach().cpu() if isinstance(given, torch.Tensor) else given)
        except (AudioError, NotImplementedError) as error:  # the latter for a meta tensor, which holds no data
            raise AudioError(f"match: {name}: {error}") from error
        if not np.isfinite(array).all():
            raise AudioError(f"match: {name} holds NaN or infinity; clean it before")
        arrays.append(array)
    x, wanted = arrays
    if x.shape[1] != wanted.shape[1]:
        length = min(x.shape[1], wanted.shape[1])
        notes.append(f"audio has {x.shape[1]} samples and target {wanted.shape[1]}: the longer one was cut to {length}")
        x, wanted = x[:, :length], wanted[:, :length]
    if x.shape[0] != wanted.shape[0]:
        notes.append(f"audio has {x.shape[0]} channels and target {wanted.shape[0]}: those of audio were averaged and repeated")
        x = np.repeat(x.mean(axis=0, keepdims=True), wanted.shape[0], axis=0)
    for name, array in (("audio", x), ("target", wanted)):
        peak = float(np.abs(array).max(initial=0.0))
        if peak < _SILENCE:
            raise AudioError(
                f"match: {name} is silent (peak {peak:.1e}), so there is nothing to match; give a recording with sound"
            )
    return np.ascontiguousarray(x), np.ascontiguousarray(wanted), notes


def _loudest(target: Audio, sample_rate: float, seconds: float | None) -> tuple[slice, int]:
    """The part of the recording to render, and how many samples at its beginning are only a lead."""
    length = target.shape[1]
    if seconds is not None and not seconds * sample_rate >= 1.0:
        raise AudioError(f"match: excerpt={seconds} must be a positive number of seconds, or None for the whole recording")
    if seconds is None or seconds * sample_rate >= length:
        return slice(0, length), 0
    wanted = round(seconds * sample_rate)
    energy = np.concatenate([[0.0], np.cumsum(np.square(target, dtype=np.float64).sum(axis=0))])
    start = int(np.argmax(energy[wanted:] - energy[:-wanted]))
    lead = min(start, round(_LEAD * sample_rate))
    return slice(start - lead, start + wanted), lead


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """torch on one thread: the other cores are the hosts', and its threads, waiting for theirs, would cost more than they bring."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def _deferred_interrupt(has_result: Callable[[], bool]) -> Iterator[Callable[[], None]]:
    """Ctrl-C takes effect where the yielded function is called next, so that no host is cut off in the middle of its work.

    At once where there is no result yet, or when it is pressed again. Elsewhere than on the main thread, or where the program has a
    handler of its own, nothing is changed.
    """
    ours = (
        threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    pressed = False

    def handler(*_: object) -> None:
        nonlocal pressed
        if pressed or not has_result():
            raise KeyboardInterrupt
        pressed = True

    def check() -> None:
        if pressed:
            raise KeyboardInterrupt

    if ours:
        signal.signal(signal.SIGINT, handler)
    try:
        yield check
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
