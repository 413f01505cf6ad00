"""Logging beside TensorBoard: Weights & Biases, if the user has it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from torch import Tensor

from blackbox_grad.dependencies import library
from blackbox_grad.errors import BlackboxGradError


class LoggerError(BlackboxGradError, RuntimeError):
    """A logger cannot start."""


@contextlib.contextmanager
def weights_and_biases(project: str | None, folder: Path) -> Iterator[list[Logger]]:
    """A run of Weights & Biases in this project, or nothing without one.

    Args:
        folder: of the training, which names the run. A training that continues there continues the same run.

    Raises:
        MissingDependencyError: wandb is not installed.
        LoggerError: the user is not logged in, or there is no network.
    """
    if project is None:
        yield []
        return
    wandb = library("wandb", "logging to Weights & Biases")
    folder.mkdir(parents=True, exist_ok=True)
    before = sorted((folder / "wandb").glob("*run-*-*"))  # each ends in the run's id
    logger = WandbLogger(
        folder.resolve().name,
        folder,
        id=before[-1].name.rpartition("-")[2] if before else None,
        project=project,
        settings=wandb.Settings(console="off"),  # the output of commands is not part of the log
    )
    try:
        run = logger.experiment
    except wandb.errors.Error as error:
        raise LoggerError(
            f"Weights & Biases cannot begin a run of {project!r} ({error}); log in (wandb login), or keep it for later: "
            "WANDB_MODE=offline"
        ) from error
    done = False
    try:
        yield [logger]
        done = True
    finally:
        run.finish(exit_code=0 if done else 1)


def add_audio(loggers: Iterable[object], name: str, audio: Tensor, epoch: int, step: int, sample_rate: float) -> None:
    """Add the sound `[C, T]`, in mono, to the logs that can play it."""
    mono, rate = audio.detach().mean(dim=0).cpu(), round(sample_rate)
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_audio(name, mono, epoch, rate)
        elif isinstance(logger, WandbLogger):
            logger.log_audio(name, [mono.numpy()], step, sample_rate=[rate])
