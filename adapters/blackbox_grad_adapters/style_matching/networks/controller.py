"""The controller of one effect: from the embeddings of two recordings to settings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from blackbox_grad_adapters.style_matching.networks import weight_file

#: Sizes of the hidden layers; "paper" has the original's.
PRESETS = {"small": (256, 128, 64), "paper": (128, 128, 64, 32)}


class Controller(nn.Module):
    """`p = controller(e_input, e_reference)`: settings with which the input sounds like the reference.

    Args:
        latent: size `D` of an embedding.
        parameters: `P`, the effect's number of parameters.
        widths: sizes of the hidden layers.
        dropout: dropout rate in training of each hidden layer but the last.

    Before training it always answers 0.5, the middle.

    Attributes:
        size: `P`.
        header: facts about the training, for a loaded controller.
    """

    def __init__(self, latent: int, parameters: int, widths: Sequence[int] = PRESETS["small"], dropout: float = 0.2) -> None:
        super().__init__()
        self.latent, self.size, self.widths = latent, parameters, tuple(widths)
        self.header: dict[str, Any] = {}
        layers: list[nn.Module] = []
        before = 2 * latent
        for width in self.widths:
            layers += [nn.Linear(before, width), nn.LayerNorm(width), nn.LeakyReLU(), nn.Dropout(dropout)]
            before = width
        self.hidden = nn.Sequential(*layers[:-1])
        self.head = nn.Linear(before, parameters)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, 0.5)

    def forward(self, e_input: Tensor, e_reference: Tensor) -> Tensor:
        """Two embeddings `[B, D]` -> settings `[B, P]` in [0, 1]."""
        return into_box(self.head(self.hidden(torch.cat([e_reference - e_input, e_reference], dim=-1))))

    def save(self, path: str | os.PathLike[str], header: Mapping[str, Any]) -> None:
        """Write it, with facts about its training."""
        dimensions = {"latent": self.latent, "parameters": self.size, "widths": list(self.widths)}
        weight_file.write(path, "controller", self, {**header, "dimensions": dimensions})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Controller:
        """Read it, in evaluation mode. Raises `WeightsError`."""
        header, tensors = weight_file.read(path, "controller")
        controller = weight_file.build(cls, header, tensors, path)
        controller.header = header
        return controller.eval().requires_grad_(False)


def into_box(u: Tensor) -> Tensor:
    """`[B, P]` -> `[B, P]` in [0, 1], and a gradient that never vanishes outside.

    A sigmoid has almost no gradient far from its middle, so a controller that begins near 0 or 1 stays there. This function is the
    identity inside the box. Outside, it drops a gradient that leads further out, and keeps one that leads back. It adds the
    gradient of half the squared distance to the box, averaged over the batch, which leads back even if the loss is flat.
    """
    boxed: Tensor = _IntoBox.apply(u)  # type: ignore[no-untyped-call]
    return boxed


class _IntoBox(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor) -> Tensor:
        p = u.clamp(0.0, 1.0)
        ctx.save_for_backward(u - p)
        return p

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (beyond,) = ctx.saved_tensors
        outward = beyond * gradient < 0  # descent moves against the gradient
        inward: Tensor = torch.where(outward, 0.0, gradient) + beyond / len(beyond)
        return inward
