"""Hosts that hang, are stopped or are killed: whose fault it is, and what a call makes of it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from processes import alive, faulty, hosts_of, state, wait_until

import blackbox_grad as bg
from blackbox_grad.errors import HostError, RenderError, RenderTimeoutError
from blackbox_grad.hosts import ending, host_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

RNG = np.random.default_rng(0)
AUDIO = RNG.standard_normal((6, 1, 200), dtype=np.float32) * 0.1
CLIP = bg.EffectSpec.of("reference:soft-clip")
POINTS = RNG.random((6, 2))
EXPECTED = bg.InProcessHost().render_batch(CLIP, AUDIO, POINTS)[0]


@pytest.fixture
def made(_third_party_path):
    """Makes pools, and knows their hosts."""
    pools: list[bg.ProcessPool] = []

    def make(**options) -> tuple[bg.ProcessPool, list[int]]:
        before = set(hosts_of(os.getpid()))
        pool = bg.ProcessPool(**options)
        pools.append(pool)

        def started() -> list[int]:
            pool.render_batch(CLIP, AUDIO, POINTS)
            return sorted(set(hosts_of(os.getpid())) - before)

        assert wait_until(lambda: len(started()) == pool.hosts)
        assert wait_until(lambda: all(w.phase == "idle" for w in pool._members.owners) or not started())
        return pool, sorted(set(hosts_of(os.getpid())) - before)

    yield make
    for pool in pools:
        pool.close()


def renders(pool: bg.ProcessPool) -> bool:
    return np.array_equal(pool.render_batch(CLIP, AUDIO, POINTS)[0], EXPECTED)


# hung and stopped


def test_a_call_does_not_wait_for_an_idle_host_that_is_stopped(made, monkeypatch):
    monkeypatch.setattr(host_process, "GRACE", 1e6)  # who waits for it waits for ever
    pool, hosts = made(hosts=2)
    for host in hosts:
        os.kill(host, signal.SIGSTOP)
        assert wait_until(lambda host=host: state(host) == "T")
        assert all(renders(pool) for _ in range(5))
        assert state(host) == "T", "it is left behind, not ended"
        os.kill(host, signal.SIGCONT)
        assert wait_until(lambda: renders(pool) and all(not worker.owes for worker in pool._members.owners))
    assert pool.replaced == 0, "it takes part again"


def test_the_only_host_is_replaced_if_it_is_stopped(made, monkeypatch):
    monkeypatch.setattr(host_process, "GRACE", 0.5)
    pool, (host,) = made(hosts=1)
    os.kill(host, signal.SIGSTOP)
    assert renders(pool)
    assert not alive(host)
    assert pool.replaced == 1


def test_a_call_does_not_wait_for_a_host_that_hangs_while_it_opens(made, tmp_path):
    pool, _ = made(hosts=2)
    spec = faulty("hang-opening-again", once=str(tmp_path / "opened"))
    points = np.full((6, 1), 0.4)
    for _ in range(3):
        y, _ = pool.render_batch(spec, AUDIO, points)
        np.testing.assert_array_equal(y, AUDIO * np.float32(0.4))
    assert pool.replaced == 0, "it is left behind, not ended"
    assert renders(pool), "the other host works for everybody"


@pytest.mark.parametrize("fault", ["stop", "stop-with-every-lock"])
def test_a_host_that_is_stopped_in_a_render_takes_no_other_with_it(made, tmp_path, fault, monkeypatch):
    """It may hold the lock with which hosts take renders: nobody waits for that."""
    monkeypatch.setattr(host_process, "GRACE", 1.0)
    pool, _ = made(hosts=2, time_limit=1.0)
    replaced = pool.replaced
    spec = faulty(fault, once=str(tmp_path / "stopped"))
    points = np.array([[0.1], [0.2], [0.9], [0.3], [0.4], [0.25]])
    y, _ = pool.render_batch(spec, AUDIO, points)
    np.testing.assert_array_equal(y, AUDIO * points[..., None].astype(np.float32))
    assert pool.replaced == replaced + 1, "only the stopped one was ended"


# killed


@contextlib.contextmanager
def killing(shortest: float, longest: float) -> Iterator[list[int]]:
    """Meanwhile, one host after another is killed, whatever it is doing: starting, idle, opening, rendering."""
    stop, killed, choose = threading.Event(), [], random.Random(0)

    def kill() -> None:
        while not stop.wait(choose.uniform(shortest, longest)):
            for host in choose.sample(hosts := hosts_of(os.getpid()), min(1, len(hosts))):
                os.kill(host, signal.SIGKILL)
                killed.append(host)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield killed
    finally:
        stop.set()
        killer.join()


@pytest.mark.parametrize(
    ("count", "shortest", "longest"), [(5, 0.1, 0.4), pytest.param(200, 0.05, 0.2, marks=pytest.mark.slow)]
)
def test_kills_from_outside_fail_no_call(made, count, shortest, longest):
    pool, _ = made(hosts=2)
    with killing(shortest, longest) as killed:
        assert wait_until(lambda: renders(pool) and len(killed) >= count, 300)
    assert renders(pool)


def test_kills_from_outside_are_given_up_in_the_end(made, monkeypatch):
    pool, _ = made(hosts=1)
    monkeypatch.setattr(ending, "_PATIENCE", 0.0)
    monkeypatch.setattr(ending, "_MOST_DEATHS", 4)
    with (
        killing(0.005, 0.01),
        pytest.raises(HostError, match=r"4 host processes were killed from outside in a row \(SIGKILL\)"),
    ):
        assert not wait_until(lambda: not renders(pool))
    assert renders(pool)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("exit", "a render ended its host with exit code 3 in 2 host processes"),
        ("exit-at-once", "a render ended its host with exit code 0 in 2 host processes"),
        ("crash", "a render crashed with SIGSEGV in 2 host processes"),
        ("abort", "a render crashed with SIGABRT in 2 host processes"),
        ("hang", "a render exceeded its time limit of 1 s in 2 host processes"),
    ],
)
def test_what_ended_a_host_is_told_apart(made, fault, said):
    pool, _ = made(hosts=1, time_limit=1.0)
    with pytest.raises(RenderError, match=f"faulty:{fault}: {said}") as caught:
        pool.render_batch(faulty(fault), AUDIO[:1], np.array([[0.9]]))
    assert isinstance(caught.value, RenderTimeoutError) == (fault == "hang")
    assert renders(pool)


@pytest.mark.parametrize("called", ["while it starts", "when it has ended"])
def test_a_host_that_does_not_start_says_why(monkeypatch, called):
    monkeypatch.setattr(host_process, "_PROGRAM", "raise SystemExit('no such library')")
    send = host_process.HostProcess._call

    def late(self, *arguments):
        self._process.wait()
        send(self, *arguments)

    if called == "when it has ended":
        monkeypatch.setattr(host_process.HostProcess, "_call", late)
    with (
        bg.ProcessPool(hosts=1) as pool,
        pytest.raises(HostError, match="ended before they rendered: .* exit code 1. It last printed: no such library"),
    ):
        pool.open(CLIP)
