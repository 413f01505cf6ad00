"""One family of errors. Each message says what happened, with which values, and what to do.

The whole message is an error's only argument, so that it survives pickling between processes.
"""

from __future__ import annotations

import difflib
import itertools
import os
from collections.abc import Iterable


class BlackboxGradError(Exception):
    """Base of every error that blackbox_grad raises on purpose."""


class AddressError(BlackboxGradError, ValueError):
    """An effect address cannot be read, or no backend claims it."""


class EffectNotFoundError(BlackboxGradError, FileNotFoundError):
    """The plug-in, file or built-in effect that an address names does not exist."""

    def __str__(self) -> str:  # FileNotFoundError would print an errno
        return str(self.args[0]) if self.args else ""


class EffectLoadError(BlackboxGradError, RuntimeError):
    """The effect exists and could not be opened."""


class MissingDependencyError(BlackboxGradError, ImportError):
    """An optional library is not installed; the message names the extra."""


class ParameterError(BlackboxGradError, ValueError):
    """A parameter's name or value is not allowed."""


class AudioError(BlackboxGradError, ValueError):
    """Audio has a wrong shape, type, channel count or content."""


class EstimatorError(BlackboxGradError, ValueError):
    """An estimator was configured for, or asked for, something that it cannot do."""


class RenderError(BlackboxGradError, RuntimeError):
    """A render failed: the effect raised, crashed its host or exceeded its time limit."""


class RenderTimeoutError(RenderError):
    """A render, or opening an effect, exceeded its time limit."""


class NonFiniteAudioError(RenderError):
    """A forward render holds NaN or infinity."""


class HostError(BlackboxGradError, RuntimeError):
    """A host process cannot be started or used."""


class SecondDerivativeError(BlackboxGradError, RuntimeError):
    """A second derivative was requested: a gradient estimate cannot be differentiated."""


class DeadParameterWarning(UserWarning):
    """Some free parameters change nothing while the others are held: their gradient is 0."""


class NotRepeatableWarning(UserWarning):
    """Equal renders of an effect differ, so a probe of its gradient is the mean of several."""


#: Names listed in one message.
MOST_NAMES = 40

#: Characters of these names: of long ones, such as URIs, fewer are listed.
MOST_CHARACTERS = 800


def suggest(name: str, known: Iterable[str]) -> str:
    """The tail of an "unknown name" message: the nearest known names, else all of them: some of many, or of long ones.

    >>> suggest("Drvie", ["Drive", "Tone"])
    "did you mean 'Drive'? Known: Drive, Tone"
    >>> suggest("Mix", ["Drive", "Tone"])
    "known: Drive, Tone"
    """
    names = list(known)
    ending = os.path.splitext(name)[1].lower()  # two names are not similar because both end in .vst3
    lowered = {n.lower().removesuffix(ending): n for n in names}
    close = difflib.get_close_matches(name.lower().removesuffix(ending), lowered, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(repr(lowered[c]) for c in close)}? " if close else ""
    lengths = itertools.accumulate(len(n) + 2 for n in names)
    count = sum(length <= MOST_CHARACTERS for length in itertools.islice(lengths, MOST_NAMES))
    shown = names if len(names) == count else [*names[:count], f"… ({len(names)} in all)"]
    return f"{hint}{'Known' if hint else 'known'}: {', '.join(shown) if shown else 'none'}"
