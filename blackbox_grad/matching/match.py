"""`match`: the settings with which an effect turns one recording into another."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike

from blackbox_grad.effects.leaving_out import without_silent
from blackbox_grad.effects.notes import Notes
from blackbox_grad.effects.packing import is_packed
from blackbox_grad.effects.spec import AnyEffect, as_spec
from blackbox_grad.errors import EstimatorError, NonFiniteAudioError, RenderError
from blackbox_grad.estimators.base import Estimator
from blackbox_grad.estimators.by_name import estimator as find_estimator
from blackbox_grad.hosts.default import default_host, opened_host
from blackbox_grad.hosts.protocol import Host
from blackbox_grad.interrupts import Interrupt, deferred_interrupts
from blackbox_grad.losses.by_name import Loss, loss_for, loss_name
from blackbox_grad.matching.curve_search import CurveSearch
from blackbox_grad.matching.descent import Descent
from blackbox_grad.matching.driver import Driver
from blackbox_grad.matching.method import Method, SearcherOf
from blackbox_grad.matching.objective import BudgetSpent, Objective
from blackbox_grad.matching.playing import RECORDINGS, TONES, Comparison, check_takes, comparison
from blackbox_grad.matching.recordings import WholeLoss
from blackbox_grad.matching.result import Match, Progress
from blackbox_grad.matching.starts import as_starts, preset_starts
from blackbox_grad.matching.strategy import INSTRUMENTS, StrategyNumbers
from blackbox_grad.matching.sureness import Sureness, renders_for, sureness
from blackbox_grad.parameters.space import Selection
from blackbox_grad.torch_state import one_thread, own_work

#: Renders of the whole recording at the end: at the best settings and at the defaults.
_WHOLE = 2


@own_work(gradients=True)
def match(
    effect: AnyEffect,
    audio: ArrayLike | torch.Tensor | Notes,
    target: ArrayLike | torch.Tensor,
    sample_rate: float = 44100.0,
    *,
    parameters: Selection = "trainable",
    fixed: Mapping[str, float | str] | None = None,
    loss: Loss | None = None,
    renders: int = 2000,
    starts: ArrayLike | Literal["presets"] | None = None,
    estimator: str | Estimator | None = None,
    probe_kind: Literal["auto", "loss", "cotangent"] = "auto",
    searcher: SearcherOf | None = None,
    seed: int = 0,
    host: str | Host | None = None,
    excerpt: float | None = 4.0,
    on_progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> Match:
    """Find the settings with which `effect` turns `audio` into `target`, or with which an instrument plays it.

    Of `Automated(effect, …)` it finds the curves: on the whole recording, each knot by what is heard around it.

    Args:
        effect: an address, or a spec, which has its own `sample_rate`, `parameters`, `fixed` and options.
        audio: the input `[C, T]`. Its channels are averaged or repeated to be as many as the target's. For an instrument, the
            `Notes` that the target plays.
        target: `[C, T]`, at the same sample rate. The longer of the two is cut.
        sample_rate: Hz.
        parameters: what may change: "trainable" (stepped ones and toggles too), "continuous", "all", or names
            and patterns of names ("Gain *", "* 3"). Of more than 16, those that change nothing are left out.
        fixed: values of other parameters, by name.
        loss: the distance: "mrstft", "mel", "tones", "envelope", "l1", a sum with weights ("mrstft + 0.5*envelope"), a class of
            `FeatureLoss`, or any torch loss function `loss(y, target)` of two tensors `[B, C, T]` that is 0 where they are equal.
            By default "mrstft" for effects and "tones" for instruments.
        renders: the most renders of the plug-in.
        starts: `[N, P]`: settings that may be near. They are rendered first, in at most a quarter of all renders, and the search
            goes on from the best of them. "presets" stands for the factory presets, with which instruments start by default; an
            empty list for none.
        estimator: descend its gradients: an `Estimator`, or its name with options. By default an emulator of the effect predicts
            where the loss is low, which needs fewer renders.
        probe_kind: what the estimator probes: the "loss" or the "cotangent" product; "auto" measures which one suits.
        searcher: any optimiser with `ask` and `tell` in place of the usual one: `searcher(space, seed)` makes it.
        seed: the same seed gives the same settings, for any number of hosts.
        host: where to render, or its name with options; by default the pool of processes that all modules share.
        excerpt: seconds of the loudest part to search on, for an instrument of the beginning; None for the whole recording. The
            result is checked on the whole.
        on_progress: called after every step.
        options: for the backend (`preset=…`).

    Ctrl-C or SIGTERM ends it with the best settings so far; the second one raises `KeyboardInterrupt`. A render that fails ends it
    with the best settings so far, too: see `Match.error`.

    Raises:
        AudioError: the recordings cannot be compared, or one of them is silent.
        RenderError: the effect failed before any settings were found.
        NonFiniteAudioError: no settings gave a finite loss.
    """
    began = time.monotonic()
    if probe_kind not in ("auto", "loss", "cotangent"):
        raise EstimatorError(f"match: probe_kind={probe_kind!r} is unknown; allowed are 'auto', 'loss' and 'cotangent'")
    if probe_kind != "auto" and estimator is None:
        raise EstimatorError(f"match: probe_kind={probe_kind!r} is an estimator's; give one, such as estimator='spsa'")
    if not (searcher is None or callable(searcher)):
        raise EstimatorError(f"match: searcher={searcher!r} must be a function that makes one: searcher(space, seed)")
    if estimator is not None and searcher is not None:
        raise EstimatorError("match: give an estimator or a searcher, not both")
    if not (isinstance(renders, int) and renders >= 8):
        raise EstimatorError(f"match: renders={renders!r} must be a whole number, 8 or more")
    if not (isinstance(seed, int) and abs(seed) < 2**63):
        raise EstimatorError(f"match: seed={seed!r} must be a whole number of 63 bits")
    spec = as_spec(effect, sample_rate, parameters, fixed, **options)
    # a curve is on the time of the whole recording
    compared = comparison(audio, target, spec.sample_rate, None if spec.curves else excerpt)
    descent = None if estimator is None else Descent(find_estimator(estimator, spec), probe_kind)
    # a host that is made here is closed here
    with opened_host(default_host() if host is None else host) as rendering:
        info = rendering.open(spec)
        check_takes(info, audio)
        loss = (TONES if info.takes == "notes" else RECORDINGS) if loss is None else loss
        if isinstance(starts, str) or (starts is None and info.takes == "notes"):
            starts = preset_starts(rendering, spec, starts)
        places, names = as_starts(info, starts, renders), info.parameters.names
        spec, left_out = without_silent(info)
        space = rendering.open(spec).parameters
        places = places[:, [names.index(name) for name in space.names]]
        notes = [*compared.notes, *([left_out] if left_out else [])]
        for note in notes:
            warnings.warn(note, stacklevel=2)
        kept = _WHOLE + isinstance(audio, Notes)
        with one_thread():
            reference = loss_for(loss, torch.from_numpy(compared.excerpt), spec.sample_rate)
            sure = 0 if spec.curves else renders_for(space, renders)
            objective = Objective(spec, rendering, compared.searched, reference, compared.lead, renders - kept - sure)
            driver = Driver(objective, renders, on_progress)
            numbers = INSTRUMENTS if isinstance(audio, Notes) else StrategyNumbers()
            curves = CurveSearch(torch.from_numpy(compared.excerpt), spec.sample_rate, loss, seed) if spec.curves else None
            method = Method(descent, searcher, places, numbers, curves)
            on_whole = WholeLoss(
                spec, rendering, compared.x, compared.target, loss
            )  # a loss that refuses it does so before the search
            # until the result is whole: what was found is not lost to Ctrl-C in the last renders
            with deferred_interrupts(lambda: math.isfinite(objective.best_loss)) as interrupt:
                finished, failure = _ended(objective, interrupt, lambda: method.run(driver, seed))
                if not math.isfinite(objective.best_loss):
                    peaks = _peaks(compared)
                    raise NonFiniteAudioError(
                        f"{spec.address}: at none of {objective.renders} settings is the loss a finite number. The effect may "
                        f"return NaN or infinity at all of them, or the recordings are too loud: {peaks}"
                    )
                how_sure = None
                if not spec.curves:
                    how_sure, failure = _how_sure(objective, sure, finished, failure)
                candidates = [objective.best_point] if compared.whole else [objective.best_point, space.defaults]
                losses, rendered = zip(*(on_whole.at(point) for point in candidates), strict=True)
                loss_dry = on_whole.dry()
                # an instrument has no input; where the search began is heard in its place
                heard = on_whole.at(method.start)[1] if isinstance(audio, Notes) else compared.x
        best = int(np.argmin(losses))
        return Match(
            spec=spec,
            info=rendering.open(spec),
            point=candidates[best],
            loss=losses[best],
            loss_start=driver.start if compared.whole else losses[1],
            loss_dry=loss_dry,
            loss_name=loss_name(loss),
            method=method.name,
            method_reason=method.reason,
            renders=objective.renders + len(candidates) + isinstance(audio, Notes),
            seconds=time.monotonic() - began,
            history=driver.history,
            audio=rendered[best],
            sample_rate=spec.sample_rate,
            seed=seed,
            finished="interrupted" if interrupt.pressed and not failure else finished,
            notes=notes,
            error=failure,
            searched_seconds=compared.excerpt.shape[1] / spec.sample_rate,
            input=heard,
            target=compared.target,
            sureness=how_sure if best == 0 else None,
        )


def _how_sure(objective: Objective, kept: int, finished: str, failure: str) -> tuple[Sureness | None, str]:
    """How sure the match is of its settings, from the renders that were kept for it; and the error of the search, or of this."""
    if finished not in ("converged", "budget"):
        return None, failure
    objective.limit = objective.renders + kept
    try:
        return sureness(objective, kept), failure
    except KeyboardInterrupt:
        return None, failure
    except RenderError as error:
        return None, str(error)


def _peaks(compared: Comparison) -> str:
    peaks = [float(np.abs(audio).max()) for audio in (compared.x, compared.target)]
    if is_packed(compared.x):
        return f"the target has a peak of {peaks[1]:.3g}, full scale is 1"
    return f"audio has a peak of {peaks[0]:.3g}, target of {peaks[1]:.3g}, full scale is 1"


def _ended(objective: Objective, interrupt: Interrupt, search: Callable[[], None]) -> tuple[str, str]:
    """Run a search; how it ended, and the error that ended it. An error without any settings found is raised."""
    objective.check = interrupt.check
    try:
        search()
    except BudgetSpent:
        return "budget", ""
    except KeyboardInterrupt:
        if not math.isfinite(objective.best_loss):
            raise
        return "interrupted", ""
    except RenderError as error:
        if not math.isfinite(objective.best_loss):
            raise
        return "failed", str(error)
    return "converged", ""
