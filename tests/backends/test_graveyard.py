"""Native objects are destroyed on the thread that made them: first stand-ins that tell their thread, then real plug-ins."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import threading

import pytest

from blackbox_grad import EffectSpec, ProcessPool
from blackbox_grad_backends.native.graveyard import Natives, opening, undisturbed


class Native:
    """A stand-in that notes on which thread it was destroyed."""

    def __init__(self, name, log):
        self.name, self.log = name, log

    def __del__(self):
        self.log.append((self.name, threading.current_thread()))


class Holder:
    """An effect: it holds native objects, and may be in a cycle of references."""

    def __init__(self, log, names=("engine", "processor")):
        self.natives = Natives()
        for name in names:
            self.natives[name] = Native(name, log)


HERE = [("processor", threading.main_thread()), ("engine", threading.main_thread())]


def elsewhere(call, *arguments):
    """Call it on another thread, while this thread waits."""
    result = []
    thread = threading.Thread(target=lambda: result.append(call(*arguments)))
    thread.start()
    thread.join()
    return result[0]


def collected(log):
    holder = Holder(log)
    holder.itself = holder
    del holder
    elsewhere(gc.collect)


def cleared(log):
    box = [Holder(log)]
    elsewhere(box.clear)


def closed(log):
    elsewhere(Holder(log).natives.close)


def failed(log):
    """An error of a half-way open, kept, and dropped elsewhere."""
    errors = []
    natives = Natives()
    try:
        with opening(natives):
            open_half_way(natives, log)
    except RuntimeError as error:
        errors.append(error)
    elsewhere(errors.clear)


def open_half_way(natives, log):
    for name in ("engine", "processor"):
        natives[name] = native = Native(name, log)
    try:
        raise ValueError
    except ValueError as error:
        raise RuntimeError(native.name) from error


def failed_rendering(log):
    """The error of a render holds the frames, and they hold the native objects."""
    errors = []
    holder = Holder(log)
    try:
        fail(*(holder.natives[name] for name in ("engine", "processor")))
    except RuntimeError as error:
        errors.append(error)
    holder.natives.close()
    assert not log
    elsewhere(errors.clear)
    assert not log, "destroyed on the thread that dropped the error"
    with undisturbed():  # the next open or render
        pass


def fail(engine, processor):
    raise RuntimeError


def made_by_a_thread_that_ended(log):
    holder = elsewhere(Holder, log)
    elsewhere(holder.natives.close)
    with undisturbed():
        pass


@pytest.mark.parametrize("way", [collected, cleared, closed, failed, failed_rendering, made_by_a_thread_that_ended])
def test_native_objects_are_destroyed_on_their_thread_in_order(way):
    log = []
    way(log)
    assert log == HERE


def test_closing_on_the_own_thread_destroys_at_once():
    log = []
    holder = Holder(log)
    holder.natives.close()
    assert log == HERE
    holder.natives.close()
    assert "engine" not in holder.natives


def test_an_object_that_is_replaced_is_destroyed_at_once():
    log = []
    holder = Holder(log)
    holder.natives["processor"] = Native("second", log)
    assert log == HERE[:1]


def test_an_object_that_is_used_again_before_it_was_destroyed_is_destroyed_once():
    log = []
    holder = Holder(log)
    held = holder.natives["processor"]
    holder.natives.destroy("processor")
    holder.natives["processor"] = held
    del held
    assert not log
    holder.natives.close()
    assert log == HERE


def test_nothing_is_destroyed_in_the_middle_of_work():
    log = []
    with undisturbed():
        with undisturbed():
            collected(log)
            Holder(log).natives.close()
        assert not log
    assert log == HERE + HERE


def test_a_thread_of_its_own_destroys_what_it_made_and_nobody_else_does():
    made, go, log = threading.Event(), threading.Event(), []
    box = []

    def work():
        box.append(Holder(log))
        made.set()
        go.wait()
        with undisturbed():
            pass

    thread = threading.Thread(target=work)
    thread.start()
    made.wait()
    box.pop().natives.close()
    with undisturbed():
        pass
    assert not log
    go.set()
    thread.join()
    assert log == [("processor", thread), ("engine", thread)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_destroys_nothing():
    log = []
    holder = Holder(log)
    child = os.fork()
    if child == 0:
        holder.natives.close()
        with undisturbed():
            pass
        os._exit(len(log))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    holder.natives.close()
    assert log == HERE


# --- Real plug-ins, in a process with a time limit -----------------------------------------------------------------------

ADDRESSES = [
    pytest.param(address, id=name, marks=[pytest.mark.plugins] * plugin + [pytest.mark.slow] * slow)
    for name, address, plugin, slow in (
        ("dawdreamer-vst2", "dawdreamer:ZamDelay-vst.so", True, False),
        ("dawdreamer-vst3", "dawdreamer:ZamDelay.vst3", True, True),
        ("dawdreamer-lv2", "dawdreamer:http://drobilla.net/plugins/mda/Overdrive", True, True),
        ("pedalboard-vst3", "pedalboard:ZamCompX2.vst3", True, False),
        ("pedalboard-vst3-recreated", "pedalboard:ZamTube.vst3", True, True),
        ("pedalboard-builtin", "pedalboard-builtin:Reverb", False, True),
        ("faust", 'faust:process = *(hslider("gain", 0.5, 0, 1, 0.001)), _;', False, False),
        ("reference", "reference:gain", False, True),
        ("chain", "pedalboard-builtin:Distortion | dawdreamer:ZamDelay-vst.so", True, True),
    )
]

BEGIN = """
import faulthandler, gc, os, sys, threading
faulthandler.dump_traceback_later({limit}, exit=True, file=os.fdopen(os.dup(2), "w"))  # of its own: loading redirects 2
import numpy as np
from blackbox_grad import load
from blackbox_grad.errors import BlackboxGradError
address = sys.argv[1]
audio = np.full((2, 4096), 0.1, np.float32)

def elsewhere(call, *arguments):
    result = []
    thread = threading.Thread(target=lambda: result.append(call(*arguments)))
    thread.start()
    thread.join()
    return result
"""

EVERY_WAY = """
effect = load(address)
circle = [effect]
circle.append(circle)
del effect, circle
elsewhere(gc.collect)
print("collected", flush=True)

box = [load(address)]
elsewhere(box.clear)
print("dropped", flush=True)

with load(address) as effect:
    elsewhere(effect.close)
print("closed", flush=True)

errors = []
for arguments in ({"fixed": {"no such": 1}}, {"no_such_option": 1}, {"sample_rate": -1.0}, {"state": "/dev/null"}):
    try:
        load(address, **arguments).close()
    except BlackboxGradError as error:
        errors.append(error)
effect = load(address)
try:
    effect.render(audio, [2.0] * 99)
except BlackboxGradError as error:
    errors.append(error)
effect.close()
elsewhere(errors.clear)
print("failed", flush=True)

def anywhere():
    try:
        effect = load(address)
        effect.render(audio, effect.parameters.defaults)
    except BlackboxGradError as error:
        assert "host" in str(error), error

elsewhere(anywhere)
print("opened elsewhere", flush=True)

effect = load(address)
expected = effect.render(audio, effect.parameters.defaults)

def rendered():
    try:
        return effect.render(audio, effect.parameters.defaults)
    except BlackboxGradError as error:
        assert "main thread" in str(error), error

for result in elsewhere(rendered):
    assert result is None or np.array_equal(result, expected), result
effect.close()
effect = load(address)
expected = elsewhere(rendered)  # the first render of an effect
print("rendered elsewhere", flush=True)

def render_until_closed():
    try:
        while True:
            effect.render(audio, effect.parameters.defaults)
    except BlackboxGradError as error:
        assert any(cause in str(error) for cause in ("closed", "main thread", "the process is ending")), error

thread = threading.Thread(target=render_until_closed, daemon=True)
thread.start()
if len(sys.argv) > 2:
    sys.exit()  # another thread is rendering
effect.close()
if not address.startswith("reference:"):
    thread.join()
kept, circle = load(address), [load(address)]
circle.append(circle)
print("end", flush=True)
"""

FORKED = """
effect = load(address)
faulthandler.cancel_dump_traceback_later()
child = os.fork()
if child == 0:
    circle = [effect]
    circle.append(circle)
    del effect, circle
    elsewhere(gc.collect)
    sys.exit()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
effect.close()
print("end", flush=True)
"""


def run(code, *arguments, limit=60):
    program = textwrap.dedent(BEGIN.format(limit=limit) + code)
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=limit + 60, check=False)
    assert done.returncode == 0, f"{done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.mark.parametrize("address", ADDRESSES)
def test_effects_go_in_every_way_on_every_thread(address):
    done = run(EVERY_WAY, address)
    assert done.stdout.endswith("end\n"), done.stdout
    assert "nanobind" not in done.stderr, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("address", [a for a in ADDRESSES if a.id != "reference"])
def test_the_process_ends_while_another_thread_renders(address):
    assert "rendered elsewhere" in run(EVERY_WAY, address, "exit").stdout


@pytest.mark.slow
@pytest.mark.parametrize("address", ADDRESSES)
def test_a_forked_child_ends(address):
    assert run(FORKED, address).stdout.endswith("end\n")


@pytest.mark.plugins
@pytest.mark.parametrize(
    "address", ["dawdreamer:ZamDelay-vst.so", pytest.param("pedalboard:ZamCompX2.vst3", marks=pytest.mark.slow)]
)
def test_in_a_host_effects_are_collected_on_any_thread(address, third_party):
    with ProcessPool(hosts=1, time_limit=60, open_limit=60) as pool:
        for _ in range(2):
            assert pool.open(EffectSpec.of(f"collected:{address}")).parameters.names
