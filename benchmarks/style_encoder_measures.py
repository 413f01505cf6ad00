"""What embeddings of styles are worth: recognition, retrieval, and the settings that a probe reads from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from style_encoder_page import CHOICE
from torch import Tensor

from blackbox_grad_adapters.style_matching.data.style_examples import AUDIBLE, PARTS, SETTINGS
from blackbox_grad_adapters.style_matching.maps.readability import classified, explained

#: Neighbours whose mean similarity is the score of an effect.
NEIGHBOURS = 3


@dataclass(frozen=True)
class Styles:
    """Embeddings of one effect on the recordings for evaluation.

    Attributes:
        z: `[N, 2, D]`, of each setting on two recordings.
        p: `[N, P]`.
        change: `[N, 2]`, the share of the energy that the effect changed.
        part: `[N]`: parts share neither recordings' excerpts nor settings.
    """

    z: Tensor
    p: Tensor
    change: Tensor
    part: Tensor

    @property
    def audible(self) -> Tensor:
        """`[N]`: the settings at which both recordings changed."""
        return self.change.amin(dim=1) > AUDIBLE

    def of(self, rows: Tensor) -> Styles:
        return Styles(self.z[rows], self.p[rows], self.change[rows], self.part[rows])

    @property
    def first(self) -> Styles:
        """The settings of the first shard."""
        return self.of(torch.arange(len(self.p)) < SETTINGS)


def scaled(styles: Mapping[str, Styles]) -> dict[str, Styles]:
    """Every dimension with zero mean and unit variance over all effects, then of length 1: fair to what was not trained."""
    everything = torch.cat([style.first.z.flatten(0, 1) for style in styles.values()])
    mean, spread = everything.mean(dim=0), everything.std(dim=0) + 1e-6
    return {
        name: Styles(torch.nn.functional.normalize((s.z - mean) / spread, dim=-1), s.p, s.change, s.part)
        for name, s in styles.items()
    }


def recognition(styles: Mapping[str, Styles], asked: Sequence[str]) -> dict[str, float]:
    """Which of all effects was it, by its nearest neighbours. Parts 0 to 2 are the known examples, 3 and 4 the questions.

    Args:
        asked: the effects whose examples are questions.

    Returns:
        "top 1", "top 5", and "count" of questions.
    """
    known, questions, truths = [], [], []
    for number, (name, style) in enumerate(styles.items()):
        heard = style.first.of(style.first.audible)
        known.append(heard.z[heard.part < PARTS - 2].flatten(0, 1))
        if name in asked:
            mine = heard.z[heard.part >= PARTS - 2].flatten(0, 1)
            questions.append(mine)
            truths += [number] * len(mine)
    z, truth = torch.cat(questions), torch.tensor(truths)
    scores = torch.stack([(z @ k.T).topk(min(NEIGHBOURS, len(k)), dim=1).values.mean(dim=1) for k in known], dim=1)
    rank = (scores > scores.gather(1, truth[:, None])).sum(dim=1)
    return {"top 1": float((rank == 0).float().mean()), "top 5": float((rank < 5).float().mean()), "count": float(len(z))}


def same_style(styles: Mapping[str, Styles], asked: Sequence[str], within: bool, seed: int = 0) -> dict[str, float]:
    """Which of some recordings went through the same effect at the same settings as another recording.

    Args:
        within: choose among all settings of the same effect in its first shard; otherwise among `CHOICE`, of any of the effects.

    Returns:
        "top 1", "mean reciprocal rank", and "choice", the mean number to choose from.
    """
    rng = np.random.default_rng(seed)
    heard = {name: styles[name].first.of(styles[name].first.audible) for name in asked}
    everything = torch.cat([style.z[:, 1] for style in heard.values()])
    ranks, choices, start = [], [], 0
    for style in heard.values():
        count = len(style.z)
        for i in range(count):
            if within:
                others = torch.cat([style.z[:i, 1], style.z[i + 1 :, 1]])
            else:
                numbers = np.delete(np.arange(len(everything)), start + i)
                others = everything[rng.choice(numbers, min(CHOICE - 1, len(numbers)), replace=False)]
            if len(others) == 0:
                continue
            query = style.z[i, 0]
            ranks.append(1 + int((others @ query > style.z[i, 1] @ query).sum()))
            choices.append(1 + len(others))
        start += count
    found = np.array(ranks)
    return {
        "top 1": float((found == 1).mean()),
        "mean reciprocal rank": float((1 / found).mean()),
        "choice": float(np.mean(choices)),
    }


def settings(styles: Mapping[str, Styles], asked: Sequence[str]) -> dict[str, list[float]]:
    """Of each effect, R² of every parameter by a support-vector machine on single embeddings, cross-validated over parts."""
    found = {}
    for name in asked:
        heard = styles[name].of(styles[name].audible)
        if len(set(heard.part.tolist())) < PARTS or len(heard.p) < 2 * PARTS:
            continue
        e = heard.z.flatten(0, 1).double().numpy() * heard.z.shape[-1] ** 0.5
        parts = heard.part.repeat_interleave(2).numpy()
        p = heard.p.repeat_interleave(2, dim=0).double().numpy()
        found[name] = [explained(e, p[:, k], parts) for k in range(p.shape[1]) if np.ptp(p[:, k]) > 0]
    return found


def recognised(styles: Mapping[str, Styles], audible_only: bool) -> dict[str, float]:
    """Of each effect, the share of its recordings that a support-vector machine recognises among these, as `style figures`."""
    embeddings, labels, parts = [], [], []
    for name, style in styles.items():
        heard = style.of(style.audible) if audible_only else style
        embeddings.append(heard.z.flatten(0, 1).double().numpy())
        parts.append(heard.part.repeat_interleave(2).numpy())
        labels += [name] * len(embeddings[-1])
    truth = np.array(labels)
    taken = classified(np.concatenate(embeddings), truth, np.concatenate(parts))
    return {name: float((taken[truth == name] == name).mean()) for name in styles}
