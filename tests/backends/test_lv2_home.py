"""A temporary home shows DawDreamer the plug-ins that it would not find, or misread; what it cannot run is refused first."""

from __future__ import annotations

import _ctypes
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blackbox_grad.errors import EffectLoadError
from blackbox_grad_backends.dawdreamer_effect import DawDreamerPluginEffect
from blackbox_grad_backends.dawdreamer_plugin import DawDreamerPluginBackend
from blackbox_grad_backends.native import lv2_bundles
from blackbox_grad_backends.native.lv2_refusals import why_not_loaded

pytestmark = pytest.mark.plugins

DELAY, COMPRESSOR = "urn:zamaudio:ZamDelay", "urn:zamaudio:ZamCompX2"


def opened(uri: str, sample_rate: float = 44100.0) -> DawDreamerPluginEffect:
    if lv2_bundles.bundle_of(uri) is None:
        pytest.skip(f"{uri} is not installed")
    return DawDreamerPluginBackend().open(uri, sample_rate, {})


def copied(bundle: Path, target: Path, **edits: str) -> Path:
    """A copy of a bundle with replacements in its Turtle files."""
    shutil.copytree(bundle, target)
    for file in target.glob("*.ttl"):
        text = file.read_text("utf-8")
        for old, new in edits.items():
            text = text.replace(old.replace("__", " "), new)
        file.write_text(text, "utf-8")
    return target


@pytest.fixture
def own_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LV2_PATH", str(tmp_path / "lv2"))
    return tmp_path / "lv2" / "sub-folder" / "no suffix"


def installed_bundle(uri: str) -> Path:
    found = lv2_bundles.bundle_of(uri)
    assert found is not None
    return found


@pytest.fixture
def delay() -> Path:
    return installed_bundle("urn:zamaudio:ZamDelay")


def test_a_plugin_of_lv2_path_opens_from_there(delay: Path, own_path: Path) -> None:
    copied(delay, own_path, LPF="Cut")
    effect = opened("urn:zamaudio:ZamDelay")
    assert "Cut" in effect.parameters.names
    audio = np.full((1, 2000), 0.1, np.float32)
    expected = effect.render(audio, effect.parameters.defaults)
    assert np.array_equal(effect.render(audio, effect.parameters.defaults), expected)
    assert np.abs(expected).max() > 0.0


@pytest.mark.parametrize("sample_rate", [44100.0, 48000.0])
def test_a_range_in_multiples_of_the_sample_rate_reaches_the_plugin_in_hz(
    own_path: Path, sample_rate: float, monkeypatch
) -> None:
    with monkeypatch.context() as patch:
        patch.delenv("LV2_PATH")
        bundle = installed_bundle("urn:zamaudio:ZamDelay")
    copied(bundle, own_path)
    (file,) = [f for f in own_path.glob("*.ttl") if "LPF" in f.read_text("utf-8")]
    before, _, after = file.read_text("utf-8").partition('"LPF"')
    after = after.replace("lv2:minimum 20 ;", "lv2:minimum 0.001 ; lv2:portProperty lv2:sampleRate ;", 1)
    after = after.replace("lv2:maximum 20000", "lv2:maximum 0.25", 1)
    file.write_text(f'{before}"LPF"{after}', "utf-8")
    effect = opened("urn:zamaudio:ZamDelay", sample_rate)
    cut = effect.parameters[effect.parameters.index("LPF")]
    assert (cut.minimum, cut.maximum, cut.unit) == (0.001 * sample_rate, 0.25 * sample_rate, "Hz")
    point = effect.parameters.point({"LPF": 1.0})
    effect._run(np.zeros((1, 64), np.float32), point)
    text = effect._graph.processor.get_parameter_text(effect.indices[effect.parameters.index("LPF")])
    assert float(text) == pytest.approx(0.25 * sample_rate, rel=1e-4)
    effect.close()


@pytest.mark.parametrize(
    ("addition", "cause"),
    [
        ("lv2:requiredFeature lv2:inPlaceBroken", r"requires the host feature .*lv2core#inPlaceBroken, which DawDreamer"),
        ('lv2:port [ a lv2:CVPort , lv2:InputPort ; lv2:index 99 ; lv2:symbol "pitch_cv" ]', r"it has CV ports \(pitch_cv\)"),
        ('lv2:port [ a lv2:MorphPort , lv2:InputPort ; lv2:index 99 ; lv2:symbol "odd" ]', r"ports of a kind .* \(odd\)"),
        ("a lv2:InstrumentPlugin", "is no instrument: it has no audio output, or takes no MIDI"),
    ],
)
def test_what_dawdreamer_cannot_run_is_refused_before_it_is_loaded(
    delay: Path, own_path: Path, addition: str, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(delay, own_path)
    (file,) = [f for f in own_path.glob("*.ttl") if "lv2:maximum" in f.read_text("utf-8")]
    file.open("a").write(f"\n<urn:zamaudio:ZamDelay> {addition} .\n")
    monkeypatch.setattr("dawdreamer.RenderEngine.make_plugin_processor", lambda *a: pytest.fail("it was loaded"))
    with pytest.raises(EffectLoadError, match=rf"^dawdreamer:urn:zamaudio:ZamDelay .*{cause}"):
        opened("urn:zamaudio:ZamDelay")


def test_a_feature_that_asks_nothing_of_the_host_is_no_obstacle(delay: Path, own_path: Path) -> None:
    copied(delay, own_path)
    with (own_path / "manifest.ttl").open("a") as manifest:
        manifest.write("\n<urn:zamaudio:ZamDelay> lv2:requiredFeature lv2:isLive .\n")
    effect = opened("urn:zamaudio:ZamDelay")
    assert np.abs(effect.render(np.full((1, 500), 0.1, np.float32), effect.parameters.defaults)).max() > 0.0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # a side chain that may be left unconnected
        ("lv2:isSideChain", "lv2:isSideChain , lv2:connectionOptional"),
        # two ports that are both called left
        ('"lv2_audio_in_1"', '"lv2_audio_in_1" ; lv2:designation <http://lv2plug.in/ns/ext/port-groups#left>'),
    ],
)
def test_every_audio_input_is_connected(own_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
    with monkeypatch.context() as patch:
        patch.delenv("LV2_PATH")
        bundle = installed_bundle(COMPRESSOR)
    copied(bundle, own_path, **{old: new, '"lv2_audio_in_2"': new.replace("in_1", "in_2")} if "audio" in old else {old: new})
    effect = opened(COMPRESSOR)
    assert (effect.inputs, effect.outputs) == (3, 2)
    audio = (0.3 * np.random.default_rng(0).standard_normal((3, 4000))).astype(np.float32)
    point = effect.parameters.point({"Threshold": "-60 dB", "Sidechain": "on"})
    heard = effect.process(audio, point)
    for channel in range(3):
        without = audio.copy()
        without[channel] = 0.0
        assert not np.array_equal(effect.process(without, point), heard), f"input {channel} is not connected"


@pytest.mark.parametrize(
    ("uri", "inputs"),
    [
        ("http://gareus.org/oss/lv2/xfade", 4),
        ("http://calf.sourceforge.net/plugins/EnvelopeFilter", 4),
        ("http://calf.sourceforge.net/plugins/SidechainCompressor", 4),
    ],
)
def test_real_plugins_with_such_ports_open(uri: str, inputs: int) -> None:
    effect = opened(uri)
    assert effect.inputs == inputs
    values = effect.parameters.complete(np.ones(len(effect.parameters)))
    assert effect.process(np.full((inputs, 1000), 0.1, np.float32), values).shape == (2, 1000)


def test_a_library_without_the_plugin_that_its_description_promises_is_named(delay: Path, own_path: Path) -> None:
    copied(delay, own_path, **{DELAY: "urn:zamaudio:Echo"})
    with pytest.raises(EffectLoadError, match=f"its library has no plug-in of this URI; it has: {DELAY}"):
        opened("urn:zamaudio:Echo")


def test_what_the_systems_loader_says_is_passed_on(tmp_path: Path) -> None:
    plugin = lv2_bundles.description(DELAY)
    assert plugin is not None
    said = why_not_loaded(replace(plugin, binary=tmp_path / "missing.so"))
    assert said == "its library cannot be loaded: cannot open shared object file: No such file or directory"
    assert why_not_loaded(replace(plugin, binary=Path(_ctypes.__file__))).endswith("it has: none")


def test_the_home_of_the_user_comes_back_and_the_folder_goes(delay: Path, own_path: Path) -> None:
    copied(delay, own_path)
    before, home = set(os.listdir(tempfile.gettempdir())), os.environ.get("HOME")
    effect = opened(DELAY)
    assert os.environ.get("HOME") == home
    (made,) = {f for f in os.listdir(tempfile.gettempdir()) if f.startswith("blackbox-grad-lv2")} - before
    effect.close()
    assert made not in os.listdir(tempfile.gettempdir())
