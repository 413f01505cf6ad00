"""A listening test from the results of an evaluation: what was measured is rendered again."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from blackbox_grad import audio_files
from blackbox_grad.errors import AudioError, BlackboxGradError
from blackbox_grad_adapters.style_matching.data.pairs import PairDataset
from blackbox_grad_adapters.style_matching.data.recordings import Tracks, in_folder
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.evaluation.methods import Method, evaluate, model_free
from blackbox_grad_adapters.style_matching.evaluation.results import Sheet, results
from blackbox_grad_adapters.style_matching.listening.items import REFERENCE
from blackbox_grad_adapters.style_matching.listening.page import read_test
from blackbox_grad_adapters.style_matching.listening.renders import Choice, from_results
from blackbox_grad_adapters.style_matching.networks import shipped
from tests.command_line import fail_here, succeed_here

DRIVE = "pedalboard-builtin:Distortion"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """The guitar, again and again: as long as an example needs. In a folder beside it, backwards."""
    folder = tmp_path_factory.mktemp("long")
    audio, rate = audio_files.example()
    for name, part in (("forwards", audio), ("backwards", audio[:, ::-1])):
        (folder / name).mkdir()
        audio_files.write(folder / name / "guitar.wav", np.tile(part[:1], 2), rate)
    return folder / "forwards"


@pytest.fixture(scope="module")
def evaluated(recordings, tmp_path_factory):
    """The pairs of an evaluation on the guitar, and the folder of its results."""
    path = EffectPath(DRIVE)
    pairs = PairDataset(path, Tracks(in_folder(recordings), path.sample_rate), seed=2, augmentation=None)
    folder = tmp_path_factory.mktemp("evaluation")
    methods = model_free(path) | {"mine": Method(lambda pair, rng: 0.5 * pair["p"] + 0.2)}
    evaluate(pairs, "music", methods, Sheet(folder, path.spec.address, "music"), 6)
    return pairs, folder


def items(evaluated, recordings, **choice):
    return list(from_results(evaluated[1], Choice(recordings=recordings, **choice)))


def test_every_method_sounds_as_it_was_measured(evaluated, recordings):
    pairs, folder = evaluated
    found = items(evaluated, recordings, examples=3)
    assert len(found) == 3
    rows = {(row["index"], row["method"]): row for row in results(folder)}
    for item in found:
        pair = pairs.pair(int(item.name))
        assert not pair["clean"]
        assert (item.kind, item.sample_rate) == ("music", 24000)
        assert set(item.systems) == {"dry", "middle", "random", "mine"}
        assert np.array_equal(item.sounds[REFERENCE], pair["truth"].numpy())
        assert np.array_equal(item.sounds["dry"], pairs.path.dry(pair["input"][None])[0].numpy())
        settings = torch.tensor([[rows[int(item.name), "mine"]["settings"][name] for name in pairs.path.names]])
        with torch.no_grad():
            assert np.array_equal(item.sounds["mine"], pairs.path(pair["input"][None], settings)[0].numpy())


def test_examples_are_drawn_by_a_seed_and_systems_by_name(evaluated, recordings):
    first, again = (items(evaluated, recordings, examples=2, methods=["mine", "dry"]) for _ in range(2))
    assert [one.name for one in first] == [one.name for one in again]
    assert all(set(one.systems) == {"mine", "dry"} for one in first)
    draws = {
        tuple(one.name for one in items(evaluated, recordings, examples=2, methods=["dry"], seed=seed)) for seed in range(6)
    }
    assert len(draws) > 1


def test_other_recordings_or_another_seed_are_refused(evaluated, recordings):
    for wrong in ({"recordings": recordings.parent / "backwards"}, {"recordings": recordings, "evaluation_seed": 3}):
        with pytest.raises(AudioError, match=r"was measured on other recordings.*--recordings and the --evaluation-seed"):
            list(from_results(evaluated[1], Choice(**wrong)))


def test_what_is_not_there_is_named(evaluated, recordings):
    with pytest.raises(AudioError, match=r"no results of 'nobody'; there are .*mine"):
        items(evaluated, recordings, methods=["nobody"])
    for wrong in ({"effects": ["Distortion", "Delay"]}, {"kinds": ["speech"]}):
        with pytest.raises(AudioError, match=r"no results of (Delay|speech|Distortion); there are .*Distortion \(music\)"):
            items(evaluated, recordings, **wrong)


@pytest.mark.parametrize("address", ["faust:process = _;", "pedalboard:./evil.vst3", "dawdreamer:/tmp/evil.so"])
def test_a_file_of_results_opens_no_program_and_no_plug_in_by_its_path(address, evaluated, recordings, tmp_path):
    (file,) = evaluated[1].iterdir()
    (tmp_path / "evil.csv").write_text(file.read_text("utf-8").replace(DRIVE, f'"{address}"'), "utf-8")
    choice = Choice(recordings=recordings)
    with pytest.raises(AudioError, match=r"which would run as you; if you trust it, name it: --effect"):
        list(from_results(tmp_path, choice))
    with pytest.raises(AudioError, match=r"which would run as you"):  # the end of the address is not enough
        list(from_results(tmp_path, Choice(recordings=recordings, effects=[shipped.short_name(address)])))
    with pytest.raises(BlackboxGradError) as other:  # it is opened, and is another effect
        list(from_results(tmp_path, Choice(recordings=recordings, effects=[address])))
    assert "would run as you" not in str(other.value)


def test_the_command_makes_a_page_of_an_evaluation(evaluated, recordings, tmp_path, capsys):
    _, folder = evaluated
    command = ("style", "listen", "prepare", folder, "-o", tmp_path / "t.html", "--system", "mine", "--system", "dry")
    found = json.loads(succeed_here(capsys, *command, "--recordings", recordings, "--examples", "1", "--json"))
    (trial,) = read_test(tmp_path / "t.html")[1].trials
    assert sorted(trial.systems) == ["anchor35", "anchor70", "dry", "mine", "reference"]
    assert (trial.effect, trial.kind) == ("Distortion", "music")
    assert found["test"]["trials"][0]["item"] == trial.item
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.csv").write_text("a,b\n1,2\n")
    assert "is not a table of results" in fail_here(capsys, *command[:3], tmp_path / "empty", "-o", tmp_path / "u.html")
