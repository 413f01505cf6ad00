"""The map of an effect: a plane to click in, tested in a real browser."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import time

import numpy as np
import pytest
import torch

from blackbox_grad import audio_files
from blackbox_grad.cli import main
from blackbox_grad.errors import AudioError
from blackbox_grad.hosts import InProcessHost
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.maps.cloud import cloud, heard
from blackbox_grad_adapters.style_matching.maps.control_map import control_map, write_control_map
from blackbox_grad_adapters.style_matching.maps.plane import METHODS, plane
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder
from blackbox_grad_adapters.style_matching.networks.style_encoder import StyleEncoder

RATE, LENGTH = 24_000, 24_576
COMMAND = "blackbox-grad style map </script><b>"
PLANES = [pytest.param(method, marks=[pytest.mark.slow] * (method == "UMAP")) for method in METHODS]


@pytest.fixture(scope="module")
def x():
    """`[1, LENGTH]` of the guitar."""
    audio, rate = audio_files.example()
    return torch.from_numpy(audio_files.resample(audio.mean(axis=0, keepdims=True), rate, RATE))[:, 20_000 : 20_000 + LENGTH]


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return Encoder("statistics", RATE, LENGTH, latent=16).eval().requires_grad_(False)


def path(address, **options):
    return EffectPath(address, RATE, host=InProcessHost(), **options)


@pytest.fixture(scope="module")
def made(x, encoder):
    """In the plane of principal components: UMAP, which compiles for half a minute, has tests of its own."""
    module = "blackbox_grad_adapters.style_matching.maps.control_map"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{module}.plane", lambda e, method, seed: plane(e, "PCA", seed))
        return control_map(path("pedalboard-builtin:Distortion | pedalboard-builtin:Reverb"), encoder, x, points=64, grid=8)


@pytest.fixture(scope="module")
def page_file(made, tmp_path_factory):
    file = tmp_path_factory.mktemp("map") / "map.html"
    write_control_map(file, made, COMMAND)
    return file


class TestCloud:
    def test_settings_at_which_nothing_is_heard_are_left_out(self, x, encoder):
        gate = path("pedalboard-builtin:NoiseGate", parameters=["threshold_db"], fixed={"ratio": 1.0, "attack_ms": 0.0})
        found = cloud(gate, encoder, x, 128)
        assert 16 <= len(found.p) == len(found.e) < 128
        e, audible = heard(gate, encoder, x[None], torch.cat([found.p[:3], torch.ones(1, 1)]))
        assert audible.tolist() == [True, True, True, False]
        assert torch.allclose(e[:3], found.e[:3], atol=1e-5)

    def test_the_style_encoder_hears_at_its_own_rate(self, x):
        ears = StyleEncoder(latent=8, widths=(16,), length=36_864).eval().requires_grad_(False)
        room = EffectPath("pedalboard-builtin:Reverb", ears.sample_rate, host=InProcessHost())
        p = torch.full((2, room.size), 0.5)
        e, audible = heard(room, ears, x[None], p)
        assert audible.all()
        torch.testing.assert_close(e, ears(room(x[None].expand(2, -1, -1), p), ears.sample_rate))

    def test_an_effect_that_is_silent_is_refused(self, encoder):
        with pytest.raises(AudioError, match="is silent, or not finite, at 32 of 32 settings on this recording; give a louder"):
            cloud(path("pedalboard-builtin:Reverb"), encoder, torch.zeros(1, LENGTH), 32)


@pytest.mark.parametrize("method", PLANES)
def test_a_plane_fills_the_unit_square_and_comes_again(method):
    e = np.random.default_rng(0).normal(size=(60, 8)) * np.arange(8)
    z = plane(e, method, seed=3)
    assert z.min(axis=0) == pytest.approx([0.04, 0.04])
    assert z.max(axis=0) == pytest.approx([0.96, 0.96])
    assert np.array_equal(z, plane(e, method, seed=3))


@pytest.mark.parametrize("method", PLANES)
def test_what_sounds_alike_lies_together(method):
    groups = np.repeat(np.arange(3), 20)
    e = 10 * np.eye(3)[groups] @ np.random.default_rng(1).normal(size=(3, 8)) + np.random.default_rng(0).normal(size=(60, 8))
    z = plane(e, method)
    apart = np.square(z[:, None] - z[None]).sum(axis=2) + np.diag(np.full(60, np.inf))
    assert np.mean(groups[apart.argmin(axis=1)] == groups) > 0.95


class TestMap:
    def test_each_sound_is_the_excerpt_at_the_settings_of_its_cell(self, made, x):
        again = path("pedalboard-builtin:Distortion | pedalboard-builtin:Reverb")
        p = torch.from_numpy(made.way_back(made.cells)).float()
        assert len(made.sounds) == len(made.cells) <= 64
        with torch.no_grad():
            for i in (0, len(p) // 2, len(p) - 1):
                assert np.array_equal(made.sounds[i], again(x[None], p[i : i + 1])[0].numpy())
            assert np.array_equal(made.dry, again.dry(x[None])[0].numpy())

    def test_sounds_lie_where_there_are_settings(self, made):
        apart = np.linalg.norm(made.cells[:, None] - made.way_back.places[None], axis=2)
        assert apart.min(axis=1).max() <= 1.5 / 8 + 1e-3
        assert apart.min(axis=0).max() <= np.sqrt(0.5) / 8 + 1e-3  # and wherever there are

    def test_neighbours_in_the_plane_tell_how_a_setting_sounds(self, made):
        assert 0.5 < made.explained <= 1.0

    def test_the_page_is_whole_and_loads_nothing(self, page_file):
        text = page_file.read_text("utf-8")
        assert "default-src 'none'" in text
        assert not re.search(r"https?://(?!drobilla)", text)
        assert "</script><b>" not in text
        assert "&lt;/script&gt;&lt;b&gt;" in text

    def test_a_sample_rate_that_mp3_does_not_know_is_said(self, made, tmp_path):
        with pytest.raises(AudioError, match="12345 Hz"):
            write_control_map(tmp_path / "map.html", dataclasses.replace(made, sample_rate=12345.0), COMMAND)
        assert not list(tmp_path.iterdir())


class TestCommand:
    """`blackbox-grad style map`."""

    @pytest.fixture
    def run(self, encoder, tmp_path, capsys):
        """Its exit code, stdout and stderr, with a small encoder or the package's."""
        encoder.save(tmp_path / "encoder.safetensors", {})
        small = ["--encoder", str(tmp_path / "encoder.safetensors")]

        def run(*arguments, own=True):
            with pytest.raises(SystemExit) as ended:
                main(["style", "map", *(small if own else []), *map(str, arguments)])
            return ended.value.code, *capsys.readouterr()

        return run

    @pytest.mark.slow
    @pytest.mark.parametrize("own", [True, False])
    def test_a_stereo_recording_of_another_rate_becomes_a_map(self, run, tmp_path, own):
        audio_files.write(tmp_path / "in.wav", *audio_files.example())
        options = ["--effect", "pedalboard-builtin:Reverb", "--only", "room_size", "--only", "wet_level", "--points", 32]
        code, out, err = run(
            *options, "--grid", 4, "--input", tmp_path / "in.wav", "-o", tmp_path / "map.html", "--json", own=own
        )
        assert code == 0, err
        found = json.loads(out)
        assert found["parameters"] == ["room_size", "wet_level"]
        assert 0 < found["sounds"] <= 16
        assert "room_size" in (tmp_path / "map.html").read_text("utf-8")

    def test_what_cannot_be_heard_or_written_is_said_in_one_line(self, run, tmp_path):
        audio_files.write(tmp_path / "silence.wav", np.zeros((1, 48_000), np.float32), 24_000)
        effect = ["--effect", "pedalboard-builtin:Reverb"]
        for options, message in (
            ([*effect, "--input", tmp_path / "silence.wav", "-o", tmp_path / "map.html"], "the recording is silent"),
            ([*effect, "-o", tmp_path / "map.txt"], "the suffix .txt is unknown"),
            ([*effect, "-o", tmp_path / "none" / "map.html"], "does not exist; make it first"),
            (["--effect", "pedalboard-builtin:Revreb", "-o", tmp_path / "map.html"], "did you mean 'Reverb'"),
        ):
            code, out, err = run(*options)
            assert (code, out, err.count("\n")) == (1, "", 1)
            assert message in err
        assert sorted(p.name for p in tmp_path.iterdir()) == ["encoder.safetensors", "silence.wav"]


@pytest.fixture
def page(browser, page_file):
    """The page without a network, just opened; it must raise no errors."""
    context = browser.new_context(offline=True, viewport={"width": 1000, "height": 1000})
    opened = context.new_page()
    errors = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.goto(page_file.as_uri())
    yield opened
    assert not errors
    context.close()


def click(page, x, y):
    box = page.locator("#plane").bounding_box()
    page.mouse.click(box["x"] + x * box["width"], box["y"] + (1 - y) * box["height"])


def settings(page):
    return page.locator("#settings td:last-child").all_inner_texts()


def until(page, expression, seconds=240):
    """Wait for it. `page.wait_for_function` evaluates text in the page, which the page's security policy forbids."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(20)


def wait_for_sound(page):
    """Until a voice sounds; returns its cell."""
    until(page, "voice !== null && context.state === 'running'")
    return page.evaluate("sounding")


class TestPage:
    def test_the_browser_computes_the_settings_that_python_computes(self, page, made):
        places = np.random.default_rng(0).uniform(-0.2, 1.2, (50, 2))
        found = page.evaluate("(places) => places.map(settingsAt)", places.tolist())
        assert np.allclose(found, made.way_back(places), atol=1e-9)

    def test_a_click_plays_the_sound_of_the_place_and_shows_its_settings(self, page, made):
        before = settings(page)
        assert page.evaluate("context") is None
        x, y = made.way_back.places[5]
        click(page, x, y)
        cell = wait_for_sound(page)
        assert cell == np.linalg.norm(made.cells - [x, y], axis=1).argmin()
        assert settings(page) != before
        p = made.way_back(np.array([page.evaluate("place")]))[0]
        assert settings(page) == [made.info.parameters[k].text(round(float(v) * 200) / 200) for k, v in enumerate(p)]
        # what comes out of the loudspeaker
        level = page.evaluate(
            """async () => {
                const meter = context.createAnalyser(), wave = new Float32Array(meter.fftSize), from = context.currentTime;
                loudness.connect(meter);
                let peak = 0;
                while (context.currentTime < from + 0.4) {
                    await new Promise((done) => setTimeout(done, 20));
                    meter.getFloatTimeDomainData(wave);
                    peak = Math.max(peak, ...wave.map(Math.abs));
                }
                return peak;
            }"""
        )
        assert 0.05 < level < 1.0

    def test_what_is_decoded_is_what_was_rendered(self, page, made):
        click(page, *made.cells[2])
        assert wait_for_sound(page) == 2
        played = np.array(page.evaluate("Array.from(voice.source.buffer.getChannelData(0))"))
        rendered = made.sounds[2][0]
        # MP3 may shift by its frame
        shift = int(np.correlate(np.pad(played, 3000), rendered[:8000], "valid").argmax()) - 3000
        a, b = played[max(shift, 0) :][:8000], rendered[max(-shift, 0) :][:8000]
        assert np.corrcoef(a, b)[0, 1] > 0.98

    def test_a_drag_goes_from_sound_to_sound(self, page, made):
        first, last = made.cells[0], made.cells[-1]
        box = page.locator("#plane").bounding_box()

        def screen(place):
            return box["x"] + place[0] * box["width"], box["y"] + (1 - place[1]) * box["height"]

        page.mouse.move(*screen(first))
        page.mouse.down()
        assert wait_for_sound(page) == 0
        before = settings(page)
        page.mouse.move(*screen(last), steps=8)
        page.mouse.up()
        until(page, f"sounding === {len(made.cells) - 1} && voice !== null")
        after = settings(page)
        assert after != before
        page.mouse.move(*screen(first))  # not dragged any more
        assert settings(page) == after

    def test_the_keyboard_moves_plays_and_pauses(self, page):
        page.locator("#plane").focus()
        before = settings(page)
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("ArrowUp")
        assert page.evaluate("place") == pytest.approx([0.6, 0.52])
        assert settings(page) != before
        assert not page.evaluate("playing")
        page.keyboard.press(" ")
        wait_for_sound(page)
        page.keyboard.press(" ")
        assert page.evaluate("[playing, voice]") == [False, None]
        for _ in range(15):
            page.keyboard.press("Shift+ArrowLeft")
        assert page.evaluate("place[0]") == 0.0  # and no farther

    def test_the_recording_can_be_heard_without_the_effect(self, page, made):
        page.get_by_role("button", name="Without the effect").click()
        assert wait_for_sound(page) == len(made.cells)
        assert page.locator("#dry").get_attribute("aria-pressed") == "true"

    def test_the_plane_is_coloured_by_the_chosen_parameter(self, page):
        def picture():
            return page.evaluate("picture.toDataURL()")

        before = picture()
        page.get_by_label("colour").select_option("1")
        assert picture() != before

    def test_the_command_it_shows_is_one_that_can_be_run(self, page, tmp_path):
        words = shlex.split(page.locator("#command").inner_text())
        assert words[0] == "blackbox-grad"
        audio_files.write(tmp_path / "in.wav", *audio_files.example())
        arguments = [str(tmp_path / word) if word.endswith(".wav") else word for word in words[1:]]
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
        assert (tmp_path / "out.wav").exists()
