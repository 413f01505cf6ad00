"""What a host says to its parent, as JSON.

A host runs a plug-in's native code, which could make it say anything. A pickle would run code in the parent; JSON holds numbers and
text, and only the classes that are listed here are made of it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from numbers import Integral, Real
from typing import Any, TypeAlias

import numpy as np

from blackbox_grad import errors
from blackbox_grad.effects.opening import EffectInfo, SelectedEffect
from blackbox_grad.effects.presets import StoredPreset
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import BlackboxGradError
from blackbox_grad.parameters.knots import Knot
from blackbox_grad.parameters.parameter import Parameter
from blackbox_grad.parameters.space import ParameterSpace


@dataclass(frozen=True)
class Ready:
    """The host has started."""


@dataclass(frozen=True)
class Opening:
    """The host opens an effect, or closes another one for it, from now on."""


@dataclass(frozen=True)
class Opened:
    """The host has opened the effect."""


@dataclass(frozen=True)
class Done:
    """No render of the call is left to take."""


@dataclass(frozen=True)
class Failed:
    """An exception, and the `index` of the render that raised it; -1 for what comes before renders."""

    error: BlackboxGradError
    index: int = -1


@dataclass(frozen=True)
class Told:
    """What an effect answered, as a plain value."""

    value: Any


#: What the backend learnt about an effect, and about each part of a chain.
Learnt: TypeAlias = "tuple[dict[str, Any], tuple[Learnt, ...]]"


@dataclass(frozen=True)
class Description:
    """An `EffectInfo` without its spec, which the parent has."""

    facts: dict[str, Any]
    learnt: Learnt

    @classmethod
    def of(cls, effect: SelectedEffect) -> Description:
        """What the backend learnt is left out where it is not plain: the next host measures it again."""
        facts = {f.name: getattr(effect, f.name) for f in fields(EffectInfo) if f.name != "spec"}
        return cls(facts, _learnt(effect.spec))

    def info(self, spec: EffectSpec) -> EffectInfo:
        """Raises `KeyError`, `TypeError` or `ValueError` if this describes no effect."""
        for name, kind in _KINDS.items():
            if not isinstance(self.facts[name], kind):
                raise TypeError(f"{name} is {self.facts[name]!r}")
        space: ParameterSpace = self.facts["parameters"]
        known = range(len(space.everything))
        if len(space.held) != len(known) or not all(index in known for index in space.free):
            raise ValueError("the parameters do not fit each other")
        return EffectInfo(**self.facts, spec=_taught(spec, self.learnt))


Answer: TypeAlias = "Ready | Opening | Opened | Done | Failed | Told | Description"

_KINDS: dict[str, Any] = {
    "name": str, "parameters": ParameterSpace, "sample_rate": Real, "latency": int, "repeatability": Real, "layout": str,
    "notes": tuple, "takes": str, "beside": str,
}  # fmt: skip


def _learnt(spec: EffectSpec) -> Learnt:
    return {name: value for name, value in spec.learnt if _is_plain(value)}, tuple(map(_learnt, spec.parts))


def _is_plain(value: Any) -> bool:
    try:
        _plain(value)
    except TypeError:
        return False
    return True


def _taught(spec: EffectSpec, learnt: Learnt) -> EffectSpec:
    here, parts = learnt
    return replace(
        spec,
        learnt=tuple(here.items()),
        parts=tuple(_taught(part, known) for part, known in zip(spec.parts, parts, strict=True)),
    )


def portable(error: Exception, address: str) -> BlackboxGradError:
    """One of our errors, which names the effect, for an error from anywhere."""
    if not isinstance(error, BlackboxGradError):
        return errors.EffectLoadError(f"{address}: {type(error).__name__}: {error}")
    return next(kind for kind in type(error).__mro__ if _ERRORS.get(kind.__name__) is kind)(str(error))


def encode(answer: Answer) -> bytes:
    """Raises `TypeError` for a value that is not plain."""
    if isinstance(answer, Done):  # the one that every call needs
        return _DONE
    return json.dumps(_plain(answer)).encode("ascii")


def decode(data: bytes) -> Answer:
    """Raises `ValueError` if it is not an answer."""
    if data == _DONE:
        return Done()
    try:
        answer = _made(json.loads(data))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError, BlackboxGradError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not isinstance(answer, (Ready, Opening, Opened, Done, Failed, Told, Description)):
        raise ValueError(f"{type(answer).__name__} is no answer")
    return answer


_DONE = b'{"is": "Done"}'

#: The key of an object that tells its class.
_CLASS = "is"

_ERRORS: dict[str, type[BlackboxGradError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, BlackboxGradError)
}

_DATACLASSES: dict[str, Any] = {
    kind.__name__: kind for kind in (Ready, Opening, Opened, Done, Failed, Told, Description, Parameter, Knot, StoredPreset)
}


def _plain(value: Any) -> Any:
    """What JSON can hold. A tuple becomes a list; every other class tells its name."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, (list, frozenset)):
        return {_CLASS: type(value).__name__, "values": [_plain(v) for v in value]}
    if isinstance(value, dict):
        return {_CLASS: "dict", "items": [[_plain(k), _plain(v)] for k, v in value.items()]}
    if isinstance(value, bytes):
        return {_CLASS: "bytes", "base64": base64.b64encode(value).decode("ascii")}
    if isinstance(value, ParameterSpace):
        return {_CLASS: "ParameterSpace", "arguments": _plain((value.everything, value.free, value.held))}
    if isinstance(value, BlackboxGradError):
        return {_CLASS: "error", "kind": type(value).__name__, "message": str(value)}
    kind = type(value)
    if _DATACLASSES.get(kind.__name__) is not kind:
        raise TypeError(f"{kind.__name__} is not plain")
    return {_CLASS: kind.__name__} | {f.name: _plain(getattr(value, f.name)) for f in fields(kind)}


def _made(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_made, value))
    if not isinstance(value, dict):
        return value
    content = {key: _made(v) for key, v in value.items() if key != _CLASS}
    name = value[_CLASS]
    if name in _DATACLASSES:
        made = _DATACLASSES[name](**content)
        if isinstance(made, Failed) and not (isinstance(made.error, BlackboxGradError) and isinstance(made.index, int)):
            raise TypeError("a failure without an error")
        return made
    return _MAKERS[name](**content)


_MAKERS: dict[str, Callable[..., Any]] = {
    "list": lambda values: list(values),
    "frozenset": lambda values: frozenset(values),
    "dict": lambda items: dict(items),
    "bytes": lambda base64: _bytes(base64),
    "ParameterSpace": lambda arguments: ParameterSpace(*arguments),
    "error": lambda kind, message: _ERRORS[kind](str(message)),
}


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
