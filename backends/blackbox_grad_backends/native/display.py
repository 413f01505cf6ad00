"""Plug-ins with windows of Qt, on a machine without a display.

synthv1, padthv1 and others make a `QApplication` when they are opened, and Qt ends a process that has no display.
"""

from __future__ import annotations

import os
import sys


def without_windows() -> None:
    """Where there is no display, have Qt draw into memory. What the user says in `QT_QPA_PLATFORM` stays."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
