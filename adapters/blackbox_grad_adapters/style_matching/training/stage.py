"""Training with Lightning: repeatable stages in a folder, which continue where they stopped."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.plugins import TorchCheckpointIO
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor
from torch.utils.data import DataLoader

from blackbox_grad.files import replacing, text_of
from blackbox_grad.interrupts import Interrupt, deferred_interrupts
from blackbox_grad_adapters.style_matching.networks.weight_file import WeightsError

#: Called after every epoch with the stage's name and its newest row.
OnEpoch = Callable[[str, dict[str, float]], None]

#: The file with the configuration, in the folder of a run.
RUN = "run.json"


@dataclass(frozen=True)
class Fitted:
    """The result of `fit`.

    Attributes:
        history: a row for each epoch: "epoch", "seconds" and what the stage logged.
        interrupted: Ctrl-C or SIGTERM ended it.
    """

    history: list[dict[str, float]]
    interrupted: bool

    def best(self, monitor: str) -> dict[str, float]:
        """The row of the best epoch, whose weights were kept; empty if there was no epoch."""
        return min(self.history, key=lambda row: row[monitor], default={})


class Stage(L.LightningModule):
    """One stage of a training. A step depends only on the weights, the seed and the number of the step.

    Subclasses log their validation loss as `monitor`.

    Args:
        seed: of everything random.
    """

    name: str
    monitor: str

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        torch.manual_seed(self.seed * 1_000_003 + self.global_step)

    def on_validation_epoch_start(self) -> None:
        torch.manual_seed(self.seed)

    def shuffled(self, count: int, batch: int, salt: int = 0, turn: int | None = None) -> tuple[Tensor, ...]:
        """The numbers below `count` in the order of a turn, in full batches; a few numbers are left out. A turn is an epoch."""
        turn = self.current_epoch if turn is None else turn
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + turn) * 1_009 + salt)
        batch = min(batch, count)
        order = torch.randperm(count, generator=generator)[: count // batch * batch]
        return tuple(order.reshape(-1, batch))

    def in_turn(self, count: int, batch: int, steps: int) -> list[Tensor]:
        """So many batches, as `shuffled`, from where the last epoch ended: no number comes again before all have come."""
        of_a_turn = count // min(batch, count)
        steps = min(steps, of_a_turn)
        first = self.current_epoch * steps
        turns = range(first // of_a_turn, (first + steps - 1) // of_a_turn + 1)
        batches = [rows for turn in turns for rows in self.shuffled(count, batch, turn=turn)]
        return batches[first - turns[0] * of_a_turn :][:steps]


def loader(items: list[Any]) -> DataLoader[Any]:
    """Items as they are, one per step."""
    return DataLoader(items, batch_size=None)  # type: ignore[arg-type]


def fit(
    stage: Stage,
    folder: Path,
    *,
    epochs: int,
    patience: int | None = None,
    on_epoch: OnEpoch | None = None,
    loggers: Sequence[Logger] = (),
) -> Fitted:
    """Train a stage, and leave it with the weights of its best epoch.

    After Ctrl-C, a kill or a crash, the next call continues from the last whole epoch, and ends with the same weights as without
    the stop, also if the folder was moved. A finished stage stays as it is.

    Args:
        folder: for checkpoints and TensorBoard's log.
        epochs: the most epochs.
        patience: it ends after this many epochs without improvement.
        loggers: Lightning loggers beside TensorBoard's.

    Raises:
        WeightsError: a checkpoint is damaged, or of another version.
        AudioError: the disk is full; the last whole epoch is still there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    best = _Best(folder, "best", stage.monitor, enable_version_counter=False)
    last = ModelCheckpoint(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    history, interrupt = _History(stage, on_epoch), Interrupt()
    callbacks: list[L.Callback] = [history, _StopBetweenBatches(interrupt), best, last]
    if patience is not None:
        callbacks.insert(0, L.pytorch.callbacks.EarlyStopping(stage.monitor, patience=patience))
    resumed = folder / "last.ckpt"
    with _quiet():
        trainer = L.Trainer(
            max_epochs=epochs,
            devices=1,
            logger=[TensorBoardLogger(folder, name="", version="tensorboard"), *loggers],
            callbacks=callbacks,
            plugins=[_WholeFiles()],
            gradient_clip_val=1.0,
            reload_dataloaders_every_n_epochs=1,
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        if resumed.exists():
            history.load_state_dict(_checked(resumed, stage)["callbacks"][history.state_key])
        if patience is None or history.since_best(stage.monitor) < patience:
            # around `Trainer.fit`, which installs its own handler of SIGTERM, calls ours from it, and ends the program
            with contextlib.suppress(_Stopped, SIGTERMException), deferred_interrupts(into=interrupt):
                trainer.fit(stage, ckpt_path=str(resumed) if resumed.exists() else None, weights_only=True)
    if (folder / "best.ckpt").exists():
        stage.load_state_dict(_checkpoint(folder / "best.ckpt")["state_dict"])
    stage.cpu()
    return Fitted(history.rows, interrupt.pressed)


def begin(folder: Path, configuration: dict[str, Any]) -> None:
    """Make the folder of a run. Raises `WeightsError` if it holds another run."""
    folder.mkdir(parents=True, exist_ok=True)
    check_same_run(folder, configuration)
    with replacing(folder / RUN) as temporary:
        temporary.write_text(json.dumps(configuration, indent=2) + "\n", "utf-8")


def check_same_run(folder: Path, configuration: dict[str, Any], *, partly: bool = False) -> None:
    """Raise `WeightsError` if a folder holds a run with another configuration.

    Args:
        partly: compare only what `configuration` has.
    """
    file = folder / RUN
    if not file.exists():
        return
    try:
        there = json.loads(text_of(file))
    except (ValueError, RecursionError):
        there = {}
    there = there if isinstance(there, dict) else {}
    wanted = json.loads(json.dumps(configuration))
    names = wanted.keys() if partly else wanted.keys() | there.keys()
    other = sorted(name for name in names if wanted.get(name) != there.get(name))
    if other:
        raise WeightsError(
            f"{folder} holds a run with other settings ({', '.join(other)} differ); name another folder, or delete this one"
        )


def explained(found: Tensor, p: Tensor, clean: Tensor) -> Tensor:
    """`[P]`: the share of each setting's variance that was found, over pairs with an effect; 1 is all, 0 is what the mean gives."""
    there, wanted = found[~clean], p[~clean]
    return 1 - (there - wanted).square().mean(dim=0) / wanted.var(dim=0).clamp_min(1e-6)


class _Best(ModelCheckpoint):
    """Keeps the best epoch, and finds it again if the folder was moved."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        def here(path: str) -> str:
            return str(Path(self.dirpath or "", Path(path).name)) if path else path

        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        moved = {name: here(state_dict[name]) for name in paths}
        kept = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **moved, "best_k_models": kept, "dirpath": self.dirpath})


class _WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all. Lightning moves it from another folder, and a full disk damages the last one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with replacing(Path(path)) as temporary:
            temporary.write_bytes(content.getbuffer())


class _Stopped(Exception):
    """Ends the training without leaving a half-done epoch behind."""


class _StopBetweenBatches(L.Callback):
    """Ctrl-C or SIGTERM ends the training with the best so far; the second one ends it at once."""

    def __init__(self, interrupt: Interrupt) -> None:
        self._interrupt = interrupt

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        if self._interrupt.pressed:
            raise _Stopped


class _History(L.Callback):
    """The logged values of each epoch, kept in checkpoints."""

    def __init__(self, stage: Stage, on_epoch: OnEpoch | None) -> None:
        self.rows: list[dict[str, float]] = []
        self._stage, self._on_epoch = stage, on_epoch
        self._before, self._began = 0.0, time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        seconds = self._before + time.monotonic() - self._began
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.rows.append({"epoch": float(trainer.current_epoch), "seconds": seconds, **values})
        if self._on_epoch is not None:
            self._on_epoch(self._stage.name, self.rows[-1])

    def since_best(self, monitor: str) -> int:
        """Epochs after the best one."""
        values = [row[monitor] for row in self.rows]
        return len(values) - 1 - values.index(min(values)) if values else 0

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = state_dict["rows"]
        self._before, self._began = (self.rows[-1]["seconds"] if self.rows else 0.0), time.monotonic()


def _checked(file: Path, stage: Stage) -> dict[str, Any]:
    """The content of a checkpoint, if the stage can continue from it."""
    content = _checkpoint(file)
    try:
        stage.load_state_dict(content["state_dict"])
    except (KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise WeightsError(
            f"{file}: the checkpoint is of another version of blackbox_grad ({reason}); delete it to begin this stage again"
        ) from error
    return content


def _checkpoint(file: Path) -> dict[str, Any]:
    """Read a checkpoint without running code."""
    try:
        content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive raises many types
        reason = str(error).splitlines()[0]
        raise WeightsError(f"{file}: the checkpoint cannot be read ({reason}); delete it to begin this stage again") from error
    return content


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide Lightning's advice: here, steps render plug-ins, and loaders only hand out numbers."""
    log = logging.getLogger("lightning.pytorch")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        log.setLevel(before)
