"""What a training needs, checked before its first pair is rendered. All that is missing is said at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from blackbox_grad import Host
from blackbox_grad.cache import cache_folder
from blackbox_grad.errors import AudioError, BlackboxGradError, ParameterError
from blackbox_grad.files import check_folder
from blackbox_grad_adapters.style_matching.data import excerpts, sides
from blackbox_grad_adapters.style_matching.data.pairs import Settings, fixed_point
from blackbox_grad_adapters.style_matching.data.recordings import Tracks, is_decoded
from blackbox_grad_adapters.style_matching.data.shards import SIZE
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.networks import shipped
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder
from blackbox_grad_adapters.style_matching.training import estimate, run
from blackbox_grad_adapters.style_matching.training.audibility import unheard as unheard_in
from blackbox_grad_adapters.style_matching.training.controller_training import Plan
from blackbox_grad_adapters.style_matching.training.remaining import Phase
from blackbox_grad_adapters.style_matching.training.room import check_room
from blackbox_grad_adapters.style_matching.training.stage import RUN, check_same_run

#: Bytes of the folder of a run: checkpoints, logs with sounds, weights and report.
_RUN_BYTES = 50e6


class NotReadyError(BlackboxGradError, RuntimeError):
    """A training cannot begin. `problems` has a sentence for everything that is missing."""

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return self.problems[0]
        return f"{len(self.problems)} things are missing. " + " ".join(f"({i}) {p}." for i, p in enumerate(self.problems, 1))


@dataclass(frozen=True)
class Ready:
    """A training that can begin.

    Attributes:
        tracks: the recordings for training and validation.
        encoder: of a controller's training.
        phases: of the work, with the measured time of each.
        bytes: that it will take on disk.
        unheard: by effect, the parameters that changed nothing in trials.
    """

    tracks: tuple[Tracks, Tracks]
    encoder: Encoder
    phases: list[Phase]
    bytes: float
    unheard: dict[str, list[str]] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """The time that the run will take, as measured on a few pairs and steps."""
        return sum(phase.total for phase in self.phases)


def controller_ready(
    effect: str,
    folder: Path,
    places: Sequence[Path],
    plan: Plan,
    *,
    encoder: Path | None = None,
    settings: Settings = "random",
    parameters: Sequence[str] | str = "continuous",
    host: str | Host | None = None,
    caches: Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Ready:
    """Check what `run_controller` needs, and measure how long it will take.

    Args:
        places: folders and files of recordings; the corpora if there are none.
        encoder: file of its weights; the package's by default.
        on_progress: called while recordings are decoded.

    Raises:
        NotReadyError: with all that is missing.
    """
    problems: list[str] = []
    known: dict[str, Any] = asdict(plan)
    ears = None
    with _noted(problems):
        ears = shipped.encoder(encoder)
        known["encoder"] = ears.fingerprint
    frame = ears or Encoder()
    path = _opened(problems, effect, frame, host, parameters, settings)
    if path is not None:
        known["effect"] = path.spec.address
    _check_output(problems, folder, known)
    needs = [(frame, plan.pairs + 4 * plan.judged, min(plan.sounds, plan.pairs) if plan.audio_epochs else 0)]
    tracks, size = _recordings(problems, folder, places, frame, needs, caches, on_progress)
    unheard, phases = {}, []
    if path is not None and tracks is not None:
        with _noted(problems):
            unheard[path.spec.address] = unheard_in(path, tracks[0], frame.length)
            data = run.pairs_of(path, tracks, frame.length, settings, plan.seed, run.CONTROLLERS, plan.takes)
            if not problems:
                phases = estimate.of_controller(*data, frame, plan, caches)
    if problems or tracks is None or ears is None:
        raise NotReadyError(*problems)
    return Ready(tracks, ears, phases, size, unheard)


def encoder_ready(
    effects: Sequence[str],
    folder: Path,
    places: Sequence[Path],
    encoder: Encoder,
    *,
    pairs: int,
    epochs: int,
    seed: int,
    host: str | Host | None = None,
    caches: Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Ready:
    """Check what `run_encoder` needs, and measure how long it will take; arguments as for `controller_ready`.

    Raises:
        NotReadyError: with all that is missing.
    """
    problems: list[str] = []
    paths = [_opened(problems, effect, encoder, host, "continuous", "random") for effect in effects]
    _check_output(problems, folder, {"effects": list(effects), "pairs": pairs, "epochs": epochs, "seed": seed})
    judged = min(run.JUDGED, pairs)
    needs = [(encoder, pairs + judged, 0)] * len(effects)
    tracks, size = _recordings(problems, folder, places, encoder, needs, caches, on_progress)
    phases: list[Phase] = []
    unheard: dict[str, list[str]] = {}
    if tracks is not None:
        train, validation = [], []
        for path in paths:
            with _noted(problems):
                if path is not None:
                    unheard[path.spec.address] = unheard_in(path, tracks[0], encoder.length)
                    first, second = run.pairs_of(path, tracks, encoder.length, "random", seed, run.ENCODERS)
                    train.append(first)
                    validation.append(second)
        with _noted(problems):
            if not problems:
                phases = estimate.of_encoder(train, validation, encoder, (pairs, judged), epochs, run.BATCH, caches)
    if problems or tracks is None:
        raise NotReadyError(*problems)
    return Ready(tracks, encoder, phases, size, unheard)


@contextlib.contextmanager
def _noted(problems: list[str]) -> Iterator[None]:
    try:
        yield
    except BlackboxGradError as error:
        if str(error) not in problems:
            problems.append(str(error))


def _check_output(problems: list[str], folder: Path, known: dict[str, Any]) -> None:
    with _noted(problems):
        check_folder(folder)
        check_same_run(folder, known, partly=True)


def _opened(
    problems: list[str], effect: str, encoder: Encoder, host: str | Host | None, parameters: Sequence[str] | str, settings: Settings
) -> EffectPath | None:  # fmt: skip
    """The effect, if it opens and a network can set it."""
    with _noted(problems):
        path = EffectPath(effect, encoder.sample_rate, host=host, parameters=parameters)
        if path.effect.info.takes == "notes":
            raise AudioError(
                f"{path.spec.address} is an instrument, which plays notes; style matching sets effects, which change audio; "
                "blackbox-grad match finds the patch of a sound"
            )
        if not path.names:
            raise ParameterError(
                f"{path.spec.address} has no continuous parameter to learn; choose some with --only ('--only trainable' takes the "
                "stepped ones too), or another effect"
            )
        if settings != "random":
            fixed_point(path, settings)
        return path
    return None


def _recordings(
    problems: list[str],
    folder: Path,
    places: Sequence[Path],
    encoder: Encoder,
    needs: list[tuple[Encoder, int, int]],
    caches: Path | None,
    on_progress: Callable[[int, int], None] | None,
) -> tuple[tuple[Tracks, Tracks] | None, float]:
    """The decoded recordings, and the bytes that the run takes."""
    excerpt, rate = 2 * encoder.length, encoder.sample_rate
    found = None
    with _noted(problems):
        found = sides.find(places, excerpt / rate)
    decoded = 0.0
    if found is not None and not all(is_decoded(side, rate) for side in (found.train, found.validation) if side):
        decoded = 4.0 * rate * found.seconds
    features = sum(_features(encoder) * -(-pairs // SIZE) * SIZE for encoder, pairs, _ in needs)
    audio = sum(3 * 4 * encoder.length * -(-sounds // SIZE) * SIZE for encoder, _, sounds in needs)
    wanted = [(folder, _RUN_BYTES), (_cache(caches, "pairs"), features + audio), (_cache(None, "decoded"), decoded)]
    with _noted(problems):
        if not (folder / RUN).exists():  # one that is continued has most of it
            check_room(wanted)
    tracks = None
    if found is not None and not problems:
        with _noted(problems):
            tracks = sides.decode(found, rate, excerpt, on_progress)
            for side in tracks:
                excerpts.draw(side, excerpt, np.random.default_rng(0))
    return tracks, sum(size for _, size in wanted)


def _features(encoder: Encoder) -> float:
    """Bytes of a pair in the representation of an encoder."""
    return 2.0 * 2 * encoder.representation.shape.numel() + 64


def _cache(caches: Path | None, kind: str) -> Path:
    return cache_folder(kind) if caches is None else caches
