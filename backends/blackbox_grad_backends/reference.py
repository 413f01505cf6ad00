"""Effects as formulas, with exact gradients by autograd: the ground truth for estimators.

Each effect is one function over an array library `xp`. Renders use numpy, as a host process needs no torch; `differentiable` uses
torch. Filters and delays work in the frequency domain, zero-padded to twice the length, so a delay time is continuous and its
gradient exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox_grad.effects import ANY, Audio, Moves, PluginEffect
from blackbox_grad.errors import EffectNotFoundError, suggest
from blackbox_grad.parameters import FloatArray, Parameter, ParameterSpace
from blackbox_grad_backends.options import check_options

if TYPE_CHECKING:
    import torch

#: `apply(xp, x, p, sample_rate)`: `x: [..., C, T]`, `p`: one array `[..., 1, 1]` per parameter, normalised.
Formula = Callable[[Any, Any, Sequence[Any], float], Any]


@dataclass(frozen=True)
class _Reference:
    parameters: tuple[Parameter, ...]
    apply: Formula
    memoryless: bool = False


def _linear(p: Parameter, value: Any) -> Any:
    return p.minimum + value * (p.maximum - p.minimum)


def _exponential(xp: Any, p: Parameter, value: Any) -> Any:
    return p.minimum * xp.exp(value * float(np.log(p.maximum / p.minimum)))


def _decibels(xp: Any, value: Any) -> Any:
    return xp.exp(value * float(np.log(10.0) / 20.0))


def _filtered(xp: Any, x: Any, response: Callable[[Any], Any]) -> Any:
    """Apply a frequency response, a function of `z⁻¹` on the unit circle."""
    length = x.shape[-1]
    z = np.exp(-2j * np.pi * np.arange(length + 1) / (2 * length))
    if xp is not np:
        z = xp.as_tensor(z, dtype=xp.complex128, device=x.device)
    spectrum = xp.fft.rfft(x, n=2 * length)
    return xp.fft.irfft(spectrum * response(z), n=2 * length)[..., :length]


_GAIN = Parameter("Gain", default=0.5, minimum=-24.0, maximum=24.0, unit="dB")
_DRIVE = Parameter("Drive", default=0.25, minimum=0.0, maximum=40.0, unit="dB")
_LEVEL = Parameter("Level", default=0.5, minimum=-24.0, maximum=24.0, unit="dB")
_FREQUENCY = Parameter("Frequency", default=0.5, minimum=50.0, maximum=5000.0, unit="Hz", scale="log")
_PEAK = Parameter("Gain", default=0.75, minimum=-18.0, maximum=18.0, unit="dB")
_Q = Parameter("Q", default=0.3, minimum=0.3, maximum=6.0, scale="log")
_TIME = Parameter("Time", default=0.3, minimum=1.0, maximum=400.0, unit="ms", scale="log")
_FEEDBACK = Parameter("Feedback", default=0.3, minimum=0.0, maximum=90.0, unit="%")
_MIX = Parameter("Mix", default=0.5, minimum=0.0, maximum=100.0, unit="%")


def _gain(xp: Any, x: Any, p: Sequence[Any], sample_rate: float) -> Any:
    return x * _decibels(xp, _linear(_GAIN, p[0]))


def _soft_clip(xp: Any, x: Any, p: Sequence[Any], sample_rate: float) -> Any:
    return xp.tanh(x * _decibels(xp, _linear(_DRIVE, p[0]))) * _decibels(xp, _linear(_LEVEL, p[1]))


def _biquad(xp: Any, x: Any, p: Sequence[Any], sample_rate: float) -> Any:
    """Peaking equaliser of the Audio EQ Cookbook (R. Bristow-Johnson)."""
    w = _exponential(xp, _FREQUENCY, p[0]) * (2 * np.pi / sample_rate)
    a = _decibels(xp, _linear(_PEAK, p[1]) / 2)
    alpha = xp.sin(w) / (2 * _exponential(xp, _Q, p[2]))
    cosine = xp.cos(w)

    def response(z: Any) -> Any:
        top = (1 + alpha * a) - 2 * cosine * z + (1 - alpha * a) * z**2
        return top / ((1 + alpha / a) - 2 * cosine * z + (1 - alpha / a) * z**2)

    return _filtered(xp, x, response)


def _delay(xp: Any, x: Any, p: Sequence[Any], sample_rate: float) -> Any:
    samples = _exponential(xp, _TIME, p[0]) * (sample_rate / 1000)
    feedback, mix = _linear(_FEEDBACK, p[1]) / 100, _linear(_MIX, p[2]) / 100

    def response(z: Any) -> Any:
        angle = xp.angle(z)  # z⁻¹ = e^{-jω}: a delay of d samples is e^{-jωd}, for any real d
        late = xp.exp(1j * angle * samples)
        return (1 - mix) + mix * late / (1 - feedback * late)

    return _filtered(xp, x, response)


_EFFECTS: Mapping[str, _Reference] = {
    "gain": _Reference((_GAIN,), _gain, memoryless=True),
    "soft-clip": _Reference((_DRIVE, _LEVEL), _soft_clip, memoryless=True),
    "biquad": _Reference((_FREQUENCY, _PEAK, _Q), _biquad),
    "delay": _Reference((_TIME, _FEEDBACK, _MIX), _delay),
}


def _find(locator: str) -> _Reference:
    if locator not in _EFFECTS:
        raise EffectNotFoundError(f"no reference effect {locator!r}; {suggest(locator, _EFFECTS)}")
    return _EFFECTS[locator]


#: Samples between two changes of a setting of a formula without memory.
CURVE_BLOCK = 64


class ReferenceEffect(PluginEffect):
    """A formula, rendered with numpy in float64. Any number of channels goes straight through.

    The settings of gain and soft clip may move; the other formulas are those of constant settings.
    """

    inputs = outputs = ANY

    def __init__(self, locator: str, sample_rate: float) -> None:
        self._reference = _find(locator)
        self.name = locator
        self.sample_rate = sample_rate
        self.parameters = ParameterSpace(self._reference.parameters)
        self.curve_block = CURVE_BLOCK if self._reference.memoryless else 0

    def process_curves(self, audio: Audio, values: FloatArray, moves: Moves) -> Audio:
        settings: list[Any] = list(values)
        for position, row in zip(moves.positions, moves.values, strict=True):
            settings[position] = np.repeat(row, moves.block)[: audio.shape[1]]
        y = self._reference.apply(np, audio.astype(np.float64), settings, self.sample_rate)
        return np.asarray(y, dtype=np.float32)

    def process(self, audio: Audio, values: FloatArray) -> Audio:
        y = self._reference.apply(np, audio.astype(np.float64), list(values), self.sample_rate)
        return np.asarray(y, dtype=np.float32)


class ReferenceBackend:
    """Addresses `reference:gain`, `reference:soft-clip`, `reference:biquad`, `reference:delay`."""

    #: The distribution that the effects come with.
    library = "blackbox-grad"

    def open(self, locator: str, sample_rate: float, options: Mapping[str, Any]) -> ReferenceEffect:
        check_options(f"reference:{locator}", options)
        return ReferenceEffect(locator, sample_rate)

    def claims(self, locator: str) -> float:
        return 0.0

    def scan(self) -> Iterator[str]:
        return iter(_EFFECTS)

    def differentiable(
        self, locator: str, sample_rate: float = 44100.0
    ) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        """The function of this name, for those who reach the backend by its own."""
        return differentiable(locator, sample_rate)


def differentiable(locator: str, sample_rate: float = 44100.0) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The same effect as a torch function `f(x: [B, C, T], p: [B, P]) -> [B, C, T]` with exact gradients.

    It computes in float64. It serves as the truth for estimates, and as a surrogate for `StraightThrough`.
    """
    import torch

    reference = _find(locator)

    def f(x: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        values = [v[:, None, None] for v in p.double().unbind(dim=1)]
        y: torch.Tensor = reference.apply(torch, x.double(), values, sample_rate)
        return y.to(x.dtype)

    return f
