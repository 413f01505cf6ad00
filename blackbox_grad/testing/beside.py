"""Laws of what takes notes beside audio: effects that listen to MIDI, and instruments with audio inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.notes import Notes
from blackbox_grad.effects.packing import beside, is_packed, packed, unpacked
from blackbox_grad.effects.protocols import Effect
from blackbox_grad.effects.tunes import accompanied, tune
from blackbox_grad.testing.examination import SLACK, Examination, Law, relative_error

#: Samples from which on there is room for a tune.
_ROOM = 32


class Accompanied:
    """What takes notes and audio, with both at all times: a tune beside all audio, or noise beside all notes.

    So the other laws are those of an effect that hears notes, or of an instrument that hears audio.
    """

    def __init__(self, effect: Effect) -> None:
        self.effect = effect

    def __getattr__(self, name: str) -> Any:
        return getattr(self.effect, name)

    def render(self, audio: Audio, point: ArrayLike) -> Audio:
        """`[C, T]` -> `[C, T]`."""
        given = np.asarray(audio)
        rate = self.effect.sample_rate
        if given.ndim != 2 or given.dtype.kind != "f" or not len(given) or given.shape[1] < _ROOM:
            return self.effect.render(audio, point)
        if is_packed(given):
            noise = 0.25 * np.random.default_rng(0).standard_normal(given.shape)
            notes = packed(unpacked(given, rate), given.shape[1], 1, rate)
            return self.effect.render(beside(noise.astype(np.float32), notes), point)[:-1]
        return self.effect.render(accompanied(given.astype(np.float32), rate), point)[:-1]


def accompanied_for_laws(effect: Effect) -> Effect:
    """Noise goes beside an instrument's notes only where it needs some: others may let it pass."""
    takes_both = getattr(effect, "beside", "")
    if takes_both == "audio":
        alone = effect.render(Notes.one("C4", 0.5).packed(effect.sample_rate), effect.parameters.defaults)
        return effect if alone.any() else Accompanied(effect)
    return Accompanied(effect) if takes_both else effect


def _of_notes_alone(exam: Examination) -> Effect:
    return exam.effect.effect if isinstance(exam.effect, Accompanied) else exam.effect


def _both(exam: Examination) -> tuple[Effect, Audio, Audio]:
    """The effect, audio `[2, T]`, and a tune `[1, T]`. Long notes: an effect may take a while to hear them."""
    effect, rate, seconds = _of_notes_alone(exam), exam.effect.sample_rate, 1.0
    rng, time = exam.rng, np.arange(round(seconds * rate)) / rate
    saw = 226.5 * time % 1.0 - 0.5 + 0.05 * rng.standard_normal((2, len(time)))
    notes = Notes([("C#4", 100, 0.1, 0.4), ("G#4", 100, 0.5, 0.4)], seconds)
    return effect, saw.astype(np.float32), notes.packed(rate, 1)


def _both_are_heard(exam: Examination) -> None:
    effect, audio, notes = _both(exam)
    points = [effect.parameters.defaults, np.full(len(effect.parameters), 0.5)]
    limit = SLACK * effect.repeatability
    if effect.takes == "notes":  # type: ignore[attr-defined]
        return  # an instrument may have its inputs off
    errors = [relative_error(effect.render(audio, p), effect.render(beside(audio, notes), p)[:-1]) for p in points]
    exam.require(max(errors) > limit, "notes beside audio change nothing")


def _without_one_it_is_as_if_it_were_not_connected(exam: Examination) -> None:
    effect, audio, notes = _both(exam)
    point = effect.parameters.defaults
    if effect.takes == "notes":  # type: ignore[attr-defined]
        silent = effect.render(beside(np.zeros_like(audio), notes), point)[:-1]
        whole = Notes([("C#4", 100, 0.1, 0.4), ("G#4", 100, 0.5, 0.4)], 1.0).packed(effect.sample_rate)
        exam.require_same(silent, effect.render(whole, point), "with silence at the inputs and with nothing")
        return
    alone = effect.render(audio, point)
    nothing = tune(audio.shape[1], 1, effect.sample_rate, velocity=0)
    effect.render(beside(audio, notes), point)
    exam.require_same(alone, effect.render(audio, point), "after audio with notes beside it")
    exam.require_same(alone, effect.render(beside(audio, nothing), point)[:-1], "without notes and with none in it")


def _the_channel_of_notes_comes_back_silent(exam: Examination) -> None:
    effect, audio, notes = _both(exam)
    for channels in (1, 2, 3):
        given = beside(np.resize(audio, (channels, audio.shape[1])), notes)
        y = effect.render(given, effect.parameters.defaults)
        exam.require(y.shape == given.shape, f"{given.shape} came back as {y.shape}")
        exam.require(not y[-1].any(), "the channel of notes holds sound")


#: The laws, by name, in the order in which they are checked.
BESIDE_LAWS: tuple[Law, ...] = (
    ("notes beside audio are heard", _both_are_heard),
    ("without notes or audio it plays the other alone", _without_one_it_is_as_if_it_were_not_connected),
    ("the channel of notes comes back silent", _the_channel_of_notes_comes_back_silent),
)
