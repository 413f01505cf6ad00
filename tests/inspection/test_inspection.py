"""Inspections: known answers of formulas and of real plug-ins, limits, and the cache."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from blackbox_grad import InProcessHost, Inspection, inspect_effect
from blackbox_grad.errors import ParameterError
from blackbox_grad.inspection import InspectionProgress
from blackbox_grad.inspection.listening import Ear, spectrum
from blackbox_grad.inspection.noise import POINTS, central_step, derivatives, ecnoise, forward_step
from blackbox_grad.inspection.report import render_report, write_report
from blackbox_grad.inspection.resolution import resolution

MDA = "dawdreamer:http://drobilla.net/plugins/mda"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def gain() -> Inspection:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", "/nowhere")
        return inspect_effect("reference:gain", host=InProcessHost())


# noise, curvature, steps


@pytest.mark.parametrize("deviation", [1e-9, 1e-6, 1e-3])
def test_ecnoise_finds_the_noise_of_a_curved_function(deviation: float) -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(40):
        t = rng.uniform(1, 2) + 0.05 * deviation ** (1 / 3) * np.arange(POINTS)
        level = ecnoise(np.cosh(t) + rng.uniform(-1, 1, POINTS) * np.sqrt(3) * deviation)
        found.append(level.level if level.verdict == "found" else np.nan)
    assert np.isfinite(found).mean() > 0.8
    assert 1 / 2 < np.nanmedian(found) / deviation < 2


def test_ecnoise_says_which_way_the_spacing_is_wrong() -> None:
    assert ecnoise(np.round(1.0 + 1e-9 * np.arange(POINTS), 3)).verdict == "too near"
    assert ecnoise(np.exp(0.5 * np.arange(POINTS))).verdict == "too far"


def test_ecnoise_finds_the_rounding_to_float32() -> None:
    t = 1.0 + 1e-5 * np.arange(POINTS)
    level = ecnoise(np.sin(t).astype(np.float32))
    assert level.verdict == "found"
    assert 2.0**-27 < level.level < 2.0**-23


STEPS = (0.001, 0.003, 0.01, 0.03)


def test_derivatives_of_a_cubic_are_exact_where_there_is_no_noise() -> None:
    def f(t: Any) -> Any:
        return 5 * t + 3 * t**2 - 2 * t**3

    h = np.array(STEPS)
    found = derivatives(f(0.0), f(h), f(-h), STEPS, noise=1e-15)
    assert found.second == pytest.approx(6.0, rel=1e-6)
    assert found.third == pytest.approx(12.0, rel=1e-6)


@pytest.mark.parametrize("two_sided", [False, True])
def test_the_recommended_step_has_nearly_the_least_error(two_sided: bool) -> None:
    """Error of the derivative of exp at 0 under noise, compared with a fine grid of other steps."""
    noise, rng = 1e-6, np.random.default_rng(0)

    def error(h: float) -> float:
        e = noise * rng.standard_normal((2, 4000))
        if two_sided:
            slope = (np.exp(h) + e[0] - np.exp(-h) - e[1]) / (2 * h)
        else:
            slope = (np.exp(h) + e[0] - 1.0 - e[1]) / h
        return float(np.sqrt(np.mean((slope - 1.0) ** 2)))

    h = central_step(noise, 1.0) if two_sided else forward_step(noise, 1.0)
    assert error(h) < 1.1 * min(error(other) for other in np.geomspace(1e-5, 1e-1, 60))


def test_a_gain_has_the_curvature_of_its_formula(gain: Inspection) -> None:
    """The output is `exp(c p)`, so towards a target `d` away the cotangent probe of the square of decibels, relative to it, has
    the second derivative `2 c / d`."""
    p = gain["Gain"]
    c = 48.0 * np.log(10.0) / 20.0
    sweep = np.linspace(0, 1, 33)
    starts = sweep[[round(part * 32) for part in (0.19, 0.5, 0.81)]]
    d = np.abs(starts[:, None] - sweep[None, ::2]).ravel()
    expected = np.median(2 * c / d[d > 0.02])
    assert p.curvature == pytest.approx(expected, rel=0.3)
    assert p.noise is not None
    assert p.noise < 1e-6
    assert p.step == pytest.approx(forward_step(max(p.noise, 2.0**-24), p.curvature), rel=1e-6)
    assert (p.probe_kind, p.steps, p.resolution, p.reaches_sound) == ("cotangent", None, 0.0, True)
    assert p.direction == 1.0


def test_the_linearised_spectrum_is_what_a_cotangent_sees() -> None:
    """The same directional derivative of the same loss by torch's autograd."""
    rng = np.random.default_rng(0)
    here, target, change = rng.standard_normal((3, 2, 4096)).astype(np.float32)
    ear = Ear(here)
    apart = ear.decibels(spectrum(here, np.complex128)) - ear.decibels(spectrum(target, np.complex128))
    linear = ear.linearised(spectrum(here, np.complex128), spectrum(here + 1e-3 * change, np.complex128))
    told = 2.0 * float(np.mean(apart * linear))

    y = torch.from_numpy(here).double().requires_grad_()
    window = torch.from_numpy(np.hanning(1025)[:-1])
    window = window / window.square().sum().sqrt()

    def decibels(audio: torch.Tensor) -> torch.Tensor:
        frames = torch.nn.functional.pad(audio, (512, 512)).unfold(-1, 1024, 512) * window
        return 10.0 * torch.log10(torch.fft.rfft(frames).abs().square() + ear.floor)

    (decibels(y) - decibels(torch.from_numpy(target).double())).square().mean().backward()
    moved = (here + 1e-3 * change).astype(np.float64) - here
    assert told == pytest.approx(float((y.grad.numpy() * moved).sum()), rel=1e-5)


# resolution


def stepped(levels: Any) -> Any:
    return lambda values: [np.array([[levels(v)]]) for v in values]


def differs(a: Any, b: Any) -> bool:
    return bool(a != b)


@pytest.mark.parametrize("count", [2, 3, 7, 25, 64, 128, 1000, 44100])
def test_levels_are_counted(count: int) -> None:
    found = resolution(stepped(lambda v: np.round(v * (count - 1))), differs)
    assert found.steps is not None
    assert abs(found.steps - count) <= (0 if count <= 64 else 0.005 * count)
    if count > 7:  # of fewer, the outermost ones count too, and rounding makes them half as wide
        assert found.widest == pytest.approx(1 / (count - 1), rel=0.01 if count < 10000 else 0.1)


def test_unequal_steps_are_averaged() -> None:
    """One knob that sets two whole numbers of samples: their steps interleave."""
    found = resolution(stepped(lambda v: (np.floor(v * 5000), np.floor(v * 3300))), lambda a, b: bool((a != b).any()))
    assert found.steps == pytest.approx(8300, rel=0.15)


def test_a_smooth_parameter_is_continuous_with_or_without_a_dead_zone() -> None:
    assert resolution(stepped(lambda v: np.exp(v)), differs).steps is None
    assert resolution(stepped(lambda v: max(v, 0.5)), differs).widest == 0.0


def test_steps_in_part_of_the_range_are_told_by_their_width() -> None:
    found = resolution(stepped(lambda v: v if v < 0.5 else np.floor(v * 20)), differs)
    assert found.steps is None
    assert found.widest == pytest.approx(0.05, rel=0.01)


# real effects with known answers


@pytest.mark.slow
def test_a_delay_in_whole_samples_has_as_many_settings_and_moves_phase() -> None:
    found = inspect_effect("pedalboard-builtin:Delay", parameters=["delay_seconds", "mix"])
    time, mix = found.parameters
    assert time.steps is not None
    assert time.steps == pytest.approx(44100 * (2.0 - 0.001), rel=0.02)
    assert time.probe_kind == "loss"
    assert (mix.probe_kind, mix.steps, mix.direction) == ("cotangent", None, 1.0)
    # a mix is linear in its audio: no curvature, and the longest step
    assert mix.curvature is not None
    assert mix.curvature < 1e-3
    assert mix.step == 0.1
    assert (found.repeatability, found.leakage, found.measured_latency) == (0.0, 0.0, 0)


def test_settings_that_are_far_too_loud_are_told_with_one_of_them() -> None:
    source = 'faust:process = *(hslider("gain", 1, 0, 100000, 0.001));'
    found = inspect_effect(source, host=InProcessHost(), render_limit=120)
    assert found.loud is not None
    assert found.loud > 0.9
    assert dict(found.bad_settings)["gain"] > 0.0
    page = render_report(found)
    assert "% more than 60 dB louder than the input, such as gain=" in page


@pytest.mark.slow
@pytest.mark.plugins
def test_an_oscillator_moves_phase_and_its_feedback_does_not() -> None:
    found = inspect_effect(f"{MDA}/RingMod", parameters=["Freq", "Feedback"])
    assert (found["Freq"].probe_kind, found["Feedback"].probe_kind) == ("loss", "cotangent")
    assert any(r.kind == "silent" and r.low == 0.0 for r in found["Freq"].regions)
    assert found["Freq"].step is not None
    assert found["Freq"].step >= 0.003


@pytest.mark.slow
@pytest.mark.plugins
def test_hidden_levels_are_found() -> None:
    """MDA Degrade describes its number of bits as continuous."""
    found = inspect_effect(f"{MDA}/Degrade", parameters=["Quant", "Output"])
    assert found["Quant"].kind == "continuous"
    assert found["Quant"].steps == 13
    assert found["Quant"].step is not None
    assert found["Quant"].step >= 2 / 13
    assert found["Output"].steps is None


@pytest.mark.slow
def test_a_hidden_toggle_gets_a_step_that_fits_into_the_box(tmp_path: Path) -> None:
    file = tmp_path / "switch.dsp"
    file.write_text('process = *(select2(hslider("switch", 0, 0, 1, 0.001) > 0.3, 1.0, 0.5));')
    (switch,) = inspect_effect(file).parameters
    assert (switch.kind, switch.steps, switch.step, switch.probe_kind) == ("continuous", 2, 0.5, "loss")


@pytest.mark.slow
@pytest.mark.plugins
def test_a_parameter_that_is_not_heard_is_named_and_one_silent_at_the_defaults_is_looked_at_elsewhere() -> None:
    found = inspect_effect("pedalboard:ZamEQ2.vst3", parameters=["Peaks ON", "Frequency 1", "Boost/Cut 1"])
    assert found["Peaks ON"].reaches_sound is False
    assert found["Peaks ON"].curve is None
    assert found["Frequency 1"].reaches_sound
    assert "Boost/Cut 1" in dict(found["Frequency 1"].around)  # 0 dB by default: a band that does nothing has no frequency
    assert found["Frequency 1"].influence is not None
    assert found["Frequency 1"].influence > 1.0
    assert found["Boost/Cut 1"].probe_kind == "cotangent"


LATE = {"mix": 1.0, "feedback": 0.0, "delay_seconds": "10ms"}


def test_latency_that_is_not_reported_is_measured() -> None:
    from blackbox_grad import EffectSpec, chain

    late = EffectSpec.of("pedalboard-builtin:Delay", parameters=[], fixed=LATE)
    found = inspect_effect(chain(late, EffectSpec.of("pedalboard-builtin:Gain")), render_limit=100)
    assert found.latency == 0
    assert found.measured_latency in (440, 441)  # Pedalboard rounds down, and the time comes from a float32


@pytest.mark.slow
@pytest.mark.plugins
def test_latency_that_is_reported_is_measured_the_same() -> None:
    found = inspect_effect("pedalboard:ZaMaximX2.vst3", render_limit=100)
    assert (found.latency, found.measured_latency) == (480, 480)


class Forgetless(InProcessHost):
    """A host whose effects leak state: every render has an echo of the one before."""

    before: Any = 0.0

    def render_batch(self, spec: Any, audio: Any, points: Any) -> Any:
        y, finite = super().render_batch(spec, audio, points)
        clean = y.reshape(-1, *y.shape[-2:]).copy()
        for i, one in enumerate(clean):
            if np.shape(self.before) == one.shape:
                y.reshape(clean.shape)[i] += 0.01 * self.before
            self.before = one
        return y, finite


def test_state_that_leaks_is_noticed() -> None:
    found = inspect_effect("reference:soft-clip", host=Forgetless(), render_limit=60)
    assert found.leakage is not None
    assert 1e-3 < found.leakage < 1.0


# limits, and the cache


def test_a_limit_ends_it_with_what_was_found() -> None:
    found = inspect_effect("reference:biquad", host=InProcessHost(), render_limit=200)
    assert found.stopped == "renders"
    assert found.renders <= 200
    assert found.repeatability == 0.0
    assert found["Gain"].reaches_sound
    assert found["Q"].curve is None
    found = inspect_effect("reference:biquad", host=InProcessHost(), time_limit=0.01, again=True)
    assert found.stopped == "time"


def test_ctrl_c_ends_it_with_what_was_found_and_is_not_remembered(own_cache: Path) -> None:
    def press(progress: InspectionProgress) -> None:
        if progress.what == "Gain":
            raise KeyboardInterrupt

    found = inspect_effect("reference:gain", host=InProcessHost(), on_progress=press)
    assert found.stopped == "interrupted"
    assert found["Gain"].reaches_sound
    assert list(own_cache.rglob("inspections/**/*.json")) == []


def test_progress_only_grows_and_counts_renders() -> None:
    seen: list[InspectionProgress] = []
    found = inspect_effect("reference:gain", host=InProcessHost(), on_progress=seen.append)
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert seen[-1].done == 1.0
    assert seen[-1].renders == found.renders


def measured(effect: str | Path, **options: Any) -> Iterator[int]:
    """Number of renders for the same inspection, call after call."""
    while True:
        host = InProcessHost()
        inspect_effect(effect, host=host, render_limit=options.get("render_limit", 60))
        yield host.renders


def test_what_was_measured_is_remembered_and_a_damaged_memory_is_no_harm(own_cache: Path) -> None:
    renders = measured("reference:gain")
    assert next(renders) > 0
    assert next(renders) == 0
    (file,) = own_cache.rglob("inspections/**/*.json")
    whole = file.read_text()
    for damaged in ("{", json.dumps(json.loads(whole) | {"found": {"address": 1}}), whole.replace('"stamp"', '"stomp"')):
        file.write_text(damaged)
        assert next(renders) > 0
        assert next(renders) == 0


def test_one_that_was_stopped_is_measured_again_only_when_more_is_allowed() -> None:
    assert next(measured("reference:gain")) > 0
    assert next(measured("reference:gain", render_limit=50)) == 0
    assert next(measured("reference:gain", render_limit=70)) > 0


def test_it_is_measured_again_when_the_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "amp.dsp"
    file.write_text('process = *(hslider("gain", 0.5, 0, 1, 0.01));')
    renders = measured(file)
    assert next(renders) > 0
    assert next(renders) == 0
    file.write_text('process = *(hslider("volume", 0.5, 0, 2, 0.01));')
    assert next(renders) > 0


def test_json_gives_the_same_inspection_back(gain: Inspection) -> None:
    assert Inspection.from_json(json.loads(json.dumps(gain.to_json(), allow_nan=False))) == gain
    with pytest.raises(ValueError, match="has the fields"):
        Inspection.from_json({"address": "reference:gain"})
    with pytest.raises(ParameterError, match="did you mean 'Gain'"):
        gain["Gian"]


# the report


def test_the_report_holds_every_parameter_and_nothing_from_elsewhere(gain: Inspection, tmp_path: Path) -> None:
    page = render_report(gain, command="blackbox-grad inspect reference:gain --deep")
    assert page.count("<polyline") == 6  # four features, and two kinds of probes
    assert "://" not in page
    for text in ("bit-equal", "cotangent", "blackbox-grad inspect reference:gain --deep", "continuous"):
        assert text in page
    write_report(tmp_path / "report.html", gain)
    assert (tmp_path / "report.html").stat().st_size > 5000


# every parameter has its turn


class Slow(InProcessHost):
    """A host that counts its renders, and says that each took long: the clock of the inspection is `self.now`."""

    now = 0.0

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def render_batch(self, spec: Any, audio: Any, points: Any) -> Any:
        self.now += self.seconds * int(np.prod(np.shape(points)[:-1]))
        return super().render_batch(spec, audio, points)


def inspected_slowly(seconds: float, monkeypatch: pytest.MonkeyPatch) -> Inspection:
    """In two minutes of a clock that goes on by so many seconds for each render."""
    host = Slow(seconds)
    monkeypatch.setattr("blackbox_grad.inspection.renders.time", SimpleNamespace(monotonic=lambda: host.now))
    return inspect_effect("reference:biquad", host=host, time_limit=120)


@pytest.mark.slow
def test_a_slow_effect_is_measured_more_coarsely_and_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    found = inspected_slowly(0.2, monkeypatch)
    assert found.stopped == ""
    assert all(p.resolution is not None and p.curve is not None for p in found.parameters)
    assert "more coarsely" in found.notes[-1]


def test_where_there_is_no_time_for_steps_every_parameter_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    found = inspected_slowly(0.4, monkeypatch)
    assert found.stopped == ""
    assert all(p.influence is not None and p.probe_kind is not None for p in found.parameters)
    assert any(p.resolution is None for p in found.parameters)
    assert "change least, are not measured" in found.notes[-1]


def test_the_most_audible_parameters_come_first() -> None:
    source = 'faust:process = *(hslider("a", 1, 0.999, 1, 0.0001)) : *(hslider("b", 1, 0, 1, 0.001));'
    seen: list[str] = []
    inspect_effect(source, host=InProcessHost(), render_limit=300, on_progress=lambda progress: seen.append(progress.what))
    assert seen.index("b") < seen.index("a")


class Unsteady(InProcessHost):
    """A host whose renders of one setting differ by `noise`, relative to a full scale."""

    def __init__(self, noise: float) -> None:
        super().__init__()
        self.noise, self.rng = noise, np.random.default_rng(0)

    def render_batch(self, spec: Any, audio: Any, points: Any) -> Any:
        y, finite = super().render_batch(spec, audio, points)
        y += (self.noise * self.rng.standard_normal(y.shape)).astype(np.float32)
        return y, finite


FAINT = 'faust:process = *(1 - 0.001 * hslider("faint", 0, 0, 1, 0.001)) : *(hslider("loud", 1, 0, 1, 0.001));'


def test_what_noise_hides_is_not_called_inaudible() -> None:
    found = inspect_effect(FAINT, host=Unsteady(0.001), render_limit=300)
    assert found["faint"].reaches_sound is None
    assert "equal renders differ" in found["faint"].note
    assert found["loud"].reaches_sound is True
    assert inspect_effect(FAINT, host=InProcessHost(), again=True, render_limit=300)["faint"].reaches_sound is True
