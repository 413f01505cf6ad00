"""What opening what plays or hears notes in DawDreamer needs beyond what an effect needs."""

from __future__ import annotations

import numpy as np

from blackbox_grad.effects import Beside, PluginEffect, beside, relative_error, tune
from blackbox_grad_backends.native.instruments import LEVEL
from blackbox_grad_backends.native.probing import silence, sound, width
from blackbox_grad_backends.native.render_method import GOOD_ENOUGH, NEXT_TO_NOTHING
from blackbox_grad_backends.native.repeatability import Method

#: Samples of a tune that reaches the loops of recorded tones, and of almost nothing.
_LONG_TUNE, _SHORT = 65536, 512

#: Hz, a quarter tone from the nearest note.
_VOICE = 226.5

#: The lowest note of a tune whose notes are none of its neighbours.
_AWAY = 49

#: Relative error from which on notes are heard: more than an effect's last bits.
_HEARD = 1e-6

#: After so many creations of MDA's EPiano nothing changes any more; 200 were enough.
_CREATIONS = 300


def hears_notes(effect: PluginEffect, method: Method) -> Beside:
    """ "notes" if an effect sounds different with notes beside the audio, at its defaults or in the middle of everything."""
    noise = 0.1 * np.random.default_rng(0).standard_normal((width(effect), _LONG_TUNE))
    voiced = np.arange(_LONG_TUNE) * _VOICE / effect.sample_rate % 1.0 - 0.5  # x42's fat1 corrects what has a pitch
    alone = effect.filled((noise + voiced).astype(np.float32))
    both = beside(alone, tune(_LONG_TUNE, 1, effect.sample_rate, lowest=_AWAY))
    for values in (effect.parameters.defaults, np.full(len(effect.parameters), 0.5)):
        plain, again, played = (method(audio, values) for audio in (alone, alone, both))
        if relative_error(plain, played) > max(_HEARD, 10.0 * relative_error(plain, again)):
            return "notes"
    return ""


def changes_when_created(effect: PluginEffect, created: Method) -> bool:
    """Whether a new instance sounds a little different from the one before.

    Each new instance of MDA's EPiano smooths the loops of the samples in its library once more. Where the difference
    is large, or next to nothing (ZynAddSubFX), no number of instances ends it.

    Args:
        effect: the instrument.
        created: renders with a new instance.
    """
    for level in (0.2, 0.3, LEVEL):
        tune = sound(effect, np.full((1, _LONG_TUNE), level))
        first, *others = (created(tune, effect.parameters.defaults) for _ in range(3))
        errors = [relative_error(first, other) for other in others]
        if any(errors):
            return NEXT_TO_NOTHING < max(errors) < GOOD_ENOUGH
    return False


def create_often(effect: PluginEffect, created: Method) -> None:
    """Until a new instance changes nothing any more."""
    nothing = silence(effect, _SHORT)
    for _ in range(_CREATIONS):
        created(nothing, effect.parameters.defaults)
