"""Which units convert into each other, and how numbers become text."""

from __future__ import annotations

import re

import numpy as np

#: unit -> (base unit, factor): how the units of one family convert into each other.
UNITS = {
    "s": ("s", 1.0), "sec": ("s", 1.0), "ms": ("s", 1e-3), "us": ("s", 1e-6),
    "hz": ("hz", 1.0), "khz": ("hz", 1e3),
    "db": ("db", 1.0), "%": ("%", 1.0), "st": ("st", 1.0), "semitones": ("st", 1.0), "bits": ("bits", 1.0),
}  # fmt: skip

NUMBER_WITH_UNIT = re.compile(r"^\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*?)\s*$")


def digits(number: float) -> str:
    """Four digits; an exponent only where people write one.

    >>> digits(20000.0), digits(0.08001), digits(1e-7)
    ('20000', '0.08001', '1e-07')
    """
    if number and not 1e-4 <= abs(number) < 1e6:
        return f"{number:.4g}"
    return np.format_float_positional(float(f"{number:.4g}"), trim="-")
