"""The controls of a DawDreamer processor, as parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blackbox_grad.parameters import Parameter
from blackbox_grad_backends.native import lv2_parameters, plugin_parameters
from blackbox_grad_backends.native.lv2_description import PluginDescription, Port
from blackbox_grad_backends.native.lv2_parameters import HostRange, describe_port, ports_of_controls


class Control:
    """A parameter of a DawDreamer processor, with the attributes that Pedalboard's native parameters have, and its LV2 port."""

    def __init__(self, processor: Any, description: Mapping[str, Any], port: Port | None) -> None:
        self._processor, self.port = processor, port
        self.index: int = description["index"]
        self.name: str = description["name"]
        self.label: str = description["label"]
        self.num_steps: int = description["numSteps"]
        self.is_boolean: bool = description["isBoolean"]
        self.is_automatable: bool = description["isAutomatable"]
        self.raw_value = float(processor.get_parameter(self.index))

    def get_text_for_raw_value(self, value: float) -> str:
        """DawDreamer gives only the text of the present value: set the value, read the text, and restore the value."""
        self._processor.set_parameter(self.index, value)
        text = str(self._processor.get_parameter_text(self.index))
        self._processor.set_parameter(self.index, self.raw_value)
        return text


def controls(processor: Any, lv2: PluginDescription | None) -> list[Control]:
    """The controls that are for the user."""
    listed = processor.get_parameters_description()
    ports = ports_of_controls(lv2, [d["name"] for d in listed]) if lv2 else [None] * len(listed)
    found = [Control(processor, *pair) for pair in zip(listed, ports, strict=True)]
    return [c for c in found if not _is_for_the_host(c)]


def _is_for_the_host(control: Control) -> bool:
    port = control.port
    return plugin_parameters.is_for_the_host(control) if port is None else lv2_parameters.is_for_the_host(port)


def described(found: Sequence[Control]) -> tuple[tuple[Parameter, ...], tuple[HostRange | None, ...]]:
    """Parameter and range of each control. An LV2's are in its files; others are read from the texts that the plug-in shows."""
    both = [(plugin_parameters.describe(c), None) if c.port is None else describe_port(c.port, c.raw_value) for c in found]
    return tuple(parameter for parameter, _ in both), tuple(reach for _, reach in both)
