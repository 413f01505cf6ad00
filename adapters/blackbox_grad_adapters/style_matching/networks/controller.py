"""The controller of one effect: from the embeddings of two recordings to settings."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from blackbox_grad_adapters.style_matching.networks import weight_file

#: Sizes of the hidden layers; "paper" has the original's.
PRESETS = {"small": (256, 128, 64), "paper": (128, 128, 64, 32)}


#: Spread of the weights of several answers before training, which makes them differ.
_APART = 0.02

#: Logs of the least and the largest standard deviation of an answer.
_SPREADS = (math.log(0.05), math.log(0.5))


class Candidates(NamedTuple):
    """Several answers to one question.

    Attributes:
        p: `[B, K, P] in [0, 1]`.
        likely: `[B, K]`, log probabilities.
        spread: `[B, K, P]`, logs of the standard deviations of each answer's error.
    """

    p: Tensor
    likely: Tensor
    spread: Tensor

    def chosen(self) -> Tensor:
        """`[B, P]`: the most likely."""
        return self.of(self.likely.argmax(dim=1))

    def of(self, numbers: Tensor) -> Tensor:
        """`[B, P]`: the answers with these numbers, `[B]`."""
        return self.p[torch.arange(len(numbers)), numbers]

    def mean(self) -> Tensor:
        """`[B, P]`."""
        return (self.likely.exp()[..., None] * self.p).sum(dim=1)


class Controller(nn.Module):
    """`p = controller(e_input, e_reference)`: settings with which the input sounds like the reference.

    A reference often fits several settings: an echo may be the left or the right one. Their mean would be none of them. So a
    controller has several answers and says how likely each is, as a mixture density network does (C. M. Bishop, NCRG/94/004, 1994).
    Its settings are those of the most likely answer.

    Args:
        latent: size `D` of an embedding.
        parameters: `P`, the effect's number of parameters.
        widths: sizes of the hidden layers.
        dropout: dropout rate in training of each hidden layer but the last.
        answers: number `K` of answers.

    Before training, a controller with one answer always says 0.5, the middle.

    Attributes:
        size: `P`.
        answers: `K`.
        header: facts about the training, for a loaded controller.
    """

    def __init__(
        self,
        latent: int,
        parameters: int,
        widths: Sequence[int] = PRESETS["small"],
        dropout: float = 0.2,
        answers: int = 1,
    ) -> None:
        super().__init__()
        self.latent, self.size, self.widths, self.answers = latent, parameters, tuple(widths), answers
        self.header: dict[str, Any] = {}
        layers: list[nn.Module] = []
        before = 2 * latent
        for width in self.widths:
            layers += [nn.Linear(before, width), nn.LayerNorm(width), nn.LeakyReLU(), nn.Dropout(dropout)]
            before = width
        self.hidden = nn.Sequential(*layers[:-1])
        self.head = nn.Linear(before, answers * parameters)
        if answers == 1:
            nn.init.zeros_(self.head.weight)
            nn.init.constant_(self.head.bias, 0.5)
        else:
            nn.init.normal_(self.head.weight, std=_APART)
            nn.init.uniform_(self.head.bias, 0.2, 0.8)
            self.likely = nn.Linear(before, answers)
            self.spread = nn.Linear(before, answers * parameters)
            nn.init.zeros_(self.spread.weight)
            nn.init.constant_(self.spread.bias, math.log(0.25))

    def forward(self, e_input: Tensor, e_reference: Tensor) -> Tensor:
        """Two embeddings `[B, D]` -> settings `[B, P]` in [0, 1]."""
        return self.candidates(e_input, e_reference).chosen()

    def candidates(self, e_input: Tensor, e_reference: Tensor) -> Candidates:
        """Two embeddings `[B, D]` -> all answers."""
        hidden = self.hidden(torch.cat([e_reference - e_input, e_reference], dim=-1))
        shape = (self.answers, self.size)
        p = into_box(self.head(hidden)).unflatten(1, shape)
        if self.answers == 1:
            return Candidates(p, torch.zeros_like(p[..., 0]), torch.zeros_like(p))
        spread = self.spread(hidden).unflatten(1, shape).clamp(*_SPREADS)
        return Candidates(p, self.likely(hidden).log_softmax(dim=1), spread)

    def save(self, path: str | os.PathLike[str], header: Mapping[str, Any]) -> None:
        """Write it, with facts about its training."""
        dimensions = {"latent": self.latent, "parameters": self.size, "widths": list(self.widths), "answers": self.answers}
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
