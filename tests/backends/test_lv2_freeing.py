"""Plug-ins that crash when an instance is freed that was never activated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blackbox_grad import load
from blackbox_grad_backends.dawdreamer_plugin import DawDreamerPluginBackend
from blackbox_grad_backends.native import lv2_bundles, lv2_freeing

HEALTHY = "http://drobilla.net/plugins/mda/Overdrive"
FREES_WHAT_IT_NEVER_HAD = "http://plugin.org.uk/swh-plugins/bandpass_iir"

pytestmark = pytest.mark.plugins


def test_a_healthy_plugin_is_freed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = lv2_bundles.description(HEALTHY)
    assert plugin is not None
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert not lv2_freeing.dies_if_freed_unused(plugin, 44100.0)
    monkeypatch.setattr(lv2_freeing, "_PROGRAM", "import os; os.abort()")
    assert not lv2_freeing.dies_if_freed_unused(plugin, 44100.0), "it was tried again"


def test_a_first_instance_that_is_kept_changes_nothing() -> None:
    """Its table of functions is as before, and it renders as before: what is kept is memory."""
    plugin = lv2_bundles.description(HEALTHY)
    assert plugin is not None
    assert plugin.binary is not None
    descriptor = lv2_freeing._descriptor(plugin.binary, plugin.uri)
    assert descriptor is not None
    real = descriptor.cleanup
    audio = np.random.default_rng(0).normal(0.0, 0.1, (1, 512)).astype(np.float32)
    with load(f"dawdreamer:{HEALTHY}") as effect:
        expected = effect.render(audio, effect.parameters.defaults)
        learnt = dict(effect.spec.learnt)["measured"]
    assert learnt["keeps_first"] is False
    kept = DawDreamerPluginBackend().open(HEALTHY, 44100.0, {"measured": learnt | {"keeps_first": True}})
    assert descriptor.cleanup == real
    np.testing.assert_array_equal(kept.render(audio, kept.parameters.defaults), expected)
    kept.close()


def test_a_plugin_that_frees_what_it_never_had_opens_and_closes() -> None:
    if lv2_bundles.bundle_of(FREES_WHAT_IT_NEVER_HAD) is None:
        pytest.skip("swh-lv2 is not installed")
    audio = np.ones((1, 512), np.float32)
    for _ in range(2):
        with load(f"dawdreamer:{FREES_WHAT_IT_NEVER_HAD}") as effect:
            assert np.isfinite(effect.render(audio, effect.parameters.defaults)).all()
