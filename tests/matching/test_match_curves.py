"""`match` finds settings that move."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from blackbox_grad import Automated, EffectSpec, ProcessPool, match
from blackbox_grad.audio_files import example
from blackbox_grad.matching.curve_drawing import curve_drawings
from blackbox_grad.matching.curve_search import _step
from blackbox_grad.matching.curve_start import best_path, windows

KNOTS, SECONDS = 8, 2.0


@pytest.fixture(scope="module")
def pool():
    with ProcessPool(2) as host:
        yield host


def bent(seed: int) -> np.ndarray:
    """A smooth curve in the middle of the range."""
    return np.interp(np.linspace(0, 1, KNOTS), np.linspace(0, 1, 4), np.random.default_rng(seed).uniform(0.2, 0.8, 4))


@pytest.mark.plugins
@pytest.mark.parametrize(
    ("address", "moving"),
    [("pedalboard-builtin:LadderFilter", ["cutoff_hz"]), ("pedalboard:ZamEQ2.vst3", ["Frequency 1"])],
)
def test_a_sweep_is_found_from_a_recording(address, moving, pool):
    audio, rate = example()
    x = np.ascontiguousarray(audio[:, : round(SECONDS * rate)])
    fixed = {"Boost/Cut 1": 0.9} if "ZamEQ2" in address else {}
    spec = Automated(EffectSpec.of(address, rate, moving, fixed), KNOTS, moving, seconds=SECONDS).spec
    hidden = bent(1)
    target, _ = pool.render_batch(spec, x[None], hidden[None])
    found = match(spec, x, target[0], renders=300, host=pool)
    assert np.abs(found.point - hidden).mean() <= 0.03
    assert found.renders <= 300
    assert found.loss < 0.1 * found.loss_start
    assert found.method == "curves"
    assert {"search", "curves"} <= {step.phase for step in found.history}


def test_the_cheapest_path_does_not_jump_for_little():
    settings = np.array([[0.1], [0.5], [0.9]])
    losses = np.array([[1.0, 0.99, 1.0, 5.0], [1.0, 1.0, 1.0, 5.0], [1.1, 0.98, 1.1, 1.0]])
    assert best_path(losses, settings) in ([0, 0, 0, 2], [1, 1, 1, 2])
    losses[1] = np.inf
    assert 1 not in best_path(losses, settings)


def test_windows_cover_the_audio_and_are_long_enough():
    parts = windows([0, 1000, 2000, 3000], 3000, 1500)
    assert all(0 <= part.start <= part.stop <= 3000 for part in parts)
    assert all(part.stop - part.start >= 1500 for part in parts)
    assert parts[0].start == 0
    assert parts[-1].stop == 3000
    assert windows([0, 100], 100, 5000) == [slice(0, 100), slice(0, 100)]


def test_a_step_stays_in_the_box_and_solves_what_lies_inside():
    rng = np.random.default_rng(0)
    jacobian, wanted = rng.standard_normal((40, 5)), np.array([0.2, 0.4, 0.6, 0.5, 0.3])
    point = np.full(5, 0.5)
    residual = torch.from_numpy(jacobian @ (point - wanted)).numpy()
    assert np.allclose(_step(jacobian.T @ jacobian, jacobian.T @ residual, point, 0.0), wanted, atol=1e-6)
    outside = jacobian @ (point - np.array([1.4, -0.3, 0.6, 0.5, 0.3]))
    found = _step(jacobian.T @ jacobian, jacobian.T @ outside, point, 0.0)
    assert (found >= 0.0).all()
    assert (found <= 1.0).all()


@pytest.mark.plugins
def test_the_report_draws_the_curves_with_the_hidden_ones(pool, tmp_path):
    audio, rate = example()
    x = np.ascontiguousarray(audio[:, :44100])
    spec = Automated(EffectSpec.of("pedalboard-builtin:Gain", rate), 4, seconds=1.0).spec
    hidden = np.array([0.6, 0.7, 0.8, 0.6])
    target, _ = pool.render_batch(spec, x[None], hidden[None])
    found = match(spec, x, target[0], renders=60, host=pool)
    truth = dict(zip(found.info.parameters.names, hidden, strict=True))
    (drawn,) = curve_drawings(found, truth)
    assert drawn.error is not None
    assert drawn.error <= 0.03
    assert len(drawn.dots) == 4
    assert len(drawn.truth.split()) == 5  # to the end of the audio
    page = found.report(tmp_path / "report.html", truth=truth).read_text("utf-8")
    assert "Settings that move" in page
    assert drawn.found in page
    assert drawn.truth in page
    assert "gain_db @ 0.33 s" not in page
    assert curve_drawings(match("pedalboard-builtin:Gain", x, 0.5 * x, rate, renders=20, host=pool), {}) == []
