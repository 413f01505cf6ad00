"""Style matching: set an effect so that one recording sounds like another. The names below are loaded at first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blackbox_grad.dependencies import lazy_names

if TYPE_CHECKING:
    from blackbox_grad_adapters.style_matching.data.augmentation import Augmentation as Augmentation
    from blackbox_grad_adapters.style_matching.data.corpora import corpus as corpus
    from blackbox_grad_adapters.style_matching.data.pairs import Pair as Pair
    from blackbox_grad_adapters.style_matching.data.pairs import PairDataset as PairDataset
    from blackbox_grad_adapters.style_matching.data.recordings import Tracks as Tracks
    from blackbox_grad_adapters.style_matching.data.recordings import in_folder as in_folder
    from blackbox_grad_adapters.style_matching.data.shards import PairShards as PairShards
    from blackbox_grad_adapters.style_matching.effect_path import EffectPath as EffectPath
    from blackbox_grad_adapters.style_matching.matching.matcher import StyleMatcher as StyleMatcher
    from blackbox_grad_adapters.style_matching.matching.result import StyleMatch as StyleMatch
    from blackbox_grad_adapters.style_matching.matching.search import StyleSearch as StyleSearch
    from blackbox_grad_adapters.style_matching.networks.controller import Controller as Controller
    from blackbox_grad_adapters.style_matching.networks.encoder import Encoder as Encoder
    from blackbox_grad_adapters.style_matching.networks.style_encoder import StyleEncoder as StyleEncoder
    from blackbox_grad_adapters.style_matching.training.controller_training import train_controller as train_controller
    from blackbox_grad_adapters.style_matching.training.encoder_training import train_encoder as train_encoder

_HOME = {
    "Augmentation": "data.augmentation",
    "Controller": "networks.controller",
    "EffectPath": "effect_path",
    "Encoder": "networks.encoder",
    "Pair": "data.pairs",
    "PairDataset": "data.pairs",
    "PairShards": "data.shards",
    "StyleEncoder": "networks.style_encoder",
    "StyleMatch": "matching.result",
    "StyleMatcher": "matching.matcher",
    "StyleSearch": "matching.search",
    "Tracks": "data.recordings",
    "corpus": "data.corpora",
    "in_folder": "data.recordings",
    "train_controller": "training.controller_training",
    "train_encoder": "training.encoder_training",
}

__getattr__, __dir__, __all__ = lazy_names(__name__, _HOME)
