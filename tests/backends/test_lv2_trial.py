"""LV2 plug-ins that use a worker are tried in a process of their own before they are opened."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from blackbox_grad.errors import EffectLoadError
from blackbox_grad_backends import lv2_trial
from blackbox_grad_backends.dawdreamer_effect import DawDreamerPluginEffect
from blackbox_grad_backends.dawdreamer_plugin import DawDreamerPluginBackend
from blackbox_grad_backends.native import lv2_bundles

DELAY = "urn:zamaudio:ZamDelay"
MORTAL = "http://guitarix.sourceforge.net/plugins/gx_cabinet#CABINET"

pytestmark = pytest.mark.plugins


@pytest.fixture
def with_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only LV2 plug-in, ZamDelay, whose description says that it uses a worker; its bundle."""
    source = lv2_bundles.bundle_of(DELAY)
    assert source is not None
    bundle = tmp_path / "lv2" / "delay"
    shutil.copytree(source, bundle)
    with (bundle / "manifest.ttl").open("a") as manifest:
        manifest.write(f"\n<{DELAY}> lv2:optionalFeature <http://lv2plug.in/ns/ext/worker#schedule> .\n")
    monkeypatch.setenv("LV2_PATH", str(bundle.parent))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return bundle


def opened(uri: str = DELAY) -> DawDreamerPluginEffect:
    return DawDreamerPluginBackend().open(uri, 44100.0, {})


def test_what_lives_through_its_trial_opens_and_is_not_tried_again(with_worker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(opened().parameters) > 5
    monkeypatch.setattr(lv2_trial, "_try", lambda *a: pytest.fail("it was tried again"))
    assert len(opened().parameters) > 5
    (with_worker / "manifest.ttl").touch()
    with pytest.raises(pytest.fail.Exception, match="tried again"):
        opened()


@pytest.mark.parametrize(("number", "name", "lasts"), [(11, "SIGSEGV", True), (6, "SIGABRT", True), (9, "SIGKILL", False)])
def test_what_dies_in_its_trial_is_refused(
    with_worker: Path, monkeypatch: pytest.MonkeyPatch, number: int, name: str, lasts: bool
) -> None:
    """A plug-in that is killed from outside may live the next time: only its own death is remembered."""
    monkeypatch.setattr("dawdreamer.RenderEngine.make_plugin_processor", lambda *a: pytest.fail("it was loaded"))
    with monkeypatch.context() as patch:
        patch.setattr(lv2_trial, "_PROGRAM", f"import os; os.kill(os.getpid(), {number})")
        with pytest.raises(
            EffectLoadError, match=rf"^dawdreamer:{DELAY} cannot be opened: .* of its own it crashed \({name}\)$"
        ):
            opened()
    tried: list[object] = []
    monkeypatch.setattr(lv2_trial, "_try", lambda *a: tried.append(a) or ("crashed again", True))
    with pytest.raises(EffectLoadError, match=name if lasts else "crashed again"):
        opened()
    assert bool(tried) == (not lasts)


def test_what_dies_at_far_settings_opens_near_its_defaults(with_worker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lv2_trial, "_try", lambda uri, rate, gentle: ("" if gentle else "crashed (SIGSEGV)", True))
    assert "stay near their defaults" in opened().notes[0]
    manifest = with_worker / "manifest.ttl"
    manifest.write_text(manifest.read_text().replace("lv2:optionalFeature <", "lv2:requiredFeature <"))
    with pytest.raises(EffectLoadError, match=r"crashed \(SIGSEGV\)$"):  # its worker may kill it at any setting
        opened()


def test_what_hangs_in_its_trial_is_refused(with_worker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lv2_trial, "_PROGRAM", "import time; time.sleep(600)")
    monkeypatch.setattr(lv2_trial, "TIME_LIMIT", 0.5)
    with pytest.raises(EffectLoadError, match=r"it was not done after 0\.5 s$"):
        opened()


def test_a_plugin_that_dies_of_its_worker_does_not_take_this_process_with_it() -> None:
    if lv2_bundles.bundle_of(MORTAL) is None:
        pytest.skip("guitarix-lv2 is not installed")
    with pytest.raises(EffectLoadError, match=r"it (crashed \(SIG\w+\)|hung)$"):
        opened(MORTAL)


def test_without_a_worker_there_is_no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lv2_trial, "fate", lambda *a: pytest.fail("it was tried"))
    opened().close()
