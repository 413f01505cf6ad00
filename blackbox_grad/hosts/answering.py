"""What a host asks an effect beyond renders: its presets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from blackbox_grad.effects.opening import SelectedEffect
from blackbox_grad.effects.presets import Presets, StoredPreset, presets_of
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import HostError

if TYPE_CHECKING:
    from blackbox_grad.hosts.protocol import Host

#: The methods of `SelectedEffect` that may be asked. Their arguments and results are plain.
QUESTIONS = ("stored_presets",)


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
