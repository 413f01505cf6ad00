"""VST3 plug-ins, and Audio Units on macOS, in Spotify's Pedalboard.

Locators: a path, or the file name of an installed plug-in; `#` and a name pick one plug-in of a bundle:
`ZamTube.vst3`, `/opt/mda.vst3#mda Delay`. Options: `preset=` (path of a .vstpreset), `state=` (bytes, or the path of a file
with them).
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from blackbox_grad.effects import Audio, PluginEffect
from blackbox_grad.errors import EffectLoadError, EffectNotFoundError, RenderError, suggest
from blackbox_grad.files import content_of, is_pipe
from blackbox_grad.parameters import FloatArray, ParameterSpace
from blackbox_grad_backends.native import plugin_folders
from blackbox_grad_backends.native.determinism import reseed, zeroed_memory
from blackbox_grad_backends.native.graveyard import Natives, keep_forever, opening, undisturbed
from blackbox_grad_backends.native.pinned import FIXED, pinned
from blackbox_grad_backends.native.plugin_parameters import describe, is_doubtful, is_for_the_host, on_grid
from blackbox_grad_backends.native.render_method import Measured, choose_method
from blackbox_grad_backends.native.repeatability import Method
from blackbox_grad_backends.native.saved_states import refuse_damaged
from blackbox_grad_backends.native.shared_library import trouble
from blackbox_grad_backends.native.window_controls import hold_window_controls
from blackbox_grad_backends.options import CHANGES_NOTHING, PLUGIN_OPTIONS, check_options, path_in

#: Samples per block: from 1 024 on, larger blocks were not faster on the Zam plug-ins (ZamCompX2, 131 072 samples).
BUFFER_SIZE = 4096

#: Shorter audio is padded to this: in an array of shape (2, 2) or (2, 1), Pedalboard cannot distinguish channels from samples.
SHORTEST = 64

#: Samples of silence after a change of parameters: one long block, in which plug-ins apply values and end their fades.
SETTLING = BUFFER_SIZE

#: Non-automatable controls may be anything: they are measured only if there are at most this many.
_MOST_HIDDEN = 16

_COMPONENT_FOLDERS = ("~/Library/Audio/Plug-Ins/Components", "/Library/Audio/Plug-Ins/Components")

#: Of files and bundles that Pedalboard opens.
_SUFFIXES = (".vst3", ".component")

_CONSTRUCTING = threading.Lock()

#: The first plug-in of the process stays open. When the last one closes, Pedalboard shuts JUCE down and unloads the plug-ins'
#: files. DawDreamer then crashed if it had the same VST3 open.
_KEPT: list[Any] = []


class PedalboardPluginBackend:
    """Opens VST3 and Audio Unit effects with Pedalboard."""

    takes_fixed = True

    def open(self, locator: str, sample_rate: float, options: Mapping[str, Any]) -> PedalboardPluginEffect:
        options = dict(options)
        measured, fixed = Measured.of(options.pop("measured", None)), options.pop(FIXED, {})
        if "sidechain" in options:
            raise EffectLoadError(f"pedalboard:{locator}: Pedalboard has no side chains; open it as dawdreamer:{locator}")
        check_options(f"pedalboard:{locator}", options, PLUGIN_OPTIONS)
        path, name = _locate(locator)
        if cause := trouble(path):
            raise EffectLoadError(f"this machine cannot open {path} as a plug-in: {cause}")
        natives, elsewhere = Natives(), f"dawdreamer:{path}" if path.suffix.lower() == ".vst3" and name is None else ""
        with opening(natives):
            return PedalboardPluginEffect(
                natives, partial(_open_plugin, path, name, options), sample_rate, measured, elsewhere, fixed
            )

    def claims(self, locator: str) -> float:
        if importlib.util.find_spec("pedalboard") is None:
            return 0.0
        path = path_in(locator, _SUFFIXES)
        if path is not None and path.rstrip(os.sep).lower().endswith(_SUFFIXES):
            return 1.0
        return 1.0 if _installed(locator.partition("#")[0]) is not None else 0.0

    path_options = PLUGIN_OPTIONS

    def path(self, locator: str) -> str | None:
        return path_in(locator, _SUFFIXES)

    def scan(self) -> Iterator[str]:
        if importlib.util.find_spec("pedalboard") is None:
            raise ModuleNotFoundError("the library is not installed", name="pedalboard")
        yield from (path.name for path in _all_installed())

    def file(self, locator: str) -> Path | None:
        """The plug-in's file or bundle. `scan(check=True)` caches its result until this changes."""
        return _locate(locator)[0]


def _all_installed() -> Iterator[Path]:
    yield from plugin_folders.installed("vst3")
    if sys.platform == "darwin":
        for folder in map(os.path.expanduser, _COMPONENT_FOLDERS):
            yield from sorted(Path(folder).glob("*.component"))


def _installed(name: str) -> Path | None:
    found = plugin_folders.find(name, "vst3")
    if found is None and sys.platform == "darwin":
        return next((p for p in _all_installed() if name.lower() in (p.name.lower(), p.stem.lower())), None)
    return found


def _locate(locator: str) -> tuple[Path, str | None]:
    """Path of the plug-in file and the name of the plug-in within it."""
    text = path_in(locator, _SUFFIXES)
    name = "" if text is None else locator[len(text) :].lstrip("#")
    if text is None:
        text, _, name = locator.partition("#")
        path = _installed(text)
    else:
        given = Path(text).expanduser()
        path = given.resolve() if given.exists() else _installed(text.rstrip(os.sep))
    if path is None:
        known = sorted(p.name for p in _all_installed())
        raise EffectNotFoundError(
            f"pedalboard:{locator}: no such file, and no installed plug-in; {plugin_folders.known(known, Path(text).name)}"
        )
    return path, name or None


def _open_plugin(path: Path, name: str | None, options: Mapping[str, Any]) -> Any:
    """A native plug-in object, with its preset or state."""
    import pedalboard

    kind = pedalboard.AudioUnitPlugin if path.suffix.lower() == ".component" else pedalboard.VST3Plugin
    try:
        names = list(kind.get_plugin_names_for_file(str(path)))
    except ImportError as error:
        raise EffectLoadError(f"this machine cannot open {path} as a plug-in: {error}") from error
    if name is not None and name not in names:
        raise EffectNotFoundError(f"{path} holds no plug-in {name!r}; {suggest(name, names)}")
    if name is None and len(names) > 1:
        raise EffectLoadError(
            f"{path} holds {len(names)} plug-ins: {', '.join(names)}. Write {path.name}#NAME with one of them"
        )
    try:
        plugin = _construct(kind, str(path), name)
        for option, state in options.items():
            before = plugin.raw_state, plugin.preset_data
            if not isinstance(state, bytes) and is_pipe(state):
                raise EffectLoadError(
                    f"pedalboard:{path}: {option}={os.fspath(state)!r} is a pipe, which is read once; name a file"
                )
            content = state if isinstance(state, bytes) else content_of(state)  # Pedalboard reads a device for ever
            refuse_damaged(f"pedalboard:{path}: {option}=", content, before[0], ".vstpreset" if option == "preset" else "")
            if option == "preset":
                plugin.load_preset(os.fspath(state))
            else:
                object.__setattr__(plugin, "raw_state", content)  # not plain assignment: see `_on_reset`
            if (plugin.raw_state, plugin.preset_data) == before and content not in before:
                raise EffectLoadError(f"pedalboard:{path}: {option}= {CHANGES_NOTHING}")
    except (ImportError, RuntimeError, ValueError, OSError) as error:
        if "main thread" in str(error):
            raise EffectLoadError(
                f"{path} opens on the main thread only (of the process, or the one that opened the first plug-in). "
                "The hosts of ProcessPool open it on theirs, for a call from any thread"
            ) from error
        raise EffectLoadError(
            f"{path} could not be opened{f' with {sorted(options)[0]}' if options else ''}: {error}"
        ) from error
    return plugin


def _construct(kind: Any, path: str, name: str | None) -> Any:
    """The constructor reads all texts of all controls to look up initial values; without values it reads none.

    ZamVerb opens in 0.7 s instead of 91 s.
    """
    with _CONSTRUCTING:
        looked_up = kind.__set_initial_parameter_values__

        def skip_if_empty(plugin: Any, values: Any) -> None:
            if values:
                looked_up(plugin, values)

        kind.__set_initial_parameter_values__ = skip_if_empty
        try:
            with zeroed_memory():
                plugin = kind(path, plugin_name=name)
        finally:
            del kind.__set_initial_parameter_values__
        if not _KEPT:
            _KEPT.append(plugin)
            keep_forever(plugin)
        return plugin


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

    def __init__(
        self,
        natives: Natives,
        open_plugin: Callable[[], Any],
        sample_rate: float,
        measured: Measured | None = None,
        elsewhere: str = "",
        fixed: Mapping[str, Any] | None = None,
    ) -> None:
        self._natives, self._open_plugin, self._elsewhere = natives, open_plugin, elsewhere
        natives["plugin"] = open_plugin()
        self.name = str(self._plugin.name)
        self.sample_rate = float(sample_rate)
        if self._plugin.is_instrument:
            raise EffectLoadError(f"{self.name} is an instrument, not an effect: it takes notes and no audio")
        self.inputs = self.outputs = self._find_channels()
        controls = [c for c in self._plugin._parameters if not is_for_the_host(c)]
        hidden = sum(not c.is_automatable for c in controls)
        if hidden > _MOST_HIDDEN:
            controls = [c for c in controls if c.is_automatable]
        described = measured.described if measured else map(describe, controls)
        space, indices = ParameterSpace(hold_window_controls(described)), [c.index for c in controls]
        self._pinned = {indices[i]: value for i, value in pinned(fixed or {}, space).items()}
        self._use(space, indices)
        if measured and dict(measured.pinned) != self._pinned:
            measured = None
        self._touch()
        self.latency = int(self._plugin.reported_latency_samples)
        doubtful = {i for i, c in enumerate(controls) if is_doubtful(c) and c.index not in self._pinned}
        measured = measured or self._measure(doubtful)
        self.learnt = {"measured": measured.plain()}
        self._render: Method = getattr(self, measured.method)
        self.repeatability = measured.error
        self._set(self.parameters.defaults)
        kept = measured.kept
        self._use(ParameterSpace(self.parameters.everything[i] for i in kept), [self._indices[i] for i in kept])

    def _measure(self, doubtful: set[int]) -> Measured:
        methods = [self.render_reset, self.render_settled, self.render_recreated, self.render_anew]
        choice = choose_method(self, methods, doubtful)
        kept = tuple(i for i in range(len(self.parameters)) if i not in doubtful or i in choice.live)
        pins = tuple(self._pinned.items())
        return Measured(choice.method.__name__, choice.error, kept, self.parameters.everything, pinned=pins)

    @property
    def method(self) -> str:
        """Name of the method that renders."""
        return str(self._render.__name__)

    def latency_at(self, values: FloatArray) -> int:
        """0: Pedalboard takes the latency out itself."""
        return 0

    def process(self, audio: Audio, values: FloatArray) -> Audio:
        if "plugin" not in self._natives:
            raise RenderError(f"{self.name} has been closed; open it again to render")
        length = audio.shape[1]
        padded = np.pad(audio, ((0, 0), (0, SHORTEST - length))) if length < SHORTEST else audio
        with undisturbed():
            reseed()
            return self._render(padded, values)[:, :length]

    def close(self) -> None:
        self._controls: list[Any] = []
        self._natives.close()

    @property
    def _plugin(self) -> Any:
        return self._natives["plugin"]

    def render_reset(self, audio: Audio, values: FloatArray) -> Audio:
        self._on_reset("ClearsAudioOnReset")
        # A reset that only clears audio keeps the native parameter objects alive; after a re-creation, using an old one crashes.
        for control, value in zip(self._controls, self._numbers(values), strict=True):
            control.raw_value = value
        return self._run(audio, reset=True)

    def render_settled(self, audio: Audio, values: FloatArray) -> Audio:
        self._on_reset("ClearsAudioOnReset")
        self._set(values)
        self._run(self._silence(SETTLING))
        return self._run(audio, reset=True)

    def render_recreated(self, audio: Audio, values: FloatArray) -> Audio:
        self._on_reset("PersistsAudioOnReset")
        self._set(values)
        # The new plug-in starts from the state that the old one has *processed*, and then ignores a parameter set to its default
        # (ZamTube: drive 0.9 -> 0.0 rendered 0.9). Rendering silence puts the values into that state.
        self._run(self._silence(SETTLING))
        with zeroed_memory():
            self._plugin.reset()
        self._set(values)
        return self._run_late(audio)

    def render_anew(self, audio: Audio, values: FloatArray) -> Audio:
        self._controls = []
        self._natives["plugin"] = self._open_plugin()
        self._touch()
        self._set(values)
        self._run(self._silence(SETTLING))
        return self._run_late(audio)

    def _on_reset(self, what: str) -> None:
        # Plain assignment makes Pedalboard search for a parameter of this name, which reads all texts.
        object.__setattr__(self._plugin, "_reload_type", getattr(type(self._plugin._reload_type), what))

    def _run(self, audio: Audio, reset: bool = False) -> Audio:
        result: Audio = self._plugin.process(audio, self.sample_rate, buffer_size=BUFFER_SIZE, reset=reset)
        return result

    def _run_late(self, audio: Audio) -> Audio:
        """Without a reset, Pedalboard drops the latency from the start and returns fewer samples, or has dropped it before."""
        late = int(self._plugin.reported_latency_samples)
        result = self._run(np.pad(audio, ((0, 0), (0, late))) if late else audio)
        return result[:, result.shape[1] - audio.shape[1] :]

    def _silence(self, samples: int) -> Audio:
        return np.zeros((self.inputs, samples), np.float32)

    def _use(self, parameters: ParameterSpace, indices: list[int]) -> None:
        self.parameters, self._indices = parameters, indices
        self._held = [(k, self._pinned[i]) for k, i in enumerate(indices) if i in self._pinned]
        controls = self._plugin._parameters
        self._controls = [controls[i] for i in indices]

    def _set(self, values: FloatArray) -> None:
        controls = self._plugin._parameters
        for index, value in zip(self._indices, self._numbers(values), strict=True):
            controls[index].raw_value = value

    def _numbers(self, values: FloatArray) -> list[float]:
        """`[F]` -> `F` values of the plug-in's controls."""
        numbers = on_grid(values, self.parameters)
        for position, value in self._held:
            numbers[position] = value
        return numbers

    def _touch(self) -> None:
        """Move every parameter once: some start from a value that they never reach again (ZamEQ2's frequencies, by 3e-7)."""
        defaults = self.parameters.defaults
        for values in (np.where(defaults > 0.5, 0.0, 1.0), defaults):
            self._set(values)
            self._run(self._silence(SETTLING))

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
