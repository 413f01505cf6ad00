"""Audio through one DawDreamer processor, with its steps in the right order and the output in the right length."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np

from blackbox_grad.effects import Audio, is_packed, parted, unpacked
from blackbox_grad.errors import RenderError
from blackbox_grad.parameters import FloatArray
from blackbox_grad_backends.native.determinism import reseed, zeroed_memory
from blackbox_grad_backends.native.graveyard import Natives
from blackbox_grad_backends.native.midi_bytes import as_file

#: Samples per block. 512, 4 096 and 16 384 were equally fast.
BLOCK = 512


def cause_of_freeze(action: str) -> str:
    """Why this thread would freeze if DawDreamer did this here, and the way out; empty if it would not."""
    here = threading.current_thread()
    if here is threading.main_thread():
        return ""
    return (
        f"DawDreamer freezes if it {action} outside the main thread, and this is {here.name!r}; render in host processes "
        "(ProcessPool, the default of DifferentiableEffect)"
    )


class Graph:
    """An engine that plays audio, or notes, into one processor, which `make` makes.

    Args:
        sample_rate: Hz.
        remakes: whether loading the graph recreates the plug-in, as for LV2. Each load then gets zeroed memory.

    The thread that makes the first graph of a process handles DawDreamer's messages from then on, and the first render of every
    graph waits for it. So make it, and render once, on the main thread; after that, other threads may render.
    """

    def __init__(self, sample_rate: float, remakes: bool = False) -> None:
        import dawdreamer

        self.remakes = remakes
        self._midi = b""
        self.sample_rate = float(sample_rate)
        self.natives = Natives()
        self.natives["engine"] = dawdreamer.RenderEngine(self.sample_rate, BLOCK)
        self.natives["player"] = self.natives["engine"].make_playback_processor("audio", np.zeros((1, 1), np.float32))

    @property
    def _engine(self) -> Any:
        return self.natives["engine"]

    @property
    def processor(self) -> Any:
        """DawDreamer's object. Keep no reference to it: what somebody holds is not destroyed."""
        return self.natives["processor"]

    @property
    def closed(self) -> bool:
        return "engine" not in self.natives

    def make(self, kind: str, *arguments: Any) -> Any:
        """Make the processor, in place of the one before: `make("plugin", path)`, `make("faust")`."""
        self.discard()
        reseed()
        self._midi = b""
        self.natives["processor"] = getattr(self._engine, f"make_{kind}_processor")("processor", *arguments)
        return self.processor

    def discard(self) -> None:
        """Destroy the processor, if there is one."""
        if "processor" in self.natives:
            self.natives.destroy("processor")
            self._engine.remove_processor("processor")

    def render(
        self, audio: Audio, settings: Iterable[tuple[int, float]], moving: Iterable[tuple[int | str, FloatArray]] = ()
    ) -> Audio:
        """`audio: [inputs, N]` -> `[outputs, N]`, after a reset of the processor, with pairs of parameter index and value.

        `moving`: pairs of parameter (index of a plug-in's, name of a Faust program's) and its value in each block of `BLOCK`
        samples. DawDreamer reads automation at the beginning of its blocks. It stays until the parameter is set again.

        Packed notes `[any, N]` are played with silence at the inputs, if there are any. Notes beside audio are one more channel,
        the last one.
        """
        length = audio.shape[1]
        # Held until the end of the render: another thread may close the effect.
        engine, player, processor = (self.natives[name] for name in ("engine", "player", "processor"))
        try:
            # Exactly as many channels as the processor has: it drops more without an error.
            inputs = processor.get_num_input_channels()
            alone = inputs == 0 or is_packed(audio)
            self._give(processor, audio if alone else parted(audio)[1])
            if inputs:
                player.set_data(np.zeros((inputs, length), np.float32) if alone else audio[:inputs])
            # In this order: loading the graph resets the parameters of an LV2 to their defaults, without an error.
            with zeroed_memory(small_blocks=self.remakes):
                engine.load_graph([(processor, [])] if not inputs else [(player, []), (processor, ["audio"])])
            for index, value in settings:
                processor.set_parameter(index, value)
            for parameter, row in moving:
                processor.set_automation(parameter, np.repeat(row.astype(np.float32), BLOCK))
            reseed()
            # Half a sample more: DawDreamer rounds the duration down, and 15 / 44 100 s gave 14 samples.
            engine.render((length + 0.5) / self.sample_rate)
            result: Audio = engine.get_audio()
            outputs = processor.get_num_output_channels()
        finally:
            del engine, player, processor  # an error's traceback would hold them
        if result.shape != (outputs, length):
            raise RenderError(
                f"DawDreamer returned {result.shape} for audio of shape {audio.shape}; expected {(outputs, length)}"
            )
        return result

    def _give(self, processor: Any, notes: Audio | None) -> None:
        """Have the processor play packed notes, or none. It keeps them over resets until it gets others."""
        if notes is None:
            if self._midi:
                processor.clear_midi()
            self._midi = b""
            return
        midi = as_file(unpacked(notes, self.sample_rate), self.sample_rate)
        if midi == self._midi:
            return
        self._midi = b""
        descriptor, path = tempfile.mkstemp(".mid")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(midi)
            if not processor.load_midi(path, clear_previous=True, beats=False, all_events=True):
                raise RenderError("DawDreamer could not read the notes")
        finally:
            os.unlink(path)
        self._midi = midi
