"""The cache of pairs: the same pairs, whole or rendered again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from blackbox_grad.errors import AudioError
from blackbox_grad_adapters.style_matching.data import shards
from blackbox_grad_adapters.style_matching.data.pairs import PairDataset
from blackbox_grad_adapters.style_matching.data.shards import PairShards
from blackbox_grad_adapters.style_matching.effect_path import EffectPath


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(shards, "SIZE", 4)


@pytest.fixture(scope="module")
def path():
    return EffectPath("pedalboard-builtin:Reverb")


@pytest.fixture
def data(path, tracks):
    return PairDataset(path, tracks, length=2048, augmentation=None)


def assert_same(a, b):
    assert all(torch.equal(a[name], b[name]) for name in b)


def files(cache):
    return sorted(cache.folder.glob("*.safetensors"))


@pytest.mark.parametrize("workers", [0, 2])
def test_the_cache_holds_the_pairs_of_the_dataset(data, tmp_path, workers):
    cache = PairShards(data, 10, tmp_path)
    seen = []
    cache.build(workers, lambda there, total: seen.append((there, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert len(cache) == 10
    for i in (0, 3, 4, 9):
        assert_same(cache[i], data.pair(i))
    with pytest.raises(IndexError):
        cache[10]


def test_shards_are_rendered_once(data, tmp_path, monkeypatch):
    PairShards(data, 8, tmp_path).build(0)
    expected = [data.pair(i) for i in range(8)]
    monkeypatch.setattr(PairDataset, "pair", None)
    again = PairShards(data, 8, tmp_path)
    again.build()
    for i in range(8):
        assert_same(again[i], expected[i])


def test_a_longer_cache_keeps_the_shards_of_a_shorter_one(data, tmp_path):
    PairShards(data, 3, tmp_path).build(0)
    longer = PairShards(data, 8, tmp_path)
    seen = []
    longer.build(0, lambda *progress: seen.append(progress))
    assert seen == [(2, 2)]


@pytest.mark.parametrize("number", range(4))
def test_whatever_pairs_depend_on_has_a_cache_of_its_own(path, tracks, data, tmp_path, number):
    other = [
        PairDataset(path, tracks, length=2048, augmentation=None, seed=1),
        PairDataset(path, tracks, length=2048),
        PairDataset(path, tracks, length=2048, augmentation=None, settings=[0.5] * path.size),
        PairDataset(
            EffectPath("pedalboard-builtin:Reverb", fixed={"freeze_mode": 1.0}), tracks, length=2048, augmentation=None
        ),
    ][number]
    assert PairShards(other, 4, tmp_path).folder != PairShards(data, 4, tmp_path).folder


def flip(content):
    return content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]


@pytest.mark.parametrize("spoil", [flip, lambda c: c[:1000], lambda c: b""], ids=["one bit", "cut off", "empty"])
@pytest.mark.parametrize("notice", [lambda cache: cache[5], lambda cache: cache.build(0)], ids=["reading", "building"])
def test_a_spoiled_shard_is_detected_and_rendered_again(data, tmp_path, spoil, notice):
    PairShards(data, 8, tmp_path).build(0)
    cache = PairShards(data, 8, tmp_path)
    file = files(cache)[1]
    whole = file.read_bytes()
    file.write_bytes(spoil(whole))
    with pytest.warns(UserWarning, match="00001-.* is damaged; rendering it again"):
        notice(cache)
    assert_same(cache[5], data.pair(5))
    assert file.read_bytes() == whole


@pytest.mark.parametrize("workers", [0, 1])
def test_after_a_full_disk_the_rest_is_rendered(data, tmp_path, monkeypatch, workers):
    cache, write = PairShards(data, 12, tmp_path), Path.write_bytes

    def full(path, content):
        if files(cache) and path.name.startswith(".0"):
            write(path, content[:100])
            raise OSError(28, "No space left on device")
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(
            AudioError, match=r"safetensors: cannot be written \(No space left on device\); make room there, or"
        ):
            cache.build(workers)
    assert len(files(cache)) == 1
    assert not list(cache.folder.glob(".*"))
    seen = []
    cache.build(0, lambda *progress: seen.append(progress))
    assert seen == [(2, 3), (3, 3)]
    assert_same(cache[11], data.pair(11))


def test_a_shuffling_loader_with_workers_reads_it(data, tmp_path):
    cache = PairShards(data, 8, tmp_path)
    cache.build(0)
    assert cache[0]["p"].shape == (5,)  # open here before the workers begin
    loader = torch.utils.data.DataLoader(cache, batch_size=4, shuffle=True, num_workers=2, timeout=240)
    read = {p.numpy().tobytes() for batch in loader for p in batch["p"]}
    assert read == {data.pair(i)["p"].numpy().tobytes() for i in range(8)}


def test_an_empty_cache_is_refused(data, tmp_path):
    with pytest.raises(AudioError, match="count=0 must be 1 or more"):
        PairShards(data, 0, tmp_path)
