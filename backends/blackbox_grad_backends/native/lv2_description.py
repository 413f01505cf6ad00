"""What an LV2 plug-in says about itself, as plain data. `lv2_reading` reads it.

The words are those of https://lv2plug.in/ns/lv2core: a port's property `lv2:isSideChain` is "isSideChain", its designation
`pg:left` is "left".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias

PortKind: TypeAlias = Literal["audio", "control", "cv", "atom", "other"]

_WORKER = "http://lv2plug.in/ns/ext/worker#"

#: LV2 classes of plug-ins that play notes. (GeneratorPlugin is no evidence: MDA BeatBox is one, and has inputs.)
_INSTRUMENTS = {"InstrumentPlugin", "MIDIPlugin"}


@dataclass(frozen=True)
class Port:
    """One port, or one parameter of `patch:writable`, which has no index.

    Attributes:
        symbol: its name for programs, unique within the plug-in.
        name: for people.
        index: its place among all ports.
        kind: audio, control, cv, atom (MIDI and other messages), or other, such as the event ports of old plug-ins.
        is_input: whether the plug-in reads it.
        properties: names of `lv2:portProperty`: "logarithmic", "integer", "toggled", "enumeration", "sampleRate" (the range is in
            multiples of the sample rate), "trigger", "notOnGUI", "connectionOptional", "isSideChain", "reportsLatency", …
        designation: what it means: "left", "right", "enabled", "latency", "freeWheeling", …; empty without one.
        group: IRI of its `pg:group`; empty without one.
        minimum, maximum, default: of a control; None where the file is silent.
        unit: of a control, as text: "Hz", "dB", "%".
        points: named values of a control, in rising order.
        steps: `pprops:rangeSteps`: how many steps a knob should have; 0 without one.
        takes_midi: whether it takes MIDI.
    """

    symbol: str
    name: str
    index: int
    kind: PortKind
    is_input: bool
    properties: frozenset[str] = frozenset()
    designation: str = ""
    group: str = ""
    minimum: float | None = None
    maximum: float | None = None
    default: float | None = None
    unit: str = ""
    points: tuple[tuple[float, str], ...] = ()
    steps: int = 0
    takes_midi: bool = False


@dataclass(frozen=True)
class PortGroup:
    """Ports that belong together, such as a stereo pair.

    Attributes:
        name: for people; may be empty.
        classes: "StereoGroup", "InputGroup", …
        side_chain_of: IRI of the group whose side chain this is; empty if it is none.
    """

    name: str
    classes: frozenset[str]
    side_chain_of: str = ""


@dataclass(frozen=True)
class PluginDescription:
    """One plug-in.

    Attributes:
        uri: its address.
        bundle: its folder.
        binary: its shared library, which may be missing; None if no file names one.
        files: that describe it, beside `manifest.ttl`.
        name: for people.
        maker: who made or maintains it; empty if its files do not say.
        classes: "EQPlugin", "InstrumentPlugin", …
        ports: all, by index.
        writable: numbers that are set by messages (`patch:writable`), in the order of their IRIs, which are their symbols.
        takes_files: whether a parameter of it is the path of a file.
        required, optional: IRIs of features of the host.
        extension_data: IRIs of what the plug-in offers the host.
        groups: its port groups by IRI.
        main_input, main_output: IRI of the group of the main signal; empty without one.
    """

    uri: str
    bundle: Path
    binary: Path | None
    files: tuple[Path, ...]
    name: str
    classes: frozenset[str]
    maker: str = ""
    ports: tuple[Port, ...] = ()
    writable: tuple[Port, ...] = ()
    takes_files: bool = False
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    extension_data: tuple[str, ...] = ()
    groups: dict[str, PortGroup] = field(default_factory=dict)
    main_input: str = ""
    main_output: str = ""

    def of(self, kind: PortKind, is_input: bool = True) -> tuple[Port, ...]:
        """The ports of a kind and direction, by index."""
        return tuple(port for port in self.ports if port.kind == kind and port.is_input == is_input)

    @cached_property
    def controls(self) -> tuple[Port, ...]:
        """Control inputs, by index."""
        return self.of("control")

    @cached_property
    def side_chain(self) -> frozenset[int]:
        """Indices of the audio inputs that are no part of the main signal: those of a side chain or of a second group."""
        inputs = self.of("audio")
        apart = {p.index for p in inputs if "isSideChain" in p.properties}
        apart |= {p.index for p in inputs if p.group in self.groups and self.groups[p.group].side_chain_of}
        if any(p.group == self.main_input for p in inputs if p.group):
            apart |= {p.index for p in inputs if p.group != self.main_input}
        return frozenset(apart) if len(apart) < len(inputs) else frozenset()

    @property
    def is_instrument(self) -> bool:
        """Whether it plays notes: its class says so, or it takes MIDI and no audio."""
        return bool(self.classes & _INSTRUMENTS) or (self.takes_midi and not self.of("audio"))

    @property
    def plays_notes(self) -> bool:
        """Whether it makes sound of MIDI, and needs no audio for it, though it may take some."""
        alone = not self.of("audio") or "InstrumentPlugin" in self.classes
        return self.takes_midi and alone and bool(self.of("audio", is_input=False))

    @property
    def takes_midi(self) -> bool:
        """Whether it takes MIDI."""
        return any(port.takes_midi and port.is_input for port in self.ports)

    @property
    def is_effect(self) -> bool:
        """Whether audio goes in and out, as far as its files say."""
        silent = not self.ports
        return not self.is_instrument and (silent or bool(self.of("audio") and self.of("audio", is_input=False)))

    @property
    def uses_worker(self) -> bool:
        """Whether it hands work to a thread of the host."""
        return any(name.startswith(_WORKER) for name in (*self.required, *self.optional, *self.extension_data))

    @property
    def sends_midi(self) -> bool:
        """Whether it makes MIDI of audio, or says so: all of Calf does."""
        return bool(self.of("audio")) and any(port.takes_midi for port in self.of("atom", is_input=False))

    @property
    def needs_worker(self) -> bool:
        """Whether it does nothing without one, or loads its files there."""
        return any(name.startswith(_WORKER) for name in self.required) or (self.takes_files and self.uses_worker)
