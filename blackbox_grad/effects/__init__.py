"""Effects, backends, and the recipe from which every host opens the same effect. Host processes import it: it needs only numpy."""

from __future__ import annotations

from blackbox_grad.effects.addresses import backend, backend_names, backends, file_stamp, locator_path, resolve_address
from blackbox_grad.effects.audio import Audio, check_audio
from blackbox_grad.effects.automation import Automated
from blackbox_grad.effects.chaining import ChainedEffect
from blackbox_grad.effects.curves import Curves, Moves
from blackbox_grad.effects.first_look import FirstLook, unlooked, warn_of_dead
from blackbox_grad.effects.float_mode import float_mode_kept
from blackbox_grad.effects.leaving_out import without_silent
from blackbox_grad.effects.notes import Note, Notes
from blackbox_grad.effects.opening import EffectInfo, SelectedEffect, load
from blackbox_grad.effects.packing import Messages, beside, is_packed, packed, parted, unpacked
from blackbox_grad.effects.plugin import ANY, PluginEffect
from blackbox_grad.effects.presets import Preset, Presets, StoredPreset
from blackbox_grad.effects.protocols import Backend, Beside, Effect
from blackbox_grad.effects.repeatability import REPEATABLE, relative_error
from blackbox_grad.effects.saved_settings import SavedSettings, saved_settings
from blackbox_grad.effects.spec import HIGHEST_RATE, AnyEffect, EffectSpec, as_spec, chain, split_chain
from blackbox_grad.effects.switches import Switch
from blackbox_grad.effects.tunes import accompanied, tune

__all__ = [
    "ANY",
    "HIGHEST_RATE",
    "REPEATABLE",
    "AnyEffect",
    "Audio",
    "Automated",
    "Backend",
    "Beside",
    "ChainedEffect",
    "Curves",
    "Effect",
    "EffectInfo",
    "EffectSpec",
    "FirstLook",
    "Messages",
    "Moves",
    "Note",
    "Notes",
    "PluginEffect",
    "Preset",
    "Presets",
    "SavedSettings",
    "SelectedEffect",
    "StoredPreset",
    "Switch",
    "accompanied",
    "as_spec",
    "backend",
    "backend_names",
    "backends",
    "beside",
    "chain",
    "check_audio",
    "file_stamp",
    "float_mode_kept",
    "is_packed",
    "load",
    "locator_path",
    "packed",
    "parted",
    "relative_error",
    "resolve_address",
    "saved_settings",
    "split_chain",
    "tune",
    "unlooked",
    "unpacked",
    "warn_of_dead",
    "without_silent",
]
