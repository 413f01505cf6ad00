"""An inspection in a cell of a notebook."""

from __future__ import annotations

from blackbox_grad.inspection import wording
from blackbox_grad.inspection.results import Inspection
from blackbox_grad.markup import heading, table


def html(found: Inspection) -> str:
    """Facts about the effect, and a row for each parameter."""
    columns = ["parameter", "changes the spectrum by", "settings", "noise", "curvature", "step", "probes", "remark"]
    rows = [
        [
            p.name,
            "" if p.influence is None else f"{p.influence:.2g} dB",
            wording.settings(p),
            *(wording.number(value) for value in (p.noise, p.curvature, p.step)),
            p.probe_kind or "",
            wording.remark(p),
        ]
        for p in found.parameters
    ]
    return "".join(
        (
            heading(f"Inspection: {found.name}", found.address, wording.stopped(found) if found.stopped else ""),
            table(["", ""], list(wording.facts(found).items())),
            table(columns, rows),
        )
    )
