"""What the inputs take that are not the audio's: side chains, and the second input of a vocoder or a ring modulator.

They take silence, as a side chain to which nothing is routed, or the recording of the option `sidechain=`. Some effects are dead
without a second input (lv2vocoder without a carrier is silent). Opening measures this; such an effect gets copies of the audio.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import Any

import numpy as np

from blackbox_grad.audio_files import read
from blackbox_grad.effects import ANY, Audio, PluginEffect
from blackbox_grad.errors import AudioError, EffectLoadError

#: The option that names the recording.
SIDECHAIN = "sidechain"

_SAMPLES = 8192

#: Parameters that are moved to see whether the effect is dead.
_MOST_MOVED = 32

#: Relative to the output: a smaller change is rounding.
_AUDIBLE = 1e-6


def take_sidechain(address: str, options: MutableMapping[str, Any], sample_rate: float) -> Audio | None:
    """Remove the option `sidechain=` from `options`, and read its file: `[S, N]` at `sample_rate` Hz; None without the option."""
    given = options.pop(SIDECHAIN, None)
    if given is None:
        return None
    if not isinstance(given, (str, os.PathLike)):
        raise EffectLoadError(f"{address}: sidechain= takes the path of an audio file, got {type(given).__name__}")
    try:
        return read(given, sample_rate)[0]
    except AudioError as error:
        raise EffectLoadError(f"{address}: sidechain={os.fspath(given)!r} cannot be used: {error}") from error


def refuse_unused(address: str, effect: PluginEffect) -> None:
    """Raise if the effect has a recording and no input for it."""
    if effect.sidechain is not None and (effect.inputs == ANY or not effect.sides):
        raise EffectLoadError(f"{address}: sidechain= needs a second input, and the effect has {effect.layout}; leave it out")


def needs_copies(effect: PluginEffect) -> bool:
    """Whether the effect is dead while its side inputs take silence, and alive while they take copies of the audio.

    Dead: silent, or less than half as many parameters are audible.
    """
    if effect.inputs == ANY or effect.sidechain is not None or not effect.sides:
        return False
    kept = effect.side_copies
    try:
        alive = []
        for effect.side_copies in (False, True):
            alive.append(_life(effect))
    finally:
        effect.side_copies = kept
    return 2 * alive[0] < alive[1]


def _life(effect: PluginEffect) -> int:
    """0 if the effect is silent at its defaults, otherwise 1 and the number of audible parameters."""
    shape = effect.inputs - len(effect.sides), _SAMPLES
    audio = effect.filled((0.25 * np.random.default_rng(0).standard_normal(shape)).astype(np.float32))
    space = effect.parameters

    def render(point: Any) -> Audio:
        return effect.process(audio, space.complete(point))

    expected = render(space.defaults)
    loudness = float(np.linalg.norm(expected))
    if not np.isfinite(loudness) or loudness <= _AUDIBLE:
        return 0
    count = len(space)
    audible = 1
    for i in range(0, count, -(-count // _MOST_MOVED) or 1):
        away = space.defaults.copy()
        away[i] = 0.0 if away[i] > 0.5 else 1.0
        audible += float(np.linalg.norm(render(away) - expected)) > _AUDIBLE * loudness
    return audible
