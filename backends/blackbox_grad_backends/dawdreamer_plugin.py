"""VST3, VST2 and LV2 plug-ins in DawDreamer: effects, and instruments, which have no audio input and play notes.

Locators: a path, the file name of an installed plug-in, or the URI of an LV2 plug-in: `ZamTube.vst3`, `ZamDelay-vst.so`,
`/opt/Echo.dll`, `http://drobilla.net/plugins/mda/Overdrive`, `urn:zamaudio:ZamComp`. Options: `preset=` (path of a .vstpreset
for VST3, of an .fxp for VST2) or `state=` (path of a file from DawDreamer's `save_state` for a VST). The values that they load
become the defaults. The core sets `preset=` with the name of one of the plug-in's own. `sidechain=` (path of an audio file): what
side chains take instead of silence.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from blackbox_grad.errors import EffectLoadError, EffectNotFoundError
from blackbox_grad.files import content_of
from blackbox_grad_backends import lv2_trial
from blackbox_grad_backends.dawdreamer_effect import DawDreamerPluginEffect
from blackbox_grad_backends.dawdreamer_graph import Graph, cause_of_freeze
from blackbox_grad_backends.dawdreamer_presets import state_of
from blackbox_grad_backends.native import lv2_bundles, plugin_folders
from blackbox_grad_backends.native.display import without_windows
from blackbox_grad_backends.native.graveyard import opening
from blackbox_grad_backends.native.lv2_description import PluginDescription
from blackbox_grad_backends.native.lv2_refusals import refusal
from blackbox_grad_backends.native.output import quiet
from blackbox_grad_backends.native.pinned import FIXED
from blackbox_grad_backends.native.render_method import Measured
from blackbox_grad_backends.native.saved_states import refuse_damaged
from blackbox_grad_backends.native.shared_library import trouble
from blackbox_grad_backends.options import CHANGES_NOTHING, PLUGIN_OPTIONS, check_options, path_in
from blackbox_grad_backends.side_chain import SIDECHAIN, take_sidechain

_URI = re.compile(r"^(https?://|urn:)\S+$", re.IGNORECASE)
_VST2_SUFFIXES = (".so", ".dll", ".vst")
_SUFFIXES = (".vst3", *_VST2_SUFFIXES)


class DawDreamerPluginBackend:
    """Opens VST3, VST2 and LV2 effects and instruments with DawDreamer.

    Args:
        tries: whether LV2 plug-ins that may die of their worker are tried in a process of their own first.
    """

    opens_gently = takes_fixed = has_presets = True

    def __init__(self, tries: bool = True) -> None:
        self._tries = tries

    def open(self, locator: str, sample_rate: float, options: Mapping[str, Any]) -> DawDreamerPluginEffect:
        options = dict(options)
        measured, gentle = Measured.of(options.pop("measured", None)), bool(options.pop("gentle", False))
        fixed = options.pop(FIXED, {})
        check_options(f"dawdreamer:{locator}", options, (*PLUGIN_OPTIONS, SIDECHAIN))
        import dawdreamer  # noqa: F401  (an ImportError becomes a hint how to install it)

        without_windows()
        sidechain = take_sidechain(f"dawdreamer:{locator}", options, sample_rate)
        source = _locate(locator)
        lv2 = _described(source) if _is_lv2(source) else None
        library = lv2.binary if lv2 else Path(source)
        if library is not None and (cause := trouble(library)):
            raise EffectLoadError(f"dawdreamer:{source} cannot be loaded: {cause}")
        if lv2 and lv2.uses_worker and self._tries and measured is None:
            gentle = _outcome_of_trial(lv2, sample_rate, gentle)
        prepare = partial(_load_option, source, *_checked_option(source, options)) if options else None
        name = (lv2.name or re.split(r"[/:#]", source)[-1]) if lv2 else Path(source).stem
        if cause := cause_of_freeze("opens a plug-in"):
            raise EffectLoadError(f"dawdreamer:{source}: {cause}")
        graph = Graph(sample_rate, remakes=lv2 is not None)
        with opening(graph.natives), quiet():
            return DawDreamerPluginEffect(graph, source, name, prepare, measured, sidechain, lv2, gentle, fixed)

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

    def preset_suffixes(self, locator: str) -> tuple[str, ...]:
        if _is_lv2(locator):
            return (".lv2",)
        return (".vstpreset",) if locator.rstrip(os.sep).lower().endswith(".vst3") else (".fxp", ".fxb")

    def path(self, locator: str) -> str | None:
        return None if _is_lv2(locator) else path_in(locator, _SUFFIXES)

    def scan(self) -> Iterator[str]:
        return (locator for locator, *_ in self.catalogue())

    def catalogue(self) -> Iterator[tuple[str, str, str, str]]:
        """Locator, name, maker, and what goes in, as the plug-ins' files tell them. Those of VSTs tell little."""
        if importlib.util.find_spec("dawdreamer") is None:
            raise ModuleNotFoundError("the library is not installed", name="dawdreamer")
        yield from ((plugin.uri, plugin.name, plugin.maker, plugin.takes) for plugin in lv2_bundles.installed() if plugin.takes)
        for kind in ("vst3", "vst2"):
            yield from ((path.name, path.stem, "", "") for path in plugin_folders.installed(kind))

    def file(self, locator: str) -> Path | None:
        """The plug-in's file or bundle. `scan(check=True)` caches its result until this changes."""
        return lv2_bundles.bundle_of(locator) if _is_lv2(locator) else Path(_locate(locator))


def _is_lv2(source: str) -> bool:
    return _URI.match(source) is not None


def _described(uri: str) -> PluginDescription:
    """What an installed LV2 plug-in says about itself. Raises an error if it is not installed, or cannot be opened."""
    plugin = lv2_bundles.description(uri)
    if plugin is None:
        known = [plugin.uri for plugin in lv2_bundles.installed() if plugin.takes]
        raise EffectNotFoundError(
            f"dawdreamer:{uri}: no LV2 plug-in with this URI is installed; {plugin_folders.known(known, uri)}"
        )
    if cause := refusal(plugin):
        raise EffectLoadError(f"dawdreamer:{uri} {cause}")
    return plugin


def _outcome_of_trial(plugin: PluginDescription, sample_rate: float, gentle: bool) -> bool:
    """Whether to open a plug-in gently that may use a worker. Raises if it died in its trial."""
    fate = lv2_trial.fate(plugin.uri, sample_rate, gentle)
    if fate and not gentle and not (plugin.needs_worker or plugin.sends_midi):  # it may be far settings that it dies of
        gentle, fate = True, lv2_trial.fate(plugin.uri, sample_rate, gentle=True)
    if fate:
        what = "sends MIDI to the host" if plugin.sends_midi else "hands work to a thread of the host"
        raise EffectLoadError(
            f"dawdreamer:{plugin.uri} cannot be opened: it {what}, and in a trial in a process of its own it {fate}"
        )
    return gentle


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
        way_out = "set the values with fixed=… or open the VST3"
        if str(value).rstrip("/").endswith(".lv2"):
            way_out = "put the bundle into a folder of LV2s (LV2_PATH), and write the preset's name without .lv2"
        raise EffectLoadError(f"dawdreamer:{source}: DawDreamer cannot load a {name} into an LV2; {way_out}")
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
    before = state_of(processor) if check else b""
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
    if check and state_of(processor) == before != content:
        raise EffectLoadError(f"dawdreamer:{source}: {name}={path!r} {CHANGES_NOTHING}")
