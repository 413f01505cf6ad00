"""A Faust program reads the standard libraries and the folder of its file, and more only if it may."""

from __future__ import annotations

import re

import pytest

from blackbox_grad import load
from blackbox_grad.errors import EffectLoadError

READING = [
    'import("http://127.0.0.1:9/stranger.lib"); process = _;',
    'import("/etc/passwd"); process = _;',
    'import("../secret.lib"); process = _;',
    'process = component("FOLDER/half.dsp");',
    'l = library /* here */ ("FOLDER/half.dsp"); process = l.process;',
    "process = _, soundfile(\"s[url:{'/etc/passwd'}]\", 1) : _, !, !, !;",
]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "half.dsp").write_text("process = *(0.5);")
    (tmp_path.parent / "secret.lib").write_text("process = 1 + ;")
    return tmp_path


@pytest.mark.parametrize("program", READING)
@pytest.mark.parametrize("indirect", [False, True], ids=["text", "a file's import"])
def test_a_program_does_not_read_what_it_may_not(program, indirect, folder):
    address = program.replace("FOLDER", str(folder.parent / folder.name)).replace("process = _;", "process = _;")
    if indirect:
        if str(folder) in address:
            address = address.replace(str(folder), str(folder.parent))
        (folder / "middle.lib").write_text(address)
        (folder / "main.dsp").write_text('import("middle.lib");')
        address = str(folder / "main.dsp")
    with pytest.raises(EffectLoadError, match=r"is not read: .* give files=True"):
        load(f"faust:{address}")


def test_it_reads_standard_libraries_and_its_own_folder(folder):
    load('faust:import("stdfaust.lib"); process = fi.lowpass(2, 500); // import("/etc/passwd")').close()
    (folder / "main.dsp").write_text('import("stdfaust.lib"); process = component("half.dsp") : fi.highpass(1, 100);')
    load(str(folder / "main.dsp")).close()
    with pytest.raises(EffectLoadError, match=re.escape("component('half.dsp') is not read")):
        load('faust:process = component("half.dsp");')


def test_it_reads_all_files_if_it_may(folder):
    load(f'faust:process = component("{folder}/half.dsp");', files=True).close()
