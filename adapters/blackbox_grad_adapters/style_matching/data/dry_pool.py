"""The dry excerpts that the effects of the list are rendered on: drawn once, and kept with their features."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox_grad.audio_files import resample
from blackbox_grad.cache import digest
from blackbox_grad.effects import Audio
from blackbox_grad.files import replacing
from blackbox_grad_adapters.style_matching.data import corpora, excerpts, synthetic
from blackbox_grad_adapters.style_matching.data.augmentation import Augmentation
from blackbox_grad_adapters.style_matching.data.corpora import Side
from blackbox_grad_adapters.style_matching.data.recordings import Tracks
from blackbox_grad_adapters.style_matching.effect_path import PEAK

#: Sample rate (Hz), and samples of an excerpt: 2.8 s.
RATE, LENGTH = 44_100.0, 122_880

#: Shares of speech and music; the rest is synthetic.
_SPEECH, _MUSIC = 0.35, 0.45

#: Version of the making of excerpts.
_FORMAT = 1

#: Offsets of seeds.
_SEEDS = {"train": 0, "validate": 1, "evaluate": 2}


class DryPool:
    """`count` excerpts of one side of the corpora, a fifth of them synthetic sounds: stereo, peak at -12 dBFS.

    Half of the music is reduced to one channel. On the side for training, half of the recordings play faster or slower.

    Args:
        side: "train", "validate" or "evaluate".
        folder: it is written there at the first use.
        count: of excerpts.
        seed: of everything random.

    Attributes:
        audio: `[N, 2, LENGTH]`, a map of the file.
        groups: the recording that each is of: excerpts of one recording have the same number.
    """

    def __init__(self, side: Side, folder: Path, count: int, seed: int = 0) -> None:
        self.side, self.count = side, count
        self._seed = [seed, _SEEDS[side]]
        recordings = [r for c in corpora.on_side(side) for r in c.recordings()]
        self._tracks = {
            kind: Tracks([r for c in corpora.on_side(side, kind) for r in c.recordings()], RATE, 2)
            for kind in ("speech", "music")
        }
        self.description: dict[str, Any] = {
            "format": _FORMAT,
            "side": side,
            "count": count,
            "seed": seed,
            "recordings": sorted({r.group for r in recordings}),
            "rate": RATE,
            "length": LENGTH,
        }
        self.key = digest(json.dumps(self.description))
        self._file = folder / f"dry-{side}-{self.key}.npy"

    def build(self, on_progress: Callable[[int, int], None] | None = None) -> None:
        """Draw the excerpts, unless they are there."""
        if self._file.exists() and self._file.with_suffix(".json").exists():
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        groups = []
        with replacing(self._file) as temporary:
            audio = np.lib.format.open_memmap(temporary, "w+", np.float32, (self.count, 2, LENGTH))
            for i in range(self.count):
                group, audio[i] = self._draw(i)
                groups.append(group)
                if on_progress is not None:
                    on_progress(i + 1, self.count)
            audio.flush()
        with replacing(self._file.with_suffix(".json")) as temporary:
            temporary.write_text(json.dumps(groups), "utf-8")

    @cached_property
    def audio(self) -> Audio:
        found: Audio = np.load(self._file, mmap_mode="r")
        return found

    @cached_property
    def groups(self) -> list[str]:
        found: list[str] = json.loads(self._file.with_suffix(".json").read_text("utf-8"))
        return found

    def features(self, name: str, represent: Callable[[Tensor], Tensor]) -> Tensor:
        """`[N, F] float16` of a representation `[B, 2, T]` -> `[B, F]`, kept beside the audio under its name."""
        file = self._file.with_name(f"{self._file.stem}-{name}.npy")
        if not file.exists():
            with torch.no_grad():
                parts = [represent(torch.from_numpy(np.array(some))).half() for some in _split(self.audio, 8)]
            with replacing(file) as temporary, temporary.open("wb") as output:
                np.save(output, torch.cat(parts).numpy())
        return torch.from_numpy(np.load(file))

    def _draw(self, index: int) -> tuple[str, Audio]:
        rng = np.random.default_rng([*self._seed, index])
        place = rng.random()
        if place >= _SPEECH + _MUSIC:
            group, x = f"synthetic {index}", synthetic.draw(LENGTH, RATE, rng)
        else:
            kind = "speech" if place < _SPEECH else "music"
            tracks = self._tracks[kind]
            tempo = Augmentation().tempo ** rng.uniform(-1.0, 1.0) if self.side == "train" and rng.random() < 0.5 else 1.0
            track, x = excerpts.draw_of(tracks, int(LENGTH * tempo) + 1, rng)
            if tempo != 1.0:
                x = resample(x, RATE * tempo, RATE)
            x, group = x[:, :LENGTH], f"{kind} {track}"
            if kind == "music" and rng.random() < 0.5:
                x = x.mean(axis=0, keepdims=True)
        return group, np.broadcast_to(x * (PEAK / np.abs(x).max()), (2, LENGTH)).astype(np.float32)


def _split(audio: Audio, size: int) -> list[Audio]:
    return [audio[i : i + size] for i in range(0, len(audio), size)]
