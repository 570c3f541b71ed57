"""Kinds of files at the command line: further pages, what is passed over, photos of newer formats."""

import io
import json

import cv2
import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image
from skimage import data

SCENE = cv2.resize(data.astronaut()[:384, :512], (80, 60), interpolation=cv2.INTER_AREA)


def scan(path, *, pages):
    with tifffile.TiffWriter(path) as writer:
        for page in range(pages):
            writer.write(np.roll(SCENE, 20 * page, axis=1), photometric="rgb", metadata=None)


def test_further_pages_are_counted_and_colored_when_asked_for(colorize, tmp_path):
    scan(tmp_path / "a.tif", pages=3)
    code, out, err = colorize(tmp_path / "a.tif", "-o", tmp_path / "first.tif", "--json")
    (row,) = json.loads(out)["photos"]
    assert (code, row["pages"], row["pages_taken"]) == (0, 3, 1)
    assert "left 2 further pages of 1 photo (--pages colors all)" in err
    code, out, err = colorize(tmp_path / "a.tif", "-o", tmp_path / "all.tif", "--json", "--pages")
    (row,) = json.loads(out)["photos"]
    assert (code, row["pages"], row["pages_taken"]) == (0, 3, 3)
    assert "further pages" not in err
    first = tifffile.imread(tmp_path / "first.tif")
    with tifffile.TiffFile(tmp_path / "all.tif") as file:
        assert np.array_equal(file.pages.first.asarray(), first)
        light = [page.asarray().mean(axis=2) for page in file.pages]
    assert len(light) == 3
    for page, seen in enumerate(light):
        assert np.corrcoef(seen.ravel(), np.roll(SCENE, 20 * page, axis=1).mean(axis=2).ravel())[0, 1] > 0.95


@pytest.mark.parametrize("kind", ["png", "avif", "heic", "gif"])
def test_an_animation_given_as_a_photo_says_that_its_first_picture_was_taken(colorize, tmp_path, kind):
    moving = tmp_path / f"moving.{kind}"
    pictures = [Image.fromarray(np.roll(SCENE, 20 * number, axis=1)) for number in range(3)]
    if kind == "heic":
        burst = pillow_heif.HeifFile()
        for picture in pictures:
            burst.add_from_pillow(picture)
        burst.save(moving)
    else:
        pictures[0].save(moving, save_all=True, append_images=pictures[1:])
    photo = moving.rename(tmp_path / "moving.png") if kind == "gif" else moving  # else it is a film
    code, out, err = colorize(photo, "-o", tmp_path / "out.png", "--json")
    (row,) = json.loads(out)["photos"]
    assert (code, row["pictures"]) == (0, 3), err
    assert "took only the first picture of 1 photo (2 more)" in err
    colored = np.asarray(Image.open(tmp_path / "out.png")).mean(axis=2)
    assert np.corrcoef(colored.ravel(), SCENE.mean(axis=2).ravel())[0, 1] > 0.95
    Image.fromarray(SCENE).save(tmp_path / "still.png")
    code, out, err = colorize(tmp_path / "still.png", "--json")
    assert (json.loads(out)["photos"][0]["pictures"], "first picture" in err) == (1, False)


def test_pages_go_into_no_other_format_than_tiff(colorize, tmp_path):
    scan(tmp_path / "a.tif", pages=2)
    code, _, err = colorize(tmp_path / "a.tif", "-o", tmp_path / "a.jpg", "--pages")
    assert code == 1
    assert "has 2 pages, which only a TIFF holds; add --format tif" in err
    assert not (tmp_path / "a.jpg").exists()


def test_what_is_passed_over_is_counted_by_kind(colorize, tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("letter.PDF", "list.txt", "notes.txt", "README", ".hidden.txt"):
        (folder / name).write_text("no photo")
    code, _, err = colorize(folder, "-o", tmp_path / "out")
    assert code == 1
    assert "no photo in this folder (but 2 .txt, 1 .pdf, 1 no extension)" in err
    Image.fromarray(SCENE).save(folder / "a.png")
    code, out, err = colorize(folder / "*", "-o", tmp_path / "out", "--json")
    assert code == 0
    assert err.endswith("a.png; passed over 2 .txt, 1 .pdf, 1 no extension\n")
    assert json.loads(out)["passed_over"] == {".pdf": 1, ".txt": 2, "no extension": 1}


def test_photos_of_newer_kinds_are_found_in_folders_and_get_a_format_that_is_written(colorize, tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    pillow_heif.register_heif_opener()
    image = Image.fromarray(SCENE)
    for name, kind in (("a.heic", "HEIF"), ("b.avif", "AVIF"), ("c.jp2", "JPEG2000")):
        written = io.BytesIO()
        image.save(written, kind)
        (folder / name).write_bytes(written.getvalue())
    code, _, err = colorize(folder, "-o", tmp_path / "out")
    assert (code, err) == (0, "colored 3 photos\n")
    found = {path.name: Image.open(path).size for path in (tmp_path / "out").iterdir()}
    assert found == dict.fromkeys(("a.jpg", "b.webp", "c.png"), (80, 60))
