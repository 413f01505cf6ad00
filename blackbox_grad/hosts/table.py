"""The layout of one call in shared memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from blackbox_grad.parameters.parameter import FloatArray

Mode: TypeAlias = Literal["render", "probe"]

_ALIGNMENT = 64


@dataclass(frozen=True)
class Layout:
    """The shapes of one call: `N = K·B` renders, render `i` being probe `i // B` of item `i % B`."""

    mode: Mode
    probes: int
    batch: int
    channels: int
    samples: int
    parameters: int
    segments: int = 0

    @property
    def renders(self) -> int:
        return self.probes * self.batch

    @property
    def audio(self) -> tuple[int, ...]:
        return self.batch, self.channels, self.samples

    @property
    def other(self) -> tuple[int, ...]:
        """Shape of the output when rendering, of the cotangent when probing."""
        return (self.probes, *self.audio) if self.mode == "render" else self.audio

    def _arrays(self) -> dict[str, tuple[tuple[int, ...], type]]:
        return {
            "points": ((self.probes, self.batch, self.parameters), np.float64),
            "values": ((self.renders,), np.float64),
            "taken": ((self.renders,), np.int32),
            "done": ((self.renders,), np.uint8),
            "bounds": ((self.segments + 1,), np.int64),
            "parts": ((self.renders, self.segments), np.float64),
        }

    def _offsets(self) -> tuple[dict[str, int], int]:
        offsets, position = {}, 0
        for name, (shape, kind) in self._arrays().items():
            offsets[name] = position
            nbytes = math.prod(shape) * np.dtype(kind).itemsize
            position += -(-nbytes // _ALIGNMENT) * _ALIGNMENT
        return offsets, position

    @property
    def size(self) -> int:
        """Bytes that the table needs."""
        return self._offsets()[1]

    def table(self, memory: Any) -> Table:
        """The table of the call, as views into memory with a buffer."""
        offsets, _ = self._offsets()
        return Table(**{name: np.ndarray(shape, kind, memory, offsets[name]) for name, (shape, kind) in self._arrays().items()})


@dataclass
class Table:
    """The renders of one call, and their progress.

    Attributes:
        points: `[K, B, P]`.
        values: `[N]`: the value of a probe; 0 for a render, or NaN where its audio is not finite.
        taken: `[N]`: 0, or the number of the host that has begun render `i`.
        done: `[N]`: 1 when render `i` has its result.
        bounds: `[S + 1]`, samples: where the `S` segments of a probe begin and end; of other calls it has no meaning.
        parts: `[N, S]`: the value of each segment of a probe.
    """

    points: FloatArray
    values: FloatArray
    taken: NDArray[np.int32] = field(repr=False)
    done: NDArray[np.uint8] = field(repr=False)
    bounds: NDArray[np.int64] = field(repr=False)
    parts: FloatArray = field(repr=False)
