"""A third party's package: an estimator, a host, and a backend whose effects fail in every way that a plug-in can.

`faulty:NAME` multiplies audio by its parameter `Level` as long as `Level <= 0.5`; above, it fails as its name says.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from blackbox_grad.effects import PluginEffect, load
from blackbox_grad.errors import EffectNotFoundError
from blackbox_grad.hosts import InProcessHost
from blackbox_grad.parameters import Parameter, ParameterSpace


class FaultyEffect(PluginEffect):
    inputs = outputs = 1
    first_look = False  # a test chooses the moment at which it fails

    def __init__(self, name: str, sample_rate: float, once: str | None, log: str | None, look: bool) -> None:
        self.name = name
        self.first_look = look
        self.sample_rate = sample_rate
        self.parameters = ParameterSpace([Parameter("Level")])
        self._once = Path(once) if once else None
        self._log = log
        if name == "crash-opening":
            os.kill(os.getpid(), signal.SIGSEGV)
        if name == "hang-opening" or (name == "hang-opening-again" and self._spent()):
            time.sleep(3600)

    def process(self, audio, values):
        self._level = values[0]
        if (values[0] > 0.5 or self.name.endswith("-always")) and not self._spent():
            getattr(self, "_" + self.name.removesuffix("-always").replace("-", "_"))()
            if self.name == "nan":
                return audio * np.float32(np.nan)
        return audio * np.float32(values[0])

    def _spent(self) -> bool:
        """With the option `once`: fail only as long as that file does not exist."""
        if self._once is None:
            return False
        if self._once.exists():
            return True
        self._once.touch()
        return False

    def _crash(self) -> None:
        print("the plug-in's last words", flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)

    def _hang(self) -> None:
        time.sleep(3600)

    def _hang_with_the_interpreter_locked(self) -> None:
        ctypes.PyDLL(None).sleep(3600)

    def _raise(self) -> None:
        raise ValueError("the plug-in is not in the mood")

    def _raise_or_crash(self) -> None:
        if self._level < 0.8:
            self._raise()
        time.sleep(0.3)
        self._crash()

    def _crash_beside_a_program(self) -> None:
        program = subprocess.Popen(["sleep", "60"], close_fds=False)
        with open(self._log, "a") as log:
            log.write(f"{program.pid}\n")
        self._crash()

    def _abort(self) -> None:
        os.abort()

    def _exit(self) -> None:
        sys.exit(3)

    def _exit_at_once(self) -> None:
        os._exit(0)

    def _stop(self) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    def _stop_with_every_lock(self) -> None:
        """As a host that is stopped while it takes a render, for any render."""
        for fd in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                if "memfd:blackbox_grad" in os.readlink(f"/proc/self/fd/{fd}"):
                    fcntl.lockf(int(fd), fcntl.LOCK_EX)
        self._stop()

    def _say(self) -> None:
        """Whatever the file `log` holds, to the parent, in the host's name."""
        for fd in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/self/fd/{fd}").startswith("socket:"):
                    os.write(int(fd), Path(self._log).read_bytes())
        time.sleep(3600)

    def _leave(self) -> None:
        """A file in the temporary folder, and a crash."""
        tempfile.mkdtemp(prefix="left-by-a-plug-in-")
        self._crash()

    def _nan(self) -> None:
        pass

    def _flood(self) -> None:
        for _ in range(64):
            sys.stdout.write("x" * (1 << 20))
            os.write(2, b"y" * (1 << 20))

    def _slow(self) -> None:
        time.sleep(0.3)

    def _pid(self) -> None:
        pass

    def close(self) -> None:
        pass


class FaultyBackend:
    opens_gently = True

    def open(self, locator, sample_rate, options):
        if locator == "rough-opening":  # dies unless it is opened gently
            if not options.get("gentle"):
                os.kill(os.getpid(), signal.SIGSEGV)
            effect = FaultyEffect("nan", sample_rate, None, None, False)
            effect.notes = ("it was opened gently",)
            return effect
        if not hasattr(FaultyEffect, "_" + locator.removesuffix("-always").replace("-", "_")) and "opening" not in locator:
            raise EffectNotFoundError(f"no faulty effect {locator!r}")
        return FaultyEffect(locator, sample_rate, options.get("once"), options.get("log"), bool(options.get("look")))

    def claims(self, locator: str) -> float:
        return 0.0

    def scan(self):
        return iter(())


class CollectedBackend:
    """Opens an effect by its address, after another in a circle of references was collected on another thread."""

    def open(self, locator, sample_rate, options):
        circle = [load(locator, sample_rate)]
        circle.append(circle)
        del circle
        thread = threading.Thread(target=gc.collect)
        thread.start()
        thread.join()
        return load(locator, sample_rate)

    def claims(self, locator: str) -> float:
        return 0.0

    def scan(self):
        return iter(())


class Backwards:
    """Minus the gradient, which shows that this estimator was used."""

    def estimate(self, problem):
        from blackbox_grad.estimators import Estimate, FiniteDifference

        return Estimate(-FiniteDifference().estimate(problem).gradient)


class Quiet(InProcessHost):
    """Renders at another level, which shows that this host was used."""

    def __init__(self, level=0.5):
        super().__init__()
        self.level = level

    def render_batch(self, spec, audio, points):
        rendered, finite = super().render_batch(spec, audio, points)
        return rendered * np.float32(self.level), finite
