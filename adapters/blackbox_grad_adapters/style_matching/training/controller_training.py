"""The training of an effect's controller: first on the settings of pairs, then on the sound, through the effect itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor

from blackbox_grad_adapters.style_matching.data.pairs import Pair, PairDataset
from blackbox_grad_adapters.style_matching.data.shards import PairShards
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.measures.style_loss import DISTANCES, MISSED
from blackbox_grad_adapters.style_matching.networks.controller import PRESETS, Controller
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder
from blackbox_grad_adapters.style_matching.training.audio_stage import AudioStage
from blackbox_grad_adapters.style_matching.training.features import heard
from blackbox_grad_adapters.style_matching.training.settings_stage import SettingsStage, embedded
from blackbox_grad_adapters.style_matching.training.stage import Fitted, OnEpoch, explained, fit
from blackbox_grad_adapters.style_matching.training.verdict import verdict

#: Called with what is rendered, the number of shards that exist, and their total.
OnProgress = Callable[[str, int, int], None]

#: Estimator of the gradient of the sound's distance: small differences say little if a setting moves phase.
ESTIMATOR = "spsa:samples=2,sides=1,directions=orthogonal,step=0.05"


@dataclass(frozen=True)
class Plan:
    """The amount and the options of a training.

    Attributes:
        pairs: number of pairs that the first stage learns from.
        takes: pairs in a row with one excerpt; see `PairDataset`. Pairs of fixed settings have one each.
        sounds: number of these that the second stage renders.
        judged: number of pairs for validation by sound; four times as many for validation by settings.
        settings_epochs, settings_batch, settings_rate: of the first stage; 0 epochs skip it.
        audio_epochs, audio_steps, audio_batch, audio_rate: of the second stage; an epoch has `audio_steps` steps.
        patience: the second stage ends after this many epochs without improvement.
        weights: of the distances that the second stage learns from; see `StyleLoss`.
        widths: of the controller's layers.
        answers: of the controller, if settings are random.
        seed: of everything random but the pairs.
    """

    pairs: int = 2048
    takes: int = 4
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
    weights: Mapping[str, float] = field(default_factory=lambda: {**dict.fromkeys(DISTANCES, 1.0), MISSED: 3.0})
    widths: tuple[int, ...] = PRESETS["small"]
    answers: int = 6
    seed: int = 0


@dataclass(frozen=True)
class Trained:
    """The result of `train_controller`.

    Attributes:
        controller: the best one, in evaluation mode.
        path: its effect.
        stages: the history of each stage, by name.
        results: on the validation pairs, distances to the truth divided by that of the dry input, averaged over the judges: "ratio"
            of the controller, "ratio after settings" before its second stage, "ratio of the middle" with all settings at 0.5; and
            "judges", the controller's by each distance that it learnt from. By parameter, the mean
            "error" and, for random settings, the "explained" share of their variance. "learnt" and "chance": see `verdict`.
        examples: the validation pairs.
        p, y: the controller's settings for them and the renders, `[B, P]` and `[B, C, T]`.
        fixed: all pairs have the same settings.
        interrupted: Ctrl-C or SIGTERM ended it.
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
    on_progress: OnProgress | None = None,
    loggers: Sequence[Logger] = (),
) -> Trained:
    """Train the controller of an effect. If it was stopped, a call with the same arguments continues.

    Args:
        train, validation: pairs of the effect, from recordings without a common group.
        encoder: frozen.
        folder: for checkpoints.
        caches: folder of the pairs; the user's cache folder by default.
        on_epoch, loggers: see `fit`.
        on_progress: called during the rendering of pairs, with what is rendered, and then as in `PairShards.build`. After the
            first stage it may raise `KeyboardInterrupt`: the training ends with the weights of that stage.
    """
    path = EffectPath(train.path.spec, host=train.path.effect.host, estimator=ESTIMATOR)
    torch.manual_seed(plan.seed)
    fixed = train.settings is not None
    controller = Controller(encoder.latent, path.size, plan.widths, answers=1 if fixed else plan.answers)
    learnt = embedded(encoder, heard(train, encoder, plan.pairs, caches, on_progress=_of("pairs to learn from", on_progress)))
    judging = _of("pairs to validate on", on_progress)
    known = embedded(encoder, heard(validation, encoder, 4 * plan.judged, caches, on_progress=judging))
    judged: Pair = torch.utils.data.default_collate([validation.pair(i) for i in range(plan.judged)])
    if on_progress is not None:
        on_progress("sounds to validate on", 1, 1)
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
        weights=plan.weights,
        seed=plan.seed,
    )
    controller.eval()
    _, y = second.answer()
    loss_before, ratio_before = second.loss.mean(second.ratios(y)), float(second.judged(y).mean())
    weights = {name: weight.clone() for name, weight in controller.state_dict().items()}
    if plan.audio_epochs and not interrupted:
        try:
            sounds.build(0, _of("sounds to learn from", on_progress))
        except KeyboardInterrupt:
            if not stages:
                raise
            interrupted = True  # the first stage's weights are kept
    if plan.audio_epochs and not interrupted:
        fitted = fit(
            second,
            folder / second.name,
            epochs=plan.audio_epochs,
            patience=plan.patience,
            on_epoch=on_epoch,
            loggers=loggers,
        )
        stages[second.name], interrupted = fitted, fitted.interrupted
        if not fitted.best(second.monitor).get(second.monitor, loss_before) < loss_before:
            controller.load_state_dict(weights)  # the second stage only did harm
    controller.eval().requires_grad_(False)
    p, y = second.answer()
    answers = controller.candidates(*known.means())
    found, mean = answers.chosen(), answers.mean()
    middle = path(judged["input"], torch.full_like(p, 0.5))
    far = {name: second.judged(a) for name, a in (("sound", y), ("middle", middle), ("dry", judged["input"]))}
    results: dict[str, Any] = {
        "ratio": float(far["sound"].mean()),
        "judges": second.ratios(y),
        "ratio after settings": ratio_before,
        "ratio of the middle": float(far["middle"].mean()),
        "error": dict(zip(path.names, (found - known.p)[~known.clean].abs().mean(dim=0).tolist(), strict=True)),
    }
    if not fixed:
        results["explained"] = dict(zip(path.names, explained(mean, known.p, known.clean).tolist(), strict=True))
    results |= verdict(mean, known.p, known.clean, **far, fixed=fixed)
    return Trained(controller, path, stages, results, judged, p, y, fixed, interrupted)


def _of(what: str, on_progress: OnProgress | None) -> Callable[[int, int], None] | None:
    return None if on_progress is None else lambda done, total: on_progress(what, done, total)
