"""Memory shared with hosts: arrays belong to the caller who holds them, and are reused when released."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

import blackbox_grad as bg
from blackbox_grad.hosts.shared_memory import SharedMemory

GAIN = bg.EffectSpec.of("reference:gain")
LARGE = np.ones((2, 1, 50_000), np.float32)


def address(array):
    return array.__array_interface__["data"][0]


def test_memory_is_used_again_when_its_last_array_is_gone():
    memory = SharedMemory(lambda block: None)
    first = memory.empty((100,))
    part, there = first[10:], address(first)
    del first
    second = memory.empty((100,))
    assert address(second) != there
    del part
    assert address(memory.empty((100,))) == there


def test_memory_that_a_host_may_still_write_to_is_not():
    dropped = []
    memory = SharedMemory(dropped.append)
    array = memory.empty((100,))
    memory.spoil(array)
    number = memory.block_of(array).number
    del array
    memory.empty((100,))
    assert dropped == [number]


def test_audio_in_shared_memory_is_not_copied_again():
    with bg.ProcessPool(hosts=1) as pool:
        shared = pool.share(LARGE)
        assert address(shared) != address(LARGE)
        assert pool.share(shared) is shared
        y, _ = pool.render_batch(GAIN, shared, np.full((2, 1), 0.5))
        assert pool.share(y) is y  # the next effect in line reads it where it is


@pytest.mark.slow
def test_a_data_set_of_results_does_not_use_up_file_descriptors():
    with bg.ProcessPool(hosts=1) as pool:
        before = len(os.listdir("/proc/self/fd"))
        kept = [pool.render_batch(GAIN, LARGE, np.full((2, 1), i / 200))[0] for i in range(200)]
        assert len(os.listdir("/proc/self/fd")) < before + 80
        expected = [bg.InProcessHost().render_batch(GAIN, LARGE, np.full((2, 1), i / 200))[0] for i in range(200)]
        np.testing.assert_array_equal(kept, expected)


@pytest.mark.parametrize("samples", [64, 50_000])
def test_graphs_that_wait_for_their_backward_do_not_either(samples):
    with bg.ProcessPool(hosts=1) as pool:
        layer = bg.DifferentiableEffect("reference:gain", estimator="finite-difference", host=pool)
        p = torch.tensor([[0.5]], requires_grad=True)
        before = len(os.listdir("/proc/self/fd"))
        total = sum(layer(torch.ones(1, 1, samples), p).mean() for _ in range(150))
        assert len(os.listdir("/proc/self/fd")) < before + 90
        total.backward()
        once = layer(torch.ones(1, 1, samples), p).mean()
        np.testing.assert_allclose(p.grad, 150 * torch.autograd.grad(once, p)[0], rtol=1e-3)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_after_a_fork_parent_and_child_change_their_audio_apart():
    with bg.ProcessPool(hosts=1) as pool:
        y, _ = pool.render_batch(GAIN, LARGE, np.full((2, 1), 0.5))
        expected = y.copy()
        ready, go = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            os.read(go[0], 1)  # the parent has changed its own, and rendered into all memory that it thinks is free
            same = np.array_equal(y, expected)
            y[...] = 7.0
            os.write(ready[1], b"1" if same else b"0")
            os._exit(0)
        y *= 2.0
        mine = y.copy()
        del y
        for _ in range(20):
            pool.render_batch(GAIN, -LARGE, np.full((2, 1), 0.5))
        os.write(go[1], b"1")
        assert os.read(ready[0], 1) == b"1"
        os.waitpid(child, 0)
        np.testing.assert_array_equal(mine, 2.0 * expected)
        for descriptor in (*ready, *go):
            os.close(descriptor)


def test_results_outlive_their_pool():
    with bg.ProcessPool(hosts=1) as pool:
        y, _ = pool.render_batch(GAIN, LARGE, np.full((2, 1), 0.5))
        expected = y.copy()
    del pool
    np.testing.assert_array_equal(y, expected)
