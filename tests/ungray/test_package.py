"""What is installed: ``ungray`` alone, light, with the base model in it."""

import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from PIL import Image
from skimage import data

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "torchvision", "dvc", "dvclive", "lightning_fabric", "pandas", "h11", "scipy", "stages")


def required(requirements):
    """The distributions that these requirements bring, theirs as well."""
    found, waiting = set(), [Requirement(text) for text in requirements]
    while waiting:
        one = waiting.pop()
        name = re.sub(r"[-_.]+", "-", one.name).lower()
        if name in found or (one.marker and not one.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        waiting += [Requirement(text) for text in distribution(name).requires or []]
    return found


def without_packages(folder):
    """The Python of a new environment in ``folder``."""
    venv.create(folder, with_pip=False)
    return folder / "bin/python"


def link_packages(python, names):
    """Link the distributions ``names`` of this environment into that of ``python``."""
    (packages,) = python.parents[1].glob("lib/python*/site-packages")
    for name in names:
        files = distribution(name).files or []
        for top in {file.parts[0] for file in files if file.parts[0] not in ("..", "__pycache__")}:
            link = packages / top
            if not link.exists():
                link.symlink_to(distribution(name).locate_file(top).resolve())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that ``make wheel`` builds."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in names:
        if name.startswith(("stages/", "data/base/", "data/remote/")) or "/" not in name:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_file():
                shutil.copy2(ROOT / name, source / name)
    # As pip does: with setuptools alone, `stages` and this folder cannot be imported.
    python = without_packages(folder / "builder")
    link_packages(python, {"setuptools"})
    build = "from setuptools.build_meta import build_wheel; build_wheel('..')"
    done = run(python, "-P", "-c", build, cwd=source)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def empty(wheel, tmp_path_factory):
    """An environment with the wheel and what it requires, and nothing else: its Python."""
    python = without_packages(tmp_path_factory.mktemp("empty"))
    (packages,) = python.parents[1].glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    (about,) = packages.glob("ungray-*.dist-info/METADATA")
    requirements = re.findall(r"^Requires-Dist: ((?:(?!; extra).)*)$", about.read_text(), re.M)
    link_packages(python, required(requirements))
    return python


def run(python, *arguments, cwd):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [python, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_wheel_holds_ungray_the_base_model_and_nothing_of_the_stages(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"ungray"}
    assert {"ungray/base/colorizer.onnx", "ungray/py.typed", "ungray/page/page.css"} <= set(names)


def test_that_wheel_alone_colors_a_photo_in_another_folder(empty, tmp_path):
    Image.fromarray(data.coffee()).convert("L").save(tmp_path / "scan.png")
    done = run(empty, "-m", "ungray", "scan.png", "-o", "colored.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    colored = np.asarray(Image.open(tmp_path / "colored.png"))
    assert colored.shape == data.coffee().shape
    assert np.ptp(colored, axis=-1).mean() > 2


def test_no_library_of_the_workflow_is_needed_to_color_from_python(empty, tmp_path):
    code = (
        "import sys; from ungray import Colorizer; import numpy as np\n"
        "Colorizer.load().colorize(np.zeros((64, 64), np.uint8))\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = run(empty, "-c", code, cwd=tmp_path)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_model_that_wants_torch_says_so_where_there_is_none(empty, tmp_path):
    Image.fromarray(data.coffee()).save(tmp_path / "scan.png")
    (tmp_path / "mine.safetensors").write_bytes(b"")
    done = run(empty, "-m", "ungray", "scan.png", "--model", "mine.safetensors", cwd=tmp_path)
    assert done.returncode == 1
    assert "torch" in done.stderr
    assert "Traceback" not in done.stderr


def test_stages_run_the_ungray_that_lies_beside_them(tmp_path):
    clone = tmp_path / "clone"
    for path in (ROOT / "stages").rglob("*.py"):
        copy = clone / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    code = "import stages.params, ungray, ungray.errors; print(ungray.__file__, ungray.errors.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=clone, capture_output=True, text=True, timeout=60, check=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )  # fmt: skip
    assert {Path(file).parent for file in done.stdout.split()} == {clone / "stages/ungray"}
