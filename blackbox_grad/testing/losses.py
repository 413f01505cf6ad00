"""Does a loss keep the promises of `blackbox_grad.losses.FeatureLoss`?

`check_loss` runs the laws of `LOSS_LAWS`, one function each, and raises `CheckFailed` with the loss, the law and the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from blackbox_grad.losses.base import FeatureLoss
from blackbox_grad.losses.by_name import Loss, loss_for, loss_name
from blackbox_grad.testing.examination import CheckFailed

#: Relative error between sums of float32 in different orders.
_ROUNDING = 1e-4

#: Most rounding error at the target, relative to the loss of another recording.
_ZERO = 1e-5


@dataclass
class _Examination:
    """A loss under test, and recordings."""

    loss: Loss
    law: str
    channels: int
    samples: int
    sample_rate: float
    seed: int

    def require(self, condition: bool, message: str) -> None:
        if not condition:
            raise CheckFailed(f"{loss_name(self.loss)}: law {self.law!r} is broken for {self.channels} channels: {message}")

    def recordings(self, count: int) -> Tensor:
        """Noises that rise and fall in level and have different colours, `[count, C, T]`; the same at every call."""
        generator = torch.Generator().manual_seed(self.seed)
        noise = torch.randn(count, self.channels, self.samples, generator=generator)
        smooth = torch.nn.functional.avg_pool1d(noise, 5, 1, 2)
        blend = torch.linspace(0.0, 1.0, count)[:, None, None]
        time = torch.linspace(0.0, 1.0, self.samples)
        swells = 0.1 + torch.sin(torch.pi * (1 + torch.arange(count))[:, None, None] * time).square()
        return 0.2 * ((1 - blend) * noise + blend * smooth) * swells

    def to(self, target: Tensor) -> FeatureLoss:
        return loss_for(self.loss, target.clone(), self.sample_rate)

    def values(self, loss: FeatureLoss, audio: Tensor) -> Tensor:
        """The loss of each item, `[B]`, checked for its shape."""
        with torch.no_grad():
            found = loss(audio)
        self.require(
            isinstance(found, Tensor) and found.shape == (len(audio),),
            f"for audio {list(audio.shape)} it returned {list(found.shape) if isinstance(found, Tensor) else type(found)}, not [B]",
        )
        return found


def _one_number_an_item(exam: _Examination) -> None:
    target, *others = exam.recordings(4)
    silence = torch.zeros_like(target)
    values = exam.values(exam.to(target), torch.stack([target, *others, silence, 3.0 * target, -target]))
    exam.require(bool(torch.isfinite(values).all()), f"losses of finite recordings are not finite: {values.tolist()}")
    exam.require(bool((values >= 0).all()), f"losses are negative: {values.tolist()}")


def _zero_at_the_target_alone(exam: _Examination) -> None:
    for target, other in exam.recordings(4).reshape(2, 2, exam.channels, exam.samples):
        here, there = exam.values(exam.to(target), torch.stack([target, other])).tolist()
        exam.require(there > 0, f"the loss of another recording is {there:g}")
        exam.require(here <= _ZERO * there, f"the loss is {here:g} at the target itself and {there:g} at another recording")


def _nearer_costs_less(exam: _Examination) -> None:
    target, other = exam.recordings(2)
    shares = (0.01, 0.1, 1.0)
    mixed = torch.stack([target + share * (other - target) for share in shares])
    values = exam.values(exam.to(target), mixed).tolist()
    exam.require(
        values == sorted(values) and values[0] < values[-1],
        f"mixed with {shares} of another recording, the target has the losses {values}; they must rise",
    )


def _items_are_apart(exam: _Examination) -> None:
    target, *others = exam.recordings(4)
    loss = exam.to(target)
    batch = torch.stack([*others, target, torch.zeros_like(target)])
    together = exam.values(loss, batch)
    alone = torch.cat([exam.values(loss, item[None]) for item in batch])
    error = float((together - alone).abs().max() / alone.abs().max())
    exam.require(error <= _ROUNDING, f"the losses of items are {together.tolist()} together and {alone.tolist()} alone")


def _residuals_add_up(exam: _Examination) -> None:
    target, *others = exam.recordings(4)
    loss, batch = exam.to(target), torch.stack(others)
    with torch.no_grad():
        residuals = loss.residuals(batch)
    exam.require(
        residuals.ndim == 2 and len(residuals) == len(batch),
        f"the residuals of audio {list(batch.shape)} have the shape {list(residuals.shape)}, not [B, N]",
    )
    values, sums = exam.values(loss, batch), residuals.abs().sum(dim=1)
    error = float(((values - sums).abs() / values.abs().clamp_min(1e-30)).max())
    exam.require(error <= _ROUNDING, f"absolute residuals add up to {sums.tolist()}, the losses are {values.tolist()}")


def _the_gradient_descends(exam: _Examination) -> None:
    target, other = exam.recordings(2)
    loss = exam.to(target)
    audio = other[None].clone().requires_grad_()
    value = loss(audio).sum()
    exam.require(value.requires_grad, "it has no gradient: the loss was computed outside of autograd")
    (gradient,) = torch.autograd.grad(value, audio)
    before = float(value.detach())
    exam.require(bool(torch.isfinite(gradient).all()), "its gradient is not finite")
    size = float(gradient.norm())
    exam.require(size > 0, "its gradient is 0 at a recording other than the target")
    length = float(other.norm())
    steps = [length * share for share in (1e-2, 1e-3, 1e-4)]
    after = [float(exam.values(loss, audio.detach() - step / size * gradient)[0]) for step in steps]
    exam.require(min(after) < before, f"steps against its gradient led from {before:g} to {after}")


def _equal_calls_are_equal(exam: _Examination) -> None:
    target, *others = exam.recordings(4)
    batch = torch.stack(others)
    loss = exam.to(target)
    first = exam.values(loss, batch)
    exam.values(loss, torch.stack([target, -target]))
    exam.require(torch.equal(exam.values(loss, batch), first), "a second call for the same audio gave another loss")
    exam.require(torch.equal(exam.values(exam.to(target), batch), first), "two losses of one target are different")


def _input_is_not_mutated(exam: _Examination) -> None:
    target, *others = exam.recordings(4)
    batch = torch.stack(others)
    kept, batch_kept = target.clone(), batch.clone()
    loss = loss_for(exam.loss, target, exam.sample_rate)
    exam.require(torch.equal(target, kept), "making it changed the target")
    exam.values(loss, batch)
    with torch.no_grad():
        loss.residuals(batch)
    exam.require(torch.equal(target, kept), "a call changed the target")
    exam.require(torch.equal(batch, batch_kept), "a call changed the audio")


Law: TypeAlias = "tuple[str, Callable[[_Examination], None]]"

#: The laws, by name, in the order in which they are checked.
LOSS_LAWS: tuple[Law, ...] = (
    ("one number an item, 0 or more", _one_number_an_item),
    ("it is zero at the target alone", _zero_at_the_target_alone),
    ("what is nearer to the target costs less", _nearer_costs_less),
    ("items of a batch are apart", _items_are_apart),
    ("absolute residuals add up to the loss", _residuals_add_up),
    ("the gradient is finite and descends", _the_gradient_descends),
    ("equal calls give equal losses", _equal_calls_are_equal),
    ("input is not mutated", _input_is_not_mutated),
)


def check_loss(
    loss: Loss,
    channels: Iterable[int] = (1, 2),
    samples: int = 8192,
    sample_rate: float = 44100.0,
    *,
    laws: Iterable[str] | None = None,
    seed: int = 0,
) -> list[str]:
    """Check that a loss keeps its promises. Raise `CheckFailed` with the loss, the law and the numbers otherwise.

    Args:
        loss: as in `match(loss=…)`: a name, a sum of names, a class of `FeatureLoss`, or a torch loss function.
        channels: the numbers of channels `C` to try: mono and stereo by default.
        samples: length `T` of the recordings.
        sample_rate: Hz.
        laws: names from `LOSS_LAWS`; all of them if None.
        seed: of the recordings.

    Returns:
        The names of the laws that were checked and hold.
    """
    known = dict(LOSS_LAWS)
    chosen, tried = list(known) if laws is None else list(laws), list(channels)
    unknown = [law for law in chosen if law not in known]
    if unknown:
        raise ValueError(f"no loss law {unknown[0]!r}; there are: {', '.join(known)}")
    for law in chosen:
        for count in tried:
            exam = _Examination(loss, law, count, samples, sample_rate, seed)
            try:
                known[law](exam)
            except CheckFailed:
                raise
            except Exception as error:
                exam.require(False, f"{type(error).__name__}: {error}")
    return chosen
