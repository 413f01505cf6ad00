"""The page in the browser: a real server, clicked in Chromium."""

from __future__ import annotations

import json
import os
import re
import runpy
import signal
import subprocess
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from mido import Message, MidiFile, MidiTrack

from blackbox_grad import Notes, audio_files, load
from tests.command_line import PROGRAM

DX10 = "dawdreamer:http://drobilla.net/plugins/mda/DX10"

#: Of everything that waits for a page, milliseconds.
PATIENCE = 240_000


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """A guitar, dry and through a distortion."""
    folder = tmp_path_factory.mktemp("recordings")
    audio, rate = audio_files.example()
    audio = audio[:, : int(1.5 * rate)]
    with load("pedalboard-builtin:Distortion", rate) as effect:
        wet = effect.render(audio, np.full(len(effect.parameters), 0.7))
    audio_files.write(folder / "dry.wav", audio, rate)
    audio_files.write(folder / "wet.wav", wet, rate)
    (folder / "damaged.wav").write_bytes(b"RIFF no audio")
    return folder


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The address of a page, and the folder for its temporary files."""
    folder = tmp_path_factory.mktemp("temporary")
    server = subprocess.Popen(
        [PROGRAM, "app", "--port", "0", "--no-browser"],
        env=os.environ | {"TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    line = server.stdout.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+/", line)
    assert found, line
    yield found[0], folder
    server.send_signal(signal.SIGINT)
    assert server.wait(120) == 130
    assert list(folder.glob("blackbox-grad-app-*")) == []


class Visit:
    """A page that is open, and what it asked the network for."""

    def __init__(self, browser, address, folder) -> None:
        self.folder = folder
        self.context = browser.new_context(accept_downloads=True)
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        self.elsewhere: list[str] = []
        self.page.on("request", self._asked)
        self.page.goto(address)
        self.page.get_by_role("button", name="Match", exact=True).wait_for()

    def _asked(self, request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:", "about:")):
            self.elsewhere.append(request.url)

    def upload(self, box: str, file: Path) -> None:
        self.page.set_input_files(f"#{box} input[type=file]", file)
        self.page.locator(f"#{box}").get_by_text(re.compile(r"[KM]?B")).first.wait_for()

    def choose(self, typed: str, address: str) -> None:
        box = self.page.get_by_label("Effect").first
        box.click()
        box.press("Control+a")
        box.press_sequentially(typed)
        self.page.get_by_role("option").filter(has_text=address).first.click()

    def match(self) -> None:
        self.page.get_by_role("button", name="Match", exact=True).click()

    def text(self) -> str:
        return self.page.locator(".job-text, .job-error").first.inner_text()

    def until(self, pattern: str) -> str:
        """Wait until the line of the job says so, and return it."""
        said = self.page.locator(".job-text, .job-error").filter(has_text=re.compile(pattern)).first
        said.wait_for()
        return str(said.inner_text())

    def download(self, name: str) -> Path:
        with self.page.expect_download() as waiting:
            self.page.locator("a", has_text=re.compile(r"[KM]?B")).and_(
                self.page.locator(f'a[download="{name}"]')
            ).first.click()
        path = self.folder / name
        waiting.value.save_as(path)
        return path


@pytest.fixture
def visit(browser, served, tmp_path):
    opened = []

    def open_one() -> Visit:
        opened.append(Visit(browser, served[0], tmp_path))
        return opened[-1]

    yield open_one
    for one in opened:
        assert one.elsewhere == []
        one.context.close()


def test_a_match_from_upload_to_download(visit, recordings, served):
    page = visit()
    page.upload("match-input", recordings / "dry.wav")
    page.upload("match-target", recordings / "wet.wav")
    page.choose("Distortion", "pedalboard-builtin:Distortion")
    page.match()
    said = page.until(r"Distortion: distance .* renders")
    assert re.search(r"in \d+ renders", said)

    report = page.page.frame_locator("iframe.job-report")
    report.get_by_role("button", name="Target").click()
    assert report.get_by_role("button", name="Target").get_attribute("aria-pressed") == "true"

    found = json.loads(page.download("settings.json").read_text("utf-8"))
    assert found["effect"] == "pedalboard-builtin:Distortion"
    assert found["loss"] < 0.05 * found["loss_start"]
    matched, rate = audio_files.read(page.download("matched.wav"))
    target, _ = audio_files.read(recordings / "wet.wav")
    assert rate == 44100
    assert np.abs(matched - target).max() < 0.1 * np.abs(target).max()

    # less of the settings is nearer to the dry recording
    slider = page.page.locator("#match-amount input[type=range]")
    slider.fill("0.5")
    slider.dispatch_event("pointerup")
    page.until("Amount 0.5")
    page.page.locator("#match-amount-audio").wait_for()
    half, _ = audio_files.read(next(served[1].glob("blackbox-grad-app-*/jobs/*/amount.wav")))
    dry, _ = audio_files.read(recordings / "dry.wav")
    assert 0.0 < np.abs(half - dry).mean() < np.abs(matched - dry).mean()

    page.page.get_by_role("button", name="Save a preset").click()
    page.page.locator("#match-preset-files a").first.wait_for()
    saved = runpy.run_path(str(page.download("preset.py")))["effect"]
    assert type(saved).__name__ == "Distortion"
    assert saved.drive_db != 25.0

    kept = list(served[1].glob("blackbox-grad-app-*/jobs/*/input/dry.wav"))
    assert len(kept) == 1
    page.context.close()
    gone(kept[0])


def test_what_the_command_line_refuses_is_refused_in_its_words(visit, recordings):
    page = visit()
    page.match()
    assert "INPUT is missing" in page.until("missing")
    page.upload("match-input", recordings / "dry.wav")
    page.upload("match-target", recordings / "damaged.wav")
    page.match()
    said = page.until("damaged.wav")
    done = subprocess.run(
        [PROGRAM, "match", "Reverb", recordings / "dry.wav", recordings / "damaged.wav"],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    # but for the folder of the file
    assert done.stderr.strip().rpartition("damaged.wav")[2] == said.rpartition("damaged.wav")[2]


@pytest.mark.slow
@pytest.mark.plugins
def test_one_job_at_a_time_and_a_stop_keeps_the_best(visit, recordings):
    first, second = visit(), visit()
    for page in (first, second):
        page.upload("match-input", recordings / "dry.wav")
        page.upload("match-target", recordings / "wet.wav")
    first.choose("ZamTube", "ZamTube")  # which cannot sound like this, so the search goes on
    first.match()
    first.until(r"\d+/1000 renders")
    second.match()
    second.until("Waiting")
    time.sleep(2.0)
    assert "Waiting" in second.text()
    first.page.get_by_role("button", name="Stop").click()
    first.until(r"distance .* renders\.")
    assert json.loads(first.download("settings.json").read_text("utf-8"))["finished"] == "interrupted"
    second.page.get_by_role("button", name="Stop").click()
    second.until("renders|Stopped")


@pytest.mark.slow
@pytest.mark.plugins
def test_an_instrument_plays_a_midi_file_like_a_recording(visit, tmp_path):
    riff = MidiFile(ticks_per_beat=480)
    track = MidiTrack()
    riff.tracks.append(track)
    track += [Message("note_on", note=60, velocity=100), Message("note_off", note=60, time=480)]
    riff.save(tmp_path / "riff.mid")
    with load(DX10) as synth:
        point = synth.parameters.point({"Mod Init": 0.8, "Mod Rel": 0.3})
        audio_files.write(tmp_path / "sound.wav", synth.render(Notes.from_midi(tmp_path / "riff.mid"), point), 44100)
    page = visit()
    page.upload("match-input", tmp_path / "riff.mid")
    page.upload("match-target", tmp_path / "sound.wav")
    page.choose("DX10", DX10)
    page.page.get_by_role("button", name="More").click()
    page.page.get_by_label("Renders").fill("100")
    page.page.get_by_label("Only").fill("Mod Init\nMod Rel")
    page.match()
    page.until(r"DX10: distance .* renders")
    found = json.loads(page.download("settings.json").read_text("utf-8"))
    assert found["loss"] < 0.3 * found["loss_start"]
    page.page.get_by_role("button", name="Save a preset").click()
    with zipfile.ZipFile(page.download("preset.lv2.zip")) as saved:
        assert "preset.lv2/manifest.ttl" in saved.namelist()


@pytest.mark.slow
def test_an_inspection_is_shown(visit):
    page = visit()
    page.page.get_by_role("tab", name="Inspect").click()
    page.page.get_by_label("Time limit, seconds").fill("10")
    page.page.get_by_role("button", name="Inspect", exact=True).click()
    page.page.frame_locator("iframe.job-report").get_by_text("damping").first.wait_for()


@pytest.mark.slow
def test_a_style_is_matched(visit, recordings):
    page = visit()
    page.page.get_by_role("tab", name="Style").click()
    page.upload("style-input", recordings / "dry.wav")
    page.upload("style-reference", recordings / "wet.wav")
    page.page.get_by_role("button", name="Match the style").click()
    report = page.page.frame_locator("iframe.job-report")
    report.locator("h1").first.wait_for()
    report.get_by_role("button", name="Reference").click()
    assert report.locator("[data-hear][aria-pressed=true]").all_inner_texts() == ["Reference"]
    assert report.get_by_label("equally loud").is_checked()
    page.until(r"Gain: [+-]\d+\.\d dB before the effect")


def test_a_port_in_use_is_named(served):
    port = served[0].rstrip("/").rpartition(":")[2]
    done = subprocess.run(
        [PROGRAM, "app", "--port", port, "--no-browser"], capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 1
    assert f"port {port} is not free" in done.stderr


def test_terminating_the_page_leaves_no_process_and_no_file(tmp_path):
    server = subprocess.Popen(
        [PROGRAM, "app", "--port", "0", "--no-browser"],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    assert "http://" in server.stdout.readline()
    server.send_signal(signal.SIGTERM)
    assert server.wait(120) == 143
    assert list(tmp_path.glob("blackbox-grad-app-*")) == []


def gone(path: Path) -> None:
    deadline = time.monotonic() + 120
    while path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.2)
