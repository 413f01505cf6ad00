"""The freeze cannot happen: `backward` may run on any thread while the main thread waits.

Every scenario runs in a process of its own with a time limit, so a freeze fails a test instead of stopping the suite.
"""

import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pretend_accelerator
import pytest
import torch

SAMPLE_RATE = 44100

# Runs a function of this module; when the limit passes, writes what every thread is doing and ends the process.
RUN = """
import faulthandler, sys
import test_freeze
faulthandler.dump_traceback_later(float(sys.argv[1]), exit=True)
getattr(test_freeze, sys.argv[2])(*sys.argv[3:])
"""


@dataclass(frozen=True)
class Outcome:
    """How a process ended: what it wrote, and whether it was stopped at its time limit."""

    finished: bool
    stopped: bool
    output: str


def run(scenario, *arguments, limit):
    """Run `scenario(*arguments)` in a new process with so many seconds."""
    command = [sys.executable, "-c", RUN, str(limit), scenario.__name__, *map(str, arguments)]
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryFile("w+", errors="replace") as output:  # a pipe would stay open in the hosts
        code = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=limit + 60,
        ).returncode
        output.seek(0)
        text = output.read()
    return Outcome(finished=code == 0, stopped="Timeout (" in text, output=text)


def must_finish(scenario, *arguments, limit):
    outcome = run(scenario, *arguments, limit=limit)
    if outcome.stopped:
        pytest.fail(f"FROZEN: {scenario.__name__}{arguments} did not finish within {limit} s\n{outcome.output}")
    assert outcome.finished, outcome.output
    return outcome.output


# --- The pretend accelerator ---------------------------------------------------------------------------------------------


class Witness(torch.autograd.Function):
    """Identity that remembers the thread of its `backward`."""

    thread = 0

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, cotangent):
        Witness.thread = threading.get_ident()
        return cotangent


def backward_thread_by_device():
    for device in (torch.device("cpu"), pretend_accelerator.enable()):
        x = torch.ones(3, device=device, requires_grad=True)
        Witness.apply(x).sum().backward()
        assert x.grad.device == device
        print(device.type, "caller" if Witness.thread == threading.get_ident() else "another")


@pytest.fixture(scope="module")
def device_threads():
    """Compiles the device; says on which thread `backward` runs for each device."""
    output = must_finish(backward_thread_by_device, limit=240)
    return dict(line.split() for line in output.splitlines() if line.startswith(("cpu ", "pretend ")))


def test_backward_on_the_pretend_accelerator_runs_on_another_thread(device_threads):
    assert device_threads == {"cpu": "caller", "pretend": "another"}


# --- The plain way fails -------------------------------------------------------------------------------------------------


class PlainWay(torch.autograd.Function):
    """What one writes first: the plug-in is opened in this process, and `backward` renders with it."""

    @staticmethod
    def forward(ctx, p, render):
        ctx.p, ctx.render = p.item(), render
        return torch.from_numpy(render(ctx.p)).to(p.device)

    @staticmethod
    def backward(ctx, cotangent):
        step = 0.05
        difference = ctx.render(ctx.p + step) - ctx.render(ctx.p - step)
        return (torch.from_numpy(difference).to(cotangent.device) * cotangent).sum() / (2 * step), None


def noise():
    return np.random.default_rng(0).uniform(-0.5, 0.5, (2, 4096)).astype(np.float32)


def train_the_plain_way(device_type, render):
    device = pretend_accelerator.enable() if device_type == "pretend" else torch.device("cpu")
    p = torch.tensor(0.3, device=device, requires_grad=True)
    loss = PlainWay.apply(p, render).square().mean()
    print("forward done", flush=True)
    loss.backward()
    print("gradient", p.grad.item(), p.grad.device.type, flush=True)


def plain_pedalboard(device_type):
    import pedalboard

    (path,) = (p for p in pedalboard.VST3Plugin.installed_plugins if p.endswith("ZamTube.vst3"))
    plugin = pedalboard.load_plugin(path)

    def render(p):
        plugin.parameters["tube_drive"].raw_value = p
        return plugin.process(noise()[:1], SAMPLE_RATE, reset=True)

    train_the_plain_way(device_type, render)


def plain_dawdreamer(device_type):
    import dawdreamer

    engine = dawdreamer.RenderEngine(SAMPLE_RATE, 512)
    playback = engine.make_playback_processor("audio", noise())

    def render(p):
        print("make_plugin_processor", flush=True)
        effect = engine.make_plugin_processor("effect", "http://drobilla.net/plugins/mda/Overdrive")
        engine.load_graph([(playback, []), (effect, ["audio"])])
        effect.set_parameter(0, p)
        engine.render(noise().shape[1] / SAMPLE_RATE)
        return engine.get_audio()

    train_the_plain_way(device_type, render)


@pytest.mark.plugins
@pytest.mark.parametrize("scenario", [plain_pedalboard, plain_dawdreamer])
def test_the_plain_way_works_on_the_cpu(scenario):
    assert "gradient" in must_finish(scenario, "cpu", limit=60)


@pytest.mark.plugins
def test_the_plain_way_raises_on_an_accelerator_with_pedalboard(device_threads):
    outcome = run(plain_pedalboard, "pretend", limit=60)
    assert "forward done" in outcome.output
    assert "must be reloaded on the main thread" in outcome.output
    assert not outcome.finished


@pytest.mark.plugins
def test_the_plain_way_freezes_on_an_accelerator_with_dawdreamer(device_threads):
    outcome = run(plain_dawdreamer, "pretend", limit=15)
    assert outcome.stopped
    assert "gradient" not in outcome.output
    after_forward = outcome.output.partition("forward done")[2]
    assert after_forward.count("make_plugin_processor") == 1, "backward should hang in its first make_plugin_processor"
