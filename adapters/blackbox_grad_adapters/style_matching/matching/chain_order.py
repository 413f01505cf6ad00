"""The parts of a chain in other places, or without some of them, and what each change is worth."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from blackbox_grad import Host
from blackbox_grad.effects import EffectSpec, chain, unlooked, without_silent
from blackbox_grad.errors import DeadParameterWarning
from blackbox_grad.parameters import FloatArray
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.matching.quest import Quest
from blackbox_grad_adapters.style_matching.matching.result import ChainChange

#: Two parts change places if that leaves less than this part of the squared distance; a part falls out if that leaves at most this
#: multiple: of two chains that sound the same, the shorter one is the answer.
_BETTER, _AS_GOOD = 0.97, 1.01

#: The least renders for one change.
_LEAST = 12


def opened(spec: EffectSpec, host: Host) -> EffectPath:
    """The path through an effect, without parameters that change nothing if there are many."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeadParameterWarning)  # it is about gradients
        return EffectPath(without_silent(host.open(spec))[0], host=host)


@dataclass(frozen=True)
class Part:
    """A part of a chain: its recipe, its name, and the number of all its parameters."""

    spec: EffectSpec
    name: str
    size: int


@dataclass(frozen=True)
class Chain:
    """Effects in their order."""

    parts: tuple[Part, ...]

    @classmethod
    def of(cls, path: EffectPath) -> Chain:
        """The chain of an opened path; a single effect is a chain of one."""
        parts = []
        for spec in path.spec.parts or (path.spec,):
            info = path.effect.host.open(unlooked(replace(spec, parameters="all")))
            parts.append(Part(spec, info.name, len(info.parameters.everything)))
        return cls(tuple(parts))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parts."""
        return tuple(part.name for part in self.parts)

    def opened(self, path: EffectPath) -> EffectPath:
        """A path through these parts, where `path` renders."""
        specs = [part.spec for part in self.parts]
        spec = specs[0] if len(specs) == 1 else chain(*(replace(spec, parameters="all") for spec in specs))
        return opened(replace(spec, parameters="trainable"), path.effect.host)

    def changed(self) -> Iterator[tuple[str, Chain]]:
        """Every chain that is one change away, and what changes."""
        parts = self.parts
        for i, part in enumerate(parts):
            if len(parts) > 1:
                yield f"{part.name} falls out", Chain(parts[:i] + parts[i + 1 :])
        for i, (first, second) in enumerate(itertools.pairwise(parts)):
            yield f"{second.name} before {first.name}", Chain((*parts[:i], second, first, *parts[i + 2 :]))

    def carried(self, point: FloatArray, path: EffectPath, other: Chain, there: EffectPath) -> FloatArray:
        """`[P']`: settings `point: [P]` of `path`, which has these parts, on the path `there`, which has some of them."""
        own = np.split(path.effect.parameter_space.complete(point), np.cumsum([part.size for part in self.parts])[:-1])
        values = np.concatenate([own[self.parts.index(part)] for part in other.parts])
        moved: FloatArray = values[list(there.effect.parameter_space.free)]
        return moved


class ChainSearch:
    """Changes one place of a chain after another, as long as that helps.

    Args:
        best: the best settings of the chain as it was given.
        begun: a search on a path, from settings that may be near.

    Attributes:
        best: the best settings of the best chain so far.
        changes: what was tried.
    """

    def __init__(self, best: Quest, begun: Callable[[EffectPath, FloatArray], Quest]) -> None:
        self.best, self._begun = best, begun
        self.changes: list[ChainChange] = []

    @property
    def least(self) -> int:
        """The least renders with which `run` tries changes."""
        return _LEAST * len(list(Chain.of(self.best.path).changed()))

    def run(self, renders: int, after: Callable[[Quest, int], None]) -> None:
        """Spend so many renders: on the changes, and what is left on the settings of the best chain."""
        here = Chain.of(self.best.path)
        known = {here.parts}
        while True:
            options = [(what, option) for what, option in here.changed() if option.parts not in known]
            if not options or renders < _LEAST * len(options):
                break
            each = max(_LEAST, renders // (2 * len(options)))
            found = []
            for what, option in options:
                known.add(option.parts)
                path = option.opened(self.best.path)
                quest = self._begun(path, here.carried(self.best.point, self.best.path, option, path))
                quest.run(each, after)
                renders -= each
                found.append((what, option, quest))
            before = self.best
            what, option, quest = min(found, key=lambda row: _cost(row[2], row[1], here))
            taken = quest if _cost(quest, option, here) < before.distance**2 else None
            for name, other, tried in found:
                chosen = tried is taken
                self.changes.append(ChainChange(name, tried.distance, before.distance, chosen, other.names))
            if taken is None:
                break
            self.best, here = taken, option
        self.best.run(renders, after)


def _cost(quest: Quest, option: Chain, here: Chain) -> float:
    """The squared distance, by which a change is worth it if it is less than that without the change."""
    shorter = len(option.parts) < len(here.parts)
    return quest.distance**2 / (_AS_GOOD if shorter else _BETTER)
