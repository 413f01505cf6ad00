"""Addresses, specs, chains and channel layouts, on reference effects."""

from __future__ import annotations

import os
import pickle
import sys

import numpy as np
import pytest

import blackbox_grad as bg
from blackbox_grad import errors, load
from blackbox_grad.effects import PluginEffect, addresses, split_chain


def noise(channels: int = 2, samples: int = 500) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((channels, samples), dtype=np.float32) * 0.1


class Swap(PluginEffect):
    """Stereo in, stereo out, three samples late: it swaps left and right, and halves the right one."""

    name, sample_rate, inputs, outputs, latency = "swap", 44100.0, 2, 2, 3
    parameters = bg.ParameterSpace([])

    def process(self, audio, values):
        late = np.pad(audio, ((0, 0), (3, 0)))[:, : audio.shape[1]]
        return np.stack([late[1], late[0] / 2])


def test_latency_is_taken_out_and_the_length_kept():
    x = noise()
    y = Swap().render(x, [])
    np.testing.assert_array_equal(y, [x[1], x[0] / 2])


def test_several_channels_through_a_mono_effect_go_one_at_a_time():
    effect = bg.load("reference:delay")
    x = noise(3)
    y = effect.render(x, effect.parameters.defaults)
    for channel in range(3):
        np.testing.assert_array_equal(y[channel : channel + 1], effect.render(x[channel : channel + 1], [0.3, 0.3, 0.5]))


def test_a_chain_is_one_effect_with_prefixed_parameters():
    chain = bg.load("reference:soft-clip | reference:gain")
    assert chain.parameters.names == ("soft-clip: Drive", "soft-clip: Level", "gain: Gain")
    x, p = noise(), [0.5, 0.4, 0.3]
    first = bg.load("reference:soft-clip").render(x, p[:2])
    np.testing.assert_array_equal(chain.render(x, p), bg.load("reference:gain").render(first, p[2:]))


def test_a_chain_of_specs_keeps_what_a_part_holds():
    part = bg.EffectSpec.of("reference:delay", parameters=["Mix"], fixed={"Time": "50 ms"})
    chain = bg.load(bg.chain(part, "reference:gain"))
    assert chain.parameters.names == ("delay: Mix", "gain: Gain")
    x = noise(samples=4000)
    np.testing.assert_array_equal(chain.render(x, [0.7, 0.5]), bg.load(part).render(x, [0.7]))


def test_bars_inside_faust_source_do_not_split_a_chain():
    assert split_chain("faust:process = _ : *(1 | 2); | reference:gain") == ["faust:process = _ : *(1 | 2);", "reference:gain"]


def test_names_alone_make_a_chain():
    assert split_chain("ZamTube.vst3 | ZamEQ2.vst3") == ["ZamTube.vst3", "ZamEQ2.vst3"]


def test_a_spec_beside_what_it_brings_itself_is_refused():
    spec = bg.chain("reference:gain", "reference:delay")
    with pytest.raises(errors.EffectLoadError, match="already sets fixed, parameters, sample_rate"):
        bg.load(spec, 48000, ["gain: Gain"], {"delay: Mix": 1.0})


def test_a_changed_file_is_another_effect_and_paths_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "gain.dsp"
    program.write_text('process = _*hslider("Level", 0.5, 0, 1, 0.01);')
    with bg.ProcessPool(hosts=1) as pool:
        first = bg.EffectSpec.of("faust:gain.dsp")
        assert pool.open(first).parameters.names == ("Level",)
        program.write_text('process = _*hslider("Volume", 0.25, 0, 1, 0.01);')
        monkeypatch.chdir("/")
        second = bg.EffectSpec.of(f"faust:{program}")
        assert second.address == first.address
        assert pool.open(second).parameters.names == ("Volume",)


def test_a_path_is_an_address(tmp_path):
    program = tmp_path / "gain.dsp"
    program.write_text('process = _*hslider("Level", 0.5, 0, 1, 0.01);')
    assert bg.load(program).parameters.names == ("Level",)
    with pytest.raises(errors.AddressError, match="text or a path, got int"):
        bg.load(42)


def test_a_spec_travels_and_opens_the_same_effect():
    spec = bg.EffectSpec.of("reference:biquad | reference:gain", 24000, fixed={"biquad: Q": "2 native"})
    again = pickle.loads(pickle.dumps(spec))
    assert again == spec
    x = noise()
    p = load(spec).parameters.defaults
    np.testing.assert_array_equal(load(again).render(x, p), load(spec).render(x, p))


@pytest.mark.parametrize(
    ("address", "error", "said"),
    [
        ("reference:gian", errors.EffectNotFoundError, "did you mean 'gain'"),
        ("refrence:gain", errors.AddressError, "did you mean 'reference'"),
        ("reference:", errors.AddressError, "names no effect"),
        ("", errors.AddressError, "empty"),
        ("something", errors.AddressError, "no installed effect is called 'something'"),
        ("bikwad", errors.AddressError, "did you mean reference:biquad?"),
        ("chorusses", errors.AddressError, "did you mean pedalboard-builtin:Chorus"),
        ("ference", errors.AddressError, "have it in their name or address: `blackbox-grad effects ference` lists them"),
        ("reference:gain | ", errors.BlackboxGradError, "gain"),
    ],
)
def test_a_wrong_address_says_what_is_right(address, error, said):
    with pytest.raises(error) as caught:
        bg.load(address)
    assert said in str(caught.value)


def test_a_name_is_an_address_if_only_one_effect_has_it(tmp_path, monkeypatch):
    for variable in ("LV2_PATH", "VST_PATH", "VST3_PATH"):
        monkeypatch.setenv(variable, str(tmp_path))
    for number, (uri, name) in enumerate(
        [("urn:one:Shimmer", "Shimmer One"), ("urn:one#Wah", "Wah"), ("urn:two#Wah", "Wahwah")]
    ):
        bundle = tmp_path / f"{number}.lv2"
        bundle.mkdir()
        (bundle / "manifest.ttl").write_text(
            "@prefix lv2: <http://lv2plug.in/ns/lv2core#> .\n@prefix doap: <http://usefulinc.com/ns/doap#> .\n"
            f'<{uri}> a lv2:Plugin ; lv2:binary <x.so> ; doap:name "{name}" .\n'
        )
    for name in ("shimmer", "SHIMMER one", "Shimmer One"):
        assert bg.EffectSpec.of(name).address == "dawdreamer:urn:one:Shimmer"
    assert bg.EffectSpec.of("dawdreamer:SHIMMER").address == "dawdreamer:urn:one:Shimmer"
    assert bg.EffectSpec.of("soft-clip").address == "reference:soft-clip"
    assert bg.EffectSpec.of("wahwah").address == "dawdreamer:urn:two#Wah"
    assert bg.EffectSpec.of("biquad | shimmer").address == "reference:biquad | dawdreamer:urn:one:Shimmer"
    with pytest.raises(errors.AddressError, match="'Wah' is the name of 2 installed effects; write dawdreamer:urn:one#Wah or"):
        bg.EffectSpec.of("Wah")
    with pytest.raises(errors.AddressError, match="did you mean dawdreamer:urn:one:Shimmer"):
        bg.EffectSpec.of("Shimer")


def test_errors_of_an_effect_name_its_address():
    effect = bg.load("reference:gain")
    with pytest.raises(errors.ParameterError, match=r"reference:gain: .*'Gain'"):
        effect.render(noise(), [2.0])
    with pytest.raises(errors.AudioError, match=r"reference:gain: .*audio\[None\]"):
        effect.render(noise()[0], [0.5])


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), 2e9, "44100", None])
def test_nonsense_sample_rates_are_refused(rate):
    with pytest.raises(errors.EffectLoadError, match="sample_rate must be a number of Hz from 1 to 1e.07, got"):
        bg.load("reference:gain", sample_rate=rate)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"parameters": 3}, "parameters=3: give 'continuous', 'audible', 'trainable', 'all' or a list of names"),
        ({"parameters": None}, "parameters=None"),
        ({"parameters": "Gain"}, "parameters='Gain'"),
        ({"parameters": [3]}, "name is text, got 3; there are: Gain"),
        ({"parameters": ["Gian"]}, "did you mean 'Gain'"),
        ({"fixed": ["Gain"]}, "a dict of names and values"),
        ({"fixed": {"Gian": 0.5}}, "did you mean 'Gain'"),
        ({"fixed": {"Gain": None}}, "'Gain': None is neither a number nor text"),
        ({"fixed": {"Gain": 2}}, "'Gain': 2 is not in"),
        ({"fixed": {"Gain": float("nan")}}, "'Gain': nan is not in"),
    ],
)
def test_a_selection_that_makes_no_sense_is_refused(wrong, said):
    with pytest.raises(errors.ParameterError, match=rf"reference:gain: .*{said}"):
        bg.load("reference:gain", **wrong)


@pytest.mark.parametrize(
    ("audio", "said"),
    [
        (noise()[0], "for mono write audio.None."),
        (noise()[None], r"shape .channels, samples., got \(1, 2, 500\)"),
        (noise()[:0], r"got \(0, 500\)"),
        (noise().astype(complex), "float32 in .-1, 1., got complex128"),
        ((noise() * 32767).astype(np.int16), "integers .int16.; divide by their full scale"),
        ([[0.1, 0.2], [0.3]], "inhomogeneous"),
        ("guitar.wav", "float32"),
        (None, "float32"),
    ],
)
def test_audio_that_is_none_is_refused(audio, said):
    with pytest.raises(errors.AudioError, match=f"reference:gain: audio must .*{said}"):
        bg.load("reference:gain").render(audio, [0.5])


@pytest.mark.parametrize("point", [[[0.5]], [0.5, 0.5], 0.5, [], ["a"], {"Gain": 0.5}, [0.5j], [np.nan], [1.1], [-0.1]])
def test_a_point_that_is_none_is_refused(point):
    with pytest.raises(errors.ParameterError, match="reference:gain: "):
        bg.load("reference:gain").render(noise(), point)


@pytest.mark.parametrize("samples", [0, 1, 2])
def test_hardly_any_audio_is_rendered(samples):
    x = noise(samples=samples)
    np.testing.assert_allclose(bg.load("reference:gain", fixed={"Gain": "0 dB"}).render(x, []), x, rtol=1e-6)


def test_every_error_is_of_the_family_and_travels():
    for name in vars(errors).values():
        if isinstance(name, type) and issubclass(name, Exception) and not issubclass(name, Warning):
            assert issubclass(name, errors.BlackboxGradError)
            assert str(pickle.loads(pickle.dumps(name("what; way out")))) == "what; way out"


def test_equal_specs_have_equal_keys_and_others_other_ones():
    p, q = bg.EffectSpec.of("reference:gain"), bg.EffectSpec.of("reference:gain")
    assert p is not q
    equal = [
        (bg.chain(p, p), bg.chain(p, q)),
        (bg.EffectSpec("a:b", fixed=(("x", 1),)), bg.EffectSpec("a:b", fixed=(("x", np.float64(1.0)),))),
        (bg.EffectSpec("a:b", learnt=(("purity", 1),)), bg.EffectSpec("a:b")),
        (bg.EffectSpec("a:b", options=(("on", True),)), bg.EffectSpec("a:b", options=(("on", 1),))),
    ]
    for one, other in equal:
        assert one == other
        assert one.key == other.key == pickle.loads(pickle.dumps(one)).key
    different = [
        bg.EffectSpec("a:b"),
        bg.EffectSpec("a:b", 48000.0),
        bg.EffectSpec("a:b", parameters=("all",)),
        bg.EffectSpec("a:b", parameters="all"),
        bg.EffectSpec("a:b", fixed=(("x", 1.0),)),
        bg.EffectSpec("a:b", fixed=(("x", "1.0"),)),
        bg.EffectSpec("a:b", options=(("x", 1.0),)),
        bg.EffectSpec("a:b", files=((1, 2),)),
        bg.EffectSpec("a:b", parts=(bg.EffectSpec("a:b"),)),
    ]
    assert len({spec.key for spec in different}) == len(different)


NAMES = ["pedalboard-builtin:Reverb", "Reverb", "reference:gain", "faulty:gain"]


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_the_same_name_hides_no_effect(tmp_path, monkeypatch, name, third_party):
    """Locators are paths only where their backend says so."""
    monkeypatch.chdir(tmp_path)
    before = bg.EffectSpec.of(name)
    for folder in ("Reverb", "gain"):
        (tmp_path / folder).mkdir()
    assert bg.EffectSpec.of(name) == before


@pytest.mark.plugins
@pytest.mark.parametrize(
    "name", ["ZamTube", "pedalboard:ZamTube", "dawdreamer:ZamTube", "ZamTube.vst3/", "pedalboard:ZamTube.vst3/"]
)
def test_a_folder_hides_no_plugin_and_a_slash_at_the_end_is_no_difference(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ZamTube").mkdir()
    spec = bg.EffectSpec.of(name)
    assert str(tmp_path) not in spec.address
    backend, _, locator = spec.address.partition(":")
    assert addresses.backend(backend).file(locator).stem == "ZamTube"


@pytest.mark.plugins
def test_a_bundle_is_found_by_its_path_with_or_without_a_slash_and_with_any_characters(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "my | plug-ins: a#1 é"
    folder.mkdir()
    (folder / "ZamTube.vst3").symlink_to(addresses.backend("pedalboard").file("ZamTube.vst3"))
    (tmp_path / "here.vst3").symlink_to(folder / "ZamTube.vst3")
    for backend in ("", "pedalboard:", "dawdreamer:"):
        for path in (
            f"{folder}/ZamTube.vst3",
            f"{folder}/ZamTube.vst3/",
            "here.vst3",
            "here.vst3/",
            f"./{folder.name}/ZamTube.vst3",
        ):
            spec = bg.EffectSpec.of(backend + path)
            assert spec.address == f"{backend or 'pedalboard:'}{os.path.abspath(path)}"
            assert len(spec.files) == 1
    chain = bg.EffectSpec.of(f"pedalboard:{folder}/ZamTube.vst3 | Reverb | {folder}/ZamTube.vst3")
    assert [part.address.rpartition("/")[2] for part in chain.parts] == [
        "ZamTube.vst3",
        "pedalboard-builtin:Reverb",
        "ZamTube.vst3",
    ]
    assert len(bg.EffectSpec.of(folder / "ZamTube.vst3").files) == 1
    named = bg.EffectSpec.of(f"{folder}/ZamTube.vst3#ZamTube")
    assert named.address == f"pedalboard:{folder}/ZamTube.vst3#ZamTube"


def test_only_options_that_are_paths_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "warm.vstpreset").touch()
    spec = bg.EffectSpec.of("pedalboard:ZamTube.vst3", preset="warm.vstpreset", other="warm.vstpreset")
    assert dict(spec.options) == {"preset": str(tmp_path / "warm.vstpreset"), "other": "warm.vstpreset"}


def test_a_backend_without_its_library_lists_nothing_and_says_so(monkeypatch):
    for library in ("dawdreamer", "pedalboard"):
        monkeypatch.setitem(sys.modules, library, None)
    rows = {row.backend: row for row in bg.scan()}
    for name, library in (("dawdreamer", "dawdreamer"), ("pedalboard", "pedalboard"), ("pedalboard-builtin", "pedalboard")):
        assert rows[name].status == "unavailable"
        assert f"needs {library}, which is not installed; run: pip install" in rows[name].reason
    with pytest.raises(errors.AddressError, match="no installed effect is called 'Overdrive'.*needs dawdreamer, which is not"):
        bg.EffectSpec.of("Overdrive")
