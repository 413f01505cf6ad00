"""The encoder: a β-VAE that embeds the sound of one recording in a few numbers.

It is trained once, on recordings through several effects, and then frozen. The controllers of all effects, also of effects that
were not in its training, use its embeddings.

β-VAE: I. Higgins et al., ICLR 2017; cyclic annealing: H. Fu et al., NAACL 2019, arXiv:1903.10145.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from blackbox_grad.errors import AudioError
from blackbox_grad_adapters.style_matching.networks import weight_file
from blackbox_grad_adapters.style_matching.networks.representations import Spectrogram, Statistics
from blackbox_grad_adapters.style_matching.networks.weight_file import WeightsError

#: name -> representation: "statistics" is small and fast; "paper" has the dimensions of the original.
PRESETS: dict[str, Callable[[float, int], Statistics | Spectrogram]] = {"statistics": Statistics, "paper": Spectrogram}

#: Windows per batch.
_MOST = 64

#: A window this much quieter than the loudest one of its recording (-40 dB) does not count.
_QUIET = 0.01

#: Least variance of a difference between two parts of a recording.
_SAME = 1e-3


class Encoder(nn.Module):
    """Audio -> embeddings.

    Args:
        preset: "statistics" or "paper".
        sample_rate: Hz, of the audio.
        length: samples of a window.
        latent: size `D` of an embedding.

    Attributes:
        header: facts about the training, for a loaded encoder.
    """

    mean: Tensor
    scale: Tensor
    apart: Tensor

    def __init__(
        self, preset: str = "statistics", sample_rate: float = 24_000.0, length: int = 65_536, latent: int = 128
    ) -> None:
        super().__init__()
        if preset not in PRESETS:
            raise WeightsError(f"no encoder {preset!r}; known are {', '.join(PRESETS)}")
        self.preset, self.sample_rate, self.length, self.latent = preset, float(sample_rate), length, latent
        self.header: dict[str, Any] = {}
        self.representation = PRESETS[preset](sample_rate, length)
        networks = _dense if preset == "statistics" else _convolutional
        self.network, self.decoder = networks(self.representation.shape, latent)
        self.register_buffer("mean", torch.zeros(self.representation.shape if preset == "statistics" else 1))
        self.register_buffer("scale", torch.ones_like(self.mean))
        self.register_buffer("apart", torch.ones(self._trait(torch.zeros(1, *self.representation.shape)).shape[1]))

    def features(self, windows: Tensor) -> Tensor:
        """`[B, length]` -> `[B, …]`, of about zero mean and unit variance over the training set."""
        return self.standardised(self.representation(windows))

    def standardised(self, rows: Tensor) -> Tensor:
        """`features` of windows that went through the representation, `[B, …]`."""
        return ((rows - self.mean) / self.scale).clamp(-5, 5)

    def standardise(self, rows: Tensor) -> None:
        """Standardise `features` by this training set, `[N, …]` from the representation."""
        if self.preset == "statistics":  # a spectrogram is standardised per item
            # already in half precision, as in the file
            self.mean.copy_(rows.float().mean(dim=0).half())
            self.scale.copy_((rows.float().std(dim=0) + 1e-3).half())

    def compare(self, first: Tensor, second: Tensor) -> None:
        """Learn the distance between two parts of one recording, `[N, …]` each, from the representation."""
        if len(first):
            traits = [self._trait(self.standardised(rows.float())) for rows in (first, second)]
            self.apart.copy_(((traits[0] - traits[1]).square().mean(dim=0) + _SAME).sqrt().half())

    @staticmethod
    def _trait(features: Tensor) -> Tensor:
        """`[B, …]` -> `[B, F]`, without time."""
        return features if features.ndim == 2 else features.mean(dim=-1).flatten(1)

    def posterior(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latent, `[B, D]` each."""
        mean, spread = self.network(features).chunk(2, dim=-1)
        return mean, spread.clamp(-8.0, 4.0)

    def embed(self, x: Tensor) -> Tensor:
        """Audio `[B, C, T]` of any length and level at `sample_rate` -> `[B, D]`. Channels are averaged.

        Longer audio gives the mean over half-overlapping windows without quiet ones. Shorter audio is repeated.
        """
        return self._averaged(x, lambda windows: self.posterior(self.features(windows))[0])

    def traits(self, x: Tensor) -> Tensor:
        """The features behind an embedding, which hold more than it does: audio as for `embed` -> `[B, F]`.

        Their unit is the root-mean-square difference between two parts of one recording.
        """
        return self._averaged(x, lambda windows: self._trait(self.features(windows))) / self.apart

    def _averaged(self, x: Tensor, embed: Callable[[Tensor], Tensor]) -> Tensor:
        """The mean of `embed`, `[N, length]` -> `[N, F]`, over windows of audio `[B, C, T]`."""
        if x.ndim != 3 or 0 in x.shape:
            raise AudioError(f"audio must have the shape [B, C, T] with at least one sample, got {list(x.shape)}")
        mono = x.mean(dim=1)
        if mono.shape[1] < self.length:
            mono = mono.repeat(1, -(-self.length // mono.shape[1]))[:, : self.length]
        windows = mono.unfold(1, self.length, self.length // 2)  # [B, W, length], a view
        parts, levels = [], []
        for some in windows.split(max(1, _MOST // len(mono)), dim=1):
            parts.append(embed(some.flatten(0, 1)).unflatten(0, some.shape[:2]))
            levels.append(some.square().mean(dim=2).sqrt())
        found, level = torch.cat(parts, dim=1), torch.cat(levels, dim=1)
        loud = (level >= _QUIET * level.amax(dim=1, keepdim=True)).to(found)
        mean: Tensor = (found * loud[..., None]).sum(dim=1) / loud.sum(dim=1, keepdim=True)
        return mean

    def losses(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For training the VAE: a sample from the posterior `[B, D]`, the mean squared error of its reconstruction, and the
        Kullback-Leibler divergence from the standard normal distribution, in nats per item.
        """
        mean, spread = self.posterior(features)
        drawn = mean + torch.randn_like(mean) * torch.exp(spread / 2)
        error = (self.decoder(drawn) - features).square().mean()
        divergence = 0.5 * (mean.square() + spread.exp() - 1 - spread).sum(dim=1).mean()
        return drawn, error, divergence

    @property
    def fingerprint(self) -> str:
        """A short name, equal for equal weights."""
        return weight_file.fingerprint(self)

    def save(self, path: str | os.PathLike[str], header: Mapping[str, Any]) -> None:
        """Write it, with facts about its training."""
        dimensions = {"preset": self.preset, "sample_rate": self.sample_rate, "length": self.length, "latent": self.latent}
        weight_file.write(path, "encoder", self, {**header, "dimensions": dimensions})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Encoder:
        """Read it, frozen. Raises `WeightsError`."""
        header, tensors = weight_file.read(path, "encoder")
        encoder = weight_file.build(cls, header, tensors, path)
        encoder.header = header
        return encoder.eval().requires_grad_(False)


def annealed(progress: float, cycles: int = 4) -> float:
    """The factor of β at this part of the training: in each cycle it rises linearly to 1 and then stays there."""
    return min(1.0, 2.0 * (progress * cycles % 1.0))


def _dense(shape: torch.Size, latent: int) -> tuple[nn.Module, nn.Module]:
    wide, narrow = 384, 256
    encoder = nn.Sequential(
        nn.Dropout(0.2),
        nn.Linear(shape[0], wide),
        nn.LayerNorm(wide),
        nn.LeakyReLU(),
        nn.Dropout(0.4),
        nn.Linear(wide, narrow),
        nn.LayerNorm(narrow),
        nn.LeakyReLU(),
        nn.Dropout(0.2),
        nn.Linear(narrow, 2 * latent),
    )
    decoder = nn.Sequential(
        nn.Linear(latent, narrow), nn.LeakyReLU(), nn.Linear(narrow, wide), nn.LeakyReLU(), nn.Linear(wide, shape[0])
    )
    return encoder, decoder


def _convolutional(shape: torch.Size, latent: int) -> tuple[nn.Module, nn.Module]:
    """Four convolutions of stride 2, and back."""
    channels = (shape[0], 8, 16, 32, 32)
    sizes = [shape[1:]]
    for _ in channels[1:]:
        sizes.append(torch.Size((n + 1) // 2 for n in sizes[-1]))
    inner = torch.Size((channels[-1], *sizes[-1]))
    down: list[nn.Module] = []
    up: list[nn.Module] = [nn.Linear(latent, inner.numel()), nn.Unflatten(1, inner)]
    for i in range(4):
        down += [nn.Conv2d(channels[i], channels[i + 1], 3, 2, 1), nn.BatchNorm2d(channels[i + 1]), nn.LeakyReLU()]
    for i in reversed(range(4)):
        surplus = ((sizes[i][0] + 1) % 2, (sizes[i][1] + 1) % 2)  # a convolution of stride 2 maps two sizes to one
        up += [nn.LeakyReLU(), nn.ConvTranspose2d(channels[i + 1], channels[i], 3, 2, 1, surplus)]
    return nn.Sequential(*down, nn.Flatten(), nn.Linear(inner.numel(), 2 * latent)), nn.Sequential(*up)
