"""The demo: a real recording through a chain of effects at hidden settings, and `match` that finds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blackbox_grad.audio_files import example
from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.hosts.protocol import Host
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace

if TYPE_CHECKING:
    from blackbox_grad.matching.result import Match, Progress

ADDRESS = "pedalboard-builtin:Distortion | pedalboard-builtin:LadderFilter | pedalboard-builtin:Reverb"

#: The settings to be found; all other parameters stay at their defaults, in the target and in the search.
HIDDEN: dict[str, float | str] = {
    "Distortion: drive_db": "32 dB",
    "LadderFilter: cutoff_hz": "1800 Hz",
    "LadderFilter: resonance": "0.45 native",
    "Reverb: room_size": "0.75 native",
    "Reverb: damping": "0.3 native",
    "Reverb: wet_level": "0.08 native",
    "Reverb: dry_level": "0.1 native",
}

#: Renders, and seconds of the recording, that the search may use.
RENDERS, EXCERPT = 700, 2.5


@dataclass(frozen=True)
class Puzzle:
    """`target` is `audio` through `spec` at `point`; audio is `[C, T]`."""

    spec: EffectSpec
    audio: Audio
    target: Audio
    parameters: ParameterSpace
    point: FloatArray


def puzzle(host: Host) -> Puzzle:
    """Render the bundled recording at the hidden settings."""
    audio, rate = example()
    spec = EffectSpec.of(ADDRESS, rate, tuple(HIDDEN))
    space = host.open(spec).parameters
    point = space.point(HIDDEN)
    target, _ = host.render_batch(spec, audio[None], point[None])
    return Puzzle(spec, audio, target[0], space, point)


def solve(given: Puzzle, host: Host, seed: int = 0, on_progress: Callable[[Progress], None] | None = None) -> Match:
    """Find the settings from the two recordings alone."""
    from blackbox_grad.matching.match import match

    return match(
        given.spec,
        given.audio,
        given.target,
        renders=RENDERS,
        excerpt=EXCERPT,
        seed=seed,
        host=host,
        on_progress=on_progress,
    )
