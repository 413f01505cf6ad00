"""Settings that move, in every backend: the laws of curves on real plug-ins."""

from __future__ import annotations

import numpy as np
import pytest

from blackbox_grad import Automated, load
from blackbox_grad.errors import EffectLoadError
from blackbox_grad.testing import CURVE_LAWS, check_effect

SECONDS = 0.25

pytestmark = pytest.mark.plugins

FILTER = 'import("stdfaust.lib"); process = par(i, 2, fi.resonlp(hslider("cutoff [scale:log]", 800, 100, 8000, 1), 2, 1));'

#: Address, what moves: DawDreamer keeps automation until a parameter is set again.
LATER = [
    ("dawdreamer:ZamCompX2.vst3", ["Threshold", "Makeup"]),
    ("dawdreamer:http://drobilla.net/plugins/mda/RezFilter", ["Freq", "Res"]),
    (f"faust:{FILTER}", ["cutoff"]),
]

EFFECTS = [
    ("reference:soft-clip", ["Drive", "Level"]),
    ("pedalboard-builtin:LadderFilter", ["cutoff_hz", "resonance"]),
    ("pedalboard-builtin:Compressor", ["threshold_db"]),
    ("pedalboard-builtin:Reverb", ["wet_level", "room_size"]),
    ("pedalboard-builtin:BrickwallLimiter", ["ceiling_db"]),
    ("pedalboard:ZamEQ2.vst3", ["Boost/Cut 1", "Frequency 1"]),
    pytest.param("pedalboard:ZamTube.vst3", ["Tube Drive"], marks=pytest.mark.slow),
    ("dawdreamer:http://drobilla.net/plugins/mda/Overdrive", ["Drive", "Muffle"]),
    *LATER,
    ("dawdreamer:http://drobilla.net/plugins/mda/Overdrive | pedalboard-builtin:LadderFilter", ["*Drive", "*cutoff_hz"]),
]


@pytest.mark.parametrize(("address", "moving"), EFFECTS, ids=lambda value: value[:60] if isinstance(value, str) else "")
def test_settings_move_by_the_laws(address: str, moving: list[str]) -> None:
    laws = [name for name, _ in CURVE_LAWS]
    check = check_effect(Automated(address, 4, moving, seconds=SECONDS), laws=["same bits after any history", *laws])
    assert set(laws) < set(check.laws)
    if "ZamTube" not in address:
        assert check.repeatability == 0.0


def test_a_constant_render_after_a_moving_one_forgets_the_curve() -> None:
    rng = np.random.default_rng(0)
    audio = (0.3 * rng.standard_normal((2, 11025))).astype(np.float32)
    for address, moving in LATER:
        with load(Automated(address, 3, moving, seconds=SECONDS)) as effect:
            still = effect.still
            assert still is not None
            before = still.render(audio, still.parameters.defaults)
            effect.render(audio, rng.uniform(size=len(effect.parameters)))
            assert np.array_equal(before, still.render(audio, still.parameters.defaults)), address


def test_latency_delays_curves_as_much_as_audio() -> None:
    """A limiter that looks ahead 20 ms: a change is not heard 20 ms early."""
    audio = np.full((1, 44100), 0.5, np.float32)
    spec = Automated(
        "pedalboard-builtin:BrickwallLimiter", 2, ["ceiling_db"], seconds=1.0, shape="held", fixed={"lookahead_ms": 1.0}
    )
    with load(spec) as effect:
        names = list(effect.parameters.names)
        point = effect.parameters.defaults
        point[names.index("ceiling_db @ 0.00 s")] = 1.0
        point[names.index("ceiling_db @ 0.50 s")] = 0.2
        found = effect.render(audio, point)[0]
    first = int(np.flatnonzero(np.abs(found - 0.5) > 1e-3)[0])
    assert 22050 <= first < 22050 + 4 * 1024
    assert found[-1] < 0.1


def test_what_sounds_different_in_blocks_is_refused() -> None:
    with pytest.raises(EffectLoadError, match="settings of PitchShift cannot move"):
        load(Automated("pedalboard-builtin:PitchShift", 3, ["semitones"], seconds=SECONDS))


def test_an_instrument_plays_with_settings_that_move() -> None:
    from blackbox_grad import Notes

    notes = Notes.one("C4", seconds=0.5, total=0.5)
    with load(Automated("dawdreamer:http://drobilla.net/plugins/mda/DX10", 3, ["Mod Init"], seconds=0.5)) as synth:
        point = synth.parameters.defaults
        still = synth.render(notes, point)
        point[synth.parameters.index("Mod Init @ 0.50 s")] = 1.0 - point[0]
        moving = synth.render(notes, point)
        assert np.array_equal(still[:, : 22050 // 2], moving[:, : 22050 // 2])
        assert np.abs(still).max() > 0.0
        assert np.array_equal(moving, synth.render(notes, point))
