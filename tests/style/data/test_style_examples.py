"""The list of effects, synthetic sounds, and examples for the style encoder."""

from pathlib import Path

import numpy as np
import pytest
import torch

from blackbox_grad import InProcessHost, load
from blackbox_grad_adapters.style_matching.data import style_examples, synthetic
from blackbox_grad_adapters.style_matching.data.effect_list import HELD_FAMILIES, PROGRAMS, ListedEffect, listed, write
from blackbox_grad_adapters.style_matching.data.style_examples import SETTINGS, difference, shard, whole


class Pool:
    """Ten synthetic excerpts, each its own recording."""

    side, count, key = "train", 10, "ten"

    def __init__(self) -> None:
        sounds = [synthetic.draw(122_880, 44_100.0, np.random.default_rng(i)) for i in range(self.count)]
        self.audio = np.stack([np.repeat(0.25 * sound, 2, axis=0) for sound in sounds])
        self.groups = [str(i) for i in range(self.count)]


def loudness(x: torch.Tensor) -> torch.Tensor:
    return x.square().mean(dim=(1, 2))[:, None]


@pytest.fixture(scope="module")
def gain() -> ListedEffect:
    return ListedEffect("pedalboard-builtin:HighpassFilter", "Pedalboard", "equaliser", "cutoff_frequency_hz")


def test_the_list_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = listed()
    write(rows, tmp_path / "effects.csv")
    assert listed(tmp_path / "effects.csv") == rows
    assert len({row.address for row in rows}) == len(rows)


def test_enough_effects_are_used_and_some_are_held_out() -> None:
    used = [row for row in listed() if row.used]
    assert sum(not row.held for row in used) >= 150
    assert sum(row.held for row in used) >= 30
    assert not {row.family for row in used if not row.held} & set(HELD_FAMILIES)


@pytest.mark.parametrize("program", sorted(PROGRAMS.glob("*.dsp")), ids=lambda file: file.stem)
def test_each_faust_program_changes_the_sound(program: Path) -> None:
    effect = load(f"faust:{program}", sample_rate=44_100.0)
    x = np.repeat(0.25 * synthetic.draw(22_050, 44_100.0, np.random.default_rng(0)), 2, axis=0)
    ys = torch.from_numpy(np.stack([effect.render(x, np.full(len(effect.parameters), at)) for at in (0.3, 0.7)]))
    assert torch.isfinite(ys).all()
    assert difference(torch.from_numpy(x).expand_as(ys), ys).max() > 1e-3


def test_synthetic_sounds_are_finite_different_and_repeatable() -> None:
    sounds = [synthetic.draw(30_000, 44_100.0, np.random.default_rng(i)) for i in range(12)]
    again = [synthetic.draw(30_000, 44_100.0, np.random.default_rng(i)) for i in range(12)]
    assert all(np.array_equal(a, b) and np.abs(a).max() == pytest.approx(1.0) for a, b in zip(sounds, again, strict=True))
    assert not any(np.array_equal(sounds[0], other) for other in sounds[1:])


def test_a_gain_is_no_difference_and_noise_is() -> None:
    x = torch.randn(1, 2, 1000, generator=torch.Generator().manual_seed(0))
    assert difference(x, -0.3 * x) < 1e-5
    assert difference(x, torch.randn(1, 2, 1000, generator=torch.Generator().manual_seed(1))) > 0.9


def test_a_shard_is_repeatable_and_its_pairs_differ(gain: ListedEffect, tmp_path: Path) -> None:
    pool = Pool()
    files = [shard(gain, pool, 0, tmp_path / name, InProcessHost(), {"loudness": loudness}) for name in ("a", "b")]  # type: ignore[arg-type]
    assert files[0].name == files[1].name  # the name holds the hash of the content
    from safetensors.torch import load_file

    found = load_file(files[0])
    assert found["loudness"].shape == (SETTINGS, 2, 1)
    assert found["p"].shape == (SETTINGS, 1)
    assert (found["dry"][:, 0] != found["dry"][:, 1]).all()
    assert (found["dry"] % style_examples.PARTS == found["part"][:, None]).all()  # parts share no excerpts


def test_a_damaged_shard_is_rendered_again(gain: ListedEffect, tmp_path: Path) -> None:
    pool = Pool()
    file = shard(gain, pool, 1, tmp_path, InProcessHost(), {"loudness": loudness})  # type: ignore[arg-type]
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.warns(UserWarning, match="damaged"):
        again = shard(gain, pool, 1, tmp_path, InProcessHost(), {"loudness": loudness})  # type: ignore[arg-type]
    assert again.read_bytes() == content
    assert whole(tmp_path, again.name.rpartition("-")[0]) == again
