"""Finds the file of weights: in the package, or in a run's folder."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blackbox_grad.effects import resolve_address, split_chain
from blackbox_grad.errors import suggest
from blackbox_grad_adapters.style_matching.networks import weight_file
from blackbox_grad_adapters.style_matching.networks.controller import Controller
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder
from blackbox_grad_adapters.style_matching.networks.style_encoder import FILE, StyleEncoder
from blackbox_grad_adapters.style_matching.networks.weight_file import SUFFIX, WeightsError

FOLDER = Path(__file__).parent.parent / "weights"

#: Names of the files in the folder of a run.
ENCODER, CONTROLLER, STYLE_ENCODER = f"encoder{SUFFIX}", f"controller{SUFFIX}", FILE.name

#: The address of an MDA effect is this, a slash and its name.
MDA = "dawdreamer:http://drobilla.net/plugins/mda"

#: The effects of the original system.
NINE = ("Overdrive", "Combo", "MultiBand", "RingMod", "Delay", "ThruZero", "Dynamics", "Ambience", "Leslie")

_BUILT_IN = ("Distortion", "Reverb", "Compressor", "Delay")

#: The effects with a trained controller in the package.
EFFECTS = (*(f"{MDA}/{name}" for name in NINE), *(f"pedalboard-builtin:{name}" for name in _BUILT_IN))


def file_of(address: str, folder: Path = FOLDER) -> Path:
    """The file with the weights for an effect, whether it exists or not."""
    return folder / (re.sub(r"[^a-z0-9]+", "-", address.lower()).strip("-") + SUFFIX)


def short_name(address: str) -> str:
    """The end of an address: "Overdrive"."""
    return re.split("[/:]", address)[-1]


def address_of(name: str) -> str:
    """The address of an effect, from the address itself or from the end of one of `EFFECTS` ("Overdrive").

    Raises:
        WeightsError: several of them have this end.
    """
    ending = [address for address in EFFECTS if short_name(address) == name]
    if len(ending) > 1:
        raise WeightsError(f"{name!r} is the name of several effects; write {' or '.join(ending)}")
    return ending[0] if ending else resolve_address(name)


def known(effect: str | os.PathLike[str]) -> bool:
    """Whether there are weights for an effect in the package, or this is a file of weights or the folder of a run.

    Raises:
        WeightsError: several effects with weights have this name.
        AddressError: there is no such effect.
    """
    path = Path(effect)
    return path.is_dir() or path.suffix == SUFFIX or file_of(full_address(str(effect))).exists()


def full_address(name: str) -> str:
    """As `address_of`, of each part of a chain."""
    return " | ".join(address_of(part) for part in split_chain(name))


def encoder(path: str | os.PathLike[str] | None = None) -> Encoder:
    """The encoder of a file or of a run's folder; by default the package's.

    Raises:
        WeightsError: it does not exist, or is damaged.
    """
    if path is None:
        return Encoder.load(FOLDER / ENCODER)
    path = Path(path)
    return Encoder.load(path / ENCODER if path.is_dir() else path)


def ears(path: str | os.PathLike[str] | None = None) -> StyleEncoder | Encoder:
    """The encoder of either kind of a file or of a run's folder; by default the package's style encoder.

    Raises:
        WeightsError: it does not exist, is damaged, or holds something else.
    """
    if path is None:
        return StyleEncoder.load()
    path = Path(path)
    if path.is_dir():
        path = path / (STYLE_ENCODER if (path / STYLE_ENCODER).exists() else ENCODER)
    header, _ = weight_file.read(path, "encoder", "style encoder")
    return (Encoder if header["kind"] == "encoder" else StyleEncoder).load(path)


def controller(name: str | os.PathLike[str]) -> tuple[Controller, Encoder]:
    """A controller with the encoder it was trained with.

    Args:
        name: the address of an effect with weights in the package, the end of such an address ("Overdrive"), a file, or the
            folder of a run.

    Raises:
        WeightsError: the controller or its encoder does not exist.
    """
    file = _file(name)
    found = Controller.load(file)
    wanted = found.header.get("encoder")
    for place in (file.parent / ENCODER, FOLDER / ENCODER):
        if place.exists() and (ears := Encoder.load(place)).fingerprint == wanted:
            return found, ears
    raise WeightsError(
        f"{file}: was trained with the encoder {wanted}, which is neither beside it as {ENCODER} nor in the package; copy it there"
    )


def nothing_learnt(results: Mapping[str, Any]) -> str:
    """A sentence on a training with these results that has learnt nothing; empty if it has, or if they do not say."""
    if results.get("learnt", True):
        return ""
    chance = 100.0 * results.get("chance", 1.0)
    return (
        "the controller has learnt nothing: on the pairs to validate on, its settings are no nearer to the truth than the middle "
        "of every parameter, and its sound is no nearer than the dry input or the middle (one that knows nothing does as well in "
        f"{chance:.2g} % of cases)"
    )


def _file(name: str | os.PathLike[str]) -> Path:
    path = Path(name)
    if path.is_dir():
        return path / CONTROLLER
    if path.suffix == SUFFIX:
        return path
    address = address_of(str(name))
    file = file_of(address)
    if not file.exists():
        known = [known for known in EFFECTS if file_of(known).exists()]
        raise WeightsError(
            f"no trained controller for {str(name)!r}: train one (blackbox-grad style train {address}), or name its file; "
            f"{suggest(address, known)}"
        )
    return file
