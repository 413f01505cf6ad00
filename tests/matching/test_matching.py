"""The promises of `match`."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

import blackbox_grad
from blackbox_grad import (
    Auto,
    EffectSpec,
    InProcessHost,
    Inspection,
    Match,
    Parameter,
    ParameterSpace,
    PluginEffect,
    ProcessPool,
    match,
)
from blackbox_grad.effects import opening
from blackbox_grad.errors import AudioError, EstimatorError, NonFiniteAudioError, RenderError
from blackbox_grad.losses import Waveform, loss_for
from blackbox_grad.matching import Progress
from blackbox_grad.matching.sureness import renders_for

Audio = NDArray[np.float32]
SECONDS = 1.0


@pytest.fixture(scope="module")
def guitar() -> tuple[Audio, float]:
    """A real recording, mono: `[1, T]`, and its sample rate."""
    path = Path(blackbox_grad.__file__).parent / "data" / "guitar.flac"
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    count = int(SECONDS * rate)
    loud = int(np.abs(audio).max(axis=1).argmax())
    start = max(0, min(loud, len(audio) - count))
    return np.ascontiguousarray(audio[start : start + count].T[:1]), float(rate)


def through(address: str, audio: Audio, rate: float, **values: float | str) -> Audio:
    with blackbox_grad.load(address, rate, "all") as effect:
        return effect.render(audio, effect.parameters.point(values))


def found(result: Match) -> dict[str, float]:
    return dict(zip(result.info.parameters.names, result.point, strict=True))


class SteppedEffect(PluginEffect):
    """A gain, one of four waveshapers and a sign; above a gain of 0.9 it returns infinity."""

    name = "stepped"
    inputs = outputs = 1

    def __init__(self, sample_rate: float, default: float) -> None:
        self.sample_rate = sample_rate
        self.parameters = ParameterSpace(
            [
                Parameter("Gain", default=default),
                Parameter("Shape", "stepped", default=0.0, levels=4),
                Parameter("Halved", "toggle", default=0.0),
                Parameter("Preset", default=0.0, trainable=False),
            ]
        )

    def process(self, audio: Audio, values: NDArray[np.float64]) -> Audio:
        gain, shape, halved, _ = values
        if gain > 0.9:
            return np.full_like(audio, np.inf)
        x = audio * (1.0 + 9.0 * gain)
        shapes = (x, np.tanh(x), np.sin(3.0 * x), np.abs(x))
        return (shapes[round(shape * 3)] * (0.5 if halved else 1.0)).astype(np.float32)


class SteppedBackend:
    def open(self, locator: str, sample_rate: float, options: Mapping[str, Any]) -> SteppedEffect:
        return SteppedEffect(sample_rate, 0.95 if locator == "too-loud" else 0.5)

    def claims(self, locator: str) -> float:
        return 0.0

    def scan(self) -> Iterator[str]:
        return iter(())


@pytest.fixture
def stepped(monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an effect with stepped parameters and unstable settings."""
    known = opening.backend
    monkeypatch.setattr(opening, "backend", lambda name: SteppedBackend() if name == "test" else known(name))
    return "test:stepped"


@pytest.mark.parametrize(
    ("address", "hidden"),
    [
        ("reference:gain", {"Gain": 0.83}),
        ("reference:soft-clip", {"Drive": 0.6, "Level": 0.35}),
        ("reference:biquad", {"Frequency": 0.7, "Gain": 0.2, "Q": 0.6}),
        ("pedalboard-builtin:Distortion", {"drive_db": 0.62}),
        ("pedalboard-builtin:Compressor", {"threshold_db": 0.3, "ratio": 0.6}),
    ],
)
def test_hidden_settings_are_found(guitar: tuple[Audio, float], address: str, hidden: dict[str, float]) -> None:
    audio, rate = guitar
    result = match(address, audio, through(address, audio, rate, **hidden), rate)
    assert result.finished == "converged"
    assert result.loss < 0.01 * result.loss_start
    for name, value in hidden.items():
        assert found(result)[name] == pytest.approx(value, abs=0.02)


def test_settings_at_the_faces_of_the_box_are_found(guitar: tuple[Audio, float]) -> None:
    audio, rate = guitar
    result = match("reference:soft-clip", audio, through("reference:soft-clip", audio, rate, Drive=1.0, Level=0.0), rate)
    assert result.point == pytest.approx([1.0, 0.0], abs=0.01)


def test_stepped_parameters_are_found_and_settings_that_blow_up_survived(guitar: tuple[Audio, float], stepped: str) -> None:
    audio, rate = guitar
    host = InProcessHost()
    spec = EffectSpec(stepped, rate, "trainable")
    target, _ = host.render_batch(spec, audio[None], np.array([[0.85, 2 / 3, 1.0]]))
    result = match(spec, audio, target[0], host=host)
    assert host.nonfinite > 0
    assert result.point == pytest.approx([0.85, 2 / 3, 1.0], abs=0.01)
    rows = {row["name"]: row for row in result.settings()}
    assert [rows[n]["free"] for n in ("Gain", "Shape", "Halved", "Preset")] == [True, True, True, False]


@pytest.mark.slow
def test_a_start_that_blows_up_is_no_end(guitar: tuple[Audio, float], stepped: str) -> None:
    audio, rate = guitar
    host = InProcessHost()
    spec = EffectSpec("test:too-loud", rate, ("Gain",), (("Shape", 2 / 3),))
    target, _ = host.render_batch(spec, audio[None], np.array([[0.3]]))
    result = match(spec, audio, target[0], host=host)
    assert result.loss_start == math.inf
    assert result.point == pytest.approx([0.3], abs=0.01)


def test_a_few_settings_are_all_tried(guitar: tuple[Audio, float], stepped: str) -> None:
    audio, rate = guitar
    result = match(EffectSpec(stepped, rate, ("Shape", "Halved")), audio, 0.3 * audio, host=InProcessHost())
    assert result.finished == "converged"
    assert result.method == "all settings"
    assert result.sureness is not None
    # the defaults, all, how sure they are, and the best one once more
    assert result.renders == 1 + 4 * 2 + result.sureness.renders + 1


def test_the_same_seed_gives_the_same_bits_whatever_the_number_of_hosts(guitar: tuple[Audio, float]) -> None:
    audio, rate = guitar
    target = through("reference:biquad", audio, rate, Frequency=0.3, Gain=0.9)
    points = []
    for hosts in (1, 2, 2):
        torch.manual_seed(hosts)
        with ProcessPool(hosts=hosts) as pool:
            points.append(match("reference:biquad", audio, target, rate, renders=150, seed=7, host=pool).point)
    assert np.array_equal(points[0], points[1])
    assert np.array_equal(points[1], points[2])
    other = match("reference:biquad", audio, target, rate, renders=150, seed=8, host=InProcessHost()).point
    assert not np.array_equal(points[0], other)


def test_torch_is_left_as_it_was(guitar: tuple[Audio, float]) -> None:
    audio, rate = guitar
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    match("reference:gain", audio, 0.5 * audio, rate, renders=60, host=InProcessHost())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("renders", [8, 15, 30])
@pytest.mark.parametrize("excerpt", [None, 0.5])
def test_no_more_than_the_allowed_renders_are_made_and_all_are_counted(
    guitar: tuple[Audio, float], renders: int, excerpt: float | None
) -> None:
    audio, rate = guitar
    host = InProcessHost()
    target = through("reference:biquad", audio, rate, Frequency=0.3, Gain=0.9)
    told: list[Progress] = []
    result = match(
        "reference:biquad", audio, target, rate, renders=renders, host=host, excerpt=excerpt, on_progress=told.append
    )
    assert result.renders == host.renders <= renders
    assert result.finished == "budget"
    assert result.history == told
    assert all(p.renders <= p.budget == renders for p in told)
    best = [p.best for p in told]
    assert best == sorted(best, reverse=True)


def test_the_losses_are_those_of_the_whole_recording(guitar: tuple[Audio, float]) -> None:
    audio, rate = guitar
    target = through("reference:soft-clip", audio, rate, Drive=0.7)
    result = match("reference:soft-clip", audio, target, rate, renders=100, excerpt=0.4, host=InProcessHost())
    distance = loss_for("mrstft", torch.from_numpy(target), rate)
    assert result.loss == pytest.approx(float(distance(torch.from_numpy(result.audio)[None])[0]), rel=1e-4, abs=1e-6)
    assert result.loss_dry == pytest.approx(float(distance(torch.from_numpy(audio)[None])[0]), rel=1e-4)
    start = through("reference:soft-clip", audio, rate)
    assert result.loss_start == pytest.approx(float(distance(torch.from_numpy(start)[None])[0]), rel=1e-4)
    assert result.audio.shape == audio.shape
    assert np.array_equal(result.audio, through("reference:soft-clip", audio, rate, **found(result)))


@pytest.mark.parametrize("kind", ["loss", "cotangent"])
def test_both_kinds_of_probe_lead_there(guitar: tuple[Audio, float], kind: Any) -> None:
    audio, rate = guitar
    target = through("reference:soft-clip", audio, rate, Drive=0.6, Level=0.3)
    result = match(
        "reference:soft-clip", audio, target, rate, probe_kind=kind, estimator="finite-difference", host=InProcessHost()
    )
    assert result.method.endswith(f"{kind} probes")
    assert result.point == pytest.approx([0.6, 0.3], abs=0.01)


@pytest.mark.slow
def test_for_an_oscillating_loss_its_differences_are_chosen(guitar: tuple[Audio, float]) -> None:
    audio, rate = guitar
    target = through("reference:delay", audio, rate, Time=0.8)
    result = match("reference:delay", audio, target, rate, renders=140, estimator="spsa", host=InProcessHost())
    assert result.method.endswith("loss probes")
    assert "cosine" in result.method_reason


def test_a_loss_can_be_a_sum_with_weights(guitar: tuple[Audio, float]) -> None:
    audio, rate = guitar
    target = through("reference:soft-clip", audio, rate, Drive=0.6, Level=0.3)
    result = match("reference:soft-clip", audio, target, rate, loss="mrstft + 0.5*envelope", host=InProcessHost())
    assert result.loss_name == "mrstft + 0.5*envelope"
    assert result.point == pytest.approx([0.6, 0.3], abs=0.01)
    parts = [loss_for(name, torch.from_numpy(target), rate)(torch.from_numpy(audio)[None]) for name in ("mrstft", "envelope")]
    assert result.loss_dry == pytest.approx(float(parts[0] + 0.5 * parts[1]), rel=1e-5)


INTERRUPTED = """
import json, sys
import numpy as np
import blackbox_grad

rng = np.random.default_rng(0)
audio = rng.standard_normal((1, 44100)).astype(np.float32) * 0.1

def say(progress):
    print(progress.renders, flush=True)

result = blackbox_grad.match("reference:biquad", audio, 0.3 * audio, renders=1_000_000, on_progress=say)
print(json.dumps(result.to_json()), flush=True)
"""


def test_ctrl_c_returns_the_best_so_far() -> None:
    process = subprocess.Popen([sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True, env=os.environ)
    assert process.stdout is not None
    for _ in range(3):
        assert process.stdout.readline().strip().isdigit()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    result = json.loads(out.splitlines()[-1])
    assert result["finished"] == "interrupted"
    assert result["loss"] == pytest.approx(result["history"][-1]["best"], rel=1e-6)


def test_an_interruption_by_the_callers_function_returns_the_best_so_far(guitar: tuple[Audio, float]) -> None:
    audio, rate = guitar

    def stop(progress: Progress) -> None:
        if progress.phase == "emulation":
            raise KeyboardInterrupt

    result = match("reference:gain", audio, 2 * audio, rate, on_progress=stop, host=InProcessHost())
    assert result.finished == "interrupted"
    assert result.loss == pytest.approx(result.history[-1].best, rel=1e-6)


@pytest.mark.parametrize("fault", ["raise", "crash", "hang"])
def test_a_render_that_fails_ends_it_with_the_best_so_far(guitar: tuple[Audio, float], third_party: str, fault: str) -> None:
    audio, rate = guitar
    audio = audio[:, :9000]
    with ProcessPool(hosts=1, time_limit=1.0) as pool:
        result = match(f"faulty:{fault}", audio, 0.3 * audio, rate, renders=60, host=pool)
    assert result.finished == "failed"
    assert f"faulty:{fault}" in result.error
    assert "Level=" in result.error
    assert result.loss == min(p.best for p in result.history)
    np.testing.assert_array_equal(result.audio, audio * np.float32(result.point[0]))


def test_every_loss_is_computed_with_one_thread(guitar: tuple[Audio, float]) -> None:
    """Also the last losses, on the whole recording: sums of several threads differ in their last bits."""
    threads = []

    class Watched(Waveform):
        def features(self, audio: Tensor) -> Tensor:
            threads.append(torch.get_num_threads())
            return super().features(audio)

    audio, rate = guitar
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        match("reference:gain", audio, 0.5 * audio, rate, loss=Watched, renders=12, host=InProcessHost())
    finally:
        torch.set_num_threads(before)
    assert set(threads) == {1}


def test_a_render_that_fails_at_once_is_an_error(guitar: tuple[Audio, float], third_party: str) -> None:
    audio, rate = guitar
    fixed = {"Level": 0.9}
    with pytest.raises(RenderError, match="not in the mood"):
        match("faulty:raise", audio, audio, rate, fixed=fixed, host=InProcessHost())
    with pytest.raises(NonFiniteAudioError, match="faulty:nan: at none of 1 settings is the loss a finite number"):
        match("faulty:nan", audio, audio, rate, fixed=fixed, host=InProcessHost())


def test_recordings_that_cannot_be_matched_are_refused(guitar: tuple[Audio, float]) -> None:
    audio, rate = guitar
    silence = np.zeros_like(audio)
    with pytest.raises(AudioError, match="target is silent"):
        match("reference:gain", audio, silence, rate)
    with pytest.raises(AudioError, match="audio is silent"):
        match("reference:gain", silence, audio, rate)
    with pytest.raises(AudioError, match="NaN"):
        match("reference:gain", audio, np.full_like(audio, np.nan), rate)
    for wrong, message in (
        ("mrstf", "no loss 'mrstf'"),
        ("l1 + x*mel", "the weight 'x' of 'mel'"),
        ("0*l1", "positive number"),
    ):
        with pytest.raises(AudioError, match=message):
            match("reference:gain", audio, audio, rate, loss=wrong)
    with pytest.raises(EstimatorError, match="probe_kind='loss' is an estimator's; give one"):
        match("reference:gain", audio, audio, rate, probe_kind="loss")
    of_another = Auto(inspection=Inspection("reference:biquad", "biquad", rate, "mono", 0, ()))
    with pytest.raises(EstimatorError, match="the inspection is of reference:biquad, and the effect is reference:gain"):
        match("reference:gain", audio, audio, rate, estimator=of_another)
    with pytest.raises(AudioError, match="'mrstft' needs 512 samples or more, got 100; .* 'l1'"):
        match("reference:gain", audio[:, :100], audio[:, :100], rate)
    with pytest.raises(AudioError, match="'mel' needs 64 samples or more, got 5"):
        match("reference:gain", audio[:, :5], audio[:, :5], rate, loss="mel")
    with pytest.raises(AudioError, match="match: target: audio must have the shape .*audio.None."):
        match("reference:gain", audio, audio[0], rate)
    with pytest.raises(AudioError, match="match: audio: .*meta"):
        match("reference:gain", torch.zeros(1, 9000, device="meta"), audio, rate)
    with pytest.raises(AudioError, match="excerpt=nan"):
        match("reference:gain", audio, audio, rate, excerpt=math.nan)
    for number in ({"renders": 3}, {"renders": 9.5}, {"seed": 2**63}, {"seed": "1"}):
        with pytest.raises(EstimatorError, match=f"{next(iter(number))}="):
            match("reference:gain", audio, audio, rate, **number)  # type: ignore[arg-type]


def test_lengths_and_channels_are_brought_together_and_it_says_so(guitar: tuple[Audio, float]) -> None:
    audio, rate = guitar
    target = np.concatenate([0.5 * audio, 0.5 * audio])[:, :-1000]
    with pytest.warns(UserWarning, match=r"samples|channels"):
        result = match("reference:gain", torch.from_numpy(audio), torch.from_numpy(target), rate, host=InProcessHost())
    assert result.audio.shape == target.shape
    assert len(result.notes) == 2
    assert result.settings()[0]["native"].startswith("-6.0")


def test_json_holds_everything_but_the_audio(guitar: tuple[Audio, float]) -> None:
    audio, rate = guitar
    result = match("reference:gain", audio, 0.5 * audio, rate, renders=40, host=InProcessHost())
    written = json.loads(json.dumps(dataclasses.replace(result, loss_start=math.inf).to_json(), allow_nan=False))
    assert written["loss_start"] is None
    assert written["parameters"][0]["normalised"] == result.point[0]
    assert len(written["history"]) == len(result.history)


def test_it_goes_on_while_no_loss_is_finite(guitar: tuple[Audio, float]) -> None:
    """For an effect that is finite in a small part of the box, the search finds that part, and does not stop before."""
    audio, rate = guitar

    class Narrow(InProcessHost):
        def render_batch(self, spec, given, p, *args, **kwargs):  # type: ignore[no-untyped-def]
            sounds, finite = super().render_batch(spec, given, p, *args, **kwargs)
            return sounds, finite & (np.abs(p[..., 0] - 0.7) < 0.004)

    result = match("reference:gain", audio, 1.4 * audio, rate, renders=400, host=Narrow())
    assert np.isfinite(result.loss)


class NearestDefaults:
    """A searcher of a third party: settings nearer and nearer to the best it knows."""

    def __init__(self, space: ParameterSpace, seed: int) -> None:
        self.random, self.width = np.random.default_rng(seed), 0.5
        self.best, self.lowest = space.defaults, math.inf

    def __repr__(self) -> str:
        return "NearestDefaults()"

    def ask(self, count: int) -> NDArray[np.float64]:
        moves = self.width * self.random.uniform(-1, 1, (count, len(self.best)))
        return np.clip(self.best + moves, 0.0, 1.0)

    def tell(self, points: Any, losses: Any, residuals: Any) -> None:
        self.width *= 0.8
        if losses.min() < self.lowest:
            self.best, self.lowest = points[losses.argmin()], losses.min()


def test_a_searcher_of_a_third_party_drives_the_search(guitar: tuple[Audio, float]) -> None:
    audio, rate = guitar
    target = through("reference:soft-clip", audio, rate, Drive=0.6, Level=0.3)
    result = match("reference:soft-clip", audio, target, rate, searcher=NearestDefaults, renders=300, host="in-process")
    assert result.method == "NearestDefaults()"
    assert result.finished == "budget"
    assert result.sureness is not None
    assert result.renders == 299 - renders_for(result.info.parameters, 300) + result.sureness.renders
    assert result.point == pytest.approx([0.6, 0.3], abs=0.05)


@pytest.mark.parametrize(
    ("searcher", "said"), [(3, "searcher=3 must be a function"), (lambda space, seed: 3, "3 is not a searcher")]
)
def test_what_is_no_searcher_is_refused(guitar: tuple[Audio, float], searcher: Any, said: str) -> None:
    audio, rate = guitar
    with pytest.raises(EstimatorError, match=said):
        match("reference:gain", audio, audio, rate, searcher=searcher, host=InProcessHost())


def test_any_loss_of_torch_is_matched_by(guitar: tuple[Audio, float]) -> None:
    audio, rate = guitar
    target = through("reference:soft-clip", audio, rate, Drive=0.6, Level=0.3)
    result = match("reference:soft-clip", audio, target, rate, loss=torch.nn.L1Loss(), renders=200, host=InProcessHost())
    assert result.loss_name == "L1Loss"
    assert result.loss < 0.05 * result.loss_start


def test_a_loss_that_refuses_the_recording_does_so_before_the_search(guitar: tuple[Audio, float]) -> None:
    audio, rate = guitar
    host = InProcessHost()

    class Short(Waveform):
        def prepare(self, target: Tensor) -> None:
            if target.shape[-1] > 9000:
                raise AudioError("too long for me")
            super().prepare(target)

    with pytest.raises(AudioError, match="too long for me"):
        match("reference:gain", audio, audio, rate, loss=Short, excerpt=0.1, host=host)
    assert host.renders == 0


class BothWays:
    """An estimator that looks at the cotangent and probes."""

    def estimate(self, problem: Any) -> Any:
        assert problem.effect.cotangent.abs().sum() > 0
        part = problem.along(problem.space.names)
        assert part.effect.cotangent is problem.effect.cotangent
        return Auto().estimate(problem)


def test_an_estimator_may_use_the_cotangent_and_probe(guitar: tuple[Audio, float]) -> None:
    audio, rate = guitar
    target = through("reference:soft-clip", audio, rate, Drive=0.6, Level=0.3)
    options: dict[str, Any] = {"estimator": BothWays(), "probe_kind": "cotangent", "renders": 120, "host": InProcessHost()}
    assert match("reference:soft-clip", audio, target, rate, **options).loss < 0.2


def _bands(audible: int, silent: int) -> str:
    """A Faust program with gains of many bands, and sliders that change nothing."""
    gains = [f'+(0.01 * hslider("Gain {i}", 0.5, 0, 1, 0.001) * i{i})' for i in range(audible)]
    tones = [f"i{i} = os.osc({100 * (i + 1)});" for i in range(audible)]
    nothing = [f'attach(_, hslider("Nothing {i}", 0.5, 0, 1, 0.001))' for i in range(silent)]
    return 'import("stdfaust.lib"); ' + " ".join(tones) + " process = " + " : ".join(["_", *gains, *nothing]) + ";"


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("audible", "silent"), [(3, 15), (3, 2)])
def test_of_many_parameters_those_that_change_nothing_are_not_searched(
    guitar: tuple[Audio, float], audible: int, silent: int
) -> None:
    audio, rate = guitar
    audio = audio[:, :8192]
    address = f"faust:{_bands(audible, silent)}"
    target = through(address, audio, rate, **{"Gain 1": 1.0})
    found = match(address, audio, target, rate, renders=24, host="in-process")
    left_out = [note for note in found.notes if "are not searched" in note]
    if audible + silent > 16:
        assert set(found.info.parameters.names) == {f"Gain {i}" for i in range(audible)}
        assert left_out[0].startswith(
            f"{silent} of {audible + silent} parameters change nothing, and are not searched: Nothing 0"
        )
    else:
        assert len(found.info.parameters) == audible + silent
        assert not left_out
