"""Items from the results of an evaluation: the measured settings, rendered again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from blackbox_grad import EffectSpec, Host
from blackbox_grad.errors import AudioError
from blackbox_grad_adapters.style_matching.data import corpora
from blackbox_grad_adapters.style_matching.data.pairs import PairDataset
from blackbox_grad_adapters.style_matching.data.recordings import Tracks, in_folder
from blackbox_grad_adapters.style_matching.effect_path import SAMPLE_RATE, EffectPath
from blackbox_grad_adapters.style_matching.evaluation.methods import mark, model_free
from blackbox_grad_adapters.style_matching.evaluation.results import ONE_WRONG, Row, results
from blackbox_grad_adapters.style_matching.listening.items import REFERENCE, Item
from blackbox_grad_adapters.style_matching.matching.matcher import brings_code
from blackbox_grad_adapters.style_matching.networks import shipped

#: The method whose sound is the reference.
_TRUTH = "truth"


@dataclass(frozen=True)
class Choice:
    """Which results become items.

    Attributes:
        effects: addresses, or their ends ("Overdrive"); all if there are none.
        kinds: speech, music; all if there are none.
        methods: all if there are none, but for the truth, which is the reference, and the costs of single settings.
        examples: of each effect and kind. They are drawn among those with an effect that every method has answered.
        seed: of this draw.
        recordings: a folder, if the evaluation was not on the corpora.
        evaluation_seed: the `--seed` of the evaluation.
    """

    effects: Sequence[str] = ()
    kinds: Sequence[str] = ()
    methods: Sequence[str] = ()
    examples: int = 2
    seed: int = 0
    recordings: Path | None = None
    evaluation_seed: int = 2


def are_results(folder: Path) -> bool:
    """Whether a folder holds results of an evaluation: CSV files and no folders of audio."""
    return folder.is_dir() and any(folder.glob("*.csv"))


def from_results(
    folder: Path, choice: Choice, host: Host | None = None, on_progress: Callable[[str], object] = lambda what: None
) -> Iterator[Item]:
    """The items, one after the other. The settings in the files are rounded to four decimals, and so are those heard.

    Args:
        on_progress: called with what is rendered next.

    Raises:
        ResultsError: there are no results.
        AudioError: nothing is left of them; or the recordings, the seed or the plug-in are not those of the evaluation; or the
            effect is a plug-in by its path or a program, which a file must not open, and `choice.effects` does not name it.
    """
    rows = results(folder)
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        named = not choice.effects or {row["effect"], shipped.short_name(row["effect"])} & set(choice.effects)
        if named and (not choice.kinds or row["kind"] in choice.kinds):
            groups.setdefault((row["effect"], row["kind"]), []).append(row)
    found = {name for effect, kind in groups for name in (effect, shipped.short_name(effect), kind)}
    if missing := [name for name in (*choice.effects, *choice.kinds) if name not in found]:
        there = ", ".join(sorted({f"{row['effect']} ({row['kind']})" for row in rows}))
        raise AudioError(f"{folder}: no results of {missing[0]}; there are {there}")
    names = [shipped.short_name(effect) for effect in dict.fromkeys(effect for effect, _ in groups)]
    for (effect, kind), group in groups.items():
        on_progress(f"{effect}, {kind}")
        name = shipped.short_name(effect)
        for item in _rendered(folder, effect, kind, group, choice, host):
            yield replace(item, effect=name if names.count(name) == 1 else effect)


def _rendered(folder: Path, effect: str, kind: str, rows: list[Row], choice: Choice, host: Host | None) -> Iterator[Item]:
    methods = [m for m in dict.fromkeys(row["method"] for row in rows) if m != _TRUTH and not m.startswith(ONE_WRONG)]
    if unknown := [name for name in choice.methods if name not in methods]:
        raise AudioError(f"{folder}: {effect} ({kind}) has no results of {unknown[0]!r}; there are {', '.join(methods)}")
    methods = [name for name in methods if not choice.methods or name in choice.methods]
    by_key = {(row["index"], row["method"]): row for row in rows}
    shared = sorted(i for i in {row["index"] for row in rows if not row["clean"]} if all((i, m) in by_key for m in methods))
    if not shared:
        raise AudioError(f"{folder}: {effect} ({kind}) has no example that all of {', '.join(methods)} answered; name fewer")
    if effect not in choice.effects and (what := brings_code(EffectSpec.of(effect, SAMPLE_RATE))):
        raise AudioError(
            f"{folder}: the results name {what}, {effect!r}, which would run as you; if you trust it, name it: --effect {effect!r}"
        )
    names = next((list(row["settings"]) for row in rows if row["settings"]), None)
    path = EffectPath(effect, host=host)
    if names is not None and set(names) != set(path.names):
        path = EffectPath(effect, parameters=names, host=host)
    pairs = PairDataset(path, _tracks(kind, choice, path), seed=choice.evaluation_seed, augmentation=None)
    _check(folder, pairs, rows)
    drawn = np.random.default_rng(choice.seed).permutation(len(shared))[: choice.examples]
    for index in (shared[i] for i in sorted(drawn)):
        pair = pairs.pair(index)
        x = pair["input"][None]
        sounds = {REFERENCE: pair["truth"].numpy()}
        with torch.no_grad():
            for method in methods:
                settings = by_key[index, method]["settings"]
                y = path(x, torch.tensor([[settings[name] for name in path.names]])) if settings else path.dry(x)
                sounds[method] = y[0].numpy()
        yield Item(str(index), effect, kind, sounds, path.sample_rate)


def _tracks(kind: str, choice: Choice, path: EffectPath) -> Tracks:
    if choice.recordings is not None:
        return Tracks(in_folder(choice.recordings), path.sample_rate)
    return corpora.tracks("evaluate", path.sample_rate, kind="speech" if kind == "speech" else "music")


def _check(folder: Path, pairs: PairDataset, rows: list[Row]) -> None:
    """The results of methods without weights tell whether these are the pairs that were measured."""
    free = model_free(pairs.path)
    marks = {(row["method"], row["mark"]) for row in rows if row["method"] in free}
    if marks and not any(mark(pairs, free[name]) == found for name, found in marks):
        raise AudioError(
            f"{folder}: {pairs.path.spec.address} was measured on other recordings, with another seed or another version of the "
            "plug-in; give the --recordings and the --evaluation-seed of that evaluation, or evaluate again"
        )
