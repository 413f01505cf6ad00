"""One VST3, VST2 or LV2 plug-in, opened in DawDreamer: measured once, and rendered as the measurements say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np

from blackbox_grad.effects import Audio, Moves, Notes, PluginEffect, StoredPreset
from blackbox_grad.errors import EffectLoadError, RenderError
from blackbox_grad.parameters import FloatArray, Parameter, ParameterSpace
from blackbox_grad_backends import dawdreamer_controls
from blackbox_grad_backends.dawdreamer_graph import BLOCK, Graph, cause_of_freeze
from blackbox_grad_backends.dawdreamer_instruments import changes_when_created, create_often, hears_notes
from blackbox_grad_backends.dawdreamer_presets import stored_presets
from blackbox_grad_backends.dawdreamer_saving import preset_files
from blackbox_grad_backends.native.corners import WHOLE, Reach, narrowed, notes, touched
from blackbox_grad_backends.native.determinism import zeroed_memory
from blackbox_grad_backends.native.graveyard import undisturbed
from blackbox_grad_backends.native.instruments import is_steered, keeps_controllers, refuse_generator
from blackbox_grad_backends.native.latency import true_latency
from blackbox_grad_backends.native.lv2_description import PluginDescription, Port
from blackbox_grad_backends.native.lv2_freeing import dies_if_freed_unused, kept_instances
from blackbox_grad_backends.native.lv2_home import Lv2Home, in_hz
from blackbox_grad_backends.native.lv2_parameters import HostRange, host_rows, host_values
from blackbox_grad_backends.native.lv2_refusals import why_not_loaded
from blackbox_grad_backends.native.output import quiet
from blackbox_grad_backends.native.pinned import pinned
from blackbox_grad_backends.native.plugin_parameters import is_doubtful
from blackbox_grad_backends.native.probing import silence, width
from blackbox_grad_backends.native.render_method import Measured, choose_method
from blackbox_grad_backends.native.repeatability import Method
from blackbox_grad_backends.native.window_controls import hold_window_controls
from blackbox_grad_backends.side_chain import needs_copies, refuse_unused

#: Samples of silence after a change of parameters, in which plug-ins apply values and end their fades.
SETTLING = 4096


class DawDreamerPluginEffect(PluginEffect):
    """A plug-in, rendered with the fastest method that measurements found pure.

    The methods, from fast to thorough:

    - `render_reloaded`: load the graph, which resets the plug-in (and recreates an LV2), set the parameters, render.
    - `render_settled`: the same twice, first with silence. For plug-ins that fade from one value to the next.
    - `render_recreated`: recreate the plug-in (10 to 35 ms), touch every parameter, then as above. For plug-ins that keep audio
      over a reset (ZamTube).

    A render that is not finite makes it recreate a VST. A smoothed parameter may glide at the start of a render, always from the
    same value; the last two methods end the glide in silence.
    """

    curve_block = BLOCK
    _moves: Moves | None = None
    _steered = False
    _keeps_controllers = False

    def __init__(
        self,
        graph: Graph,
        source: str,
        name: str,
        prepare: Callable[[Any, bool], None] | None = None,
        measured: Measured | None = None,
        sidechain: Audio | None = None,
        lv2: PluginDescription | None = None,
        gentle: bool = False,
        fixed: Mapping[str, Any] | None = None,
    ) -> None:
        self._graph, self.source, self._prepare, self.sidechain = graph, source, prepare, sidechain
        self.lv2 = lv2
        self._pinned: dict[int, float] = {}
        if lv2:
            # until the plug-in is destroyed, which may be later than `close`
            graph.natives["home"] = Lv2Home(lv2, graph.sample_rate)
            self._keeps_first = measured.keeps_first if measured else dies_if_freed_unused(lv2, graph.sample_rate)
        self.name, self.sample_rate = name, graph.sample_rate
        self._latencies: set[int] = set()
        self._created_often = False
        self._create()
        processor = graph.processor
        self.inputs, self.outputs = int(processor.get_num_input_channels()), int(processor.get_num_output_channels())
        if self.outputs == 0:
            raise EffectLoadError(
                f"dawdreamer:{source} is an analyser, not an effect: it has {self.inputs} audio inputs and 0 outputs"
            )
        self.takes = "audio" if self.inputs and not (lv2 and lv2.plays_notes) else "notes"
        if self.inputs and self.takes == "notes":
            self.beside = "audio"
        if lv2 is not None and lv2.side_chain and len(lv2.of("audio")) == self.inputs:
            self.side_inputs = _side_inputs(lv2)
        refuse_unused(f"dawdreamer:{source}", self)
        controls = dawdreamer_controls.controls(processor, in_hz(lv2, self.sample_rate) if lv2 else None)
        read = (measured.described, measured.ranges) if measured else dawdreamer_controls.described(controls)
        described, ranges = hold_window_controls(read[0]), read[1]
        everything = [_Shown(p, c.index, r, port=c.port) for p, c, r in zip(described, controls, ranges, strict=True)]
        doubtful = {s.index for s, c in zip(everything, controls, strict=True) if c.port is None and is_doubtful(c)}
        del processor, controls  # it may be replaced from here on, and what somebody holds is not destroyed
        self._use(everything)
        self._pinned = {everything[i].index: value for i, value in pinned(fixed or {}, self.parameters).items()}
        self._use(everything)
        doubtful -= set(self._pinned)  # they exist: the caller named them
        if measured and dict(measured.pinned) != self._pinned:
            measured = None
        reaches = [Reach(*ends) for ends in measured.reaches] if measured else self._find_reaches(gentle)
        shown = [shown.within(reach) for shown, reach in zip(everything, reaches, strict=True) if reach.low < reach.high]
        self.notes = notes(described, reaches)
        self._use(shown)
        self._touch()
        if self.takes == "notes" and graph.remakes:
            self._created_often = measured.created_often if measured else changes_when_created(self, self._run)
            if self._created_often:
                create_often(self, self._run)
        self._latencies.clear()
        self._run(silence(self, BLOCK), self.parameters.defaults)
        self._overstated = 0
        self.latency = reported = self._latencies.pop()
        self._method: Method = self.render_reloaded
        self.side_copies = measured.side_copies if measured else needs_copies(self)
        if self.takes == "audio" and lv2 and lv2.takes_midi:
            self.beside = measured.beside if measured else hears_notes(self, self.render_reloaded)
        if measured is None:
            if self.takes == "notes":
                refuse_generator(self, self.render_settled, f"dawdreamer:{source}")
                doubtful = set()  # most settings of a synthesiser are silent until others wake them
            found = self._measure({i for i, s in enumerate(shown) if s.index in doubtful})
            measured = replace(
                found,
                described=tuple(described),
                ranges=tuple(ranges),
                reaches=tuple(map(astuple, reaches)),
                pinned=tuple(self._pinned.items()),
                keeps_first=lv2 is not None and self._keeps_first,
                created_often=self._created_often,
                beside=self.beside,
            )
            if self.takes == "notes" and not graph.remakes and keeps_controllers(self, getattr(self, measured.method)):
                measured = replace(measured, keeps_controllers=True)
                self._recreate()
        self._keeps_controllers = measured.keeps_controllers
        self._method = getattr(self, measured.method)
        if measured.latency is None:
            defaults, latency = self.parameters.defaults, reported
            if self.takes == "audio" and not self.beside:  # it may be silent without notes
                latency = true_latency(lambda audio: self._method(self.filled(audio), defaults), width(self), reported)
            measured = replace(measured, latency=latency)
        self.learnt = {"measured": measured.plain()}
        self.latency = reported if measured.latency is None else measured.latency
        self._overstated = reported - self.latency
        if self._overstated:
            self.notes += (f"its latency is {self.latency} samples, not {reported} as it reports",)
        self.repeatability = measured.error
        self._latencies |= measured.latencies
        self._run(silence(self, BLOCK), self.parameters.defaults)
        self._use([shown[i] for i in measured.kept])

    def _find_reaches(self, gentle: bool) -> list[Reach]:
        nothing = silence(self, BLOCK)

        def attempt(values: FloatArray) -> None:
            self._run(nothing, self.parameters.defaults)  # a value that a plug-in has already is no change to it
            self._run(nothing, values)

        everything, defaults = self.parameters.everything, self.parameters.defaults
        return touched(everything, defaults, self._held, gentle, self._touch, attempt, self._create)

    def _measure(self, doubtful: set[int]) -> Measured:
        methods = [self.render_reloaded, self.render_settled, self.render_recreated]
        choice = choose_method(self, methods, doubtful, least_alive=0.0)
        kept = tuple(i for i in range(len(self.parameters)) if i not in doubtful or i in choice.live)
        return Measured(choice.method.__name__, choice.error, kept, (), frozenset(self._latencies), self.side_copies)

    @property
    def method(self) -> str:
        """Name of the method that renders."""
        return str(self._method.__name__)

    def latency_at(self, values: FloatArray) -> int:
        """Latency in samples at these values; read again only if measurements found that it depends on them."""
        if len(self._latencies) == 1:
            return self.latency
        # by the method that renders: OmniCompressor tells a new latency only when it is recreated
        self._method(silence(self, BLOCK), values)
        return max(0, int(self._graph.processor.get_latency_samples()) - self._overstated)

    def process(self, audio: Audio, values: FloatArray) -> Audio:
        if self._graph.closed:
            raise RenderError(f"{self.name} has been closed; open it again to render")
        if self.source.endswith(".vst3") and (cause := cause_of_freeze("clears the memory of a VST3")):
            raise RenderError(f"{self.name} cannot render here: {cause}")
        with undisturbed():
            if self._steered:
                self._recreate()
            self._steered = self._keeps_controllers and is_steered(audio, self.sample_rate)
            return self._method(audio, values)

    def process_curves(self, audio: Audio, values: FloatArray, moves: Moves) -> Audio:
        self._moves = moves
        try:
            return self.process(audio, values)
        finally:
            self._moves = None

    def close(self) -> None:
        self._graph.natives.close()

    # presets, and what their reader needs

    def stored_presets(self, folder: str | None) -> Iterable[StoredPreset]:
        if self._graph.closed:
            raise RenderError(f"{self.name} has been closed; open it again to read its presets")
        if cause := cause_of_freeze("reads a plug-in's presets"):
            raise RenderError(f"{self.name}: {cause}")
        with undisturbed():
            return list(stored_presets(self, folder))

    def preset_files(self, suffix: str, name: str, values: FloatArray) -> dict[str, bytes]:
        if self._graph.closed:
            raise RenderError(f"{self.name} has been closed; open it again to save a preset")
        if cause := cause_of_freeze("saves a preset"):
            raise RenderError(f"{self.name}: {cause}")
        with undisturbed():
            return preset_files(self, suffix, name, values)

    @property
    def processor(self) -> Any:
        """DawDreamer's object. Keep no reference to it."""
        return self._graph.processor

    def ports(self) -> Iterator[tuple[Port | None, Parameter, HostRange | None, float]]:
        """Of each parameter: its port, itself with its whole range, its range in the host, and its unit in Hz."""
        own = {port.symbol: port for port in self.lv2.controls} if self.lv2 else {}
        for shown in self._shown:
            port = shown.port and own.get(shown.port.symbol, shown.port)
            times = port is not None and "sampleRate" in port.properties
            yield port, shown.parameter, shown.range, self.sample_rate if times else 1.0

    def inside(self, position: int, value: float) -> tuple[float, str]:
        """A value in the whole range of a parameter, within its reach, and what became of it."""
        shown = self._shown[position]
        return shown.reach.inside(value, shown.parameter)

    def sound(self, values: FloatArray) -> Audio:
        """What it does to noise, or plays, at `values: [F]`."""
        if self.takes == "notes":
            return self._method(Notes.one("C4", 0.1).lasting(0.2).packed(self.sample_rate), values)
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, (self.inputs - len(self.sides), 2 * SETTLING)).astype(np.float32)
        return self._method(self.filled(noise), values)

    def settle(self, settings: Sequence[tuple[int, float]]) -> None:
        """Render silence with these values of the host's parameters, the others as they are."""
        self._graph.render(silence(self, SETTLING), settings)

    def renew(self) -> None:
        """A new processor: whatever was loaded into the old one is gone."""
        self._recreate()

    def render_reloaded(self, audio: Audio, values: FloatArray) -> Audio:
        result = self._run(audio, values, self._moves)
        if not self._graph.remakes and not np.isfinite(result).all():
            self._recreate()
        return result

    def render_settled(self, audio: Audio, values: FloatArray) -> Audio:
        self._run(silence(self, SETTLING), values)
        return self.render_reloaded(audio, values)

    def render_recreated(self, audio: Audio, values: FloatArray) -> Audio:
        self._recreate()
        self._run(silence(self, SETTLING), values)
        return self._run(audio, values, self._moves)

    def _run(self, audio: Audio, values: FloatArray, moves: Moves | None = None) -> Audio:
        """`[inputs, N]` -> `[outputs, N]` after a reset."""
        moving = () if moves is None else self._moving(moves)
        result = self._graph.render(audio, zip(self.indices, self.numbers(values), strict=True), moving)
        self._latencies.add(self._graph.processor.get_latency_samples())
        return result

    def numbers(self, values: FloatArray) -> list[float]:
        """`[F]` -> `F` values of the plug-in's controls."""
        values = self._lows + values * self._spans
        values[self._held] = self._held_values
        return host_values(values, self._natives, self._ranges)

    def _moving(self, moves: Moves) -> Iterable[tuple[int, FloatArray]]:
        """Pairs of a control of the plug-in and its values in each block."""
        own = list(moves.positions)
        rows = self._lows[own, None] + moves.values * self._spans[own, None]
        parameters = [self._natives.everything[i] for i in own]
        return zip([self.indices[i] for i in own], host_rows(rows, parameters, [self._ranges[i] for i in own]), strict=True)

    def _create(self) -> None:
        """Replace the processor by a new one."""
        if cause := cause_of_freeze("opens a plug-in"):
            raise RenderError(f"{self.name} must be recreated to forget the last render: {cause}")
        with zeroed_memory():
            try:
                with ExitStack() as stack:
                    self._graph.discard()
                    if "home" in self._graph.natives:
                        stack.enter_context(self._graph.natives["home"].active())
                    if self.lv2 and self._keeps_first:
                        stack.enter_context(kept_instances(self.lv2))
                    self._graph.make("plugin", self.source)
            except RuntimeError as error:
                raise _load_error(self.source, error, self.lv2) from error
            if self._prepare is not None:
                self._prepare(self._graph.processor, not hasattr(self, "parameters"))

    def _recreate(self) -> None:
        with quiet():
            self._create()
            self._touch()

    def _touch(self) -> None:
        """Move every parameter once: ZamDynamicEQ's first render after a jump never repeats."""
        nothing, defaults = silence(self, BLOCK), self.parameters.defaults
        for values in (np.where(defaults > 0.5, 0.0, 1.0), defaults):
            self._run(nothing, values)

    def _use(self, shown: Sequence[_Shown]) -> None:
        self.parameters = ParameterSpace(narrowed(s.parameter, s.reach) for s in shown)
        self._natives = ParameterSpace(s.parameter for s in shown)
        self._shown = list(shown)
        self.indices, self._ranges = [s.index for s in shown], [s.range for s in shown]
        self._lows = np.array([s.reach.low for s in shown])
        self._spans = np.array([s.reach.high - s.reach.low for s in shown])
        self._held = [k for k, s in enumerate(shown) if s.index in self._pinned]
        self._held_values = [self._pinned[shown[k].index] for k in self._held]


@dataclass(frozen=True)
class _Shown:
    """A parameter as the plug-in has it, its index and range in the host, and how far it may go."""

    parameter: Parameter
    index: int
    range: HostRange | None
    reach: Reach = WHOLE
    port: Port | None = None

    def within(self, reach: Reach) -> _Shown:
        return replace(self, reach=reach)


def _side_inputs(lv2: PluginDescription) -> tuple[int, ...]:
    """Channels of the side chain: DawDreamer's channels are the ports by index, those of the main group first."""
    ports = sorted(lv2.of("audio"), key=lambda port: (bool(lv2.main_input) and port.group != lv2.main_input, port.index))
    return tuple(i for i, port in enumerate(ports) if port.index in lv2.side_chain)


def _load_error(source: str, error: Exception, lv2: PluginDescription | None) -> Exception:
    """DawDreamer says "Unable to load plugin." for every cause."""
    cause = "it may be damaged, of another kind (LADSPA, CLAP), or lack a library that it needs"
    return EffectLoadError(
        f"dawdreamer:{source}: DawDreamer could not load it ({error}): {why_not_loaded(lv2) if lv2 else cause}"
    )
