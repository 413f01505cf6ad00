"""The content of the wheel, the cost of imports, and the direction of dependencies."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
CORE = ROOT / "blackbox_grad"
BACKENDS = ROOT / "backends" / "blackbox_grad_backends"
ADAPTERS = ROOT / "adapters" / "blackbox_grad_adapters"
PACKAGES = (CORE, BACKENDS, ADAPTERS)

AUDIO_HOSTS = {"pedalboard", "dawdreamer"}


def run_python(code: str, *arguments: str, timeout: float = 240) -> str:
    """What `code` prints in an interpreter of its own."""
    command = [sys.executable, "-c", code, *arguments]
    elsewhere = tempfile.gettempdir()
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, cwd=elsewhere)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def modules() -> list[str]:
    """Every module of the three packages, by its dotted name."""
    files = [file.relative_to(package.parent) for package in PACKAGES for file in sorted(package.rglob("*.py"))]
    return [
        ".".join(f.parent.parts if f.stem == "__init__" else f.with_suffix("").parts) for f in files if f.stem != "__main__"
    ]


def imported_modules(file: Path) -> Iterator[str]:
    """Dotted names of all imports of a file, also inside functions and for type checkers."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"), file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: import by the full name, not relatively"
            yield node.module or ""
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (str(argument.value) for argument in node.args if isinstance(argument, ast.Constant))


def forbidden_imports(package: Path, forbidden: set[str]) -> list[str]:
    return [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in sorted(package.rglob("*.py"))
        for name in imported_modules(file)
        if name.partition(".")[0] in forbidden
    ]


#: The rooms of the core, from the top. A room imports from lower layers only. A folder is one room, with its `__init__` as face.
LAYERS = (
    ("cli",),
    ("matching",),
    ("testing",),
    ("layer",),
    ("estimators",),
    ("inspection",),
    ("reports",),
    ("hosts", "audio_files"),
    ("effects", "search"),
    ("cache",),
    ("parameters", "losses", "files"),
    ("by_name",),
    ("dependencies",),
    ("errors", "interrupts", "markup", "audio_formats", "audio_headers", "torch_state"),
)


def modules_of(package: Path) -> dict[str, Path]:
    """Dotted name -> file; the face of a folder ends in `__init__`."""
    return {".".join(f.relative_to(package.parent).with_suffix("").parts): f for f in sorted(package.rglob("*.py"))}


def room(module: str) -> str:
    """`blackbox_grad.hosts.call` -> `hosts`."""
    return module.split(".")[1]


def imports_within(package: Path) -> Iterator[tuple[str, str]]:
    """Pairs of modules, the importing one first: inside functions and for type checkers too."""
    known = modules_of(package)
    for module, file in known.items():
        for node in ast.walk(ast.parse(file.read_text("utf-8"), file)):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                # a name of a package may be a module in it, otherwise its face has it
                wholes = [f"{node.module}.{alias.name}" for alias in node.names]
                names = [whole if whole in known or f"{whole}.__init__" in known else node.module for whole in wholes]
            for name in names:
                if name in known or f"{name}.__init__" in known:
                    yield module, name if name in known else f"{name}.__init__"


def test_every_room_has_a_layer() -> None:
    rooms = {room(module) for module in modules_of(CORE)} - {"__init__"}
    assert rooms == {name for layer in LAYERS for name in layer}


def test_no_import_runs_back_up() -> None:
    depth = {name: i for i, layer in enumerate(LAYERS) for name in layer}
    depth["__init__"] = -1
    wrong = [
        f"{module} imports {imported}"
        for module, imported in imports_within(CORE)
        if room(module) != room(imported) and depth[room(module)] >= depth[room(imported)] and room(module) != "__init__"
    ]
    # the version, and what the command line prints of it
    assert [w for w in wrong if w != "blackbox_grad.cli.app imports blackbox_grad.__init__"] == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_there_is_no_circle_between_modules(package: Path) -> None:
    lazy = {
        f"{package.name}.__init__",
        f"{ADAPTERS.name}.style_matching.__init__",
    }  # these import nothing before they are asked
    left = {module: set[str]() for module in modules_of(package)}
    for module, imported in imports_within(package):
        if imported not in lazy and module not in lazy:
            left[module].add(imported)
    while free := [module for module, imported in left.items() if not imported & left.keys()]:
        for module in free:
            del left[module]
    assert sorted(left) == []


def public_names(module: str) -> set[str]:
    """The public names of a module of the core: its `__all__`, or all its names without an underscore."""
    loaded = importlib.import_module(module)
    return set(getattr(loaded, "__all__", [name for name in vars(loaded) if not name.startswith("_")]))


@pytest.mark.parametrize("package", [BACKENDS, ADAPTERS], ids=lambda package: package.name)
def test_backends_and_adapters_import_public_names_only(package: Path) -> None:
    """Those of `blackbox_grad`, and of the faces that it lists: `blackbox_grad.effects`, but not `blackbox_grad.effects.spec`."""
    import blackbox_grad

    faces = {
        f"blackbox_grad.{name}" for name in blackbox_grad.__all__ if (CORE / name).is_dir() or (CORE / f"{name}.py").exists()
    }
    wrong = []
    for file in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"), file)):
            if not (isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == CORE.name):
                continue
            module = node.module or ""
            allowed = public_names(module) if module in faces | {CORE.name} else set()
            wrong += [f"{file.relative_to(ROOT)}: {module}.{n.name}" for n in node.names if n.name not in allowed]
    assert wrong == []


def test_the_core_imports_no_audio_host_no_backend_and_no_adapter() -> None:
    assert forbidden_imports(CORE, AUDIO_HOSTS | {BACKENDS.name, ADAPTERS.name}) == []


def test_backends_import_no_torch_and_no_adapter() -> None:
    """Except for the twin of a reference effect, a torch function that the caller differentiates in a process with torch."""
    twin = "backends/blackbox_grad_backends/reference.py imports torch"
    assert set(forbidden_imports(BACKENDS, {"torch", ADAPTERS.name})) <= {twin}


def test_adapters_import_no_audio_host_and_no_backend() -> None:
    assert forbidden_imports(ADAPTERS, AUDIO_HOSTS | {BACKENDS.name}) == []


def test_a_forbidden_import_is_found_wherever_it_hides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "hidden.py").write_text("def f():\n    from torch.nn import Module\n    import_module('pedalboard')\n")
    assert forbidden_imports(tmp_path, {"torch", "pedalboard"}) == [
        "hidden.py imports torch.nn",
        "hidden.py imports pedalboard",
    ]


@pytest.mark.parametrize("package", [package.name for package in PACKAGES])
def test_importing_a_package_imports_neither_torch_nor_an_audio_host(package: str) -> None:
    loaded = run_python(f"import {package}, sys; print(*sys.modules)").split()
    assert package in loaded
    assert not {"torch", *AUDIO_HOSTS} & set(loaded)


@pytest.mark.parametrize("module", [name for name in modules() if name.startswith(BACKENDS.name)])
def test_importing_a_backend_imports_no_torch(module: str) -> None:
    loaded = run_python(f"import {module}, sys; print(*sys.modules)").split()
    assert module in loaded
    assert "torch" not in loaded


RENDER = """
import sys
import numpy
from blackbox_grad import load
with load(sys.argv[1]) as effect:
    effect.render(numpy.zeros((1, 4096)), effect.parameters.defaults)
print("torch" in sys.modules)
"""


@pytest.mark.parametrize(
    "address",
    [
        "reference:gain",
        "pedalboard-builtin:Reverb",
        pytest.param("pedalboard:ZamDelay.vst3", marks=pytest.mark.plugins),
        pytest.param("dawdreamer:http://drobilla.net/plugins/mda/Overdrive", marks=pytest.mark.plugins),
        'faust:process = *(hslider("gain", 0.5, 0, 1, 0.01));',
    ],
)
def test_rendering_with_an_effect_imports_no_torch(address: str) -> None:
    assert run_python(RENDER, address).split()[-1] == "False"


# Each module is the first of ours in its own process, so a circular import cannot hide behind an earlier one. The
# processes are forked from one that has imported the heavy libraries.
IMPORT_EACH = """
import importlib, os, sys, traceback
for library in ("numpy", "torch", "lightning"):
    importlib.import_module(library)
failed = []
for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(name)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        failed.append(name)
print(*failed)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_every_module_can_be_the_first_one_imported() -> None:
    assert run_python(IMPORT_EACH, *modules()).split() == []


def test_every_public_name_can_be_imported() -> None:
    import blackbox_grad

    for name in blackbox_grad.__all__:
        assert getattr(blackbox_grad, name) is not None, name


# Stands in for an environment without the extras, which cannot be had here without a second installation of torch.
WITHOUT_EXTRAS = """
import sys
from importlib.machinery import PathFinder

find = PathFinder.find_spec
PathFinder.find_spec = lambda name, path=None, target=None: (
    None if name.partition(".")[0] in sys.argv[1:] else find(name, path, target)
)
import blackbox_grad
for name in blackbox_grad.__all__:
    getattr(blackbox_grad, name)
import torch
layer = blackbox_grad.DifferentiableEffect("reference:gain", host=blackbox_grad.InProcessHost())
p = torch.full((1, 1), 0.5, requires_grad=True)
layer(torch.ones(1, 1, 64), p).sum().backward()
print(p.grad.item())
"""


def test_the_core_needs_no_more_than_torch_and_numpy() -> None:
    optional = [line for line in distribution("blackbox-grad").requires or () if "extra ==" in line]
    names = {re.split(r"[^\w-]", line)[0] for line in optional} - {"blackbox-grad"}
    extras = {name.replace("-", "_").lower() for name in names}
    assert {"pedalboard", "dawdreamer", "typer", "soundfile"} <= extras
    assert float(run_python(WITHOUT_EXTRAS, *extras)) > 0


#: entry-point group -> a method that everything in it has
PROMISED = {
    "blackbox_grad.backends": "open",
    "blackbox_grad.estimators": "estimate",
    "blackbox_grad.hosts": "render_batch",
    "blackbox_grad.losses": "residuals",
}


def entry_points() -> list[EntryPoint]:
    groups = (*PROMISED, "console_scripts")
    return [entry for entry in distribution("blackbox-grad").entry_points if entry.group in groups]


@pytest.mark.parametrize("entry", entry_points(), ids=lambda entry: f"{entry.group}:{entry.name}")
def test_every_entry_point_loads(entry: EntryPoint) -> None:
    loaded = entry.load()
    promised = PROMISED.get(entry.group)
    assert callable(getattr(loaded, promised) if promised else loaded)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names of the files in a wheel built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = folder.glob("*.whl")
    return zipfile.ZipFile(file).namelist()


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel: list[str]) -> None:
    tops = {name.partition("/")[0] for name in wheel}
    packages = {package.name for package in PACKAGES}
    assert packages <= tops
    assert all(top in packages or top.endswith(".dist-info") for top in tops), tops


def test_the_wheel_ships_every_file_of_the_packages(wheel: list[str]) -> None:
    """Types (`py.typed`), templates and demo audio included."""
    expected = {
        str(file.relative_to(package.parent)).replace(os.sep, "/")
        for package in PACKAGES
        for file in package.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert {f"{package.name}/py.typed" for package in PACKAGES} <= expected
    assert expected - set(wheel) == set()


def test_the_wheel_ships_its_license(wheel: list[str]) -> None:
    assert [name for name in wheel if name.endswith(".dist-info/licenses/LICENSE")]


def test_the_installed_version_is_the_one_in_the_source() -> None:
    import blackbox_grad

    assert distribution("blackbox-grad").version == blackbox_grad.__version__


#: What is in an installation's `direct_url.json` (PEP 610), and the command that adds an extra to it.
ORIGINS = [
    (None, "pip install 'blackbox-grad[match]'"),
    ({"url": "file:///a%20b/c", "dir_info": {"editable": True}}, "pip install -e '/a b/c[match]'"),
    ({"url": "file:///c", "dir_info": {}}, "pip install '/c[match]'"),
    ({"url": "file:///d/e-1.0-py3-none-any.whl", "archive_info": {}}, "pip install '/d/e-1.0-py3-none-any.whl[match]'"),
    ({"url": "https://h/e.whl", "archive_info": {}}, "pip install 'blackbox-grad[match] @ https://h/e.whl'"),
    (
        {"url": "https://h/r.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
        "pip install 'blackbox-grad[match] @ git+https://h/r.git@abc'",
    ),
]


@pytest.mark.parametrize(("origin", "command"), ORIGINS)
def test_an_extra_is_installed_from_where_the_package_came(
    origin: dict[str, object] | None, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from blackbox_grad.dependencies import install_line

    info = tmp_path / "blackbox_grad-9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: blackbox-grad\nVersion: 9\n")
    if origin is not None:
        (info / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert install_line("match") == command


def test_no_text_advises_to_install_a_name_that_is_not_ours() -> None:
    """Until the distribution is on an index, its own name there may be anybody's too."""
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(f for package in PACKAGES for f in package.rglob("*.py"))]
    advised = [
        (str(text.relative_to(ROOT)), line.strip())
        for text in texts
        for line in text.read_text("utf-8").splitlines()
        if re.search(r"pip3? install|uv (pip|add|tool)", line) and text.name not in ("dependencies.py", "CHANGELOG.md")
    ]
    assert advised, "the pages say how to install"
    ours = re.compile(
        r"pip install (-e )?'(\.|[\w./*-]*\.whl)\[[\w,-]+\]'|pip install torch --index-url https://download.pytorch.org/"
    )
    assert [a for a in advised if not ours.search(a[1])] == []


def installed_with(*extras: str) -> set[str]:
    """The distributions that these extras bring, with all that they need in turn."""
    seen: set[tuple[str, frozenset[str]]] = set()
    left = [("blackbox-grad", frozenset(extras))]
    while left:
        if (wanted := left.pop()) in seen:
            continue
        seen.add(wanted)
        name, chosen = wanted
        try:
            lines = distribution(name).requires or []
        except PackageNotFoundError:  # of another system
            continue
        left += [
            (canonicalize_name(line.name), frozenset(line.extras))
            for line in map(Requirement, lines)
            if line.marker is None or any(line.marker.evaluate({"extra": extra}) for extra in ("", *chosen))
        ]
    return {name for name, _ in seen} - {"blackbox-grad"}


TRAINING = {"lightning", "tensorboard", "umap-learn", "scikit-learn", "numba", "auraloss", "g722"}


def test_all_is_light_and_training_comes_extra() -> None:
    light = installed_with("all") - installed_with()
    assert {"pedalboard", "dawdreamer", "typer", "soundfile", "safetensors"} <= light
    assert not light & (TRAINING | {"jax", "jaxlib"})
    assert sum(file.size or 0 for name in light for file in distribution(name).files or ()) < 500e6
    assert installed_with("style-training") >= TRAINING


WITHOUT_TRAINING = """
import sys
hidden = dict.fromkeys("lightning tensorboard umap sklearn numba auraloss yaml G722 pandas".split())
sys.modules.update(hidden)
from blackbox_grad.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("arguments", "missing", "extra"),
    [
        (("style", "match", "pedalboard-builtin:Reverb", "in.wav", "in.wav", "-o", "out.wav"), "", ""),
        (("style", "train", "Reverb", "-o", "run", "--recordings", "."), "training needs lightning", "style-training"),
        (("bench", "estimators"), "the bench of estimators needs auraloss", "bench"),
        (
            ("style", "listen", "prepare", ".", "-o", "test.html"),
            "preparing a listening test needs yaml",
            "style-training",
        ),
        (("style", "listen", "serve", "--help"), "", ""),
    ],
    ids=["match", "train", "bench", "listen prepare", "listen serve"],
)
def test_what_needs_more_than_all_names_its_extra(arguments: tuple[str, ...], missing: str, extra: str, tmp_path: Path) -> None:
    from blackbox_grad.audio_files import example, write
    from blackbox_grad.dependencies import install_line

    audio, rate = example()
    write(tmp_path / "in.wav", audio[:, : int(rate)], rate)
    command = [sys.executable, "-c", WITHOUT_TRAINING, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, cwd=tmp_path)
    assert done.returncode == bool(missing), done.stderr
    if missing:
        assert done.stderr == f"Error: {missing}, which is not installed; run: {install_line(extra)}\n"
