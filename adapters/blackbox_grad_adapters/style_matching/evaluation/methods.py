"""Style matching, measured: a controller on new recordings, compared with simpler ways to set the effect."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox_grad_adapters.style_matching.data.corpora import Kind
from blackbox_grad_adapters.style_matching.data.pairs import Pair, PairDataset
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.evaluation.results import AUDIBLE, METHODS, MODELS, ONE_WRONG, Sheet
from blackbox_grad_adapters.style_matching.matching.against import Against
from blackbox_grad_adapters.style_matching.matching.band import Band
from blackbox_grad_adapters.style_matching.matching.guard import AMOUNTS, ENOUGH, ENOUGH_OF_OTHERS, taken_back
from blackbox_grad_adapters.style_matching.matching.matcher import StyleMatcher
from blackbox_grad_adapters.style_matching.matching.setter import StyleSetter
from blackbox_grad_adapters.style_matching.measures import metrics
from blackbox_grad_adapters.style_matching.measures.audibility import audible
from blackbox_grad_adapters.style_matching.networks import weight_file
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder
from blackbox_grad_adapters.style_matching.training.features import heard
from blackbox_grad_adapters.style_matching.training.settings_stage import embedded

#: Version of the measures and methods; results of another version are measured again.
_FORMAT = 3

#: Examples after which the results are written.
_CHUNK = 20


@dataclass(frozen=True)
class Method:
    """A way to set an effect.

    Attributes:
        answer: settings `[P]` from a pair's input and reference and the pair's generator; None for no effect.
        depends: what it depends on, such as fingerprints of weights.
    """

    answer: Callable[[Pair, np.random.Generator], Tensor | None]
    depends: tuple[str, ...] = ()


def model_free(path: EffectPath) -> dict[str, Method]:
    """The methods without a model."""
    space = path.effect.parameter_space

    def random(pair: Pair, rng: np.random.Generator) -> Tensor:
        return torch.from_numpy(space.snap(rng.uniform(size=len(space))).astype(np.float32))

    return {
        "dry": Method(lambda pair, rng: None),
        "middle": Method(lambda pair, rng: torch.full((path.size,), 0.5)),
        "random": Method(random),
        "truth": Method(lambda pair, rng: None if pair["clean"] else pair["p"]),
    }


def of_model(matcher: StyleMatcher, refine: int = 0) -> dict[str, Method]:
    """The controller, with and without the guard, and if `refine` > 0, with so many renders for better settings."""
    weights = weight_file.fingerprint(matcher.controller), matcher.encoder.fingerprint

    def predicted(pair: Pair, rng: np.random.Generator) -> Tensor:
        return matcher.predict(pair["input"][None], pair["reference"][None])[0]

    def refined(pair: Pair, rng: np.random.Generator) -> Tensor:
        return matcher.refine(pair["input"], pair["reference"], predicted(pair, rng), refine, int(rng.integers(2**31)))

    setter, rate = StyleSetter(matcher.encoder, matcher.path), matcher.encoder.sample_rate

    def guarded(pair: Pair, rng: np.random.Generator) -> Tensor | None:
        x, reference, p = pair["input"][None], pair["reference"][None], predicted(pair, rng)[None]
        against = Against(matcher.path, x, reference, Band(rate, rate, rate))
        p, verdict = taken_back(setter, against, p, rate, matcher.others(x, reference, p))
        return None if verdict.amount == 0.0 else p[0]

    limits = str((ENOUGH, ENOUGH_OF_OTHERS, AMOUNTS))
    methods = {"controller": Method(predicted, weights), "guarded": Method(guarded, (*weights, limits))}
    return methods | ({f"refined {refine}": Method(refined, weights)} if refine else {})


def one_by_one(matcher: StyleMatcher) -> dict[str, Method]:
    """The true settings but one, which is the controller's: the cost of each setting."""
    weights = weight_file.fingerprint(matcher.controller), matcher.encoder.fingerprint

    def but(place: int) -> Method:
        def answer(pair: Pair, rng: np.random.Generator) -> Tensor | None:
            if pair["clean"]:
                return None
            p = pair["p"].clone()
            p[place] = matcher.predict(pair["input"][None], pair["reference"][None])[0, place]
            return p

        return Method(answer, weights)

    return {f"{ONE_WRONG}{name}": but(place) for place, name in enumerate(matcher.path.names)}


def nearest(
    encoder: Encoder,
    bank: PairDataset,
    count: int = 1024,
    folder: Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Method:
    """The settings of the most similar pair among the first `count` pairs of a bank, without clean ones.

    It compares the controller's inputs: the reference's embedding, and its difference to the input's.

    Args:
        folder, on_progress: as for `PairShards`, which keeps the bank.
    """
    pairs = embedded(encoder, heard(bank, encoder, count, folder, on_progress=on_progress))
    known = ~pairs.clean
    places, settings = _place(*pairs.means())[known], pairs.p[known]

    def answer(pair: Pair, rng: np.random.Generator) -> Tensor:
        with torch.no_grad():
            e_input, e_reference = encoder.embed(torch.stack([pair["input"], pair["reference"]])).split(1)
        return settings[int(torch.cdist(_place(e_input, e_reference), places).argmin())]

    return Method(answer, (encoder.fingerprint, _digest({**bank.description, "count": count})))


def _place(e_input: Tensor, e_reference: Tensor) -> Tensor:
    return torch.cat([e_reference - e_input, e_reference], dim=-1)


def evaluate(
    pairs: PairDataset,
    kind: Kind,
    methods: Mapping[str, Method],
    sheet: Sheet,
    examples: int,
    on_example: Callable[[], object] | None = None,
    *,
    by_cdpam: int = 0,
) -> None:
    """Measure methods on the first pairs, and keep the results. Results that the sheet holds are not measured again.

    Args:
        kind: of the recordings; PESQ is for speech only.
        sheet: of this effect and kind. It is written at intervals, and at the end, also after Ctrl-C or an error.
        on_example: called after each example.
        by_cdpam: on the first examples, this many, CDPAM judges the dry input and what a model says; it takes seconds for each.
    """
    marks = {name: mark(pairs, method) for name, method in methods.items()}
    sheet.forget_other(marks)
    try:
        for index in range(examples):
            judged = [name for name in methods if index < by_cdpam and (name == "dry" or _is_model(name))]
            left = [
                name for name in methods if not sheet.has(index, name) or (name in judged and sheet.lacks(index, name, "cdpam"))
            ]
            if left:
                for row in _rows(pairs, index, kind, {name: methods[name] for name in left}, judged):
                    sheet.add({**row, "mark": marks[row["method"]]})
                if (index + 1) % _CHUNK == 0:
                    sheet.save()
            if on_example is not None:
                on_example()
    finally:
        sheet.save()


def mark(pairs: PairDataset, method: Method) -> str:
    """What a method's results depend on, in a few characters: the pairs, the method's weights, and the version of the measures."""
    return _digest({**pairs.description, "format": _FORMAT, "weights": method.depends})


def _is_model(method: str) -> bool:
    return method in MODELS or not (method in METHODS or method.startswith(ONE_WRONG))


def _rows(
    pairs: PairDataset, index: int, kind: Kind, methods: Mapping[str, Method], by_cdpam: Sequence[str]
) -> list[dict[str, Any]]:
    """A row for each method."""
    path, pair = pairs.path, pairs.pair(index)
    answers = {name: m.answer(pair, np.random.default_rng([pairs.seed, index, 1])) for name, m in methods.items()}
    rendered = [p for p in answers.values() if p is not None]
    with torch.no_grad():
        x = pair["input"][None]
        wet = iter(path(x.expand(len(rendered), -1, -1), torch.stack(rendered)).split(1) if rendered else ())
        y = torch.cat([path.dry(x) if p is None else next(wet) for p in answers.values()])
        found = metrics.measured(
            y, pair["truth"], path.sample_rate, speech=kind == "speech", by_cdpam=[name in by_cdpam for name in answers]
        )
        moved = audible(y, path.dry(x), path.sample_rate)
    return [
        {
            "effect": path.spec.address,
            "kind": kind,
            "index": index,
            "clean": int(pair["clean"]),
            "method": name,
            "settings": {} if p is None else dict(zip(path.names, (round(v, 4) for v in p.tolist()), strict=True)),
            AUDIBLE: float(heard),
            **row,
        }
        for (name, p), row, heard in zip(answers.items(), found, moved, strict=True)
    ]


def _digest(described: Any) -> str:
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:12]
