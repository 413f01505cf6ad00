"""What an effect and a backend promise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from numpy.typing import ArrayLike

from blackbox_grad.effects.audio import Audio
from blackbox_grad.parameters.space import ParameterSpace

#: What goes into an effect, and into an instrument.
Takes: TypeAlias = Literal["audio", "notes"]


#: What goes in beside that, if the caller wants it: notes for an effect that listens to MIDI, audio for an instrument with inputs.
Beside: TypeAlias = Literal["", "notes", "audio"]


class Effect(Protocol):
    """An opened effect.

    `render` is a *pure function*: the same audio and point give the same bits, after any history. It changes no argument, keeps
    the length, and takes reported latency out. `repeatability` says how well the effect keeps this.

    An instrument has `takes = "notes"`: what goes into its `render` is the array of `Notes.packed`. What takes notes and audio at
    once has `beside`, "notes" or "audio", and its `render` also takes the array of `Notes.beside`, whose last channel comes back
    silent.

    An effect whose settings may move has `curve_block`, samples, and `render_curves(audio: [C, T], values: [P, N]) -> [C, T]`: a
    render in which block `n` has the settings `values[:, n]`. It is as pure as `render`, and equal to it where nothing moves.
    """

    @property
    def name(self) -> str:
        """The plug-in's own name."""
        ...

    @property
    def parameters(self) -> ParameterSpace:
        """The controls; a point has one value for each free one."""
        ...

    @property
    def sample_rate(self) -> float:
        """Hz."""
        ...

    @property
    def latency(self) -> int:
        """Samples of delay that the plug-in reports (at its default settings) and that `render` removes."""
        ...

    @property
    def repeatability(self) -> float:
        """Largest measured relative error `‖y' - y‖ / ‖y‖` between renders of the same input; 0 is bit-equal."""
        ...

    @property
    def layout(self) -> str:
        """The plug-in's own channels, which decide how other channel counts are adapted: "2 in, 2 out"."""
        ...

    def render(self, audio: Audio, point: ArrayLike) -> Audio:
        """`audio: [C, T] float32`, `point: [P] in [0, 1]` -> `[C, T] float32`."""
        ...

    def close(self) -> None:
        """Release the plug-in. Safe to call twice."""
        ...


class Backend(Protocol):
    """Opens the effects of one host library. Registered in the entry-point group `blackbox_grad.backends`."""

    def open(self, locator: str, sample_rate: float, options: Mapping[str, Any]) -> Effect:
        """Open the effect named after `backend:` in an address, with *all* its user controls free.

        Raises:
            EffectNotFoundError: there is no such effect.
            EffectLoadError: it cannot be opened.
        """
        ...

    def claims(self, locator: str) -> float:
        """How surely a bare path, URI or name belongs to this backend, from 0 (not at all, always safe) to 1. Opens nothing."""
        ...

    def scan(self) -> Iterator[str]:
        """Locators of the effects that seem to be installed. Opens nothing, so a listed effect may fail to open.

        A backend with `opens_gently = True` gets the option `gentle=True` after opening the effect has ended a host process. It
        then keeps away from the ends of the effect's settings, and the effect says so in its `notes`.

        A backend with `takes_fixed = True` gets the option `fixed={name: value}` if the caller fixes parameters, as in `load`. It
        then never moves them, not even while it opens the effect: some plug-ins fail at other values.

        A backend with `has_presets = True` has effects with `stored_presets(folder)`, as in `PluginEffect`. Its option `preset=`
        may then be the name of one, which the core sets.

        A backend may also have `file(locator) -> Path | None`, the file behind a locator. A scan that opens effects caches its
        result until that file changes. And it may have `catalogue()`, which yields, for each locator of `scan`, the locator, the
        effect's name and its maker ("" if unknown), so that they are found by name, and, if it knows, a fourth: what goes in,
        "audio" or "notes".
        """
        ...


_Self = TypeVar("_Self", bound="Closing")


class Closing:
    """`with load(…) as effect:` for everything that has `close`."""

    def close(self) -> None:
        """Let the plug-in go. Safe to call twice."""

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
