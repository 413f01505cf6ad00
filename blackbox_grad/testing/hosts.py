"""Does a host keep the promises of `blackbox_grad.hosts.Host`?

`check_host` runs the laws of `HOST_LAWS`, one function each, and raises `CheckFailed` with the host, the law and the numbers.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.opening import EffectInfo, load
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import AudioError, BlackboxGradError, EffectNotFoundError, HostError, ParameterError
from blackbox_grad.hosts.by_name import host as find_host
from blackbox_grad.hosts.protocol import Host
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.testing.examination import CheckFailed

#: An effect that overflows: full scale times 24 dB.
_LOUD = "reference:gain"

#: Settings per item, items, channels and samples of the test signals; no two are equal.
_POINTS, _BATCH, _CHANNELS, _SAMPLES = 3, 4, 2, 1501

#: Relative error of an inner product: a host chooses the order of the sum.
_ROUNDING = 1e-5

#: Threads that call at the same time.
_THREADS = 6


@dataclass
class _Examination:
    """A host under test, an effect, and the arrays of a call."""

    host: Host
    name: str
    law: str
    spec: EffectSpec
    rng: np.random.Generator

    def require(self, condition: bool, message: str) -> None:
        if not condition:
            raise CheckFailed(f"{self.name}: law {self.law!r} is broken: {message}")

    def audio(self, batch: int = _BATCH, samples: int = _SAMPLES) -> Audio:
        """`[batch, C, samples]`."""
        return 0.2 * self.rng.standard_normal((batch, _CHANNELS, samples), dtype=np.float32)

    def points(self, *leading: int) -> FloatArray:
        """`[*leading, P]`, `[B, P]` by default."""
        count = len(self.host.open(self.spec).parameters)
        return self.rng.random((*(leading or (_BATCH,)), count))

    def here(self, audio: Audio, points: FloatArray) -> Audio:
        """The effect's renders in this process."""
        with load(self.spec) as effect:
            output = np.empty((*points.shape[:-1], *audio.shape[1:]), np.float32)
            for index in np.ndindex(points.shape[:-1]):
                output[index] = effect.render(audio[index[-1]], points[index])
        return output

    def require_works(self, after: str) -> None:
        audio, points = self.audio(), self.points()
        expected = self.here(audio, points)
        rendered, finite = self.host.render_batch(self.spec, audio, points)
        self.require(bool(np.all(finite)), f"after {after}, a render is not finite")
        self.require(np.array_equal(rendered, expected), f"after {after}, the renders are wrong")


def _opening_describes(exam: _Examination) -> None:
    with load(exam.spec) as effect:
        expected = EffectInfo.of(effect)
    for when in ("first", "second"):
        info = exam.host.open(exam.spec)
        for field in ("name", "parameters", "sample_rate", "latency", "layout"):
            exam.require(
                getattr(info, field) == getattr(expected, field),
                f"the {when} open says {field}={getattr(info, field)!r}; it is {getattr(expected, field)!r}",
            )


def _renders_are_the_effects(exam: _Examination) -> None:
    for leading, samples in (((_BATCH,), _SAMPLES), ((_POINTS, _BATCH), _SAMPLES), ((1,), 1), ((7,), 20_011), ((2, 1), 17)):
        audio, points = exam.audio(leading[-1], samples), exam.points(*leading)
        expected = exam.here(audio, points)
        rendered, finite = exam.host.render_batch(exam.spec, audio, points)
        shape = (*leading, *audio.shape[1:])
        exam.require(
            rendered.shape == shape and rendered.dtype == np.float32,
            f"audio {audio.shape} at points {points.shape} came back as {rendered.shape} {rendered.dtype}, not {shape} float32",
        )
        exam.require(
            finite.shape == leading and finite.dtype == np.bool_,
            f"the flags of finite renders came as {finite.shape} {finite.dtype}, not {leading} bool",
        )
        exam.require(bool(finite.all()), "a finite render is marked as not finite")
        exam.require(
            np.array_equal(rendered, expected),
            f"audio {audio.shape} at points {points.shape} rendered differently from this process",
        )


def _probes_are_inner_products(exam: _Examination) -> None:
    audio, points = exam.audio(), exam.points(_POINTS, _BATCH)
    cotangent = exam.rng.standard_normal(audio.shape, dtype=np.float32)
    rendered = exam.here(audio, points).astype(np.float64)
    exact = (rendered * cotangent).sum((2, 3))
    values = exam.host.probe_batch(exam.spec, audio, points, cotangent)
    exam.require(
        values.shape == (_POINTS, _BATCH) and values.dtype == np.float64,
        f"probes at points {points.shape} came as {values.shape} {values.dtype}, not {(_POINTS, _BATCH)} float64",
    )
    scale = np.linalg.norm(rendered, axis=(2, 3)) * np.linalg.norm(cotangent.astype(np.float64), axis=(1, 2))
    error = float((np.abs(values - exact) / scale).max())
    exam.require(error <= _ROUNDING, f"probes differ from ⟨ȳ, f(x, p)⟩ by {error:.2g} of ‖ȳ‖ ‖f(x, p)‖")


def _renders_are_counted(exam: _Examination) -> None:
    audio, points = exam.audio(), exam.points(_POINTS, _BATCH)
    for what, call in (
        ("render_batch", lambda: exam.host.render_batch(exam.spec, audio, points)),
        ("probe_batch", lambda: exam.host.probe_batch(exam.spec, audio, points, audio)),
    ):
        before = exam.host.renders
        call()
        made = exam.host.renders - before
        exam.require(made == _POINTS * _BATCH, f"{what} made {_POINTS * _BATCH} renders and `renders` rose by {made}")


def _nonfinite_is_marked(exam: _Examination) -> None:
    spec = EffectSpec.of(_LOUD)
    exam.host.open(spec)
    audio = exam.audio()
    audio[1] = np.finfo(np.float32).max
    points = np.ones((_BATCH, 1))
    expected = np.arange(_BATCH) != 1
    before = exam.host.nonfinite
    _, finite = exam.host.render_batch(spec, audio.copy(), points)
    exam.require(np.array_equal(finite, expected), f"its flags of finite renders are {finite}, not {expected}")
    values = exam.host.probe_batch(spec, audio, points[None], audio)
    exam.require(
        np.array_equal(np.isnan(values), ~expected[None]), f"probes must be NaN where a render is not finite; got {values}"
    )
    counted = exam.host.nonfinite - before
    exam.require(counted == 2, f"2 renders were not finite and `nonfinite` rose by {counted}")


def _arrays_that_do_not_fit_are_refused(exam: _Examination) -> None:
    audio, points = exam.audio(), exam.points()
    many = exam.points(_POINTS, _BATCH)
    wrong: list[tuple[str, Audio, FloatArray, Audio | None]] = [
        ("audio [C, T]", audio[0], points, None),
        ("points of fewer items", audio, points[:-1], None),
        ("points of more parameters", audio, np.concatenate([points, points[:, :1]], axis=1), None),
        ("points [P]", audio, points[0], None),
        ("a cotangent of fewer items", audio, many, audio[:1]),
        ("a probe at points [B, P]", audio, points, audio),
    ]
    outside: list[tuple[str, float]] = [("below 0", -0.1), ("above 1", 1.1), ("NaN", np.nan)]
    for what, value in outside:
        there = points.copy()
        there[1, 0] = value
        wrong.append((f"a point {what}", audio, there, None))
        wrong.append((f"a probe at a point {what}", audio, there[None], audio))
    for what, x, p, cotangent in wrong:
        try:
            if cotangent is None:
                exam.host.render_batch(exam.spec, x, p)
            else:
                exam.host.probe_batch(exam.spec, x, p, cotangent)
        except (AudioError, ParameterError):
            exam.require_works(f"{what} was refused")
            continue
        exam.require(False, f"{what} was rendered; it must raise AudioError or ParameterError")


def _input_is_not_mutated(exam: _Examination) -> None:
    audio, points = exam.audio(), exam.points(_POINTS, _BATCH)
    cotangent = exam.audio()
    given: dict[str, NDArray[Any]] = {"audio": audio, "points": points, "cotangent": cotangent}
    before = {name: array.copy() for name, array in given.items()}
    exam.host.render_batch(exam.spec, audio, points)
    exam.host.probe_batch(exam.spec, audio, points, cotangent)
    exam.host.share(audio)
    for name, array in given.items():
        exam.require(np.array_equal(array, before[name]), f"it changed its argument {name}")


def _results_are_not_reused(exam: _Examination) -> None:
    def renders() -> Audio:
        return exam.host.render_batch(exam.spec, exam.audio(), exam.points())[0]

    def values() -> FloatArray:
        return exam.host.probe_batch(exam.spec, exam.audio(), exam.points(1, _BATCH), exam.audio())

    results: list[NDArray[Any]] = [renders() for _ in range(3)]
    probes: list[NDArray[Any]] = [values() for _ in range(3)]
    kept = [array.copy() for array in results + probes]
    for array in results:
        exam.require(bool(array.flags.writeable), "a result is read-only; it must belong to the caller")
        array *= -1.0  # results belong to the caller: a change of one changes no other
    renders(), values()
    for array, copy in zip(results + probes, kept, strict=True):
        same = np.array_equal(np.abs(array), np.abs(copy))
        exam.require(same, "a later call, or a change of another result, changed an earlier result")


def _shared_audio_is_equal(exam: _Examination) -> None:
    audio, points = exam.audio(), exam.points()
    expected, kept = exam.here(audio, points), audio.copy()
    shared = exam.host.share(audio)
    exam.require(shared.dtype == np.float32 and np.array_equal(shared, kept), f"share({audio.shape} float32) gave other audio")
    for _ in range(2):
        rendered, _ = exam.host.render_batch(exam.spec, shared, points)
        exam.require(np.array_equal(rendered, expected), "shared audio rendered differently from the audio itself")


def _any_thread_may_call(exam: _Examination) -> None:
    calls = [(exam.audio(), exam.points()) for _ in range(_THREADS)]
    expected = [exam.here(*call) for call in calls]

    def work(call: tuple[Audio, NDArray[np.float64]]) -> list[Audio]:
        return [exam.host.render_batch(exam.spec, *call)[0] for _ in range(4)]

    with ThreadPoolExecutor(_THREADS) as threads:
        found = list(threads.map(work, calls))
    for renders, due in zip(found, expected, strict=True):
        for rendered in renders:
            exam.require(np.array_equal(rendered, due), f"{_THREADS} threads called at once, and one got wrong renders")


def _a_failing_render_raises(exam: _Examination) -> None:
    audio = exam.audio()
    audio[2, 0, 3] = np.nan
    try:
        exam.host.render_batch(exam.spec, audio, exam.points())
    except BlackboxGradError:
        exam.require_works("a render that failed")
        return
    exam.require(False, "audio with NaN went through the effect; it must raise AudioError")


def _an_unknown_effect_is_an_error(exam: _Examination) -> None:
    try:
        exam.host.open(EffectSpec.of("reference:no-such-effect"))
    except EffectNotFoundError:
        exam.require_works("opening an unknown effect")
        return
    except Exception as error:
        exam.require(False, f"an unknown effect raised {type(error).__name__}: {error}; it must raise EffectNotFoundError")
    exam.require(False, "it opened an unknown effect; it must raise EffectNotFoundError")


def _what_no_memory_holds_is_refused(exam: _Examination) -> None:
    """The points alone fit into memory; the renders would need thousands of gigabytes."""
    audio, points = exam.audio(1, 1 << 20), np.broadcast_to(exam.points(1), (1 << 20, 1, len(exam.points(1)[0])))
    try:
        exam.host.render_batch(exam.spec, audio, points)
    except HostError:
        exam.require_works("a call that no memory can hold was refused")
        return
    exam.require(False, f"audio {audio.shape} at points {points.shape} must raise HostError: no memory can hold the renders")


def _what_is_pickled_renders(exam: _Examination) -> None:
    """Only for a host that can be pickled, as DataLoader workers need."""
    try:
        data = pickle.dumps(exam.host)
    except Exception:
        return
    audio, points = exam.audio(), exam.points()
    expected = exam.here(audio, points)
    twin: Host = pickle.loads(data)
    try:
        rendered, _ = twin.render_batch(exam.spec, audio, points)
    finally:
        twin.close()
    exam.require(np.array_equal(rendered, expected), "a pickled host renders differently")
    exam.require_works("its pickled twin was closed")


def _closing_twice_is_safe(exam: _Examination) -> None:
    rendered, _ = exam.host.render_batch(exam.spec, exam.audio(), exam.points())
    kept = rendered.copy()
    for time in ("first", "second"):
        try:
            exam.host.close()
        except Exception as error:
            exam.require(False, f"the {time} close raised {type(error).__name__}: {error}")
    exam.require(np.array_equal(rendered, kept), "closing changed a result")


Law: TypeAlias = "tuple[str, Callable[[_Examination], None]]"

#: The laws, by name, in the order in which they are checked.
HOST_LAWS: tuple[Law, ...] = (
    ("opening describes the effect", _opening_describes),
    ("renders are the effect's, to the bit", _renders_are_the_effects),
    ("probes are inner products", _probes_are_inner_products),
    ("renders are counted", _renders_are_counted),
    ("what is not finite is marked and counted", _nonfinite_is_marked),
    ("arrays that do not fit are refused", _arrays_that_do_not_fit_are_refused),
    ("input is not mutated", _input_is_not_mutated),
    ("results are not reused", _results_are_not_reused),
    ("shared audio is equal", _shared_audio_is_equal),
    ("any thread may call", _any_thread_may_call),
    ("a failing render raises, and the next one works", _a_failing_render_raises),
    ("an unknown effect is an error", _an_unknown_effect_is_an_error),
    ("what no memory can hold is refused", _what_no_memory_holds_is_refused),
    ("what is pickled renders the same", _what_is_pickled_renders),
    ("closing twice is safe", _closing_twice_is_safe),
)


def check_host(
    host: str | Host, address: str = "reference:soft-clip", *, laws: Iterable[str] | None = None, seed: int = 0
) -> list[str]:
    """Check that a host keeps its promises. Raise `CheckFailed` with the host, the law and the numbers otherwise.

    A host that hangs hangs the check, so run it with a timeout.

    Args:
        host: a description ("processes:hosts=2") of a host to make and close; or a host, which the last law closes.
        address: an effect with a parameter and bit-equal renders, for audio of two channels.
        laws: names from `HOST_LAWS`; all of them if None.
        seed: of the test signals and the points.

    Returns:
        The names of the laws that were checked and hold.
    """
    known = dict(HOST_LAWS)
    chosen = list(known) if laws is None else list(laws)
    unknown = [law for law in chosen if law not in known]
    if unknown:
        raise ValueError(f"no host law {unknown[0]!r}; there are: {', '.join(known)}")
    name = host if isinstance(host, str) else repr(host)
    spec = EffectSpec.of(address)
    found = find_host(host)
    try:
        for law in chosen:
            try:
                known[law](_Examination(found, name, law, spec, np.random.default_rng(seed)))
            except CheckFailed:
                raise
            except Exception as error:
                raise CheckFailed(f"{name}: law {law!r} is broken: {type(error).__name__}: {error}") from error
    finally:
        if isinstance(host, str):
            found.close()
    return chosen
