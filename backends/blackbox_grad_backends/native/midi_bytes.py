"""MIDI messages as bytes, and as a MIDI file, which is how DawDreamer takes controllers and bends."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from blackbox_grad.effects import Messages

#: A tick is a microsecond: as many ticks a quarter as it has microseconds.
_TICKS_A_QUARTER = 10_000

#: The longest wait of a file is 2^28 ticks; a longer one has empty texts on its way.
_LONGEST_WAIT = (1 << 28) - 1

_EMPTY_TEXT, _END = b"\xff\x01\x00", b"\xff\x2f\x00"


def as_file(messages: Messages, sample_rate: float) -> bytes:
    """A MIDI file of one track. A host that cuts its times down to samples gets the samples of `messages`."""
    track = bytearray(b"\x00\xff\x51\x03" + _TICKS_A_QUARTER.to_bytes(3, "big"))
    now = 0
    for time, message in zip(messages.times.tolist(), messages.data.tolist(), strict=True):
        tick = round((time + 0.5) / sample_rate * 1e6)
        while tick - now > _LONGEST_WAIT:
            now += _LONGEST_WAIT
            track += _wait(_LONGEST_WAIT) + _EMPTY_TEXT
        track += _wait(tick - now) + as_bytes(message)
        now = tick
    track += b"\x00" + _END
    return struct.pack(">4sIHHH4sI", b"MThd", 6, 0, 1, _TICKS_A_QUARTER, b"MTrk", len(track)) + track


def as_bytes(message: Sequence[int]) -> bytes:
    """A message of three numbers as it is sent: programs and the pressure of a channel have one byte of data."""
    return bytes(message[: 2 if message[0] & 0xF0 in (0xC0, 0xD0) else 3])


def _wait(ticks: int) -> bytes:
    """A variable-length quantity."""
    found = [ticks & 0x7F]
    while ticks := ticks >> 7:
        found.append(ticks & 0x7F | 0x80)
    return bytes(reversed(found))
