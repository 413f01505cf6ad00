"""The settings of a render: from a file, from the command line, as much of them as is asked for; at the rate of each recording."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.saved_curves import SavedCurves
from blackbox_grad.effects.saved_settings import SavedSettings, saved_settings
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.hosts.protocol import Host
from blackbox_grad.inspection.neutral import Neutral, find_neutral
from blackbox_grad.inspection.sound_path import SoundPath
from blackbox_grad.parameters.names import find_fixed
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace


class Chosen:
    """The effect of a command, opened at any sample rate with the same native values. Threads may share it.

    Args:
        address: of the effect.
        values: of --set, which take the places of those in the file.
        saved: a file of settings.
        options: for the backend.
        amount: 0 is neutral, 1 the settings, 1.5 the most. It is measured once, on the first sound.
        curves: a file of curves, which holds the other settings too.

    Attributes:
        names: of the parameters that are set, as they are spelt.
        neutral: what was found for an amount other than 1.
    """

    def __init__(
        self,
        address: str,
        values: Mapping[str, float | str],
        saved: SavedSettings | None = None,
        options: Mapping[str, Any] | None = None,
        amount: float = 1.0,
        curves: SavedCurves | None = None,
    ) -> None:
        self._address, self._values, self._saved = address, dict(values), saved
        self._options, self.amount = dict(options or {}), amount
        self.names = set(self._values) | {row["name"] for row in (saved.rows if saved is not None else ())}
        self.neutral: Neutral | None = None
        self._curves = curves
        self._opened: dict[float, EffectInfo] = {}
        self._points: dict[float, FloatArray] = {}
        self._lock = threading.Lock()

    def spec(self, rate: float, values: Mapping[str, float | str] | None = None) -> EffectSpec:
        """The effect at a sample rate (Hz), with these values or those of --set, and no parameter free."""
        return EffectSpec.of(self._address, rate, (), self._values if values is None else values, **self._options)

    def opened(self, host: Host, rate: float, sound: Audio) -> EffectInfo:
        """The effect at a sample rate (Hz), with its settings. Its `spec` renders it, at `point(rate)`.

        Args:
            host: where to render.
            rate: Hz.
            sound: `[C, T]`, audio or packed notes: what will be rendered. The amount is measured on it.

        Raises:
            ParameterError: a setting cannot be had at this rate.
        """
        with self._lock:
            if rate not in self._opened:
                self._opened[rate] = self._open(host, rate, sound)
            return self._opened[rate]

    def point(self, rate: float) -> FloatArray:
        """`[P]`, of the effect that was opened at this rate: the knots of its curves, or nothing."""
        return self._points.get(rate, np.zeros(0))

    def _open(self, host: Host, rate: float, sound: Audio) -> EffectInfo:
        info = host.open(self.spec(rate))
        if self._curves is not None:
            spec, self._points[rate] = self._curves.automated(info, self._values)
            return host.open(spec)
        if self._saved is not None:
            info = host.open(self.spec(rate, self._saved.fixed(info, self._values) | self._values))
        if self.amount == 1.0 or self.neutral is not None:
            return info
        info, self.neutral = self._blended(host, info, sound)
        # for other sounds these settings are restored, and no others are looked for
        self._saved, self._values = SavedSettings.of(saved_settings(info)), {}
        return info

    def _blended(self, host: Host, info: EffectInfo, sound: Audio) -> tuple[EffectInfo, Neutral]:
        space = info.parameters
        movable = [p.name for p in space.everything if p.trainable]
        kept = {p.name: value for p, value in zip(space.everything, space.held, strict=True) if not p.trainable}
        names = [p.name for p in space.everything]
        chosen = {names[find_fixed(name, value, names)[0]] for name, value in info.spec.fixed}
        free = replace(info.spec, parameters=tuple(movable), fixed=tuple((n, v) for n, v in kept.items() if n in chosen))
        opened = host.open(free)
        values = dict(zip(names, space.held, strict=True))
        liked = opened.parameters.check([values[name] for name in opened.parameters.names])
        neutral = find_neutral(host, opened, liked)
        point = SoundPath(host, opened, neutral.point, liked, sound).at(self.amount)
        moved = {n: kept[n] for n in kept if n in chosen} | _named(opened.parameters, point)
        return host.open(self.spec(info.sample_rate, moved)), neutral


def _named(space: ParameterSpace, point: Any) -> dict[str, float | str]:
    return dict(zip(space.names, point.tolist(), strict=True))
