"""The first stage: the controller learns settings from embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from blackbox_grad_adapters.style_matching.networks.controller import Candidates, Controller
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder
from blackbox_grad_adapters.style_matching.training.encoder_training import settings_error
from blackbox_grad_adapters.style_matching.training.features import HeardPair
from blackbox_grad_adapters.style_matching.training.stage import Stage, explained, loader


@dataclass(frozen=True)
class Embedded:
    """Pairs embedded by the frozen encoder: means `[N, D]` and log variances of both recordings, `p: [N, P]`, `clean: [N]`."""

    input: tuple[Tensor, Tensor]
    reference: tuple[Tensor, Tensor]
    p: Tensor
    clean: Tensor

    def means(self) -> tuple[Tensor, Tensor]:
        return self.input[0], self.reference[0]

    def draws(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Random samples from the embeddings' posteriors, so that a controller cannot memorise pairs."""
        first, second = (
            mean[rows] + torch.randn_like(mean[rows]) * torch.exp(s[rows] / 2) for mean, s in (self.input, self.reference)
        )
        return first, second


def embedded(encoder: Encoder, pairs: HeardPair) -> Embedded:
    """Embed pairs, from their representations."""

    def of(part: Tensor) -> tuple[Tensor, Tensor]:
        found = [encoder.posterior(encoder.standardised(rows.float())) for rows in part.split(256)]
        means, spreads = zip(*found, strict=True)
        return torch.cat(means), torch.cat(spreads)

    with torch.no_grad():
        return Embedded(of(pairs["input"]), of(pairs["reference"]), pairs["p"], pairs["clean"])


def candidates_error(found: Candidates, p: Tensor, clean: Tensor) -> Tensor:
    """The error of answers to settings `p: [B, P]`, over the pairs with an effect; `clean: [B]` pairs have no settings.

    The mean squared error of one answer; of several, the mean negative log likelihood of the settings, for each parameter.
    """
    if found.p.shape[1] == 1:
        return settings_error(found.chosen(), p, clean)
    off = (p[:, None] - found.p) * torch.exp(-found.spread)
    density = found.likely - (off.square() / 2 + found.spread).sum(dim=2)
    return -(density.logsumexp(dim=1) * (1 - clean)).sum() / (1 - clean).sum().clamp_min(1) / p.shape[1]


class SettingsStage(Stage):
    """Learn the known settings of pairs. Needs no render, so thousands of pairs take seconds."""

    name, monitor = "settings", "settings/validation"

    def __init__(
        self, controller: Controller, train: Embedded, validation: Embedded, *, epochs: int, batch: int, rate: float, seed: int
    ) -> None:
        super().__init__(seed)
        self.controller = controller
        self._train, self._validation = train, validation
        self._epochs, self._batch, self._rate = epochs, batch, rate

    def train_dataloader(self) -> Any:
        return loader(list(self.shuffled(len(self._train.p), self._batch)))

    def val_dataloader(self) -> Any:
        return loader([0])

    def configure_optimizers(self) -> Any:
        optimiser = torch.optim.AdamW(self.controller.parameters(), self._rate, weight_decay=1e-3)
        steps = self._epochs * max(1, len(self._train.p) // self._batch)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, self._rate, total_steps=steps + 1)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, rows: Tensor, batch_idx: int) -> Tensor:
        found = self.controller.candidates(*(e.to(self.device) for e in self._train.draws(rows)))
        error = candidates_error(found, self._train.p[rows].to(found.p), self._train.clean[rows].to(found.p))
        self.log("settings/train", error, on_step=False, on_epoch=True, batch_size=1)
        return error

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        data = self._validation
        found = self.controller.candidates(*(e.to(self.device) for e in data.means()))
        self.log(self.monitor, candidates_error(found, data.p.to(found.p), data.clean.to(found.p)), batch_size=1)
        self.log("settings/explained", explained(found.mean().cpu(), data.p, data.clean).mean(), batch_size=1)
