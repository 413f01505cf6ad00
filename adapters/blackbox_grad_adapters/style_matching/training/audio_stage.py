"""The second stage: the controller learns through the plug-in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from blackbox_grad_adapters.style_matching.data.pairs import Pair
from blackbox_grad_adapters.style_matching.data.shards import PairShards
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.measures.style_loss import StyleLoss
from blackbox_grad_adapters.style_matching.networks.controller import Candidates, Controller
from blackbox_grad_adapters.style_matching.training.encoder_training import settings_error
from blackbox_grad_adapters.style_matching.training.loggers import add_audio
from blackbox_grad_adapters.style_matching.training.settings_stage import Embedded
from blackbox_grad_adapters.style_matching.training.stage import Stage, loader

#: All answers are rendered for one in so many items.
_TOLD_APART = 4


class AudioStage(Stage):
    """Learn to sound like the truth, as the judges hear it: their distances, the gradient estimated from renders of the effect.

    If the reference does not reveal a setting, the controller now answers the value that does the least harm. A controller with
    several answers learns which of them sounds best: one of them, drawn as they are likely, goes through the gradient, and all of
    them are rendered for some items, so that those that sound worse become less likely.

    Args:
        path: the effect.
        pairs: with audio; the first rows of `train` are their embeddings.
        judged: validation pairs, a batch, the first rows of `validation`.
        weights: of the distances, by name; see `StyleLoss`.
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
        weights: Mapping[str, float],
        seed: int,
    ) -> None:
        super().__init__(seed)
        self.controller = controller
        self._path, self._pairs, self._train = path, pairs, train
        self._judged, self._validation = judged, validation
        self._epochs, self._batch, self._steps, self._rate = epochs, batch, steps, rate
        self.loss = StyleLoss(path.sample_rate, weights).relative_to(judged["input"], judged["truth"])
        self._goal = self.loss.targets(judged["input"], judged["truth"])

    def train_dataloader(self) -> Any:
        return loader(self.in_turn(len(self._pairs), self._batch, self._steps))

    def val_dataloader(self) -> Any:
        return loader([0])

    def configure_optimizers(self) -> Any:
        optimiser = torch.optim.AdamW(self.controller.parameters(), self._rate, weight_decay=1e-3)
        steps = self._epochs * min(self._steps, max(1, len(self._pairs) // self._batch))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)  # gradients are noisy: the end averages them
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, rows: Tensor, batch_idx: int) -> Tensor:
        pairs = self.sounds(rows)
        found = self.controller.candidates(*(e.to(self.device) for e in self._train.draws(rows)))
        x, truth = (pairs[name].to(self.device) for name in ("input", "truth"))
        targets = self.loss.targets(x, truth)
        loss = self._path.loss(x, found.of(_drawn(found)), self.loss, *targets)
        if self.controller.answers > 1:
            some = slice(0, max(1, len(rows) // _TOLD_APART))
            loss = loss + self._expected(Candidates(*(part[some] for part in found)), x[some], [t[some] for t in targets])
        self.log("audio/train", loss.detach(), on_step=True, on_epoch=True, batch_size=len(rows))
        return loss

    def _expected(self, found: Candidates, x: Tensor, targets: list[Tensor]) -> Tensor:
        """The mean loss over all answers, each as often as it is likely; its gradient is that of the probabilities."""
        count = self.controller.answers
        with torch.no_grad():
            y = self._path(x.repeat_interleave(count, dim=0), found.p.detach().flatten(0, 1))
            losses = self.loss(y, *(t.repeat_interleave(count, dim=0) for t in targets)).unflatten(0, (-1, count))
        expected: Tensor = (found.likely.exp() * losses).sum(dim=1).mean()
        return expected

    def sounds(self, rows: Tensor) -> Pair:
        """A batch of pairs, by their numbers."""
        batch: Pair = torch.utils.data.default_collate([self._pairs[i] for i in rows.tolist()])
        return batch

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        p, y = self.answer()
        ratios = self.ratios(y)
        self.log(self.monitor, self.loss.mean(ratios), batch_size=1)
        for name, ratio in ratios.items():
            self.log(f"judges/{name}", ratio, batch_size=1)
        data, count = self._validation, len(p)
        self.log("audio/settings", settings_error(p, data.p[:count], data.clean[:count].to(p)), batch_size=1)
        for name, value in zip(self._path.names, p.mean(dim=0), strict=True):
            self.log(f"parameters/{name}", value, batch_size=1)

    def on_validation_epoch_end(self) -> None:
        """Some of the pairs, to listen to during the training."""
        judged = self._judged
        _, y = self.answer(3)
        for i, match in enumerate(y):
            sounds = {"match": match}
            if self.current_epoch == 0:
                sounds |= {"input": judged["input"][i], "reference": judged["reference"][i], "truth": judged["truth"][i]}
            for name, audio in sounds.items():
                add_audio(self.loggers, f"{i}/{name}", audio, self.current_epoch, self.global_step, self._path.sample_rate)

    def ratios(self, y: Tensor) -> dict[str, float]:
        """By distance, its mean from `y` to the truth, divided by that of the dry input."""
        terms = self.loss.terms(y, *self._goal)
        return {name: float(distance.mean()) / self.loss.dry[name] for name, distance in terms.items()}

    def judged(self, y: Tensor) -> Tensor:
        """`[B]`: the mean distance of each `y` of the validation pairs from the truth; 1 is about the dry input's."""
        terms = self.loss.terms(y, *self._goal)
        return self.loss.judged({name: distance / self.loss.dry[name] for name, distance in terms.items()})

    def answer(self, count: int | None = None) -> tuple[Tensor, Tensor]:
        """Settings for the first validation pairs, `[B, P]`, and the audio rendered at them, `[B, C, T]`."""
        x = self._judged["input"][:count]
        with torch.no_grad():
            e_input, e_reference = (e[: len(x)].to(self.device) for e in self._validation.means())
            p = self.controller(e_input, e_reference).cpu()
            return p, self._path(x, p)


def _drawn(found: Candidates) -> Tensor:
    """`[B]`: the number of an answer for each item, drawn as they are likely."""
    return torch.multinomial(found.likely.detach().exp(), 1)[:, 0]
