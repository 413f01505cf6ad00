"""What goes into a layer: audio, or the notes of an instrument as the tensor that hosts carry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from blackbox_grad.effects.notes import Notes, packed_batch
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.packing import is_packed
from blackbox_grad.errors import AudioError

#: Audio `[B, C, T]` for an effect; for an instrument `Notes`, or a list of them, one for each item.
Sound: TypeAlias = "Tensor | Notes | Sequence[Notes]"


@torch.compiler.disable  # type: ignore[untyped-decorator]
def as_tensor(info: EffectInfo, sound: Sound, p: Tensor) -> Tensor:
    """Notes as `[B, 2, T] float32` where `p` is, as long as the longest of them; a tensor as it is.

    Raises:
        AudioError: an instrument got audio, or an effect notes.
    """
    where = info.spec.address
    if isinstance(sound, Tensor):
        if info.takes == "notes" and sound.numel() and not is_packed(sound.detach().reshape(-1)[:4].cpu().numpy()):
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
