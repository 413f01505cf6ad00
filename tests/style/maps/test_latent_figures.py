"""An effect in the latent space: planes, figures, and figures of merit."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

from blackbox_grad import audio_files
from blackbox_grad.cli import main
from blackbox_grad.errors import AudioError
from blackbox_grad.hosts import InProcessHost
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.maps.cloud import heard
from blackbox_grad_adapters.style_matching.maps.figures import place_colours
from blackbox_grad_adapters.style_matching.maps.latent_space import SIDE, STEPS, latent_space
from blackbox_grad_adapters.style_matching.maps.readability import FOLDS, explained, readability
from blackbox_grad_adapters.style_matching.networks import shipped
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder

RATE, LENGTH = 24_000, 24_576
REVERB = {"parameters": ["room_size", "wet_level", "width"]}


@pytest.fixture(scope="module")
def guitar():
    """`[1, T]` at `RATE`, 5 s."""
    audio, rate = audio_files.example()
    return torch.from_numpy(audio_files.resample(audio.mean(axis=0, keepdims=True), rate, RATE))


@pytest.fixture(scope="module")
def x(guitar):
    return guitar[:, 20_000 : 20_000 + LENGTH]


@pytest.fixture(scope="module")
def excerpts(guitar):
    """`[10, 1, 65536]`."""
    return guitar.unfold(1, 65_536, 6000)[0, :10, None]


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return Encoder("statistics", RATE, LENGTH, latent=16).eval().requires_grad_(False)


def path(name, **options):
    return EffectPath(f"pedalboard-builtin:{name}", RATE, host=InProcessHost(), **options)


@pytest.mark.slow
class TestSpace:
    def test_everything_lies_in_one_plane(self, encoder, x):
        """Principal components are affine: fitted to the cloud, they also place sweeps and slice."""
        reverb = latent_space(path("Reverb", **REVERB), encoder, x, 48)
        ones = np.ones((len(reverb.e), 1))
        places = reverb.places["PCA"]
        to_plane = np.linalg.lstsq(np.hstack([reverb.e, ones]), places.cloud, rcond=None)[0]

        def placed(*settings):
            e, _ = heard(path("Reverb", **REVERB), encoder, x[None], torch.tensor([settings]))
            return np.append(e.double().numpy(), 1.0) @ to_plane

        assert reverb.names == ("room_size", "wet_level", "width")
        assert places.sweeps.shape == (3, STEPS, 2)
        assert places.sweeps[0, 0] == pytest.approx(placed(0.0, 0.5, 0.5), abs=1e-3)
        assert places.sweeps[1, -1] == pytest.approx(placed(0.5, 1.0, 0.5), abs=1e-3)
        assert reverb.pair == (0, 1)  # mono audio has no width
        assert places.slice.shape == (SIDE, SIDE, 2)
        assert places.slice[0, -1] == pytest.approx(placed(1.0, 0.0, 0.5), abs=1e-3)
        assert places.slice[-1, 0] == pytest.approx(placed(0.0, 1.0, 0.5), abs=1e-3)

    def test_an_effect_of_one_parameter_has_no_slice(self, encoder, x):
        space = latent_space(path("Distortion"), encoder, x, 32)
        assert space.pair == (0,)
        assert space.places["UMAP"].slice is None

    def test_what_is_silent_is_nowhere(self, encoder, x):
        gate = path("NoiseGate", parameters=["threshold_db"], fixed={"ratio": 1.0, "attack_ms": 0.0})
        sweep = latent_space(gate, encoder, x, 128).places["PCA"].sweeps[0]
        assert np.isfinite(sweep[:10]).all()
        assert np.isnan(sweep[-1]).all()


class TestColours:
    def test_a_direction_is_a_hue_and_the_middle_has_none(self):
        middle, right, left, up, nowhere = place_colours(
            np.array([[0.5, 0.5], [1.0, 0.5], [0.0, 0.5], [0.5, 1.0], [np.nan, np.nan]])
        )
        assert np.ptp(middle) == pytest.approx(0.0)
        for a, b in ((right, left), (right, up), (left, up)):
            assert np.abs(a - b).max() > 0.5
        assert nowhere.tolist() == [1.0, 1.0, 1.0]

    def test_they_do_not_jump(self):
        angle = np.linspace(0, 2 * np.pi, 2000)
        circle = place_colours(0.5 + 0.4 * np.stack([np.cos(angle), np.sin(angle)], axis=1))
        assert np.abs(np.diff(circle, axis=0)).max() < 0.01


class TestReadability:
    @pytest.mark.slow
    def test_what_is_heard_can_be_read(self, excerpts):
        """With the encoder of the package."""
        paths = {"drive": path("Distortion"), "room": path("Reverb", parameters=["wet_level"])}
        read = readability(paths, shipped.ears(), excerpts, 100)
        assert all(one.accuracy > 0.85 and one.count == 100 for one in read.values()), read
        assert read["drive"].explained["drive_db"] > 0.8

    @pytest.mark.slow
    def test_what_is_not_heard_cannot(self, encoder, excerpts):
        """A gain is undone by the normalisation."""
        read = readability({"one": path("Gain"), "other": path("Gain")}, encoder, excerpts, 60)
        for one in read.values():
            assert one.accuracy < 0.65, read
            assert one.explained["gain_db"] < 0.1

    def test_what_is_known_of_an_excerpt_does_not_help(self):
        """An embedding that identifies only the excerpt would reveal a value that all recordings of an excerpt share."""
        rng = np.random.default_rng(0)
        groups = np.repeat(np.arange(20), 10)
        values = rng.random(20)[groups]
        e = np.eye(20)[groups] + 0.01 * rng.standard_normal((200, 20))
        assert explained(e, values, groups) < 0.1
        assert explained(e, values, np.arange(200) % 10) > 0.5

    def test_one_effect_alone_is_not_recognised(self, encoder, excerpts):
        (read,) = readability({"drive": path("Distortion")}, encoder, excerpts, 40).values()
        assert read.accuracy is None

    def test_too_few_excerpts_are_refused(self, encoder, excerpts):
        with pytest.raises(AudioError, match=f"takes {FOLDS} excerpts or more, got 4"):
            readability({"drive": path("Distortion")}, encoder, excerpts[:4], 40)

    def test_an_effect_that_is_silent_is_refused(self, encoder, excerpts):
        with pytest.raises(AudioError, match="is silent, or not finite, on almost all excerpts"):
            readability({"drive": path("Distortion")}, encoder, 0 * excerpts, 40)


@pytest.mark.slow
class TestCommand:
    """`blackbox-grad style figures`."""

    @pytest.fixture
    def run(self, encoder, recordings, tmp_path, capsys):
        """Its exit code, stdout and stderr."""
        encoder.save(tmp_path / "encoder.safetensors", {})
        own = ["style", "figures", "--encoder", tmp_path / "encoder.safetensors", "--points", 32]

        def run(*arguments):
            with pytest.raises(SystemExit) as ended:
                main([str(argument) for argument in (*own, "--recordings", recordings, *arguments)])
            return ended.value.code, *capsys.readouterr()

        return run

    def test_it_writes_figures_and_one_page_that_has_them_all(self, run, tmp_path):
        folder = tmp_path / "new" / "figures"
        effects = ["--effect", "pedalboard-builtin:Delay", "--effect", "pedalboard-builtin:Distortion"]
        code, out, err = run(*effects, "-o", folder, "--json")
        assert code == 0, err
        found = json.loads(out)
        assert set(found["read"]) == {"Delay", "Distortion"}
        assert set(found["read"]["Delay"]["explained"]) == {"delay_seconds", "feedback", "mix"}
        assert {p.name for p in folder.iterdir()} == {Path(f).name for f in (*found["files"], found["page"])}
        names = {"effects"} | {f"delay-{part}" for part in ("pairs-pca", "pairs-umap")}
        names |= {f"{e}-{part}" for e in ("delay", "distortion") for part in ("sweeps", "sweeps-pca", "sweeps-umap", "domain")}
        assert {p.stem for p in folder.glob("*.png")} == {p.stem for p in folder.glob("*.svg")} == names
        page = Path(found["page"]).read_text("utf-8")
        shown = {base64.b64decode(data) for data in re.findall(r'<img src="data:image/png;base64,([^"]*)"', page)}
        assert shown == {p.read_bytes() for p in folder.glob("*.png")}
        assert "https:" not in page
        assert "http:" not in page
        for file in folder.glob("*.png"):
            with Image.open(file) as picture:
                assert len(picture.convert("RGB").getcolors(1 << 24)) > 20
        for file in folder.glob("*.svg"):
            ElementTree.parse(file)
        assert "delay_seconds" in (folder / "delay-sweeps.svg").read_text("utf-8")

    def test_what_cannot_be_is_said_in_one_line(self, run, tmp_path):
        (tmp_path / "file").write_text("")
        effect = ["--effect", "pedalboard-builtin:Distortion"]
        for options, message in (
            ([*effect, "-o", tmp_path / "file"], f"{tmp_path / 'file'} is not a folder"),
            ([*effect, "-o", tmp_path / "new", "--recordings", tmp_path / "none"], str(tmp_path / "none")),
            (["--effect", "pedalboard-builtin:Distorsion", "-o", tmp_path / "new"], "did you mean 'Distortion'"),
        ):
            code, out, err = run(*options)
            (error,) = [line for line in err.splitlines() if not line.endswith("recordings decoded")]
            assert (code, out) == (1, "")
            assert message in error
        assert not (tmp_path / "new").exists()
