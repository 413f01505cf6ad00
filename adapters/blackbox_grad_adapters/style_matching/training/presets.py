"""How much a training takes, by name."""

from __future__ import annotations

import dataclasses
from typing import Any

from blackbox_grad_adapters.style_matching.training.controller_training import Plan

#: "quick" is a useful controller in minutes, "standard" a good one, "thorough" what `make style-weights` trains with: some
#: ten minutes of a core for an MDA effect, and 7 GB on disk.
PRESETS = {
    "quick": Plan(pairs=768, sounds=256, judged=32, settings_epochs=10, audio_epochs=5, audio_steps=16),
    "standard": Plan(),
    "thorough": Plan(pairs=8192, takes=2, sounds=8192, judged=128, audio_epochs=4, audio_steps=128, audio_rate=5e-4),
}


def planned(preset: str, **changes: Any) -> Plan:
    """A preset with other values of `Plan`; those that are None are the preset's."""
    return dataclasses.replace(PRESETS[preset], **{name: value for name, value in changes.items() if value is not None})
