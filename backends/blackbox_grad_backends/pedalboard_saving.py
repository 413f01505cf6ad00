"""Presets of a plug-in in Pedalboard, and its own effects as Python, as the content of files."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from blackbox_grad.errors import EffectLoadError
from blackbox_grad.parameters import FloatArray, ParameterSpace

#: Values of a plug-in that differ by this much or less are equal: it stores them as text, or in 32 bits.
_EQUAL = 1e-4


class Saving(Protocol):
    """What is needed of a `PedalboardPluginEffect`."""

    name: str
    parameters: ParameterSpace

    @property
    def plugin(self) -> Any:
        """Pedalboard's object."""

    def set(self, values: FloatArray) -> None:
        """Set the parameters."""

    def read(self) -> list[float]:
        """The host's values of the parameters."""

    def settle(self) -> None:
        """Render silence."""

    def renew(self) -> None:
        """Replace the plug-in by a new one."""


def preset_content(effect: Saving, values: FloatArray) -> bytes:
    """A `.vstpreset` at `values: [F] in [0, 1]`. Afterwards the plug-in is as before."""
    try:
        effect.set(values)
        effect.settle()  # before its first render, Pedalboard's preset is that of the defaults
        held, state = effect.read(), bytes(effect.plugin.raw_state)
        content = bytes(effect.plugin.preset_data)
        effect.renew()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "preset.vstpreset")
            file.write_bytes(content)
            try:
                effect.plugin.load_preset(str(file))
            except (RuntimeError, ValueError, OSError) as error:
                raise EffectLoadError(
                    f"{effect.name} does not load a preset of its own; keep its settings in a file of parameters"
                ) from error
        effect.settle()
        if bytes(effect.plugin.raw_state) != state:
            _check(effect, held)
    finally:
        effect.renew()
    return content


def _check(effect: Saving, held: Sequence[float]) -> None:
    wrong = np.flatnonzero(np.abs(np.array(effect.read()) - np.asarray(held)) > _EQUAL)
    if wrong.size:
        names = ", ".join(effect.parameters.everything[i].name for i in wrong[:4])
        raise EffectLoadError(
            f"{effect.name}: a preset of it does not hold {names}: the plug-in loads it with another value; keep the settings in a "
            "file of parameters"
        )


def snippet(kind: str, arguments: Mapping[str, Any]) -> bytes:
    """Python that makes one of Pedalboard's own effects."""
    written = {name: _written(value) for name, value in arguments.items()}
    given = "".join(f"    {name}={text},\n" for name, text in written.items())
    imported = sorted({kind, *(text.partition(".")[0] for text in written.values() if text[0].isalpha())})
    call = f"{kind}(\n{given})" if given else f"{kind}()"
    return f'''"""Pedalboard's {kind}, as it was set. `effect(audio, sample_rate)` plays audio through it."""

from pedalboard import {", ".join(imported)}

effect = {call}
'''.encode()


def _written(value: Any) -> str:
    """As Python reads it: a number, or the member of an enumeration, "LadderFilter.Mode.LPF12"."""
    return repr(float(value)) if isinstance(value, float | int) else f"{type(value).__qualname__}.{value.name}"
