"""A map of an effect: a plane of its sounds, in which every point is a setting, as one HTML page."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from blackbox_grad.audio_files import MP3, encoded
from blackbox_grad.effects import Audio, EffectInfo
from blackbox_grad.parameters import FloatArray, Parameter
from blackbox_grad.reports import figures, render_page, write_page
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.maps.cloud import cloud, heard
from blackbox_grad_adapters.style_matching.maps.plane import plane
from blackbox_grad_adapters.style_matching.maps.way_back import WayBack, fitted
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder
from blackbox_grad_adapters.style_matching.networks.style_encoder import StyleEncoder

#: Decimals of the places and settings in the page, and in all computations.
_DECIMALS = 4

#: Values at which the page holds a parameter's native text.
_TEXTS = 201

#: Cells. A cell of the grid is rendered if a known place is at most this far away.
_REACH = 1.5


@dataclass(frozen=True)
class ControlMap:
    """An effect in a plane, with its sounds.

    Attributes:
        info: the effect.
        way_back: from the plane, the unit square, to settings.
        explained: share of the embeddings' variance that the way back explains at places that it did not know.
        cells: `[M, 2]`, the places of the sounds.
        sounds: `M` recordings `[C, T]`, of the excerpt at the settings of each cell.
        dry: the excerpt, `[C, T]`.
        sample_rate: Hz.
    """

    info: EffectInfo
    way_back: WayBack
    explained: float
    cells: FloatArray
    sounds: list[Audio]
    dry: Audio
    sample_rate: float


def control_map(
    path: EffectPath, encoder: StyleEncoder | Encoder, x: Tensor, *, points: int = 400, grid: int = 20, seed: int = 0
) -> ControlMap:
    """Make the map of an effect.

    Args:
        path: the effect, at the encoder's sample rate.
        x: `[C, T]`, the input.
        points: settings that are rendered to find the plane.
        grid: rows and columns of the grid of sounds in the page; cells far from all settings have none.
        seed: of everything random.

    Raises:
        AudioError: `x` or the effect's output is silent.
    """
    known = cloud(path, encoder, x, points, seed)
    e = known.e.double().numpy()
    places, settings = plane(e, "UMAP", seed).round(_DECIMALS), known.p.double().numpy().round(_DECIMALS)
    way_back, explained = fitted(
        places, settings, e, lambda p: heard(path, encoder, x[None], torch.from_numpy(p).float())[0].double().numpy()
    )
    cells = _cells(places, grid)
    with torch.no_grad():
        sounds = [path(x[None], p[None].float())[0].numpy() for p in torch.from_numpy(way_back(cells))]
        dry = path.dry(x[None])[0].numpy()
    return ControlMap(path.effect.info, way_back, explained, cells, sounds, dry, path.sample_rate)


def write_control_map(path: str | os.PathLike[str], made: ControlMap, command: str) -> None:
    """Write the self-contained page, whole or not at all.

    Raises:
        AudioError: the path cannot be written, or MP3 does not support the sample rate.
    """
    parameters = tuple(made.info.parameters)
    data = {
        "places": made.way_back.places.tolist(),
        "settings": made.way_back.settings.tolist(),
        "width": made.way_back.width,
        "names": [parameter.name for parameter in parameters],
        "texts": [_texts(parameter) for parameter in parameters],
        "cells": made.cells.tolist(),
        "sounds": [mp3(sound, made.sample_rate) for sound in (*made.sounds, made.dry)],
        "rate": made.sample_rate,
        "address": made.info.spec.address,
    }
    page = render_page(
        "map.html",
        package="blackbox_grad_adapters.style_matching",
        made=made,
        parameters=parameters,
        data=data,
        colours=figures.gradient("viridis"),
        command=command,
    )
    write_page(path, page)


def mp3(audio: Audio, sample_rate: float) -> str:
    """`[C, T]` as MP3, which every browser decodes, in base64. Raises `AudioError` at a sample rate that MP3 does not have."""
    return base64.b64encode(encoded(np.clip(audio, -1.0, 1.0), sample_rate, MP3)).decode()


def _cells(places: FloatArray, grid: int) -> FloatArray:
    """Middles `[M, 2]` of the cells of a grid over the unit square, for the cells near a known place."""
    middles = (np.arange(grid) + 0.5) / grid
    cells = np.stack(np.meshgrid(middles, middles), axis=-1).reshape(-1, 2)
    nearest = np.sqrt(np.square(cells[:, None] - places[None]).sum(axis=2)).min(axis=1)
    return np.asarray(cells[nearest <= _REACH / grid].round(_DECIMALS))


def _texts(parameter: Parameter) -> list[str]:
    return [parameter.text(float(value)) for value in np.linspace(0.0, 1.0, _TEXTS)]
