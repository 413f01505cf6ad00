"""VST3 plug-ins, and Audio Units on macOS, in Spotify's Pedalboard.

Locators: a path, or the file name of an installed plug-in; `#` and a name pick one plug-in of a bundle:
`ZamTube.vst3`, `/opt/mda.vst3#mda Delay`. Options: `preset=` (path of a .vstpreset), `state=` (bytes, or the path of a file
with them). The core sets `preset=` with the name of one of the plug-in's own.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from blackbox_grad.errors import EffectLoadError, EffectNotFoundError, suggest
from blackbox_grad.files import content_of, is_pipe
from blackbox_grad_backends.native import plugin_folders
from blackbox_grad_backends.native.determinism import zeroed_memory
from blackbox_grad_backends.native.graveyard import Natives, keep_forever, opening
from blackbox_grad_backends.native.pinned import FIXED
from blackbox_grad_backends.native.render_method import Measured
from blackbox_grad_backends.native.saved_states import refuse_damaged
from blackbox_grad_backends.native.shared_library import trouble
from blackbox_grad_backends.options import CHANGES_NOTHING, PLUGIN_OPTIONS, check_options, path_in
from blackbox_grad_backends.pedalboard_effect import PedalboardPluginEffect

_COMPONENT_FOLDERS = ("~/Library/Audio/Plug-Ins/Components", "/Library/Audio/Plug-Ins/Components")

#: Of files and bundles that Pedalboard opens.
_SUFFIXES = (".vst3", ".component")

_CONSTRUCTING = threading.Lock()

#: The first plug-in of the process stays open. When the last one closes, Pedalboard shuts JUCE down and unloads the plug-ins'
#: files. DawDreamer then crashed if it had the same VST3 open.
_KEPT: list[Any] = []


class PedalboardPluginBackend:
    """Opens VST3 and Audio Unit effects with Pedalboard."""

    opens_gently = takes_fixed = has_presets = True

    def open(self, locator: str, sample_rate: float, options: Mapping[str, Any]) -> PedalboardPluginEffect:
        options = dict(options)
        measured, fixed = Measured.of(options.pop("measured", None)), options.pop(FIXED, {})
        gentle = bool(options.pop("gentle", False))
        if "sidechain" in options:
            raise EffectLoadError(f"pedalboard:{locator}: Pedalboard has no side chains; open it as dawdreamer:{locator}")
        check_options(f"pedalboard:{locator}", options, PLUGIN_OPTIONS)
        path, name = _locate(locator)
        if cause := trouble(path):
            raise EffectLoadError(f"this machine cannot open {path} as a plug-in: {cause}")
        natives, elsewhere = Natives(), f"dawdreamer:{path}" if path.suffix.lower() == ".vst3" and name is None else ""
        with opening(natives):
            return PedalboardPluginEffect(
                natives, partial(_open_plugin, path, name, options), sample_rate, measured, elsewhere, fixed, gentle
            )

    def claims(self, locator: str) -> float:
        if importlib.util.find_spec("pedalboard") is None:
            return 0.0
        path = path_in(locator, _SUFFIXES)
        if path is not None and path.rstrip(os.sep).lower().endswith(_SUFFIXES):
            return 1.0
        return 1.0 if _installed(locator.partition("#")[0]) is not None else 0.0

    path_options = PLUGIN_OPTIONS

    def preset_suffixes(self, locator: str) -> tuple[str, ...]:
        return (
            () if (path_in(locator, _SUFFIXES) or locator).partition("#")[0].lower().endswith(".component") else (".vstpreset",)
        )

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
    except EffectLoadError:
        raise
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
