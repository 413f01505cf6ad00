"""`check_host` finds each broken promise, and nothing in a host that keeps them."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import numpy as np
import pytest

from blackbox_grad import EffectSpec, InProcessHost
from blackbox_grad.errors import EffectNotFoundError, HostError
from blackbox_grad.testing import HOST_LAWS, CheckFailed, check_host


class Late(InProcessHost):
    def open(self, spec):
        return replace(super().open(spec), latency=7)


class Louder(InProcessHost):
    def render_batch(self, spec, audio, points):
        rendered, finite = super().render_batch(spec, audio, points)
        return rendered * np.float32(1 + 1e-6), finite


class ForgetsTheOrder(InProcessHost):
    """The settings of an item are those of its neighbour."""

    def render_batch(self, spec, audio, points):
        return super().render_batch(spec, audio, np.flip(points, axis=-2))


class ProbesAnotherSide(InProcessHost):
    def probe_batch(self, spec, audio, points, cotangent):
        return super().probe_batch(spec, audio, points, np.ascontiguousarray(cotangent[:, ::-1]))


class CountsCalls(InProcessHost):
    def render_batch(self, spec, audio, points):
        before = self.renders
        result = super().render_batch(spec, audio, points)
        self.renders = before + 1
        return result


class MarksNothing(InProcessHost):
    def render_batch(self, spec, audio, points):
        rendered, finite = super().render_batch(spec, audio, points)
        return rendered, np.ones_like(finite)


class ProbesNonfiniteAsZero(InProcessHost):
    def probe_batch(self, spec, audio, points, cotangent):
        return np.nan_to_num(super().probe_batch(spec, audio, points, cotangent))


class ClipsPoints(InProcessHost):
    def render_batch(self, spec, audio, points):
        return super().render_batch(spec, audio, np.clip(np.nan_to_num(points), 0.0, 1.0))


class RaisesItsOwnError(InProcessHost):
    def probe_batch(self, spec, audio, points, cotangent):
        if cotangent.shape != audio.shape:
            raise IndexError("shapes")
        return super().probe_batch(spec, audio, points, cotangent)


class NormalisesInPlace(InProcessHost):
    def render_batch(self, spec, audio, points):
        result = super().render_batch(spec, audio, points)
        if audio.flags.writeable:
            audio /= np.abs(audio).max()
        return result


class ReusesItsBuffer(InProcessHost):
    buffer = None

    def render_batch(self, spec, audio, points):
        rendered, finite = super().render_batch(spec, audio, points)
        if self.buffer is None or self.buffer.shape != rendered.shape:
            self.buffer = rendered
        self.buffer[...] = rendered
        return self.buffer, finite


class SharesSilence(InProcessHost):
    def share(self, audio):
        return np.zeros_like(audio)


class KeepsTheCallInItself(InProcessHost):
    def render_batch(self, spec, audio, points):
        self.call = points
        time.sleep(0.005)
        if self.call.shape != points.shape:
            self.call = points
        return super().render_batch(spec, audio, self.call)


class RendersSilenceForNaN(InProcessHost):
    def render_batch(self, spec, audio, points):
        return super().render_batch(spec, np.nan_to_num(audio), points)


class StaysBroken(InProcessHost):
    broken = False

    def render_batch(self, spec, audio, points):
        if self.broken:
            raise HostError("it broke")
        self.broken = not np.isfinite(audio).all()
        return super().render_batch(spec, audio, points)


class OpensAnything(InProcessHost):
    def open(self, spec):
        try:
            return super().open(spec)
        except EffectNotFoundError:
            return super().open(EffectSpec.of("reference:gain"))


class RunsOutOfMemory(InProcessHost):
    def render_batch(self, spec, audio, points):
        if points.size > 1 << 16:
            raise MemoryError
        return super().render_batch(spec, audio, points)


class PicklesAsAnother(InProcessHost):
    def __reduce__(self):
        return Louder, ()


class ClosesOnce(InProcessHost):
    closed = False

    def close(self):
        if self.closed:
            raise HostError("it is closed")
        self.closed = True
        super().close()


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (Late, "opening describes the effect"),
        (Louder, "renders are the effect's, to the bit"),
        (ForgetsTheOrder, "renders are the effect's, to the bit"),
        (ProbesAnotherSide, "probes are inner products"),
        (CountsCalls, "renders are counted"),
        (MarksNothing, "what is not finite is marked and counted"),
        (ProbesNonfiniteAsZero, "what is not finite is marked and counted"),
        (ClipsPoints, "arrays that do not fit are refused"),
        (RaisesItsOwnError, "arrays that do not fit are refused"),
        (NormalisesInPlace, "input is not mutated"),
        (ReusesItsBuffer, "results are not reused"),
        (SharesSilence, "shared audio is equal"),
        (KeepsTheCallInItself, "any thread may call"),
        (RendersSilenceForNaN, "a failing render raises, and the next one works"),
        (StaysBroken, "a failing render raises, and the next one works"),
        (OpensAnything, "an unknown effect is an error"),
        (RunsOutOfMemory, "what no memory can hold is refused"),
        (PicklesAsAnother, "what is pickled renders the same"),
        (ClosesOnce, "closing twice is safe"),
    ],
)
def test_a_broken_promise_is_named(broken, law):
    with pytest.raises(CheckFailed, match=rf"{broken.__name__}.*law {re.escape(repr(law))} is broken"):
        check_host(broken())


def test_every_law_can_be_broken():
    """The list above leaves out none."""
    (mark,) = test_a_broken_promise_is_named.pytestmark
    assert {law for _, law in mark.args[1]} == {name for name, _ in HOST_LAWS}


def test_the_laws_that_hold_are_returned():
    assert check_host("in-process") == [name for name, _ in HOST_LAWS]
    assert check_host(InProcessHost(), laws=["renders are counted"]) == ["renders are counted"]


@pytest.mark.parametrize("address", ["reference:biquad", "reference:soft-clip | reference:delay"])
def test_any_effect_serves(address):
    assert check_host("in-process", address)


def test_an_unknown_law_is_an_error_with_the_known_ones():
    with pytest.raises(ValueError, match="no host law 'fast'; there are: opening describes the effect"):
        check_host("in-process", laws=["fast"])
