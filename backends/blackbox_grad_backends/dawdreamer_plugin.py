"""VST3, VST2 and LV2 plug-ins in DawDreamer.

Locators: a path, the file name of an installed plug-in, or the URI of an LV2 plug-in: `ZamTube.vst3`, `ZamDelay-vst.so`,
`/opt/Echo.dll`, `http://drobilla.net/plugins/mda/Overdrive`, `urn:zamaudio:ZamComp`. Options: `preset=` (path of a .vstpreset
for VST3, of an .fxp for VST2) or `state=` (path of a file from DawDreamer's `save_state` for a VST). The values that they load
become the defaults. `sidechain=` (path of an audio file): what side chains take instead of silence.
"""

from __future__ import annotations

import importlib.util
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from blackbox_grad.effects import Audio, PluginEffect
from blackbox_grad.errors import BlackboxGradError, EffectLoadError, EffectNotFoundError, RenderError
from blackbox_grad.files import content_of
from blackbox_grad.parameters import FloatArray, Parameter, ParameterSpace
from blackbox_grad_backends import dawdreamer_controls, lv2_trial
from blackbox_grad_backends.dawdreamer_graph import BLOCK, Graph, cause_of_freeze
from blackbox_grad_backends.native import lv2_bundles, plugin_folders
from blackbox_grad_backends.native.corners import WHOLE, Reach, find_reaches, narrowed, near_the_default, notes
from blackbox_grad_backends.native.determinism import zeroed_memory
from blackbox_grad_backends.native.graveyard import opening, undisturbed
from blackbox_grad_backends.native.latency import true_latency
from blackbox_grad_backends.native.lv2_description import PluginDescription
from blackbox_grad_backends.native.lv2_freeing import dies_if_freed_unused, kept_instances
from blackbox_grad_backends.native.lv2_home import Lv2Home, in_hz
from blackbox_grad_backends.native.lv2_parameters import HostRange, host_values
from blackbox_grad_backends.native.lv2_refusals import refusal, why_not_loaded
from blackbox_grad_backends.native.output import quiet
from blackbox_grad_backends.native.plugin_parameters import is_doubtful
from blackbox_grad_backends.native.render_method import Measured, choose_method
from blackbox_grad_backends.native.repeatability import Method
from blackbox_grad_backends.native.saved_states import refuse_damaged
from blackbox_grad_backends.native.shared_library import trouble
from blackbox_grad_backends.native.window_controls import hold_window_controls
from blackbox_grad_backends.options import CHANGES_NOTHING, PLUGIN_OPTIONS, check_options, path_in
from blackbox_grad_backends.side_chain import SIDECHAIN, needs_copies, refuse_unused, take_sidechain

#: Samples of silence after a change of parameters, in which plug-ins apply values and end their fades.
SETTLING = 4096

_URI = re.compile(r"^(https?://|urn:)\S+$", re.IGNORECASE)
_VST2_SUFFIXES = (".so", ".dll", ".vst")
_SUFFIXES = (".vst3", *_VST2_SUFFIXES)


class DawDreamerPluginBackend:
    """Opens VST3, VST2 and LV2 effects with DawDreamer.

    Args:
        tries: whether LV2 plug-ins that may die of their worker are tried in a process of their own first.
    """

    opens_gently = True

    def __init__(self, tries: bool = True) -> None:
        self._tries = tries

    def open(self, locator: str, sample_rate: float, options: Mapping[str, Any]) -> DawDreamerPluginEffect:
        options = dict(options)
        measured, gentle = Measured.of(options.pop("measured", None)), bool(options.pop("gentle", False))
        check_options(f"dawdreamer:{locator}", options, (*PLUGIN_OPTIONS, SIDECHAIN))
        import dawdreamer  # noqa: F401  (an ImportError becomes a hint how to install it)

        sidechain = take_sidechain(f"dawdreamer:{locator}", options, sample_rate)
        source = _locate(locator)
        lv2 = _described(source) if _is_lv2(source) else None
        library = lv2.binary if lv2 else Path(source)
        if library is not None and (cause := trouble(library)):
            raise EffectLoadError(f"dawdreamer:{source} cannot be loaded: {cause}")
        if lv2 and lv2.uses_worker and self._tries and measured is None and (fate := lv2_trial.fate(source, sample_rate)):
            raise EffectLoadError(
                f"dawdreamer:{source} cannot be opened: it hands work to a thread of the host, and in a trial in a process of its "
                f"own it {fate}"
            )
        prepare = partial(_load_option, source, *_checked_option(source, options)) if options else None
        name = (lv2.name or re.split(r"[/:#]", source)[-1]) if lv2 else Path(source).stem
        if cause := cause_of_freeze("opens a plug-in"):
            raise EffectLoadError(f"dawdreamer:{source}: {cause}")
        graph = Graph(sample_rate, remakes=lv2 is not None)
        with opening(graph.natives), quiet():
            return DawDreamerPluginEffect(graph, source, name, prepare, measured, sidechain, lv2, gentle)

    def claims(self, locator: str) -> float:
        if importlib.util.find_spec("dawdreamer") is None:
            return 0.0
        plain = locator.rstrip(os.sep).lower()
        if _is_lv2(locator) or plain.endswith(_VST2_SUFFIXES):
            return 1.0
        if plain.endswith(".vst3") or plugin_folders.find(locator, "vst3"):
            return 0.5
        return 1.0 if plugin_folders.find(locator, "vst2") else 0.0

    path_options = (*PLUGIN_OPTIONS, SIDECHAIN)

    def path(self, locator: str) -> str | None:
        return None if _is_lv2(locator) else path_in(locator, _SUFFIXES)

    def scan(self) -> Iterator[str]:
        return (locator for locator, _, _ in self.catalogue())

    def catalogue(self) -> Iterator[tuple[str, str, str]]:
        """Locator, name and maker, as the plug-ins' files tell them."""
        if importlib.util.find_spec("dawdreamer") is None:
            raise ModuleNotFoundError("the library is not installed", name="dawdreamer")
        yield from ((plugin.uri, plugin.name, plugin.maker) for plugin in lv2_bundles.installed() if plugin.is_effect)
        for kind in ("vst3", "vst2"):
            yield from ((path.name, path.stem, "") for path in plugin_folders.installed(kind))

    def file(self, locator: str) -> Path | None:
        """The plug-in's file or bundle. `scan(check=True)` caches its result until this changes."""
        return lv2_bundles.bundle_of(locator) if _is_lv2(locator) else Path(_locate(locator))


def _is_lv2(source: str) -> bool:
    return _URI.match(source) is not None


def _described(uri: str) -> PluginDescription:
    """What an installed LV2 plug-in says about itself. Raises an error if it is not installed, or cannot be opened."""
    plugin = lv2_bundles.description(uri)
    if plugin is None:
        known = list(lv2_bundles.effects())
        raise EffectNotFoundError(
            f"dawdreamer:{uri}: no LV2 plug-in with this URI is installed; {plugin_folders.known(known, uri)}"
        )
    if cause := refusal(plugin):
        raise EffectLoadError(f"dawdreamer:{uri} {cause}")
    return plugin


def _locate(locator: str) -> str:
    """The LV2 URI as it is, or the absolute path of the plug-in file."""
    if _is_lv2(locator):
        return locator
    text = path_in(locator, _SUFFIXES)
    given = Path(text or locator).expanduser()
    name = locator.rstrip(os.sep)
    path = given.resolve() if text is not None and given.exists() else None
    path = path or plugin_folders.find(name, "vst3") or plugin_folders.find(name, "vst2")
    if path is None:
        known = sorted(p.name for kind in ("vst3", "vst2") for p in plugin_folders.installed(kind))
        raise EffectNotFoundError(
            f"dawdreamer:{locator}: no such file, and no installed plug-in; {plugin_folders.known(known, given.name)}"
        )
    return str(path)


def _checked_option(source: str, options: Mapping[str, Any]) -> tuple[str, str]:
    """The name of the option, and the absolute path of its file."""
    ((name, value),) = options.items()
    if _is_lv2(source):
        # DawDreamer opens the plug-in's window to load a state: an LV2 then crashes (Zam), or has no window (MDA).
        raise EffectLoadError(
            f"dawdreamer:{source}: DawDreamer cannot load a {name} into an LV2; set the values with fixed=… or open the VST3"
        )
    path = Path(os.fspath(value)).expanduser().resolve()
    if not path.is_file():
        raise EffectLoadError(f"dawdreamer:{source}: {name}={str(value)!r} is not a file")
    suffix = ".vstpreset" if source.endswith(".vst3") else ".fxp"
    if name == "preset" and path.suffix.lower() != suffix:
        raise EffectLoadError(f"dawdreamer:{source}: preset={str(value)!r} cannot be loaded: it needs a {suffix} file")
    return name, str(path)


def _load_option(source: str, name: str, path: str, processor: Any, check: bool) -> None:
    load = {"state": processor.load_state, "preset": processor.load_preset}[name]
    if name == "preset" and source.endswith(".vst3"):
        load = processor.load_vst3_preset
    before = _state(processor) if check else b""
    if check:
        content = content_of(path)
        refuse_damaged(f"dawdreamer:{source}: {name}={path!r}", content, before, Path(path).suffix if name == "preset" else "")
    try:
        done = load(path)
    except RuntimeError as error:
        raise EffectLoadError(f"dawdreamer:{source}: {name}={path!r} could not be loaded: {error}") from error
    if done is False:
        raise EffectLoadError(
            f"dawdreamer:{source}: the plug-in refused {name}={path!r}; give one that was saved from this plug-in"
        )
    if check and _state(processor) == before != content:
        raise EffectLoadError(f"dawdreamer:{source}: {name}={path!r} {CHANGES_NOTHING}")


def _state(processor: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "state"
        processor.save_state(str(file))
        return file.read_bytes() if file.exists() else b""


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
    ) -> None:
        self._graph, self._source, self._prepare, self.sidechain = graph, source, prepare, sidechain
        self._lv2 = lv2
        if lv2:
            # until the plug-in is destroyed, which may be later than `close`
            graph.natives["home"] = Lv2Home(lv2, graph.sample_rate)
            self._keeps_first = measured.keeps_first if measured else dies_if_freed_unused(lv2, graph.sample_rate)
        self.name, self.sample_rate = name, graph.sample_rate
        self._latencies: set[int] = set()
        self._create()
        processor = graph.processor
        self.inputs, self.outputs = int(processor.get_num_input_channels()), int(processor.get_num_output_channels())
        if self.inputs == 0 or self.outputs == 0:
            what = "an instrument or generator" if self.inputs == 0 else "an analyser"
            raise EffectLoadError(
                f"dawdreamer:{source} is {what}, not an effect: it has {self.inputs} audio inputs and {self.outputs} outputs"
            )
        if lv2 is not None and lv2.side_chain and len(lv2.of("audio")) == self.inputs:
            self.side_inputs = _side_inputs(lv2)
        refuse_unused(f"dawdreamer:{source}", self)
        silence = np.zeros((self.inputs, BLOCK), np.float32)
        controls = dawdreamer_controls.controls(processor, in_hz(lv2, self.sample_rate) if lv2 else None)
        read = (measured.described, measured.ranges) if measured else dawdreamer_controls.described(controls)
        described, ranges = hold_window_controls(read[0]), read[1]
        everything = [_Shown(p, c.index, r) for p, c, r in zip(described, controls, ranges, strict=True)]
        doubtful = {s.index for s, c in zip(everything, controls, strict=True) if c.port is None and is_doubtful(c)}
        del processor, controls  # it may be replaced from here on, and what somebody holds is not destroyed
        self._use(everything)
        reaches = [Reach(*ends) for ends in measured.reaches] if measured else self._find_reaches(gentle)
        shown = [shown.within(reach) for shown, reach in zip(everything, reaches, strict=True) if reach.low < reach.high]
        self.notes = notes(described, reaches)
        self._use(shown)
        self._touch()
        self._latencies.clear()
        self._run(silence, self.parameters.defaults)
        self._overstated = 0
        self.latency = reported = self._latencies.pop()
        self._method: Method = self.render_reloaded
        self.side_copies = measured.side_copies if measured else needs_copies(self)
        if measured is None:
            found = self._measure({i for i, s in enumerate(shown) if s.index in doubtful})
            measured = replace(
                found,
                described=tuple(described),
                ranges=tuple(ranges),
                reaches=tuple(map(astuple, reaches)),
                keeps_first=lv2 is not None and self._keeps_first,
            )
        self._method = getattr(self, measured.method)
        if measured.latency is None:
            defaults, count = self.parameters.defaults, self.inputs - len(self.sides)
            latency = true_latency(lambda audio: self._method(self.filled(audio), defaults), count, reported)
            measured = replace(measured, latency=latency)
        self.learnt = {"measured": measured.plain()}
        self.latency = reported if measured.latency is None else measured.latency
        self._overstated = reported - self.latency
        if self._overstated:
            self.notes += (f"its latency is {self.latency} samples, not {reported} as it reports",)
        self.repeatability = measured.error
        self._latencies |= measured.latencies
        self._run(silence, self.parameters.defaults)
        self._use([shown[i] for i in measured.kept])

    def _find_reaches(self, gentle: bool) -> list[Reach]:
        """Touch the plug-in; if it fails, look for what does not. `gentle`: it has ended a process, so keep near its defaults."""
        if gentle:
            return [near_the_default(p) for p in self.parameters.everything]
        try:
            self._touch()
        except BlackboxGradError:
            raise
        except Exception:
            silence = np.zeros((self.inputs, BLOCK), np.float32)

            def attempt(values: FloatArray) -> None:
                try:
                    self._run(silence, self.parameters.defaults)  # a value that a plug-in has already is no change to it
                    self._run(silence, values)
                except Exception:
                    self._create()
                    raise

            self._create()
            return list(find_reaches(self.parameters.everything, self.parameters.defaults, attempt))
        return [WHOLE] * len(self.parameters)

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
        self._method(np.zeros((self.inputs, BLOCK), np.float32), values)
        return max(0, int(self._graph.processor.get_latency_samples()) - self._overstated)

    def process(self, audio: Audio, values: FloatArray) -> Audio:
        if self._graph.closed:
            raise RenderError(f"{self.name} has been closed; open it again to render")
        if self._source.endswith(".vst3") and (cause := cause_of_freeze("clears the memory of a VST3")):
            raise RenderError(f"{self.name} cannot render here: {cause}")
        with undisturbed():
            return self._method(audio, values)

    def close(self) -> None:
        self._graph.natives.close()

    def render_reloaded(self, audio: Audio, values: FloatArray) -> Audio:
        result = self._run(audio, values)
        if not self._graph.remakes and not np.isfinite(result).all():
            self._recreate()
        return result

    def render_settled(self, audio: Audio, values: FloatArray) -> Audio:
        self._run(np.zeros((self.inputs, SETTLING), np.float32), values)
        return self.render_reloaded(audio, values)

    def render_recreated(self, audio: Audio, values: FloatArray) -> Audio:
        self._recreate()
        self._run(np.zeros((self.inputs, SETTLING), np.float32), values)
        return self._run(audio, values)

    def _run(self, audio: Audio, values: FloatArray) -> Audio:
        """`[inputs, N]` -> `[outputs, N]` after a reset."""
        natives = host_values(self._lows + values * self._spans, self._natives, self._ranges)
        settings = zip(self._indices, natives, strict=True)
        result = self._graph.render(audio, settings)
        self._latencies.add(self._graph.processor.get_latency_samples())
        return result

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
                    if self._lv2 and self._keeps_first:
                        stack.enter_context(kept_instances(self._lv2))
                    self._graph.make("plugin", self._source)
            except RuntimeError as error:
                raise _load_error(self._source, error, self._lv2) from error
            if self._prepare is not None:
                self._prepare(self._graph.processor, not hasattr(self, "parameters"))

    def _recreate(self) -> None:
        with quiet():
            self._create()
            self._touch()

    def _touch(self) -> None:
        """Move every parameter once: ZamDynamicEQ's first render after a jump never repeats."""
        silence = np.zeros((self.inputs, BLOCK), np.float32)
        defaults = self.parameters.defaults
        for values in (np.where(defaults > 0.5, 0.0, 1.0), defaults):
            self._run(silence, values)

    def _use(self, shown: Sequence[_Shown]) -> None:
        self.parameters = ParameterSpace(narrowed(s.parameter, s.reach) for s in shown)
        self._natives = ParameterSpace(s.parameter for s in shown)
        self._indices, self._ranges = [s.index for s in shown], [s.range for s in shown]
        self._lows = np.array([s.reach.low for s in shown])
        self._spans = np.array([s.reach.high - s.reach.low for s in shown])


@dataclass(frozen=True)
class _Shown:
    """A parameter as the plug-in has it, its index and range in the host, and how far it may go."""

    parameter: Parameter
    index: int
    range: HostRange | None
    reach: Reach = WHOLE

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
