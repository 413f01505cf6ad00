"""The training of the style encoder: contrastive, with the effect, its settings and what it changed as further answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor, nn

from blackbox_grad_adapters.style_matching.data.style_examples import AUDIBLE
from blackbox_grad_adapters.style_matching.networks.style_encoder import StyleEncoder
from blackbox_grad_adapters.style_matching.training.stage import Fitted, OnEpoch, Stage, fit, loader


@dataclass(frozen=True)
class StyleExamples:
    """`N` settings of all effects, each on two recordings.

    Attributes:
        features: `[N, 2, F] float16`, of the wet recordings.
        dry: `[N, 2]`, numbers of the rows of `pool`.
        change: `[N, 2]`, how much of the energy the effect changed.
        effect: `[N]`, its number below `E`.
        p: `[N, P]`, the settings; an effect with fewer parameters has zeros at the end.
        sizes: `[E]`, the numbers of parameters.
        pool: `[K, F] float16`, the features of the dry recordings.
    """

    features: Tensor
    dry: Tensor
    change: Tensor
    effect: Tensor
    p: Tensor
    sizes: Tensor
    pool: Tensor


@dataclass(frozen=True)
class StylePlan:
    """How it is trained.

    Attributes:
        epochs: passes through the training set.
        batch: settings in a batch, `together` of one effect at a time, so that each has its effect's other settings as negatives.
        temperature: of the contrastive loss.
        exchange: the most of a dry recording's features that is exchanged for another's, at random. Where an effect adds to
            features, as a filter does to levels, this is another recording through the same effect.
        classes, settings, changes: weights of the other losses.
        rate: the highest learning rate.
    """

    epochs: int = 40
    batch: int = 256
    together: int = 4
    temperature: float = 0.1
    exchange: float = 0.6
    classes: float = 0.5
    settings: float = 1.0
    changes: float = 0.25
    rate: float = 1.5e-3
    seed: int = 0


class StyleStage(Stage):
    """Four losses of an embedding `z`:

    - two recordings through the same effect at the same settings are nearer than all others of the batch: NT-Xent (T. Chen et al.,
      "A simple framework for contrastive learning of visual representations", ICML 2020, arXiv:2002.05709);
    - which effect it was, or none, by the cosine to a direction for each. Settings at which an effect changed nothing are "none",
      and so are some dry recordings;
    - how it was set: a linear readout for each effect;
    - what it changed: the difference between the features of the wet and of the dry recording. It also teaches what effects that
      are not in the training have in common with those that are.

    The readouts are discarded after the training.
    """

    name, monitor = "style-encoder", "validation/loss"

    def __init__(self, encoder: StyleEncoder, train: StyleExamples, validation: StyleExamples, plan: StylePlan) -> None:
        super().__init__(plan.seed)
        self.encoder, self.plan = encoder, plan
        self._train, self._validation = train, validation
        effects, most, size = len(train.sizes), train.p.shape[1], train.pool.shape[1]
        self.directions = nn.Parameter(0.1 * torch.randn(effects + 1, encoder.latent))
        self.readouts = nn.Parameter(torch.zeros(effects, most, encoder.latent))
        self.middles = nn.Parameter(torch.full((effects, most), 0.5))
        self.changes = nn.Sequential(nn.Linear(encoder.latent, 256), nn.GELU(), nn.Linear(256, size))

    def train_dataloader(self) -> Any:
        return loader(self._batches(self._train.effect, self.current_epoch))

    def val_dataloader(self) -> Any:
        return loader(self._batches(self._validation.effect, 0))

    def _batches(self, effect: Tensor, salt: int) -> list[Tensor]:
        """Full batches of groups of one effect, in a random order."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + salt)
        groups: list[Tensor] = []
        for number in effect.unique().tolist():
            rows = (effect == number).nonzero()[:, 0]
            rows = rows[torch.randperm(len(rows), generator=generator)]
            groups += [part for part in rows.split(self.plan.together) if len(part) == self.plan.together]
        order = torch.randperm(len(groups), generator=generator).tolist()
        per = max(1, min(self.plan.batch // self.plan.together, len(groups)))
        return [torch.cat([groups[i] for i in order[k : k + per]]) for k in range(0, len(order) - per + 1, per)]

    def configure_optimizers(self) -> Any:
        optimiser = torch.optim.AdamW(self.parameters(), self.plan.rate, weight_decay=0.05)
        steps = self.plan.epochs * len(self._batches(self._train.effect, 0))
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, self.plan.rate, total_steps=steps + 1)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        losses = self._losses(self._train, batch, augmented=True)
        self.log_dict({f"train/{name}": loss for name, loss in losses.items()}, on_step=False, on_epoch=True, batch_size=1)
        return losses["loss"]

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        losses = self._losses(self._validation, batch, augmented=False)
        self.log_dict({f"validation/{name}": loss for name, loss in losses.items()}, on_epoch=True, batch_size=1)

    def _losses(self, data: StyleExamples, rows: Tensor, augmented: bool) -> dict[str, Tensor]:
        plan, effects = self.plan, len(data.sizes)
        wet = data.features[rows].flatten(0, 1).to(self.device, torch.float32)  # [2N, F], both recordings of a setting
        dry = data.pool[data.dry[rows].flatten()].to(wet)
        effect = data.effect[rows].repeat_interleave(2).to(self.device)
        audible = (data.change[rows].flatten() > AUDIBLE).to(self.device)
        change = (self.encoder.standardised(wet) - self.encoder.standardised(dry)).detach()
        few = dry[:: 2 * plan.together]
        heard = torch.cat([wet, few])
        if augmented:
            other = dry[torch.randperm(len(dry), device=dry.device)]
            share = plan.exchange * torch.rand(len(dry), 1, device=dry.device)
            heard = self._one_channel(torch.cat([wet + share * (other - dry), few]))
        z = self.encoder.embed(heard)
        z_wet = z[: len(wet)]
        apart = z_wet @ z_wet.T / plan.temperature
        apart = apart.masked_fill(torch.eye(len(apart), dtype=torch.bool, device=apart.device), -1e4)
        partner = torch.arange(len(apart), device=apart.device) ^ 1
        contrast = nn.functional.cross_entropy(apart, partner, reduction="none")
        weight = audible.float() + 1e-6
        contrast = (contrast * weight).sum() / weight.sum()
        truth = torch.cat([torch.where(audible, effect, effects), torch.full((len(few),), effects, device=self.device)])
        scores = 12.0 * z @ nn.functional.normalize(self.directions, dim=1).T
        classes = nn.functional.cross_entropy(scores, truth, label_smoothing=0.05 if augmented else 0.0)
        p = data.p[rows].repeat_interleave(2, dim=0).to(z)
        found = torch.einsum("nd,npd->np", z_wet, self.readouts[effect]) * 4 + self.middles[effect]
        exists = (torch.arange(p.shape[1], device=self.device) < data.sizes.to(self.device)[effect][:, None]).float()
        exists = exists * audible[:, None]
        settings = ((found - p).square() * exists).sum() / exists.sum().clamp_min(1)
        changes = (self.changes(z_wet * 8) - change).square().mean()
        total = contrast + plan.classes * classes + plan.settings * settings + plan.changes * changes
        right = (scores[: len(wet)].argmax(dim=1) == truth[: len(wet)]).float().mean()
        return {
            "loss": total,
            "contrast": contrast.detach(),
            "classes": classes.detach(),
            "settings": settings.detach(),
            "changes": changes.detach(),
            "recognised": right,
        }

    def _one_channel(self, features: Tensor) -> Tensor:
        """A third of the rows as if the audio had one channel."""
        mono = self.encoder.mono.expand(len(features), -1)
        replaced = torch.cat([features[:, : -mono.shape[1]], mono], dim=1)
        return torch.where(torch.rand(len(features), 1, device=features.device) < 0.33, replaced, features)


def train_style_encoder(
    encoder: StyleEncoder,
    train: StyleExamples,
    validation: StyleExamples,
    folder: Path,
    plan: StylePlan,
    *,
    on_epoch: OnEpoch | None = None,
    loggers: Sequence[Logger] = (),
) -> tuple[StyleEncoder, Fitted]:
    """Train it. The result has the best weights and is frozen."""
    torch.manual_seed(plan.seed)
    every = max(1, len(train.features) // 4000)
    encoder.standardise(train.features[::every].flatten(0, 1))
    stage = StyleStage(encoder, train, validation, plan)
    fitted = fit(stage, folder, epochs=plan.epochs, on_epoch=on_epoch, loggers=loggers)
    return encoder.eval().requires_grad_(False), fitted
