"""The latency that a plug-in has, where the one that it reports is wrong.

swh's dj_eq reports 3 samples and has none; taking them out would shift its output. So a report is checked once, with noise at the
defaults. It stands unless the output clearly resembles the input, at a lag that is more than half the report away from it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from blackbox_grad.effects import Audio

#: Least cosine of input and output at the best lag for which the output clearly resembles the input.
_LIKENESS = 0.5

_SAMPLES = 8192


def true_latency(render: Callable[[Audio], Audio], inputs: int, reported: int) -> int:
    """Samples of delay of `render: [inputs, N] -> [outputs, N]`, which takes nothing out: as reported, or as measured.

    Args:
        render: at the defaults.
        inputs: those that take the audio.
        reported: samples.
    """
    if reported <= 0:
        return 0
    length = _SAMPLES + 4 * reported
    noise = np.zeros((inputs, length), np.float32)
    noise[:, : length - 2 * reported] = 0.1 * np.random.default_rng(0).standard_normal(length - 2 * reported)
    dry, wet = noise[0].astype(np.float64), render(noise).mean(axis=0, dtype=np.float64)
    size = 2 * length
    correlation = np.fft.irfft(np.fft.rfft(wet, size) * np.conj(np.fft.rfft(dry, size)), size)[:length]
    lag = int(np.argmax(np.abs(correlation)))
    likeness = abs(correlation[lag]) / max(float(np.linalg.norm(dry) * np.linalg.norm(wet)), 1e-12)
    if not likeness >= _LIKENESS or abs(lag - reported) <= reported // 2:
        return reported
    return lag
