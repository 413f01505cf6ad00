"""Failures of style matching at the command line: one line says what is wrong and what to do, and no file is written."""

from __future__ import annotations

import numpy as np
import pytest

from blackbox_grad import audio_files
from blackbox_grad.cli import main
from blackbox_grad_adapters.style_matching.networks import shipped

REVERB = "pedalboard-builtin:Reverb"
MATCH = ("match", "--input", "in.wav", "-o", "out.wav", "--report", "out.html", "--parameters", "out.json")


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a command in a folder with two recordings, without corpora. Returns its exit code and the lines of stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    audio, rate = audio_files.example()
    for name in ("in.wav", "ref.wav"):
        audio_files.write(name, audio[:, : int(rate)], rate)

    def run(*arguments):
        there = {path for path in tmp_path.rglob("*") if "cache" not in path.parts}
        with pytest.raises(SystemExit) as ended:
            main(["style", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert out == ""
        assert "Traceback" not in err
        assert {path for path in tmp_path.rglob("*") if "cache" not in path.parts} == there
        return ended.value.code, err.splitlines()

    return run


@pytest.mark.parametrize(
    ("command", "package"),
    [
        (("evaluate", REVERB, "-o", "results", "--kind", "speech"), "fillets-ng-data-cs"),
        (("evaluate", REVERB, "-o", "results", "--kind", "speech", "--method", "dry"), "asterisk-core-sounds-en-g722"),
        (("figures", "--effect", REVERB, "-o", "figures"), "asterisk-core-sounds-en-g722"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_without_corpora_the_command_that_fetches_them_is_named(run, command, package):
    code, (line,) = run(*command)
    assert code == 1
    assert f"the corpus {package} is not here; run: blackbox-grad style corpus get {package}" in line
    assert "or use a folder of recordings of your own" in line


@pytest.mark.parametrize("command", [("train", REVERB, "-o", "run"), ("train-encoder", "-o", "run", "--effect", REVERB)])
def test_without_corpora_a_training_names_all_that_it_needs(run, command):
    code, (line,) = run(*command)
    assert code == 1
    assert "5 corpora are not here; run: blackbox-grad style corpus get fillets-ng-data-cs singularity-music " in line
    assert "or use a folder of recordings of your own (--recordings)" in line


@pytest.mark.parametrize(
    "command",
    [
        ("match", "--input", "in.wav", "--reference", "ref.wav", "--model", shipped.file_of(REVERB), "--effect"),
        ("train", "-o", "run", "--recordings", "."),
        ("figures", "-o", "figures", "--recordings", ".", "--effect"),
        ("map", "-o", "map.html", "--effect"),
    ],
    ids=lambda command: command[0],
)
def test_without_the_plug_in_it_is_named(run, tmp_path, monkeypatch, command):
    monkeypatch.setenv("VST3_PATH", str(tmp_path))
    code, lines = run(*command, "pedalboard:ZamDelay.vst3")
    assert code == 1
    assert len([line for line in lines if "ZamDelay.vst3" in line and "no installed plug-in" in line]) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "ref.wav"),
        (b"RIFF, and then nothing", "ref.wav: cannot be read as audio"),
        (np.zeros((1, 24_000), np.float32), "the reference is silent"),
    ],
    ids=["missing", "unreadable", "silent"],
)
def test_a_reference_with_nothing_to_hear_is_named(run, tmp_path, content, message):
    reference = tmp_path / "ref.wav"
    if content is None:
        reference.unlink()
    elif isinstance(content, bytes):
        reference.write_bytes(content)
    else:
        audio_files.write(reference, content, 24_000)
    code, lines = run(*MATCH, "--reference", "ref.wav", "--effect", REVERB)
    assert code == 1
    assert [line for line in lines if message in line] == lines[-1:]


@pytest.mark.parametrize(
    ("model", "message"),
    [("begun", "holds no controller.safetensors"), ("./none", "no file, folder or trained effect is called")],
)
def test_a_place_without_a_controller_is_named(run, tmp_path, model, message):
    (tmp_path / "begun").mkdir()
    code, lines = run(*MATCH, "--reference", "ref.wav", "--model", model)
    assert code == 2
    said = " ".join(line.strip("│ ") for line in lines)
    assert f"--model: {'the folder' if model == 'begun' else 'no file'}" in said
    assert message in said
    assert model in said


@pytest.mark.plugins
@pytest.mark.parametrize("way", [(), ("--renders", "20")], ids=["", "renders"])
def test_an_instrument_is_named_with_what_takes_it(run, way):
    code, lines = run(*MATCH, "--reference", "ref.wav", "--effect", "http://drobilla.net/plugins/mda/DX10", *way)
    assert code == 1
    assert "is an instrument, which plays notes" in lines[-1]
    assert "blackbox-grad match finds the patch" in lines[-1]


def test_truncated_weights_are_named(run, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(shipped.file_of(REVERB).read_bytes()[:-100])
    code, (line,) = run(*MATCH, "--reference", "ref.wav", "--model", "model.safetensors")
    assert code == 1
    assert "model.safetensors: no weights can be read from it" in line
    assert "is it damaged" in line
