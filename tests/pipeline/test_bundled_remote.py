"""What data/remote ships with every clone: only results worth it, and no photo that is not the sample's."""

import hashlib
import json
from itertools import chain
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages.params import load_all
from stages.scrape import gather
from ungray.imaging.photos import read_rgb

from .conftest import Clone

ROOT = Path(__file__).parents[2]
OBJECTS = ROOT / "data/remote/files/md5"
MAX_MEGABYTES = 60


def locked():
    """Outputs that DVC keeps, those of dvc.lock and the base model, by path: the MD5 of the object."""
    yaml = YAML(typ="safe")
    stages = yaml.load(ROOT / "dvc.yaml")["stages"].values()
    in_git = {
        name for stage in stages for kind in ("metrics", "plots") for name in chain(*stage.get(kind, []))
    }
    outs = [out for stage in yaml.load(ROOT / "dvc.lock")["stages"].values() for out in stage["outs"]]
    outs += [out for file in sorted((ROOT / "data/base").glob("*.dvc")) for out in yaml.load(file)["outs"]]
    return {out["path"]: out["md5"] for out in outs if out["path"] not in in_git}


def stored(md5):
    return OBJECTS / md5[:2] / md5[2:]


def members(path):
    """The files of a locked folder: path below it to MD5."""
    return {entry["relpath"]: entry["md5"] for entry in json.loads(stored(locked()[path]).read_text())}


def pixels(source):
    return hashlib.sha256(read_rgb(source).tobytes()).hexdigest()


def test_it_holds_the_objects_of_dvc_lock_and_nothing_else():
    expected = set()
    for path, md5 in locked().items():
        expected.add(md5)
        if md5.endswith(".dir"):
            expected |= set(members(path).values())
    found = {p.parent.name + p.name for p in OBJECTS.rglob("*") if p.is_file()}
    assert found == expected


def test_it_is_small():
    assert sum(p.stat().st_size for p in OBJECTS.rglob("*") if p.is_file()) < MAX_MEGABYTES * 1e6


def test_its_photos_are_the_samples(tmp_path):
    shipped = load_all(ROOT / "params.yaml")["scrape"]
    gather.run(shipped.model_copy(update={"source": "sample"}), tmp_path)
    sample = {pixels(p) for p in tmp_path.rglob("*") if p.is_file()}
    raw = members("data/raw")
    assert {pixels(stored(md5)) for md5 in raw.values()} <= sample
    ids = {Path(name).stem for name in raw}
    prepared = [name for name in members("data/prepared") if name != "index.csv"]
    assert {Path(name).stem.split("_")[0] for name in prepared} <= ids


def test_every_object_is_whole():
    for path in (p for p in OBJECTS.rglob("*") if p.is_file()):
        name = (path.parent.name + path.name).removesuffix(".dir")
        assert hashlib.md5(path.read_bytes()).hexdigest() == name


def test_make_repro_fetches_every_file_of_the_base_model():
    # DVC refuses to run while one that a stage depends on is missing.
    (line,) = [line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("repro:")]
    files = {f"data/base/{file.stem}" for file in (ROOT / "data/base").glob("*.dvc")}
    assert files
    assert files <= set(line.split())


@pytest.mark.pipeline
def test_a_bare_clone_pulls_it_and_then_repro_has_nothing_to_do(tmp_path):
    clone = Clone(tmp_path, base=True)
    clone.run("dvc", "pull")
    assert "Data and pipelines are up to date" in clone.run("dvc", "repro").stdout
    assert clone.run("git", "status", "--porcelain").stdout == ""
    photo = next((clone.path / "data/raw").rglob("*.png"))
    clone.run("colorize", str(photo), "-o", "out.png")
    assert read_rgb(clone.path / "out.png").shape == read_rgb(photo).shape
