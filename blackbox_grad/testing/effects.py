"""Does an effect keep the promises of `blackbox_grad.effects.Effect`?

`check_effect` runs the laws of `EFFECT_LAWS`, one function each, and for an instrument those of `INSTRUMENT_LAWS` too. It raises
`CheckFailed` with the effect, the law and the numbers.
"""

from __future__ import annotations

import pickle
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blackbox_grad.effects.automation import Automated
from blackbox_grad.effects.opening import load
from blackbox_grad.effects.protocols import Effect
from blackbox_grad.effects.repeatability import REPEATABLE
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import AudioError, ParameterError
from blackbox_grad.testing.beside import BESIDE_LAWS, Accompanied, accompanied_for_laws
from blackbox_grad.testing.curves import CURVE_LAWS, moves
from blackbox_grad.testing.examination import SLACK, Examination, Law, relative_error
from blackbox_grad.testing.instruments import INSTRUMENT_LAWS

#: Seconds of the processor for a law that tries every parameter.
PATIENCE = 15.0

#: Relative error of sums in float32, of up to 64 channels, behind filters that make it a hundred times larger.
_ROUNDING = 1e-4

#: How `PluginEffect.layout` states the channels of the plug-in itself.
_LAYOUT = re.compile(r"\d+ in(?: \+ \d+ [\w ]+)?, (\d+) out")


@dataclass(frozen=True)
class EffectCheck:
    """What `check_effect` measured.

    Attributes:
        name: of the effect.
        laws: the laws that were checked and hold.
        repeatability: largest relative error between renders that should be equal; 0 is bit-equal.
        dead: free parameters that never changed the output for the test signal.
    """

    name: str
    laws: tuple[str, ...]
    repeatability: float
    dead: tuple[str, ...]


def _same_bits_after_any_history(exam: Examination) -> None:
    effect, rng = exam.effect, exam.rng
    default = effect.parameters.defaults
    audio = exam.noise(2, exam.samples)
    first = effect.render(audio, default)
    exam.require_same(first, effect.render(audio, default), "at once")
    inside = rng.uniform(0.2, 0.8, size=len(default))
    second = effect.render(audio, inside)

    for far in exam.far_points():
        effect.render(audio, far)
        exam.require_same(first, effect.render(audio, default), f"after a jump to {far.round(3).tolist()} and back")
    exam.require_same(second, effect.render(audio, inside), "after far jumps, at an inner point")

    for nudge in (0.01, 1e-6, 1e-7):
        effect.render(audio, default)
        effect.render(audio, np.clip(inside + nudge * rng.choice([-1.0, 1.0], size=len(inside)), 0.0, 1.0))
        exam.require_same(second, effect.render(audio, inside), f"after settings that differ by ±{nudge:g}")

    others = {
        "loud audio": exam.noise(2, exam.samples, level=1.0),
        "shorter audio": exam.noise(2, exam.samples // 3 + 1),
        "longer audio": exam.noise(2, exam.samples + 1111),
        "almost nothing": exam.noise(2, exam.lengths[0]),
        "mono audio": exam.noise(1, exam.samples),
        "silence": exam.silence(2, exam.samples),
    }
    for what, other in others.items():
        effect.render(other, inside)
        exam.require_same(first, effect.render(audio, default), f"after {what}")


def _it_repeats(exam: Examination) -> None:
    """Keeping to a declared repeatability is not enough: a render that differs by its own size says nothing about a setting."""
    declared = exam.effect.repeatability
    exam.require(
        declared <= REPEATABLE,
        f"the effect is not repeatable: equal renders differ by {declared:.3g} of their size, more than {REPEATABLE:g}; a gradient "
        "needs the mean of many",
    )


def _each_parameter_returns(exam: Examination) -> None:
    """Move each parameter alone from its default and back: hosts have failed to restore a single parameter.

    A slow effect of hundreds is tried with some of them, drawn at random.
    """
    effect, default = exam.effect, exam.effect.parameters.defaults
    audio = exam.noise(1, min(exam.samples, 4096))
    first = effect.render(audio, default)
    deadline = time.process_time() + PATIENCE
    for i in exam.rng.permutation(len(default)):
        if time.process_time() > deadline:
            return
        parameter = effect.parameters[int(i)]
        away = default.copy()
        away[i] = 0.0 if default[i] > 0.5 else 1.0
        effect.render(audio, away)
        exam.require_same(first, effect.render(audio, default), f"after {parameter.name!r} went to {away[i]:g} and back")


def _input_is_not_mutated(exam: Examination) -> None:
    audio, point = exam.noise(2, exam.samples), exam.effect.parameters.defaults
    audio_before, point_before = audio.copy(), point.copy()
    exam.effect.render(audio, point)
    exam.require(np.array_equal(audio, audio_before), "render changed its input audio")
    exam.require(np.array_equal(point, point_before), "render changed the point")


def _shape_and_type_are_kept(exam: Examination) -> None:
    shapes = [(channels, samples) for channels in (1, 2) for samples in (0, *exam.lengths, exam.samples)]
    for channels, samples in [*shapes, (3, exam.lengths[1]), (6, exam.lengths[1])]:
        audio = exam.noise(channels, samples)
        try:
            result = exam.effect.render(audio, exam.effect.parameters.defaults)
        except AudioError as error:
            exam.require(channels > 2, f"{channels} channels were refused; every effect takes mono and stereo: {error}")
            continue
        exam.require(
            isinstance(result, np.ndarray) and result.dtype == np.float32,
            f"audio of shape {audio.shape} came back as {getattr(result, 'dtype', type(result).__name__)}, not float32",
        )
        exam.require(result.shape == audio.shape, f"audio of shape {audio.shape} came back as {result.shape}")
        exam.require(bool(result.flags.c_contiguous), f"audio of shape {audio.shape} came back non-contiguous")
        exam.require(not np.shares_memory(result, audio), "the result shares memory with the input")


def _results_are_not_reused(exam: Examination) -> None:
    audio, default = exam.noise(1, exam.samples), exam.effect.parameters.defaults
    result = exam.effect.render(audio, default)
    kept = result.copy()
    exam.effect.render(exam.noise(1, exam.samples), exam.rng.uniform(size=len(default)))
    exam.require(np.array_equal(result, kept, equal_nan=True), "a later render changed an earlier result")


def _finite_at_the_defaults(exam: Examination) -> None:
    for name, audio in (("noise", exam.noise(2, exam.samples)), ("silence", exam.silence(2, exam.samples))):
        result = exam.effect.render(audio, exam.effect.parameters.defaults)
        bad = int(np.count_nonzero(~np.isfinite(result)))
        exam.require(bad == 0, f"{bad} of {result.size} samples are not finite for {name} at the defaults")


def _defaults_lie_in_the_box(exam: Examination) -> None:
    space = exam.effect.parameters
    exam.require(len(set(space.names)) == len(space), f"parameter names are not unique: {space.names}")
    for parameter, value in zip(space, space.defaults, strict=True):
        exam.require(bool(0.0 <= value <= 1.0), f"the default of {parameter.name!r} is {value}, outside [0, 1]")


def _points_outside_the_box_are_refused(exam: Examination) -> None:
    default = exam.effect.parameters.defaults
    audio = exam.noise(1, 64)
    wrong: list[NDArray[np.float64]] = [np.append(default, 0.5)]
    for value in (-0.1, 1.1, np.nan):
        for i in range(min(1, len(default))):
            wrong.append(default.copy())
            wrong[-1][i] = value
    for point in wrong:
        try:
            exam.effect.render(audio, point)
        except ParameterError:
            continue
        exam.require(False, f"the point {point.tolist()} must raise ParameterError ({len(default)} values in [0, 1])")


def _parameters_reach_the_sound(exam: Examination) -> None:
    """Report the others, which break no law: some are audible only in corners, or change something other than audio.

    Of a slow effect, and of one whose equal renders differ, not all can be known; what is unknown is not reported.
    """
    effect, space = exam.effect, exam.effect.parameters
    if effect.repeatability > REPEATABLE:
        return
    deadline = time.process_time() + PATIENCE
    audio = exam.noise(2, exam.samples)
    bases = [space.defaults, np.full(len(space), 0.5), *exam.rng.uniform(size=(3, len(space)))]
    silent = set(range(len(space)))
    for base in bases:
        if not silent:
            break
        expected = effect.render(audio, base)
        for i in sorted(silent):
            if time.process_time() > deadline:
                return
            for value in (0.0, 1.0, 0.37):
                point = base.copy()
                point[i] = value
                if relative_error(expected, effect.render(audio, point)) > SLACK * effect.repeatability:
                    silent.discard(i)
                    break
    exam.dead = [space.names[i] for i in sorted(silent)]


def _latency_is_taken_out(exam: Examination) -> None:
    """Only for an effect that reports latency and whose output resembles its input: the best lag is near 0."""
    effect = exam.effect
    if effect.latency == 0 or exam.plays:
        return
    dry = exam.noise(1, max(exam.samples, 4 * effect.latency))[0]
    wet = effect.render(dry[None], effect.parameters.defaults)[0]
    size = 2 * dry.size
    correlation = np.fft.irfft(np.fft.rfft(wet, size) * np.conj(np.fft.rfft(dry, size)), size)
    peak = int(np.argmax(np.abs(correlation)))
    likeness = abs(correlation[peak]) / max(1e-12, float(np.linalg.norm(dry) * np.linalg.norm(wet)))
    lag = peak if peak < dry.size else peak - size
    exam.require(
        likeness < 0.5 or abs(lag) <= effect.latency // 2,
        f"the effect reports {effect.latency} samples of latency and its output is {lag} samples late",
    )


def _layout_is_adapted_as_stated(exam: Examination) -> None:
    """The rule of `effects/layout.py`: mono is doubled, then averaged; further channels go in groups of as many as come out."""
    effect, default = exam.effect, exam.effect.parameters.defaults
    exam.require(isinstance(effect.layout, str) and bool(effect.layout), f"its layout is {effect.layout!r}, not text")
    stated = _LAYOUT.fullmatch(effect.layout)
    if stated is None:  # any number of channels, or a chain
        return
    outputs = int(stated[1])
    slack = SLACK * effect.repeatability + _ROUNDING
    several = exam.noise(max(2, outputs + 1), exam.samples)
    try:
        together = effect.render(several, default)
    except AudioError:
        pass
    else:
        for start in range(0, len(several), outputs):
            group = slice(start, start + outputs)
            error = relative_error(effect.render(several[group], default), together[group])
            what = f"channel {start}" if outputs == 1 else f"the channels {start} to {min(len(several), start + outputs) - 1}"
            exam.require(error <= slack, f"{what} alone and beside another differ, relative error {error:.3g}")
    if outputs >= 2:
        mono = several[:1]
        channels = effect.render(np.repeat(mono, outputs, axis=0), default)
        averaged = channels.mean(axis=0, keepdims=True)
        # of the channels, not of their mean: the bands of a crossover may cancel each other
        loudest = max(np.linalg.norm(channels, axis=1).max(), np.finfo(np.float32).tiny)
        error = float(np.linalg.norm(effect.render(mono, default) - averaged) / loudest)
        exam.require(error <= slack, f"mono audio is not the average of {outputs} channels, relative error {error:.3g}")


def _no_channel_passes_untouched(exam: Examination) -> None:
    """Some libraries accept a number of channels that they cannot process, and return it as it came."""
    effect = exam.effect
    if exam.plays or _LAYOUT.fullmatch(
        effect.layout
    ):  # the plug-in's own channels are known, and the law before this holds for them
        return
    points = [exam.rng.uniform(0.2, 0.8, size=len(effect.parameters)) for _ in range(3)]
    audio = exam.noise(6, min(exam.samples, 4096))
    for point in points:
        if relative_error(audio[:1], effect.render(audio[:1], point)) <= _ROUNDING:
            continue
        usual: set[int] = set()  # one side of a stereo effect may be its dry one
        for channels in (2, 3, 6):
            try:
                result = effect.render(audio[:channels], point)
            except AudioError:
                continue
            untouched = [c for c in range(channels) if relative_error(audio[c], result[c]) <= _ROUNDING]
            usual = usual if channels > 2 else set(untouched)
            exam.require(
                len(usual) < 2 and {c % 2 for c in untouched} <= usual,
                f"at {point.round(3).tolist()} mono audio is processed, and of {channels} channels these come back as they were: "
                f"{untouched}",
            )


def _what_is_set_is_shown(exam: Examination) -> None:
    """Set, then get: the text of a value, parsed again, is that value to the digits shown."""
    for parameter in exam.effect.parameters:
        for value in (0.0, 0.31, 1.0):
            text = parameter.text(value)
            whole = parameter.unit or parameter.choices or parameter.kind == "toggle"
            try:
                back = parameter.to_native(parameter.parse(text if whole else f"{text} native"))
            except ParameterError as error:
                exam.require(False, f"{parameter.name!r} at {value} shows {text!r}, which it cannot parse: {error}")
            shown = parameter.to_native(parameter.snap(value))
            slack = 2e-3 * abs(parameter.to_native(1.0) - parameter.to_native(0.0)) + 1e-3 * abs(shown)
            exam.require(abs(back - shown) <= slack, f"{parameter.name!r} at {value} is {shown:g}, shows {text!r}: {back:g}")


def _spec_reopens_the_same_effect(exam: Examination) -> None:
    effect, spec = exam.effect, getattr(exam.effect, "spec", None)
    if spec is None:
        return
    opened = load(pickle.loads(pickle.dumps(spec)))
    twin = Accompanied(opened) if isinstance(effect, Accompanied) else opened
    try:
        exam.require(twin.parameters == effect.parameters, f"its twin has {twin.parameters}, it has {effect.parameters}")
        audio = exam.noise(2, exam.samples)
        for what, point in (("at the defaults", effect.parameters.defaults), ("at a far point", exam.far_points()[-1])):
            exam.require_same(effect.render(audio, point), twin.render(audio, point), f"in a twin opened from its spec, {what}")
    finally:
        twin.close()
        twin.close()


#: The laws, by name, in the order in which they are checked.
EFFECT_LAWS: tuple[Law, ...] = (
    ("same bits after any history", _same_bits_after_any_history),
    ("it repeats", _it_repeats),
    ("each parameter returns", _each_parameter_returns),
    ("input is not mutated", _input_is_not_mutated),
    ("shape and type are kept", _shape_and_type_are_kept),
    ("results are not reused", _results_are_not_reused),
    ("finite at the defaults", _finite_at_the_defaults),
    ("defaults lie in the box", _defaults_lie_in_the_box),
    ("points outside the box are refused", _points_outside_the_box_are_refused),
    ("parameters reach the sound", _parameters_reach_the_sound),
    ("what is set is shown", _what_is_set_is_shown),
    ("latency is taken out", _latency_is_taken_out),
    ("layout is adapted as stated", _layout_is_adapted_as_stated),
    ("no channel passes untouched", _no_channel_passes_untouched),
    ("spec reopens the same effect", _spec_reopens_the_same_effect),
)


def check_effect(
    effect: Effect | Automated | EffectSpec | str, *, laws: Iterable[str] | None = None, seconds: float = 0.25, seed: int = 0
) -> EffectCheck:
    """Check that an effect keeps its promises. Raise `CheckFailed` with the effect, the law and the numbers otherwise.

    Args:
        effect: an opened effect; or an address or a spec, which is opened (an address with all its parameters free), and closed at
            the end.
        laws: names from `EFFECT_LAWS`, `INSTRUMENT_LAWS`, `BESIDE_LAWS` and `CURVE_LAWS`; if None, all of the first, for an
            instrument the second too, for what takes notes beside audio the third, and for `Automated` the fourth.
        seconds: length of the test signal.
        seed: of the test signal and the points.
    """
    known = dict(EFFECT_LAWS + INSTRUMENT_LAWS + BESIDE_LAWS + CURVE_LAWS)
    chosen = None if laws is None else list(laws)
    unknown = [law for law in chosen or () if law not in known]
    if unknown:
        raise ValueError(f"no effect law {unknown[0]!r}; there are: {', '.join(known)}")
    with _opened(effect) as opened:
        repeatability = 0.0
        dead: list[str] = []
        if chosen is None:
            plays = getattr(opened, "takes", "audio") == "notes"
            both = bool(getattr(opened, "beside", ""))
            laws_of = EFFECT_LAWS + INSTRUMENT_LAWS * plays + BESIDE_LAWS * both + CURVE_LAWS * moves(opened)
            chosen = [name for name, _ in laws_of]
        if not moves(opened):
            opened = accompanied_for_laws(opened)
        for law in chosen:
            rng = np.random.default_rng(seed)
            exam = Examination(opened, law, rng, max(64, round(seconds * opened.sample_rate)))
            known[law](exam)
            repeatability = max(repeatability, exam.repeatability)
            dead += exam.dead
        return EffectCheck(opened.name, tuple(chosen), repeatability, tuple(dead))


@contextmanager
def _opened(effect: Effect | Automated | EffectSpec | str) -> Iterator[Effect]:
    if not isinstance(effect, str | EffectSpec | Automated):
        yield effect
        return
    opened = load(effect, parameters="all")
    try:
        yield opened
    finally:
        opened.close()
