"""The base of a backend's effects: channel layout, latency and length."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from blackbox_grad.effects.audio import Audio, check_audio
from blackbox_grad.effects.protocols import Closing
from blackbox_grad.errors import AudioError, RenderError
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace

#: `PluginEffect.inputs` and `outputs` of an effect for any number of channels.
ANY = 0


class PluginEffect(Closing, ABC):
    """Base of a backend's effects: a subclass writes `process`, and this class keeps the rest of the promise.

    It adapts the channel layout, takes latency out, keeps the length and the type. A subclass sets the attributes in its
    constructor, and its `process` forgets all earlier calls. `inputs = outputs = ANY`: any number of channels goes straight
    through.
    """

    name: str
    parameters: ParameterSpace
    sample_rate: float
    inputs: int
    outputs: int
    latency: int = 0
    repeatability: float = 0.0
    learnt: Mapping[str, Any] = {}

    @abstractmethod
    def process(self, audio: Audio, values: FloatArray) -> Audio:
        """`audio: [inputs, N]`, `values: [F] in [0, 1]` (stepped ones at their levels) -> `[outputs, N]`, from a clean state."""

    def latency_at(self, values: FloatArray) -> int:
        """Latency in samples at these values; override it if it depends on them."""
        return self.latency

    @property
    def layout(self) -> str:
        return f"{self.inputs} in, {self.outputs} out" if self.inputs else "any number in, as many out"

    def render(self, audio: Audio, point: ArrayLike) -> Audio:
        return self.render_checked(check_audio(audio), self.parameters.complete(point))

    def render_checked(self, audio: Audio, values: FloatArray) -> Audio:
        """`render` with `audio` as `check_audio` and `values: [F]` as `ParameterSpace.complete` return them."""
        length = audio.shape[1]
        if length == 0:
            return audio.copy()
        late = self.latency_at(values)
        padded = np.pad(audio, ((0, 0), (0, late))) if late else audio
        result = _adapt(self.process, padded, values, self.inputs, self.outputs)
        if result.shape != padded.shape:
            raise RenderError(f"the effect returned {result.shape} for audio of shape {padded.shape} [C, T]")
        return np.ascontiguousarray(result[:, late:], dtype=np.float32)


def _adapt(process: Callable[[Audio, FloatArray], Audio], audio: Audio, values: FloatArray, inputs: int, outputs: int) -> Audio:
    """Render `[C, N]` through a plug-in with its own channel counts.

    As many channels as the plug-in has: straight through. Mono through a wider plug-in: doubled, then averaged. Several channels
    through a plug-in with one output: one at a time; a second input (side chain) gets the same channel. Several channels through a
    plug-in with a mono input: averaged. Further side-chain inputs get copies.
    """
    channels = audio.shape[0]
    if inputs == ANY or inputs == outputs == channels:
        return process(audio, values)
    if channels == 1:
        result = process(np.repeat(audio, inputs, axis=0), values)
        return _mean(result)
    if outputs == 1:
        return np.concatenate([process(np.repeat(audio[c : c + 1], inputs, axis=0), values) for c in range(channels)])
    if outputs == channels and inputs >= channels:
        return process(audio[np.arange(inputs) % channels], values)
    if outputs == channels and inputs == 1:
        return process(_mean(audio), values)
    raise AudioError(
        f"{channels} channels do not fit an effect with {inputs} in and {outputs} out; give mono or {outputs} channels"
    )


def _mean(audio: Audio) -> Audio:
    """`[C, N]` -> `[1, N]`, in a third of the time of `numpy.mean`."""
    if len(audio) == 1:
        return audio
    total = audio[:1] + audio[1:2]
    for channel in audio[2:]:
        total += channel
    total *= np.float32(1 / len(audio))
    return np.asarray(total, dtype=np.float32)
