"""The training of the style encoder, on made-up features: it learns, repeats itself to the bit, and continues."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from blackbox_grad_adapters.style_matching import StyleEncoder
from blackbox_grad_adapters.style_matching.training.stage import Fitted
from blackbox_grad_adapters.style_matching.training.style_training import StyleExamples, StylePlan, train_style_encoder

SIZE = 2675
PLAN = StylePlan(epochs=4, batch=16, together=4)


@pytest.fixture(scope="module")
def examples() -> StyleExamples:
    """Four effects with two parameters: each moves features along its own directions, on dry recordings that differ."""
    generator = torch.Generator().manual_seed(0)
    effect = torch.arange(4).repeat_interleave(24)
    p = torch.rand(96, 2, generator=generator)
    pool = torch.randn(20, SIZE, generator=generator)
    dry = torch.randint(20, (96, 2), generator=generator)
    directions = torch.randn(4, 2, SIZE, generator=generator)
    moved = torch.einsum("np,npf->nf", p + 0.2, directions[effect])
    features = pool[dry] + 2 * moved[:, None]
    return StyleExamples(features.half(), dry, torch.full((96, 2), 0.1), effect, p, torch.full((4,), 2), pool.half())


def trained(examples: StyleExamples, folder: Path, **options: Any) -> tuple[StyleEncoder, Fitted]:
    torch.manual_seed(0)
    encoder = StyleEncoder(latent=16, widths=(32,))
    return train_style_encoder(encoder, examples, examples, folder, PLAN, **options)


def test_it_learns_and_two_runs_are_equal_to_the_bit(examples: StyleExamples, tmp_path: Path) -> None:
    encoder, fitted = trained(examples, tmp_path / "a")
    assert fitted.history[-1]["validation/contrast"] < 0.8 * fitted.history[0]["validation/contrast"]
    assert encoder.fingerprint == trained(examples, tmp_path / "b")[0].fingerprint


def test_a_run_that_was_stopped_ends_with_the_same_weights(examples: StyleExamples, tmp_path: Path) -> None:
    def stop(stage: str, row: dict[str, float]) -> None:
        if row["epoch"] == 1:
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, SystemExit)):
        trained(examples, tmp_path / "stopped", on_epoch=stop)
    encoder, fitted = trained(examples, tmp_path / "stopped")
    assert len(fitted.history) == PLAN.epochs
    assert encoder.fingerprint == trained(examples, tmp_path / "whole")[0].fingerprint


def test_one_channel_hides_the_two(examples: StyleExamples) -> None:
    """Where audio has one channel, the features of the two are constants: those that training puts there."""
    encoder = StyleEncoder(latent=16, widths=(32,))
    encoder.standardise(examples.features.flatten(0, 1))
    x = torch.randn(1, 1, encoder.length, generator=torch.Generator().manual_seed(3)).expand(-1, 2, -1)
    assert torch.allclose(encoder.representation(x)[0, -len(encoder.mono) :], encoder.mono, atol=0.05)
