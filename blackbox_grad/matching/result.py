"""What `match` found, and what it reports on the way."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.saved_settings import saved_settings
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.hosts.answering import save_preset_in
from blackbox_grad.hosts.default import opened_host
from blackbox_grad.hosts.protocol import Host
from blackbox_grad.matching.sureness import Sureness
from blackbox_grad.parameters.travel import setting

#: Settings in a `repr`.
_SHOWN = 4


@dataclass(frozen=True)
class Progress:
    """Given to `on_progress` after every step. Losses are those of the excerpt.

    Attributes:
        renders: plug-in renders so far.
        budget: renders allowed.
        loss: of this step's best start.
        best: the best so far.
        start: at the default settings.
        phase: "search", "emulation" or "descent", "polish", "lines" (with the valleys found on them), or a searcher's own.
    """

    renders: int
    budget: int
    loss: float
    best: float
    start: float
    phase: str


@dataclass
class Match:
    """What `match` found. Losses are those of the whole recording.

    Attributes:
        spec, info: the effect.
        point: `[P] in [0, 1]`: the best settings.
        loss: at `point`.
        loss_start: at the effect's defaults.
        loss_dry: of the unprocessed input; of silence for an instrument.
        loss_name: name of the loss.
        method: how it was found: "emulator", the estimator and what it probed, a searcher, "all settings", or "search" if the
            renders sufficed for no more.
        method_reason: why, one sentence.
        renders: plug-in renders used.
        seconds: time taken.
        history: one `Progress` a step.
        audio: `[C, T] float32`: the input through the effect at `point`, or the notes played there; whole length.
        sample_rate: Hz.
        seed: of the run.
        finished: "converged", "budget" (all renders used), "interrupted" (Ctrl-C) or "failed" (a render crashed, hung or raised).
        notes: what was done to the recordings before they were compared.
        error: why it failed; empty otherwise.
        searched_seconds: of the recording that were compared in the search; losses in `history` are theirs.
        input, target: `[C, T] float32`: the recordings, made comparable. An instrument has no input: this is how it plays the notes
            at the best of the defaults and the starts.
        sureness: how far each setting could be off without being heard; None if the renders did not suffice, or it was stopped.

    A notebook shows it as tables and players.
    """

    spec: EffectSpec
    info: EffectInfo
    point: NDArray[np.float64]
    loss: float
    loss_start: float
    loss_dry: float
    loss_name: str
    method: str
    method_reason: str
    renders: int
    seconds: float
    history: list[Progress]
    audio: NDArray[np.float32]
    sample_rate: float
    seed: int
    finished: str
    notes: list[str] = field(default_factory=list)
    error: str = ""
    searched_seconds: float = 0.0
    input: NDArray[np.float32] = field(default_factory=lambda: np.zeros((1, 0), np.float32), repr=False)
    target: NDArray[np.float32] = field(default_factory=lambda: np.zeros((1, 0), np.float32), repr=False)
    sureness: Sureness | None = None

    def __repr__(self) -> str:
        free = [row for row in self.settings() if row["free"]]
        shown = ", ".join(f"{row['name']} = {row['native']}" for row in free[:_SHOWN]) + (", …" if len(free) > _SHOWN else "")
        distance = f"distance {self.loss_start:.4g} → {self.loss:.4g} in {self.renders} renders"
        return f"Match({self.info.name}: {distance}{'; ' if shown else ''}{shown})"

    def _repr_html_(self) -> str:
        # by name, here and below: these modules know the class
        html: str = import_module("blackbox_grad.matching.notebook").html(self)
        return html

    def report(
        self,
        path: str | os.PathLike[str],
        *,
        command: str | None = None,
        truth: Mapping[str, float] | None = None,
    ) -> Path:
        """Write a page to listen to and to read, and return its path.

        Args:
            path: `.html`.
            command: the command line that repeats the run.
            truth: normalised values that made the target, by parameter name, if they are known.

        Raises:
            AudioError: the path cannot be written.
            MissingDependencyError: a library of the extra `match` is not installed.
        """
        page = import_module("blackbox_grad.matching.report")
        page.write_report(path, self, self.input, self.target, command=command, truth=truth)
        return Path(path)

    def save_preset(self, path: str | os.PathLike[str], *, name: str | None = None, host: str | Host | None = None) -> Path:
        """Write the settings as a preset that a DAW loads, and return its path; see `SelectedEffect.save_preset`.

        Args:
            path: its suffix is that of the plug-in's format; a folder for a chain.
            name: of the preset; by default that of the file.
            host: opens the effect for it; by default a process of its own.
        """
        with opened_host(host, hosts=1) as opening:
            return save_preset_in(opening, self.info.spec, path, self.point, name=name)

    def plot(self) -> Any:
        """The distance over renders, and the settings beside their defaults, as a `matplotlib.figure.Figure`."""
        return import_module("blackbox_grad.matching.notebook").figure(self)

    def settings(self) -> list[dict[str, Any]]:
        """One row for every parameter, free or held: name, kind, normalised, native (text), value (the native number), unit,
        range (native), scale, default (native text), free."""
        space = self.info.parameters
        values = space.complete(self.point)
        return [setting(p, float(values[i])) | {"free": i in space.free} for i, p in enumerate(space.everything)]

    def to_json(self) -> dict[str, Any]:
        """Everything but the audio, ready for `json.dumps`. A loss that is not finite is null."""

        def number(value: float) -> float | None:
            return value if math.isfinite(value) else None

        def progress(p: Progress) -> dict[str, Any]:
            losses = {"loss": number(p.loss), "best": number(p.best), "start": number(p.start)}
            return {"renders": p.renders, "budget": p.budget, **losses, "phase": p.phase}

        return {
            **saved_settings(self.info, self.point),
            "loss": number(self.loss),
            "loss_start": number(self.loss_start),
            "loss_dry": number(self.loss_dry),
            "loss_name": self.loss_name,
            "method": self.method,
            "method_reason": self.method_reason,
            "renders": self.renders,
            "seconds": self.seconds,
            "seed": self.seed,
            "finished": self.finished,
            "notes": self.notes,
            "error": self.error,
            "searched_seconds": self.searched_seconds,
            "sureness": None if self.sureness is None else self.sureness.to_json(self.info.parameters),
            "history": [progress(p) for p in self.history],
        }
