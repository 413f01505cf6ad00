"""`match`: the settings with which an effect turns one recording into another."""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike

from blackbox_grad.effects.spec import EffectSpec, as_spec
from blackbox_grad.errors import EstimatorError, NonFiniteAudioError, RenderError
from blackbox_grad.estimators.base import Estimator
from blackbox_grad.estimators.by_name import estimator as find_estimator
from blackbox_grad.hosts.default import default_host
from blackbox_grad.hosts.protocol import Host
from blackbox_grad.interrupts import _deferred_interrupt
from blackbox_grad.losses.by_name import loss_for
from blackbox_grad.matching.objective import BudgetSpent, Objective
from blackbox_grad.matching.recordings import WholeLoss, loudest, prepare
from blackbox_grad.matching.result import Match, Progress
from blackbox_grad.matching.strategy import Strategy
from blackbox_grad.parameters.space import Selection

#: Renders of the whole recording at the end: at the best settings and at the defaults.
_WHOLE = 2


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
    x, wanted, notes = prepare(audio, target)
    descended = None if estimator is None else find_estimator(estimator, spec)
    info = host.open(spec)
    for note in notes:
        warnings.warn(note, stacklevel=2)
    part, lead = loudest(wanted, spec.sample_rate, excerpt)
    whole = part.stop - part.start == x.shape[1]

    def objective_on(piece: slice, lead: int) -> Objective:
        reference = loss_for(loss, torch.from_numpy(wanted[:, piece.start + lead : piece.stop]), spec.sample_rate)
        return Objective(spec, info.parameters, host, np.ascontiguousarray(x[:, piece]), reference, lead)

    with _one_thread():
        objective = objective_on(part, lead)
    objective.limit = renders - _WHOLE
    run = Strategy(objective, renders, seed, on_progress)
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
        chosen = WholeLoss(spec, info, host, x, wanted, loss)
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


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """torch on one thread: the other cores are the hosts', and its threads, waiting for theirs, would cost more than they bring."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
