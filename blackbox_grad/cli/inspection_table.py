"""The output of `blackbox-grad inspect --deep`."""

from __future__ import annotations

from blackbox_grad.cli.console import out, say, table, warn
from blackbox_grad.cli.progress import Shown
from blackbox_grad.inspection.renders import InspectionProgress
from blackbox_grad.inspection.results import Inspection, ParameterInspection
from blackbox_grad.inspection.wording import facts, number, remark, settings, stopped


def shown(p: InspectionProgress) -> Shown:
    """How far an inspection is."""
    return Shown(p.what, p.done, f"{p.renders}/{p.render_limit} renders, {p.seconds:.0f}/{p.time_limit:.0f} s")


def print_inspection(found: Inspection) -> None:
    """Facts about the effect, and a row for each parameter."""
    say((found.name, "bold"), f"  {found.address}\n")
    for name, text in facts(found).items():
        say((f"{name:<21}", "dim"), text)
    say("")
    rows = table(
        *("parameter", "changes", "settings", "noise", "curvature", "step", "probes", "right way", "remark"),
        right=["changes", "settings", "noise", "curvature", "step", "right way"],
        whole=["changes", "settings", "step"],
    )
    for p in found.parameters:
        rows.add_row(*_row(p), style="dim" if p.reaches_sound is False else None)
    out().print(rows)
    if found.stopped:
        say("")
        warn(stopped(found))


def _row(p: ParameterInspection) -> list[str]:
    return [
        p.name,
        "" if p.influence is None else f"{p.influence:.2g} dB",
        settings(p),
        number(p.noise),
        number(p.curvature),
        number(p.step),
        p.probe_kind or "",
        "" if p.direction is None else f"{100 * p.direction:.0f} %",
        remark(p),
    ]
