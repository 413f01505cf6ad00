"""The training of the encoder: as a β-VAE on several effects, whose latent also predicts their settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor, nn

from blackbox_grad_adapters.style_matching.networks.controller import Controller
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder, annealed
from blackbox_grad_adapters.style_matching.training.features import HeardPair
from blackbox_grad_adapters.style_matching.training.stage import Fitted, OnEpoch, Stage, explained, fit, loader


class EncoderStage(Stage):
    """The VAE's error and divergence, and the error of settings that one readout per effect predicts from latent samples.

    The readouts keep information about settings in the latent, even if it is a small part of the features: the place of an echo is
    one peak among hundreds of numbers. They are discarded after the training.

    Args:
        encoder: already standardised.
        train, validation: the pairs' representations of each effect, in the same order.
        beta: weight of the divergence, for each feature; annealed.
        settings: weight of the error of settings.
    """

    name, monitor = "encoder", "validation/loss"

    def __init__(
        self,
        encoder: Encoder,
        train: Sequence[HeardPair],
        validation: Sequence[HeardPair],
        *,
        epochs: int,
        beta: float,
        settings: float,
        batch: int,
        rate: float,
        seed: int,
    ) -> None:
        super().__init__(seed)
        self.encoder = encoder
        self.readouts = nn.ModuleList(Controller(encoder.latent, pairs["p"].shape[1], (128,), 0.1) for pairs in train)
        self._train, self._validation = train, validation
        self._epochs, self._beta, self._weight, self._batch, self._rate = epochs, beta, settings, batch, rate

    def train_dataloader(self) -> Any:
        batches = [
            (effect, rows)
            for effect, pairs in enumerate(self._train)
            for rows in self.shuffled(len(pairs["clean"]), self._batch, effect + 1)
        ]
        (order,) = self.shuffled(len(batches), len(batches))
        return loader([batches[i] for i in order.tolist()])

    def val_dataloader(self) -> Any:
        return loader([(effect, torch.arange(len(pairs["clean"]))) for effect, pairs in enumerate(self._validation)])

    def configure_optimizers(self) -> Any:
        optimiser = torch.optim.AdamW(self.parameters(), self._rate, weight_decay=0.05)
        steps = self._epochs * sum(max(1, len(pairs["clean"]) // self._batch) for pairs in self._train)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, self._rate, total_steps=steps + 1)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: tuple[int, Tensor], batch_idx: int) -> Tensor:
        error, divergence, settings, _ = self._heard(self._train, *batch)
        annealing = annealed((self.current_epoch + batch_idx / max(1, self.trainer.num_training_batches)) / self._epochs)
        self.log_dict(
            {"train/reconstruction": error, "train/divergence": divergence}, on_step=False, on_epoch=True, batch_size=1
        )
        return self._loss(error, divergence, settings, annealing)

    def validation_step(self, batch: tuple[int, Tensor], batch_idx: int) -> None:
        error, divergence, settings, found = self._heard(self._validation, *batch)
        pairs = self._validation[batch[0]]
        values = {
            self.monitor: self._loss(error, divergence, settings),
            "validation/reconstruction": error,
            "validation/divergence": divergence,
            "validation/settings": settings,
            "validation/explained": explained(found, pairs["p"].to(found), pairs["clean"].to(found.device)).clamp_min(0).mean(),
        }
        self.log_dict(values, on_epoch=True, batch_size=1)

    def _heard(self, data: Sequence[HeardPair], effect: int, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Error, divergence, squared error of the settings, and the settings."""
        pairs = data[effect]
        both = torch.cat([pairs["input"][rows], pairs["reference"][rows]]).to(self.device, torch.float32)
        drawn, error, divergence = self.encoder.losses(self.encoder.standardised(both))
        found = self.readouts[effect](*drawn.chunk(2))
        return error, divergence, settings_error(found, pairs["p"][rows].to(found), pairs["clean"][rows].to(found)), found

    def _loss(self, error: Tensor, divergence: Tensor, settings: Tensor, annealing: float = 1.0) -> Tensor:
        size = self.encoder.representation.shape.numel()
        return error / 2 + self._beta * annealing * divergence / size + self._weight * settings


def settings_error(found: Tensor, p: Tensor, clean: Tensor) -> Tensor:
    """Mean squared error of `[B, P]` over the pairs with an effect; clean pairs have no settings."""
    return ((found - p).square().mean(dim=1) * (1 - clean)).sum() / (1 - clean).sum().clamp_min(1)


def train_encoder(
    encoder: Encoder,
    train: Sequence[HeardPair],
    validation: Sequence[HeardPair],
    folder: Path,
    *,
    epochs: int = 30,
    beta: float = 0.05,
    settings: float = 5.0,
    batch: int = 64,
    rate: float = 2e-3,
    seed: int = 0,
    on_epoch: OnEpoch | None = None,
    loggers: Sequence[Logger] = (),
) -> tuple[Encoder, Fitted]:
    """Train it. The result has the best weights and is frozen."""
    enough = 1000  # per effect
    encoder.standardise(torch.cat([part[:enough] for pairs in train for part in (pairs["input"], pairs["reference"])]))
    dry = [(pairs["input"][pairs["clean"]], pairs["reference"][pairs["clean"]]) for pairs in train]
    encoder.compare(*(torch.cat(parts) for parts in zip(*dry, strict=True)))
    stage = EncoderStage(
        encoder, train, validation, epochs=epochs, beta=beta, settings=settings, batch=batch, rate=rate, seed=seed
    )
    fitted = fit(stage, folder, epochs=epochs, on_epoch=on_epoch, loggers=loggers)
    return encoder.eval().requires_grad_(False), fitted
