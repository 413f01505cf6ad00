"""CDPAM, a judge from outside: a distance learnt from what listeners said of pairs of recordings.

P. Manocha, Z. Jin, R. Zhang, A. Finkelstein, "CDPAM: Contrastive learning for perceptual audio similarity", ICASSP 2021,
arXiv:2102.05109. Nothing in this project is trained on it.

The package `cdpam` holds the trained weights as a pickle, which could run code. Only numbers are read from it here.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import pickle
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from blackbox_grad.audio_files import resample
from blackbox_grad.dependencies import missing_dependency
from blackbox_grad.errors import BlackboxGradError, MissingDependencyError

#: Sample rate of CDPAM, Hz, and its full scale: samples of 16 bits as floats.
_RATE, _FULL_SCALE = 22_050, 32_768.0

#: Peak that the recordings get first: -12 dBFS.
_PEAK = 10.0 ** (-12.0 / 20.0)

#: All that a file of weights is made of.
_ALLOWED = {
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch", "FloatStorage"),
    ("torch", "LongStorage"),
}


class CDPAM:
    """The distance of CDPAM between recordings, about 0 to 1; 0 is equality.

    It loads the weights at once, and warns that their file is a pickle.

    Raises:
        MissingDependencyError: `cdpam` is not installed.
        BlackboxGradError: its file of weights holds more than numbers.
    """

    def __init__(self) -> None:
        self._network = _network()

    def embed(self, x: Tensor, sample_rate: float) -> Tensor:
        """Audio `[B, C, T]` at a rate in Hz -> `[B, 512]`, of which `between` is a distance. Channels are averaged."""
        mono = x.detach().mean(dim=1)
        mono = mono * (_PEAK / mono.abs().amax(dim=1, keepdim=True).clamp_min(1e-6))
        if sample_rate != _RATE:
            mono = torch.from_numpy(resample(mono.numpy(), sample_rate, _RATE))
        with torch.no_grad():
            z = _encoded(self._network.base_encoder, (mono * _FULL_SCALE).round()[:, None])
            return torch.nn.functional.normalize(z.chunk(2, dim=1)[0], dim=1)  # the other half is about the content

    def between(self, found: Tensor, wanted: Tensor) -> Tensor:
        """`[B]`: the distance of two embeddings `[B, 512]`."""
        with torch.no_grad():
            distance: Tensor = self._network.model_dist(found, wanted.expand_as(found))
        return distance.reshape(-1)

    def __call__(self, y: Tensor, target: Tensor, sample_rate: float) -> Tensor:
        """`[B]`: the distance of `y: [B, C, T]` from `target: [B, C, T]`, at a rate in Hz."""
        return self.between(self.embed(y, sample_rate), self.embed(target, sample_rate))


@functools.cache
def cdpam() -> CDPAM | None:
    """The judge, loaded once; None, with one warning, if the package is not installed."""
    try:
        return CDPAM()
    except MissingDependencyError as error:
        warnings.warn(f"CDPAM is left out: {error}", stacklevel=2)
        return None


def _network() -> Any:
    folder = _folder()
    models = _models(folder / "models.py")
    network = models.FINnet(
        dev=torch.device("cpu"),
        encoder_layers=16,
        encoder_filters=64,
        ndim=[16, 6],
        classif_dp=0.05,
        classif_BN=0,
        classif_act="no",
        input_size=512,
    )
    file = folder / "CDPAM_trained" / "scratchJNDdefault_best_model.pth"
    warnings.warn(
        f"{file} is a pickle, which can hold code; only numbers are read from it, and anything else is refused", stacklevel=4
    )
    network.load_state_dict(_weights(file))
    return network.eval().requires_grad_(False)


def _encoded(encoder: Any, x: Tensor) -> Tensor:
    """What `encoder` gives for `x: [B, 1, T]`, as `[B, 1024]`, in four fifths of its time.

    Of every fourth layer it drops each second sample; these are not computed here.
    """
    for i, (convolution, norm) in enumerate(zip(encoder.encoder, encoder.ebatch, strict=True)):
        stride = 2 if i % 4 == 3 else 1
        x = torch.nn.functional.conv1d(x, convolution.weight, convolution.bias, stride, convolution.padding)
        x = torch.nn.functional.leaky_relu(norm(x), 0.1)
    return x.mean(dim=2)


def _folder() -> Path:
    """Of the installed package; importing it would need libraries that the network does not."""
    try:
        found = importlib.metadata.distribution("cdpam").locate_file("cdpam")
    except importlib.metadata.PackageNotFoundError as error:
        raise missing_dependency(error, "CDPAM", "cdpam") from error
    return Path(str(found))


def _models(file: Path) -> types.ModuleType:
    """The module with the networks, by its file."""
    name = "_cdpam_models"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise MissingDependencyError(f"{file}: cannot be loaded; install cdpam 0.0.6 again")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _weights(file: Path) -> dict[str, Tensor]:
    """The tensors of a file in torch's old format, which `weights_only` does not read."""
    content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=False, pickle_module=_only_numbers())
    state: dict[str, Tensor] = content["state"]
    return state


def _only_numbers() -> Any:
    """The module `pickle`, whose readers refuse all but `_ALLOWED`."""
    reading = types.ModuleType("only_numbers")
    reading.Unpickler = _OnlyNumbers  # type: ignore[attr-defined]
    reading.load = lambda file, **options: _OnlyNumbers(file, **options).load()  # type: ignore[attr-defined]
    return reading


class _OnlyNumbers(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise BlackboxGradError(
                f"CDPAM's file of weights asks for {module}.{name}; it is refused. Install cdpam 0.0.6 again"
            )
        return super().find_class(module, name)
