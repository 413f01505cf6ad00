"""Whole training runs: from an effect's address and recordings to files of weights that say how they were made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from blackbox_grad import Host
from blackbox_grad.parameters import setting
from blackbox_grad_adapters.style_matching.data import sides as data_sides
from blackbox_grad_adapters.style_matching.data.augmentation import Augmentation
from blackbox_grad_adapters.style_matching.data.pairs import LENGTH, PairDataset, Settings
from blackbox_grad_adapters.style_matching.data.recordings import Tracks
from blackbox_grad_adapters.style_matching.effect_path import SAMPLE_RATE, EffectPath
from blackbox_grad_adapters.style_matching.networks import shipped
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder
from blackbox_grad_adapters.style_matching.training.controller_training import (
    ESTIMATOR,
    OnProgress,
    Plan,
    Trained,
    train_controller,
)
from blackbox_grad_adapters.style_matching.training.encoder_training import train_encoder
from blackbox_grad_adapters.style_matching.training.features import heard
from blackbox_grad_adapters.style_matching.training.stage import Fitted, OnEpoch, begin

#: Validation pairs of the encoder, per effect.
JUDGED = 256

#: Pairs in a step of the encoder's training.
BATCH = 64

#: Offsets of the seeds of pairs, so that a controller does not learn from the encoder's training pairs: the encoder has memorised
#: them, and their embeddings contain more than those of other recordings.
ENCODERS, JUDGES, CONTROLLERS = 0, 1, 2

#: Of one recording: more often, and pitch and tempo more often on their own, than of many.
_MORE = Augmentation(probability=0.8, independent=0.5)


def sides(
    folders: Sequence[Path],
    sample_rate: float = SAMPLE_RATE,
    on_progress: Callable[[int, int], None] | None = None,
    excerpt: int = 2 * LENGTH,
) -> tuple[Tracks, Tracks]:
    """Recordings for training and validation: from folders and files, a tenth for validation; by default, from the corpora.

    Recordings of one group are split in time, with a warning.

    Args:
        excerpt: samples of an excerpt, twice the length of an encoder's input.
    """
    return data_sides.decode(data_sides.find(folders, excerpt / sample_rate), sample_rate, excerpt, on_progress)


def run_encoder(
    effects: Sequence[str],
    folder: Path,
    tracks: tuple[Tracks, Tracks],
    *,
    preset: str = "statistics",
    latent: int = 128,
    length: int = LENGTH,
    pairs: int = 2048,
    epochs: int = 12,
    beta: float = 0.05,
    settings: float = 5.0,
    seed: int = 0,
    host: str | Host | None = None,
    command: str = "",
    caches: Path | None = None,
    on_epoch: OnEpoch | None = None,
    on_progress: OnProgress | None = None,
    loggers: Sequence[Logger] = (),
) -> tuple[Path, Fitted]:
    """Train an encoder on pairs of several effects, and write `encoder.safetensors` into the folder.

    If it was stopped, the next call continues. Returns the file and the history.
    """
    import torch

    configuration = {
        "effects": list(effects),
        "preset": preset,
        "latent": latent,
        "length": length,
        "pairs": pairs,
        "epochs": epochs,
        "beta": beta,
        "settings": settings,
        "seed": seed,
        **_origin(tracks),
    }
    begin(folder, configuration)
    for logger in loggers:
        logger.log_hyperparams(configuration)
    torch.manual_seed(seed)
    encoder = Encoder(preset, tracks[0].sample_rate, length, latent)
    train, validation = [], []
    for address in effects:
        first, second = pairs_of(EffectPath(address, encoder.sample_rate, host=host), tracks, length, "random", seed, ENCODERS)
        learning, judging = (_named(on_progress, f"pairs to {aim} of {address}") for aim in ("learn from", "validate on"))
        train.append(heard(first, encoder, pairs, caches, on_progress=learning))
        validation.append(heard(second, encoder, min(JUDGED, pairs), caches, on_progress=judging))
    encoder, fitted = train_encoder(
        encoder,
        train,
        validation,
        folder,
        epochs=epochs,
        beta=beta,
        settings=settings,
        batch=BATCH,
        seed=seed,
        on_epoch=on_epoch,
        loggers=loggers,
    )
    best = fitted.best("validation/loss")
    results = {name.partition("/")[2]: value for name, value in best.items() if name.startswith("validation/")}
    file = folder / shipped.ENCODER
    encoder.save(file, {**configuration, "command": command, "results": results, **_made(fitted)})
    return file, fitted


def run_controller(
    effect: str,
    folder: Path,
    tracks: tuple[Tracks, Tracks],
    encoder: Encoder,
    plan: Plan,
    *,
    settings: Settings = "random",
    parameters: Sequence[str] | str = "continuous",
    host: str | Host | None = None,
    command: str = "",
    caches: Path | None = None,
    on_epoch: OnEpoch | None = None,
    on_progress: OnProgress | None = None,
    loggers: Sequence[Logger] = (),
) -> tuple[Path, Trained]:
    """Train the controller of an effect, and write `controller.safetensors` into the folder, its encoder beside it.

    Args:
        settings: "random", or the settings of all pairs, which then are never clean.

    If it was stopped, the next call continues. Returns the file and the training's result.
    """
    path = EffectPath(effect, encoder.sample_rate, host=host, parameters=parameters)
    train, validation = pairs_of(path, tracks, encoder.length, settings, plan.seed, CONTROLLERS, plan.takes)
    configuration = {
        "effect": path.spec.address,
        "parameters": list(path.names),
        "settings": "random" if train.settings is None else train.settings.tolist(),
        "encoder": encoder.fingerprint,
        "estimator": ESTIMATOR,
        **asdict(plan),
        **_origin(tracks),
    }
    begin(folder, configuration)
    for logger in loggers:
        logger.log_hyperparams(configuration)
    trained = train_controller(
        train,
        validation,
        encoder,
        folder,
        plan,
        caches=caches,
        on_epoch=on_epoch,
        on_progress=on_progress,
        loggers=loggers,
    )
    file = folder / shipped.CONTROLLER
    made = _made(*trained.stages.values()) | {"interrupted": trained.interrupted}
    ranges = [setting(parameter, parameter.default) for parameter in path.effect.parameter_space]
    trained.controller.save(file, {**configuration, "ranges": ranges, "command": command, "results": trained.results, **made})
    trained.controller.header = configuration
    if not _in_package(encoder):
        encoder.save(folder / shipped.ENCODER, encoder.header)
    return file, trained


def pairs_of(
    path: EffectPath,
    tracks: tuple[Tracks, Tracks],
    length: int,
    settings: Settings,
    seed: int,
    whose: int,
    takes: int = 1,
) -> tuple[PairDataset, PairDataset]:
    """The pairs of both sides, by the kind of their training: `ENCODERS` or `CONTROLLERS`.

    Args:
        takes: of the training's pairs, if their settings are random; see `PairDataset`.
    """
    clean = 0.1 if settings == "random" else 0.0
    train, validation = tracks
    augmentation = _MORE if data_sides.of_one_group(tracks) else Augmentation()
    common: dict[str, Any] = {"length": length, "clean": clean, "settings": settings}
    return (
        PairDataset(
            path,
            train,
            seed=3 * seed + whose,
            augmentation=augmentation,
            takes=takes if settings == "random" else 1,
            **common,
        ),
        PairDataset(path, validation, seed=3 * seed + JUDGES, augmentation=None, **common),
    )


def _origin(tracks: tuple[Tracks, Tracks]) -> dict[str, Any]:
    return {
        "recordings": {
            side: {"minutes": round(t.seconds / 60, 1), "groups": sorted(set(t.groups))}
            for side, t in zip(("train", "validation"), tracks, strict=True)
        }
    }


def _made(*stages: Fitted) -> dict[str, Any]:
    """The last epoch and the results of each stage."""
    return {
        "epochs run": [len(fitted.history) for fitted in stages],
        "seconds": round(sum(fitted.history[-1]["seconds"] for fitted in stages if fitted.history), 1),
        "interrupted": any(fitted.interrupted for fitted in stages),
        "versions": {name: version(name) for name in ("blackbox-grad", "torch", "lightning")},
    }


def _in_package(encoder: Encoder) -> bool:
    file = shipped.FOLDER / shipped.ENCODER
    return file.exists() and Encoder.load(file).fingerprint == encoder.fingerprint


def _named(on_progress: OnProgress | None, name: str) -> Callable[[int, int], None] | None:
    return None if on_progress is None else lambda done, total: on_progress(name, done, total)
