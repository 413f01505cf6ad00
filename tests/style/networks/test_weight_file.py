"""Files of weights: every defect has a clear message, and no file runs code."""

from __future__ import annotations

import json
import pickle

import pytest
import safetensors.torch
import torch

from blackbox_grad_adapters.style_matching.networks import weight_file
from blackbox_grad_adapters.style_matching.networks.controller import Controller
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder
from blackbox_grad_adapters.style_matching.networks.weight_file import WeightsError


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "controller.safetensors"
    Controller(8, 2).save(path, {"effect": "pedalboard-builtin:Reverb"})
    return path


def rewrite(path, **header):
    """The same weights with a changed header; None removes a field."""
    tensors = safetensors.torch.load_file(path)
    with safetensors.safe_open(path, "pt") as opened:
        known = json.loads(opened.metadata()[weight_file._FIELD])
    merged = {k: v for k, v in (known | header).items() if v is not None}
    path.write_bytes(safetensors.torch.save(tensors, {weight_file._FIELD: json.dumps(merged)}))


def test_weights_are_stored_in_half_precision(file):
    assert all(t.dtype == torch.float16 for t in safetensors.torch.load_file(file).values())
    assert all(t.dtype == torch.float32 for t in weight_file.read(file, "controller")[1].values())


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_truncated_file_is_refused(file, kept):
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(WeightsError, match=r"controller\.safetensors.*damaged"):
        Controller.load(file)


def test_a_pickle_is_refused_and_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    (tmp_path / "trap.safetensors").write_bytes(pickle.dumps(Trap()))
    torch.save({"a": Trap()}, tmp_path / "trap.pt")
    for name in ("trap.safetensors", "trap.pt"):
        with pytest.raises(WeightsError, match="no weights can be read"):
            Controller.load(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_weights_of_others_are_refused(tmp_path):
    path = tmp_path / "theirs.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match="not of style matching"):
        Encoder.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"no\.safetensors: no such file"):
        Encoder.load(tmp_path / "no.safetensors")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="no weights can be read"):
        Encoder.load(tmp_path)


def test_a_controller_is_no_encoder(file):
    with pytest.raises(WeightsError, match="another kind of network, 'controller'; it must be 'encoder'"):
        Encoder.load(file)


def test_another_version_is_refused(file):
    rewrite(file, format=99)
    with pytest.raises(WeightsError, match="has format 99"):
        Controller.load(file)


@pytest.mark.parametrize(
    "header",
    [
        {"dimensions": None},
        {"dimensions": {"latent": 9, "parameters": 2, "widths": [256, 128, 64]}},
        {"dimensions": {"latent": 8, "parameters": -2, "widths": [256, 128, 64]}},
        {"dimensions": {"taste": 8}},
        {"dimensions": "small"},
        {"kind": None},
    ],
)
def test_a_header_that_does_not_fit_is_refused(file, header):
    rewrite(file, **header)
    with pytest.raises(WeightsError, match="header"):
        Controller.load(file)


def test_weights_that_have_diverged_are_not_written(file):
    before = file.read_bytes()
    controller = Controller(8, 2)
    torch.nn.init.constant_(controller.head.bias, torch.nan)
    with pytest.raises(WeightsError, match=r"head\.bias.*diverged"):
        controller.save(file, {})
    assert file.read_bytes() == before


def test_a_flipped_byte_is_found(file):
    content = file.read_bytes()
    for at in range(8, len(content), max(1, len(content) // 61)):
        file.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        with pytest.raises(WeightsError):
            Controller.load(file)
    file.write_bytes(content)
    Controller.load(file)
