"""Audio through one DawDreamer processor, with its steps in the right order and the output in the right length."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from blackbox_grad.effects import Audio
from blackbox_grad.errors import RenderError
from blackbox_grad_backends.native.determinism import reseed, zeroed_memory

#: Samples per block. 512, 4 096 and 16 384 were equally fast.
BLOCK = 512


class Graph:
    """An engine that plays audio into one processor.

    Args:
        sample_rate: Hz.
        remakes: whether loading the graph recreates the plug-in, as for LV2. Each load then gets zeroed memory.
    """

    def __init__(self, sample_rate: float, remakes: bool = False) -> None:
        import dawdreamer

        self.remakes = remakes
        self.sample_rate = float(sample_rate)
        self.engine = dawdreamer.RenderEngine(self.sample_rate, BLOCK)
        self._player = self.engine.make_playback_processor("audio", np.zeros((1, 1), np.float32))

    def render(self, processor: Any, audio: Audio, settings: Iterable[tuple[int, float]]) -> Audio:
        """`audio: [inputs, N]` -> `[outputs, N]`, after a reset of the processor, with pairs of parameter index and value."""
        length = audio.shape[1]
        # Exactly as many channels as the processor has: it drops more without an error.
        self._player.set_data(audio)
        # In this order: loading the graph resets the parameters of an LV2 to their defaults, without an error.
        with zeroed_memory(small_blocks=self.remakes):
            self.engine.load_graph([(self._player, []), (processor, ["audio"])])
        for index, value in settings:
            processor.set_parameter(index, value)
        reseed()
        # Half a sample more: DawDreamer rounds the duration down, and 15 / 44 100 s gave 14 samples.
        self.engine.render((length + 0.5) / self.sample_rate)
        result: Audio = self.engine.get_audio()
        outputs = processor.get_num_output_channels()
        if result.shape != (outputs, length):
            raise RenderError(
                f"DawDreamer returned {result.shape} for audio of shape {audio.shape}; expected {(outputs, length)}"
            )
        return result
