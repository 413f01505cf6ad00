"""The whole training of the style encoder: from rendered examples to a file of weights that says how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor

from blackbox_grad.errors import AudioError
from blackbox_grad_adapters.style_matching.data.dry_pool import DryPool
from blackbox_grad_adapters.style_matching.data.effect_list import HELD_FAMILIES, HELD_MAKERS, ListedEffect
from blackbox_grad_adapters.style_matching.data.style_examples import PARTS, SETTINGS
from blackbox_grad_adapters.style_matching.networks.style_encoder import FILE, StyleEncoder
from blackbox_grad_adapters.style_matching.training.stage import Fitted, OnEpoch, begin
from blackbox_grad_adapters.style_matching.training.style_data import EXCERPTS, FEATURES, read, representations
from blackbox_grad_adapters.style_matching.training.style_training import StyleExamples, StylePlan, train_style_encoder


def run_style_encoder(
    effects: Sequence[ListedEffect],
    examples: Path,
    folder: Path,
    plan: StylePlan = StylePlan(),  # noqa: B008 (it is frozen)
    *,
    latent: int = 128,
    pool_seed: int = 0,
    command: str = "",
    on_epoch: OnEpoch | None = None,
    loggers: Sequence[Logger] = (),
) -> tuple[Path, Fitted]:
    """Train an encoder on the examples that were rendered, and write it into the folder of the run.

    Args:
        effects: the list. Those that are held out, or have no examples, are not met.
        examples: folder of the examples, from `style_data.build`.
        folder: of the run; the same call continues a run that was stopped.

    Raises:
        AudioError: there are no examples.
    """
    train, validation, met = read_examples(effects, examples, pool_seed)
    facts: dict[str, Any] = {
        "effects": [effect.address for effect in met],
        "settings": len(train.features) + len(validation.features),
        "held out": {"families": HELD_FAMILIES, "makers": HELD_MAKERS},
        "recordings": DryPool("train", examples, EXCERPTS["train"], pool_seed).description["recordings"],
        "plan": asdict(plan),
        "latent": latent,
    }
    begin(folder, {"command": "style encoder", **facts})
    torch.manual_seed(plan.seed)
    encoder, fitted = train_style_encoder(
        StyleEncoder(latent), train, validation, folder, plan, on_epoch=on_epoch, loggers=loggers
    )
    best = {name: value for name, value in fitted.best("validation/loss").items() if name != "seconds"}
    file = folder / FILE.name
    encoder.save(file, {**facts, "results": best, "command": command, "version": version("blackbox-grad")})
    return file, fitted


def read_examples(
    effects: Sequence[ListedEffect], examples: Path, seed: int = 0
) -> tuple[StyleExamples, StyleExamples, list[ListedEffect]]:
    """For training and validation, and the effects in them. Validation has one setting of five of each effect's first shard."""
    met, parts = [], []
    for effect in effects:
        if effect.used and not effect.held and (found := read(examples, effect, "train")) is not None:
            met.append(effect)
            parts.append(found)
    if not parts:
        raise AudioError(
            f"{examples}: there are no examples of effects of the list that are not held out; choose others (--effect), "
            "or render some (--shards 1)"
        )
    pool = DryPool("train", examples, EXCERPTS["train"], seed)
    pool.build()
    dry = pool.features(FEATURES, representations("train")[FEATURES])
    most = max(part["p"].shape[1] for part in parts)
    sizes = torch.tensor([part["p"].shape[1] for part in parts])
    chosen = [(torch.arange(len(part["p"])) < SETTINGS) & (part["part"] == PARTS - 1) for part in parts]

    def side(keep: Sequence[Tensor]) -> StyleExamples:
        def joined(name: str) -> Tensor:
            return torch.cat([part[name][rows] for part, rows in zip(parts, keep, strict=True)])

        p = [torch.nn.functional.pad(part["p"], (0, most - part["p"].shape[1])) for part in parts]
        return StyleExamples(
            features=joined(FEATURES),
            dry=joined("dry"),
            change=joined("change"),
            effect=torch.cat([torch.full((int(rows.sum()),), i) for i, rows in enumerate(keep)]),
            p=torch.cat([values[rows] for values, rows in zip(p, keep, strict=True)]),
            sizes=sizes,
            pool=dry,
        )

    return side([~rows for rows in chosen]), side(chosen), met
