"""The sounds of a listening test: which are found, their lengths, anchors and loudness, and the page that holds them."""

from __future__ import annotations

import base64
import io
import json
import math
import re

import numpy as np
import pytest
import soundfile
from scipy import signal

from blackbox_grad import audio_files
from blackbox_grad.errors import AudioError
from blackbox_grad_adapters.style_matching.listening import page as pages_
from blackbox_grad_adapters.style_matching.listening.anchors import ANCHORS, low_pass, with_anchors
from blackbox_grad_adapters.style_matching.listening.folders import from_folder
from blackbox_grad_adapters.style_matching.listening.items import REFERENCE, Item, alike, chosen
from blackbox_grad_adapters.style_matching.listening.levels import PEAK, TARGET, level_matched, loudness
from blackbox_grad_adapters.style_matching.listening.page import read_test, write_test
from blackbox_grad_adapters.style_matching.listening.trials import prepared
from tests.command_line import fail_here, succeed_here

RATE = 22050


@pytest.fixture(scope="module")
def guitar():
    audio, rate = audio_files.example()
    return audio_files.resample(audio[:1, : 2 * int(rate)], rate, RATE)


def item(guitar, *systems, name="guitar", effect="", length=RATE):
    """The guitar, each system more quiet and darker."""
    sounds = {REFERENCE: guitar[:, :length]}
    for i, system in enumerate(systems, start=1):
        sounds[system] = (low_pass(guitar, RATE, 5000.0 / i) * np.float32(0.5**i))[:, :length]
    return Item(name, effect, "", sounds, RATE)


@pytest.mark.parametrize("rate", [16000, 22050, 24000, 44100, 48000])
@pytest.mark.parametrize("cutoff", ANCHORS.values())
def test_an_anchor_keeps_within_the_mask_of_the_recommendation(rate, cutoff):
    impulse = np.zeros((1, 8192), np.float32)
    impulse[0, 4096] = 1.0
    response = low_pass(impulse, rate, cutoff)[0]
    frequencies, gains = signal.freqz(response, worN=1 << 15, fs=rate)
    level = 20 * np.log10(np.maximum(np.abs(gains), 1e-9))
    assert np.abs(level[frequencies <= cutoff]).max() <= 0.1
    assert level[frequencies >= cutoff * 4.0 / 3.5].max(initial=-99.0) <= -25.0
    assert level[frequencies >= cutoff * 4.5 / 3.5].max(initial=-99.0) <= -50.0
    assert (
        np.abs(response - response[::-1][np.r_[-1, 0 : len(response) - 1]]).max() < 1e-6
    )  # in phase: symmetric about the impulse


def test_an_anchor_that_cannot_be_is_refused_and_one_that_nobody_hears_is_named(guitar):
    with pytest.raises(AudioError, match=r"15000 Hz have no anchor at 7 kHz, which needs 16000 Hz.*--no-anchors"):
        low_pass(guitar, 15000, 7000.0)
    dark = Item("dark", "", "", {REFERENCE: low_pass(guitar, RATE, 3000.0)}, RATE)
    with pytest.warns(UserWarning, match=r"dark: the reference has almost nothing above 7 kHz"):
        found = with_anchors(dark)
    assert list(found.sounds) == [REFERENCE, *ANCHORS]
    with pytest.raises(AudioError, match="no system may be called anchor35"):
        with_anchors(item(guitar, "anchor35"))


def test_all_sounds_of_a_test_have_one_loudness_and_none_clips(guitar):
    items = [item(guitar, "a", "b"), item(-0.1 * guitar, "a", name="other")]
    matched, levels = level_matched(items)
    assert levels.loudness == TARGET
    found = [loudness(audio, RATE) for one in matched for audio in one.sounds.values()]
    assert found == pytest.approx([TARGET] * 5, abs=0.05)
    # a click has a peak far above its loudness: all give way
    click = guitar.copy()
    click[0, 5000:5003] = 20 * np.abs(guitar).max()
    matched, levels = level_matched([*items, Item("click", "", "", {REFERENCE: click, "a": guitar}, RATE)])
    assert levels.loudness < TARGET
    sounds = [audio for one in matched for audio in one.sounds.values()]
    assert [loudness(audio, RATE) for audio in sounds] == pytest.approx([levels.loudness] * 7, abs=0.05)
    assert max(map(audio_files.peak_decibels, sounds)) == pytest.approx(PEAK, abs=0.01)
    assert matched[0].sounds["a"] == pytest.approx(
        items[0].sounds["a"] * (matched[0].sounds["a"][0, 999] / items[0].sounds["a"][0, 999])
    )


def test_silence_stays_silence(guitar):
    silent = Item("s", "", "", {REFERENCE: guitar, "nothing": np.zeros_like(guitar)}, RATE)
    with pytest.warns(UserWarning, match="s: nothing is silent"):
        (found,), levels = level_matched([silent])
    assert not found.sounds["nothing"].any()
    assert math.isfinite(levels.loudness)


def test_sounds_are_cut_alike_to_the_loudest_part(guitar):
    loud = np.concatenate([0.01 * guitar, guitar], axis=1)
    one = Item("one", "", "", {REFERENCE: loud, "same": 0.5 * loud, "stereo": np.repeat(loud, 2, axis=0)}, RATE)
    two = Item("two", "", "", {REFERENCE: audio_files.resample(guitar, RATE, 16000)}, 16000)
    found, other = alike([one, two], 1.0)
    assert other.sample_rate == RATE
    assert {audio.shape for audio in found.sounds.values()} == {(2, RATE)}
    start = int(np.abs(np.correlate(loud[0], found.sounds[REFERENCE][0], "valid")).argmax())
    assert start >= guitar.shape[1] - RATE // 10
    assert np.array_equal(found.sounds["same"], 0.5 * found.sounds[REFERENCE])
    with pytest.warns(UserWarning, match=r"reference lasts 2\.00 s and late 1\.00 s; all are cut"):
        (short,) = alike([Item("x", "", "", {REFERENCE: guitar, "late": guitar[:, :RATE]}, RATE)], 10.0)
    assert short.sounds[REFERENCE].shape == (1, RATE)
    with pytest.raises(AudioError, match=r"a sound must last 0\.5 s or longer"):
        alike([item(guitar, "a", length=RATE // 3)], 10.0)


def test_both_layouts_of_folders_are_read(guitar, tmp_path):
    for path, gain in {
        "Delay/song/reference": 1.0,
        "Delay/song/mine": 0.5,
        "Delay/song/dry": 0.2,
        "Delay/voice/reference": 0.7,
    }.items():
        for root, place in (("trials", path), ("systems", "/".join((path.split("/")[2], *path.split("/")[:2])))):
            file = tmp_path / root / f"{place}.{'flac' if gain == 0.5 else 'wav'}"
            file.parent.mkdir(parents=True, exist_ok=True)
            audio_files.write(file, np.float32(gain) * guitar, RATE)
    (tmp_path / "trials" / "notes.txt").write_text("no audio")
    audio_files.write(tmp_path / "trials" / "loose.wav", guitar, RATE)
    for root in ("trials", "systems"):
        with pytest.warns(UserWarning, match="left out, as there is only one sound: Delay/voice"):
            (found,) = from_folder(tmp_path / root)
        assert (found.name, found.effect, found.sample_rate) == ("song", "Delay", RATE)
        assert next(iter(found.sounds)) == REFERENCE
        assert sorted(found.systems) == ["dry", "mine"]
        assert np.abs(found.sounds["mine"] - 0.5 * guitar).max() < 1e-6
    audio_files.write(tmp_path / "trials" / "Delay" / "song" / "mine.wav", guitar, RATE)
    with pytest.raises(AudioError, match=r"mine\.wav: there is also mine\.flac; keep one"):
        from_folder(tmp_path / "trials")
    with pytest.raises(AudioError, match=r"no trial of two sounds or more; it needs a folder for each trial"):
        from_folder(tmp_path / "trials" / "Delay" / "voice")
    with pytest.raises(AudioError, match="no such folder"):
        from_folder(tmp_path / "nowhere")


def test_a_folder_without_references_is_read_as_trials_unless_told(guitar, tmp_path):
    for system in ("a", "b"):
        for trial in ("one", "two"):
            (tmp_path / system).mkdir(exist_ok=True)
            audio_files.write(tmp_path / system / f"{trial}.wav", guitar, RATE)
    assert [(one.name, one.systems) for one in from_folder(tmp_path)] == [("a", ["one", "two"]), ("b", ["one", "two"])]
    assert [(one.name, one.systems) for one in from_folder(tmp_path, "systems")] == [("one", ["a", "b"]), ("two", ["a", "b"])]


def test_each_design_asks_for_what_it_compares(guitar):
    items = [item(guitar, "a", "b", "c"), item(guitar, "a", "b", name="other", effect="Delay")]
    mushra = prepared(items, "mushra")
    assert [trial.systems for trial in mushra.description.trials] == [
        (REFERENCE, "a", "b", "c", *ANCHORS),
        (REFERENCE, "a", "b", *ANCHORS),
    ]
    assert [trial.systems for trial in prepared(items, "mushra", anchors=False).description.trials][1] == (REFERENCE, "a", "b")
    ab = prepared(items, "ab")
    assert [trial.systems for trial in ab.description.trials] == [("a", "b"), ("a", "c"), ("b", "c"), ("a", "b")]
    abx = prepared(items, "abx", repeats=2).description.trials
    assert [trial.systems for trial in abx[:4]] == [(REFERENCE, "a")] * 2 + [(REFERENCE, "b")] * 2
    assert len({trial.id for trial in abx}) == len(abx) == 10
    assert [(t.effect, t.systems) for t in prepared(items, "abx", pairs=[("b", "c")]).description.trials] == [("", ("b", "c"))]
    assert {mushra.description.id, ab.description.id} == {
        prepared(items, "mushra").description.id,
        prepared(items, "ab").description.id,
    }
    assert prepared(items, "mushra", seconds=0.8).description.id != mushra.description.id
    for wrong, said, options in (
        ([], "nothing to compare", {}),
        ([item(guitar, *"abcdefghij")], "10 systems are too many for one trial; 9 fit", {}),
        ([Item("x", "", "", {"a": guitar, "b": guitar}, RATE)], "MUSHRA needs a reference", {}),
        ([item(guitar, "n" * 300)], "more than 200 characters", {}),
        ([item(guitar, "a")], "more than 500", {"design": "abx", "repeats": 501}),
        ([item(guitar, "a")], "no trial has the pair a and z", {"design": "ab", "pairs": [("a", "z")]}),
        ([item(guitar, "a")], "no trial has the pair of systems", {"design": "ab"}),
    ):
        with pytest.raises(AudioError, match=said):
            prepared(wrong, **{"design": "mushra", **options})
    with pytest.raises(AudioError, match="no system 'z'; there are a, b, c"):
        chosen(items, ["z"])
    assert [one.systems for one in chosen(items, ["c"])] == [["c"]]


def embedded(page):
    """The sounds in a page, and its description."""
    data, clips = (json.loads(re.search(f'id="{name}">(.*?)</script>', page, re.DOTALL)[1]) for name in ("test", "clips"))
    return data, [soundfile.read(io.BytesIO(base64.b64decode(clip)), always_2d=True) for clip in clips]


def test_the_page_holds_every_sound_whole(guitar, tmp_path):
    made = prepared([item(guitar, "</script><b>", "b")], "mushra", title="<!-- & \"'")
    size = write_test(tmp_path / "t.html", made, "Which </script>?", "made <here>")
    page = (tmp_path / "t.html").read_text("utf-8")
    assert size == (tmp_path / "t.html").stat().st_size
    data, clips = embedded(page)
    for system, number in data["sounds"]["1"].items():
        audio, rate = clips[number]
        assert rate == RATE
        assert np.abs(audio.T - made.items[0].sounds[system]).max() <= 2.0**-15
    assert read_test(tmp_path / "t.html")[1] == made.description
    assert "<b>" not in page.partition("</style>")[2].replace("<b>{", "")
    write_test(tmp_path / "m.html", made, "Which?", "", lossy=True)
    _, lossy = embedded((tmp_path / "m.html").read_text("utf-8"))
    assert len(lossy) == len(clips)
    assert (tmp_path / "m.html").stat().st_size < size


def test_a_page_that_would_be_too_large_is_refused_with_ways_out(guitar, tmp_path, monkeypatch):
    made = prepared([item(guitar, "a"), item(guitar, "a", name="other")], "mushra")
    monkeypatch.setattr(pages_, "MOST_BYTES", 100_000)
    with pytest.raises(
        AudioError, match=r"some 0 MB, and 0 MB is the most; take fewer trials or systems, shorter sounds .*--mp3"
    ):
        write_test(tmp_path / "t.html", made, "", "")
    assert not (tmp_path / "t.html").exists()


def test_wrong_usage_is_refused_with_a_way_out(sounds, tmp_path, capsys):
    listen = ("style", "listen", "prepare", sounds)
    for options, code, said in (
        ((), 2, "name what to write"),
        (("-o", tmp_path / "t.txt"), 1, "the suffix .txt is unknown"),
        (("-o", tmp_path / "t.html", "--test", "pea"), 2, "allowed are mushra, ab, abx"),
        (("-o", tmp_path / "t.html", "--layout", "flat"), 2, "allowed are auto, trials, systems"),
        (("-o", tmp_path / "t.html", "--pair", "near,far"), 2, "--pair is for --test ab and abx"),
        (("-o", tmp_path / "t.html", "--test", "ab", "--pair", "near"), 2, "write two systems with a comma"),
        (("-o", tmp_path / "t.html", "--system", "far", "--system", "fra"), 1, "there is no system 'fra'"),
        (("-o", tmp_path / "t.html", "--effect", "Leslie"), 1, "no effect 'Leslie'; there are Distortion, Reverb"),
        (("-o", tmp_path / "t.html", "--seconds", "0.1"), 2, "must be at least 0.5"),
    ):
        assert said in re.sub(r"[\s│]+", " ", fail_here(capsys, *listen, *options, code=code)), options
    assert list(tmp_path.iterdir()) == []


def test_what_was_made_is_said_for_people_and_for_programs(sounds, tmp_path, capsys):
    listen = ("style", "listen", "prepare", sounds, "--effect", "Distortion", "--system", "far", "-o", tmp_path / "t.html")
    said = succeed_here(capsys, *listen, "--trained")
    assert "1 of reference, far, anchor35, anchor70" in said
    assert "-23.0 LUFS" in said
    assert "basic audio quality" in (tmp_path / "t.html").read_text("utf-8")
    found = json.loads(succeed_here(capsys, *listen, "--question", "Well?", "--json"))
    assert found["question"] == "Well?"
    assert found["bytes"] == (tmp_path / "t.html").stat().st_size
    assert found["test"]["trials"][0]["systems"] == ["reference", "far", "anchor35", "anchor70"]
    assert "Well?" in (tmp_path / "t.html").read_text("utf-8")
