"""The DawDreamer backend's own ground: addresses, presets, parameters, lengths, and the hazards of state and memory."""

from __future__ import annotations

import ctypes
import importlib.util
import struct
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from blackbox_grad import load
from blackbox_grad.errors import EffectLoadError, EffectNotFoundError, RenderError
from blackbox_grad_backends.dawdreamer_plugin import DawDreamerPluginBackend
from blackbox_grad_backends.native.plugin_folders import find

dawdreamer = pytest.importorskip("dawdreamer")
pytestmark = pytest.mark.plugins

MDA = "http://drobilla.net/plugins/mda/"


def noise(channels: int, samples: int, seed: int = 0) -> np.ndarray:
    return (0.25 * np.random.default_rng(seed).standard_normal((channels, samples))).astype(np.float32)


def open_plugin(locator: str, sample_rate: float = 44100.0, **options: object):
    return DawDreamerPluginBackend().open(locator, sample_rate, options)


def test_addresses_in_every_form():
    path = str(find("ZamDelay-vst", "vst2"))
    names = {where: open_plugin(where).name for where in (path, "ZamDelay-vst.so", "ZamDelay", "urn:zamaudio:ZamDelay")}
    assert names == {
        path: "ZamDelay-vst",
        "ZamDelay-vst.so": "ZamDelay-vst",
        "ZamDelay": "ZamDelay",
        "urn:zamaudio:ZamDelay": "ZamDelay",
    }


@pytest.mark.parametrize(
    ("missing", "hint"), [("ZamTueb.vst3", "ZamTube.vst3"), ("urn:zamaudio:ZamTueb", "urn:zamaudio:ZamTube")]
)
def test_a_missing_plugin_names_the_nearest(missing, hint):
    with pytest.raises(EffectNotFoundError, match=f"did you mean '{hint}'"):
        open_plugin(missing)


def test_an_lv2_has_the_name_that_it_tells():
    with load(f"dawdreamer:{MDA}Overdrive") as effect:
        assert effect.name == "MDA Overdrive"


def test_what_is_no_plugin_is_refused_with_the_cause(tmp_path):
    text, library, bundle = tmp_path / "Text.vst3", tmp_path / "library.so", tmp_path / "Empty.vst3"
    text.write_text("hello")
    library.write_bytes(b"\x7fELF and no more")
    bundle.mkdir()
    for path, cause in ((text, "not a shared library"), (library, "cut off: it has 16 bytes"), (bundle, "no folder Contents")):
        with pytest.raises(EffectLoadError, match=cause):
            open_plugin(str(path))


def test_options_are_checked(tmp_path):
    wrong = tmp_path / "warm.txt"
    wrong.touch()
    for locator, options, message in (
        ("ZamDelay.vst3", {"zoo": 1}, "no option 'zoo'; there are: preset, state"),
        ("ZamDelay.vst3", {"preset": wrong, "state": wrong}, "exclude each other"),
        ("ZamDelay.vst3", {"preset": wrong}, "needs a .vstpreset file"),
        ("ZamDelay-vst.so", {"preset": wrong}, "needs a .fxp file"),
        ("ZamDelay.vst3", {"state": tmp_path / "missing"}, "is not a file"),
        ("urn:zamaudio:ZamDelay", {"state": wrong}, "cannot load a state into an LV2"),
        ("urn:zamaudio:ZamDelay", {"preset": tmp_path / "warm.lv2"}, "write the preset's name without .lv2"),
    ):
        with pytest.raises(EffectLoadError, match=message):
            open_plugin(locator, **options)


def fxp(identity: bytes, values: list[float]) -> bytes:
    """A VST2 preset with one value for each parameter."""
    body = struct.pack(">4sI4sII28s", b"FxCk", 1, identity, 0x00040100, len(values), b"made by a test")
    body += struct.pack(f">{len(values)}f", *values)
    return struct.pack(">4sI", b"CcnK", len(body)) + body


def test_what_a_preset_holds_becomes_the_defaults(tmp_path):
    plain = open_plugin("ZamDelay-vst.so").parameters
    wanted = [0.125 * (i + 1) for i in range(len(plain))]
    (tmp_path / "a.fxp").write_bytes(fxp(b"ZMDL", wanted))
    effect = open_plugin("ZamDelay-vst.so", preset=tmp_path / "a.fxp")
    time = effect.parameters.index("Time")
    assert effect.parameters.defaults[time] == pytest.approx(wanted[time], abs=1e-3)
    assert effect.parameters.defaults[time] != plain.defaults[time]
    audio = noise(1, 3000)
    expected = effect.render(audio, effect.parameters.defaults)
    effect.render(audio, np.ones(len(plain)))
    assert np.array_equal(effect.render(audio, effect.parameters.defaults), expected)


def test_what_a_state_holds_becomes_the_defaults(tmp_path):
    engine = dawdreamer.RenderEngine(44100, 512)
    processor = engine.make_plugin_processor("plugin", str(find("ZamDelay", "vst3")))
    player = engine.make_playback_processor("audio", np.zeros((1, 512), np.float32))
    index = next(d["index"] for d in processor.get_parameters_description() if d["name"] == "Feedback")
    engine.load_graph([(player, []), (processor, ["audio"])])
    processor.set_parameter(index, 0.625)
    engine.render(0.1)
    processor.save_state(str(tmp_path / "delay.state"))
    effect = open_plugin("ZamDelay.vst3", state=tmp_path / "delay.state")
    assert effect.parameters[effect.parameters.index("Feedback")].default == pytest.approx(0.625)


@pytest.mark.parametrize("sample_rate", [16000.0, 24000.0, 44100.0, 48000.0])
def test_the_length_is_kept_to_the_sample(sample_rate):
    effect = open_plugin(f"{MDA}Overdrive", sample_rate)
    for samples in (*range(1, 60), 511, 512, 513, 1001, 24001, 44099):
        assert effect.render(noise(2, samples), effect.parameters.defaults).shape == (2, samples)


def test_a_shorter_render_is_the_start_of_a_longer_one():
    effect = open_plugin(f"{MDA}Leslie")
    audio = noise(2, 3000)
    whole = effect.render(audio, effect.parameters.defaults)
    for samples in (1, 511, 1025):
        assert np.array_equal(effect.render(audio[:, :samples], effect.parameters.defaults), whole[:, :samples])


@pytest.mark.parametrize("sample_rate", [16000.0, 48000.0])
def test_the_plugin_runs_at_the_sample_rate(sample_rate):
    effect = open_plugin("urn:zamaudio:ZamDelay", sample_rate)
    impulse = np.zeros((1, round(sample_rate / 2)), np.float32)
    impulse[0, 0] = 0.5
    point = effect.parameters.point({"Time": "200 native", "Dry/Wet": 1.0, "Feedback": 0.0, "LPF": 1.0})
    delay = int(np.abs(effect.render(impulse, point)).argmax()) / sample_rate
    assert delay == pytest.approx(0.2, abs=0.005)


@pytest.mark.parametrize(
    ("locator", "layout"),
    [
        ("urn:zamaudio:ZamTube", "1 in, 1 out"),
        ("urn:zamaudio:ZamComp", "1 in + 1 silent, 1 out"),
        ("urn:zamaudio:ZamCompX2", "2 in + 1 silent, 2 out"),
        (f"{MDA}Overdrive", "2 in, 2 out"),
    ],
)
def test_the_layout_is_the_plugins_own_and_mono_and_stereo_are_adapted(locator, layout):
    effect = open_plugin(locator)
    assert effect.layout == layout
    stereo = noise(2, 2000)
    result = effect.render(stereo, effect.parameters.defaults)
    assert result.shape == stereo.shape
    if effect.outputs == 1:
        for channel in range(2):
            mono = effect.render(stereo[channel : channel + 1], effect.parameters.defaults)
            assert np.array_equal(mono[0], result[channel])


def test_meters_and_host_parameters_are_no_parameters():
    assert open_plugin("ZamGateX2.vst3").parameters.names == (
        "Attack", "Release", "Threshold", "Makeup", "Sidechain", "Max gate close", "Mode open/shut",
    )  # fmt: skip


def test_kinds_and_native_ranges_are_read():
    for locator in ("ZamGateX2.vst3", "ZamGateX2-vst.so"):
        parameters = open_plugin(locator).parameters
        threshold = parameters[parameters.index("Threshold")]
        assert (threshold.kind, threshold.minimum, threshold.maximum, threshold.unit) == ("continuous", -60.0, 0.0, "dB")
    parameters = open_plugin("urn:zamaudio:ZamTube").parameters
    model = parameters[parameters.index("Tone Stack Model")]
    assert (model.kind, model.levels, model.choices[0]) == ("stepped", 25, "1959 Bassman 5F6-A")
    assert parameters[parameters.index("Insane Boost")].kind == "toggle"


def test_reading_the_parameters_leaves_them_at_their_defaults():
    effect = open_plugin("urn:zamaudio:ZamComp")
    text = effect.parameters.to_text(effect.parameters.defaults)
    assert (text["Attack"], text["Release"], text["Ratio"], text["Threshold"]) == ("10 ms", "80 ms", "4", "0 dB")


def test_reported_latency_is_taken_out():
    effect = open_plugin("urn:zamaudio:ZaMaximX2")
    assert effect.latency > 0
    impulse = np.zeros((2, 4000), np.float32)
    impulse[:, 1000] = 0.5
    assert abs(int(np.abs(effect.render(impulse, effect.parameters.defaults)[0]).argmax()) - 1000) <= 2


def test_latency_is_asked_for_once_it_was_seen_to_vary():
    effect = open_plugin("urn:zamaudio:ZaMaximX2")
    values, real = effect.parameters.defaults, effect.latency
    effect.latency = real + 5
    assert effect.latency_at(values) == real + 5
    effect._latencies.add(real + 5)
    assert effect.latency_at(values) == real


def test_a_plugin_that_keeps_audio_over_a_reset_is_made_anew():
    effect = open_plugin("ZamTube.vst3")
    assert effect.method == "render_recreated"
    audio, default = noise(1, 2000), effect.parameters.defaults
    expected = effect.render(audio, default)
    effect.render(4 * audio, np.ones(len(default)))
    assert np.array_equal(effect.render(audio, default), expected)


def test_after_a_blow_up_the_plugin_is_clean():
    effect = open_plugin(f"{MDA}RezFilter")
    audio, default, rng = noise(2, 5000), effect.parameters.defaults, np.random.default_rng(0)
    expected = effect.render(audio, default)
    blown = 0
    for _ in range(100):
        result = effect.render(audio, rng.integers(0, 2, size=len(default)))
        blown += not np.isfinite(result).all()
        assert np.array_equal(effect.render(audio, default), expected)
    assert blown > 0


def test_a_vst_that_blew_up_is_made_anew(monkeypatch):
    made = []
    make = dawdreamer.RenderEngine.make_plugin_processor
    monkeypatch.setattr(
        dawdreamer.RenderEngine, "make_plugin_processor", lambda engine, *which: made.append(which) or make(engine, *which)
    )
    effect = open_plugin("ZamDelay.vst3")
    audio, default = noise(1, 2000), effect.parameters.defaults
    expected = effect.render(audio, default)
    before = len(made)
    effect.render(audio, default)
    assert len(made) == before > 0
    effect.render(np.full_like(audio, np.nan), default)
    assert len(made) == before + 1
    assert np.array_equal(effect.render(audio, default), expected)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is zeroed with glibc only")
def test_used_memory_does_not_reach_the_sound():
    effect = open_plugin(f"{MDA}DubDelay")
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
    audio, rng = noise(2, 5000), np.random.default_rng(0)
    points = rng.uniform(size=(4, len(effect.parameters)))
    expected = [effect.render(audio, p) for p in points]
    for _ in range(3):
        blocks = [(libc.malloc(size), size) for size in [2**k for k in range(5, 22)] * 6]
        for address, size in blocks:
            ctypes.memmove(address, rng.uniform(-1, 1, size // 4).astype(np.float32).tobytes(), size)
        for address, _ in blocks:
            libc.free(address)
        for point, same in zip(points, expected, strict=True):
            assert np.array_equal(effect.render(audio, point), same)


@pytest.mark.skipif(sys.platform == "win32", reason="each library has its own rand() there")
def test_the_c_librarys_random_numbers_are_the_same_each_time():
    effect = open_plugin(f"{MDA}VocInput")
    audio, point = noise(2, 5000), effect.parameters.defaults
    expected = effect.render(audio, point)
    assert np.array_equal(effect.render(audio, point), expected)
    ctypes.CDLL(None).srand(12345)
    assert np.array_equal(effect.render(audio, point), expected)


def test_opening_in_another_thread_is_refused_and_does_not_freeze():
    with ThreadPoolExecutor(1) as pool, pytest.raises(EffectLoadError, match="outside the main thread"):
        pool.submit(open_plugin, f"{MDA}Overdrive").result(timeout=240)


def test_opening_and_closing_print_nothing(capfd):
    print("before")
    effect = open_plugin("ZamDelay-vst.so")
    effect.close()
    del effect
    assert capfd.readouterr() == ("before\n", "")


def test_closing_twice_is_safe_and_rendering_afterwards_an_error():
    effect = load(f"dawdreamer:{MDA}Overdrive")
    effect.close()
    effect.close()
    with pytest.raises(RenderError, match="has been closed"):
        effect.render(noise(2, 64), effect.parameters.defaults)


def test_claims_and_scan(monkeypatch):
    backend = DawDreamerPluginBackend()
    claimed = {
        name: backend.claims(name) for name in (f"{MDA}Delay", "urn:a:b", "/x/Echo.so", "ZamTube.vst3", "ZamTube", "Reverb")
    }
    assert list(claimed.values()) == [1.0, 1.0, 1.0, 0.5, 0.5, 0.0]
    assert {f"{MDA}Delay", "ZamTube.vst3", "ZamTube-vst.so"} <= set(backend.scan())
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert backend.claims(f"{MDA}Delay") == 0.0


@pytest.mark.slow
def test_a_control_that_cannot_be_automated_is_kept_on_a_busy_machine_too(monkeypatch):
    """The room of ZamVerb counts as a parameter only if it is audible, and measuring that takes time."""
    monkeypatch.setattr("blackbox_grad_backends.native.render_method.BUDGET", 0.0)
    with load("dawdreamer:ZamVerb.vst3", parameters="all") as effect:
        assert "Room" in effect.parameters.names
