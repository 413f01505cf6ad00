"""The command line, as it is installed: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import PROGRAM, Capture, fail, fail_here, run, run_here, succeed, succeed_here

from blackbox_grad import __version__, audio_files, load
from blackbox_grad.cli import main
from blackbox_grad.dependencies import install_line
from blackbox_grad.matching import demo as demonstration

BUILTIN = "pedalboard-builtin:Distortion"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`dry.wav`: half a second of guitar; `text.wav`: no audio at all."""
    made = tmp_path_factory.mktemp("audio")
    audio, rate = audio_files.example()
    audio_files.write(made / "dry.wav", audio[:1, 30000:52050], rate)
    (made / "text.wav").write_text("dear diary\n" * 50)
    return made


@pytest.fixture(scope="module")
def dry(folder: Path) -> Path:
    return folder / "dry.wav"


@pytest.fixture(scope="module")
def wet(folder: Path, dry: Path) -> Path:
    """`dry.wav` through a soft clipper at Drive 24 dB, Level -6 dB."""
    with pytest.raises(SystemExit, match="0"):
        main(f"render reference:soft-clip {dry} {folder}/wet.wav --set Drive=24dB --set Level=-6dB --host in-process".split())
    return folder / "wet.wav"


# the program


def test_version_and_help(capsys: Capture) -> None:
    assert succeed("--version") == f"blackbox-grad {__version__}\n"
    listed = succeed_here(capsys, "--help")
    for command in ("effects", "inspect", "render", "match", "demo"):
        assert command in listed
        assert f"blackbox-grad {command}" in succeed_here(capsys, command, "--help")


@pytest.mark.parametrize("arguments", [["--help"], ["match", "--help"], ["effects"], ["inspect", "reference:gain"]])
def test_nothing_heavy_is_imported_before_it_is_needed(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom blackbox_grad.cli import main\n"
        f"try: main({arguments!r})\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'dawdreamer', 'matplotlib', 'jinja2'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=True)
    assert done.stderr.strip() == "[]"


def test_wrong_usage_is_exit_code_2(folder: Path, dry: Path, capsys: Capture) -> None:
    assert "No such command" in fail("mach", code=2)
    assert "IN is missing" in fail_here(capsys, "render", "reference:gain", code=2)
    render = "render", "reference:gain", dry, folder / "o.wav"
    assert "given twice" in fail_here(capsys, *render, *2 * ["--set", "Gain=1dB"], code=2)
    assert "Drive=0.4" in fail_here(capsys, *render, "--set", "Gain", code=2)


def test_errors_are_red_unless_colours_are_not_wanted() -> None:
    coloured = run("inspect", "reference:gian", FORCE_COLOR="1").stderr
    assert "\x1b[31m" in coloured
    plain = run("inspect", "reference:gian", FORCE_COLOR="1", NO_COLOR="1").stderr
    assert "\x1b[31m" not in plain
    assert "did you mean 'gain'" in plain


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a POSIX shell")
@pytest.mark.parametrize("arguments", ["effects", "effects --json", "inspect reference:delay"])
def test_a_reader_that_goes_away_is_no_error(arguments: str) -> None:
    done = subprocess.run(f"{PROGRAM} {arguments} | true", shell=True, capture_output=True, text=True, timeout=240, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize(("library", "command"), [("typer", "effects"), ("soundfile", "render"), ("rich", "--version")])
def test_a_library_that_is_not_installed_is_named_with_its_remedy(
    tmp_path: Path, dry: Path, library: str, command: str
) -> None:
    message = f"raise ModuleNotFoundError(\"No module named '{library}'\", name='{library}')"
    (tmp_path / f"{library}.py").write_text(message)
    arguments: list[str | Path] = [command]
    if command == "render":
        arguments += ["reference:gain", dry, tmp_path / "out.wav"]
    error = fail(*arguments, PYTHONPATH=str(tmp_path))
    assert library in error
    assert install_line("match") in error


# commands of adapters

ADAPTER = """
import typer
print("imported")

def greet(name: str):
    "Say hello."
    print(f"hello {name}")

app = typer.Typer()

@app.command()
def one(): print("one")

@app.command()
def two(): print("two")
"""


@pytest.fixture
def adapter(tmp_path: Path) -> str:
    """A folder with an installed distribution that adds commands; for `PYTHONPATH`."""
    (tmp_path / "my_adapter.py").write_text(ADAPTER)
    (tmp_path / "my_broken_adapter.py").write_text("import a_library_that_is_not_there")
    info = tmp_path / "my_adapter-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-adapter\nVersion: 1.0\n")
    names = "greet = my_adapter:greet\ngroup = my_adapter:app\nbroken = my_broken_adapter:app\nrender = my_adapter:greet\n"
    (info / "entry_points.txt").write_text(f"[blackbox_grad.commands]\n{names}")
    return str(tmp_path)


def test_adapters_add_commands(adapter: str) -> None:
    assert succeed("greet", "Ada", PYTHONPATH=adapter) == "imported\nhello Ada\n"
    assert succeed("group", "two", PYTHONPATH=adapter) == "imported\ntwo\n"
    assert "Say hello." in succeed("greet", "--help", PYTHONPATH=adapter)


def test_help_names_the_commands_of_adapters_without_importing_them(adapter: str) -> None:
    text = succeed("--help", PYTHONPATH=adapter)
    assert "greet" in text
    assert "my-adapter" in text
    assert "imported" not in text
    assert "Set an effect so that one recording sounds like another" in " ".join(text.split())


def test_an_adapter_that_cannot_be_imported_hurts_no_other_command(adapter: str) -> None:
    error = fail("broken", PYTHONPATH=adapter)
    assert "a_library_that_is_not_there, which is not installed" in error
    assert "pip" not in error  # anybody could register that name
    assert "reference:gain" in succeed("effects", "--backend", "reference", PYTHONPATH=adapter)


def test_an_adapter_replaces_no_command(adapter: str) -> None:
    assert "Render files through an effect" in succeed("render", "--help", PYTHONPATH=adapter)


# effects


def test_effects_lists_what_is_installed(capsys: Capture) -> None:
    listed = [line.split() for line in succeed_here(capsys, "effects").splitlines()]
    assert ["reference:soft-clip"] in listed
    assert [BUILTIN, "Pedalboard"] in listed
    rows = json.loads(succeed_here(capsys, "effects", "--json"))
    assert {"reference:gain", "pedalboard-builtin:Reverb"} <= {row["address"] for row in rows}
    assert {row["status"] for row in rows if row["backend"] == "reference"} == {"listed"}
    assert {row["name"] for row in rows if row["backend"] == "reference"} == {"gain", "soft-clip", "biquad", "delay"}


def test_effects_are_searched_by_the_words_of_their_names_and_makers(capsys: Capture) -> None:
    def found(*words: str) -> set[str]:
        listed = json.loads(succeed_here(capsys, "effects", "--json", "--backend", "pedalboard-builtin", *words))
        return {row["address"] for row in listed}

    shelves = {"pedalboard-builtin:HighShelfFilter", "pedalboard-builtin:LowShelfFilter"}
    assert found("SHELF") == found("filter", "shelf") == found("shelf", "pedalboard") == shelves
    none = run_here(capsys, "effects", "there is none like it")
    assert (none.returncode, none.stderr) == (1, "")
    assert "0 effects with 'there is none like it'" in none.stdout


def test_effects_can_be_checked(capsys: Capture) -> None:
    rows = json.loads(succeed_here(capsys, "effects", "--backend", "reference", "--check", "--json"))
    assert [(row["address"], row["status"], row["parameters"]) for row in rows] == [
        ("reference:gain", "ok", 1),
        ("reference:soft-clip", "ok", 2),
        ("reference:biquad", "ok", 3),
        ("reference:delay", "ok", 3),
    ]
    assert "soft-clip" in succeed_here(capsys, "effects", "--backend", "reference", "--check")


def test_an_unknown_backend_suggests_its_neighbour(capsys: Capture) -> None:
    assert "did you mean 'reference'" in fail_here(capsys, "effects", "--backend", "referense")


# inspect


def test_inspect_describes_an_effect(capsys: Capture) -> None:
    text = succeed_here(capsys, "inspect", "reference:delay")
    for expected in ("Time", "continuous", "1 ms to 400 ms (log)", "latency", "bit-equal", "times real time"):
        assert expected in text
    assert "blackbox-grad render reference:delay" in text


def test_inspect_as_json_has_the_same_facts(capsys: Capture) -> None:
    data = json.loads(succeed_here(capsys, "inspect", BUILTIN, "--json", "--sample-rate", "48000"))
    assert (data["address"], data["sample_rate"], data["latency_samples"]) == (BUILTIN, 48000, 0)
    assert 0 < data["seconds_per_second"] < 5
    (drive,) = data["parameters"]
    assert (drive["unit"], drive["kind"]) == ("dB", "continuous")
    assert drive["native_minimum"] < drive["native_maximum"]


def test_inspect_says_what_to_turn_on_and_audible_leaves_it_out(dry: Path, tmp_path: Path, capsys: Capture) -> None:
    program = tmp_path / "band.dsp"
    program.write_text(
        'process = *(hslider("Level", 0.5, 0, 1, 0.01)) : *(select2(checkbox("Active"), 1, hslider("Gain", 0.5, 0, 1, 0.01)));'
    )
    text = succeed_here(capsys, "inspect", f"faust:{program}")
    assert "1 continuous parameters change nothing" in text
    assert "Gain: turn on 'Active': fixed={'Active': 'on'}, or --set Active=on" in " ".join(text.split())
    assert any("Gain" in line and "not heard" in line for line in text.splitlines())
    wanted = dry, dry, "--only", "audible", "--renders", "8", "--json"
    for settings, names in (((), ["Level"]), (("--set", "Active=on"), ["Gain", "Level"])):
        found = json.loads(succeed_here(capsys, "match", f"faust:{program}", *wanted, *settings))
        assert sorted(p["name"] for p in found["parameters"] if p["free"]) == names


@pytest.mark.slow
def test_what_inspect_says_to_type_can_be_typed(dry: Path, tmp_path: Path) -> None:
    for address in ("reference:delay", "pedalboard-builtin:LadderFilter", f"{BUILTIN} | reference:gain"):
        (line,) = [line for line in succeed("inspect", address).splitlines() if "blackbox-grad render" in line]
        command = line[line.index("render") :].replace("in.wav", str(dry)).replace("out.wav", str(tmp_path / "o.wav"))
        subprocess.run(f"{PROGRAM} {command}", shell=True, timeout=240, check=True, capture_output=True)


@pytest.mark.plugins
def test_inspect_and_render_a_real_plugin(dry: Path, tmp_path: Path) -> None:
    data = json.loads(succeed("inspect", "pedalboard:ZamDelay.vst3", "--json"))
    assert data["name"] == "ZamDelay"
    assert len(data["parameters"]) >= 8
    name = data["parameters"][0]["name"]
    succeed("render", "ZamDelay.vst3", dry, tmp_path / "wet.wav", "--set", f"{name}=0.5")
    assert np.abs(audio_files.read(tmp_path / "wet.wav")[0]).max() > 0.01


def test_inspect_deep_measures_shows_and_remembers(tmp_path: Path, capsys: Capture) -> None:
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = "inspect", "reference:gain", "--deep"
    done = run_here(capsys, *command, "--report", tmp_path / "report.html", **environment)
    assert done.returncode == 0, done.stderr
    for text in ("bit-equal", "continuous", "cotangent", "report.html"):
        assert text in done.stdout
    assert "/120 s" in done.stderr
    assert "<svg" in (tmp_path / "report.html").read_text()
    again = run_here(capsys, *command, "--json", **environment)
    data = json.loads(again.stdout)
    assert data["parameters"][0]["probe_kind"] == "cotangent"
    assert again.stderr == ""  # remembered
    assert f"this inspection      {data['renders']} renders" in done.stdout


@pytest.mark.slow
def test_inspect_deep_says_that_a_limit_ended_it(tmp_path: Path, capsys: Capture) -> None:
    command = "inspect", "reference:biquad", "--deep", "--renders", "100"
    done = run_here(capsys, *command, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert done.returncode == 0
    assert "ended early, as its 100 renders were made; 3 of 3 parameters are not fully measured" in done.stderr
    assert "bit-equal" in done.stdout


# render


def test_render_takes_normalised_and_native_values(dry: Path, tmp_path: Path, capsys: Capture) -> None:
    audio, rate = audio_files.read(dry)
    with load("reference:delay", rate) as effect:
        expected = effect.render(audio, effect.parameters.point({"Time": "250 ms", "Mix": 0.3}))
    succeed_here(capsys, "render", "reference:delay", dry, tmp_path / "wet.wav", "--set", "Time=250ms", "--set", "mix=30%")
    rendered, rendered_rate = audio_files.read(tmp_path / "wet.wav")
    assert rendered_rate == rate
    np.testing.assert_array_equal(rendered, expected)


@pytest.mark.parametrize(("suffix", "rate", "channels"), [(".flac", 96000, 1), (".ogg", 22050, 2), (".wav", 8000, 1)])
def test_render_keeps_the_sample_rate_and_channels(
    tmp_path: Path, suffix: str, rate: int, channels: int, capsys: Capture
) -> None:
    audio = np.random.default_rng(0).uniform(-0.1, 0.1, (channels, rate // 2)).astype(np.float32)
    audio_files.write(tmp_path / f"in{suffix}", audio, rate)
    data = json.loads(
        succeed_here(capsys, "render", "reference:gain", tmp_path / f"in{suffix}", tmp_path / f"out{suffix}", "--json")
    )
    assert (data["sample_rate"], data["channels"]) == (rate, channels)
    rendered, rendered_rate = audio_files.read(tmp_path / f"out{suffix}")
    assert (rendered.shape, rendered_rate) == (audio.shape, rate)


def test_render_prints_the_settings_it_used(dry: Path, tmp_path: Path, capsys: Capture) -> None:
    text = succeed_here(
        capsys, "render", "reference:delay", dry, tmp_path / "o.wav", "--set", "Time=250ms", "--host", "in-process"
    )
    rows = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert "250 ms" in rows["Time"]
    assert "%" in rows["Mix"]
    assert "%" in rows["Feedback"]


def test_the_command_line_replaces_a_setting_of_a_file_in_any_spelling(dry: Path, tmp_path: Path, capsys: Capture) -> None:
    rows = [{"name": "Time", "normalised": 0.5}, {"name": "Mix", "normalised": 0.5}]
    (tmp_path / "s.json").write_text(json.dumps({"parameters": rows}))
    command = "render", "reference:delay", dry, tmp_path / "o.wav", "--parameters", tmp_path / "s.json", "--host", "in-process"
    found = json.loads(succeed_here(capsys, *command, "--set", "mix=25 %", "--json"))["parameters"]
    assert {row["name"]: row["normalised"] for row in found if row["name"] != "Feedback"} == {"Time": 0.5, "Mix": 0.25}


def test_render_warns_of_clipping(dry: Path, tmp_path: Path, capsys: Capture) -> None:
    done = run_here(capsys, "render", "reference:gain", dry, tmp_path / "loud.flac", "--set", "Gain=24dB")
    assert done.returncode == 0
    assert "exceed full scale" in done.stderr
    assert "clipped" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reference:soft-clip", "dry.wav", "o.wav", "--set", "Drvie=0.4"], "no parameter 'Drvie'; did you mean 'Drive'"),
        (["reference:soft-clip", "dry.wav", "o.wav", "--set", "Drive=4"], "4 is a normalised value and must lie in [0, 1]"),
        (["reference:soft-clip", "dry.wav", "o.wav", "--set", "Drive=0.5"], "write '0.5dB' or '0.5 normalised'"),
        (["reference:soft-clip", "dry.wav", "o.wav", "--set", "Drive=5dB", "--set", "drive=6dB"], "two spellings"),
        (["reference:soft-clip", "dry.wav", "o.wav", "--set", "Drive=70dB"], "outside its range 0 to 40 dB"),
        (["reference:soft-clip", "dry.wav", "o.wav", "--set", "Drive=lots"], "cannot read 'lots'"),
        (["reference:soft-clap", "dry.wav", "o.wav"], "did you mean 'soft-clip'"),
        (["reference:gain", "dyr.wav", "o.wav"], "no such file; did you mean 'dry.wav'"),
        (["reference:gain", "text.wav", "o.wav"], "cannot be read as audio"),
        (["reference:gain", "dry.wav", "no/o.wav"], "does not exist; make it first"),
        (["reference:gain", "dry.wav", "o.mp4"], "allowed are .wav, .flac, .ogg"),
        (["reference:gain", "dry.wav", "dry.wav"], "is an input"),
        (["reference:gain", "dry.wav", "o.wav", "--parameters", "text.wav"], "holds no settings"),
    ],
)
def test_render_says_what_is_wrong(folder: Path, arguments: list[str], message: str, capsys: Capture) -> None:
    before = sorted(folder.iterdir()), (folder / "dry.wav").read_bytes()
    files = [str(folder / a) if a.endswith((".wav", ".mp4")) else a for a in arguments]
    assert message in fail_here(capsys, "render", *files)
    assert (sorted(folder.iterdir()), (folder / "dry.wav").read_bytes()) == before


# match


def test_match_finds_the_settings_and_leaves_its_files(dry: Path, wet: Path, tmp_path: Path, capsys: Capture) -> None:
    outputs = [tmp_path / name for name in ("matched.wav", "report.html", "found.json")]
    options = ["-o", outputs[0], "--report", outputs[1], "--parameters", outputs[2], "--renders", "250", "--json"]
    done = run_here(capsys, "match", "reference:soft-clip", dry, wet, *options)
    assert done.returncode == 0, done.stderr
    assert "searching 2 settings, in at most 250 renders" in done.stderr
    assert "renders, distance" in done.stderr
    data = json.loads(done.stdout)
    assert sorted(data["files"]) == sorted(str(path) for path in outputs)
    assert data["loss"] < 0.05 * data["loss_start"]
    found = {row["name"]: row["native"].split() for row in data["parameters"]}
    assert abs(float(found["Drive"][0]) - 24) < 1
    assert abs(float(found["Level"][0]) + 6) < 0.5
    assert "<html" in outputs[1].read_text("utf-8")
    assert "reference:soft-clip" in json.loads(outputs[2].read_text())["command"]
    succeed_here(capsys, "render", "reference:soft-clip", dry, tmp_path / "again.wav", "--parameters", outputs[2])
    matched, again = (audio_files.read(tmp_path / name)[0] for name in ("matched.wav", "again.wav"))
    np.testing.assert_array_equal(matched, again)


def test_match_prints_a_table_and_the_loss(dry: Path, wet: Path, tmp_path: Path, capsys: Capture) -> None:
    text = succeed_here(
        capsys, "match", "reference:soft-clip", dry, wet, "--renders", "40", "-o", tmp_path / "m.wav", "--hosts", "1"
    )
    for expected in ("Drive", "Level", "distance to the target ", "remain", " renders in ", "m.wav"):
        assert expected in text


def test_match_speaks_of_the_same_distances_on_the_way_and_at_the_end(dry: Path, wet: Path, capsys: Capture) -> None:
    options = ("--host", "in-process", "--renders", "30", "--excerpt", "0.2", "--set", "Level=-6dB")
    with pytest.raises(SystemExit) as ended:
        main(["match", "reference:soft-clip", str(dry), str(wet), *options])
    printed = capsys.readouterr()
    assert ended.value.code == 0, printed.err
    head, *steps = printed.err.splitlines()
    assert head == "soft-clip (reference:soft-clip): searching 1 setting on the loudest 0.2 s of 0.5 s, in at most 30 renders"
    before, best = steps[-1].split("distance ")[1].split(" → ")
    searched = next(line.split() for line in printed.out.splitlines() if line.startswith("the loudest 0.2 s"))
    assert searched[-4] == before
    assert float(searched[-3]) <= float(best) < float(before)
    assert "the whole recording " in printed.out
    assert "held, which means not searched: Level = -6 dB" in printed.out


def test_an_effect_and_its_recordings_are_given_by_place_or_by_name(dry: Path, wet: Path, capsys: Capture) -> None:
    usual = ("match", "--renders=8", "--json", "--host=in-process")
    ways = (
        ("soft-clip", dry, wet),
        ("--target", wet, "soft-clip", dry),
        ("--effect", "soft-clip", dry, wet),
        ("--reference", wet, "--input", dry, "--effect", "soft-clip"),
    )
    found = [json.loads(succeed_here(capsys, *usual, *way)) for way in ways]
    assert all(f["loss"] == found[0]["loss"] and f["effect"] == "reference:soft-clip" for f in found)
    for wrong, said in (
        (("soft-clip", dry), "TARGET is missing"),
        (("soft-clip", dry), "EFFECT TARGET --note C3"),
        (("--effect", "soft-clip", dry, wet, "more.wav"), "'more.wav' is one too many"),
    ):
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in (*usual, *wrong)])
        assert ended.value.code == 2
        assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["match", "Pitc"], {"PitchShift"}),
        (["inspect", "soft-"], {"soft-clip"}),
        (["style", "match", "--ref"], {"--reference", "--refine"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_shell_completes_effects_commands_and_options(words: list[str], offered: set[str]) -> None:
    asked = {"COMP_WORDS": " ".join(["blackbox-grad", *words]), "COMP_CWORD": str(len(words))}
    assert offered <= set(succeed(_BLACKBOX_GRAD_COMPLETE="complete_bash", **asked).split())


def test_a_shell_completes_the_parameters_of_an_effect_that_was_opened(
    dry: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    effect = "pedalboard-builtin:Delay"

    def offered(*words: str) -> set[str]:
        monkeypatch.setenv("COMP_WORDS", shlex.join(["blackbox-grad", *words]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        monkeypatch.setenv("_BLACKBOX_GRAD_COMPLETE", "complete_bash")
        with pytest.raises(SystemExit):
            main([])
        return set(capsys.readouterr().out.split())

    words = ("match", effect, "in.wav", "out.wav", "--only", "d")
    assert offered(*words) == set()
    monkeypatch.delenv("_BLACKBOX_GRAD_COMPLETE")
    succeed_here(capsys, "render", effect, dry, tmp_path / "out.wav", "--host=in-process")
    assert offered(*words) == {"delay_seconds"}
    assert {"delay_seconds=", "mix="} <= offered("render", "Delay", "in.wav", "out.wav", "--set", "")


def test_match_holds_what_it_is_told_to_hold(dry: Path, wet: Path, capsys: Capture) -> None:
    held = json.loads(
        succeed_here(
            capsys,
            "match",
            "reference:soft-clip",
            dry,
            wet,
            "--renders",
            "30",
            "--json",
            "--set",
            "Level=-6dB",
            "--only",
            "Drive",
        )
    )["parameters"]
    assert [(row["name"], row["free"]) for row in held] == [("Drive", True), ("Level", False)]
    assert held[1]["native"] == "-6 dB"


@pytest.mark.usefixtures("third_party")
def test_hosts_are_chosen_by_option_and_by_environment(folder: Path, dry: Path, capsys: Capture) -> None:
    """The third party's host renders at half the level."""

    def level(*options: str, **environment: str) -> float:
        succeed_here(capsys, "render", "reference:gain", dry, folder / "h.wav", *options, **environment)
        return float(np.abs(audio_files.read(folder / "h.wav")[0]).max())

    full = level()
    assert level("--host", "in-process") == level("--host", "processes:hosts=2") == full
    assert level("--host", "third-party") == pytest.approx(full / 2, rel=1e-3)
    assert level(BLACKBOX_GRAD_HOST="third-party:level=0.25") == pytest.approx(full / 4, rel=1e-3)
    assert level("--host", "in-process", BLACKBOX_GRAD_HOST="third-party") == full
    assert "did you mean 'in-process'" in fail_here(capsys, "inspect", "reference:gain", "--host", "in-proces")
    assert "BLACKBOX_GRAD_HOST='here': no host 'here'" in fail_here(
        capsys, "inspect", "reference:gain", BLACKBOX_GRAD_HOST="here"
    )


def test_hosts_are_counted_or_described_and_not_both(dry: Path, wet: Path, capsys: Capture) -> None:
    both = ("--hosts", "2", "--host", "in-process")
    assert "--host" in fail_here(capsys, "match", "reference:soft-clip", dry, wet, *both, code=2)


@pytest.mark.parametrize("loss", ["third_party_loss.Doubled", "third-party + 0.5*mel"])
def test_match_takes_losses_of_other_packages(dry: Path, wet: Path, third_party: str, capsys: Capture, loss: str) -> None:
    arguments = ("match", "reference:soft-clip", dry, wet, "--renders=20", "--json", "--host=in-process", f"--loss={loss}")
    assert json.loads(succeed_here(capsys, *arguments))["loss_name"] == loss


def test_match_repeats_itself_whatever_the_number_of_hosts(dry: Path, wet: Path, capsys: Capture) -> None:
    runs = [
        json.loads(
            succeed_here(capsys, "match", "reference:soft-clip", dry, wet, "--renders=40", "--seed=3", "--json", f"--hosts={n}")
        )
        for n in "12"
    ]
    for data in runs:
        del data["seconds"]
    assert runs[0] == runs[1]


def test_a_target_at_another_sample_rate_is_resampled(dry: Path, wet: Path, tmp_path: Path, capsys: Capture) -> None:
    audio, rate = audio_files.read(wet, 48000)
    audio_files.write(tmp_path / "wet48.wav", audio, rate)
    data = json.loads(
        succeed_here(capsys, "match", "reference:soft-clip", dry, tmp_path / "wet48.wav", "--renders", "80", "--json")
    )
    assert data["sample_rate"] == 44100
    assert data["loss"] < 0.5 * data["loss_start"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "Drvie"], "did you mean 'Drive'"),
        (["--loss", "mrsft"], "mrstft"),
        (["--probes", "los"], "allowed are 'auto'"),
        (["--estimator", "spas"], "did you mean 'spsa'"),
        (["--report", "no/report.html"], "does not exist"),
        (["--report", "report.pdf"], "allowed are .html"),
        (["--parameters", "x" * 300], "File name too long"),
        (["--seed", "99999999999999999999"], "seed=99999999999999999999 must be"),
    ],
)
def test_match_says_what_is_wrong(
    dry: Path, wet: Path, tmp_path: Path, options: list[str], message: str, capsys: Capture
) -> None:
    files = [str(tmp_path / o) if "report." in o else o for o in options]
    assert message in fail_here(capsys, "match", "reference:soft-clip", dry, wet, "--hosts", "1", *files)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_an_output_that_fails_takes_nothing_else_with_it(dry: Path, wet: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "matched.wav").symlink_to("/dev/full")
    (tmp_path / "report.html").symlink_to("/dev/full")
    outputs = ["-o", tmp_path / "matched.wav", "--report", tmp_path / "report.html", "--parameters", tmp_path / "found.json"]
    done = run_here(capsys, "match", "reference:soft-clip", dry, wet, "--renders", "20", "--hosts", "1", *outputs)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert [Path(line.split(": ")[1]).name for line in errors] == ["matched.wav", "report.html"]
    assert all("No space left on device" in line for line in errors)
    assert "Traceback" not in done.stderr
    assert "Drive" in done.stdout
    assert "found.json" in done.stdout
    assert "matched.wav" not in done.stdout
    assert json.loads((tmp_path / "found.json").read_text())["renders"] <= 20


@pytest.mark.usefixtures("third_party")
def test_a_render_that_fails_ends_a_match_with_the_best_so_far(dry: Path, wet: Path, tmp_path: Path, capsys: Capture) -> None:
    outputs = ["-o", tmp_path / "matched.wav", "--parameters", tmp_path / "found.json"]
    done = run_here(capsys, "match", "faulty:crash", dry, wet, "--renders", "40", "--hosts", "1", *outputs)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.count("Error: faulty:crash: a render crashed with SIGSEGV") == 1
    assert "Stopped by an error" in done.stdout
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["finished"], found["parameters"][0]["normalised"] <= 0.5) == ("failed", True)
    assert "SIGSEGV" in found["error"]
    assert audio_files.read(tmp_path / "matched.wav")[0].shape == audio_files.read(dry)[0].shape


def test_ctrl_c_ends_a_match_with_the_best_so_far(dry: Path, wet: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / name for name in ("matched.wav", "report.html", "found.json")]
    # a delay can never sound like a clipper, so this would run for very long
    command = [PROGRAM, "match", "reference:delay", dry, wet, "--renders", "1000000"]
    command += ["-o", outputs[0], "--report", outputs[1], "--parameters", outputs[2]]
    text = [str(part) for part in command]
    with subprocess.Popen(text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "searching 3 settings" in process.stderr.readline()
        assert "trying settings: 1/" in process.stderr.readline()
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=240)
    assert process.returncode == 130, err
    assert "Stopped by Ctrl-C" in out
    assert "Traceback" not in err
    data = json.loads(outputs[2].read_text())
    assert data["finished"] == "interrupted"
    assert data["renders"] < 1_000_000
    assert audio_files.read(outputs[0])[0].shape == audio_files.read(dry)[0].shape
    assert "stopped early" in outputs[1].read_text("utf-8")
    assert sorted(tmp_path.iterdir()) == sorted(outputs)


# demo


def test_the_demo_leaves_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(demonstration, "RENDERS", 40)
    monkeypatch.setattr(demonstration, "EXCERPT", 0.5)
    text = succeed_here(capsys, "demo", "--output", tmp_path / "demo")
    assert "hidden" in text
    assert str(tmp_path / "demo" / "report.html") in text
    names = {"input.wav", "target.wav", "matched.wav", "settings.json", "report.html"}
    assert {path.name for path in (tmp_path / "demo").iterdir()} == names
    found = json.loads((tmp_path / "demo" / "settings.json").read_text())
    assert found["loss"] < found["loss_start"]
