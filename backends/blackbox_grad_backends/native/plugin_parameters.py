"""From a plug-in's own description of a control, as Pedalboard gives it, to a `Parameter`.

Pedalboard's `plugin.parameters` asks for 1 001 texts per control, scans them twice, and writes values if a text looks odd: 91 s for
the six controls of ZamVerb. The code here asks for a few texts and writes nothing.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from blackbox_grad.parameters import FloatArray, Kind, Parameter, ParameterSpace

#: A control with more steps than this is continuous, with a display resolution. (VST3 hosts show "no steps" as 2^31 - 1, which
#: plug-ins of DPF call "discrete".)
MOST_LEVELS = 256

#: Seconds that the texts of one control may take; after that its range counts as linear between the ends.
TEXT_BUDGET = 2.0

_TABLE_POINTS = 33

#: Values are multiples of about a millionth of the range: 2^-20.
_GRID = 2.0**20

#: Half the distance of two values on the grid.
HALF_STEP = 0.5 / _GRID

#: Controls that the host sets, not the user. "P001", "MIDI CC 1|7" and "MIDI Ch. 1 CC 7" are numbered for MIDI: a VST3
#: instrument has 2 080 of them, which controllers among the notes reach. "Synchronize to Channel" ties RoomEncoder to the other
#: instances in the process, by a timer: its renders then depend on them, and on the clock.
_OF_THE_HOST = re.compile(
    r"^(buffer size|sample rate|latency|current program|program|preset|bypass|synchroni[sz]e to channel)$"
    r"|^midi (ch\. ?\d+ )?cc |^p\d{3}$",
    re.IGNORECASE,
)

_METER = re.compile(r"gain reduction|\bmeter\b|^output (level|left|right|low|medium|high)\b|\bpeak level\b", re.IGNORECASE)

_NUMBER = re.compile(r"^\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?inf(?:inity)?)\s*([^\d\s].*)?$", re.IGNORECASE)

#: Units that a plug-in may change from one text to the next ("900 Hz", "1.2 kHz") -> the unit of the range, and the factor.
_PREFIXED = {"khz": ("Hz", 1e3), "hz": ("Hz", 1.0), "us": ("ms", 1e-3), "ms": ("ms", 1.0), "s": ("ms", 1e3), "sec": ("ms", 1e3)}


def on_grid(values: FloatArray, parameters: ParameterSpace) -> list[float]:
    """`[F]` -> `F` numbers: rounds continuous values, so that two are equal, or far enough apart for a plug-in to notice.

    The VST3 of `zam-plugins` ignore a change of less than 1.2e-7, so that renders depended on earlier ones.
    """
    found: list[float] = np.where(parameters.steps > 0, values, np.round(values * _GRID) / _GRID).tolist()
    return found


def rounded(rows: FloatArray, parameters: Sequence[Parameter]) -> FloatArray:
    """`on_grid` for some controls over time: `[A, N]` -> `[A, N]`."""
    stepped = np.array([parameter.levels is not None for parameter in parameters])
    return np.where(stepped[:, None], rows, np.round(rows * _GRID) / _GRID)


def is_for_the_host(control: Any) -> bool:
    """Whether the host sets this control (buffer size, program, bypass), or it has a single value. Neither is a parameter."""
    return is_named_for_the_host(control.name) or control.num_steps < 2


def is_named_for_the_host(name: str) -> bool:
    """Whether a control of this name is the host's."""
    return bool(_OF_THE_HOST.match(name.strip()))


def is_doubtful(control: Any) -> bool:
    """Whether this may be a meter; it counts as a parameter only if it is audible.

    Meters are usually not automatable. Some are (the gain reduction of ZaMultiComp), and some controls are not (the room of
    ZamVerb).
    """
    return not control.is_automatable or bool(_METER.search(control.name))


def describe(control: Any) -> Parameter:
    """The `Parameter` of a native control. Its default is the control's present value."""
    started = time.perf_counter()
    default = min(1.0, max(0.0, float(control.raw_value)))
    name = control.name.strip() or f"Parameter {control.index + 1}"
    trainable = bool(control.is_automatable)
    levels = control.num_steps if control.num_steps <= MOST_LEVELS else 2 if control.is_boolean else None
    if levels is None:
        count = 5
    else:
        count = levels
        default = round(default * (levels - 1)) / (levels - 1)
    texts = []
    for position in np.linspace(0.0, 1.0, count):
        texts.append(control.get_text_for_raw_value(float(position)).strip())
        if time.perf_counter() - started > TEXT_BUDGET:
            texts = [control.get_text_for_raw_value(end).strip() for end in (0.0, 1.0)]
            break
    values, unit = _numbers(texts, control.label or "")
    if levels is not None:
        kind: Kind = "toggle" if levels == 2 else "stepped"
        named = len(texts) == levels and not values and len(set(texts)) == levels
        low, high = (values[0], values[-1]) if values and levels > 2 and _is_linear(values) else (0.0, float(levels - 1))
        choices = tuple(texts) if named else ()
        return Parameter(name, kind, default, levels, low, high, unit if values else "", choices=choices, trainable=trainable)
    plain = Parameter(name, default=default, trainable=trainable)
    if not values or not _is_monotone(values):
        return plain
    ranged = replace(plain, minimum=values[0], maximum=values[-1], unit=unit)
    if _is_linear(values):
        return ranged
    if min(values) > 0.0 and _is_linear([math.log(v) for v in values]):
        return replace(ranged, scale="log")
    positions = np.linspace(0.0, 1.0, _TABLE_POINTS)
    table, unit = _numbers([control.get_text_for_raw_value(float(p)).strip() for p in positions], control.label or "")
    if not table or not _is_monotone(table):
        return plain
    return replace(plain, scale="table", table=tuple(table), minimum=table[0], maximum=table[-1], unit=unit)


def _numbers(texts: Sequence[str], label: str) -> tuple[list[float], str]:
    """The numbers of texts such as "-6.0 dB" and their unit; no numbers if one text has none.

    "-inf dB" takes the value of the nearest finite neighbour, so that every range is finite.
    """
    matches = [_NUMBER.match(text) for text in texts]
    if not all(matches):
        return [], ""
    units = [(m[2] or label).strip() for m in matches if m]
    values = [float(m[1]) for m in matches if m]
    distinct = {u.lower() for u in units if u}
    if len(distinct) > 1 and all(u in _PREFIXED for u in distinct) and len({_PREFIXED[u][0] for u in distinct}) == 1:
        values = [v * _PREFIXED[u.lower()][1] if u else v for v, u in zip(values, units, strict=True)]
        unit = _PREFIXED[next(iter(distinct))][0]
    elif len(distinct) > 1 and any(math.isfinite(v) for v in values):
        finite = {u.lower() for u, v in zip(units, values, strict=True) if math.isfinite(v)}
        if len(finite) > 1:
            return [], ""
        unit = next(u for u, v in zip(units, values, strict=True) if math.isfinite(v))
    else:
        unit = units[-1]
    finite_at = [i for i, v in enumerate(values) if math.isfinite(v)]
    if len(finite_at) < 2:
        return [], ""
    return [values[min(finite_at, key=lambda j: abs(j - i))] for i in range(len(values))], unit


def _is_linear(values: Sequence[float]) -> bool:
    """Whether they agree within half a percent of the span, about the rounding of texts."""
    line = np.linspace(values[0], values[-1], len(values))
    return bool(np.max(np.abs(np.asarray(values) - line)) <= 5e-3 * max(abs(values[-1] - values[0]), 1e-12))


def _is_monotone(values: Sequence[float]) -> bool:
    steps = np.diff(values)
    return values[0] != values[-1] and bool(np.all(steps >= 0) or np.all(steps <= 0))
