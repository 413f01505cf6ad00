"""Whether notes cost more than audio: training steps beside the bare renders that they need; writes `docs/measured/notes-speed.md`.

    python benchmarks/notes_speed.py

Steps and bare renders take turns, so that other load on the machine affects both. Each figure is a median of ratios.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Collection
from pathlib import Path

import dawdreamer
import numpy as np
import torch

from blackbox_grad import SPSA, DifferentiableEffect, Notes, ProcessPool

RATE, BATCH, SECONDS = 44100, 8, 3.0

#: All parameters are here: a release decides how many voices sound, and what a render costs.
LEVEL = 0.4

MDA = "http://drobilla.net/plugins/mda/"
PAGE = Path(__file__).parent.parent / "docs" / "measured" / "notes-speed.md"

#: Names of an instrument's notes for 3 s: few, and many.
RIFFS = {"8 notes": 8, "2 000 notes": 2000}


def bare_seconds(uri: str, notes: Notes | None, renders: int, names: Collection[str]) -> float:
    """Seconds that DawDreamer alone takes for so many renders with these parameters at `LEVEL`."""
    engine = dawdreamer.RenderEngine(RATE, 512)
    plugin = engine.make_plugin_processor("plugin", uri)
    moved = [d["index"] for d in plugin.get_parameters_description() if d["name"] in names]
    graph = [(plugin, [])]
    if notes is None:
        audio = np.random.default_rng(0).uniform(-0.1, 0.1, (2, round(RATE * SECONDS))).astype(np.float32)
        graph = [(engine.make_playback_processor("audio", audio), []), (plugin, ["audio"])]
    else:
        for note in notes.notes:
            plugin.add_midi_note(note.pitch, note.velocity, note.start, note.length)
    began = time.perf_counter()
    for _ in range(renders):
        engine.load_graph(graph)
        for index in moved:
            plugin.set_parameter(index, LEVEL)
        engine.render(SECONDS)
        engine.get_audio()
    return time.perf_counter() - began


def ratio(pool: ProcessPool, uri: str, notes: Notes | None, rounds: int) -> float:
    """Time of a step with one host, divided by that of its renders."""
    layer = DifferentiableEffect(f"dawdreamer:{uri}", estimator=SPSA(), host=pool)
    count = len(layer.parameter_space)
    sound = notes if notes is not None else torch.empty(BATCH, 2, round(RATE * SECONDS)).uniform_(-0.1, 0.1)
    found = []
    for _ in range(rounds + 1):
        p = torch.full((BATCH, count), LEVEL, requires_grad=True)
        began = time.perf_counter()
        y = layer(sound, p)
        y.square().mean().backward()
        took = time.perf_counter() - began
        found.append(took / bare_seconds(uri, notes, 3 * BATCH, layer.parameter_space.names))
    return statistics.median(found[1:])  # the first one opens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    rows = []
    with ProcessPool(1) as pool:
        rows.append(("Overdrive, an effect", "audio", ratio(pool, f"{MDA}Overdrive", None, rounds)))
        for name in ("DX10", "JX10"):
            for text, count in RIFFS.items():
                rng = np.random.default_rng(0)
                starts = np.sort(rng.uniform(0.0, SECONDS - 0.2, count))
                riff = Notes([(int(rng.integers(40, 80)), 100, float(s), 0.1) for s in starts], SECONDS)
                rows.append((f"{name}, an instrument", text, ratio(pool, f"{MDA}{name}", riff, rounds)))
    lines = [
        "# Speed of notes",
        "",
        "Time of a training step (forward and backward, two probes of each item, one host process), divided by the time that "
        f"DawDreamer alone takes for the same {3 * BATCH} renders of {SECONDS:g} s. Written by `python benchmarks/notes_speed.py`; "
        "both take turns on one machine.",
        "",
        "| plug-in | input | step / renders |",
        "|---|---|---:|",
        *(f"| {name} | {text} | {value:.2f} |" for name, text, value in rows),
    ]
    PAGE.write_text("\n".join(lines) + "\n", "utf-8")
    print(PAGE.read_text("utf-8"))


if __name__ == "__main__":
    main()
