"""The tasks: hidden patches of instruments, and the presets that a search may start from."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.instruments import factory
from blackbox_grad import EffectSpec, Host, Notes
from blackbox_grad.effects import Audio
from blackbox_grad.hosts.answering import presets_in
from blackbox_grad.parameters import FloatArray

MDA = "http://drobilla.net/plugins/mda/"

#: Hz. All instruments play at any rate; half the usual one halves the time of a run.
RATE = 22050.0

#: A low note held, and a soft high one, so that velocity and the keyboard's range are heard.
NOTES = Notes([("C3", 110, 0.0, 0.45), ("G4", 60, 0.5, 0.25)], seconds=1.0)

#: The hidden patches: some factory presets, and some drawn uniformly from all settings.
_HIDDEN = Path(__file__).parent / "hidden.csv"

#: Mean square of a target that is heard.
_HEARD = 1e-5


@dataclass(frozen=True)
class Instrument:
    """An instrument of the bench.

    Attributes:
        address: of the plug-in.
        presets, random: how many hidden patches are factory presets, and how many are drawn uniformly from the box.
        fixed: parameters that are held.
        seeds: runs of each task.
    """

    address: str
    presets: int
    random: int
    fixed: dict[str, float] = field(default_factory=dict)
    seeds: int = 3

    @property
    def spec(self) -> EffectSpec:
        parameters = "all" if self.fixed else "trainable"
        return EffectSpec.of(self.address, RATE, parameters, self.fixed or None)

    def factory_presets(self, host: Host) -> dict[str, FloatArray]:
        """Name -> `[P]`."""
        if "amsynth" in self.address:
            return factory.amsynth_presets(host.open(self.spec).parameters)
        return {preset.name: preset.p for preset in presets_in(host, self.spec)}


#: amsynth's voices are only forgotten by a new instance, which makes a render cost seventy times as much: fewer tasks, one seed.
#: Its noise and random waves are held off, as they differ from render to render.
INSTRUMENTS = {
    "JX10": Instrument(f"dawdreamer:{MDA}JX10", 8, 5),
    "DX10": Instrument(f"dawdreamer:{MDA}DX10", 8, 5),
    "EPiano": Instrument(f"dawdreamer:{MDA}EPiano", 2, 5),
    "Piano": Instrument(f"dawdreamer:{MDA}Piano", 3, 5),
    "amsynth": Instrument(
        "dawdreamer:amsynth_vst.so", 2, 1, {"osc1_waveform": 0.25, "osc2_waveform": 0.25, "lfo_waveform": 0.0}, seeds=1
    ),
}


@dataclass(frozen=True)
class Task:
    """A hidden patch.

    Attributes:
        name: "JX10 / preset Fuzz Bass" or "JX10 / random 0".
        instrument: its name.
        hidden: `[P]`.
        starts: `[N, P]`: the presets that are not hidden in any task of the instrument.
        target: `[C, T]`.
    """

    name: str
    instrument: str
    hidden: FloatArray
    starts: FloatArray
    target: Audio


def tasks_of(instrument: str, host: Host) -> list[Task]:
    """The tasks of one instrument. Their patches are in a file, so that they stay the same."""
    what = INSTRUMENTS[instrument]
    hidden = {name: point for name, point in _hidden().items() if name.startswith(f"{instrument} / ")}
    presets = _heard(what, host, what.factory_presets(host))
    starts = [point for name, point in presets.items() if f"{instrument} / preset {name}" not in hidden]
    return _tasks(instrument, host, hidden, starts)


def other_tasks(instrument: str, host: Host, seed: int) -> list[Task]:
    """As many other tasks, to develop a search on: their presets are hidden in no task of the bench."""
    what, random = INSTRUMENTS[instrument], np.random.default_rng([sum(instrument.encode()), seed])
    presets = _heard(what, host, what.factory_presets(host))
    names = [name for name in presets if f"{instrument} / preset {name}" not in _hidden()]
    held_out = [str(name) for name in random.permutation(names)[: what.presets]]
    hidden = {f"{instrument} / other preset {name}": presets[name] for name in held_out}
    space = host.open(what.spec).parameters
    while len(hidden) < len(held_out) + what.random:
        point = space.snap(random.uniform(size=len(space)))
        if _heard(what, host, {"": point}):
            hidden[f"{instrument} / other random {len(hidden) - len(held_out)}"] = point
    return _tasks(instrument, host, hidden, [presets[name] for name in names if name not in held_out])


def _tasks(instrument: str, host: Host, hidden: dict[str, FloatArray], starts: list[FloatArray]) -> list[Task]:
    what, count = INSTRUMENTS[instrument], len(next(iter(hidden.values())))
    places = np.array(starts).reshape(-1, count)
    return [Task(name, instrument, point, places, _played(what, host, point)) for name, point in hidden.items()]


@cache
def _hidden() -> dict[str, FloatArray]:
    """Name of a task -> its patch."""
    with _HIDDEN.open(encoding="utf-8", newline="") as lines:
        return {name: np.array(values, np.float64) for name, *values in csv.reader(lines)}


def _played(what: Instrument, host: Host, point: FloatArray) -> Audio:
    rendered: Audio = host.render_batch(what.spec, NOTES.packed(RATE)[None], point[None])[0][0]
    return rendered


def _heard(what: Instrument, host: Host, presets: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """Those that are heard, are not the default patch, and sound unlike the ones before them."""
    space = host.open(what.spec).parameters
    found, sounds = {}, [_played(what, host, space.snap(space.defaults))]
    for name, point in presets.items():
        sound = _played(what, host, point)
        power = float(np.square(sound).mean())
        if np.isfinite(power) and power > _HEARD and all(np.square(sound - s).mean() > 1e-6 * power for s in sounds):
            found[name] = point
            sounds.append(sound)
    return found
