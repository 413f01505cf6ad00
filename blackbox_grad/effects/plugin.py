"""The base of a backend's effects: channel layout, side chains, latency and length."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from blackbox_grad.effects.audio import Audio, check_audio
from blackbox_grad.effects.curves import Moves, check_table, moves_of
from blackbox_grad.effects.layout import dealt, through
from blackbox_grad.effects.packing import packed, parted, unpacked
from blackbox_grad.effects.presets import StoredPreset
from blackbox_grad.effects.protocols import Beside, Closing, Takes
from blackbox_grad.errors import AudioError, EffectLoadError, RenderError
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace

#: `PluginEffect.inputs` and `outputs` of an effect for any number of channels.
ANY = 0


class PluginEffect(Closing, ABC):
    """Base of a backend's effects: a subclass writes `process`, and this class keeps the rest of the promise.

    It adapts the channel layout, feeds side chains, takes latency out, keeps the length and the type. A subclass sets the
    attributes in its constructor, and its `process` forgets all earlier calls. `inputs = outputs = ANY`: any number of channels
    goes straight through.

    An instrument has `takes = "notes"`. Its `process` gets packed notes, of which `effects.packing.unpacked` makes MIDI messages.

    Attributes:
        takes: "audio", or "notes".
        beside: what else `process` takes: "notes" of an effect, "audio" of an instrument; "" for nothing. It then may get one more
            channel than inputs, the last one, with packed notes.
        side_inputs: positions of the inputs that do not take the audio: side chains, a vocoder's carrier. None: the plug-in does
            not say; then they are the inputs beyond the number of outputs.
        sidechain: the recording `[S, N]` that they take. It starts with the audio, and is cut or followed by silence.
        side_copies: without a recording, they take copies of the audio instead of silence.
        notes: what a user should know of how it was opened, in sentences, such as a parameter that cannot reach its end.
        curve_block: samples between two changes of a setting that moves, for a subclass that writes `process_curves`; 0 for others.
        learnt: options with which it opens again in the same way, and faster. Other hosts receive those that are plain: numbers,
            text, bytes, parameters, and tuples, lists, frozensets and dicts of them.
    """

    takes: Takes = "audio"
    beside: Beside = ""
    name: str
    parameters: ParameterSpace
    sample_rate: float
    inputs: int
    outputs: int
    side_inputs: tuple[int, ...] | None = None
    sidechain: Audio | None = None
    side_copies: bool = False
    notes: tuple[str, ...] = ()
    curve_block: int = 0
    latency: int = 0
    repeatability: float = 0.0
    learnt: Mapping[str, Any] = {}
    #: False for an effect that must not be rendered before it is asked to: no first look finds its dead parameters.
    first_look: bool = True

    @abstractmethod
    def process(self, audio: Audio, values: FloatArray) -> Audio:
        """`audio: [inputs, N]`, `values: [F] in [0, 1]` (stepped ones at their levels) -> `[outputs, N]`, from a clean state."""

    def process_curves(self, audio: Audio, values: FloatArray, moves: Moves) -> Audio:
        """`process` with settings that move: `values: [F]` are those of the first block, and `moves` says what follows.

        `moves.block` is `curve_block`. A block whose settings are those of the one before sounds as if nothing moved.
        """
        raise RenderError(f"the settings of {self.name} cannot move")

    def latency_at(self, values: FloatArray) -> int:
        """Latency in samples at these values; override it if it depends on them."""
        return self.latency

    def stored_presets(self, folder: str | None) -> Iterable[StoredPreset]:
        """The plug-in's own presets, or those of a folder. A backend whose effects have some has `has_presets = True`."""
        return ()

    def preset_files(self, suffix: str, name: str, values: FloatArray) -> dict[str, bytes]:
        """A preset at `values: [F]`: name of a file -> its content; "" is the preset that is one file.

        A backend whose effects save some has `preset_suffixes(locator)`, the suffixes that are possible.
        """
        raise EffectLoadError(f"{self.name} saves no presets")

    @property
    def layout(self) -> str:
        if self.takes == "notes":
            return f"notes{f' + {self.inputs}' if self.beside else ''} in, {self.outputs} out"
        if self.inputs == ANY:
            return "any number in, as many out"
        side = len(self.sides)
        kind = "side chain" if self.sidechain is not None else "copied" if self.side_copies else "silent"
        return f"{self.inputs - side} in{f' + {side} {kind}' if side else ''}, {self.outputs} out"

    @property
    def sides(self) -> tuple[int, ...]:
        """Positions of the inputs that do not take the audio."""
        if self.side_inputs is not None:
            return self.side_inputs
        return tuple(range(self.outputs, self.inputs))

    def render(self, audio: Audio, point: ArrayLike) -> Audio:
        return self.render_checked(check_audio(audio), self.parameters.complete(point))

    def render_curves(self, audio: Audio, values: ArrayLike) -> Audio:
        """`audio: [C, T]`, and settings for each block, `[P, N] in [0, 1]` -> `[C, T]`.

        Where nothing moves it is `render`. Latency is taken out, and settings are delayed by it: they are those of the output.
        """
        audio = check_audio(audio)
        table = self.parameters.complete_all(check_table(values, len(self.parameters), audio.shape[1], self.curve_block).T).T
        if not table.shape[1]:
            return audio.copy()
        return self.render_checked(audio, table[:, 0], moves_of(table, self.curve_block))

    def render_checked(self, audio: Audio, values: FloatArray, moves: Moves | None = None) -> Audio:
        """`render` with `audio` as `check_audio` and `values: [F]` as `ParameterSpace.complete` return them."""
        if not self.beside:
            return self._rendered(audio, values, moves)
        main, notes = parted(audio)
        result = self._rendered(main, values, moves, notes)
        return result if notes is None else np.concatenate([result, np.zeros_like(notes)])

    def _rendered(self, audio: Audio, values: FloatArray, moves: Moves | None, notes: Audio | None = None) -> Audio:
        """`notes: [1, T]`: packed, beside the audio."""
        channels, length = audio.shape
        if length == 0:
            return audio.copy()
        if self.takes == "notes":
            return self._played(audio, values, moves, notes)
        if self.side_inputs is None and channels == self.inputs > 2 * self.outputs and channels > 2:
            raise AudioError(
                f"{channels} channels go into {self.name} and {self.outputs} come out, and an effect here returns as many "
                f"channels as it gets; give 1 or {self.outputs}"
            )
        late = self.latency_at(values)
        padded = np.pad(audio, ((0, 0), (0, late))) if late else audio
        row = None if notes is None else self._longer(notes, late)

        def process(main: Audio) -> Audio:
            given = self.filled(main)
            result = self._processed(given if row is None else np.concatenate([given, row]), values, moves, late)
            expected = (self.outputs or channels, main.shape[1])
            if result.shape != expected:
                raise RenderError(f"the effect returned {result.shape} for audio of shape {main.shape} [C, T], not {expected}")
            return result

        if self.inputs == ANY:
            result = process(padded)
        else:
            result = through(process, padded, self.inputs - len(self.sides), self.outputs)
        return np.ascontiguousarray(result[:, late:], dtype=np.float32)

    def _processed(self, audio: Audio, values: FloatArray, moves: Moves | None, late: int) -> Audio:
        if moves is None:
            return self.process(audio, values)
        return self.process_curves(audio, values, moves.later(late, audio.shape[1]) if late else moves)

    def _longer(self, notes: Audio, late: int) -> Audio:
        """The same packed notes in so many samples more."""
        if not late:
            return notes
        channels, length = notes.shape
        return packed(unpacked(notes, self.sample_rate), length + late, channels, self.sample_rate)

    def _played(self, sound: Audio, values: FloatArray, moves: Moves | None, notes: Audio | None) -> Audio:
        """`[C, T]` from packed notes of that shape, or from `notes` beside audio of that shape."""
        channels, length = sound.shape
        late = self.latency_at(values)
        if notes is None:
            given = self._longer(sound, late)
        else:
            given = np.concatenate([np.pad(dealt(sound, self.inputs), ((0, 0), (0, late))), self._longer(notes, late)])
        result = self._processed(given, values, moves, late)
        if result.shape != (self.outputs, length + late):
            raise RenderError(f"the instrument returned {result.shape} for {length + late} samples of {self.outputs} channels")
        return np.ascontiguousarray(dealt(result[:, late:], channels), dtype=np.float32)

    def filled(self, audio: Audio) -> Audio:
        """`[inputs for the audio, N]` -> `[inputs, N]`: with what the other inputs take."""
        sides = [] if self.inputs == ANY else list(self.sides)
        if not sides:
            return audio
        result = np.zeros((self.inputs, audio.shape[1]), np.float32)
        result[[i for i in range(self.inputs) if i not in sides]] = audio
        if self.sidechain is not None:
            length = min(audio.shape[1], self.sidechain.shape[1])
            result[sides, :length] = dealt(self.sidechain[:, :length], len(sides))
        elif self.side_copies:
            result[sides] = dealt(audio, len(sides))
        return result
