"""The Faust backend's own ground: addresses, ranges, units and kinds from the program, and errors."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from blackbox_grad import load
from blackbox_grad.errors import EffectLoadError, EffectNotFoundError, RenderError
from blackbox_grad.testing import check_effect
from blackbox_grad_backends.dawdreamer_faust import FaustBackend

pytest.importorskip("dawdreamer")

#: Every kind of control, in groups and with characters that the compiler changes, and a state that blows up.
CONTROLS = """
gain = hslider("h:first group/[2]gain (all)[unit:dB][tooltip: a, b]", -6, -60, 12, 0.1) : ba.db2linear;
cutoff = vslider("cutoff[scale:log][unit:Hz]", 1000, 20, 20000, 1);
mode = nentry("mode[style:menu{'soft':0;'medium':1;'hard':2}]", 1, 0, 2, 1);
stages = hslider("stages", 3, 1, 8, 1);
many = hslider("many", 40, 0, 1000, 1);
on = checkbox("on");
fixed = hslider("fixed", 1, 1, 1, 1);
feedback = + ~ *(hslider("feedback", 0.5, 0, 3, 0.01));
meter = _ <: attach(_, abs : vbargraph("level[unit:dB]", -60, 0));
process = par(i, 2, *(gain) : fi.lowpass(2, cutoff) : *(1 + mode + stages + many + on + fixed) : feedback : meter);
"""


def load_all(program: str, sample_rate: float = 44100.0):
    return load(f"faust:{program}", sample_rate, parameters="all")


def test_every_law_holds_for_a_program_with_every_kind_of_control():
    assert check_effect(f"faust:{CONTROLS}").repeatability == 0.0


def test_ranges_units_scales_and_kinds_come_from_the_program():
    with load_all(CONTROLS) as effect:
        assert effect.layout == "2 in, 2 out"
        found = {p.name: (p.kind, p.minimum, p.maximum, p.unit, p.scale) for p in effect.parameters}
        assert found == {
            "gain (all)": ("continuous", -60.0, 12.0, "dB", "linear"),
            "cutoff": ("continuous", 20.0, 20000.0, "Hz", "log"),
            "mode": ("stepped", 0.0, 2.0, "", "linear"),
            "stages": ("stepped", 1.0, 8.0, "", "linear"),
            "many": ("continuous", 0.0, 1000.0, "", "linear"),
            "on": ("toggle", 0.0, 1.0, "", "linear"),
            "feedback": ("continuous", 0.0, 3.0, "", "linear"),
        }
        text = effect.parameters.to_text(effect.parameters.defaults)
        assert text["gain (all)"] == "-6 dB"
        assert text["cutoff"] == "1000 Hz"
        assert text["mode"] == "medium"
        assert text["stages"] == "3"


def test_a_native_value_is_what_the_program_computes_with():
    audio = np.linspace(-1, 1, 64, dtype=np.float32)[None]
    with load_all('process = *(hslider("gain[unit:x]", 1, 0, 8, 0.01));') as effect:
        for native in (0.0, 1.0, 2.5, 8.0):
            point = effect.parameters.point({"gain": f"{native} x"})
            np.testing.assert_allclose(effect.render(audio, point), native * audio, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("sample_rate", [16000.0, 44100.0, 48000.0])
def test_the_program_runs_at_the_sample_rate(sample_rate):
    impulse = np.zeros((1, 1000), np.float32)
    impulse[0, 0] = 1.0
    with load_all("process = @(ma.SR / 100);", sample_rate) as effect:
        assert int(effect.render(impulse, []).argmax()) == round(sample_rate / 100)


def test_after_a_blow_up_the_state_is_clean():
    audio = np.ones((1, 2000), np.float32)
    with load_all('process = + ~ *(hslider("feedback", 0.5, 0, 3, 0.01));') as effect:
        before = effect.render(audio, effect.parameters.defaults)
        assert not np.isfinite(effect.render(audio, [1.0])).all()
        assert np.array_equal(effect.render(audio, effect.parameters.defaults), before)


def test_a_file_is_named_by_itself_or_its_declaration_and_imports_from_its_folder(tmp_path):
    (tmp_path / "half.lib").write_text("half = *(0.5);")
    plain, named = tmp_path / "echo.dsp", tmp_path / "other.dsp"
    plain.write_text('import("half.lib"); process = half;')
    named.write_text('declare name "Warm echo";\nprocess = _;')
    with load(str(plain)) as effect:
        assert effect.spec.address == f"faust:{plain}"
        assert effect.name == "echo"
        assert effect.render(np.ones((1, 3), np.float32), []).tolist() == [[0.5] * 3]
    with load(str(named)) as effect:
        assert effect.name == "Warm echo"


def test_a_missing_file_names_its_neighbours(tmp_path):
    (tmp_path / "echo.dsp").write_text("process = _;")
    with pytest.raises(EffectNotFoundError, match=r"did you mean 'echo\.dsp'"):
        load(f"faust:{tmp_path / 'ehco.dsp'}")


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("process = ;", "does not compile.*syntax error"),
        ('import("nowhere.lib"); process = _;', "nowhere.lib.*is not read"),
        ("process = os.osc(440);", "is a generator, not an effect: it has 0 inputs"),
    ],
)
def test_what_is_no_effect_is_refused_with_the_compilers_words(program, message):
    with pytest.raises(EffectLoadError, match=f"(?s){message}"):
        load(f"faust:{program}")


def test_options_are_refused():
    with pytest.raises(EffectLoadError, match="this effect has no presets"):
        load("faust:process = _;", preset="a")


def test_closing_twice_is_safe_and_rendering_afterwards_an_error():
    effect = load("faust:process = _;")
    effect.close()
    effect.close()
    with pytest.raises(RenderError, match="has been closed"):
        effect.render(np.zeros((1, 4), np.float32), [])


def test_programs_and_dsp_files_are_claimed_where_the_library_is_installed(monkeypatch):
    backend = FaustBackend()
    assert [backend.claims(x) for x in ("a.dsp", "process = _;", "ZamTube.vst3", "urn:a:b")] == [1.0, 1.0, 0.0, 0.0]
    assert list(backend.scan()) == []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert backend.claims("a.dsp") == 0.0


def test_labels_in_any_script_are_controls_like_others():
    size, volume = 'hslider("Größe[unit:°]", 0.5, 0, 1, 0.01)', "vslider(\"音量[style:menu{'低':0;'高':1}]\", 0, 0, 1, 1)"
    source = f"process = _*{size} : *({volume} + 1);"
    with load(f"faust:{source}", parameters="all") as effect:
        assert sorted(effect.parameters.names) == ["Größe", "音量"]
        assert effect.parameters[effect.parameters.index("Größe")].unit == "°"
        assert effect.parameters[effect.parameters.index("音量")].choices == ("低", "高")
        y = effect.render(np.ones((1, 8), np.float32), effect.parameters.point({"GRÖSSE": "0.25", "音量": "高"}))
    np.testing.assert_allclose(y, 0.5, rtol=1e-6)


@pytest.mark.parametrize(
    ("program", "layout"),
    [
        ("process = *(g);", "1 in, 1 out"),
        ("process = _ <: *(g), *(g/2);", "1 in, 2 out"),
        ("process = (_, _) <: *(g), *(g), *(g/2), *(g/2);", "2 in, 4 out"),
        ("process = par(i, 6, *(g));", "6 in, 6 out"),
        ("process = par(i, 64, *(g));", "64 in, 64 out"),
        ("process = *(g), *(g), !;", "2 in + 1 silent, 2 out"),
    ],
)
def test_every_layout_takes_any_channels_and_reacts_to_its_parameter(program, layout):
    with load_all(f'g = hslider("g", 0.5, 0.1, 1, 0.01); {program}') as effect:
        assert effect.layout == layout
        for channels in (1, 2, 3, 6, 8):
            audio = (0.25 * np.random.default_rng(0).standard_normal((channels, 300))).astype(np.float32)
            quiet, loud = effect.render(audio, [0.0]), effect.render(audio, [1.0])
            assert loud.shape == audio.shape
            np.testing.assert_allclose(loud, 10.0 * quiet, rtol=1e-4)
            assert np.abs(loud).max(axis=1).min() > 0.05
        check_effect(effect)
