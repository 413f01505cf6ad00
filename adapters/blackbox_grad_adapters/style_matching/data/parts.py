"""Parts of recordings in time: one recording on both sides of a split, with a gap between them."""

from __future__ import annotations

from collections.abc import Sequence

from blackbox_grad.cache import digest
from blackbox_grad.effects import Audio
from blackbox_grad.errors import AudioError
from blackbox_grad_adapters.style_matching.data.recordings import Tracks

#: Seconds between the two sides, so that no tail of a sound lies on both.
GAP = 1.0

#: Share of the longest track for validation.
_SHARE = 0.3


class Parts(Tracks):
    """Parts of decoded tracks, as tracks.

    Args:
        whole: the tracks.
        ranges: of each part: its track, and the samples where it begins and ends.
    """

    def __init__(self, whole: Tracks, ranges: Sequence[tuple[int, int, int]]) -> None:
        self._whole, self._ranges = whole, list(ranges)
        self.sample_rate, self.channels = whole.sample_rate, whole.channels
        self.key = digest(repr((whole.key, self._ranges)))
        self.groups = [whole.groups[track] for track, _, _ in self._ranges]
        self.lengths = [end - start for _, start, end in self._ranges]

    def __getitem__(self, track: int) -> Audio:
        where, start, end = self._ranges[track]
        return self._whole[where][:, start:end]


def shortest(excerpt: int, sample_rate: float) -> int:
    """Samples that a recording must have for `split_in_time`: one excerpt for each side, and the gap."""
    return 2 * excerpt + round(GAP * sample_rate)


def split_in_time(tracks: Tracks, excerpt: int) -> tuple[Parts, Parts]:
    """Two sides of tracks of one group: the second is the end of the longest track, after a gap; the first is all before that.

    Args:
        excerpt: samples; each side has a track as long as this.

    Raises:
        AudioError: the longest track is too short.
    """
    longest = max(range(len(tracks)), key=tracks.lengths.__getitem__)
    length, gap = tracks.lengths[longest], round(GAP * tracks.sample_rate)
    if length < shortest(excerpt, tracks.sample_rate):
        rate = tracks.sample_rate
        raise AudioError(
            f"one recording of {length / rate:.1f} s is too short to train and to validate on: it takes "
            f"{shortest(excerpt, rate) / rate:.1f} s, two excerpts of {excerpt / rate:.1f} s and a gap of {GAP:g} s; give a longer "
            "one, or several"
        )
    second = max(excerpt, min(round(_SHARE * length), length - gap - excerpt))
    ranges = [(track, 0, size) for track, size in enumerate(tracks.lengths) if track != longest]
    return (
        Parts(tracks, [*ranges, (longest, 0, length - gap - second)]),
        Parts(tracks, [(longest, length - second, length)]),
    )
