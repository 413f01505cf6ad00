"""Style matching where nothing was trained: a search for the settings with which an effect sounds like a reference."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from blackbox_grad import Host
from blackbox_grad.effects import AnyEffect, as_spec, without_silent
from blackbox_grad.errors import EffectLoadError, EstimatorError, NonFiniteAudioError, RenderError
from blackbox_grad.hosts import default_host
from blackbox_grad.hosts import host as find_host
from blackbox_grad.inspection import find_neutral
from blackbox_grad.interrupts import Interrupt, deferred_interrupts
from blackbox_grad_adapters.style_matching.matching.chain_order import ChainSearch, opened
from blackbox_grad_adapters.style_matching.matching.hearing import Hearing
from blackbox_grad_adapters.style_matching.matching.level import Level
from blackbox_grad_adapters.style_matching.matching.quest import Quest
from blackbox_grad_adapters.style_matching.matching.result import StyleMatch
from blackbox_grad_adapters.style_matching.matching.setter import StyleSetter, audible
from blackbox_grad_adapters.style_matching.networks import shipped
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder

Order: TypeAlias = Literal["given", "free"]

#: Renders by default.
RENDERS = 300

#: With a free order, this part of the renders goes to the chain as it was given.
_AS_GIVEN = 0.5

#: The effect is bypassed if it leaves more than this part of the input's squared distance to the reference.
_BETTER = 0.95

#: An input is near the reference if its distance is below this multiple of what is usual within a recording. Then an effect must
#: leave less than this part: a search among many settings also lowers the distance of an input that needs no effect.
_NEAR, _MUCH_BETTER = 0.7, 0.4


@dataclass(frozen=True)
class SearchProgress:
    """Given to `on_progress` after every batch of renders.

    Attributes:
        renders, budget: so far, and allowed.
        distance: of the best settings so far, as in `StyleMatch`, on an excerpt; infinite before any.
        distance_before: of the input.
        seconds_left: at the present speed.
        chain: the parts that are searched now, by name.
    """

    renders: int
    budget: int
    distance: float
    distance_before: float
    seconds_left: float
    chain: tuple[str, ...]


class StyleSearch(StyleSetter):
    """Any effect or chain, set by a search: no weights for it are needed.

    Args:
        effect: an address, also of a chain ("A | B"), or a spec.
        host: where to render: a host, or its description ("processes:hosts=2"); by default the one that all modules share.
        encoder: what hears the recordings; by default the one in the package.
        order: "given", or "free": the parts of a chain may change places or fall out.

    Stepped parameters and switches are searched too. Of more than 16 parameters, those that change nothing are left out.
    """

    def __init__(
        self,
        effect: AnyEffect,
        host: str | Host | None = None,
        *,
        encoder: Encoder | None = None,
        order: Order = "given",
    ) -> None:
        if order not in ("given", "free"):
            raise EstimatorError(f"order={order!r} is unknown; allowed are 'given' and 'free'")
        encoder = (shipped.encoder() if encoder is None else encoder).eval()
        spec = as_spec(effect, encoder.sample_rate, "trainable")
        if spec.sample_rate != encoder.sample_rate:
            raise EffectLoadError(
                f"{spec.address}: a spec at {spec.sample_rate:g} Hz cannot be searched with an encoder at {encoder.sample_rate:g} "
                "Hz; give its address, or a spec at that rate"
            )
        rendering = default_host() if host is None else find_host(host)
        super().__init__(encoder, opened(spec, rendering))
        self.order = order
        #: A sentence about the parameters that are left out; empty if there are none.
        self.left_out = without_silent(rendering.open(spec))[1]

    def match(
        self,
        x: ArrayLike | Tensor,
        reference: ArrayLike | Tensor,
        sample_rate: float,
        reference_rate: float | None = None,
        *,
        renders: int = RENDERS,
        seed: int = 0,
        amount: float = 1.0,
        level: Level = "loudness",
        on_progress: Callable[[SearchProgress], None] | None = None,
    ) -> StyleMatch:
        """Set the effect so that `x` sounds like `reference`.

        Args:
            x, reference: `[C, T]` each, of any length and number of channels.
            sample_rate: Hz, of `x` and of the result.
            reference_rate: Hz, of the reference, if it differs.
            renders: the most renders of the search.
            seed: of the search.
            amount, level: as for `StyleMatcher.match`.
            on_progress: called after every batch of renders.

        Where no settings come nearer to the reference than `x` itself, the result is `x`: `StyleMatch.bypassed`.

        Ctrl-C or SIGTERM ends the search with the best settings so far; the second one raises `KeyboardInterrupt`. So does a
        render that fails, with a warning.

        Raises:
            AudioError: a recording is silent, or holds NaN or infinity.
            NonFiniteAudioError: at all settings the effect gives silence, NaN or infinity.
        """
        if not (isinstance(renders, int) and renders >= 8):
            raise EstimatorError(f"renders={renders!r} must be a whole number, 8 or more")
        audio, other = audible(x, "the input"), audible(reference, "the reference")
        dry, goal_audio = self.heard(audio, sample_rate), self.heard(other, reference_rate or sample_rate)
        hearing = Hearing(self.encoder, dry[0], goal_audio[0])
        before = float(hearing.distance(self.path.dry(hearing.excerpt)))
        best: Quest | None = None
        with deferred_interrupts(lambda: best is not None and math.isfinite(best.lowest)) as interrupt:
            watch = _Watch(renders, before, interrupt, on_progress)
            best = Quest(self.path, hearing, seed)
            chains = ChainSearch(best, lambda path, start: Quest(path, hearing, seed, start))
            try:
                free = self.order == "free" and len(self.path.spec.parts) > 1
                best.run(max(8, round(_AS_GIVEN * renders)) if free else renders, watch)
                if free:
                    if (least := math.ceil(chains.least / (1 - _AS_GIVEN))) > renders:
                        warnings.warn(
                            f"the chain stays as it was given: {renders} renders are too few to try other orders; give {least} or "
                            "more",
                            stacklevel=2,
                        )
                    chains.run(renders - best.renders, watch)
            except (KeyboardInterrupt, RenderError) as stop:
                if not math.isfinite(best.lowest):
                    raise
                if isinstance(stop, RenderError):
                    warnings.warn(
                        f"the search ended after {watch.made} renders, with the best settings so far: {stop}", stacklevel=2
                    )
            best = chains.best
            if not math.isfinite(best.lowest):
                raise NonFiniteAudioError(
                    f"{self.path.spec.address}: at none of {best.renders} settings does the effect give sound that is finite and "
                    "not silent; try other recordings, or an effect that lets sound through"
                )
            bypassed = in_vain(best.distance, before, hearing.usual)
            p = torch.from_numpy(best.point).float()[None]
            setter, full = StyleSetter(self.encoder, best.path), 1.0 if bypassed else amount
            found = setter.finished(audio, dry, goal_audio, p, sample_rate, watch.made, full, level)
            if bypassed:
                neutral = find_neutral(best.path.effect.host, found.info, found.p).point
                found = replace(
                    found,
                    y=audio,
                    p=neutral,
                    gain=0.0,
                    output_gain=0.0,
                    quieter=0.0,
                    distance=found.distance_before,
                    bypassed=True,
                )
            return replace(found, interrupted=interrupt.pressed, changes=tuple(chains.changes))


def in_vain(distance: float, before: float, usual: float) -> bool:
    """Whether a search has found no effect: its distance beside that of the input, and the usual one within a recording."""
    return distance**2 > (_MUCH_BETTER if before < _NEAR * usual else _BETTER) * before**2


class _Watch:
    """Counts renders, ends the search at Ctrl-C, and tells the progress."""

    def __init__(
        self, budget: int, before: float, interrupt: Interrupt, on_progress: Callable[[SearchProgress], None] | None
    ) -> None:
        self.made, self._budget, self._before, self._interrupt, self._tell = 0, budget, before, interrupt, on_progress
        self._began, self._lowest = time.monotonic(), math.inf

    def __call__(self, quest: Quest, count: int) -> None:
        """After `count` renders."""
        self.made += count
        self._lowest = min(self._lowest, quest.distance)
        if self._tell is not None:
            left = (time.monotonic() - self._began) / self.made * max(0, self._budget - self.made)
            names = tuple(quest.path.effect.info.name.split(" | "))
            self._tell(SearchProgress(self.made, self._budget, self._lowest, self._before, left, names))
        self._interrupt.check()
