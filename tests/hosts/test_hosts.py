"""Hosts: their common promises, the pool with the worst plug-ins, and hosts by name."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from processes import alive, children, faulty, hosts_of, start, wait_until

import blackbox_grad as bg
from blackbox_grad.errors import HostError, RenderError
from blackbox_grad.hosts import host_names
from blackbox_grad.hosts.rendering import inner_product
from blackbox_grad.testing import HOST_LAWS, check_host

RNG = np.random.default_rng(0)
AUDIO = RNG.standard_normal((4, 2, 3000), dtype=np.float32) * 0.1
CLIP = bg.EffectSpec.of("reference:soft-clip")


@pytest.fixture(scope="module")
def pool(_third_party_path):
    with bg.ProcessPool(hosts=2) as pool:
        yield pool


@pytest.fixture(scope="module")
def strict(_third_party_path):
    """A pool for renders that hang: a healthy render takes a thousandth of its time limit."""
    with bg.ProcessPool(hosts=2, time_limit=3.0) as pool:
        yield pool


# what every host promises


@pytest.mark.parametrize("law", [law for law, _ in HOST_LAWS])
@pytest.mark.parametrize("name", [*host_names(), "processes:hosts=1"])
def test_every_host_keeps_every_promise(name, law):
    assert check_host(name, laws=[law]) == [law]


# the pool's results


def test_inner_products_keep_small_differences():
    a = RNG.standard_normal(1_000_003, dtype=np.float32)
    assert inner_product(a, a) == pytest.approx(float(np.dot(a.astype(np.float64), a.astype(np.float64))), rel=1e-7)


def test_outputs_are_the_callers_own_also_after_a_fork():
    with bg.ProcessPool(hosts=1) as pool:
        y, _ = pool.render_batch(CLIP, AUDIO, np.full((4, 2), 0.5))
        before = y.copy()
        pid = os.fork()
        if pid == 0:
            y *= 0.0
            os._exit(0)
        os.waitpid(pid, 0)
        pool.render_batch(CLIP, AUDIO * 0, np.full((4, 2), 0.5))
        np.testing.assert_array_equal(y, before)


def test_a_pool_leaves_no_descriptor_behind():
    def round_trip():
        with bg.ProcessPool(hosts=1) as pool:
            return pool.render_batch(CLIP, AUDIO, np.full((4, 2), 0.5))

    round_trip()
    before = len(os.listdir("/proc/self/fd"))
    kept = [round_trip() for _ in range(3)]
    assert len(os.listdir("/proc/self/fd")) == before
    del kept


# faults


def test_a_render_that_raises_is_reported_with_effect_parameter_and_value(pool):
    with pytest.raises(RenderError, match=r"faulty:raise: ValueError while rendering: .*not in the mood.*item 1 .*Level=0\.9"):
        pool.render_batch(faulty("raise"), AUDIO, np.array([[0.1], [0.9], [0.1], [0.1]]))


def test_a_host_that_dies_after_another_has_failed_changes_nothing(pool):
    with pytest.raises(RenderError, match=r"not in the mood \(item 0"):
        pool.render_batch(faulty("raise-or-crash"), AUDIO, np.array([[0.7], [0.9], [0.1], [0.1]]))


def test_a_host_is_missed_though_a_program_that_it_started_lives_on(pool, tmp_path):
    spec = faulty("crash-beside-a-program", log=str(tmp_path / "programs"))
    with pytest.raises(RenderError, match="crashed with SIGSEGV"):
        pool.render_batch(spec, AUDIO, np.full((4, 1), 0.9))
    programs = [int(pid) for pid in (tmp_path / "programs").read_text().split()]
    assert programs
    assert all(alive(pid) for pid in programs)
    for pid in programs:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("crash", "crashed with SIGSEGV"),
        pytest.param("hang", r"exceeded its time limit of 3 s", marks=pytest.mark.slow),
        pytest.param("hang-with-the-interpreter-locked", r"exceeded its time limit of 3 s", marks=pytest.mark.slow),
    ],
)
def test_a_render_that_kills_twice_is_reported_with_its_input_saved(strict, fault, said):
    replaced = strict.replaced
    with pytest.raises(RenderError, match=said) as caught:
        strict.render_batch(faulty(fault), AUDIO, np.array([[0.1], [0.2], [0.75], [0.1]]))
    message = str(caught.value)
    assert f"faulty:{fault}" in message
    assert "item 2 of the batch at Level=0.75" in message
    path = re.search(r"saved in (\S+\.npz)", message)[1]
    with np.load(path) as saved:
        np.testing.assert_array_equal(saved["audio"], AUDIO[2])
        assert saved["point"] == [0.75]
    os.unlink(path)
    if fault == "crash":
        assert "the plug-in's last words" in message
    assert strict.replaced >= replaced + 2
    y, _ = strict.render_batch(faulty(fault), AUDIO, np.full((4, 1), 0.5))  # the pool is as good as new
    np.testing.assert_array_equal(y, AUDIO * np.float32(0.5))


@pytest.mark.parametrize("fault", ["crash", "hang"])
def test_a_host_that_dies_once_is_replaced_and_its_work_done_by_another(strict, fault, tmp_path):
    spec = faulty(fault, once=str(tmp_path / "spent"))
    points = np.array([[[0.9], [0.2], [0.3], [0.4]], [[0.5], [0.6], [0.7], [0.8]]])
    y, finite = strict.render_batch(spec, AUDIO, points)
    assert finite.all()
    np.testing.assert_array_equal(y, AUDIO * points[..., None].astype(np.float32))


@pytest.mark.parametrize(
    ("fault", "limit", "said"), [("crash-opening", 180.0, "crashed with SIGSEGV"), ("hang-opening", 1.0, "time limit of 1 s")]
)
def test_an_effect_that_kills_its_host_while_opening_is_reported(third_party, fault, limit, said):
    with (
        bg.ProcessPool(hosts=1, open_limit=limit) as pool,
        pytest.raises(RenderError, match=f"faulty:{fault}: opening it .*{said}"),
    ):
        pool.open(faulty(fault))


@pytest.mark.parametrize(
    ("audio", "points", "cotangent", "said"),
    [
        (AUDIO[0], RNG.random((4, 2)), None, r"audio must be \[B, C, T\] float32, got \(2, 3000\)"),
        (AUDIO.astype(complex), RNG.random((4, 2)), None, "complex128"),
        (AUDIO, RNG.random((3, 2)), None, r"\[B, P\] or \[K, B, P\] with B = 4, got \(3, 2\)"),
        (AUDIO[:1], RNG.random((4, 2)), None, r"with B = 1, got \(4, 2\)"),
        (AUDIO, RNG.random(2), None, r"got \(2,\)"),
        (AUDIO, RNG.random((4, 3)), None, "2 values .Drive, Level."),
        (AUDIO, RNG.random((4, 2)) + 1, None, "'Drive'.* is not in"),
        (AUDIO, RNG.random((1, 4, 2)), AUDIO[:1], "cotangent must have the shape of the audio"),
        (AUDIO, RNG.random((4, 2)), AUDIO, r"must have the shape \[K, B, P\]"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_every_host_alike(pool, audio, points, cotangent, said):
    for host in (pool, bg.InProcessHost()):
        replaced = pool.replaced
        call = host.render_batch if cotangent is None else host.probe_batch
        with pytest.raises((bg.errors.AudioError, bg.errors.ParameterError), match=f"reference:soft-clip: .*{said}"):
            call(CLIP, audio, points, *([] if cotangent is None else [cotangent]))
        assert pool.replaced == replaced, "the hosts are as good as before"


def test_what_plugins_print_reaches_nobody_and_fills_no_disk(pool, capfd):
    pool.render_batch(faulty("flood"), AUDIO, np.full((4, 1), 0.9))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("wrong", [{"hosts": 0}, {"time_limit": 0}, {"open_limit": -1.0}])
def test_a_pool_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(HostError, match=next(iter(wrong))):
        bg.ProcessPool(**wrong)


def test_a_closed_pool_says_so():
    pool = bg.ProcessPool(hosts=1)
    pool.open(CLIP)
    pool.close()
    pool.close()
    with pytest.raises(HostError, match="closed"):
        pool.render_batch(CLIP, AUDIO, RNG.random((4, 2)))


# processes


def test_hosts_import_no_torch_and_no_audio_library_they_do_not_need():
    before = set(hosts_of(os.getpid()))
    with bg.ProcessPool(hosts=1) as pool:
        pool.render_batch(CLIP, AUDIO, RNG.random((4, 2)))
        (host,) = set(hosts_of(os.getpid())) - before
        maps = Path(f"/proc/{host}/maps").read_text()
        assert "numpy" in maps
        assert not any(library in maps for library in ("torch", "pedalboard", "dawdreamer"))


def shared_memory() -> set[str]:
    return {f.name for f in Path("/dev/shm").iterdir() if "blackbox" in f.name or f.name.startswith("psm_")}


@pytest.mark.parametrize(
    ("address", "then", "end"),
    [
        ("faulty:slow", "", None),
        ("faulty:slow", "os._exit(0)", None),
        ("faulty:slow", "time.sleep(60)", signal.SIGKILL),
        ("faulty:hang", "pool.render_batch(spec, x, np.full((4, 1), 0.9))", signal.SIGKILL),
        ("faulty:hang", "pool.render_batch(spec, x, np.full((4, 1), 0.9))", signal.SIGINT),
        ("faulty:hang", "pool.render_batch(spec, x, np.full((4, 1), 0.9))", signal.SIGTERM),
    ],
)
def test_no_process_and_no_shared_memory_is_left_however_the_parent_ends(third_party, address, then, end):
    memory = shared_memory()
    process = start(third_party, address, then)
    hosts = children(process.pid) if process.poll() is None and (end or then) else []
    if end is not None:
        assert hosts
        time.sleep(0.3)
        process.send_signal(end)
    _, errors = process.communicate(timeout=240)
    if end == signal.SIGINT:
        assert "KeyboardInterrupt" in errors
    assert wait_until(lambda: not any(alive(pid) for pid in hosts)), "a host outlived its parent"
    assert shared_memory() == memory


def test_after_ctrl_c_the_pool_works_on(third_party):
    then = """
    try:
        pool.render_batch(spec, x, np.full((4, 1), 0.9))
    except KeyboardInterrupt:
        print(pool.render_batch(spec, x + 1, np.full((4, 1), 0.5))[0].mean(), flush=True)
    """
    process = start(third_party, "faulty:hang", then)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=240)
    assert output == "0.5\n", errors


def test_a_forked_child_has_hosts_of_its_own():
    with bg.ProcessPool(hosts=1) as pool:
        expected = pool.render_batch(CLIP, AUDIO, np.full((4, 2), 0.5))[0]
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            same = np.array_equal(pool.render_batch(CLIP, AUDIO, np.full((4, 2), 0.5))[0], expected)
            os.write(writing, b"same" if same else b"different")
            pool.close()
            os._exit(0)
        os.close(writing)
        assert os.read(reading, 10) == b"same"
        os.waitpid(pid, 0)
        np.testing.assert_array_equal(pool.render_batch(CLIP, AUDIO, np.full((4, 2), 0.5))[0], expected)


@pytest.mark.slow
def test_a_child_forked_while_a_thread_renders_is_not_stuck():
    with bg.ProcessPool(hosts=1) as pool:
        stop = threading.Event()

        def work():
            while not stop.is_set():
                pool.render_batch(CLIP, AUDIO, np.full((4, 2), 0.5))

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(8):
                pid = os.fork()
                if pid == 0:
                    signal.alarm(20)
                    pool.render_batch(CLIP, AUDIO, np.full((4, 2), 0.5))
                    pool.close()
                    os._exit(0)
                assert os.waitpid(pid, 0)[1] == 0
        finally:
            stop.set()
            for thread in threads:
                thread.join(30)


@pytest.mark.slow
def test_ctrl_c_at_any_moment_loses_no_host(third_party):
    then = """
    import signal
    interrupted = 0
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    for i in range(150):
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0005 + 0.00004 * i)
            for _ in range(50):
                pool.render_batch(spec, x, np.zeros((4, 1)))
        except KeyboardInterrupt:
            interrupted += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(interrupted > 100, pool.render_batch(spec, x, np.zeros((4, 1)))[1].all(), flush=True)
    sys.stdin.read()
    """
    process = start(third_party, "faulty:pid", then)
    assert process.stdout.readline() == "True True\n"
    assert wait_until(lambda: len(hosts_of(process.pid)) == 2)
    process.communicate(timeout=240)


def test_a_module_in_the_working_directory_is_none_of_a_hosts_business(tmp_path):
    (tmp_path / "signal.py").write_text("raise SystemExit('this is the user's own signal.py')")
    program = "import sys; sys.path.pop(0); import blackbox_grad as bg; "
    program += "print(bg.ProcessPool(1).open(bg.EffectSpec.of('reference:gain')).name)"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.stdout == "gain\n", done.stderr


def test_the_default_host_is_shared_and_counts_hosts_from_the_environment(monkeypatch):
    assert bg.default_host() is bg.default_host()
    monkeypatch.setenv("BLACKBOX_GRAD_HOSTS", "3")
    assert bg.ProcessPool().hosts == 3
    monkeypatch.setenv("BLACKBOX_GRAD_HOSTS", "many")
    with pytest.raises(HostError, match="'many'"):
        bg.ProcessPool()


def test_an_effect_with_everything_held_renders(pool):
    spec = bg.EffectSpec.of("reference:gain", fixed={"Gain": "0 dB"})
    y, _ = pool.render_batch(spec, AUDIO, np.zeros((4, 0)))
    np.testing.assert_allclose(y, AUDIO, rtol=1e-6)


# by name


def test_hosts_come_by_name_with_options_and_from_third_parties(third_party):
    pool = bg.hosts.host("processes:hosts=2,time_limit=30")
    assert repr(pool) == "ProcessPool(hosts=2, time_limit=30, open_limit=180)"
    assert isinstance(bg.hosts.host("in-process"), bg.InProcessHost)
    assert bg.hosts.host(pool) is pool
    assert {"in-process", "processes", "third-party"} <= set(bg.hosts.host_names())
    for description in ("third-party:level=0.25", "third_party.Quiet:level=0.25"):
        y, _ = bg.hosts.host(description).render_batch(CLIP, AUDIO, np.full((4, 2), 0.5))
        np.testing.assert_array_equal(y, 0.25 * bg.InProcessHost().render_batch(CLIP, AUDIO, np.full((4, 2), 0.5))[0])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("proceses", "no host 'proceses'; did you mean 'processes'"),
        ("processes:hosts", "'processes:hosts': write options as name=value, got 'hosts'"),
        ("processes:fast=1", "'processes:fast=1': .*'fast'"),
        ("processes:hosts=two", "'processes:hosts=two': .*hosts='two'"),
        ("processes:time_limit=0", "'processes:time_limit=0': .*time_limit=0"),
        ("os.getcwd", "'os.getcwd' is not a host, and was not called"),
        (3, "host=3 is not a host"),
        (bg.ProcessPool, "is not a host"),
    ],
)
def test_what_is_no_host_is_refused_with_the_description(wrong, said):
    with pytest.raises(HostError, match=said):
        bg.hosts.host(wrong)


def test_a_host_for_one_piece_of_work_is_closed_unless_it_was_given(pool):
    with bg.hosts.opened_host(pool, hosts=7) as given:
        assert given is pool
    assert pool.render_batch(CLIP, AUDIO, np.full((4, 2), 0.5))[1].all()
    with bg.hosts.opened_host("processes:hosts=1") as made:
        made.open(CLIP)
    with pytest.raises(HostError, match="closed"):
        made.open(bg.EffectSpec.of("reference:gain"))


def test_limits_are_the_pools_and_what_the_description_says_counts_more(monkeypatch):
    described = {
        None: "ProcessPool(hosts=1, time_limit=7, open_limit=180)",
        "processes": "ProcessPool(hosts=1, time_limit=7, open_limit=180)",
        "processes:hosts=3,open_limit=5": "ProcessPool(hosts=3, time_limit=7, open_limit=5)",
        "processes:time_limit=9": "ProcessPool(hosts=1, time_limit=9, open_limit=180)",
    }
    for description, expected in described.items():
        assert repr(bg.hosts.new_host(description, hosts=1, time_limit=7.0)) == expected
    assert isinstance(bg.hosts.new_host("in-process", hosts=1, time_limit=7.0), bg.InProcessHost)
    monkeypatch.setenv("BLACKBOX_GRAD_HOST", "processes:hosts=3")
    assert repr(bg.hosts.new_host(time_limit=7.0)) == "ProcessPool(hosts=3, time_limit=7, open_limit=180)"
    assert isinstance(bg.hosts.new_host("in-process"), bg.InProcessHost)
    monkeypatch.setenv("BLACKBOX_GRAD_HOST", "procesess")
    with pytest.raises(HostError, match="BLACKBOX_GRAD_HOST='procesess': no host 'procesess'"):
        bg.hosts.new_host()


def test_the_default_host_is_what_the_environment_describes(third_party):
    program = (
        "import blackbox_grad as bg, torch\n"
        "y = bg.DifferentiableEffect('reference:gain', parameters=[])(torch.ones(1, 1, 8), torch.zeros(1, 0))\n"
        "print(y.mean().item(), type(bg.default_host()).__name__)"
    )
    environment = {**os.environ, "BLACKBOX_GRAD_HOST": "third-party:level=0.25", "PYTHONPATH": third_party}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == "0.25 Quiet\n", done.stderr


def test_a_default_host_that_was_closed_is_made_anew():
    first = bg.default_host()
    first.close()
    assert bg.default_host() is not first
    assert bg.default_host().render_batch(CLIP, AUDIO, np.full((4, 2), 0.5))[1].all()


def test_effects_are_inspected_and_scanned_where_one_says(third_party, tmp_path, monkeypatch):
    opened = []

    class Counting(bg.InProcessHost):
        def open(self, spec):
            opened.append(spec.address)
            return super().open(spec)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    rows = list(bg.scan(check=True, backend="reference", host=Counting()))
    assert opened == [row.address for row in rows if row.status == "ok"] != []
    found = bg.inspect_effect("reference:gain", host="third-party:level=0.0", render_limit=200, again=True)
    assert found.silent == 1.0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_host_that_was_killed_leaves_no_entry_in_the_table_of_processes(third_party):
    """After a crash, and after Ctrl-C in the middle of a render. Pools of other tests may have hosts that died while idle."""
    before = set(children(os.getpid()))
    with bg.ProcessPool(hosts=1) as pool:
        audio = np.ones((1, 1, 64), np.float32)
        spec = faulty("crash")
        point = np.full((1, len(pool.open(spec).parameters)), 0.9)
        with pytest.raises(RenderError):
            pool.render_batch(spec, audio, point)
        slow = faulty("hang")
        point = np.full((1, len(pool.open(slow).parameters)), 0.9)
        timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            pool.render_batch(slow, audio, point)
        timer.join()
        assert all(alive(child) for child in set(children(os.getpid())) - before)
