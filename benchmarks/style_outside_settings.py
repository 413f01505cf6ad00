"""Which settings a reference cannot tell, for `style_outside.py`: those whose sounds differ less than two parts of a recording."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from style_outside_examples import Examples
from torch import Tensor

from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.measures.judges import JUDGES, apart

#: Places to which a setting is moved.
PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)

#: A place nearer than this is no move.
_SAME = 0.1


def alike(path: EffectPath, examples: Examples, index: int) -> dict[str, Any]:
    """At true settings, by parameter: for how many of the `PLACES` the sound stays within the recording's own spread.

    The distance between two sounds is the mean over the judges, each relative to its distance between the two parts of the
    recording through the true settings. Below 1, the two settings sound more alike than two parts of one recording.
    """
    x, other, p = examples.settings(index)
    with torch.no_grad():
        here, there = (statistics(path, audio, p) for audio in (x, other))
        usual = [max(float(apart(a, b)), 1e-6) for a, b in zip(here, there, strict=True)]
        found = {}
        for i, name in enumerate(path.names):
            found[name] = []
            for place in PLACES:
                if abs(place - float(p[0, i])) < _SAME:
                    continue
                moved = p.clone()
                moved[0, i] = place
                heard = zip(here, statistics(path, x, moved), usual, strict=True)
                found[name].append(round(float(np.mean([float(apart(a, b)) / unit for a, b, unit in heard])), 4))
    return {"alike": found}


def statistics(path: EffectPath, audio: Tensor, p: Tensor) -> list[tuple[Tensor, ...]]:
    """Of each judge."""
    y = path(audio, p)
    return [judge.statistics(y, path.sample_rate) for judge in JUDGES.values()]
