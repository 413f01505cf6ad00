"""The presets of a plug-in in Pedalboard: its programs, and folders of `.vstpreset` files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from blackbox_grad.effects import StoredPreset
from blackbox_grad.errors import EffectLoadError
from blackbox_grad_backends.native.preset_folders import read_all
from blackbox_grad_backends.native.stepped_programs import chooses_programs, preset_from, stepped_programs


class Opened(Protocol):
    """What is needed of a `PedalboardPluginEffect`."""

    @property
    def plugin(self) -> Any:
        """Pedalboard's object."""

    def read(self) -> list[float]:
        """The host's values of the parameters."""

    def inside(self, position: int, value: float) -> tuple[float, str]:
        """A value within the reach of a parameter, and what became of it."""

    def settle(self) -> None:
        """Render silence."""

    def renew(self) -> None:
        """Replace the plug-in by a new one."""


def stored_presets(effect: Opened, folder: str | None) -> Iterator[StoredPreset]:
    """The plug-in's own presets, or those of a folder. Afterwards the plug-in is as before."""
    try:
        if folder is not None:
            yield from read_all(folder, (".vstpreset",), effect.plugin.raw_state, lambda *file: _of_file(effect, *file))
            return
        found = [c for c in effect.plugin._parameters if chooses_programs(c.name, c.num_steps)]
        steps, index = (found[0].num_steps, found[0].index) if found else (0, 0)
        del found  # choosing a program may recreate the plug-in
        if steps:

            def choose(value: float) -> None:
                effect.plugin._parameters[index].raw_value = value
                effect.settle()

            yield from stepped_programs(
                steps,
                lambda value: str(effect.plugin._parameters[index].get_text_for_raw_value(value)),
                choose,
                effect.read,
                effect.inside,
            )
    finally:
        effect.renew()


def _of_file(effect: Opened, path: Path, content: bytes) -> Iterator[StoredPreset]:
    effect.renew()
    try:
        effect.plugin.load_preset(str(path))
    except (RuntimeError, ValueError, OSError) as error:
        raise EffectLoadError(f"{path} could not be loaded, it may be of another plug-in: {error}") from error
    effect.settle()
    yield preset_from(path.stem, effect.read(), effect.inside)
