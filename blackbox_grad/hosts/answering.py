"""What a host asks an effect beyond renders: its presets, and to save one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from blackbox_grad.effects.opening import SelectedEffect
from blackbox_grad.effects.preset_files import check_preset_path, preset_names, write_preset
from blackbox_grad.effects.presets import Presets, StoredPreset, presets_of
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import HostError

if TYPE_CHECKING:
    from blackbox_grad.hosts.protocol import Host

#: The methods of `SelectedEffect` that may be asked. Their arguments and results are plain.
QUESTIONS = ("stored_presets", "preset_files")


def answered(effect: SelectedEffect, question: str, arguments: tuple[Any, ...]) -> Any:
    """Have an effect of this process answer."""
    if question not in QUESTIONS:
        raise HostError(f"{effect.spec.address}: nobody answers {question!r}")
    return getattr(effect, question)(*arguments)


def asked(host: Host, spec: EffectSpec, question: str, *arguments: Any) -> Any:
    """Have a host's effect answer. Raises `HostError` if the host cannot: `Host.ask` is optional."""
    ask = getattr(host, "ask", None)
    if ask is None:
        raise HostError(
            f"{spec.address}: {type(host).__name__} does not ask effects for presets; use the host processes or in-process"
        )
    return ask(spec, question, arguments)


def presets_in(host: Host, spec: EffectSpec, folder: str | os.PathLike[str] | None = None) -> Presets:
    """`SelectedEffect.presets`, read where the host has the plug-in open."""
    told = asked(host, spec, "stored_presets", None if folder is None else os.path.abspath(os.path.expanduser(folder)))
    if not isinstance(told, list) or not all(isinstance(preset, StoredPreset) for preset in told):
        raise HostError(f"{spec.address}: its host gave no presets, but {type(told).__name__}")
    return presets_of(told, host.open(spec).parameters)


def save_preset_in(
    host: Host, spec: EffectSpec, path: str | os.PathLike[str], p: ArrayLike | None = None, *, name: str | None = None
) -> Path:
    """`SelectedEffect.save_preset`, where the host has the plug-in open. The caller's process writes the file."""
    path = Path(path)
    check_preset_path(spec, path)
    space = host.open(spec).parameters
    point = space.defaults if p is None else space.check(p)
    told = asked(host, spec, "preset_files", path.suffix.lower(), name or path.stem, tuple(map(float, point)))
    due = set(preset_names(spec)) if spec.parts else None
    if not isinstance(told, dict) or not told or not all(_is_file(file, content, due) for file, content in told.items()):
        raise HostError(f"{spec.address}: its host gave no preset, but {type(told).__name__}")
    write_preset(path, told)
    return path


def _is_file(name: object, content: object, due: set[str] | None) -> bool:
    """Whether a host may have it written: of a chain, in the folder of one of its parts."""
    if not (isinstance(name, str) and isinstance(content, bytes)):
        return False
    parts = name.split("/")
    if due is not None:
        if parts[0] not in due:
            return False
        parts = parts[1:]
    return parts in ([], [""], ["manifest.ttl"], ["preset.ttl"])
