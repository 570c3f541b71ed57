"""What a trial of `make accept` runs on, and what it finds."""

from pathlib import Path

import pandas as pd
import pytest

from stages.accept.trial import PHOTOS, first_difference, small, take_photos
from stages.params import check, read_yaml
from stages.storage import tables
from ungray.errors import UngrayError

ROOT = Path(__file__).parents[2]


def test_the_shipped_params_made_small_are_allowed_and_keep_the_network_and_the_loss():
    shipped, made = read_yaml(ROOT / "params.yaml"), small(read_yaml(ROOT / "params.yaml"))
    check(made, origin="small")
    assert (made["train"]["steps"], made["machine"]["device"]) == (30, "cpu")
    for name in ("architecture", "lite_unet", "loss", "hints", "keep", "start_from"):
        assert made["train"][name] == shipped["train"][name]
    assert made["prepare"]["rotated_copies"] <= shipped["prepare"]["rotated_copies"]


def test_a_key_that_an_earlier_version_lacks_is_not_added():
    assert small({"train": {"batch_size": 2}}) == {"train": {"batch_size": 2}}


def test_a_collection_gives_the_first_photos_of_each_query(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [f"{query}/{number:02}.png" for query, count in (("a", 90), ("b", 5)) for number in range(count)]
    table = pd.DataFrame({"query": [name[0] for name in names], "status": "kept", "file": names})
    tables.write_table(table, Path("data/manifest.csv"))
    with pytest.raises(UngrayError, match="dvc pull data/raw"):
        take_photos(Path("trial"), Path("data/manifest.csv"), Path("data/raw"))
    for name in names:
        Path("data/raw", name).parent.mkdir(parents=True, exist_ok=True)
        Path("data/raw", name).write_text(name)
    take_photos(Path("trial"), Path("data/manifest.csv"), Path("data/raw"))
    taken = sorted(path.relative_to("trial/data/raw").as_posix() for path in Path("trial").rglob("*.png"))
    assert taken == [*names[: PHOTOS - 5], *names[-5:]]
    assert list(tables.read_table(Path("trial/data/manifest.csv"), made_by="scrape")["file"]) == taken


def test_the_first_file_that_is_not_the_same_is_named(tmp_path):
    before, now = tmp_path / "before", tmp_path / "now"
    for side in (before, now):
        (side / "out").mkdir(parents=True)
        (side / "out/a.csv").write_text("1")
    assert first_difference(["out"], before, now) == ""
    (now / "out/b.csv").write_text("2")
    assert first_difference(["out"], before, now) == "out/b.csv is written by only one of the two versions"
    (now / "out/a.csv").write_text("3")
    assert first_difference(["out"], before, now) == "out/a.csv differs"
    with pytest.raises(UngrayError, match="contain no files"):
        first_difference(["elsewhere"], before, now)
