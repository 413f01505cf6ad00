"""Training pairs: a dry recording, and another part of it through an effect at known settings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal, TypeAlias, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from blackbox_grad.effects import Audio, file_stamp
from blackbox_grad.errors import AudioError, NonFiniteAudioError, ParameterError, RenderError
from blackbox_grad.hosts import new_host, usable_cores
from blackbox_grad.parameters import FloatArray
from blackbox_grad_adapters.style_matching.data import excerpts
from blackbox_grad_adapters.style_matching.data.augmentation import Augmentation
from blackbox_grad_adapters.style_matching.data.recordings import Tracks
from blackbox_grad_adapters.style_matching.data.rejection import SIMILARITY, silent, similarity
from blackbox_grad_adapters.style_matching.effect_path import EffectPath, normalise

#: Samples of a half by default: 2.7 s at 24 kHz.
LENGTH = 65_536

#: Most settings to try on one excerpt, and most excerpts to try.
_SETTINGS_TRIED, _EXCERPTS_TRIED = 10, 20

Settings: TypeAlias = "Literal['random'] | Mapping[str, float | str] | Sequence[float]"


class Pair(TypedDict):
    """The inputs of a network, and the right answer. A batch has the same fields, with `B` in front.

    Attributes:
        input: `[C, T]`, one half of an excerpt, dry, its peak at -12 dBFS.
        reference: `[C, T]`, the other half through the effect.
        truth: `[C, T]`, `path(input, p)`.
        p: `[P]`, the settings; if `clean`, the defaults, which then mean nothing.
        clean: bool; if true, `reference` and `truth` went through the path without its effect.
    """

    input: Tensor
    reference: Tensor
    truth: Tensor
    p: Tensor
    clean: Tensor


class PairDataset(IterableDataset[Pair]):
    """Endless pairs, or `count` of them. Pair `i` is a function of the arguments and `i`, in every process.

    Args:
        path: the effect with its path.
        tracks: recordings, decoded at the sample rate of the path.
        length: samples `T` of a half.
        seed: of everything random.
        clean: share of pairs without effect.
        settings: "random": each parameter uniform in [0, 1], drawn again while the result is silent or noise. Or the same
            settings for all pairs: normalised `[P]`, or by name as in `ParameterSpace.point`.
        augmentation: of pitch and tempo; None for the recordings as they are.
        count: of pairs.
        takes: so many pairs in a row have one excerpt at different settings. Cutting and augmenting an excerpt costs more than
            rendering it, so more pairs come from the same time.

    Each worker of a DataLoader renders in its own host processes.
    """

    def __init__(
        self,
        path: EffectPath,
        tracks: Tracks,
        *,
        length: int = LENGTH,
        seed: int = 0,
        clean: float = 0.1,
        settings: Settings = "random",
        augmentation: Augmentation | None = Augmentation(),  # noqa: B008 (it is frozen)
        count: int | None = None,
        takes: int = 1,
    ) -> None:
        if tracks.sample_rate != path.sample_rate:
            raise AudioError(
                f"the recordings are at {tracks.sample_rate:g} Hz and {path.effect.spec.address} works at "
                f"{path.sample_rate:g} Hz; open both at the same rate"
            )
        if length < 2 or takes < 1 or not 0.0 <= clean <= 1.0:
            raise AudioError(f"length={length} must be 2 or more, takes={takes} 1 or more, and clean={clean} lie in [0, 1]")
        self.path = path
        self.tracks = tracks
        self.length = length
        self.seed = seed
        self.clean = clean
        self.settings = None if settings == "random" else fixed_point(path, settings)
        self.augmentation = augmentation
        self.count = count
        self.takes = takes
        self._excerpt: tuple[tuple[int, int], Tensor] | None = None
        self._own: tuple[int, EffectPath] = (os.getpid(), path)

    def __iter__(self) -> Iterator[Pair]:
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        index = first
        while self.count is None or index < self.count:
            yield self.pair(index)
            index += step

    def pair(self, index: int) -> Pair:
        """Pair number `index`."""
        rng = np.random.default_rng([self.seed, index])
        clean = bool(rng.random() < self.clean)
        with torch.no_grad():
            for attempt in range(_EXCERPTS_TRIED):
                x = self._shared_excerpt(index // self.takes, attempt) if self.takes > 1 else self._cut(rng)
                if clean:
                    return _pair(x, self._here.dry(x), _float32(self._here.effect.parameter_space.defaults), clean)
                for _ in range(_SETTINGS_TRIED if self.settings is None else 1):
                    p = self._random_settings(rng) if self.settings is None else self.settings
                    wet = self._heard(x, p)
                    if wet is not None:
                        return _pair(x, wet, p, clean)
        raise RenderError(
            f"{self.path.effect.spec.address}: {_EXCERPTS_TRIED} excerpts became silence or noise at "
            f"{'random settings' if self.settings is None else 'the settings asked for'}; choose others, or other parameters"
        )

    def _shared_excerpt(self, number: int, attempt: int) -> Tensor:
        """`[2, C, T]`: the excerpt of the pairs with this number; the last one is kept for the next pair."""
        key = number, attempt
        if self._excerpt is None or self._excerpt[0] != key:
            self._excerpt = key, self._cut(np.random.default_rng([self.seed, number, attempt, self.takes]))
        return self._excerpt[1]

    def _cut(self, rng: np.random.Generator) -> Tensor:
        """`[2, C, T]`: both halves of a new excerpt, with their peaks at -12 dBFS."""
        return normalise(torch.from_numpy(self._halves(rng)))

    def _random_settings(self, rng: np.random.Generator) -> Tensor:
        space = self._here.effect.parameter_space
        return _float32(space.snap(rng.uniform(size=len(space))))

    def _heard(self, x: Tensor, p: Tensor) -> Tensor | None:
        """Both halves, `[2, C, T]`, through the path; None if one of them became silence or noise."""
        try:
            rendered = self._here.render(x, p[None])
        except NonFiniteAudioError:
            return None
        if silent(rendered).any():
            return None
        y = self._here.finish(rendered)
        return y if (similarity(self._here.dry(x), y, self.path.sample_rate) >= SIMILARITY).all() else None

    def _halves(self, rng: np.random.Generator) -> Audio:
        """`[2, C, T]`: both halves of an excerpt, in either order."""
        length = 2 * self.length
        change = self.augmentation.draw(rng) if self.augmentation else None
        if change is not None and change.needs(length) > max(self.tracks.lengths):
            change = change.slower()  # a recording of one excerpt is too short to play faster
        if change is None:
            excerpt = excerpts.draw(self.tracks, length, rng)
        else:
            excerpt = excerpts.draw(self.tracks, change.needs(length), rng)
            excerpt = change.apply(excerpt, length, self.path.sample_rate, self._here.effect.host)
        halves = excerpt.reshape(len(excerpt), 2, self.length).transpose(1, 0, 2)
        return np.ascontiguousarray(halves[::-1] if rng.random() < 0.5 else halves)

    @property
    def description(self) -> dict[str, Any]:
        """Everything that the pairs depend on, for JSON."""
        spec = self.path.spec
        return {
            "effect": spec.address,
            "spec": spec.key,
            "plug-in": [file_stamp(part.address) for part in spec.parts or (spec,)],
            "parameters": self.path.names,
            "settings": "random" if self.settings is None else self.settings.tolist(),
            "sample rate": self.path.sample_rate,
            "recordings": self.tracks.key,
            "length": self.length,
            "channels": self.tracks.channels,
            "seed": self.seed,
            "clean": self.clean,
            "takes": self.takes,
            "augmentation": None if self.augmentation is None else asdict(self.augmentation),
        }

    @property
    def _here(self) -> EffectPath:
        """The path, in a worker of a DataLoader with its share of the hosts."""
        process, path = self._own
        worker = get_worker_info()
        if worker is not None and process != os.getpid():
            path = EffectPath(self.path.spec, host=new_host(hosts=max(1, usable_cores() // worker.num_workers)))
            self._own = os.getpid(), path
        return path


def _pair(x: Tensor, y: Tensor, p: Tensor, clean: bool) -> Pair:
    return Pair(input=x[0], reference=y[1], truth=y[0], p=p, clean=torch.tensor(clean))


def fixed_point(path: EffectPath, settings: Any) -> Tensor:
    """`[P]`: the same settings for all pairs, checked. Raises `ParameterError`."""
    if isinstance(settings, str):
        raise ParameterError(
            f"settings={settings!r} is unknown; allowed are 'random', a dict by name, or one number per parameter"
        )
    space = path.effect.parameter_space
    return _float32(space.point(settings) if isinstance(settings, Mapping) else space.check(settings))


def _float32(point: FloatArray) -> Tensor:
    """Settings in a network's precision, so that renders at them are bit-equal."""
    return torch.from_numpy(point.astype(np.float32))
