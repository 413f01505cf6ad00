"""`check_loss` finds each broken promise, and nothing in a loss that keeps them."""

from __future__ import annotations

import itertools
import re

import pytest
import torch

from blackbox_grad.losses import Waveform
from blackbox_grad.testing import LOSS_LAWS, CheckFailed, check_loss


class Signed(Waveform):
    def __call__(self, audio):
        return self.residuals(audio).sum(dim=1)


class OneForTheBatch(Waveform):
    def __call__(self, audio):
        return super().__call__(audio).mean()


class Offset(Waveform):
    def __call__(self, audio):
        return super().__call__(audio) + 0.1


class Deaf(Waveform):
    def features(self, audio):
        return 0.0 * super().features(audio)


class DeafToOneChannel(Waveform):
    """Right for mono recordings; for stereo ones it compares something that is equal in all."""

    def features(self, audio):
        return super().features(audio) if audio.shape[1] == 1 else 0.0 * super().features(audio)


def fades_with_distance(y, target):
    distance = (y - target).abs().mean()
    return distance / (1e-5 + distance.square())


class ComparesItems(Waveform):
    def __call__(self, audio):
        losses = super().__call__(audio)
        return losses * (1.0 + losses.max())


class OtherResiduals(Waveform):
    def residuals(self, audio):
        return 2.0 * super().residuals(audio)

    def __call__(self, audio):
        return self.residuals(audio).abs().sum(dim=1) / 2.0


class WithoutGradient(Waveform):
    def features(self, audio):
        return super().features(audio.detach())


class Climbs(Waveform):
    def features(self, audio):
        return super().features(2.0 * audio.detach() - audio)


class Drifts(Waveform):
    made = itertools.count(1)

    def prepare(self, target):
        super().prepare(target)
        self._weight *= next(self.made)


class NormalisesTheTarget(Waveform):
    def __init__(self, target, sample_rate):
        super().__init__(target, sample_rate)
        target /= target.abs().max()


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (Signed, "one number an item, 0 or more"),
        (OneForTheBatch, "one number an item, 0 or more"),
        (Offset, "it is zero at the target alone"),
        (Deaf, "it is zero at the target alone"),
        (DeafToOneChannel, "it is zero at the target alone"),
        (fades_with_distance, "what is nearer to the target costs less"),
        (ComparesItems, "items of a batch are apart"),
        (OtherResiduals, "absolute residuals add up to the loss"),
        (WithoutGradient, "the gradient is finite and descends"),
        (Climbs, "the gradient is finite and descends"),
        (Drifts, "equal calls give equal losses"),
        (NormalisesTheTarget, "input is not mutated"),
    ],
)
def test_a_broken_promise_is_named(broken, law):
    with pytest.raises(CheckFailed, match=f"{broken.__name__}: law {re.escape(repr(law))} is broken"):
        check_loss(broken, samples=2048)


def test_every_law_can_be_broken():
    """The list above leaves out none."""
    (mark,) = test_a_broken_promise_is_named.pytestmark
    assert {law for _, law in mark.args[1]} == {name for name, _ in LOSS_LAWS}


def test_the_laws_that_hold_are_returned():
    assert check_loss(Waveform, samples=512) == [name for name, _ in LOSS_LAWS]
    assert check_loss(torch.nn.L1Loss(), samples=512, laws=["items of a batch are apart"]) == ["items of a batch are apart"]


def test_a_loss_that_raises_has_the_law_in_its_error():
    def refuses(y, target):
        raise ValueError("not today")

    with pytest.raises(CheckFailed, match="refuses: law 'one number an item, 0 or more' is broken.*ValueError: not today"):
        check_loss(refuses)


def test_an_unknown_law_is_an_error_with_the_known_ones():
    with pytest.raises(ValueError, match="no loss law 'fast'; there are: one number an item"):
        check_loss("l1", laws=["fast"])
