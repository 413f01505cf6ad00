"""Faust programs, compiled and rendered by DawDreamer.

Locators: a `.dsp` file or the program itself: `echo.dsp`, `import("stdfaust.lib"); process = *(hslider("gain", 1, 0, 2, 0.01));`.
The program may import the standard libraries, and a file those in its folder. Options: `files=True` lets it read any file and URL;
`sidechain=` (path of an audio file): what inputs beyond the number of outputs take.

Sliders and number entries are parameters with the ranges of the program. `[unit:…]` gives the unit, `[scale:log]` a log scale,
`[style:menu{'name':value;…}]` and `[style:radio{…}]` the names of levels. A slider is stepped if its step is at least 1 and it has
at most 64 levels, and continuous otherwise: a small step is a display resolution. Checkboxes and buttons are toggles. Bargraphs
are meters, not parameters.

A program without audio inputs and with a button `gate` is an instrument: its notes come as `freq` (Hz) or `key` (MIDI number),
`gain` (0 to 1) or `vel` (0 to 127), and `gate`, which are no parameters. Each voice is a copy of `process`; `effect`, where the
program defines it, takes their sum. Option: `voices=` (16), the most notes at a time; a further one takes the voice of another.
With `voices=`, or with `declare options "[nvoices:8]";`, a program with audio inputs is an instrument too, and each voice gets
the audio.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from blackbox_grad.effects import Audio, Moves, PluginEffect
from blackbox_grad.errors import EffectLoadError, EffectNotFoundError, RenderError, suggest
from blackbox_grad.files import text_of
from blackbox_grad.parameters import FloatArray, ParameterSpace
from blackbox_grad_backends.dawdreamer_graph import BLOCK, Graph, cause_of_freeze
from blackbox_grad_backends.faust_controls import (
    Control,
    controls,
    declared_voices,
    describe,
    is_instrument,
    is_of_notes,
    of_voices,
    spelt,
)
from blackbox_grad_backends.faust_files import check_files
from blackbox_grad_backends.native.graveyard import opening, undisturbed
from blackbox_grad_backends.native.output import quiet
from blackbox_grad_backends.native.probing import silence
from blackbox_grad_backends.options import check_options
from blackbox_grad_backends.side_chain import SIDECHAIN, needs_copies, refuse_unused, take_sidechain

#: Voices of an instrument, unless the option says otherwise, and the most.
VOICES, MOST_VOICES = 16, 128

_PROGRAM = re.compile(r"\bprocess\s*(\([^)]*\))?\s*=")


class FaustBackend:
    """Opens Faust programs, effects and instruments, with DawDreamer."""

    def open(self, locator: str, sample_rate: float, options: Mapping[str, Any]) -> FaustEffect:
        options = dict(options)
        address = f"faust:{_short(locator)}"
        check_options(address, options, (SIDECHAIN, "files", "voices"))
        voices = options.get("voices")
        if voices is not None and not (isinstance(voices, int) and 1 <= voices <= MOST_VOICES):
            raise EffectLoadError(
                f"{address}: voices={voices!r}: an instrument has a whole number of voices, 1 to {MOST_VOICES}"
            )
        import dawdreamer  # noqa: F401  (an ImportError becomes a hint how to install it)

        sidechain = take_sidechain(address, options, sample_rate)

        path = None if _PROGRAM.search(locator) else Path(locator).expanduser()
        if path is not None and not path.is_file():
            known = sorted(p.name for p in path.parent.glob("*.dsp")) if path.parent.is_dir() else []
            raise EffectNotFoundError(
                f"faust:{locator}: no such file, and not a Faust program, which needs 'process = …;'; {suggest(path.name, known)}"
            )
        source = text_of(path) if path else locator
        if options.get("files") is not True:
            check_files(address, source, path.resolve().parent if path else None)
        if cause := cause_of_freeze("renders a program for the first time"):
            raise EffectLoadError(f"{address}: {cause}")
        graph = Graph(sample_rate)
        with opening(graph.natives):
            return FaustEffect(graph, source, path.resolve() if path else None, sidechain, voices)

    def claims(self, locator: str) -> float:
        if importlib.util.find_spec("dawdreamer") is None:
            return 0.0
        return 1.0 if locator.lower().endswith(".dsp") or _PROGRAM.search(locator) else 0.0

    path_options = (SIDECHAIN,)

    def path(self, locator: str) -> str | None:
        return None if _PROGRAM.search(locator) else locator

    def scan(self) -> Iterator[str]:
        """None: Faust programs are not installed in any folder."""
        yield from ()


class FaustEffect(PluginEffect):
    """A compiled Faust program.

    Loading the graph clears its state, so renders are bit-equal. If the program smooths a control (`si.smoo`), each render starts
    from the smoother's cleared state, as at the start of a Faust program.
    """

    curve_block = BLOCK

    def __init__(
        self, graph: Graph, source: str, path: Path | None, sidechain: Audio | None = None, voices: int | None = None
    ) -> None:
        self.sidechain = sidechain
        declared = re.search(r'^\s*declare\s+name\s+"([^"]+)"', source, re.MULTILINE)
        self.name = declared[1] if declared else path.stem if path else "Faust"
        self._graph = graph
        self.sample_rate = graph.sample_rate
        processor = graph.make("faust")
        folder, address = str(path.parent) if path else None, f"faust:{path or _short(source)}"
        try:
            if folder:
                processor.faust_libraries_paths = [folder]
            processor.set_dsp_string(spelt(source))
            processor.compile()
            listed = controls(spelt(source), folder)
            hears = int(processor.get_num_input_channels()) > 0
            wanted = voices or declared_voices(source)
            if is_instrument(listed) and (wanted or not hears):
                self.takes, self.beside = "notes", "audio" if hears else ""
                listed |= controls(spelt(source), folder, "effect")
                processor.num_voices = wanted or VOICES
                with quiet():  # the compiler misses an `effect`, which need not be there
                    processor.compile()
        except RuntimeError as error:
            raise EffectLoadError(f"{address} does not compile: {error}") from error
        self.inputs = int(processor.get_num_input_channels())
        self.outputs = int(processor.get_num_output_channels())
        plays = self.takes == "notes"
        if not (self.inputs or plays) or self.outputs == 0:
            what = "an analyser" if self.inputs else "a generator"
            raise EffectLoadError(
                f"{address} is {what}, not an effect: it has {self.inputs} inputs and {self.outputs} outputs"
                + ("" if self.inputs else "; an instrument has a button 'gate' too, beside 'freq' and 'gain'")
            )
        if voices is not None and not plays:
            raise EffectLoadError(
                f"{address}: voices= is for instruments, and this is an effect, without a button 'gate'; leave it out"
            )
        refuse_unused(address, self)
        described = [d | {"name": of_voices(d["name"])} for d in processor.get_parameters_description()]
        found = [
            (d["index"], raw["name"], describe(listed.get(d["name"], Control.plain(d))))
            for d, raw in zip(described, processor.get_parameters_description(), strict=True)
            if not (plays and is_of_notes(d["name"]))
        ]
        shown = [(index, name, parameter) for index, name, parameter in found if parameter is not None]
        self._indices, self._addresses = [index for index, _, _ in shown], [name for _, name, _ in shown]
        self.parameters = ParameterSpace(parameter for _, _, parameter in shown)
        self.process(silence(self, BLOCK), self.parameters.defaults)
        self.side_copies = needs_copies(self)

    def process(self, audio: Audio, values: FloatArray) -> Audio:
        return self._process(audio, values, ())

    def process_curves(self, audio: Audio, values: FloatArray, moves: Moves) -> Audio:
        rows = [
            (self._addresses[i], np.array([self.parameters.everything[i].to_native(v) for v in row.tolist()]))
            for i, row in zip(moves.positions, moves.values, strict=True)
        ]
        return self._process(audio, values, rows)

    def _process(self, audio: Audio, values: FloatArray, moving: Iterable[tuple[str, FloatArray]]) -> Audio:
        if self._graph.closed:
            raise RenderError(f"{self.name} has been closed; open it again to render")
        natives = (p.to_native(v) for p, v in zip(self.parameters.everything, values.tolist(), strict=True))
        with undisturbed():
            return self._graph.render(audio, zip(self._indices, natives, strict=True), moving)

    def close(self) -> None:
        self._graph.natives.close()


def _short(source: str) -> str:
    text = " ".join(source.split())
    return text if len(text) <= 80 else f"{text[:77]}…"
