"""Faust programs, compiled and rendered by DawDreamer.

Locators: a `.dsp` file or the program itself: `echo.dsp`, `import("stdfaust.lib"); process = *(hslider("gain", 1, 0, 2, 0.01));`.
The program may import the standard libraries, and a file those in its folder. Options: `files=True` lets it read any file and URL;
`sidechain=` (path of an audio file): what inputs beyond the number of outputs take.

Sliders and number entries are parameters with the ranges of the program. `[unit:…]` gives the unit, `[scale:log]` a log scale,
`[style:menu{'name':value;…}]` and `[style:radio{…}]` the names of levels. A slider is stepped if its step is at least 1 and it has
at most 64 levels, and continuous otherwise: a small step is a display resolution. Checkboxes and buttons are toggles. Bargraphs
are meters, not parameters.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from blackbox_grad.effects import Audio, PluginEffect
from blackbox_grad.errors import EffectLoadError, EffectNotFoundError, RenderError, suggest
from blackbox_grad.files import text_of
from blackbox_grad.parameters import FloatArray, Parameter, ParameterSpace
from blackbox_grad_backends.dawdreamer_graph import BLOCK, Graph, cause_of_freeze
from blackbox_grad_backends.faust_files import check_files
from blackbox_grad_backends.native.graveyard import opening, undisturbed
from blackbox_grad_backends.options import check_options
from blackbox_grad_backends.side_chain import SIDECHAIN, needs_copies, refuse_unused, take_sidechain

#: A slider with more levels than this is continuous.
MOST_LEVELS = 64

_PROGRAM = re.compile(r"\bprocess\s*(\([^)]*\))?\s*=")


class FaustBackend:
    """Opens Faust programs with DawDreamer."""

    def open(self, locator: str, sample_rate: float, options: Mapping[str, Any]) -> FaustEffect:
        options = dict(options)
        address = f"faust:{_short(locator)}"
        check_options(address, options, (SIDECHAIN, "files"))
        import dawdreamer  # noqa: F401  (an ImportError becomes a hint how to install it)

        sidechain = take_sidechain(address, options, sample_rate)

        path = None if _PROGRAM.search(locator) else Path(locator).expanduser()
        if path is not None and not path.is_file():
            known = sorted(p.name for p in path.parent.glob("*.dsp")) if path.parent.is_dir() else []
            raise EffectNotFoundError(
                f"faust:{locator}: no such file, and not a Faust program, which needs 'process = …;'; {suggest(path.name, known)}"
            )
        source = text_of(path) if path else locator
        if options.get("files") is not True:
            check_files(address, source, path.resolve().parent if path else None)
        if cause := cause_of_freeze("renders a program for the first time"):
            raise EffectLoadError(f"{address}: {cause}")
        graph = Graph(sample_rate)
        with opening(graph.natives):
            return FaustEffect(graph, source, path.resolve() if path else None, sidechain)

    def claims(self, locator: str) -> float:
        if importlib.util.find_spec("dawdreamer") is None:
            return 0.0
        return 1.0 if locator.lower().endswith(".dsp") or _PROGRAM.search(locator) else 0.0

    path_options = (SIDECHAIN,)

    def path(self, locator: str) -> str | None:
        return None if _PROGRAM.search(locator) else locator

    def scan(self) -> Iterator[str]:
        """None: Faust programs are not installed in any folder."""
        yield from ()


class FaustEffect(PluginEffect):
    """A compiled Faust program.

    Loading the graph clears its state, so renders are bit-equal. If the program smooths a control (`si.smoo`), each render starts
    from the smoother's cleared state, as at the start of a Faust program.
    """

    def __init__(self, graph: Graph, source: str, path: Path | None, sidechain: Audio | None = None) -> None:
        self.sidechain = sidechain
        declared = re.search(r'^\s*declare\s+name\s+"([^"]+)"', source, re.MULTILINE)
        self.name = declared[1] if declared else path.stem if path else "Faust"
        self._graph = graph
        self.sample_rate = graph.sample_rate
        processor = graph.make("faust")
        folder = str(path.parent) if path else None
        try:
            if folder:
                processor.faust_libraries_paths = [folder]
            processor.set_dsp_string(_spelt(source))
            processor.compile()
            controls = _controls(_spelt(source), folder)
        except RuntimeError as error:
            raise EffectLoadError(f"faust:{path or _short(source)} does not compile: {error}") from error
        self.inputs = int(processor.get_num_input_channels())
        self.outputs = int(processor.get_num_output_channels())
        if self.inputs == 0 or self.outputs == 0:
            what = "a generator" if self.inputs == 0 else "an analyser"
            raise EffectLoadError(
                f"faust:{path or _short(source)} is {what}, not an effect: it has {self.inputs} inputs and {self.outputs} outputs"
            )
        refuse_unused(f"faust:{path or _short(source)}", self)
        found = [
            (d["index"], _describe(controls.get(d["name"], _Control.plain(d)))) for d in processor.get_parameters_description()
        ]
        self._indices = [index for index, parameter in found if parameter is not None]
        self.parameters = ParameterSpace(parameter for _, parameter in found if parameter is not None)
        self.process(np.zeros((self.inputs, BLOCK), np.float32), self.parameters.defaults)
        self.side_copies = needs_copies(self)

    def process(self, audio: Audio, values: FloatArray) -> Audio:
        if self._graph.closed:
            raise RenderError(f"{self.name} has been closed; open it again to render")
        natives = (p.to_native(v) for p, v in zip(self.parameters.everything, values.tolist(), strict=True))
        with undisturbed():
            return self._graph.render(audio, zip(self._indices, natives, strict=True))

    def close(self) -> None:
        self._graph.natives.close()


@dataclass
class _Control:
    """An element of the program's user interface. `kind`: Faust's name for it, such as `HorizontalSlider`."""

    kind: str
    label: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    default: float = 0.0
    minimum: float = 0.0
    maximum: float = 1.0
    step: float = 1.0

    @classmethod
    def plain(cls, description: Mapping[str, Any]) -> _Control:
        """DawDreamer's own description of a control."""
        numbers = (float(description[key]) for key in ("value", "min", "max", "step"))
        return cls("HorizontalSlider", description["label"], {}, *numbers)


def _describe(control: _Control) -> Parameter | None:
    """None for a meter, and for a control that cannot move."""
    if "Bargraph" in control.kind or control.minimum >= control.maximum:
        return None
    metadata = {name: _read(text) for name, text in control.metadata.items()}
    control = replace(control, label=_read(control.label), metadata=metadata)
    if control.kind in ("Button", "CheckButton"):
        return Parameter(control.label, "toggle", default=control.default)
    low, high, unit = control.minimum, control.maximum, control.metadata.get("unit", "")
    parameter = Parameter(control.label, minimum=low, maximum=high, unit=unit)
    names = _level_names(control)
    levels = len(names) or (round((high - low) / control.step) + 1 if control.step >= 1.0 else 0)
    if 2 <= levels <= MOST_LEVELS:
        parameter = replace(parameter, kind="stepped", levels=levels, choices=names)
    elif control.metadata.get("scale") == "log" and low > 0.0:
        parameter = replace(parameter, scale="log")
    default = parameter.to_normalised(float(np.clip(control.default, low, high)))
    return replace(parameter, default=parameter.snap(min(1.0, max(0.0, default))))


def _level_names(control: _Control) -> tuple[str, ...]:
    """Names from `menu{'a':0;'b':1}` if the values are the levels of a stepped parameter; otherwise nothing."""
    style = control.metadata.get("style", "")
    if not style.startswith(("menu", "radio")):
        return ()
    pairs = re.findall(r"'([^']*)'\s*:\s*(-?[\d.]+)", style)
    values = [float(value) for _, value in pairs]
    if len(values) < 2 or not np.allclose(values, np.linspace(control.minimum, control.maximum, len(values))):
        return ()
    return tuple(name for name, _ in pairs)


# DawDreamer sets no control whose label is not ASCII, even by its number.


def _spelt(source: str) -> str:
    """The program in ASCII: "Größe" becomes "Gr__uf6____udf__e"."""
    return "".join(c if c.isascii() else f"__u{ord(c):x}__" for c in source)


def _read(label: str) -> str:
    """The text that `_spelt` spelt."""
    return re.sub(r"__u([0-9a-f]{2,6})__", lambda found: chr(int(found[1], 16)), label)


# DawDreamer reports no units and no scales, and not which controls are meters. The C code from the compiler does: its function
# buildUserInterface has one call for each group, piece of metadata and control.
_CALL = re.compile(r"ui_interface->(\w+)\(ui_interface->uiInterface(.*)\);")
_ARGUMENT = re.compile(r',\s*("(?:[^"\\]|\\.)*"|[^,]+)')


def _controls(source: str, folder: str | None) -> dict[str, _Control]:
    """Address of each control, as in DawDreamer's descriptions ("/dawdreamer/group/gain") -> the control."""
    import dawdreamer
    from dawdreamer.faust import FaustContext, box

    libraries = str(Path(dawdreamer.__file__).parent / "faustlibraries")
    search = [option for path in (folder, libraries) if path for option in ("-I", path)]
    with FaustContext():
        program = box.boxFromDSP(f'import("stdfaust.lib");\n{source}', search)
        code = str(box.boxToSource(program, "c", "Program"))
    found: dict[str, _Control] = {}
    metadata: dict[str, str] = {}
    groups: list[str] = []
    for call, rest in _CALL.findall(code):
        arguments = [a.strip().strip('"') for a in _ARGUMENT.findall(rest)]
        if call.startswith("open"):
            groups.append(arguments[0])
            metadata = {}
        elif call == "closeBox":
            groups.pop()
        elif call == "declare":
            metadata[arguments[1]] = arguments[2]
        elif call.startswith("add") and len(arguments) >= 2:
            numbers = [float(a.replace("(FAUSTFLOAT)", "").rstrip("f")) for a in arguments[2:]]
            found[_address([*groups, arguments[0]])] = _Control(call[3:], arguments[0], metadata, *numbers)
            metadata = {}
    return found


def _address(labels: list[str]) -> str:
    """In the compiler's notation: without unnamed groups (`0x00`), underscores for special characters."""
    return "".join("/" + re.sub(r"[ #*,/?\[\]{}()]", "_", label) for label in labels if label != "0x00")


def _short(source: str) -> str:
    text = " ".join(source.split())
    return text if len(text) <= 80 else f"{text[:77]}…"
