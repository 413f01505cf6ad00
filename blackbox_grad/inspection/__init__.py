"""What an effect really does, measured. Needs numpy and a host, not torch."""

from __future__ import annotations

from blackbox_grad.inspection.examination import inspect_effect
from blackbox_grad.inspection.neutral import Neutral, find_neutral
from blackbox_grad.inspection.renders import InspectionProgress
from blackbox_grad.inspection.results import Agreement, Curve, Inspection, ParameterInspection, Region
from blackbox_grad.inspection.scanning import Scanned, scan
from blackbox_grad.inspection.sound_path import SoundPath

__all__ = [
    "Agreement",
    "Curve",
    "Inspection",
    "InspectionProgress",
    "Neutral",
    "ParameterInspection",
    "Region",
    "Scanned",
    "SoundPath",
    "find_neutral",
    "inspect_effect",
    "scan",
]
