"""The audio's gradient through a linear time-invariant effect: adjoint filtering with the measured impulse response.

Where `f(x) = h * x + o` (filters, equalisers, delays, reverbs; `o` is what the effect adds by itself), the Jacobian is the Toeplitz
matrix of `h`, for every `x`, and its transpose is the same filter run backwards in time, inputs and outputs exchanged:
`x̄[s] = Σ_t h[t - s]ᵀ ȳ[t]`. Adjoints as filters, and the dot-product test for them: J. F. Claerbout, "Earth Soundings Analysis:
Processing versus Inversion", 1992, chapter 5.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from blackbox_grad.errors import EstimatorError
from blackbox_grad.estimators.base import Estimate, Promises
from blackbox_grad.estimators.problem import Problem, ProblemEffect

#: Of the impulse's height: the noise beneath it. Some effects clear their memory, or close a gate, where their input is silent.
_BASE = 1e-3

#: Of the input: an output this far below it is rounding.
_ROUNDING = 1e-6

#: Height of the impulse where the audio is silent: -60 dBFS.
_QUIET = 1e-3


class LTI:
    """Exact for the audio of effects that are linear and time-invariant at their setting; an error for others.

    For each distinct setting of the batch it renders quiet noise, the noise with an impulse in each channel at the first
    sample, and with one at the last: `C + 2` renders. `C` more follow for an effect that answers the last one early: it looks
    ahead, and its latency is taken out.

    The measured response must then explain how each item's own forward render differs from that of the noise. The impulses are
    as high as the audio's peak, so an effect may be nonlinear elsewhere: a compressor below its threshold is a gain. The gradient
    of the parameters is 0: this is for `audio_gradient=`, beside another estimator. Items whose render, or whose response, is
    not finite get 0.

    Args:
        tolerance: largest relative error of what the response explains. Filters, delays and reverbs stay at 1e-8 to 1e-4; what
            distorts or modulates was seen at 4e-3 and more.

    Raises:
        EstimatorError: the effect measures as nonlinear or time-varying; says by how much.
    """

    def __init__(self, tolerance: float = 1e-3) -> None:
        if not 0.0 < tolerance < 1.0:
            raise EstimatorError(f"LTI: tolerance={tolerance} must lie between 0 and 1; it is a relative error")
        self.tolerance = float(tolerance)

    def __repr__(self) -> str:
        return f"LTI(tolerance={self.tolerance:g})"

    def promises(self, parameters: int) -> Promises:
        return Promises(probes=0, exact_audio=True)

    @torch.no_grad()
    def estimate(self, problem: Problem) -> Estimate:
        to_point = torch.zeros_like(problem.point)
        effect = problem.effect
        if effect is None:
            return Estimate(to_point)
        # on the CPU, where the renders are, and whose Fourier transform can be relied on
        x, y, cotangent = (audio.to("cpu", torch.float32) for audio in (effect.input, effect.output, effect.cotangent))
        to_audio = torch.zeros_like(x)
        groups = _items_by_setting(problem.point, torch.isfinite(y.sum((1, 2))))
        if not groups:
            return Estimate(to_point, to_audio)
        points = torch.stack([problem.point[items[0]] for items in groups])
        peaks = torch.stack([x[items].abs().max() for items in groups])
        measured = _measure(effect, problem.generator, points, torch.where(peaks > 0, peaks, _QUIET), x.shape[1:])
        for items, point, (base, answer, response) in zip(groups, points, measured, strict=True):
            if response is not None:
                self._check(problem, effect, point, response, x[items], y[items], base, answer)
                to_audio[items] = response.adjoint(cotangent[items])
        return Estimate(to_point, to_audio)

    def _check(
        self,
        problem: Problem,
        effect: ProblemEffect,
        point: Tensor,
        response: _Response,
        x: Tensor,
        y: Tensor,
        base: Tensor,
        answer: Tensor,
    ) -> None:
        """Raise if `f(x) - f(base)` is not `h * (x - base)`, `x, y: [N, C, T]`."""
        tolerance = self.tolerance + torch.finfo(effect.output.dtype).eps  # matters in half precision
        given, change = x - base, y - answer
        error = _norm(change - response.filter(given))
        wrong = ~(error <= tolerance * _norm(change) + _ROUNDING * (_norm(given) + _norm(y)))
        if not wrong.any():
            return
        worst = int(wrong.nonzero()[0])
        predicted = float(error[worst] / _norm(change[worst]))
        # four more renders say why: the same, half of it, the same later, and silence, to take off what the effect adds by itself
        given, later = given[worst], max(1, x.shape[-1] // 3)
        delayed = torch.nn.functional.pad(given, (later, 0))[:, : x.shape[-1]]
        *sounds, silence = effect.render(torch.stack([given, given / 2, delayed, 0 * given]), point.expand(4, -1)).float()
        whole, half, shifted = (sound - silence for sound in sounds)
        level = float(_norm(2 * half - whole) / _norm(whole))
        shift = float(_norm(shifted[:, later:] - whole[:, :-later]) / _norm(whole[:, :-later]))
        causes = ["nonlinear"] * (level > tolerance) + ["time-varying"] * (shift > tolerance)
        setting = ", ".join(f"{n}={v:.4g}" for n, v in zip(problem.space.names, point.tolist(), strict=True))
        raise EstimatorError(
            f"{self!r} is for linear time-invariant effects, and this one is {' and '.join(causes) or 'not additive'} at "
            f"{setting or 'its only setting'}. Relative errors, of which {tolerance:.2g} is allowed: {predicted:.2g} in the output "
            f"predicted from the impulse response; {level:.2g} in half the output for half the input; {shift:.2g} in the same "
            f"output for the same input {later} samples later. Use audio_gradient='straight-through' or "
            "StraightThrough(surrogate), or fix the settings that distort or modulate"
        )


class _Response:
    """A linear time-invariant effect at one setting.

    Args:
        first: `[C, C, T]`, what becomes of an impulse of height 1 in each channel at the first sample.
        last: the same of impulses at the last sample; None where nothing comes before them. The outer columns of a Toeplitz matrix
            are all of it.
    """

    def __init__(self, first: Tensor, last: Tensor | None) -> None:
        length = first.shape[-1]
        self._size = 1 << (2 * length - 1).bit_length()  # no lag of -(T - 1) … T - 1 meets another
        if last is not None:
            gap = first.new_zeros(*first.shape[:2], self._size - 2 * length + 1)
            first = torch.cat([first, gap, last[..., :-1]], -1)  # negative lags at the end
        self._spectrum: Tensor = torch.fft.rfft(first, self._size)  # [C in, C out, frequency]

    def filter(self, x: Tensor) -> Tensor:
        """`h * x`, `[N, C, T]`."""
        return self._apply(self._spectrum, x)

    def adjoint(self, cotangent: Tensor) -> Tensor:
        """`x̄`, `[N, C, T]`."""
        return self._apply(self._spectrum.transpose(0, 1), cotangent.flip(-1)).flip(-1)

    def _apply(self, spectrum: Tensor, x: Tensor) -> Tensor:
        spectra = torch.fft.rfft(x, self._size)
        product = sum(of_channel * spectra[:, i, None] for i, of_channel in enumerate(spectrum))
        filtered: Tensor = torch.fft.irfft(product, self._size)
        return filtered[..., : x.shape[-1]]


def _measure(
    effect: ProblemEffect, generator: torch.Generator, points: Tensor, heights: Tensor, shape: torch.Size
) -> Iterator[tuple[Tensor, Tensor, _Response | None]]:
    """At each of the `points: [U, P]`: noise `[C, T]`, what becomes of it, and the response; None where that is not finite.

    Args:
        heights: of the impulses, `[U]`.
        shape: `[C, T]`.
    """
    channels = shape[0]
    noise = math.sqrt(3) * (2 * torch.rand(shape, generator=generator, dtype=torch.float32) - 1)  # of power 1
    base = _BASE * heights[:, None, None] * noise

    def rendered(chosen: Tensor, signals: Tensor) -> Tensor:
        """`[U, K, C, T]` of as many signals at each chosen point."""
        audio = effect.render(signals.flatten(0, 1), points[chosen].repeat_interleave(signals.shape[1], 0))
        return audio.float().reshape(signals.shape)

    # the noise; with a late impulse in all channels; with an early one in each channel
    signals = base[:, None].repeat(1, 2 + channels, 1, 1)
    signals[:, 1, :, -1] += heights[:, None]
    for channel in range(channels):
        signals[:, 2 + channel, channel, 0] += heights
    answers = rendered(torch.arange(len(points)), signals)
    early = (answers[:, 1] - answers[:, 0])[..., :-1].abs() > _ROUNDING * heights[:, None, None]
    ahead = early.flatten(1).any(1).nonzero()[:, 0]
    late: dict[int, Tensor] = {}
    if len(ahead):
        signals = base[ahead, None].repeat(1, channels, 1, 1)
        for channel in range(channels):
            signals[:, channel, channel, -1] += heights[ahead]
        late = dict(zip(ahead.tolist(), rendered(ahead, signals), strict=True))
    for u, height in enumerate(heights):
        answer, after_first, after_last = answers[u, 0], answers[u, 2:], late.get(u)
        finite = torch.isfinite(answers[u].sum()) and (after_last is None or torch.isfinite(after_last.sum()))
        last = None if after_last is None else (after_last - answer) / height
        yield base[u], answer, _Response((after_first - answer) / height, last) if finite else None


def _items_by_setting(point: Tensor, usable: Tensor) -> list[list[int]]:
    """The usable items of the batch, those of one setting together."""
    groups: dict[tuple[float, ...], list[int]] = {}
    for item, (values, use) in enumerate(zip(point.tolist(), usable.tolist(), strict=True)):
        if use:
            groups.setdefault(tuple(values), []).append(item)
    return list(groups.values())


def _norm(x: Tensor) -> Tensor:
    """`[..., C, T] -> [...]`."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=(-2, -1))
    return norm
