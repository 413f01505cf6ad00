"""Distances between recordings."""

from __future__ import annotations

from blackbox_grad.losses.base import FeatureLoss
from blackbox_grad.losses.by_name import Loss, Sum, loss_for, loss_name, loss_names
from blackbox_grad.losses.envelope import Envelope
from blackbox_grad.losses.function import FunctionLoss
from blackbox_grad.losses.mel import Mel
from blackbox_grad.losses.mrstft import MultiResolutionSTFT
from blackbox_grad.losses.spectra import mel_filters, power_spectrogram
from blackbox_grad.losses.tones import Tones
from blackbox_grad.losses.waveform import Waveform

__all__ = [
    "Envelope",
    "FeatureLoss",
    "FunctionLoss",
    "Loss",
    "Mel",
    "MultiResolutionSTFT",
    "Sum",
    "Tones",
    "Waveform",
    "loss_for",
    "loss_name",
    "loss_names",
    "mel_filters",
    "power_spectrogram",
]
