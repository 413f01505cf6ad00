"""References from outside, for `style_outside.py`: what no controller of the package was trained for, with the truth beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from blackbox_grad import EffectSpec, Host
from blackbox_grad.audio_files import resample
from blackbox_grad.errors import NonFiniteAudioError
from blackbox_grad_adapters.style_matching.data import excerpts
from blackbox_grad_adapters.style_matching.data.pairs import LENGTH
from blackbox_grad_adapters.style_matching.data.recordings import Tracks
from blackbox_grad_adapters.style_matching.data.rejection import SIMILARITY, silent, similarity
from blackbox_grad_adapters.style_matching.effect_path import SAMPLE_RATE, EffectPath, normalise
from blackbox_grad_adapters.style_matching.measures.judges import JUDGES
from blackbox_grad_adapters.style_matching.networks import shipped

#: Kinds of references, with descriptions.
KINDS = {
    "inside": "as in training: random settings, the other half of the recording",
    "another recording": "the same, with another recording in the reference",
    "no effect": "the other half of the recording as it is",
    "switches": "stepped parameters and switches at random too (Combo, MultiBand and Leslie have some)",
    "another maker": "an effect of Pedalboard at random settings: a like one, and others",
    "another room": "a reverb of Pedalboard before the effect; the truth is without it",
    "another level": "the reference 30 dB quieter, the input 10 dB louder",
    "another rate": "the reference at 16 kHz",
}

#: Pedalboard's effect that is most like MDA's.
LIKE = {
    "Overdrive": "Distortion",
    "Combo": "Distortion",
    "MultiBand": "Compressor",
    "RingMod": "Phaser",
    "Delay": "Delay",
    "ThruZero": "Chorus",
    "Dynamics": "Compressor",
    "Ambience": "Reverb",
    "Leslie": "Chorus",
}

#: Effects of another maker, in turn with the one that is like.
MAKERS = ("Distortion", "Reverb", "Delay", "Compressor", "Chorus", "Phaser", "LadderFilter", "HighShelfFilter")

_ROOM = {"wet_level": 0.3, "dry_level": 0.4, "width": 0.5, "freeze_mode": 0.0}

#: Rate of the references at another rate, Hz.
OTHER_RATE = 16_000.0

#: Settings and excerpts tried.
_TRIES = 200


@dataclass(frozen=True)
class Example:
    """A reference with its input and the truth.

    Attributes:
        input, reference: `[C, T]`; the input at 24 kHz.
        reference_rate: Hz.
        truth: `[C, T]`: the input with the reference's effect, faded and normalised.
        halves: by judge, the distance between the two recordings without effect.
        switches: texts of the stepped parameters and switches of the reference, by name, where they are not at their defaults.
    """

    input: Tensor
    reference: Tensor
    reference_rate: float
    truth: Tensor
    halves: dict[str, float]
    switches: dict[str, str]


class Examples:
    """Examples of one effect. Example `i` of a kind is a function of `i` and of the tracks.

    Args:
        effect: one of `shipped.NINE`.
        tracks: at 24 kHz.
    """

    def __init__(self, effect: str, tracks: Tracks, host: Host) -> None:
        self.effect, self._tracks, self._host = effect, tracks, host
        self._paths: dict[str, EffectPath] = {}
        space = self._path("all").effect.parameter_space
        self.switches = [i for i, p in enumerate(space) if p.kind != "continuous"]

    def kinds(self) -> list[str]:
        """Those that this effect has."""
        return [kind for kind in KINDS if kind != "switches" or self.switches]

    def __call__(self, kind: str, index: int) -> Example:
        rng = np.random.default_rng([list(KINDS).index(kind) if kind in ("switches", "another maker") else 0, index])
        for _ in range(_TRIES):
            excerpt = excerpts.draw(self._tracks, 2 * LENGTH, rng)
            halves = np.stack(np.split(excerpt, 2, axis=1))
            if kind == "another recording":
                halves[1] = excerpts.draw(self._tracks, LENGTH, rng)
            x, other = normalise(torch.from_numpy(halves)).split(1)
            made = self._made(kind, index, x, other, rng)
            if made is not None:
                return made
        raise RuntimeError(f"{self.effect}, {kind}: no audible example in {_TRIES} tries")

    def settings(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Two parts of a recording, `[1, C, T]` each, and settings `[1, P]` with an audible effect on both."""
        rng, path = np.random.default_rng([9, index]), self._path("continuous")
        for _ in range(_TRIES):
            excerpt = excerpts.draw(self._tracks, 2 * LENGTH, rng)
            both = normalise(torch.from_numpy(np.stack(np.split(excerpt, 2, axis=1))))
            p = torch.from_numpy(rng.uniform(size=(1, path.size))).float()
            if _through(path, both, p) is not None:
                return both[:1], both[1:], p
        raise RuntimeError(f"{self.effect}: no audible settings in {_TRIES} tries")

    def _made(self, kind: str, index: int, x: Tensor, other: Tensor, rng: np.random.Generator) -> Example | None:
        path = self._path({"switches": "all", "another maker": "maker"}.get(kind, "continuous"), index)
        rate, used = SAMPLE_RATE, {}
        if kind == "no effect":
            reference, truth = path.dry(other), path.dry(x)
        else:
            space = path.effect.parameter_space
            p = space.snap(rng.uniform(size=len(space)))
            if kind == "switches":
                used = {space[i].name: space[i].text(p[i]) for i in self.switches if p[i] != space.defaults[i]}
                if not used:
                    return None
            if kind == "another room":
                room = self._path("room")
                size = torch.from_numpy(rng.uniform(0.2, 0.9, (1, room.size))).float()
                other = normalise(room.render(other, size))
            wet = _through(path, torch.cat([x, other]), torch.from_numpy(p).float()[None])
            if wet is None:
                return None
            truth, reference = wet.split(1)
        dry = path.dry(torch.cat([x, other])).split(1)
        halves = {name: round(float(judge(dry[0], dry[1], SAMPLE_RATE)[0]), 5) for name, judge in JUDGES.items()}
        if kind == "another level":
            x, reference = 10 ** (10 / 20) * x, 10 ** (-30 / 20) * reference
        if kind == "another rate":
            rate = OTHER_RATE
            reference = torch.from_numpy(resample(reference[0].numpy(), SAMPLE_RATE, rate))[None]
        return Example(x[0], reference[0], rate, truth[0], halves, used)

    def _path(self, which: str, index: int = 0) -> EffectPath:
        if which == "maker":
            which = LIKE[self.effect] if index % 2 == 0 else MAKERS[index // 2 % len(MAKERS)]
        if which not in self._paths:
            mine = f"{shipped.MDA}/{self.effect}"
            if which in ("all", "continuous"):
                spec = EffectSpec.of(mine, SAMPLE_RATE, "trainable" if which == "all" else "continuous")
            elif which == "room":
                spec = EffectSpec.of("pedalboard-builtin:Reverb", SAMPLE_RATE, ["room_size", "damping"], fixed=_ROOM)
            else:
                spec = EffectSpec.of(f"pedalboard-builtin:{which}", SAMPLE_RATE)
            self._paths[which] = EffectPath(spec, host=self._host)
        return self._paths[which]


def _through(path: EffectPath, x: Tensor, p: Tensor) -> Tensor | None:
    """`x: [B, C, T]` through the path; None if it became silence or noise."""
    try:
        rendered = path.render(x, p.expand(len(x), -1))
    except NonFiniteAudioError:
        return None
    if silent(rendered).any():
        return None
    y = path.finish(rendered)
    return y if (similarity(path.dry(x), y, path.sample_rate) >= SIMILARITY).all() else None
