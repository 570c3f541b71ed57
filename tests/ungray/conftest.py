"""Models that color, the command as a user runs it, and photos to run it on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from skimage import data

from ungray.cli.main import main

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def painter(tiny, tmp_path_factory):
    """An untrained model whose last bias gives wrong colors, and plenty of them."""
    import torch

    from ungray import networks

    torch.manual_seed(0)
    network = networks.build(tiny["train"].network())
    with torch.no_grad():
        last = list(network.parameters())[-1]
        last.copy_(torch.linspace(0.5, 1, len(last)))
    path = tmp_path_factory.mktemp("painter") / "model.safetensors"
    networks.save_model(path, networks.Model(network, {}))
    return path


@pytest.fixture
def colorize(painter, capsys):
    """A function that runs the command with that model: its exit code, standard output, standard error."""

    def run(*arguments):
        capsys.readouterr()
        code = 0
        said = ""
        try:
            main([*map(str, arguments), "--model", str(painter)])
        except SystemExit as end:
            # What Python itself does with it in the end.
            code, said = (end.code, "") if isinstance(end.code, int) else (1, str(end.code))
        out, err = capsys.readouterr()
        return code, out, err + said

    return run


@pytest.fixture(scope="session")
def light_painter(painter, made_once):
    """The same model as ONNX, with which a process starts in a fraction of the time: it imports no torch."""
    from stages.export.to_onnx import write_onnx
    from ungray import networks

    def fill(folder):
        write_onnx(folder / "light.onnx", networks.load_model(painter), opset=18)

    return made_once("painter", fill) / "light.onnx"


@pytest.fixture
def process(light_painter):
    """A function that gives the command line of a process of its own, and its environment."""
    command = [sys.executable, "-m", "ungray"]
    return lambda *arguments: {
        "args": [*command, *map(str, arguments), "--model", str(light_painter)],
        "env": os.environ | {"PYTHONPATH": str(ROOT / "stages")},
    }


@pytest.fixture(scope="session")
def cats(tmp_path_factory):
    """Small gray photos in each format that is read; change no file of it."""
    folder = tmp_path_factory.mktemp("cats")
    cat = Image.fromarray(data.chelsea()).convert("L").resize((90, 60))
    for name in ("jpg", "png", "webp", "tif", "gif", "bmp"):
        cat.save(folder / f"cat.{name}")
    return folder


@pytest.fixture
def scans(cats, tmp_path):
    """A folder of scans: two photos, one in a sub-folder, and what is no photo."""
    folder = tmp_path / "scans"
    (folder / "1912" / "summer").mkdir(parents=True)
    shutil.copy(cats / "cat.jpg", folder / "a.jpg")
    shutil.copy(cats / "cat.png", folder / "1912" / "summer" / "b.png")
    (folder / "notes.txt").write_text("Dear all")
    (folder / "._a.jpg").write_bytes(b"of macOS")
    return folder


@pytest.fixture
def files_below():
    """A function that lists the files below a folder."""
    return lambda folder: sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.fixture(scope="session")
def colorful(tiny, made_once):
    """The path of such a model, .safetensors; the .onnx lies beside it."""
    import torch

    from stages.export.to_onnx import write_onnx
    from ungray import networks

    def fill(folder):
        torch.manual_seed(0)
        network = networks.build(tiny["train"].network())
        with torch.no_grad():
            *_, weight, bias = network.parameters()
            weight.mul_(60)  # what differs from place to place
            bias.mul_(0)
        model = networks.Model(network.eval(), {"vivid": {"saturation": 2.0}})
        path = folder / "model.safetensors"
        networks.save_model(path, model)
        write_onnx(path.with_suffix(".onnx"), networks.load_model(path), opset=tiny["export"].opset)

    return made_once("colorful", fill) / "model.safetensors"


@pytest.fixture(scope="session")
def colorizer(colorful):
    from ungray.colorizer import Colorizer

    return Colorizer.load(colorful)


@pytest.fixture(scope="session")
def featureless(hinted, tmp_path_factory):
    """The path of the same model as an earlier version exported it: without features."""
    import onnx

    content = onnx.load(hinted.with_suffix(".onnx"))
    assert [output.name for output in content.graph.output] == ["ab", "features"]
    del content.graph.output[1]
    path = tmp_path_factory.mktemp("featureless") / "featureless.onnx"
    onnx.save(content, path)
    return path


@pytest.fixture
def small_disk(tmp_path):
    """A function that mounts a disk of so many kilobytes, or changes its size, and returns its folder."""
    folder = tmp_path / "disk"

    def sized(kilobytes):
        remount = "remount," if folder.exists() else ""
        folder.mkdir(exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"{remount}size={kilobytes}k", "tmpfs", folder]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("no small file system: this system does not let us mount one")
        return folder

    yield sized
    if folder.exists():
        subprocess.run(["umount", "--lazy", folder], capture_output=True, check=False)
