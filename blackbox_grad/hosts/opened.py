"""The effects that one host holds open, and what rendering one item means: the same code in this process and in a host's."""

from __future__ import annotations

import hashlib
import pickle
from collections import OrderedDict
from dataclasses import replace

import numpy as np

from blackbox_grad.effects import Audio, EffectSpec, SelectedEffect, load
from blackbox_grad.parameters import FloatArray

#: Effects that a host keeps open at once; the one unused for longest is closed first.
MOST_OPEN = 16

#: Products are summed in float32 over so many samples, and these sums in float64: exact enough for differences of probes.
_BLOCK = 1024


def spec_key(spec: EffectSpec) -> str:
    """A short name for a spec, equal for equal specs, in every process."""
    return hashlib.sha256(pickle.dumps(_unlearnt(spec), protocol=4)).hexdigest()[:32]


def _unlearnt(spec: EffectSpec) -> EffectSpec:
    return replace(spec, learnt=(), parts=tuple(map(_unlearnt, spec.parts)))


class OpenedEffects:
    """Opens effects when first used and keeps the last `MOST_OPEN`."""

    def __init__(self) -> None:
        self._effects: OrderedDict[str, SelectedEffect] = OrderedDict()

    def get(self, key: str, spec: EffectSpec) -> SelectedEffect:
        if key not in self._effects:
            while len(self._effects) >= MOST_OPEN:
                self._effects.popitem(last=False)[1].close()
            self._effects[key] = load(spec)
        self._effects.move_to_end(key)
        return self._effects[key]

    def close(self) -> None:
        while self._effects:
            self._effects.popitem()[1].close()


def inner_product(a: Audio, b: Audio) -> float:
    """`⟨a, b⟩` of two arrays of one shape, as float64.

    >>> inner_product(np.ones((2, 3), np.float32), np.full((2, 3), 0.5, np.float32))
    3.0
    """
    a, b = a.reshape(-1), b.reshape(-1)
    whole = len(a) - len(a) % _BLOCK
    blocks = np.einsum("ij,ij->i", a[:whole].reshape(-1, _BLOCK), b[:whole].reshape(-1, _BLOCK))
    return float(blocks.sum(dtype=np.float64) + np.dot(a[whole:].astype(np.float64), b[whole:].astype(np.float64)))


def render_into(effect: SelectedEffect, audio: Audio, point: FloatArray, out: Audio) -> float:
    """Render `[C, T]` into `out`; 0.0 if the result is finite, NaN otherwise."""
    out[...] = y = effect.render(audio, point)
    with np.errstate(invalid="ignore", over="ignore"):
        energy = inner_product(y, y)
    return 0.0 if np.isfinite(energy) or np.isfinite(y).all() else np.nan


def probe_value(effect: SelectedEffect, audio: Audio, point: FloatArray, cotangent: Audio) -> float:
    """`⟨ȳ, f(x, p)⟩`; NaN if the render is not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        value = inner_product(effect.render(audio, point), cotangent)
    return value if np.isfinite(value) else np.nan
