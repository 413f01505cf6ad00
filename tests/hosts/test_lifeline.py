"""Hosts end with their parent, whatever they are doing, and nothing is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from processes import SCRIPT, alive, faulty, hosts_of, start, state, wait_until

import blackbox_grad as bg
from blackbox_grad.errors import RenderError
from blackbox_grad.hosts import end_with_parent, scratch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux pulls the line")

HANG = "threading.Thread(target=pool.render_batch, args=(spec, x, np.full((4, 1), 0.9)), daemon=True).start()\n"

FROM_A_THREAD = SCRIPT.replace(
    "pool.open(spec)\npool.render_batch(spec, x, np.zeros((4, 1)))",
    "t = threading.Thread(target=lambda: (pool.open(spec), pool.render_batch(spec, x, np.zeros((4, 1)))))\nt.start()\nt.join()",
)


@pytest.mark.parametrize(
    ("address", "then", "stopped", "script"),
    [
        pytest.param("faulty:hang-with-the-interpreter-locked", HANG, False, SCRIPT, id="hung"),
        pytest.param("faulty:pid", "", True, SCRIPT, id="stopped"),
        pytest.param("faulty:pid", "", True, FROM_A_THREAD, id="stopped-and-started-from-a-thread-that-ended"),
        pytest.param("faulty:pid", "os.fork() == 0 and time.sleep(60)\n", True, SCRIPT, id="stopped-and-a-forked-child-lives"),
    ],
)
def test_a_host_ends_with_its_parent_whatever_it_is_doing(third_party, address, then, stopped, script):
    process = start(third_party, address, f"{then}print('go', flush=True)\ntime.sleep(600)", script)
    assert process.stdout.readline() == "go\n"
    hosts = hosts_of(process.pid)
    assert hosts
    if stopped:
        for host in hosts:
            os.kill(host, signal.SIGSTOP)
        assert wait_until(lambda: all(state(host) == "T" for host in hosts))
    children = [int(c) for c in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    process.kill()
    assert wait_until(lambda: not any(map(alive, hosts)), 30), "a host outlived its parent"
    for child in set(children) - set(hosts):
        os.kill(child, signal.SIGKILL)
    process.communicate()


def test_another_process_ends_with_its_parent_if_it_asks_to():
    told, telling = os.pipe()
    parent = os.fork()
    if parent == 0:
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.close(writing)
            end_with_parent(reading)
            os.write(telling, str(os.getpid()).encode())
        while True:
            time.sleep(60)
    follower = int(os.read(told, 20))
    assert alive(follower)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    assert wait_until(lambda: not alive(follower)), "it outlived its parent"
    os.close(told)
    os.close(telling)


def test_hosts_offer_themselves_to_the_killer_where_memory_runs_out():
    ours = int(Path("/proc/self/oom_score_adj").read_text())
    before = set(hosts_of(os.getpid()))
    with bg.ProcessPool(hosts=1) as pool:
        pool.open(bg.EffectSpec.of("reference:gain"))
        (host,) = set(hosts_of(os.getpid())) - before
        assert int(Path(f"/proc/{host}/oom_score_adj").read_text()) == min(1000, ours + 500)


def left(folder: Path) -> list[Path]:
    return list(folder.rglob("left-by-a-plug-in-*"))


def test_what_a_killed_host_leaves_in_its_temporary_folder_goes_with_it(third_party, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(scratch, "_ours", None)
    with bg.ProcessPool(hosts=1) as pool:
        with pytest.raises(RenderError):
            pool.render_batch(faulty("leave"), np.zeros((1, 1, 64), np.float32), np.array([[0.9]]))
        assert not left(tmp_path)
        pool.open(bg.EffectSpec.of("reference:gain"))
    (folder,) = tmp_path.glob("blackbox_grad-hosts-*")
    assert [path.name for path in folder.iterdir()] == ["locked-by-its-parent"]


LEAVE = """
import tempfile, threading, time, os, sys, numpy as np, blackbox_grad as bg
sys.path.append({third_party!r})
spec = bg.EffectSpec.of({address!r})
pool = bg.ProcessPool(hosts=1)
pool.open(spec)
print("ready", flush=True)
{then}
"""


def test_the_temporary_folders_of_a_killed_parent_are_removed_by_the_next_one(third_party, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    dead, living = (start(third_party, "reference:gain", "sys.stdin.read()", LEAVE) for _ in range(2))
    folders = set(tmp_path.glob("blackbox_grad-hosts-*"))
    assert len(folders) == 2
    for folder in folders:
        (folder / "1" / "left-by-a-plug-in-1").touch()
        os.utime(folder, (0, 0))
    dead.kill()
    dead.communicate()
    start(third_party, "reference:gain", "", LEAVE).communicate()
    assert len(left(tmp_path)) == 1, "the living parent's folder stays, the dead one's goes"
    living.communicate()
    assert not list(tmp_path.iterdir()), "a parent that ends as usual leaves nothing"


def test_a_program_that_ends_as_usual_leaves_no_temporary_folder(tmp_path):
    program = "import blackbox_grad as bg; bg.default_host().open(bg.EffectSpec.of('reference:gain'))"
    environment = {**os.environ, "TMPDIR": str(tmp_path), "BLACKBOX_GRAD_HOSTS": "1"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=240)
    assert not list(tmp_path.iterdir())
