from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from stages.scrape import gather, manifest
from stages.scrape.sample import PHOTOGRAPHS
from stages.storage.tables import read_table
from ungray.imaging import photos


@pytest.mark.parametrize(("crops", "size", "most"), [(1, 300, 1), (3, 256, 2), (12, 128, 12)])
def test_the_sample_gives_that_many_different_squares_of_each_photograph_at_most(
    scrape_params, raw, crops, size, most
):
    attempts = gather.run(scrape_params(source="sample", sample_crops=crops, sample_crop_size=size), raw)
    assert {attempt.status for attempt in attempts} == {"kept"}
    assert {(a.width, a.height, a.format) for a in attempts} == {(size, size, "PNG")}
    cut = [sum(a.photograph == f"{package}/{name}" for a in attempts) for package, name, *_ in PHOTOGRAPHS]
    assert sum(cut) == len(attempts)
    assert min(cut) >= 1
    assert max(cut) == most <= crops  # whole rows and columns of squares


def test_a_crop_names_the_photograph_it_was_cut_from_and_is_that_part_of_it(scrape_params, raw):
    for attempt in gather.run(scrape_params(source="sample", sample_crops=2), raw):
        name, _, place = attempt.url.partition("#xywh=")
        assert attempt.photograph == name
        assert attempt.license
        package, _, file = name.partition("/")
        whole = photos.read_rgb((files(package) / file).read_bytes())
        left, top, width, height = map(int, place.split(","))
        with Image.open(raw / attempt.file) as crop:
            assert np.array_equal(crop, whole[top : top + height, left : left + width]), attempt.url


def test_the_sample_twice_gives_the_same_manifest_and_the_same_files(scrape_params, tmp_path, contents):
    for run in (tmp_path / "first", tmp_path / "second"):
        (run / "raw").mkdir(parents=True)
        attempts = gather.run(scrape_params(source="sample", sample_crops=2), run / "raw")
        manifest.write(attempts, run / "manifest.csv")
    first = contents(tmp_path / "first")
    assert first == contents(tmp_path / "second")
    table = read_table(tmp_path / "first/manifest.csv", made_by="scrape")
    assert set(first) == {f"raw/{file}" for file in table["file"]} | {"manifest.csv"}
    assert set(table["fetched_at"]) == {""}
