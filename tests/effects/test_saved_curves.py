"""Files of curves: written, read, and rendered again."""

from __future__ import annotations

import json

import numpy as np
import pytest

from blackbox_grad import Automated, EffectSpec, load
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.saved_curves import SavedCurves, saved_curves, write_curves
from blackbox_grad.errors import ParameterError

KNOTS = 4


def opened(address="pedalboard-builtin:LadderFilter", rate=44100.0):
    with load(EffectSpec.of(address, rate, ())) as effect:
        return EffectInfo.of(effect)


@pytest.fixture(params=["linear", "held"])
def sweep(request):
    spec = EffectSpec.of(
        "pedalboard-builtin:LadderFilter", 44100.0, ["cutoff_hz", "drive"], {"mode": "HPF12", "resonance": 0.3}
    )
    with load(Automated(spec, KNOTS, ["cutoff_hz"], seconds=1.0, shape=request.param)) as effect:
        yield EffectInfo.of(effect), np.array([0.2, 0.8, 0.5, 0.6, 0.1]), effect


@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_what_was_written_renders_the_same(sweep, suffix, tmp_path):
    info, point, effect = sweep
    write_curves(tmp_path / f"curves{suffix}", info, point)
    spec, again = SavedCurves.read(tmp_path / f"curves{suffix}").automated(opened())
    audio = (0.3 * np.random.default_rng(0).standard_normal((2, 44100))).astype(np.float32)
    with load(spec) as twin:
        assert twin.parameters.names == tuple(name for name in info.parameters.names if name != "drive")
        assert np.array_equal(twin.render(audio, again), effect.render(audio, point))


def test_at_another_sample_rate_the_native_values_are_kept(sweep, tmp_path):
    info, point, _ = sweep
    write_curves(tmp_path / "curves.json", info, point)
    spec, again = SavedCurves.read(tmp_path / "curves.json").automated(opened(rate=16000.0))
    with load(spec) as other:
        there = [parameter.to_native(value) for parameter, value in zip(other.parameters, again, strict=True)]
    here = [parameter.to_native(value) for parameter, value in zip(info.parameters, point[:KNOTS], strict=False)]
    assert np.allclose(here, there, rtol=1e-5)
    assert not np.allclose(again, point[:KNOTS])


def test_settings_of_the_caller_take_their_places(sweep, tmp_path):
    info, point, _ = sweep
    write_curves(tmp_path / "curves.json", info, point)
    spec, _ = SavedCurves.read(tmp_path / "curves.json").automated(opened(), {"Resonance": 0.9})
    with load(spec) as effect:
        held = dict(zip((p.name for p in effect.parameters.everything), effect.parameters.held, strict=True))
    assert held["resonance"] == 0.9
    assert held["drive"] == pytest.approx(0.1)


def test_curves_of_another_effect_are_refused(sweep, tmp_path):
    info, point, _ = sweep
    write_curves(tmp_path / "curves.json", info, point)
    saved = SavedCurves.read(tmp_path / "curves.json")
    with pytest.raises(
        ParameterError, match=r"holds curves of pedalboard-builtin:LadderFilter, and reference:gain cannot follow them"
    ):
        saved.automated(opened("reference:gain"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.pop("curves"), "holds no curves; give a file that"),
        (lambda c: c.update(curves=[]), "holds no curves"),
        (lambda c: c.update(shape="cubic"), "shape='cubic' is unknown"),
        (lambda c: c["curves"][0].update(seconds=[0.0, 0.1, 0.5, 1.0]), "knots must lie evenly from 0 to 1 s"),
        (lambda c: c["curves"][0].update(seconds=[0.0]), "needs as many values as there are knots"),
        (lambda c: c["curves"][0]["normalised"].pop(), "holds no curves"),
        (lambda c: c["curves"][0].update(normalised=[2.0] * KNOTS), "2 is not in"),
    ],
)
def test_a_damaged_file_is_named(change, says, tmp_path):
    with load(Automated("pedalboard-builtin:Gain", KNOTS, seconds=1.0)) as effect:
        saved = saved_curves(EffectInfo.of(effect), np.full(KNOTS, 0.5))
    change(saved)
    path = tmp_path / "curves.json"
    path.write_text(json.dumps(saved))
    with pytest.raises(ParameterError, match=says):
        SavedCurves.read(path).automated(opened("pedalboard-builtin:Gain"))


def test_a_table_without_knots_is_named(tmp_path):
    for text in ("", "a,b\n1,2\n", "seconds,Gain\n0,0.5\n", "seconds,Gain\n0,x\n1,y\n"):
        path = tmp_path / "curves.csv"
        path.write_text(text)
        with pytest.raises(ParameterError, match=r"curves\.csv holds no curves"):
            SavedCurves.read(path)


def test_an_effect_without_curves_has_none_to_write(tmp_path):
    with pytest.raises(ParameterError, match="its settings do not move"):
        write_curves(tmp_path / "curves.json", opened(), [])
