"""What a plug-in declares as its repeatability holds for settings and histories that opening did not try first."""

from __future__ import annotations

import time

import numpy as np

from blackbox_grad.effects import Audio, PluginEffect
from blackbox_grad.effects.repeatability import REPEATABLE
from blackbox_grad.parameters import FloatArray, Parameter, ParameterSpace
from blackbox_grad_backends.native.render_method import choose_method
from blackbox_grad_backends.native.repeatability import SLOW


class Gain(PluginEffect):
    """A gain, with renders that repeat, that do not, and that do except after loud audio."""

    name, sample_rate, inputs, outputs = "gain", 44100.0, 1, 1

    def __init__(self) -> None:
        self.parameters = ParameterSpace([Parameter("Gain", default=0.5)])
        self.rng, self.count, self.loudest = np.random.default_rng(0), 0, 0.0

    def pure(self, audio: Audio, values: FloatArray) -> Audio:
        self.count += 1
        return (audio * np.float32(values[0])).astype(np.float32)

    def noisy(self, audio: Audio, values: FloatArray) -> Audio:
        noise = self.rng.standard_normal(audio.shape).astype(np.float32)
        return self.pure(audio, values) + np.float32(0.1) * noise

    def changed_by_loud_audio(self, audio: Audio, values: FloatArray) -> Audio:
        before, self.loudest = self.loudest, float(np.abs(audio).max())
        return self.pure(audio, values) * np.float32(1.0 if before < 2.0 else 1.5)

    process = pure


def test_a_first_method_that_repeats_is_chosen_without_further_renders() -> None:
    alone, beside = Gain(), Gain()
    assert choose_method(alone, [alone.pure, alone.noisy]).error == 0.0
    assert choose_method(beside, [beside.noisy, beside.pure]).error == 0.0
    assert alone.count < beside.count


def test_where_one_method_differs_the_next_is_tried_after_other_audio() -> None:
    effect = Gain()
    choice = choose_method(effect, [effect.noisy, effect.changed_by_loud_audio])
    assert choice.method == effect.changed_by_loud_audio
    assert 0.3 < choice.error < 0.6


def test_where_nothing_repeats_the_look_is_short_and_slow_renders_have_histories_of_quick_ones() -> None:
    class Slow(Gain):
        def recreated(self, audio: Audio, values: FloatArray) -> Audio:
            end = time.process_time() + 1.5 * SLOW
            while time.process_time() < end:
                pass
            self.slow += 1
            return self.quick(audio, values) if self.noise == 0.0 else self.loud(audio, values)

        def quick(self, audio: Audio, values: FloatArray) -> Audio:
            return self.pure(audio, values)

        def loud(self, audio: Audio, values: FloatArray) -> Audio:
            return self.rng.standard_normal(audio.shape).astype(np.float32)

        slow, noise = 0, 0.0

    hopeless, steady = Slow(), Slow()
    hopeless.noise = 1.0
    assert choose_method(hopeless, [hopeless.loud, hopeless.recreated], least_alive=0.0).error > REPEATABLE
    assert hopeless.slow < 100
    assert choose_method(steady, [steady.noisy, steady.recreated], least_alive=0.0).error == 0.0
    assert steady.slow < 40


def test_what_differs_at_all_declares_what_most_renders_keep_to() -> None:
    effect = Gain()
    declared = choose_method(effect, [effect.noisy]).error
    rng = np.random.default_rng(1)
    audio = (0.25 * rng.standard_normal((1, 4096))).astype(np.float32)
    for _ in range(50):
        point = rng.uniform(0.2, 0.8, size=1)
        first, second = effect.noisy(audio, point), effect.noisy(audio, point)
        assert np.linalg.norm(second - first) <= 2.0 * declared * np.linalg.norm(first)
