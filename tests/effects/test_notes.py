"""What an instrument plays, and how it travels."""

from __future__ import annotations

import pickle

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox_grad import Note, Notes
from blackbox_grad.effects.packing import MOST_EVENTS, is_packed, unpacked
from blackbox_grad.errors import AudioError

RATE = 44100.0


def midi_file(path, *messages, ticks=480):
    track = mido.MidiTrack(messages)
    mido.MidiFile(ticks_per_beat=ticks, tracks=[track]).save(path)
    return path


@pytest.mark.parametrize(
    ("name", "number"), [("C4", 60), ("A4", 69), ("a4", 69), ("C-1", 0), ("G9", 127), ("Bb2", 46), ("F#3", 54), ("B♭2", 46)]
)
def test_c4_is_60(name, number):
    assert Note(name) == Note(number)
    assert Note(name).pitch == number


def test_notes_last_a_second_longer_than_the_last_of_them():
    notes = Notes([("C4", 100, 0.0, 0.5), (64, 80, 0.5, 1.5)])
    assert notes.seconds == 3.0
    assert notes.lasting(1.25).samples(8000.0) == 10_000
    assert Notes.one("C3", seconds=2.0).seconds == 3.0
    assert pickle.loads(pickle.dumps(notes)) == notes
    assert repr(notes) == "Notes(2 notes, C4 to E4, 3 s)"


@given(
    st.lists(st.tuples(st.integers(0, 127), st.integers(1, 127), st.floats(0, 900), st.floats(0, 20)), min_size=1, max_size=20),
    st.sampled_from([8000.0, 44100.0, 96000.0]),
)
def test_what_is_packed_comes_back_exactly(rows, rate):
    notes = Notes(rows)
    sent = notes.messages(rate)
    got = unpacked(notes.packed(rate), rate)
    assert (got.times == sent.times).all()
    assert (got.data == sent.data).all()
    assert (np.diff(got.times) >= 0).all()
    assert {time for time, row in zip(got.times, got.data, strict=True) if row[0] == 0x90} == {
        round(start * rate) for _, _, start, _ in rows
    }


def test_a_note_ends_before_the_next_of_its_pitch_begins():
    messages = Notes([(60, 100, 0.0, 1.0), (60, 100, 1.0, 0.0)]).messages(RATE)
    assert messages.data[:, 0].tolist() == [0x90, 0x80, 0x90, 0x80]
    assert messages.times.tolist() == [0, 44100, 44100, 44101]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Notes([]), "there are no notes"),
        (lambda: Notes("C4"), r"Notes.one\('C4'\)"),
        (lambda: Notes([128]), "128 is no note; give"),
        (lambda: Notes([(128, 100)]), "pitch must be a whole number from 0 to 127, got 128"),
        (lambda: Notes([("H4", 100)]), "'H4' is no note"),
        (lambda: Notes([("C10", 100)]), "'C10' is 132"),
        (lambda: Notes([(60, -1)]), "velocity must be a whole number from 0 to 127, got -1"),
        (lambda: Notes([(60, 100, 0.0, -1.0)]), "length must be a number of seconds that is not negative, got -1.0"),
        (lambda: Notes([(60, 100, float("nan"), 1.0)]), "start must be a number of seconds that is not negative, got nan"),
        (lambda: Notes([(60, 100, 0.0, 1e9)]), "at most 3600 seconds"),
        (lambda: Notes.one("C4").lasting(0.0), "seconds=0.0"),
        (lambda: Notes([Note(60)] * (MOST_EVENTS + 1)), "200001 notes and controls are more than the 200000"),
        (lambda: Notes([(60, 100)] * 100, 0.001).packed(RATE), "100 MIDI messages do not fit into 45 samples"),
        (lambda: unpacked(np.zeros((2, 64), np.float32), RATE), "an instrument plays notes, and got audio"),
        (lambda: unpacked(Notes.one(60).packed(48000.0), RATE), "packed for 48000 Hz, and the instrument plays at 44100 Hz"),
        (lambda: unpacked(Notes.one(60).packed(RATE)[:1, :5], RATE), "damaged"),
    ],
)
def test_what_cannot_be_played_is_refused_with_its_reason(make, said):
    with pytest.raises(AudioError, match=said):
        make()


def test_a_midi_file_is_read_with_its_tempo_bends_and_controllers(tmp_path):
    path = midi_file(
        tmp_path / "riff.mid",
        mido.MetaMessage("set_tempo", tempo=1_000_000),
        mido.Message("program_change", program=5),
        mido.Message("control_change", control=0, value=1),
        mido.Message("note_on", note=60, velocity=90),
        mido.Message("control_change", control=64, value=127, time=240),
        mido.Message("pitchwheel", pitch=4096),
        mido.Message("note_on", note=60, velocity=0, time=240),
        mido.Message("note_on", channel=3, note=72, velocity=50),
        mido.MetaMessage("end_of_track", time=960),
    )
    notes = Notes.from_midi(path)
    assert notes.notes == (Note(60, 90, 0.0, 1.0), Note(72, 50, 1.0, 2.0, channel=3))
    assert [control.message for control in notes.controls] == [(0xB0, 64, 127), (0xE0, 0, 96)]
    assert {control.start for control in notes.controls} == {0.5}
    assert Notes.from_midi(path, seconds=1.5).seconds == 1.5


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no MIDI file, or is damaged"),
        (b"RIFF" + bytes(100), "is no MIDI file, or is damaged"),
        (b"MThd\x00\x00\x00\x06\x00\x00\x00\x01\x01\xe0MTrk\x00\x00\x00\x40\x00\x90\x3c", "is no MIDI file, or is damaged"),
        (b"MThd\x00\x00\x00\x06\x00\x00\x00\x01\x01\xe0MTrk\x00\x00\x00\x04\x00\xff\x2f\x00", "has no notes"),
    ],
)
def test_a_damaged_or_empty_midi_file_is_refused(tmp_path, content, said):
    (tmp_path / "bad.mid").write_bytes(content)
    with pytest.raises(AudioError, match=said):
        Notes.from_midi(tmp_path / "bad.mid")


def test_a_midi_file_that_is_missing_is_refused(tmp_path):
    with pytest.raises(AudioError, match=r"no such file"):
        Notes.from_midi(tmp_path / "none.mid")


def test_audio_is_no_notes():
    assert is_packed(Notes.one(60).packed(RATE))
    assert not is_packed(np.zeros((1, 2), np.float32))
    empty = Notes([(60, 0)]).packed(RATE)
    assert len(unpacked(empty, RATE).times) == 0, "a note of velocity 0 is silent"


def test_files_whose_songs_or_times_are_of_another_kind_are_refused(tmp_path):
    import mido

    note = mido.Message("note_on", note=60)
    mido.MidiFile(type=2, tracks=[mido.MidiTrack([note])]).save(tmp_path / "songs.mid")
    with pytest.raises(AudioError, match=r"songs.mid holds songs that are not played together \(MIDI type 2\)"):
        Notes.from_midi(tmp_path / "songs.mid")
    mido.MidiFile(tracks=[mido.MidiTrack([note])]).save(tmp_path / "film.mid")
    content = bytearray((tmp_path / "film.mid").read_bytes())
    content[12:14] = (0xE7, 40)  # 25 frames a second, 40 ticks a frame
    (tmp_path / "film.mid").write_bytes(content)
    with pytest.raises(AudioError, match=r"film.mid counts time in frames of a film \(SMPTE\)"):
        Notes.from_midi(tmp_path / "film.mid")


def test_times_follow_the_changes_of_tempo_of_all_tracks(tmp_path):
    import mido

    tempi = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=1_000_000, time=480)])
    notes = mido.MidiTrack([mido.Message("note_on", note=60, time=480), mido.Message("note_off", note=60, time=240)])
    mido.MidiFile(tracks=[tempi, notes], ticks_per_beat=480).save(tmp_path / "slower.mid")
    (note,) = Notes.from_midi(tmp_path / "slower.mid").notes
    assert (note.start, note.length) == (0.5, 0.5)
