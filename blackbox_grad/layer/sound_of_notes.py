"""What goes into a layer: audio, or the notes of an instrument as the tensor that hosts carry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from blackbox_grad.effects.notes import Notes, packed_batch
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.packing import is_packed
from blackbox_grad.errors import AudioError

#: Audio `[B, C, T]` for an effect; for an instrument `Notes`, or a list of them, one for each item.
Sound: TypeAlias = "Tensor | Notes | Sequence[Notes]"

#: Notes beside audio, for all items or one for each.
AnyNotes: TypeAlias = "Notes | Sequence[Notes]"


@torch.compiler.disable  # type: ignore[untyped-decorator]
def as_tensor(info: EffectInfo, sound: Sound, p: Tensor) -> Tensor:
    """Notes as `[B, 2, T] float32` where `p` is, as long as the longest of them; a tensor as it is.

    Raises:
        AudioError: an instrument got audio, or an effect notes.
    """
    where = info.spec.address
    if isinstance(sound, Tensor):
        if info.takes == "notes" and sound.numel() and not _holds_notes(info, sound):
            raise AudioError(
                f"{where} is an instrument: give it notes, not audio: layer(Notes.one('C4', seconds=1.0), p), or a list of "
                "blackbox_grad.Notes, one for each item of the batch"
            )
        return sound
    several = [sound] if isinstance(sound, Notes) else sound
    if not isinstance(several, (list, tuple)) or not all(isinstance(each, Notes) for each in several):
        return sound  # type: ignore[return-value]  # the caller says what it must be
    if info.takes != "notes":
        raise AudioError(f"{where} is an effect: give it audio [B, C, T], not notes; an instrument plays them")
    if not several:
        raise AudioError(f"{where}: an empty list of notes; give one for each item of the batch")
    return torch.from_numpy(packed_batch(several, info.sample_rate)).to(p.device if isinstance(p, Tensor) else "cpu")


def _holds_notes(info: EffectInfo, sound: Tensor) -> bool:
    """Whether the first item is packed notes, alone or beside audio."""
    heads = [sound.detach().reshape(-1)[:4]]
    if info.beside and sound.ndim == 3:
        heads.append(sound.detach()[0, -1, :4])
    return any(is_packed(head.cpu().numpy()) for head in heads)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def with_notes(info: EffectInfo, x: Sound, notes: AnyNotes) -> Tensor:
    """`[B, C + 1, T]` from `x: [B, C, T]`: packed notes are the last channel.

    Raises:
        AudioError: the effect does not take both, or there are notes for another number of items.
    """
    where = info.spec.address
    if not info.beside:
        way = "layer(notes, p)" if info.takes == "notes" else "layer(x, p)"
        what = "an instrument without audio inputs" if info.takes == "notes" else "an effect that hears no notes"
        raise AudioError(f"{where} is {what}: write {way}, without notes= beside audio")
    several = [notes] if isinstance(notes, Notes) else notes
    if not (isinstance(several, (list, tuple)) and several and all(isinstance(each, Notes) for each in several)):
        raise AudioError(f"{where}: notes= takes blackbox_grad.Notes, or a list of them, one for each item; got {notes!r}")
    if not isinstance(x, Tensor) or x.ndim != 3:
        raise AudioError(f"{where}: notes= goes beside audio x of the shape [B, C, T]")
    count = max(len(x), len(several))
    if {len(x), len(several)} - {1, count}:
        raise AudioError(f"{where}: audio has a batch of {len(x)}, and there are notes for {len(several)} items")
    rows = torch.from_numpy(np.stack([each.packed(info.sample_rate, 1, x.shape[2]) for each in several])).to(x.device)
    return torch.cat([x.expand(count, -1, -1), rows.expand(count, -1, -1)], dim=1)
