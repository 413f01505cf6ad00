"""Examples for the style encoder: dry excerpts through an effect at random settings, kept as features."""

from __future__ import annotations

import json
import re
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from blackbox_grad import EffectSpec, Host
from blackbox_grad.cache import digest
from blackbox_grad.dependencies import library
from blackbox_grad.errors import RenderError
from blackbox_grad.files import replacing
from blackbox_grad.parameters import FloatArray
from blackbox_grad_adapters.style_matching.data.dry_pool import RATE, DryPool
from blackbox_grad_adapters.style_matching.data.effect_list import ListedEffect
from blackbox_grad_adapters.style_matching.data.rejection import SIMILARITY, silent, similarity
from blackbox_grad_adapters.style_matching.effect_path import fades, normalise

#: Settings in a shard, each on two excerpts.
SETTINGS = 25

#: Parts of a pool: the excerpts of setting `k` are from part `k % PARTS`, so that parts share neither excerpts nor settings.
PARTS = 5

#: Energy of the difference to the dry excerpt, at the gain where it is least, from which an effect counts as audible: -30 dB.
AUDIBLE = 1e-3

#: Version of the making of examples.
_FORMAT = 1

#: Settings drawn at a time, and how often before an effect is given up.
_BATCH, _TRIES = 13, 20

#: Name -> features of wet audio, `[B, 2, T]` -> `[B, F]`.
Representations: TypeAlias = Mapping[str, Callable[[Tensor], Tensor]]


@dataclass(frozen=True)
class Wet:
    """Settings on two excerpts each.

    Attributes:
        p: `[N, P]`.
        dry: `[N, 2]`, the numbers of the excerpts.
        y: `[N, 2, C, T]`, as `EffectPath` leaves it: faded, and its peak at -12 dBFS.
        change: `[N, 2]`, the share of the energy that no gain makes of the dry excerpt.
        kept: `[N]`, whether neither is silent, noise or not finite.
    """

    p: FloatArray
    dry: Any
    y: Tensor
    change: Tensor
    kept: Tensor


def rendered(
    host: Host, spec: EffectSpec, names: Sequence[str], pool: DryPool, numbers: Sequence[int], rng: np.random.Generator
) -> Wet:
    """Settings of these numbers, drawn and rendered. `names`: the parameters that are drawn; the others keep their defaults."""
    space = host.open(spec).parameters
    free = [space.index(name) for name in names]
    points = np.tile(space.defaults, (len(numbers), 1))
    points[:, free] = rng.uniform(size=(len(numbers), len(free)))
    points = np.stack([space.snap(point) for point in points])
    dry = np.array([_two(pool, number % PARTS, rng) for number in numbers])
    x = np.array(pool.audio[dry.reshape(-1)])
    y, finite = host.render_batch(spec, x, np.repeat(points, 2, axis=0))
    audio, wet = torch.from_numpy(x), torch.from_numpy(np.nan_to_num(y, posinf=0.0, neginf=0.0))
    quiet = silent(wet)
    change = difference(audio, wet)
    wet = normalise(wet * fades(wet.shape[-1], RATE))
    noise = similarity(audio[..., ::2], wet[..., ::2], RATE / 2) < SIMILARITY
    kept = torch.from_numpy(np.array(finite)) & ~quiet & ~noise
    shape = (len(numbers), 2)
    return Wet(points[:, free], dry, wet.unflatten(0, shape), change.unflatten(0, shape), kept.unflatten(0, shape).all(dim=1))


def difference(x: Tensor, y: Tensor) -> Tensor:
    """`[B, C, T]` twice -> `[B]` in [0, 1]: the share of the energy of `y` that is not `x` at some gain."""
    x, y = x.flatten(1), y.flatten(1)
    product = (x * y).sum(dim=1).square()
    return 1 - product / (x.square().sum(dim=1) * y.square().sum(dim=1)).clamp_min(1e-20)


def shard(
    effect: ListedEffect,
    pool: DryPool,
    number: int,
    folder: Path,
    host: Host,
    representations: Representations,
    seed: int = 0,
) -> Path:
    """The file of shard `number` of an effect, rendered unless it is there and whole.

    It is a safetensors file whose name ends in its SHA-256: "p" `[N, P]`, "dry" `[N, 2]`, "change" `[N, 2]`, "part" `[N]`, and of
    each representation `[N, 2, F] float16`, `N = SETTINGS`.

    Raises:
        RenderError: almost all settings give silence or noise.
    """
    name = f"{slug(effect.address)}-{pool.side}-{number:02d}"
    there = whole(folder, name)
    if there is not None:
        return there
    rng = np.random.default_rng([seed, zlib.crc32(effect.address.encode()), number, len(pool.side)])
    spec = effect.spec(RATE)
    rows: dict[int, dict[str, Tensor]] = {}
    for _ in range(_TRIES):
        missing = [number for number in range(SETTINGS) if number not in rows][:_BATCH]
        if not missing:
            break
        rows |= _rows(rendered(host, spec, effect.names, pool, missing, rng), missing, representations)
    if len(rows) < SETTINGS:
        raise RenderError(f"{effect.address}: of {_TRIES * _BATCH} random settings, {len(rows)} gave neither silence nor noise")
    tensors = {key: torch.stack([rows[i][key] for i in range(SETTINGS)]) for key in rows[0]}
    about = {"format": _FORMAT, "effect": effect.address, "names": effect.parameters, "pool": pool.key, "seed": seed}
    content: bytes = library("safetensors.torch", "examples of effects", "style").save(tensors, {"about": json.dumps(about)})
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}-{digest(content)}.safetensors"
    with replacing(file) as temporary:
        temporary.write_bytes(content)
    return file


def _rows(wet: Wet, numbers: Sequence[int], representations: Representations) -> dict[int, dict[str, Tensor]]:
    """Number of a setting -> its row, of those that are kept."""
    kept = wet.kept.nonzero()[:, 0].tolist()
    if not kept:
        return {}
    with torch.no_grad():
        audio = wet.y[kept].flatten(0, 1)
        found = {name: represent(audio).half().unflatten(0, (len(kept), 2)) for name, represent in representations.items()}
    facts = {
        "p": torch.from_numpy(wet.p[kept].astype(np.float32)),
        "dry": torch.from_numpy(wet.dry[kept]),
        "change": wet.change[kept],
        "part": torch.tensor([numbers[i] % PARTS for i in kept]),
        **found,
    }
    return {numbers[k]: {key: values[i] for key, values in facts.items()} for i, k in enumerate(kept)}


def whole(folder: Path, name: str) -> Path | None:
    """The intact file of this name; deletes a damaged one."""
    for file in folder.glob(f"{name}-*.safetensors"):
        if file.stem.rpartition("-")[2] == digest(file.read_bytes()):
            return file
        warnings.warn(f"{file} is damaged; rendering it again", stacklevel=2)
        file.unlink(missing_ok=True)
    return None


def slug(address: str) -> str:
    """A file name of an address."""
    return re.sub(r"[^a-z0-9]+", "-", address.lower()).strip("-")


def _two(pool: DryPool, part: int, rng: np.random.Generator) -> tuple[int, int]:
    """Two excerpts of a part, of different recordings."""
    numbers = np.arange(part, pool.count, PARTS)
    first = int(rng.choice(numbers))
    others = [int(n) for n in rng.permutation(numbers)[:50] if pool.groups[n] != pool.groups[first]]
    return first, others[0]
