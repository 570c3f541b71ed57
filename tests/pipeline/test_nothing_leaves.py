"""No dependency asks the network for anything, nor leaves a file outside of our folders, whatever we run.

Each command runs once, with an empty home folder and an environment that names no setting of ours, where a
name server on the loopback is all there is of a network; see watched.py. Where the system doesn't let us,
they skip.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from skimage import data

from .conftest import TINY

WATCHED = Path(__file__).with_name("watched.py")
NAMESPACES = ("unshare", "--net", "--mount")
IDLE = 10
"""Seconds that a page is left alone: reports come late, too."""

API = """
from PIL import Image
from ungray.colorizer import Colorizer
assert Colorizer.load("data/models/colorizer.onnx").colorize(Image.open("photo.jpg")).mode == "RGB"
"""
LOOK_UP = """
import socket
try:
    socket.getaddrinfo("seen.example", 80)
except OSError:
    open("/var/tmp/seen", "w").close()
"""

DVC_NOTES = ("/var/tmp/dvc/", "/var/cache/dvc/")
"""DVC's own: checksums of what it has looked at (core.site_cache_dir). The README says so."""

PYTHON = sys.executable
COMMITTED = "git -c user.name=Tester -c user.email=tester@localhost commit --quiet --all --message reproduced"
SCRAPE = "stages/scrape/__main__.py"
COMMANDS = {
    "a look-up and a file, which are seen": [PYTHON, "-c", LOOK_UP],
    "params": [PYTHON, "-m", "stages.params"],
    "dvc repro": ["dvc", "repro", "--force"],
    "dvc metrics": ["dvc", "metrics", "show"],
    "verdict": [PYTHON, "-m", "stages.export", "verdict", "data/models/colorizer.onnx"],
    "accept": ["sh", "-c", f"{COMMITTED} && echo '# a word' >> {SCRAPE} && {PYTHON} -m stages.accept"],
    "clean-experiments": [PYTHON, "-m", "stages.recipes.clean"],
    "colorize": [PYTHON, "-m", "ungray", "photo.jpg"],
    "colorize with torch": [
        PYTHON, "-m", "ungray", "photo.jpg", "--engine", "torch", "-o", "data/torch.jpg",
    ],
    "colorize with hints of a reference": [
        PYTHON, "-m", "ungray", "photo.jpg", "--model", "data/hinted/model.onnx",
        "--like", "photos/photo.jpg",
        "-o", "data/like.jpg",
    ],
    "colorize variants": [
        PYTHON, "-m", "ungray", "photo.jpg", "--model", "data/hinted/model.onnx",
        "--variants", "2", "-o", "data/other.jpg",
    ],
    "colorize a film": [PYTHON, "-m", "ungray", "data/frames", "--frames", "24", "-o", "data/film.mkv"],
    "colorize serve": [PYTHON, "-m", "ungray", "serve", "--no-browser", "--port", "0"],
    "Python API": [PYTHON, "-c", API],
    "doctor": [PYTHON, "-m", "stages.doctor", "--seconds", "0"],
    "tune": [PYTHON, "-m", "stages.tune"],
    "tune show": [PYTHON, "-m", "stages.tune", "show"],
    "tune apply": [PYTHON, "-m", "stages.tune", "apply"],
    "recipes": [PYTHON, "-m", "stages.recipes", "unet", "--dry-run"],
    "presets": [PYTHON, "-m", "stages.presets", "quick", "--dry-run", "train.working_size=32"],
    "hints": [
        PYTHON, "-m", "stages.evaluate", "hints", "data/hinted/model.onnx",
        "--photos", "photos", "--most", "1",
    ],
    "review": [PYTHON, "-m", "stages.filter", "review", "--no-browser", "--port", "0"],
    "watch": [PYTHON, "-m", "stages.train", "watch", "--no-browser", "--port", "0"],
    "compare": [
        PYTHON, "-m", "stages.evaluate", "compare", "data/models/colorizer.safetensors",
        "data/models/colorizer.safetensors", "--photos", "photos",
    ],
    "sets": [PYTHON, "-m", "stages.evaluate", "sets", "data/models/colorizer.safetensors", "here=photos"],
    "doctor check": ["sh", "-c", f"{PYTHON} -m stages.doctor check --seconds 1 || [ $? = 1 ]"],
    "quality": [PYTHON, "-m", "stages.export", "quality", "data/models"],
    "average": [
        PYTHON, "-m", "stages.train", "average", "data/models", "data/models", "-o", "data/mean.safetensors",
    ],
    "hashes": [PYTHON, "-m", "stages.prepare", "hashes", "data/models"],
    "board": [PYTHON, "-m", "stages.evaluate", "board"],
    "pareto": [PYTHON, "-m", "stages.evaluate", "pareto", "data/models/colorizer.safetensors"],
    "take_out": ["sh", "-c", f"{PYTHON} -m stages.scrape.take_out $(ls data/raw/*/* | head -n 1)"],
}  # fmt: skip
SERVERS = ("colorize serve", "review", "watch")


@pytest.fixture(scope="module")
def came(shipped, hinted, tmp_path_factory):
    """What came of each command: code, said, asked (names) and wrote (paths outside of our folders)."""
    if not shutil.which("unshare"):
        pytest.skip("no network namespace: unshare is not here")
    namespaces = next(
        (line for line in (NAMESPACES, (*NAMESPACES, "--map-root-user")) if _works(*line, "true")), None
    )
    if not namespaces:
        pytest.skip("no network namespace: this system does not let us make one")
    top = tmp_path_factory.mktemp("watched")
    clone = _tiny(shipped.copied(top / "clone"))
    shutil.copytree(hinted.parent, clone.path / "data/hinted")
    (top / "home").mkdir()
    wanted = {
        # Not CI: onnxruntime is silent there.
        "environment": {
            "HOME": str(top / "home"),
            "PATH": clone.environment["PATH"],
            "PYTHONPATH": clone.environment["PYTHONPATH"],
            "PYTHONUNBUFFERED": "1",
        },
        "commands": [
            {"arguments": line, "folder": str(clone.path), "seconds": IDLE if name in SERVERS else 0}
            for name, line in COMMANDS.items()
        ],
    }
    done = subprocess.run(
        [*namespaces, PYTHON, WATCHED],
        input=json.dumps(wanted), capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"cannot watch what is written here: {done.stderr.strip()}")
    found = json.loads(done.stdout)
    for needed in (top, Path("/var/tmp")):
        if not any(needed.is_relative_to(folder) for folder in found["seen"]):
            pytest.skip(f"this system does not let us see what is written to {needed}")
    ours = (f"{clone.path}/", f"{Path(sys.prefix).resolve()}/", *DVC_NOTES)
    for result in found["came"]:
        result["wrote"] = [path for path in result["wrote"] if not path.startswith(ours)]
    results = dict(zip(COMMANDS, found["came"], strict=True))
    control = results.pop("a look-up and a file, which are seen")
    if "seen.example" not in control["asked"]:
        pytest.skip("this system resolves names in a way that cannot be watched")
    assert control["wrote"] == ["/var/tmp/seen"]
    return results


def _works(*command):
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _tiny(clone):
    """Make a clone tiny, with a training that loads albumentations, and photos."""
    values = TINY | {"train.epochs": 1, "train.degradation": 0.5}
    clone.set(**{name.replace(".", "__"): value for name, value in values.items()})
    clone.set(
        tune__trials=1, tune__epochs=1, tune__space={"train.batch_size": [8]},
        tune__fixed={"train.architecture": "unet", "train.start_from": "nothing", "train.lr": 0.001},
    )  # fmt: skip
    (clone.path / "photos").mkdir()
    (clone.path / "data/frames").mkdir(parents=True, exist_ok=True)
    photo = Image.fromarray(data.chelsea()).resize((90, 60))
    photo.save(clone.path / "photo.jpg")
    photo.save(clone.path / "photos/photo.jpg")
    for number in range(3):
        photo.convert("L").save(clone.path / f"data/frames/{number}.png")
    clone.commit("tiny")
    return clone


@pytest.mark.pipeline
@pytest.mark.parametrize("name", list(COMMANDS)[1:])
def test_nothing_is_asked_and_no_file_appears_outside_of_our_folders(came, name):
    result = came[name]
    assert result["code"] == 0, result["said"]
    assert result["asked"] == []
    assert result["wrote"] == []


def test_whoever_imports_ours_has_the_settings_and_keeps_their_own(tmp_path):
    code = "import stages, os; print(os.environ['ORT_DISABLE_TELEMETRY'], os.environ['MPLCONFIGDIR'])"
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": os.environ["PATH"]}
    ours = {
        "ORT_DISABLE_TELEMETRY": "1",
        "MPLCONFIGDIR": str(Path(__file__).parents[2] / ".cache/matplotlib"),
    }
    theirs = {"ORT_DISABLE_TELEMETRY": "0", "MPLCONFIGDIR": "/else/where"}
    for given, there in (({}, ours), (theirs, theirs)):
        ran = subprocess.run(
            [PYTHON, "-c", code],
            cwd=tmp_path, env=environment | given, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert ran.stdout.split() == list(there.values())
