"""Kinds of files at the command line: further pages, what is passed over, photos of newer formats."""

import io
import json

import cv2
import imagecodecs
import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image
from skimage import data

from ungray.imaging.reading import jxl

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
    assert "took only the first of several pictures of 1 photo" in err
    colored = np.asarray(Image.open(tmp_path / "out.png")).mean(axis=2)
    assert np.corrcoef(colored.ravel(), SCENE.mean(axis=2).ravel())[0, 1] > 0.95
    Image.fromarray(SCENE).save(tmp_path / "still.png")
    code, out, err = colorize(tmp_path / "still.png", "--json")
    assert (json.loads(out)["photos"][0]["pictures"], "several pictures" in err) == (1, False)


MOVING_JXL = bytes.fromhex(
    "ff0a43040348282e090012904c5000d0005de5120000152aa38c1bbc9cebf9f24387c5b48deb0c6db56d610963e2196021e1"
    "046537bc12f37cd896069c0e86904208a112000012904c5000cc00edda120000152aa38c1bbc9cebf9f24387c5b48deb0c6d"
    "b56d610963e2196021292444d90d700412621e8badc62930545525000012902c0a00cc005de5120000152aa38c1bbc9cebf9"
    "f24387c5b48deb0c6db56d610963e2196021e1046537f510f36e2863710e86701442089500"
)
"""16x16 pixels in three pictures, by cjxl, since nothing that is installed writes such a file."""


def test_an_animated_jpeg_xl_says_that_its_first_picture_was_taken(colorize, tmp_path):
    (tmp_path / "moving.jxl").write_bytes(MOVING_JXL)
    code, out, err = colorize(tmp_path / "moving.jxl", "-o", tmp_path / "out.png", "--json")
    assert (code, json.loads(out)["photos"][0]["pictures"]) == (0, 2), err
    assert "took only the first of several pictures of 1 photo" in err
    (tmp_path / "still.jxl").write_bytes(imagecodecs.jpegxl_encode(SCENE))
    code, out, err = colorize(tmp_path / "still.jxl", "-o", tmp_path / "still.png", "--json")
    assert (code, json.loads(out)["photos"][0]["pictures"]) == (0, 1), err
    assert "several pictures" not in err


@pytest.mark.parametrize("preview", [[], [(1, 1), (0, 2), (0, 3), (1, 2)], [(0, 1), (2, 2), (9, 10), (3, 3)]])
@pytest.mark.parametrize("shown", [[], [(1, 1), (3, 5), (1, 3)]])
@pytest.mark.parametrize("moving", [0, 1])
def test_an_animation_is_seen_behind_the_rarer_fields_of_a_header(moving, shown, preview):
    """Each field is (value, number of bits): size, not all as usual, rarer fields, orientation."""
    fields = [(0, 1), (0, 2), (299, 9), (0, 3), (1, 2), (400, 13), (0, 1), (1, 1), (5, 3)]
    fields += [(int(bool(shown)), 1), *shown, (int(bool(preview)), 1), *preview, (moving, 1)]
    bits = "".join(f"{value:0{count}b}"[::-1] for value, count in fields)
    header = b"\xff\x0a" + int(bits[::-1], 2).to_bytes(30, "little")
    assert jxl.dimensions(header) == (401, 300)
    assert jxl.is_animation(header) == bool(moving)


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
