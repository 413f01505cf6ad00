"""Where the parameters of effects usually sit: a prior over settings, by the parameters' names, units and kinds.

Learnt from many effects (`benchmarks/style_prior.py`): which values leave a recording audible, of random settings, and which values
factory presets and defaults have. Of a new effect only names, units and kinds are known, and these say much: a gain is rarely at
its lowest, a mix rarely at 0, and a feedback rarely at 1.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from blackbox_grad.parameters import FloatArray, Parameter, ParameterSpace

#: The table, as the command wrote it.
TABLE = Path(__file__).with_name("prior.json")

#: Values are counted in so many parts of the range.
BINS = 8

#: So many effects count as much as the wider class: a unit for a word, a kind for a unit.
_WIDER = 6.0

#: Share of the density that presets and defaults shape; the rest is where random settings are audible.
_PRESETS = 0.3

#: The least density, relative to a uniform one. Any setting may be the right one.
_LEAST = 0.2


def classes(parameter: Parameter) -> list[str]:
    """The classes of a parameter, the widest first: its kind, its unit, the words of its name."""
    unit = parameter.unit.strip().casefold()
    name = parameter.name.rpartition(": ")[2]  # without the effect, in a chain
    spelt = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold()
    words = dict.fromkeys(word for word in re.findall(r"[a-z]+", spelt) if len(word) > 1)
    return [f"kind {parameter.kind}", *([f"unit {unit}"] if unit else []), *(f"word {word}" for word in words)]


class Prior:
    """A density for each parameter, independent of the others.

    Args:
        space: of the settings.
        table: class -> its counts, as the command wrote it; by default the one in the package.

    Attributes:
        density: `[P, BINS]`: the mean is 1. Of a parameter with levels, it is that of each level's place.
    """

    def __init__(self, space: ParameterSpace, table: Mapping[str, Any] | None = None) -> None:
        known = _table() if table is None else table
        self._space = space
        self.density = np.array([_density(parameter, known) for parameter in space]).reshape(len(space), BINS)

    def drawn(self, uniform: FloatArray) -> FloatArray:
        """Settings with this density, `[N, P]`, from uniform or quasi-random ones, by the inverse of the distribution function."""
        edges = np.concatenate([np.zeros((len(self.density), 1)), self.density.cumsum(axis=1) / BINS], axis=1)
        places = np.linspace(0.0, 1.0, BINS + 1)
        columns = [np.interp(values, edge, places) for values, edge in zip(uniform.T, edges, strict=True)]
        return self._space.snap(np.stack(columns, axis=1)) if columns else uniform

    def residuals(self, points: FloatArray) -> FloatArray:
        """`[N, P]`: half their squares is the logarithm of the highest density over that at `points: [N, P]`."""
        centres = (np.arange(BINS) + 0.5) / BINS
        surprise = np.log(self.density.max(axis=1, keepdims=True) / self.density)
        columns = [np.interp(values, centres, row) for values, row in zip(points.T, surprise, strict=True)]
        return np.sqrt(2.0 * np.stack(columns, axis=1)) if columns else np.zeros_like(points)


def _density(parameter: Parameter, table: Mapping[str, Any]) -> FloatArray:
    """`[BINS]`, from the widest class to the narrowest: each counts by its number of effects."""
    audible, usual = np.ones(BINS), np.ones(BINS)
    kind, *narrower = classes(parameter)
    for level in (["kind"], ["unit"], ["word"]):
        rows = [table[name] for name in [kind, *narrower] if name.partition(" ")[0] in level and name in table]
        for row in rows:
            share = row["effects"] / (row["effects"] + _WIDER) / len(rows)
            audible += share * (np.array(row["audible"]) - audible)
            usual += share * (np.array(row["usual"]) - usual)
    density = audible * (1.0 - _PRESETS + _PRESETS * usual)
    density = np.maximum(density / density.mean(), _LEAST)
    found: FloatArray = density / density.mean()
    return found


@functools.cache
def _table() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(TABLE.read_text("utf-8"))["classes"]
    return found
