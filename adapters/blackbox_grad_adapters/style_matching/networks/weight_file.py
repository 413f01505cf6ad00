"""Files of trained weights: safetensors with a JSON header. Reading one runs no code."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from blackbox_grad.dependencies import library
from blackbox_grad.errors import BlackboxGradError
from blackbox_grad.files import check_writable, replacing

M = TypeVar("M", bound=nn.Module)

SUFFIX = ".safetensors"

#: Version of the header's fields and of the networks; a file of another version is refused.
FORMAT = 2

#: Name of the header in the file's metadata.
_FIELD = "blackbox_grad.style_matching"


#: The field of the header with the checksum of the others and of all weights.
_SUM = "sum"


class WeightsError(BlackboxGradError, ValueError):
    """A file of weights is damaged, of another kind, or does not fit its effect or encoder."""


def write(path: str | os.PathLike[str], kind: str, module: nn.Module, header: Mapping[str, Any]) -> None:
    """Write the weights of a module in half precision, whole or not at all.

    Args:
        path: `.safetensors`.
        kind: "encoder", "style encoder" or "controller".
        header: facts about the module and its training, JSON values.

    Raises:
        AudioError: the path cannot be written.
        WeightsError: a weight is not finite.
    """
    path = Path(path)
    check_writable(path, (SUFFIX,))
    tensors = {name: t.detach().cpu().half().contiguous() for name, t in module.state_dict().items()}
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"{path}: {name} holds NaN, infinity or numbers beyond 65504: training has diverged")
    facts = {"format": FORMAT, "kind": kind, **header}
    text = json.dumps({**facts, _SUM: _checksum(facts, tensors)}, allow_nan=False)
    content = library("safetensors.torch", "trained weights", "style").save(tensors, {_FIELD: text})
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def read(path: str | os.PathLike[str], *kinds: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The header and the weights, float32, of a file from `write` that is of one of these kinds.

    Raises:
        WeightsError: the file does not exist, is damaged, or is of another kind or version.
    """
    path = Path(path)
    safetensors = library("safetensors", "trained weights", "style")
    try:
        with safetensors.safe_open(str(path), "pt") as file:
            text = (file.metadata() or {}).get(_FIELD)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is not a dict)
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file") from error
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(
            f"{path}: no weights can be read from it ({error}); is it damaged, or another kind of file?"
        ) from error
    if text is None:
        raise WeightsError(f"{path}: these weights are not of style matching: the header {_FIELD!r} is missing")
    try:
        header = json.loads(text)
        version, found = header["format"], header["kind"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(f"{path}: its header {_FIELD!r} cannot be read ({error!r})") from error
    if version != FORMAT:
        raise WeightsError(f"{path}: has format {version}, and this version of blackbox_grad reads {FORMAT}; train it again")
    if found not in kinds:
        raise WeightsError(
            f"{path}: holds the weights of another kind of network, {found!r}; it must be {' or '.join(map(repr, kinds))}"
        )
    if header.pop(_SUM, "") != _checksum(header, tensors):
        raise WeightsError(f"{path}: is damaged: its content does not have its checksum; copy it again, or train it again")
    return header, {name: tensor.float() for name, tensor in tensors.items()}


def build(kind: Callable[..., M], header: Mapping[str, Any], tensors: Mapping[str, Tensor], path: str | os.PathLike[str]) -> M:
    """A module of the header's `dimensions` with these weights. Raises `WeightsError` if they do not fit each other."""
    try:
        module = kind(**header["dimensions"])
        module.load_state_dict(dict(tensors))
    except (KeyError, TypeError, ValueError, RuntimeError, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[-1].strip()
        raise WeightsError(f"{path}: the weights do not fit their header: {reason}") from error
    return module


def fingerprint(module: nn.Module) -> str:
    """A short name, equal for equal weights in half precision."""
    return _digest(module.state_dict())


def _checksum(facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    return hashlib.sha256((json.dumps(facts, sort_keys=True) + _digest(tensors)).encode()).hexdigest()[:16]


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode() + tensor.detach().cpu().half().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
