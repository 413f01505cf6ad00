"""One plug-in, opened in Pedalboard: measured once, and rendered as the measurements say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np

from blackbox_grad.effects import Audio, Messages, Moves, PluginEffect, StoredPreset, unpacked
from blackbox_grad.errors import EffectLoadError, RenderError
from blackbox_grad.parameters import FloatArray, Parameter, ParameterSpace
from blackbox_grad_backends.native.corners import WHOLE, Reach, narrowed, notes, touched
from blackbox_grad_backends.native.determinism import reseed, zeroed_memory
from blackbox_grad_backends.native.graveyard import Natives, undisturbed
from blackbox_grad_backends.native.instruments import is_steered, keeps_controllers, refuse_generator
from blackbox_grad_backends.native.pinned import pinned
from blackbox_grad_backends.native.plugin_parameters import describe, is_doubtful, is_for_the_host, on_grid, rounded
from blackbox_grad_backends.native.probing import silence
from blackbox_grad_backends.native.render_method import Measured, choose_method
from blackbox_grad_backends.native.repeatability import Method
from blackbox_grad_backends.native.window_controls import hold_window_controls
from blackbox_grad_backends.pedalboard_blocks import CURVE_BLOCK, in_blocks
from blackbox_grad_backends.pedalboard_instruments import outputs_of, play
from blackbox_grad_backends.pedalboard_presets import stored_presets
from blackbox_grad_backends.pedalboard_saving import preset_content

#: Samples per block: from 1 024 on, larger blocks were not faster on the Zam plug-ins (ZamCompX2, 131 072 samples).
BUFFER_SIZE = 4096

#: Shorter audio is padded to this: in an array of shape (2, 2) or (2, 1), Pedalboard cannot distinguish channels from samples.
SHORTEST = 64

#: Samples of silence after a change of parameters: one long block, in which plug-ins apply values and end their fades.
SETTLING = BUFFER_SIZE

#: Non-automatable controls may be anything: they are measured only if there are at most this many.
_MOST_HIDDEN = 16


class PedalboardPluginEffect(PluginEffect):
    """A plug-in, rendered with the fastest method that measurements found pure.

    The methods, from fast to thorough:

    - `render_reset`: set the parameters, reset, render.
    - `render_settled`: set them, render silence, reset, render. For plug-ins that fade from one value to the next.
    - `render_recreated`: the same, but Pedalboard recreates the plug-in from its state instead of resetting it. For plug-ins that
      keep audio over a reset (ZamTube).
    - `render_anew`: reopen the plug-in, touch every parameter, set it, render silence, render.

    Pedalboard guesses which plug-ins it must recreate. The guess uses unseeded noise, and varies for ZamTube (5 : 35 of 40
    openings), so every method sets what a reset does.
    """

    curve_block = CURVE_BLOCK
    _moves: Moves | None = None
    _steered = False
    _keeps_controllers = False

    def __init__(
        self,
        natives: Natives,
        open_plugin: Callable[[], Any],
        sample_rate: float,
        measured: Measured | None = None,
        elsewhere: str = "",
        fixed: Mapping[str, Any] | None = None,
        gentle: bool = False,
    ) -> None:
        self._natives, self._open_plugin, self._elsewhere = natives, open_plugin, elsewhere
        natives["plugin"] = open_plugin()
        self.name = str(self._plugin.name)
        self.sample_rate = float(sample_rate)
        if self._plugin.is_instrument:
            self.takes, self.inputs, self.outputs = "notes", 0, outputs_of(self._plugin, self.sample_rate)
        else:
            self.inputs = self.outputs = self._find_channels()
        controls = [c for c in self._plugin._parameters if not is_for_the_host(c)]
        hidden = sum(not c.is_automatable for c in controls)
        if hidden > _MOST_HIDDEN:
            controls = [c for c in controls if c.is_automatable]
        described = hold_window_controls(measured.described if measured else map(describe, controls))
        indices = [c.index for c in controls]
        doubtful = {c.index for c in controls if is_doubtful(c)}
        del controls  # the plug-in may be opened anew from here on
        everything = [_Shown(p, i) for p, i in zip(described, indices, strict=True)]
        self._pinned = {indices[i]: value for i, value in pinned(fixed or {}, ParameterSpace(described)).items()}
        doubtful -= set(self._pinned)  # they exist: the caller named them
        self._use(everything)
        if measured and dict(measured.pinned) != self._pinned:
            measured = None
        reaches = [Reach(*ends) for ends in measured.reaches] if measured else self._find_reaches(everything, gentle)
        shown = [replace(s, reach=reach) for s, reach in zip(everything, reaches, strict=True) if reach.low < reach.high]
        self.notes = notes(described, reaches)
        self._use(shown)
        self._touch()
        self.latency = int(self._plugin.reported_latency_samples)
        if measured is None:
            found = self._measure({i for i, s in enumerate(shown) if s.index in doubtful})
            measured = replace(
                found, described=described, reaches=tuple(map(astuple, reaches)), pinned=tuple(self._pinned.items())
            )
            if self.takes == "notes" and keeps_controllers(self, getattr(self, measured.method)):
                measured = replace(measured, keeps_controllers=True)
                self.renew()
        self._keeps_controllers = measured.keeps_controllers
        self.learnt = {"measured": measured.plain()}
        self._render: Method = getattr(self, measured.method)
        self.repeatability = measured.error
        self.set(self.parameters.defaults)
        self._use([shown[i] for i in measured.kept])

    def _find_reaches(self, everything: list[_Shown], gentle: bool) -> list[Reach]:
        def attempt(values: FloatArray) -> None:
            for point in (self.parameters.defaults, values):
                self.set(point)
                self.settle()

        def renew() -> None:
            self._reopen()
            self._use(everything)

        held = [position for position, _ in self._held]
        return touched(self.parameters.everything, self.parameters.defaults, held, gentle, self._touch, attempt, renew)

    def _measure(self, doubtful: set[int]) -> Measured:
        methods = [self.render_reset, self.render_settled, self.render_recreated, self.render_anew]
        if self.takes == "notes":
            refuse_generator(self, self.render_settled, f"pedalboard:{self.name}")
            doubtful = set()  # most settings of a synthesiser are silent until others wake them
        choice = choose_method(self, methods, doubtful, **{"least_alive": 0.0} if self.takes == "notes" else {})
        kept = tuple(i for i in range(len(self.parameters)) if i not in doubtful or i in choice.live)
        return Measured(choice.method.__name__, choice.error, kept, ())

    @property
    def method(self) -> str:
        """Name of the method that renders."""
        return str(self._render.__name__)

    def latency_at(self, values: FloatArray) -> int:
        """0 for effects: Pedalboard takes their latency out itself."""
        return self.latency if self.takes == "notes" else 0

    def process(self, audio: Audio, values: FloatArray) -> Audio:
        if "plugin" not in self._natives:
            raise RenderError(f"{self.name} has been closed; open it again to render")
        length = audio.shape[1]
        short = length < SHORTEST and self.takes == "audio"
        padded = np.pad(audio, ((0, 0), (0, SHORTEST - length))) if short else audio
        with undisturbed():
            if self._steered:
                self.renew()
            self._steered = self._keeps_controllers and is_steered(audio, self.sample_rate)
            reseed()
            return self._render(padded, values)[:, :length]

    def process_curves(self, audio: Audio, values: FloatArray, moves: Moves) -> Audio:
        self._moves = moves
        try:
            return self.process(audio, values)
        finally:
            self._moves = None

    def stored_presets(self, folder: str | None) -> Iterable[StoredPreset]:
        if "plugin" not in self._natives:
            raise RenderError(f"{self.name} has been closed; open it again to read its presets")
        with undisturbed():
            return list(stored_presets(self, folder))

    def preset_files(self, suffix: str, name: str, values: FloatArray) -> dict[str, bytes]:
        if "plugin" not in self._natives:
            raise RenderError(f"{self.name} has been closed; open it again to save a preset")
        with undisturbed():
            return {"": preset_content(self, values)}

    @property
    def plugin(self) -> Any:
        """Pedalboard's object. Keep no reference to it."""
        return self._plugin

    def read(self) -> list[float]:
        """The host's values of the parameters, as they are."""
        controls = self._plugin._parameters
        return [float(controls[index].raw_value) for index in self._indices]

    def inside(self, position: int, value: float) -> tuple[float, str]:
        """A value in the whole range of a parameter, within its reach, and what became of it."""
        shown = self._shown[position]
        return shown.reach.inside(value, shown.parameter)

    def settle(self) -> None:
        """Render silence, with the plug-in as it is."""
        self._run(silence(self, SETTLING))

    def renew(self) -> None:
        """A new plug-in: whatever was loaded into the old one is gone."""
        self._reopen()
        self._use(self._shown)
        self._touch()

    def close(self) -> None:
        self._controls: list[Any] = []
        self._natives.close()

    @property
    def _plugin(self) -> Any:
        return self._natives["plugin"]

    def render_reset(self, audio: Audio, values: FloatArray) -> Audio:
        self._on_reset("ClearsAudioOnReset")
        # A reset that only clears audio keeps the native parameter objects alive; after a re-creation, using an old one crashes.
        for control, value in zip(self._controls, self.numbers(values), strict=True):
            control.raw_value = value
        return self._run_from_reset(audio)

    def render_settled(self, audio: Audio, values: FloatArray) -> Audio:
        self._on_reset("ClearsAudioOnReset")
        self.set(values)
        self.settle()
        return self._run_from_reset(audio)

    def render_recreated(self, audio: Audio, values: FloatArray) -> Audio:
        self._on_reset("PersistsAudioOnReset")
        self.set(values)
        # The new plug-in starts from the state that the old one has *processed*, and then ignores a parameter set to its default
        # (ZamTube: drive 0.9 -> 0.0 rendered 0.9). Rendering silence puts the values into that state.
        self.settle()
        with zeroed_memory():
            self._plugin.reset()
        self.set(values)
        return self._run_late(audio)

    def render_anew(self, audio: Audio, values: FloatArray) -> Audio:
        self._reopen()
        self._touch()
        self.set(values)
        self.settle()
        return self._run_late(audio)

    def _on_reset(self, what: str) -> None:
        # Plain assignment makes Pedalboard search for a parameter of this name, which reads all texts.
        object.__setattr__(self._plugin, "_reload_type", getattr(type(self._plugin._reload_type), what))

    def _run(self, audio: Audio, reset: bool = False) -> Audio:
        if self.takes == "notes":
            return self._play(unpacked(audio, self.sample_rate), 0, audio.shape[1], reset)
        result: Audio = self._plugin.process(audio, self.sample_rate, buffer_size=BUFFER_SIZE, reset=reset)
        return result

    def _play(self, messages: Messages, start: int, end: int, reset: bool = False) -> Audio:
        return play(self._plugin, messages, start, end, self.sample_rate, self.outputs, BUFFER_SIZE, reset)

    def _run_from_reset(self, audio: Audio) -> Audio:
        if self._moves is None:
            return self._run(audio, reset=True)
        self._plugin.reset()
        return self._run_moving(audio, self._moves)

    def _run_moving(self, audio: Audio, moves: Moves) -> Audio:
        controls = self._plugin._parameters
        own = [(controls[self._indices[position]], position) for position in moves.positions]
        rows = self._lows[list(moves.positions), None] + moves.values * self._spans[list(moves.positions), None]

        def change(control: int, value: float) -> None:
            own[control][0].raw_value = value

        moves = replace(moves, values=rounded(rows, [self._whole.everything[position] for _, position in own]))
        length = audio.shape[1]
        if self.takes == "notes":
            messages = unpacked(audio, self.sample_rate)
            return in_blocks(lambda start, end: self._play(messages, start, end), change, length, moves)
        late = int(self._plugin.reported_latency_samples)
        padded = np.pad(audio, ((0, 0), (0, late))) if late else audio
        return in_blocks(lambda start, end: self._run(padded[:, start:end]), change, length, moves, late)

    def _run_late(self, audio: Audio) -> Audio:
        """Without a reset, Pedalboard drops the latency from the start and returns fewer samples, or has dropped it before."""
        if self._moves is not None:
            return self._run_moving(audio, self._moves)
        late = 0 if self.takes == "notes" else int(self._plugin.reported_latency_samples)
        result = self._run(np.pad(audio, ((0, 0), (0, late))) if late else audio)
        return result[:, result.shape[1] - audio.shape[1] :]

    def _reopen(self) -> None:
        self._controls = []
        self._natives["plugin"] = self._open_plugin()

    def _use(self, shown: Sequence[_Shown]) -> None:
        self.parameters = ParameterSpace(narrowed(s.parameter, s.reach) for s in shown)
        self._whole = ParameterSpace(s.parameter for s in shown)
        self._shown = list(shown)
        self._indices = [s.index for s in shown]
        self._lows = np.array([s.reach.low for s in shown])
        self._spans = np.array([s.reach.high - s.reach.low for s in shown])
        self._held = [(k, self._pinned[s.index]) for k, s in enumerate(shown) if s.index in self._pinned]
        controls = self._plugin._parameters
        self._controls = [controls[i] for i in self._indices]

    def set(self, values: FloatArray) -> None:
        """Set the parameters."""
        controls = self._plugin._parameters
        for index, value in zip(self._indices, self.numbers(values), strict=True):
            controls[index].raw_value = value

    def numbers(self, values: FloatArray) -> list[float]:
        """`[F]` -> `F` values of the plug-in's controls."""
        numbers = on_grid(self._lows + values * self._spans, self._whole)
        for position, value in self._held:
            numbers[position] = value
        return numbers

    def _touch(self) -> None:
        """Move every parameter once: some start from a value that they never reach again (ZamEQ2's frequencies, by 3e-7)."""
        defaults = self.parameters.defaults
        for values in (np.where(defaults > 0.5, 0.0, 1.0), defaults):
            self.set(values)
            self.settle()

    def _find_channels(self) -> int:
        """Most Zam plug-ins take only mono or only stereo, and raise an error for the other."""
        refused = ""  # not the error: its traceback would hold this frame, and the callers' with the plug-in
        for channels in (2, 1, 4, 6, 8):
            try:
                self._plugin.process(np.zeros((channels, SHORTEST), np.float32), self.sample_rate, reset=False)
            except (ValueError, RuntimeError) as error:
                refused = refused or str(error)
            else:
                return channels
        raise EffectLoadError(
            f"{self.name} takes neither mono, stereo, 4, 6 nor 8 channels ({refused}); Pedalboard needs as many inputs as outputs"
            + (f". DawDreamer does not: open it as {self._elsewhere}" if self._elsewhere else "")
        )


@dataclass(frozen=True)
class _Shown:
    """A parameter as the plug-in has it, its index there, and how far it may go."""

    parameter: Parameter
    index: int
    reach: Reach = WHOLE
