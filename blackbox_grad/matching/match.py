"""`match`: the settings with which an effect turns one recording into another."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike

from blackbox_grad.effects.spec import AnyEffect, as_spec
from blackbox_grad.errors import EstimatorError, NonFiniteAudioError, RenderError
from blackbox_grad.estimators.base import Estimator
from blackbox_grad.estimators.by_name import estimator as find_estimator
from blackbox_grad.hosts.default import default_host, opened_host
from blackbox_grad.hosts.protocol import Host
from blackbox_grad.interrupts import Interrupt, deferred_interrupts
from blackbox_grad.losses.by_name import Loss, loss_for, loss_name
from blackbox_grad.matching.descent import Descent
from blackbox_grad.matching.driver import Driver
from blackbox_grad.matching.leaving_out import without_silent
from blackbox_grad.matching.objective import BudgetSpent, Objective
from blackbox_grad.matching.recordings import WholeLoss, loudest, prepare
from blackbox_grad.matching.result import Match, Progress
from blackbox_grad.matching.strategy import Strategy
from blackbox_grad.matching.tidying import renders_for, tidy
from blackbox_grad.matching.turns import TOGETHER, Turns
from blackbox_grad.parameters.space import ParameterSpace, Selection
from blackbox_grad.search.base import Found, Searcher
from blackbox_grad.torch_state import one_thread, own_work

#: Makes a searcher of settings, from their space and a seed.
SearcherOf: TypeAlias = Callable[[ParameterSpace, int], Searcher]

#: Renders of the whole recording at the end: at the best settings and at the defaults.
_WHOLE = 2


@own_work(gradients=True)
def match(
    effect: AnyEffect,
    audio: ArrayLike | torch.Tensor,
    target: ArrayLike | torch.Tensor,
    sample_rate: float = 44100.0,
    *,
    parameters: Selection = "trainable",
    fixed: Mapping[str, float | str] | None = None,
    loss: Loss = "mrstft",
    renders: int = 2000,
    estimator: str | Estimator | None = None,
    probe_kind: Literal["auto", "loss", "cotangent"] = "auto",
    searcher: SearcherOf | None = None,
    seed: int = 0,
    host: str | Host | None = None,
    excerpt: float | None = 4.0,
    on_progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> Match:
    """Find the settings with which `effect` turns `audio` into `target`.

    Args:
        effect: an address, or a spec, which has its own `sample_rate`, `parameters`, `fixed` and options.
        audio: the input `[C, T]`. Its channels are averaged or repeated to be as many as the target's.
        target: `[C, T]`, at the same sample rate. The longer of the two is cut.
        sample_rate: Hz.
        parameters: what may change: "trainable" (stepped ones and toggles too), "continuous", "all", or names
            and patterns of names ("Gain *", "* 3"). Of more than 16, those that change nothing are left out.
        fixed: values of other parameters, by name.
        loss: the distance: "mrstft", "mel", "envelope", "l1", a sum with weights ("mrstft + 0.5*envelope"), a class of
            `FeatureLoss`, or any torch loss function `loss(y, target)` of two tensors `[B, C, T]` that is 0 where they are equal.
        renders: the most renders of the plug-in.
        estimator: descend its gradients: an `Estimator`, or its name with options. By default an emulator of the effect predicts
            where the loss is low, which needs fewer renders.
        probe_kind: what the estimator probes: the "loss" or the "cotangent" product; "auto" measures which one suits.
        searcher: any optimiser with `ask` and `tell` in place of the usual one: `searcher(space, seed)` makes it.
        seed: the same seed gives the same settings, for any number of hosts.
        host: where to render, or its name with options; by default the pool of processes that all modules share.
        excerpt: seconds of the loudest part to search on; None for the whole recording. The result is checked on the whole.
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
    x, wanted, notes = prepare(audio, target)
    descent = None if estimator is None else Descent(find_estimator(estimator, spec), probe_kind)
    # a host that is made here is closed here
    with opened_host(default_host() if host is None else host) as rendering:
        spec, left_out = without_silent(rendering.open(spec))
        space = rendering.open(spec).parameters
        notes += [left_out] * bool(left_out)
        for note in notes:
            warnings.warn(note, stacklevel=2)
        part, lead = loudest(wanted, spec.sample_rate, excerpt)
        whole = part.stop - part.start == x.shape[1]
        with one_thread():
            reference = loss_for(loss, torch.from_numpy(wanted[:, part.start + lead : part.stop]), spec.sample_rate)
            objective = Objective(spec, rendering, np.ascontiguousarray(x[:, part]), reference, lead, renders - _WHOLE)
            driver = Driver(objective, renders, on_progress)
            method = _Method(descent, searcher)
            on_whole = WholeLoss(spec, rendering, x, wanted, loss)  # a loss that refuses it does so before the search
            # until the result is whole: what was found is not lost to Ctrl-C in the last renders
            with deferred_interrupts(lambda: math.isfinite(objective.best_loss)) as interrupt:
                finished, failure = _ended(objective, interrupt, lambda: method.run(driver, seed))
                if not math.isfinite(objective.best_loss):
                    peaks = f"audio has a peak of {np.abs(x).max():.3g}, target of {np.abs(wanted).max():.3g}, full scale is 1"
                    raise NonFiniteAudioError(
                        f"{spec.address}: at none of {objective.renders} settings is the loss a finite number. The effect may "
                        f"return NaN or infinity at all of them, or the recordings are too loud: {peaks}"
                    )
                candidates = [objective.best_point] if whole else [objective.best_point, space.defaults]
                losses, rendered = zip(*(on_whole.at(point) for point in candidates), strict=True)
                loss_dry = on_whole.dry()
        best = int(np.argmin(losses))
        return Match(
            spec=spec,
            info=rendering.open(spec),
            point=candidates[best],
            loss=losses[best],
            loss_start=driver.start if whole else losses[1],
            loss_dry=loss_dry,
            loss_name=loss_name(loss),
            method=method.name,
            method_reason=method.reason,
            renders=objective.renders + len(candidates),
            seconds=time.monotonic() - began,
            history=driver.history,
            audio=rendered[best],
            sample_rate=spec.sample_rate,
            seed=seed,
            finished="interrupted" if interrupt.pressed and not failure else finished,
            notes=notes,
            error=failure,
            searched_seconds=(part.stop - part.start - lead) / spec.sample_rate,
            input=x,
            target=wanted,
        )


class _Method:
    """How the settings are searched: by the usual strategy, by a searcher of the caller's, or by an estimator's gradients."""

    def __init__(self, descent: Descent | None, searcher: SearcherOf | None) -> None:
        self._descent, self._searcher = descent, searcher
        self._told: Descent | Strategy | Turns | None = descent
        self.searcher_name = ""

    @property
    def name(self) -> str:
        """Of the method."""
        return self.searcher_name or (self._told.method if self._told is not None else "search")

    @property
    def reason(self) -> str:
        """Why it was chosen."""
        if self.searcher_name:
            return "Chosen by the caller: a searcher."
        return self._told.reason if self._told is not None else "All renders went into the search for a start."

    def run(self, driver: Driver, seed: int) -> None:
        """Search until the method has come to its end, or `BudgetSpent` is raised."""
        space = driver.objective.space
        start = driver.evaluate_start()
        if self._descent is not None and len(space):
            self._descent.run(driver, seed)
        elif self._searcher is not None and len(space):
            searcher = self._searcher(space, seed)
            if not (callable(getattr(searcher, "ask", None)) and callable(getattr(searcher, "tell", None))):
                raise EstimatorError(f"match: {searcher!r} is not a searcher: it needs the methods ask and tell")
            unnamed = type(searcher).__repr__ is object.__repr__
            self.searcher_name = type(searcher).__name__ if unnamed else repr(searcher)
            driver.drive(searcher)
        elif len(space) <= TOGETHER:
            self._told = strategy = Strategy(space, seed, driver.objective.limit, start)
            driver.drive(strategy)
        else:
            self._take_turns(driver, seed, start)

    def _take_turns(self, driver: Driver, seed: int, start: Found) -> None:
        """Search many parameters; at the end, those that do no good return to their defaults."""
        objective = driver.objective
        limit, kept = objective.limit, renders_for(len(objective.space), objective.limit)
        self._told = turns = Turns(objective.space, seed, limit - kept, start)
        objective.limit -= kept
        spent: BudgetSpent | None = None
        try:
            driver.drive(turns)
        except BudgetSpent as error:
            spent = error
        objective.limit = limit
        if math.isfinite(objective.best_loss):
            tidy(driver)
        if spent is not None:
            raise spent


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
