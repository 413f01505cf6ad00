"""The presets of amsynth, which keeps them in banks of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from blackbox_grad.parameters import FloatArray, ParameterSpace

#: Where Debian puts amsynth's banks, and which are read.
BANKS = Path("/usr/share/amsynth/banks")

#: Smallest and largest values in a bank, where they are not those of the plug-in's text: amsynth curves some controls.
_CURVED = {
    **{f"{part}_{time}": (0.0, 2.5) for part in ("amp", "filter") for time in ("attack", "decay", "release")},
    "filter_cutoff": (-0.5, 1.5),
    "osc2_detune": (-1.0, 1.0),
    "osc2_range": (-3.0, 4.0),
    "lfo_freq": (0.0, 7.5),
    "freq_mod_amount": (0.0, 2 ** (1 / 3)),
}


def amsynth_presets(space: ParameterSpace, banks: int = 1) -> dict[str, FloatArray]:
    """Bank and name -> `[P]`, of the first so many banks."""
    found = {}
    for file in sorted(BANKS.glob("*.bank"))[:banks]:
        for text in file.read_text("utf-8", "replace").split("<preset> <name> ")[1:]:
            name, *rows = text.strip().splitlines()
            values = dict(row.removeprefix("<parameter> ").rsplit(" ", 1) for row in rows if row.startswith("<parameter> "))
            point = space.defaults.copy()
            for i, parameter in enumerate(space):
                if parameter.name in values:
                    low, high = _CURVED.get(parameter.name, (parameter.minimum, parameter.maximum))
                    point[i] = (float(values[parameter.name]) - low) / (high - low)
            found[f"{file.name.split('.')[0]}: {name.strip()}"] = space.snap(np.clip(point, 0.0, 1.0))
    return found
