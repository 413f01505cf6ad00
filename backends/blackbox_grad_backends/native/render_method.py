"""Measures which method of rendering a plug-in gives the same bits for the same input, after any history."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass, fields, replace
from typing import Any

import numpy as np

from blackbox_grad.effects import REPEATABLE, Audio, Beside, PluginEffect, relative_error
from blackbox_grad.parameters import FloatArray, Parameter
from blackbox_grad_backends.native.determinism import reseed
from blackbox_grad_backends.native.lv2_parameters import HostRange
from blackbox_grad_backends.native.probing import sound, width
from blackbox_grad_backends.native.repeatability import SLOW, Method, worst_error

#: Seconds of the processor after which it tries no further method and measures no further parameter.
BUDGET = 10.0

#: Relative error. Of the methods up to this, the one that makes most parameters audible is preferred.
GOOD_ENOUGH = 1e-3

_SAMPLES = 8192

#: Random points, beside the defaults, whose renders are compared: fewer if a render takes more than `SLOW` seconds of the
#: processor. (MultiEQ leaks at one point in six.)
_POINTS, _POINTS_IF_SLOW = 10, 2

#: Further points and histories at which a method is tried if equal renders differed: by a quicker method, or by this one.
_TRIES, _TRIES_OF_NOISY = 6, 100

#: Seconds of the processor for them if no method is repeatable, or the difference is next to nothing: its size decides little.
_SMALL_BUDGET = 2.0

#: Relative error far below the rounding of a sample: ZynAddSubFX's last bits of its quietest samples.
NEXT_TO_NOTHING = 1e-12


@dataclass(frozen=True)
class Choice:
    """A method, its largest relative error between renders that should be equal, and parameters that were audible."""

    method: Method
    error: float
    live: frozenset[int]


@dataclass(frozen=True)
class Measured:
    """What the first opening of a plug-in learnt, for the next host: small, and valid in every host.

    Attributes:
        method: name of the method that renders.
        error: its largest relative error.
        kept: which of the plug-in's controls are parameters.
        described: all its controls. Their texts are read once, as a busy machine may cut the reading short.
        ranges: of the same controls, in the host; None where the host's value is the parameter's.
        latencies: all latencies that were seen, in samples.
        side_copies: as in `PluginEffect`.
        reaches: for each control, from where to where it may go (`native.corners`).
        latency: at the defaults, as `native.latency` found it; None before it is known.
        pinned: index in the host and value of the controls that the caller held (`native.pinned`). It is true for these only.
        created_often: whether an instrument must be created many times before it sounds the same each time.
        beside: as in `PluginEffect`.
        keeps_controllers: whether controllers of one render are heard in the next, unless an instrument is created anew.
        keeps_first: whether the first instance must not be freed (`native.lv2_freeing`).
    """

    method: str
    error: float
    kept: tuple[int, ...]
    described: tuple[Parameter, ...]
    latencies: frozenset[int] = frozenset()
    side_copies: bool = False
    ranges: tuple[HostRange | None, ...] = ()
    reaches: tuple[tuple[float, float], ...] = ()
    latency: int | None = None
    pinned: tuple[tuple[int, float], ...] = ()
    keeps_first: bool = False
    keeps_controllers: bool = False
    created_often: bool = False
    beside: Beside = ""

    def plain(self) -> dict[str, Any]:
        """For `PluginEffect.learnt`: a host process sends plain values only."""
        ranges = tuple(None if reach is None else astuple(reach) for reach in self.ranges)
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"ranges": ranges}

    @classmethod
    def of(cls, plain: dict[str, Any] | None) -> Measured | None:
        """From what `plain` returned, if it is there."""
        if plain is None:
            return None
        ranges = tuple(None if reach is None else HostRange(*reach) for reach in plain["ranges"])
        return cls(**plain | {"ranges": ranges})


def choose_method(
    effect: PluginEffect, methods: Sequence[Method], doubtful: Collection[int] = (), least_alive: float = 0.5
) -> Choice:
    """The first method that is pure and makes at least `least_alive` of the parameters audible; otherwise the best of them.

    No more than that share is looked for. Half, not all: some controls are inaudible at any one point (those of a muted band). A
    plug-in that waits to be touched shows none. `doubtful` parameters are measured without a time limit: they exist only if they
    are audible, also on a busy machine.
    """
    deadline = time.process_time() + BUDGET
    wanted = math.ceil(least_alive * len(effect.parameters))
    choices: list[Choice] = []
    for method in methods:
        if choices and time.process_time() > deadline:
            break
        choice = _measure(effect, method, methods[0], doubtful, wanted, deadline, enough=GOOD_ENOUGH)
        if choices and choice.error == 0.0:  # the plug-in keeps something, and few renders may agree by luck
            choice = replace(choice, error=worst_error(effect, method, _TRIES, BUDGET, methods[0]))
        choices.append(choice)
        if choices[-1].error <= NEXT_TO_NOTHING and len(choices[-1].live) >= wanted:
            break
    best = min(choices, key=lambda c: (c.error > GOOD_ENOUGH, -len(c.live) if least_alive else 0, c.error))
    hopeless = best.error > REPEATABLE
    if best.error > GOOD_ENOUGH and (doubtful or wanted or not hopeless):
        whole = _measure(effect, best.method, methods[0], doubtful, wanted, time.process_time() + BUDGET)
        best = replace(whole, error=max(whole.error, best.error))
    if best.error > 0.0:
        budget = _SMALL_BUDGET if hopeless or best.error <= NEXT_TO_NOTHING else BUDGET
        best = replace(best, error=max(best.error, worst_error(effect, best.method, _TRIES_OF_NOISY, budget, methods[0])))
    return best


def _measure(
    effect: PluginEffect,
    method: Method,
    quickest: Method,
    doubtful: Collection[int],
    wanted: int,
    deadline: float,
    enough: float = np.inf,
) -> Choice:
    """Gives up with the error so far once it exceeds `enough`. A slow method's renders have histories of the quickest one."""
    rng = np.random.default_rng(0)
    audio = sound(effect, 0.25 * rng.standard_normal((width(effect), _SAMPLES)))
    space, count = effect.parameters, len(effect.parameters)

    def render(point: FloatArray, by: Method = method) -> Audio:
        reseed()
        return by(audio, space.complete(point))

    started = time.process_time()
    known = [(space.defaults, render(space.defaults))]
    slow = time.process_time() - started > SLOW
    inner = rng.uniform(0.2, 0.8, size=(_POINTS_IF_SLOW if slow else _POINTS, count))
    known += [(p, render(p)) for p in inner]
    # Twice in a row: after a jump, the first render may contain the end of a fade (ZamHeadX2: 7 %), the second does not.
    error = max(relative_error(expected, render(p)) for p, expected in known for _ in range(2))
    if error > enough:
        return Choice(method, error, frozenset())

    def sounds(i: int, p: FloatArray, expected: Audio) -> bool:
        away = p.copy()
        away[i] = 0.0 if p[i] > 0.5 else 1.0
        return relative_error(expected, render(away)) > 2.0 * error

    live = {i for i in doubtful if any(sounds(i, *pair) for pair in known[:2])}
    nudged = np.clip(inner[:2] + 0.01 * rng.choice([-1.0, 1.0], size=(2, count)), 0.0, 1.0)
    for k, other in enumerate((np.ones(count), np.zeros(count), *nudged, *rng.uniform(size=inner.shape))):
        if error > enough:
            return Choice(method, error, frozenset())
        if time.process_time() > deadline:
            break
        render(other, quickest if slow else method)
        for p, expected in (known[k % len(known)], known[(k + 1) % len(known)]):  # each is the first one after some of them
            error = max(error, relative_error(expected, render(p)))
    for pair in known[:2]:
        for i in set(range(count)) - live - set(doubtful):
            if len(live) < wanted and time.process_time() < deadline and sounds(i, *pair):
                live.add(i)
    return Choice(method, error, frozenset(live))
