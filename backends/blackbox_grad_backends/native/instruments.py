"""What opening an instrument measures: whether notes change its output, and whether controllers outlive a render."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from blackbox_grad.effects import Audio, Messages, PluginEffect, beside, is_packed, packed, parted, relative_error, unpacked
from blackbox_grad.errors import EffectLoadError
from blackbox_grad_backends.native.probing import sound
from blackbox_grad_backends.native.repeatability import Method

#: Samples of a tune, and its level.
_TUNE, LEVEL = 8192, 0.4

#: Modulation, volume, expression, the pedal, cutoff; pressure, and a bend.
_CONTROLS = ((0xB0, 1, 100), (0xB0, 7, 20), (0xB0, 11, 40), (0xB0, 64, 127), (0xB0, 74, 20), (0xD0, 100, 0), (0xE0, 127, 127))

#: Relative error from which on controllers are heard: more than an instrument's last bits.
_HEARD = 1e-6


def refuse_generator(effect: PluginEffect, method: Method, address: str) -> None:
    """Raise if no notes change what is heard, at the defaults or in the middle of everything."""
    tunes = [sound(effect, np.full((1, _TUNE), level)) for level in (LEVEL, 0.0)]
    for values in (effect.parameters.defaults, np.full(len(effect.parameters), 0.5)):
        played, nothing = (method(tune, values) for tune in tunes)
        if not np.array_equal(played, nothing):
            return
    raise EffectLoadError(
        f"{address} is a generator, not an effect or an instrument: no notes change its output. A "
        "sampler may lack its samples; a VST gets them from preset= or state="
    )


def steering(messages: Messages) -> NDArray[np.bool_]:
    """Which messages are no notes: controllers, bends, pressure, programs."""
    return ~np.isin(messages.data[:, 0] & 0xF0, (0x80, 0x90))


def is_steered(audio: Audio, sample_rate: float) -> bool:
    """Whether packed notes, alone or beside audio, hold more than notes."""
    notes = audio if is_packed(audio) else parted(audio)[1]
    return notes is not None and bool(steering(unpacked(notes, sample_rate)).any())


def keeps_controllers(effect: PluginEffect, method: Method) -> bool:
    """Whether controllers of one render are heard in the next. If so, the instrument is left with them."""
    tune = sound(effect, np.full((1, _TUNE), LEVEL))
    main, row = parted(tune)
    notes, defaults = unpacked(tune if row is None else row, effect.sample_rate), effect.parameters.defaults
    times = np.concatenate([notes.times, np.full(len(_CONTROLS), tune.shape[1] - 1)])
    messages = Messages(times, np.concatenate([notes.data, np.array(_CONTROLS, np.uint8)]))
    steered = packed(messages, tune.shape[1], len(tune) if row is None else 1, effect.sample_rate)
    plain, again = (method(tune, defaults) for _ in range(2))
    method(steered if row is None else beside(main, steered), defaults)
    error = relative_error(plain, method(tune, defaults))
    return error > max(_HEARD, 10.0 * relative_error(plain, again))
