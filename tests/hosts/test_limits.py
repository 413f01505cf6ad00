"""Limits of the system are errors with a way out, and nothing is left behind, neither of what fails nor of what goes."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from processes import faulty, hosts_of, wait_until

import blackbox_grad as bg
from blackbox_grad.errors import HostError, RenderError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and counts on the limits of Linux")

AUDIO = np.random.default_rng(0).standard_normal((2, 1, 200), dtype=np.float32) * 0.1
GAIN = bg.EffectSpec.of("reference:gain")
HALF = np.full((2, 1), 0.5)

PROGRAM = """
import gc, os, resource, sys, numpy as np, blackbox_grad as bg
from blackbox_grad.errors import HostError
gain, x, half = bg.EffectSpec.of("reference:gain"), np.zeros((2, 1, 200), np.float32), np.full((2, 1), 0.5)
{text}
"""


def run(text: str, **options) -> str:
    """The output of a program that runs into a limit."""
    command = [sys.executable, "-c", PROGRAM.format(text=text)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_too_few_open_files_are_said_and_survived():
    output = run("""
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
with bg.ProcessPool(2) as pool:
    pool.render_batch(gain, x, half)
    for few in range(12, 60, 10):
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, limits[1]))
        other = bg.ProcessPool(2)
        try:
            kept = [other.render_batch(gain, np.zeros((2, 1, 1 << 16), np.float32), half)[0] for _ in range(30)]
        except HostError as error:
            print("refused:", error)
        kept = error = None
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        other.close()
        print("then:", pool.render_batch(gain, x, half)[1].all())
""")
    assert output.count("refused: ") >= 3
    assert output.count("too many open files (the limit of this process is ") == output.count("refused: ")
    assert output.count("raise the limit (`ulimit -n 4096`)") == output.count("refused: ")
    assert output.count("then: True") == 5


def test_too_little_memory_for_a_host_is_said():
    output = run("""
import blackbox_grad.hosts.host_process as h
h._PROGRAM = "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 << 28, 3 << 28)); " + h._PROGRAM
with bg.ProcessPool(1) as pool:
    print("small:", pool.render_batch(gain, x, half)[1].all())
    try:
        pool.render_batch(gain, np.zeros((1, 1, 3 << 26), np.float32), half[:1])
    except HostError as error:
        print("refused:", error)
    print("then:", pool.render_batch(gain, x, half)[1].all())
""")
    assert "small: True" in output
    assert "refused: reference:gain: a host process cannot go on: not enough memory (the limit of this process is " in output
    assert "render fewer items, fewer points or shorter audio at once" in output
    assert "then: True" in output


def test_too_little_memory_here_is_said():
    output = run("""
with bg.ProcessPool(1) as pool:
    print("small:", pool.render_batch(gain, x, half)[1].all())
    used = int(open("/proc/self/statm").read().split()[0]) * 4096
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 26), limits[1]))
    for host in (pool, bg.InProcessHost()):
        try:
            host.render_batch(gain, np.zeros((1, 1, 1 << 20), np.float32), np.full((64, 1, 1), 0.5))
        except HostError as error:
            print("refused:", error)
    resource.setrlimit(resource.RLIMIT_AS, limits)
    print("then:", pool.render_batch(gain, x, half)[1].all())
""")
    assert output.count("refused: ") == output.count("not enough memory (the limit of this process is ") == 2
    assert "then: True" in output


@pytest.mark.skipif(os.getuid() != 0, reason="changes its user, to one that nobody else is")
def test_too_few_processes_are_said():
    output = run(
        """
import blackbox_grad.hosts.host_process
os.setgroups([])
os.setgid(64321)
os.setuid(64321)
with bg.ProcessPool(1) as pool:
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
    try:
        pool.open(gain)
    except HostError as error:
        print("refused:", error)
""",
        env={**os.environ, "TMPDIR": "/tmp", "HOME": "/nowhere"},
    )
    assert "cannot start a host process: too many processes or threads (the limit of this process is 1)" in output


@pytest.mark.parametrize("host", ["processes:hosts=1", "in-process"])
def test_a_call_that_no_memory_can_hold_is_refused(host):
    with bg.hosts.opened_host(host) as host:
        for points in (1 << 12, 1 << 33):
            audio = np.zeros((1, 1, 1 << 24), np.float32) if points == 1 << 12 else AUDIO[:1]
            with pytest.raises(HostError, match=r"reference:gain: .* GiB of memory, and .* GiB are free; render fewer items"):
                host.render_batch(GAIN, audio, np.broadcast_to(0.5, (points, 1, 1)))
        assert host.render_batch(GAIN, AUDIO, HALF)[1].all()


def test_a_render_that_fails_leaves_no_descriptor_behind(third_party):
    """Though a caller keeps the error, and before any garbage is collected."""
    audio = np.zeros((1, 1, 1 << 15), np.float32)
    with bg.ProcessPool(hosts=1) as pool:

        def fail() -> RenderError:
            with pytest.raises(RenderError) as caught:
                pool.render_batch(faulty("raise"), audio, np.array([[0.9]]))
            return caught.value

        fail()
        gc.collect()
        gc.disable()
        try:
            before = descriptors()
            kept = [fail() for _ in range(20)]
            assert descriptors() <= before
        finally:
            gc.enable()
        assert len(kept) == 20


def maps(host: int) -> int:
    return Path(f"/proc/{host}/maps").read_text().count("memfd:blackbox_grad")


def test_layers_that_come_and_go_leave_nothing_in_the_hosts():
    """Also in a host that has nothing to do since."""
    before = set(hosts_of(os.getpid()))
    audio = np.zeros((8, 1, 1 << 14), np.float32)
    with bg.ProcessPool(hosts=2) as pool:

        def use(number: int) -> None:
            spec = bg.EffectSpec.of("reference:biquad", fixed={"Gain": number / 400})
            size = 1 + number % 8
            pool.render_batch(spec, audio[:size], np.full((size, len(pool.open(spec).parameters)), 0.5))

        for number in range(20):
            use(number)
        hosts = set(hosts_of(os.getpid())) - before
        assert len(hosts) == 2
        here, there = descriptors(), {host: len(os.listdir(f"/proc/{host}/fd")) for host in hosts}
        for number in range(20, 90):
            use(number)
        assert descriptors() <= here + 12
        for host in hosts:
            assert maps(host) <= 30
            assert len(os.listdir(f"/proc/{host}/fd")) <= there[host] + 12
        for worker in pool._members.owners:
            assert len(worker._specs._values) <= 64


def test_a_host_without_work_lets_go_of_memory_that_is_no_longer_used():
    before = set(hosts_of(os.getpid()))
    sizes = [1 << 12 << number for number in range(8)]
    with bg.ProcessPool(hosts=2) as pool:

        def call(items: int) -> None:
            for size in sizes:
                pool.render_batch(GAIN, np.zeros((items, 1, size), np.float32), np.full((items, 1), 0.5))

        def mapped() -> list[int]:
            return sorted(maps(host) for host in set(hosts_of(os.getpid())) - before)

        assert wait_until(lambda: call(8) or min(mapped()) >= 8)
        for _ in range(3):
            call(1)
        sizes = sizes[:1]
        for _ in range(3):
            call(1)
        assert max(mapped()) <= 11
        idle = [len(worker._attached & worker._stale) for worker in pool._members.owners]
        assert idle == [0, 0]
