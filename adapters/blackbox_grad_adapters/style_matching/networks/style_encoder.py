"""The style encoder: which effects a recording went through, and how they were set, in a few numbers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from blackbox_grad.audio_files import resample
from blackbox_grad.effects import Audio
from blackbox_grad.errors import AudioError
from blackbox_grad_adapters.style_matching.networks import weight_file
from blackbox_grad_adapters.style_matching.networks.wide_statistics import WideStatistics

#: The weights of the package.
FILE = Path(__file__).parent.parent / "weights" / f"style-encoder{weight_file.SUFFIX}"

#: Windows at a time: few, so that they stay in the cache of the processor.
_WINDOWS = 2

#: A window this much quieter than the loudest one of its recording (-40 dB) does not count.
_QUIET = 0.01


class StyleEncoder(nn.Module):
    """Audio -> embeddings of its style: recordings through the same effect at the same settings are near each other.

        encoder = StyleEncoder.load()
        z = encoder(audio, sample_rate)

    Args:
        latent: size `D` of an embedding.
        widths: sizes of the hidden layers.
        sample_rate: Hz, of the windows; audio at other rates is resampled.
        length: samples of a window.

    Attributes:
        header: facts about the training, for a loaded encoder.
    """

    mean: Tensor
    scale: Tensor
    mono: Tensor

    def __init__(
        self,
        latent: int = 128,
        widths: Sequence[int] = (1024, 512),
        sample_rate: float = 44_100.0,
        length: int = 122_880,
    ) -> None:
        super().__init__()
        self.latent, self.widths, self.sample_rate, self.length = latent, tuple(widths), float(sample_rate), length
        self.header: dict[str, Any] = {}
        self.representation = WideStatistics(self.sample_rate, length)
        (size,) = self.representation.shape
        layers: list[nn.Module] = []
        before, dropout = size, 0.3
        for width in self.widths:
            layers += [nn.Dropout(dropout), nn.Linear(before, width), nn.LayerNorm(width), nn.GELU()]
            before, dropout = width, 0.3
        self.network = nn.Sequential(*layers, nn.Linear(before, latent))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))
        self.register_buffer("mono", torch.zeros(self.representation.stereo))

    def forward(self, audio: Tensor | Audio, sample_rate: float = 44_100.0) -> Tensor:
        """`[B, C, T]`, a tensor or an array, of any level and length, at `sample_rate` Hz -> `[B, D]`, of length 1.

        One channel stands for two equal ones; more than two are averaged. Long audio gives the mean over windows that are not
        quiet; audio shorter than a window (2.8 s) is repeated. Similarity is the product of two embeddings.

        Raises:
            AudioError: the audio has another shape, no samples, or is not finite.
        """
        audio = torch.as_tensor(audio)
        if audio.ndim != 3 or 0 in audio.shape:
            raise AudioError(f"audio must have the shape [B, C, T] with at least one sample, got {list(audio.shape)}")
        if not torch.isfinite(audio).all():
            raise AudioError("the audio holds NaN or infinity; an embedding needs finite samples")
        x = audio.float()
        if sample_rate != self.sample_rate:
            flat = x.detach().cpu().flatten(0, 1).numpy()
            x = torch.from_numpy(resample(flat, sample_rate, self.sample_rate)).unflatten(0, x.shape[:2]).to(audio.device)
        if x.shape[1] != 2:
            x = x.mean(dim=1, keepdim=True).expand(-1, 2, -1)
        if x.shape[2] < self.length:
            x = x.repeat(1, 1, -(-self.length // x.shape[2]))[..., : self.length]
        starts = list(range(0, x.shape[2] - self.length + 1, self.length))
        if starts[-1] + self.length < x.shape[2]:
            starts.append(x.shape[2] - self.length)
        windows = torch.stack([x[..., start : start + self.length] for start in starts], dim=1)  # [B, W, 2, length]
        found = torch.cat([self.embed(self.representation(some)) for some in windows.flatten(0, 1).split(_WINDOWS)])
        level = windows.square().mean(dim=(2, 3)).sqrt()
        loud = (level >= _QUIET * level.amax(dim=1, keepdim=True)).to(found)
        mean = (found.unflatten(0, windows.shape[:2]) * loud[..., None]).sum(dim=1)
        return nn.functional.normalize(mean, dim=1)

    def embed(self, features: Tensor) -> Tensor:
        """Windows that went through the representation, `[N, F]` -> `[N, D]`, of length 1."""
        return nn.functional.normalize(self.network(self.standardised(features)), dim=1)

    def standardised(self, features: Tensor) -> Tensor:
        """`[N, F]` from the representation, of about zero mean and unit variance over the training set."""
        return ((features.float() - self.mean) / self.scale).clamp(-5, 5)

    def standardise(self, features: Tensor) -> None:
        """Standardise by these features of a training set, `[N, F]`."""
        self.mean.copy_(features.float().mean(dim=0).half())
        self.scale.copy_((features.float().std(dim=0) + 1e-2).half())
        with torch.no_grad():
            noise = torch.randn(1, 1, self.length, generator=torch.Generator().manual_seed(0)).expand(-1, 2, -1)
            self.mono.copy_(self.representation(noise)[0, -self.representation.stereo :].half())

    @property
    def fingerprint(self) -> str:
        """A short name, equal for equal weights."""
        return weight_file.fingerprint(self)

    def save(self, path: str | os.PathLike[str], header: Mapping[str, Any]) -> None:
        """Write it, with facts about its training."""
        dimensions = {
            "latent": self.latent,
            "widths": list(self.widths),
            "sample_rate": self.sample_rate,
            "length": self.length,
        }
        weight_file.write(path, "style encoder", self, {**header, "dimensions": dimensions})

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None) -> StyleEncoder:
        """Read it, frozen; by default the one of the package. Raises `WeightsError`."""
        file = FILE if path is None else Path(path)
        header, tensors = weight_file.read(file, "style encoder")
        encoder = weight_file.build(cls, header, tensors, file)
        encoder.header = header
        return encoder.eval().requires_grad_(False)
