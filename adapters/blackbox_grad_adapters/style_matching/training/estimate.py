"""How long a training will take: measured on a few pairs and steps of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch

from blackbox_grad_adapters.style_matching.data.pairs import Pair, PairDataset
from blackbox_grad_adapters.style_matching.data.shards import SIZE, PairShards
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.networks.controller import Controller
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder
from blackbox_grad_adapters.style_matching.training.audio_stage import AudioStage
from blackbox_grad_adapters.style_matching.training.controller_training import ESTIMATOR, Plan
from blackbox_grad_adapters.style_matching.training.encoder_training import EncoderStage
from blackbox_grad_adapters.style_matching.training.features import HeardPair, HeardPairs
from blackbox_grad_adapters.style_matching.training.remaining import Phase
from blackbox_grad_adapters.style_matching.training.settings_stage import SettingsStage, embedded
from blackbox_grad_adapters.style_matching.training.stage import Stage

#: Seconds that one rate is measured, and the most repetitions.
_BUDGET, _MOST = 1.5, 8

#: Pairs that the steps are measured on.
_PAIRS = 4


def of_controller(
    train: PairDataset, validation: PairDataset, encoder: Encoder, plan: Plan, caches: Path | None
) -> list[Phase]:
    """The phases of `train_controller`, without what lies in the cache. Raises what the rendering of pairs raises."""
    heard, judged = HeardPairs(train, encoder), HeardPairs(validation, encoder)
    per_heard, per_pair = _rate(heard.pair), _rate(train.pair)
    pairs: list[Pair] = [train.pair(i) for i in range(_PAIRS)]
    batch: Pair = torch.utils.data.default_collate(pairs)
    features: HeardPair = torch.utils.data.default_collate([heard.pair(i) for i in range(_PAIRS)])
    path = EffectPath(train.path.spec, host=train.path.effect.host, estimator=ESTIMATOR)
    controller, known = Controller(encoder.latent, path.size, plan.widths, answers=plan.answers), embedded(encoder, features)
    common = {"seed": plan.seed, "epochs": 1}
    first = SettingsStage(controller, known, known, batch=plan.settings_batch, rate=plan.settings_rate, **common)
    second = AudioStage(
        controller, path, cast("PairShards[Pair]", pairs), known, batch, known, batch=_PAIRS, steps=1, rate=plan.audio_rate,
        weights=plan.weights, **common,
    )  # fmt: skip
    rows = torch.arange(_PAIRS)
    many = rows.repeat(-(-plan.settings_batch // _PAIRS))[: plan.settings_batch]
    settings_step = _rate(lambda i: _step(first, many))
    audio_step = _rate(lambda i: _step(second, rows)) / _PAIRS * plan.audio_batch
    judging = _rate(lambda i: second.ratios(second.answer()[1])) / _PAIRS * plan.judged
    settings_steps, audio_steps = (
        plan.pairs // plan.settings_batch,
        min(plan.audio_steps, max(1, plan.sounds // plan.audio_batch)),
    )
    shards = [PairShards(HeardPairs(train, encoder), plan.pairs, caches), PairShards(judged, 4 * plan.judged, caches)]
    phases = [
        Phase("pairs to learn from", *_shards(shards[0], per_heard)),
        Phase("pairs to validate on", *_shards(shards[1], per_heard)),
        Phase("sounds to validate on", 1, plan.judged * per_pair),
        Phase("settings", plan.settings_epochs, settings_steps * settings_step),
    ]
    if plan.audio_epochs:
        sounds: PairShards[Pair] = PairShards(train, min(plan.sounds, plan.pairs), caches)
        phases.append(Phase("sounds to learn from", *_shards(sounds, per_pair)))
        phases.append(Phase("audio", plan.audio_epochs, audio_steps * audio_step + judging))
    return phases


def of_encoder(
    train: list[PairDataset], validation: list[PairDataset], encoder: Encoder, counts: tuple[int, int], epochs: int, batch: int,
    caches: Path | None,
) -> list[Phase]:  # fmt: skip
    """The phases of an encoder's training: pairs of each effect, by its address, for both sides, and epochs.

    Args:
        counts: of pairs of each effect, for training and for validation.
    """
    phases, features = [], []
    for parts in zip(train, validation, strict=True):
        heard = HeardPairs(parts[0], encoder)
        per_pair, address = _rate(heard.pair), parts[0].path.effect.spec.address
        features.append(torch.utils.data.default_collate([heard.pair(i) for i in range(_PAIRS)]))
        for data, count, what in zip(parts, counts, ("to learn from", "to validate on"), strict=True):
            shards = PairShards(HeardPairs(data, encoder), count, caches)
            phases.append(Phase(f"pairs {what} of {address}", *_shards(shards, per_pair)))
    stage = EncoderStage(encoder, features, features, epochs=1, beta=1.0, settings=1.0, batch=batch, rate=1e-3, seed=0)
    rows = torch.arange(_PAIRS).repeat(-(-batch // _PAIRS))[:batch]
    step = _rate(lambda i: stage._heard(features, 0, rows)[0].sum().backward())
    steps = len(train) * max(1, counts[0] // batch)
    return [*phases, Phase("encoder", epochs, step * (steps + len(train) * counts[1] / batch / 3))]


def _shards(shards: PairShards[Any], seconds: float) -> tuple[int, float]:
    """All shards, and the seconds of one, averaged over those that exist."""
    count = -(-shards.count // SIZE)
    return count, len(shards.missing()) / count * SIZE * seconds


def _step(stage: Stage, rows: torch.Tensor) -> None:
    stage.log = lambda *_, **__: None  # type: ignore[method-assign]  # there is no trainer
    loss = stage.training_step(rows, 0)
    cast("torch.Tensor", loss).backward()


def _rate(work: Callable[[int], object]) -> float:
    """Seconds of one call, after a first one that opens and fills what stays open and full."""
    began = time.monotonic()
    work(0)
    first = time.monotonic() - began
    if first > 2 * _BUDGET:
        return first
    began, count = time.monotonic(), 0
    while count < _MOST and time.monotonic() - began < _BUDGET:
        count += 1
        work(count % _PAIRS)
    return (time.monotonic() - began) / count
