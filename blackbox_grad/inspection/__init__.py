"""What an effect really does, measured: the plug-in's doctor. It needs numpy and a host, and no torch."""

from __future__ import annotations

from blackbox_grad.inspection.examination import inspect_effect
from blackbox_grad.inspection.renders import Progress
from blackbox_grad.inspection.results import Agreement, Curve, Inspection, ParameterInspection, Region

__all__ = ["Agreement", "Curve", "Inspection", "ParameterInspection", "Progress", "Region", "inspect_effect"]
