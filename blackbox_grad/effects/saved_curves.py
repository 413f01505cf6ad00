"""A file of curves: what `match --curves` writes, and `render --curves` reads, as JSON or as CSV."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from blackbox_grad.effects.automation import Automated
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.saved_settings import SavedSettings, saved_settings
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import BlackboxGradError, ParameterError
from blackbox_grad.files import text_of
from blackbox_grad.parameters.knots import Shape
from blackbox_grad.parameters.names import find_fixed, find_name
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.rows import rows
from blackbox_grad.parameters.travel import put_back, setting

#: How far a knot may lie from its place, as part of the way to the next.
_NEAR = 0.02


@dataclass(frozen=True)
class SavedCurves:
    """Curves of an effect, with their units, and its other settings.

    Attributes:
        curves: one for each control that moves: its name, and of each knot what `travel.setting` says, as far as it is known.
        seconds: what they span.
        shape: "linear" or "held".
        settings: of the controls that stay.
        source: the file, for messages.
    """

    curves: tuple[tuple[str, tuple[Mapping[str, Any], ...]], ...]
    seconds: float
    shape: Shape
    settings: SavedSettings
    source: str

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> SavedCurves:
        """From a .csv or a .json file.

        Raises:
            AudioError: it cannot be read.
            ParameterError: it holds no curves.
        """
        name = os.fspath(path)
        try:
            return _from_csv(name) if name.lower().endswith(".csv") else _from_json(name)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
            if isinstance(error, BlackboxGradError):
                raise
            raise ParameterError(f"{name} holds no curves; give a file that `blackbox-grad match --curves` wrote") from error

    def automated(self, info: EffectInfo, values: Mapping[str, float | str] | None = None) -> tuple[EffectSpec, FloatArray]:
        """The effect with these curves, and the point of their knots, `[P]`: saved native values as the effect is opened now.

        Args:
            info: the effect, opened at any sample rate, without curves.
            values: settings of the caller, by name, which take the places of the saved ones.

        Raises:
            ParameterError: the effect has no such parameter, or not in its range.
        """
        everything = info.parameters.everything
        names = [p.name for p in everything]
        point: list[float] = []
        moving = []
        for name, knots in self.curves:
            try:
                parameter = everything[find_name(name, names)]
                point += [put_back(knot, parameter) for knot in knots]
            except ParameterError as error:
                made = f"curves of {self.settings.effect}" if self.settings.effect else "curves"
                raise ParameterError(
                    f"{self.source} holds {made}, and {info.spec.address} cannot follow them: {error}"
                ) from error
            moving.append(parameter.name)
        still = {find_fixed(name, value, names)[0]: name for name, value in (values or {}).items()}
        if both := [still[i] for name in moving if (i := names.index(name)) in still]:
            raise ParameterError(
                f"{info.spec.address}: {both[0]!r} moves along a curve of {self.source}, and has no "
                "one value; leave it out of the settings (--set), or out of the curves"
            )
        fixed = self.settings.fixed(info, values) | dict(values or {})
        spec = replace(info.spec, parameters=tuple(moving), fixed=tuple(fixed.items()))
        knots_each = len(self.curves[0][1])
        moved = Automated(spec, knots_each, moving, seconds=self.seconds, shape=self.shape)
        return moved.spec, np.array(point)


def saved_curves(info: EffectInfo, point: ArrayLike) -> dict[str, Any]:
    """What goes into a JSON file of curves: what `saved_settings` says of the settings that stay, and the curves.

    Args:
        info: an opened effect whose settings move.
        point: `[P]`.

    Raises:
        ParameterError: its settings do not move.
    """
    curves = info.spec.curves
    if curves is None:
        raise ParameterError(f"{info.spec.address}: its settings do not move, so there are no curves to write")
    space, values = info.parameters, info.parameters.check(point).tolist()
    settings = saved_settings(info, point)
    constant = [row for row, parameter in zip(settings["parameters"], space.everything, strict=True) if parameter.knot is None]
    found = []
    for row in rows(space):
        if not row.moves:
            continue
        knots = [setting(p, v) for p, v in zip(space[row.places], values[row.places], strict=True)]
        common = {key: knots[0][key] for key in ("kind", "unit", "range", "scale", "default")}
        each = {key: [knot[key] for knot in knots] for key in ("normalised", "value", "native")}
        found.append({"name": row.name, **common, "seconds": list(row.seconds), **each})
    return settings | {
        "parameters": constant,
        "curves": found,
        "span": curves.seconds,
        "shape": curves.shape,
    }


def csv_of(saved: Mapping[str, Any]) -> str:
    """The same as a table: a line for each knot, a column of normalised values for each curve, and one of native ones to read."""
    text = io.StringIO()
    for key in ("effect", "sample_rate", "span", "shape"):
        text.write(f"# {key}: {saved[key]}\n")
    for row in saved["parameters"]:
        text.write(f"# setting: {row['name']} = {row['normalised']!r}\n")
    writer = csv.writer(text, lineterminator="\n")
    curves = saved["curves"]
    writer.writerow(["seconds", *(c["name"] for c in curves), *(f"{c['name']} (native)" for c in curves)])
    for k, seconds in enumerate(curves[0]["seconds"]):
        writer.writerow([f"{seconds:.6g}", *(repr(c["normalised"][k]) for c in curves), *(c["native"][k] for c in curves)])
    return text.getvalue()


def write_curves(path: Path, info: EffectInfo, point: ArrayLike, suffix: str = "") -> None:
    """As CSV where the name ends so (`suffix` in its place), as JSON otherwise."""
    saved = saved_curves(info, point)
    as_table = (suffix or path.suffix).lower() == ".csv"
    path.write_text(csv_of(saved) if as_table else json.dumps(saved, indent=2) + "\n", "utf-8")


def _from_json(path: str) -> SavedCurves:
    found = json.loads(text_of(path))
    curves = []
    for curve in found["curves"]:
        common = {key: curve[key] for key in ("name", "kind", "unit", "range", "scale", "default") if key in curve}
        each = [key for key in ("normalised", "value", "native") if key in curve]
        columns = zip(*(curve[key] for key in each), strict=True)
        curves.append((str(curve["name"]), tuple(common | dict(zip(each, column, strict=True)) for column in columns)))
    times = [float(t) for t in found["curves"][0]["seconds"]]
    return _checked(path, curves, times, float(found["span"]), found["shape"], found, found["parameters"])


def _from_csv(path: str) -> SavedCurves:
    lines = text_of(path).splitlines()
    remarks = [line[1:].partition(":") for line in lines if line.startswith("#")]
    facts = {key.strip(): value.strip() for key, _, value in remarks if key.strip() != "setting"}
    table = list(csv.reader(line for line in lines if line.strip() and not line.startswith("#")))
    head, body = table[0], table[1:]
    columns = [i for i, name in enumerate(head) if i and not name.endswith(" (native)")]
    curves = [(head[i], tuple({"name": head[i], "normalised": float(line[i])} for line in body)) for i in columns]
    times = [float(line[0]) for line in body]
    if head[0] != "seconds" or not curves or len(times) < 2:
        raise ValueError("no table of knots")
    constant = []
    for key, _, rest in remarks:
        name, _, value = rest.strip().rpartition(" = ")
        if key.strip() == "setting":
            constant.append({"name": name, "normalised": float(value)})
    span = float(facts.get("span", times[-1]))
    return _checked(path, curves, times, span, facts.get("shape", "linear"), facts, constant)


def _checked(
    path: str,
    curves: Sequence[tuple[str, tuple[Mapping[str, Any], ...]]],
    times: Sequence[float],
    span: float,
    shape: Any,
    facts: Mapping[str, Any],
    constant: Sequence[Mapping[str, Any]],
) -> SavedCurves:
    if shape not in ("linear", "held"):
        raise ParameterError(f"{path}: shape={shape!r} is unknown; allowed are 'linear' and 'held'")
    if len({len(knots) for _, knots in curves}) != 1 or len(times) != len(curves[0][1]):
        raise ParameterError(f"{path}: every curve needs as many values as there are knots, {len(times)}")
    spacing = span / (len(times) - 1 if shape == "linear" else len(times)) if len(times) > 1 else span
    if len(times) > 1 and any(abs(t - k * spacing) > _NEAR * spacing for k, t in enumerate(times)):
        raise ParameterError(f"{path}: knots must lie evenly from 0 to {span:g} s, {spacing:.4g} s apart; got {list(times)}")
    rate = facts.get("sample_rate")
    settings = SavedSettings(
        tuple(constant),
        path,
        str(facts.get("effect", "")),
        str(facts.get("version") or ""),
        None if rate is None else float(rate),
    )
    return SavedCurves(tuple(curves), span, shape, settings, path)
