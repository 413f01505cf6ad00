"""The preset that a job leaves for a DAW, in the format that its plug-in has; folders are packed into a file to download."""

from __future__ import annotations

import shutil
from pathlib import Path

from blackbox_grad.effects import split_chain
from blackbox_grad_adapters.app.jobs import Job

_NAME = "preset"


def preset_of(address: str) -> str:
    """The name to save the settings of an effect under; a folder for a chain."""
    if len(split_chain(address)) > 1:
        return _NAME
    if address.startswith("pedalboard-builtin:"):
        return f"{_NAME}.py"
    suffix = Path(address).suffix.lower()
    return _NAME + {".vst3": ".vstpreset", ".so": ".fxp", ".dll": ".fxp", ".vst": ".fxp"}.get(suffix, ".lv2")


def forget(job: Job) -> None:
    """Remove a preset of other settings."""
    for path in job.folder.glob(f"{_NAME}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def packed(job: Job) -> str:
    """The name of the file to download; "" if none was saved."""
    found = sorted(job.folder.glob(f"{_NAME}*"))
    if found and found[0].is_dir():
        return Path(shutil.make_archive(str(found[0]), "zip", job.folder, found[0].name)).name
    return found[0].name if found else ""
