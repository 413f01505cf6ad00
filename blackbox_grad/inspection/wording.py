"""An inspection in words, the same on the terminal and in the report."""

from __future__ import annotations

import math

from blackbox_grad.inspection.results import Inspection, ParameterInspection


def number(value: float | None, unknown: str = "") -> str:
    return unknown if value is None else f"{value:.2g}"


def facts(found: Inspection) -> dict[str, str]:
    """The facts about the effect as a whole, in order."""
    return {
        "layout": found.layout,
        "sample rate": f"{found.sample_rate:g} Hz",
        "repeatability": _equal(found.repeatability, "between equal renders in a row"),
        "state": _equal(found.leakage, "after renders of other settings"),
        "latency": _latency(found),
        "one second of audio": _cost(found.seconds_per_second),
        "random settings": _failures(found),
        **({} if found.memory is None else {"a change is heard": _memory(found.memory)}),
        "this inspection": f"{found.renders} renders, {found.seconds:.1f} s",
        **{f"note {n}": note for n, note in enumerate(found.notes, 1)},
    }


def _equal(error: float | None, when: str) -> str:
    if error is None:
        return "not measured"
    return f"bit-equal {when}" if error == 0 else f"relative error {error:.2g} {when}"


def _latency(found: Inspection) -> str:
    reported = f"{found.latency} samples reported, and taken out"
    if found.measured_latency is None:
        return f"{reported}; the sound at the defaults does not show the true latency"
    if found.measured_latency == found.latency:
        return f"{reported}; measured the same"
    late = found.measured_latency - found.latency
    offset = f"{abs(late)} samples {'late' if late > 0 else 'early'}"
    return f"{reported}; measured {found.measured_latency}: renders are {offset}"


def _cost(seconds: float | None) -> str:
    return (
        "too slow to measure" if seconds is None else f"{1000 * seconds:.3g} ms ({1 / max(seconds, 1e-9):.0f} times real time)"
    )


def _memory(seconds: float) -> str:
    if math.isinf(seconds):
        return "to the end of the test signal: knots of curves are probed one by one"
    return f"for {1000 * seconds:.3g} ms more: curves are learnt from probes of many knots at once"


def _failures(found: Inspection) -> str:
    shares = {"not finite": found.nonfinite, "more than 60 dB louder than the input": found.loud, "silent": found.silent}
    if any(share is None for share in shares.values()):
        return "not measured"
    if not any(shares.values()):
        return "all audible"
    example = ", ".join(f"{name}={value:g}" for name, value in found.bad_settings)
    return ", ".join(f"{100 * share:.0f} % {kind}" for kind, share in shares.items() if share) + f", such as {example}"


def settings(p: ParameterInspection) -> str:
    """The number of different settings, or the width of the steps."""
    if p.resolution is None:
        return ""
    if p.steps is not None:
        return str(p.steps)
    return "continuous" if p.resolution == 0 else f"steps of {p.resolution:.2g}"


def remark(p: ParameterInspection) -> str:
    """Further remarks."""
    if p.reaches_sound is None:
        return p.note or "not measured"
    if not p.reaches_sound:
        return "inaudible"
    said = [f"{r.kind} at {r.low:.2g}" + (f" to {r.high:.2g}" if r.high > r.low else "") for r in p.regions]
    if p.around:
        said.append("almost inaudible around the defaults; measured elsewhere")
    if p.resolution is None and not p.note:
        said.append("not measured further")
    return "; ".join([*said, *([p.note] if p.note else [])])


def stopped(found: Inspection) -> str:
    """Why the inspection ended early."""
    why = {
        "time": f"its {found.time_limit:g} s were up",
        "renders": f"its {found.render_limit} renders were made",
        "interrupted": "it was interrupted",
    }[found.stopped or "interrupted"]
    missing = sum(p.reaches_sound is None or (p.reaches_sound and p.resolution is None) for p in found.parameters)
    return f"The inspection ended early, as {why}; {missing} of {len(found.parameters)} parameters are not fully measured."
