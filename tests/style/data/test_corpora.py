"""Corpora: their sides, and the messages of a fetch that fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from blackbox_grad_adapters.style_matching.data import corpora
from blackbox_grad_adapters.style_matching.data.corpora import CORPORA, CorpusError, corpus
from blackbox_grad_adapters.style_matching.data.recordings import decode

PROGRAM = Path(sys.executable).parent / "blackbox-grad"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if not corpora.recordings_folder().is_relative_to(tmp_path):
        pytest.skip("the cache folder of this system does not follow XDG_CACHE_HOME")
    return corpora.recordings_folder()


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Makes stand-ins for `apt-get`, for its failures without a network or a disk."""
    folder = tmp_path / "programs"
    folder.mkdir()

    def make(script, name="apt-get"):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    return make


def test_every_package_lies_on_one_side_and_every_side_has_both_kinds():
    assert len({c.package for c in CORPORA}) == len(CORPORA)
    assert {(c.side, c.kind) for c in CORPORA} == {
        (s, k) for s in ("train", "validate", "evaluate") for k in ("speech", "music")
    }
    assert not {c.package for c in corpora.on_side("train")} & {c.package for c in corpora.on_side("evaluate")}
    assert [c.package for c in corpora.on_side("evaluate", "speech")] == ["asterisk-core-sounds-en-g722"]


@pytest.mark.parametrize(
    ("file", "speaker"),
    [
        ("airplane/cs/let-m-budrada0.ogg", "m"),
        ("rush/cs/v-chytra.ogg", "v"),
        ("start/cs/1st-v-m.ogg", "v"),
        ("cave/cs/x-m.ogg", "m"),
        ("city/cs/vit-hs-klid1.ogg", "others"),
        ("magnet/cs/mag-x-vm.ogg", "others"),
    ],
)
def test_the_speaker_is_read_from_the_name_of_a_file(file, speaker, cache):
    speech = corpus("fillets-ng-data-cs")
    path = speech.folder / speech.root / file
    path.parent.mkdir(parents=True)
    path.touch()
    assert [recording.group for recording in speech.recordings()] == [f"fillets-ng-data-cs/{speaker}"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt-get")
@pytest.mark.parametrize("name", ["asterisk-core-sounds-it-g722", "asc-music"])
def test_a_corpus_is_fetched_decoded_and_of_one_group(name, cache):
    try:
        corpus(name).fetch()
    except CorpusError as error:
        if "Check the network" in str(error) or "apt-get update" in str(error):
            pytest.skip(str(error))
        raise
    assert corpus(name).present
    assert [f.name for f in cache.iterdir()] == [name]
    found = corpus(name).recordings()
    assert {r.group for r in found} == {f"{name}/others"}
    audio, rate = decode(found[-1].path)
    assert rate == (16_000 if "g722" in name else 22_050)
    assert audio.dtype == np.float32
    assert 0.01 < np.abs(audio).max() < 2
    assert audio.shape[1] > rate / 10


def test_a_corpus_that_is_not_here_says_how_to_have_it(cache):
    with pytest.raises(CorpusError, match=r"asc-music is not here; run: blackbox-grad style corpus get asc-music \(10 MB\)"):
        corpora.tracks("validate", 24_000, kind="music")
    with pytest.raises(CorpusError, match="no corpus 'asc-musik'; did you mean 'asc-music'"):
        corpus("asc-musik")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'E: Unable to locate package asc-music' >&2; exit 100", "Unable to locate.*as root: apt-get update"),
        ("echo 'E: Failed to fetch http://… Could not resolve' >&2; exit 100", "Could not resolve.*Check the network"),
        ("echo 'dd: No space left on device' >&2; exit 1", "No space left.*Make room in .*XDG_CACHE_HOME"),
        ("echo broken > asc-music.deb", r"dpkg -x failed: .*is not a Debian.*archive"),
    ],
)
@pytest.mark.skipif(shutil.which("dpkg") is None, reason="needs dpkg")
def test_a_failed_download_says_why_and_leaves_nothing(cache, programs, script, message):
    programs(script)
    with pytest.raises(CorpusError, match=message):
        corpus("asc-music").fetch()
    assert list(cache.iterdir()) == []
    assert not corpus("asc-music").present


def test_without_apt_the_way_out_is_named(cache, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CorpusError, match="apt-get is not here to fetch it; .* or use a folder of recordings of your own"):
        corpus("asc-music").fetch()


def test_a_folder_that_cannot_be_made_is_named(cache, programs):
    cache.parent.parent.mkdir(parents=True)
    cache.parent.write_text("a file where the folder should be")
    with pytest.raises(CorpusError, match=r"cannot be unpacked into .*; make room there"):
        corpus("asc-music").fetch()


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_what_is_here_is_not_fetched_again(cache, programs, tmp_path):
    content = tmp_path / "package" / corpus("asc-music").root
    content.mkdir(parents=True)
    (content / "a.mp3").write_bytes(b"audio")
    (tmp_path / "package" / "DEBIAN").mkdir()
    (tmp_path / "package" / "DEBIAN" / "control").write_text(
        "Package: asc-music\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.org>\nDescription: test\n"
    )
    subprocess.run(["dpkg-deb", "--build", tmp_path / "package", tmp_path / "asc.deb"], check=True, capture_output=True)
    programs(f"cp {tmp_path}/asc.deb asc-music_1_all.deb")
    corpus("asc-music").fetch()
    assert [r.path.name for r in corpus("asc-music").recordings()] == ["a.mp3"]
    programs("exit 1")
    corpus("asc-music").fetch()


def run(*arguments):
    return subprocess.run([PROGRAM, "style", "corpus", *arguments], capture_output=True, text=True, timeout=240, check=False)


def test_the_command_lists_and_refuses(cache, programs):
    listed = run("list")
    assert listed.returncode == 0
    assert all(c.package in listed.stdout for c in CORPORA)
    assert str(cache) in listed.stdout
    programs("echo 'E: Unable to locate package asc-music' >&2; exit 100")
    failed = run("get", "asc-music")
    assert failed.returncode == 1
    assert "apt-get update" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert "no corpus 'fillets'" in run("get", "fillets").stderr
