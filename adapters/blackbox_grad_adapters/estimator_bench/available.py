"""Which tasks can be measured on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from blackbox_grad import scan
from blackbox_grad.errors import BlackboxGradError
from blackbox_grad_adapters.estimator_bench.recordings import excerpt
from blackbox_grad_adapters.estimator_bench.tasks import EFFECTS, TASKS


def available(tasks: Sequence[str]) -> tuple[list[str], list[str]]:
    """The tasks whose effects are installed and whose recordings are here or can be fetched; and why others are left out."""
    installed = {row.address for row in scan()}
    wanted = {TASKS[task].effect: EFFECTS[TASKS[task].effect].address.split(" | ") for task in tasks}
    missing = [effect for effect, parts in wanted.items() if not set(parts) <= installed]
    reasons = []
    if missing:
        reasons.append(
            f"left out are the tasks of {', '.join(missing)}, whose plug-ins are not installed; on Debian they are in mda-lv2 and "
            "zam-plugins"
        )
    silent = []
    for recording in dict.fromkeys(TASKS[task].recording for task in tasks if TASKS[task].effect not in missing):
        try:
            excerpt(recording)
        except BlackboxGradError as error:
            silent.append(recording)
            reasons.append(f"left out are the tasks with the recording {recording!r}: {error}")
    return [t for t in tasks if TASKS[t].effect not in missing and TASKS[t].recording not in silent], reasons
