"""How the controller of an effect is trained: on the settings of pairs first, then on the sound, through the effect itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor

from blackbox_grad_adapters.style_matching.controller import PRESETS, Controller
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.encoder import Encoder
from blackbox_grad_adapters.style_matching.encoder_training import settings_error
from blackbox_grad_adapters.style_matching.features import HeardPair, heard
from blackbox_grad_adapters.style_matching.loggers import add_audio
from blackbox_grad_adapters.style_matching.pairs import Pair, PairDataset
from blackbox_grad_adapters.style_matching.shards import PairShards
from blackbox_grad_adapters.style_matching.spectral_loss import SIZES, distance, multi_resolution_stft, spectra
from blackbox_grad_adapters.style_matching.training import Fitted, OnEpoch, Stage, explained, fit, loader

#: Of the gradient of the sound's distance: small differences of it say little where a setting moves phase.
ESTIMATOR = "spsa:samples=2,sides=1,directions=orthogonal,step=0.05"

#: Of the spectra that are trained on: the smallest and the largest cost time and change little.
_SIZES = SIZES[1:-1]


@dataclass(frozen=True)
class Embedded:
    """Pairs as the frozen encoder embeds them: means `[N, D]` and log variances of both recordings, `p: [N, P]`, `clean: [N]`."""

    input: tuple[Tensor, Tensor]
    reference: tuple[Tensor, Tensor]
    p: Tensor
    clean: Tensor

    def means(self) -> tuple[Tensor, Tensor]:
        return self.input[0], self.reference[0]

    def draws(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings drawn from their posteriors: a controller that hears no more than they say cannot learn pairs by heart."""
        first, second = (
            mean[rows] + torch.randn_like(mean[rows]) * torch.exp(s[rows] / 2) for mean, s in (self.input, self.reference)
        )
        return first, second


def embedded(encoder: Encoder, pairs: HeardPair) -> Embedded:
    """Heard pairs, embedded."""

    def of(part: Tensor) -> tuple[Tensor, Tensor]:
        found = [encoder.posterior(encoder.standardised(rows.float())) for rows in part.split(256)]
        means, spreads = zip(*found, strict=True)
        return torch.cat(means), torch.cat(spreads)

    with torch.no_grad():
        return Embedded(of(pairs["input"]), of(pairs["reference"]), pairs["p"], pairs["clean"])


class SettingsStage(Stage):
    """Learn the settings of pairs, which are known. Needs no render, so thousands of pairs take seconds."""

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
        found = self.controller(*(e.to(self.device) for e in self._train.draws(rows)))
        error = settings_error(found, self._train.p[rows].to(found), self._train.clean[rows].to(found))
        self.log("settings/train", error, on_step=False, on_epoch=True, batch_size=1)
        return error

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        data = self._validation
        found = self.controller(*(e.to(self.device) for e in data.means())).cpu()
        self.log(self.monitor, settings_error(found, data.p, data.clean.to(found)), batch_size=1)
        self.log("settings/explained", explained(found, data.p, data.clean).mean(), batch_size=1)


class AudioStage(Stage):
    """Learn to sound like the truth: its spectral distance, and its gradient estimated from renders of the effect.

    A setting that cannot be heard from the reference is now answered with the value that does the least harm.

    Args:
        path: the effect.
        pairs: with audio; the first rows of `train` are what the encoder says about them.
        judged: pairs to validate on, a batch, the first rows of `validation`.
        waveform: weight of the mean absolute difference of samples, beside the spectral distance.
    """

    name, monitor = "audio", "audio/ratio"

    def __init__(
        self,
        controller: Controller,
        path: EffectPath,
        pairs: PairShards[Pair],
        train: Embedded,
        judged: Pair,
        validation: Embedded,
        *,
        epochs: int,
        batch: int,
        steps: int,
        rate: float,
        waveform: float,
        seed: int,
    ) -> None:
        super().__init__(seed)
        self.controller = controller
        self._path, self._pairs, self._train = path, pairs, train
        self._judged, self._validation = judged, validation
        self._epochs, self._batch, self._steps, self._rate, self._waveform = epochs, batch, steps, rate, waveform
        self.dry = float(multi_resolution_stft(judged["input"], judged["truth"]).mean().clamp_min(1e-9))

    def train_dataloader(self) -> Any:
        return loader(list(self.shuffled(len(self._pairs), self._batch)[: self._steps]))

    def val_dataloader(self) -> Any:
        return loader([0])

    def configure_optimizers(self) -> Any:
        optimiser = torch.optim.AdamW(self.controller.parameters(), self._rate, weight_decay=1e-3)
        steps = self._epochs * min(self._steps, max(1, len(self._pairs) // self._batch))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)  # gradients are noisy: the end averages them
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, rows: Tensor, batch_idx: int) -> Tensor:
        pairs = self.sounds(rows)
        p = self.controller(*(e.to(self.device) for e in self._train.draws(rows)))
        truth = pairs["truth"].to(self.device)

        def far(y: Tensor, truth: Tensor, *wanted: Tensor) -> Tensor:
            return distance(y, *wanted, sizes=_SIZES) + self._waveform * (y - truth).abs().mean(dim=(1, 2))

        loss = self._path.loss(pairs["input"].to(self.device), p, far, truth, *spectra(truth, _SIZES))
        self.log("audio/train", loss.detach(), on_step=True, on_epoch=True, batch_size=len(rows))
        return loss

    def sounds(self, rows: Tensor) -> Pair:
        """A batch of pairs, by their numbers."""
        batch: Pair = torch.utils.data.default_collate([self._pairs[i] for i in rows.tolist()])
        return batch

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        p, y = self.answer()
        self.log(self.monitor, self.ratio(y), batch_size=1)
        data, count = self._validation, len(p)
        self.log("audio/settings", settings_error(p, data.p[:count], data.clean[:count].to(p)), batch_size=1)
        for name, value in zip(self._path.names, p.mean(dim=0), strict=True):
            self.log(f"parameters/{name}", value, batch_size=1)

    def on_validation_epoch_end(self) -> None:
        """Some of the pairs, to listen to while it trains."""
        judged = self._judged
        _, y = self.answer(3)
        for i, match in enumerate(y):
            sounds = {"match": match}
            if self.current_epoch == 0:
                sounds |= {"input": judged["input"][i], "reference": judged["reference"][i], "truth": judged["truth"][i]}
            for name, audio in sounds.items():
                add_audio(self.loggers, f"{i}/{name}", audio, self.current_epoch, self.global_step, self._path.sample_rate)

    def ratio(self, y: Tensor | None = None) -> float:
        """Mean distance to the truth of `y`, by default the controller's, over that of the dry input."""
        y = self.answer()[1] if y is None else y
        return float(multi_resolution_stft(y, self._judged["truth"]).mean()) / self.dry

    def answer(self, count: int | None = None) -> tuple[Tensor, Tensor]:
        """Settings for the first pairs to validate on, `[B, P]`, and the sound with them, `[B, C, T]`."""
        x = self._judged["input"][:count]
        with torch.no_grad():
            e_input, e_reference = (e[: len(x)].to(self.device) for e in self._validation.means())
            p = self.controller(e_input, e_reference).cpu()
            return p, self._path(x, p)


@dataclass(frozen=True)
class Plan:
    """How much is trained, and how.

    Attributes:
        pairs: that the first stage learns from.
        sounds: of these, that the second one renders.
        judged: pairs to validate on by their sound; four times as many by their settings.
        settings_epochs, settings_batch, settings_rate: of the first stage; 0 epochs leave it out.
        audio_epochs, audio_steps, audio_batch, audio_rate: of the second; an epoch is so many steps.
        patience: epochs of the second stage without a better one after which it ends.
        waveform: see `AudioStage`.
        widths: of the controller's layers.
        seed: of everything random but the pairs.
    """

    pairs: int = 2048
    sounds: int = 512
    judged: int = 64
    settings_epochs: int = 12
    settings_batch: int = 64
    settings_rate: float = 2e-3
    audio_epochs: int = 10
    audio_steps: int = 20
    audio_batch: int = 16
    audio_rate: float = 3e-4
    patience: int = 4
    waveform: float = 1.0
    widths: tuple[int, ...] = PRESETS["small"]
    seed: int = 0


@dataclass(frozen=True)
class Trained:
    """What `train_controller` made.

    Attributes:
        controller: the best one, ready to answer.
        path: its effect.
        stages: what happened, by the stages' names.
        results: distances to the truth divided by that of the dry input, on the pairs to validate on: "ratio" of the controller,
            "ratio after settings" before its second stage, "ratio of the middle" of all settings at 0.5; and by parameter the mean
            "error" and, where settings are random, the "explained" share of their variance.
        examples: the pairs to validate on.
        p, y: what the controller makes of them, `[B, P]` and `[B, C, T]`.
        fixed: all pairs have the same settings.
        interrupted: Ctrl-C ended it.
    """

    controller: Controller
    path: EffectPath
    stages: dict[str, Fitted]
    results: dict[str, Any]
    examples: Pair
    p: Tensor
    y: Tensor
    fixed: bool
    interrupted: bool


def train_controller(
    train: PairDataset,
    validation: PairDataset,
    encoder: Encoder,
    folder: Path,
    plan: Plan,
    *,
    caches: Path | None = None,
    on_epoch: OnEpoch | None = None,
    on_progress: Any = None,
    loggers: Sequence[Logger] = (),
) -> Trained:
    """Train the controller of an effect. What was stopped goes on when called again with the same arguments.

    Args:
        train, validation: pairs of the effect, from recordings of which no group is on both sides.
        encoder: frozen.
        folder: of checkpoints.
        caches: of pairs; the user's cache folder by default.
        on_epoch, loggers: see `fit`.
        on_progress: called while pairs are rendered, as `PairShards.build` does.
    """
    path = EffectPath(train.path.spec, host=train.path.effect.host, estimator=ESTIMATOR)
    torch.manual_seed(plan.seed)
    controller = Controller(encoder.latent, path.size, plan.widths)
    learnt = embedded(encoder, heard(train, encoder, plan.pairs, caches, on_progress=on_progress))
    known = embedded(encoder, heard(validation, encoder, 4 * plan.judged, caches, on_progress=on_progress))
    judged: Pair = torch.utils.data.default_collate([validation.pair(i) for i in range(plan.judged)])
    stages: dict[str, Fitted] = {}

    first = SettingsStage(
        controller,
        learnt,
        known,
        epochs=plan.settings_epochs,
        batch=plan.settings_batch,
        rate=plan.settings_rate,
        seed=plan.seed,
    )
    if plan.settings_epochs:
        stages[first.name] = fit(first, folder / first.name, epochs=plan.settings_epochs, on_epoch=on_epoch, loggers=loggers)
    interrupted = any(fitted.interrupted for fitted in stages.values())

    sounds: PairShards[Pair] = PairShards(train, min(plan.sounds, plan.pairs), caches)
    second = AudioStage(
        controller,
        path,
        sounds,
        learnt,
        judged,
        known,
        epochs=plan.audio_epochs,
        batch=plan.audio_batch,
        steps=plan.audio_steps,
        rate=plan.audio_rate,
        waveform=plan.waveform,
        seed=plan.seed,
    )
    controller.eval()
    before, weights = second.ratio(), {name: weight.clone() for name, weight in controller.state_dict().items()}
    if plan.audio_epochs and not interrupted:
        sounds.build(0, on_progress)
        fitted = fit(
            second,
            folder / second.name,
            epochs=plan.audio_epochs,
            patience=plan.patience,
            on_epoch=on_epoch,
            loggers=loggers,
        )
        stages[second.name], interrupted = fitted, fitted.interrupted
        if not fitted.best(second.monitor).get(second.monitor, before) < before:
            controller.load_state_dict(weights)  # it only did harm
    controller.eval().requires_grad_(False)
    p, y = second.answer()
    found = controller(*known.means())
    middle = path(judged["input"], torch.full_like(p, 0.5))
    results: dict[str, Any] = {
        "ratio": second.ratio(),
        "ratio after settings": before,
        "ratio of the middle": second.ratio(middle),
        "error": dict(zip(path.names, (found - known.p)[~known.clean].abs().mean(dim=0).tolist(), strict=True)),
    }
    if train.settings is None:
        results["explained"] = dict(zip(path.names, explained(found, known.p, known.clean).tolist(), strict=True))
    return Trained(controller, path, stages, results, judged, p, y, train.settings is not None, interrupted)
