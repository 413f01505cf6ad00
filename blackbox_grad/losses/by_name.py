"""Losses by name, weighted sums of them, and your own losses: "mrstft + 0.5*envelope" becomes a loss.

A third party registers its own loss in its `pyproject.toml`, without touching the core:

    [project.entry-points."blackbox_grad.losses"]
    mine = "my_package:MyLoss"
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

from blackbox_grad.by_name import named
from blackbox_grad.dependencies import entry_points_of
from blackbox_grad.errors import AudioError
from blackbox_grad.losses.base import FeatureLoss
from blackbox_grad.losses.function import FunctionLoss

LOSSES = "blackbox_grad.losses"

#: A name or a sum of names; a class of `FeatureLoss`; or a torch loss function `loss(y, target)` for `[B, C, T]`.
Loss: TypeAlias = str | type[FeatureLoss] | Callable[[Tensor, Tensor], Tensor]


def loss_names() -> list[str]:
    """Names of all registered losses."""
    return sorted(entry_points_of(LOSSES))


def loss_for(loss: Loss, target: Tensor, sample_rate: float) -> FeatureLoss:
    """A loss as the distance to one target.

    Args:
        loss: a name ("mel"), or a weighted sum of names ("mrstft + 0.5*envelope"). A name with a dot is a loss that is not
            registered, in an importable module: "my_package.Mine". Or the loss itself: a subclass of `FeatureLoss`, or a torch loss
            function, see `FunctionLoss`. A class of torch modules is instantiated without arguments.
        target: `[C, T]`.
        sample_rate: Hz.

    Raises:
        AudioError: there is no such loss, or it does not fit the target.
    """
    if not isinstance(loss, str):
        return _made(loss, target, sample_rate)
    weights = _weights(loss)
    if list(weights.values()) == [1.0]:
        return _made(_named(next(iter(weights))), target, sample_rate)
    return Sum(weights, target, sample_rate)


def loss_name(loss: Loss) -> str:
    """The name of a loss in a report: the name as it was given, otherwise the name of the class or function.

    >>> loss_name("mrstft + 0.5*l1"), loss_name(torch.nn.L1Loss()), loss_name(torch.nn.functional.mse_loss)
    ('mrstft + 0.5*l1', 'L1Loss', 'mse_loss')
    """
    return loss if isinstance(loss, str) else str(getattr(loss, "__name__", type(loss).__name__))


class Sum(FeatureLoss):
    """Several losses, each with a weight.

    Args:
        weights: name of a loss -> weight.
        target: `[C, T]`.
        sample_rate: Hz.
    """

    def __init__(self, weights: Mapping[str, float], target: Tensor, sample_rate: float) -> None:
        self._parts = [(weight, _made(_named(name), target, sample_rate)) for name, weight in weights.items()]
        super().__init__(target, sample_rate)

    def prepare(self, target: Tensor) -> None:
        pass

    def features(self, audio: Tensor) -> Tensor:
        return torch.cat([weight * loss.features(audio) for weight, loss in self._parts], dim=1)


def _named(name: str) -> Any:
    found = named(LOSSES, "loss", name, AudioError)
    if not _looks_like_loss(found):
        raise AudioError(
            f"{name!r} is not a loss, and was not called: a loss is a class of FeatureLoss, a class of torch modules, or a "
            "function loss(y, target)"
        )
    return found


def _looks_like_loss(found: Any) -> bool:
    """Nothing is called that only was named."""
    if isinstance(found, type):
        return issubclass(found, (FeatureLoss, torch.nn.Module))
    if isinstance(found, torch.nn.Module):
        return True
    return inspect.isfunction(found) and list(inspect.signature(found).parameters)[1:2] == ["target"]


def _made(loss: Any, target: Tensor, sample_rate: float) -> FeatureLoss:
    if isinstance(loss, FeatureLoss):
        raise AudioError(f"{loss!r} has its target already; give its class, {type(loss).__name__}")
    if isinstance(loss, type) and issubclass(loss, FeatureLoss):
        return loss(target, sample_rate)
    if isinstance(loss, type):
        try:
            loss = loss()
        except TypeError as error:
            raise AudioError(
                f"{loss.__name__} is not a FeatureLoss, and cannot be made without arguments ({error}); give an instance"
            ) from error
    if not callable(loss):
        raise AudioError(
            f"loss={loss!r} is not a loss; give a name ({', '.join(loss_names())}), a class of FeatureLoss, or a function "
            "loss(y, target) of two tensors [B, C, T]"
        )
    return FunctionLoss(loss, loss_name(loss), target, sample_rate)


def _weights(text: str) -> dict[str, float]:
    """
    >>> _weights("mrstft + 0.5*l1")
    {'mrstft': 1.0, 'l1': 0.5}
    """
    weights: dict[str, float] = {}
    for term in text.split("+"):
        factor, _, name = term.rpartition("*")
        name = name.strip()
        try:
            _named(name)
        except AudioError as error:
            raise AudioError(f"{error}. Sums are written as 'mrstft + 0.5*envelope'") from error
        try:
            weight = float(factor or 1.0)
        except ValueError:
            weight = math.nan
        if not 0.0 < weight < math.inf:
            raise AudioError(f"loss {text!r}: the weight {factor.strip()!r} of {name!r} must be a positive number")
        weights[name] = weights.get(name, 0.0) + weight
    return weights
