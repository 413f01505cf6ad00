"""Memory of plug-ins that are opened in this process: zeros, whatever was there before."""

from __future__ import annotations

import ctypes
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blackbox_grad import EffectSpec, InProcessHost, ProcessPool
from blackbox_grad_backends.native.determinism import zeroed_memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")

SIZES = (24, 40, 136, 520, 1032, 1048, 4096, 100_000)


@pytest.fixture(scope="module")
def c_library() -> Any:
    library = ctypes.PyDLL(None)
    library.malloc.argtypes, library.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    library.free.argtypes, library.free.restype = [ctypes.c_void_p], None
    if not hasattr(library, "gnu_get_libc_version"):
        pytest.skip("glibc's malloc")
    return library


def _used_again(library: Any, size: int) -> bytes:
    """The content of new memory, after other memory of this size was written and freed."""
    blocks = [library.malloc(size) for _ in range(20)]
    for block in blocks:
        ctypes.memset(block, 0x55, size)
    for block in blocks:
        library.free(block)
    again = [library.malloc(size) for _ in range(20)]
    content = b"".join(ctypes.string_at(block, size) for block in again)
    for block in again:
        library.free(block)
    return content


@pytest.mark.parametrize("size", SIZES)
def test_memory_that_was_freed_inside_the_block_is_zero_again(c_library: Any, size: int) -> None:
    _used_again(c_library, size)
    with zeroed_memory():
        assert not any(_used_again(c_library, size))


def test_outside_the_block_the_allocator_is_as_before(c_library: Any) -> None:
    with zeroed_memory():
        pass
    kept = c_library.malloc(40)
    ctypes.memset(kept, 0x55, 40)
    c_library.free(kept)
    assert c_library.malloc(40) == kept  # from the cache of the thread, the last first
    assert ctypes.string_at(kept + 16, 24) == b"\x55" * 24
    c_library.free(kept)


def test_two_threads_may_be_inside_at_once(c_library: Any) -> None:
    inside, leave, found = threading.Event(), threading.Event(), list[bool]()

    def other() -> None:
        with zeroed_memory():
            inside.set()
            leave.wait(30)
        found.append(True)

    thread = threading.Thread(target=other)
    with zeroed_memory():
        thread.start()
        inside.wait(30)
        leave.set()
        thread.join(30)
        assert found
        assert not any(_used_again(c_library, 40))


@pytest.mark.skipif(not Path("/usr/lib/lv2/valve-swh.lv2").exists(), reason="Debian's swh-lv2")
def test_an_effect_in_this_process_sounds_as_in_a_host() -> None:
    spec = EffectSpec("dawdreamer:http://plugin.org.uk/swh-plugins/valve", parameters="all")
    audio = np.random.default_rng(0).uniform(-0.1, 0.1, (1, 1, 20_000)).astype(np.float32)
    outputs = []
    with ProcessPool(hosts=1) as elsewhere:
        for host in (InProcessHost(), elsewhere, InProcessHost()):
            point = host.open(spec).parameters.defaults[None]
            outputs.append(host.render_batch(spec, audio, point)[0])
    assert np.array_equal(outputs[0], outputs[1])
    assert np.array_equal(outputs[0], outputs[2])
