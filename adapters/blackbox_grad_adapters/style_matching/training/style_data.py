"""All examples of the style encoder: which shards there are, rendering those that are missing, and reading them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from blackbox_grad import ProcessPool
from blackbox_grad.audio_files import resample
from blackbox_grad.dependencies import library
from blackbox_grad.errors import BlackboxGradError
from blackbox_grad.files import replacing
from blackbox_grad_adapters.style_matching.data import style_examples
from blackbox_grad_adapters.style_matching.data.corpora import Side
from blackbox_grad_adapters.style_matching.data.dry_pool import LENGTH, RATE, DryPool
from blackbox_grad_adapters.style_matching.data.effect_list import ListedEffect
from blackbox_grad_adapters.style_matching.data.rejection import mfcc
from blackbox_grad_adapters.style_matching.data.style_examples import Representations
from blackbox_grad_adapters.style_matching.networks import shipped
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder
from blackbox_grad_adapters.style_matching.networks.wide_statistics import WideStatistics

#: Name of the features that the encoder is trained on.
FEATURES = "features"

#: Excerpts of each pool.
EXCERPTS: dict[Side, int] = {"train": 1500, "evaluate": 300}

#: Seconds for opening an effect and for a render, and effects that share a host process.
_OPENING, _RENDERING, _TOGETHER = 60.0, 20.0, 8

#: Windows at a time: few, so that they stay in the cache of the processor.
_WINDOWS = 2


@dataclass(frozen=True)
class Job:
    """One shard of one effect."""

    effect: ListedEffect
    side: Side
    number: int


def jobs(effects: Sequence[ListedEffect], train: int, evaluate: int, probed: Sequence[str] = (), most: int = 100) -> list[Job]:
    """The shards in the order of rendering: whenever it stops, all effects have about as many.

    Args:
        effects: of the list; those that are not used have no shards.
        train: shards of each effect that is not held out.
        evaluate: shards of each effect that is held out or in `probed`, on the recordings for evaluation.
        probed: addresses.
        most: effects for evaluation; those that are not of the above have one shard.
    """
    used = [effect for effect in effects if effect.used]
    seen = [effect for effect in used if not effect.held]
    closely = [effect for effect in used if effect.held or effect.address in probed]
    others = [effect for effect in seen if effect not in closely]
    wanted = max(0, most - len(closely))
    others = others[:: max(1, len(others) // max(1, wanted))][:wanted]  # of all makers: the list is sorted by them
    order = [Job(effect, "train", number) for number in range(train) for effect in seen]
    order += [Job(effect, "evaluate", 0) for effect in (closely + others)[: 10_000 * evaluate]]
    return order + [Job(effect, "evaluate", number) for number in range(1, evaluate) for effect in closely]


def build(
    order: Sequence[Job], folder: Path, seed: int = 0, on_progress: Callable[[int, int, Job, str], None] | None = None
) -> dict[str, str]:
    """Render the shards that are missing. An effect that crashes, hangs or is silent loses its shards, not those of others.

    If it was stopped, the next call continues. Failures are kept too, in `failed.json`: delete it to try those effects again.

    Args:
        folder: of the shards and the dry excerpts.
        on_progress: called with the number of shards done, the total, the job, and the cause if it failed.

    Returns:
        Address -> cause, of effects that failed.
    """
    file = folder / "failed.json"
    failed: dict[str, str] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    missing = [job for job in order if _file(job, folder) is None and job.effect.address not in failed]
    pools = {side: DryPool(side, folder, EXCERPTS[side], seed) for side in EXCERPTS if any(job.side == side for job in missing)}
    done = len(order) - len(missing)
    for some in (missing[i : i + _TOGETHER] for i in range(0, len(missing), _TOGETHER)):
        with ProcessPool(1, time_limit=_RENDERING, open_limit=_OPENING) as host:
            for job in some:
                pool, cause = pools[job.side], ""
                pool.build()
                try:
                    style_examples.shard(job.effect, pool, job.number, folder / "shards", host, representations(job.side), seed)
                except BlackboxGradError as error:
                    cause = failed[job.effect.address] = str(error)
                    with replacing(file) as temporary:
                        temporary.write_text(json.dumps(failed, indent=1), "utf-8")
                done += 1
                if on_progress is not None:
                    on_progress(done, len(order), job, cause)
    return failed


def representations(side: Side) -> Representations:
    """The features of a side: for evaluation, also those that the encoder is compared with."""
    wide = _Wide()
    if side != "evaluate":
        return {FEATURES: wide}
    return {FEATURES: wide, "mfcc": mfcc_statistics, "before": _Before()}


class _Wide:
    def __init__(self) -> None:
        self._statistics = WideStatistics(RATE, LENGTH)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.cat([self._statistics(some) for some in x.split(_WINDOWS)])


class _Before:
    """The features of the package's encoder for controllers, at its sample rate and of one channel."""

    def __init__(self) -> None:
        self._encoder = shipped.encoder()

    def __call__(self, x: Tensor) -> Tensor:
        at = resample(x.mean(dim=1).numpy(), RATE, self._encoder.sample_rate)
        return torch.cat(
            [self._encoder.representation(torch.from_numpy(at[i : i + 1, : self._encoder.length])) for i in range(len(at))]
        )


def before(encoder: Encoder, features: Tensor) -> Tensor:
    """The embeddings `[N, D]` of the package's encoder for controllers, from its features."""
    with torch.no_grad():
        return encoder.posterior(encoder.standardised(features.float()))[0]


def mfcc_statistics(x: Tensor) -> Tensor:
    """`[B, C, T]` -> `[B, 160]`: mean and spread over time of 40 MFCCs and of their differences, without the level."""
    found = mfcc(x, RATE)
    change = found[..., 1:] - found[..., :-1]
    return torch.cat([part for rows in (found, change) for part in (rows.mean(dim=-1), rows.std(dim=-1))], dim=1)


def read(folder: Path, effect: ListedEffect, side: Side, names: Sequence[str] = ()) -> dict[str, Tensor] | None:
    """All shards of an effect, one after the other; None if there are none. `names`: only these tensors."""
    safetensors = library("safetensors", "examples of effects", "style")
    parts: list[dict[str, Tensor]] = []
    for job in _numbered(effect, side):
        file = _file(job, folder)
        if file is None:
            break
        with safetensors.safe_open(str(file), "pt") as shard:
            parts.append({name: shard.get_tensor(name) for name in (names or shard.keys())})
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]} if parts else None


def _numbered(effect: ListedEffect, side: Side) -> Iterator[Job]:
    return (Job(effect, side, number) for number in range(1000))


def _file(job: Job, folder: Path) -> Any:
    name = f"{style_examples.slug(job.effect.address)}-{job.side}-{job.number:02d}"
    return next((folder / "shards").glob(f"{name}-*.safetensors"), None)
