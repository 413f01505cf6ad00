"""`match`: the settings with which an effect turns one recording into another."""

from __future__ import annotations

from blackbox_grad.matching.match import match
from blackbox_grad.matching.result import Match, Progress

__all__ = ["Match", "Progress", "match"]
