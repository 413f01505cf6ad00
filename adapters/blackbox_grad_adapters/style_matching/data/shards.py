"""Pairs rendered once and kept on disk, in shards that detect damage."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

import torch
from torch.utils.data import DataLoader, Dataset

from blackbox_grad.cache import cache_folder, digest
from blackbox_grad.dependencies import library
from blackbox_grad.errors import AudioError, BlackboxGradError
from blackbox_grad.files import replacing
from blackbox_grad.hosts import usable_cores

#: Pairs in a shard.
SIZE = 64

#: Version of the files and of the making of pairs; another version starts a new cache.
_FORMAT = 1

P_co = TypeVar("P_co", covariant=True)


class Pairs(Protocol[P_co]):
    """Numbered pairs, such as `PairDataset`: dicts of tensors."""

    @property
    def description(self) -> dict[str, Any]:
        """Everything that the pairs depend on, for JSON."""
        ...

    def pair(self, index: int) -> P_co:
        """Pair number `index`, the same each time."""
        ...


class PairShards(Dataset[P_co], Generic[P_co]):
    """The first `count` pairs of a dataset, from the cache. It renders a missing or damaged shard at the first use.

    Args:
        pairs: the dataset. Everything that its pairs depend on, with the seed, names the folder of the shards.
        count: of pairs.
        folder: of all caches of pairs; the user's cache folder by default.

    A shard is a safetensors file whose name ends in its SHA-256. Pairs at the default length take 0.8 MB each.
    """

    def __init__(self, pairs: Pairs[P_co], count: int, folder: Path | None = None) -> None:
        if count < 1:
            raise AudioError(f"count={count} must be 1 or more")
        self.pairs = pairs
        self.count = count
        description = {"version": version("blackbox-grad"), "format": _FORMAT, "size": SIZE, **pairs.description}
        self._description = json.dumps(description, indent=2)
        name = digest(self._description)
        self.folder = (cache_folder("pairs") if folder is None else folder) / name
        self._open: dict[int, Any] = {}

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> P_co:
        if not 0 <= index < self.count:
            raise IndexError(f"pair {index} of {self.count}")
        number, place = divmod(index, SIZE)
        if number not in self._open:
            file = self._whole(number) or self._render(number)
            self._open[number] = library("safetensors", "the cache of pairs", "style").safe_open(file, "pt")
        shard = self._open[number]
        return cast("P_co", {name: shard.get_slice(name)[place] for name in shard.keys()})  # noqa: SIM118 (it is not a dict)

    def build(self, workers: int | None = None, on_progress: Callable[[int, int], None] | None = None) -> None:
        """Render the shards that are missing or damaged.

        If it was stopped, the next call continues from the last whole shard.

        Args:
            workers: processes; one per core by default. 0 renders in this process.
            on_progress: called with the number of existing shards, and the total.

        Raises:
            AudioError: the disk is full.
            RenderError: the effect fails.
        """
        total, missing = -(-self.count // SIZE), self.missing()
        there = total - len(missing)
        workers = min(usable_cores() if workers is None else workers, len(missing))
        for trouble in DataLoader(_Rendering(self, missing), batch_size=None, num_workers=workers):
            if trouble is not None:
                raise trouble
            there += 1
            if on_progress is not None:
                on_progress(there, total)

    def missing(self) -> list[int]:
        """The numbers of the shards that are not there, or damaged."""
        return [number for number in range(-(-self.count // SIZE)) if self._whole(number) is None]

    def _whole(self, number: int) -> Path | None:
        """The file of a shard, if it exists and is intact; deletes a damaged one."""
        for file in self.folder.glob(f"{number:05d}-*.safetensors"):
            if file.stem.partition("-")[2] == _digest(file.read_bytes()):
                return file
            warnings.warn(f"{file} is damaged; rendering it again", stacklevel=2)
            file.unlink(missing_ok=True)  # another process may have deleted it
        return None

    def _render(self, number: int) -> Path:
        """Write a shard whole."""
        safetensors = library("safetensors.torch", "the cache of pairs", "style")
        # all shards are full, so that a longer cache has the same ones
        made = [self.pairs.pair(i) for i in range(number * SIZE, (number + 1) * SIZE)]
        content: bytes = safetensors.save(torch.utils.data.default_collate(made))
        self.folder.mkdir(parents=True, exist_ok=True)
        about, file = self.folder / "pairs.json", self.folder / f"{number:05d}-{_digest(content)}.safetensors"
        for path, written in ((about, self._description.encode()), (file, content)):
            with replacing(path) as temporary:
                temporary.write_bytes(written)
        return file

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}


class _Rendering(Dataset[BlackboxGradError | None]):
    """Item `i` renders shard `i` in the calling process, and returns the error, if there was one."""

    def __init__(self, shards: PairShards[Any], numbers: list[int]) -> None:
        self._shards = shards
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> BlackboxGradError | None:
        try:
            self._shards._render(self._numbers[index])
        except BlackboxGradError as error:  # a worker would wrap it in its traceback
            return error
        return None


def _digest(content: bytes) -> str:
    return digest(content)
