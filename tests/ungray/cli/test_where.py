"""What is colored, and where it is written."""

import os
import shutil

import numpy as np
import pytest
from PIL import ExifTags, Image

from ungray.imaging.photos import read_rgb

Base = ExifTags.Base


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ("jpg", "cat-colored.jpg"),
        ("png", "cat-colored.png"),
        ("webp", "cat-colored.webp"),
        ("tif", "cat-colored.tif"),
        ("gif", "cat-colored.png"),
        ("bmp", "cat-colored.png"),
    ],
)
def test_without_o_the_photo_is_written_beside_the_photo_in_its_format(
    colorize, cats, tmp_path, files_below, source, written
):
    shutil.copy(cats / f"cat.{source}", tmp_path)
    code, out, err = colorize(tmp_path / f"cat.{source}")
    assert (code, out) == (0, "")
    assert err == f"colored 1 photo: {tmp_path / written}\n"
    assert files_below(tmp_path) == sorted([f"cat.{source}", written])
    with Image.open(tmp_path / written) as image:
        kept = {"jpg": "JPEG", "webp": "WEBP", "tif": "TIFF"}.get(source, "PNG")
        assert (image.format, image.size) == (kept, (90, 60))
    assert np.ptp(read_rgb(tmp_path / written).astype(int), axis=-1).max() > 20


@pytest.mark.parametrize(("name", "written"), [("IMG_1.JPG", "IMG_1.JPG"), ("scan.jfif", "scan.jpg")])
def test_an_extension_stays_as_it_is_spelled_where_it_is_one_that_is_written(
    colorize, cats, tmp_path, files_below, name, written
):
    shutil.copy(cats / "cat.jpg", tmp_path / name)
    assert colorize(tmp_path / name, "-o", tmp_path / "out")[0] == 0
    assert files_below(tmp_path / "out") == [written]


@pytest.mark.parametrize("name", ["scan", "scan.17"])
def test_a_photo_without_an_extension_gets_that_of_its_content(colorize, cats, tmp_path, name):
    shutil.copy(cats / "cat.png", tmp_path / name)
    code, _, err = colorize(tmp_path / name)
    assert (code, err) == (0, f"colored 1 photo: {tmp_path / name}-colored.png\n")
    code, _, err = colorize(tmp_path / name)
    assert (code, err.split(" (")[0]) == (
        0,
        f"skipped 1 photo, colored already: {tmp_path / name}-colored.png",
    )


def test_a_folder_keeps_its_structure_and_what_is_no_photo_is_left_alone(
    colorize, scans, tmp_path, files_below
):
    code, _, err = colorize(scans, "-o", tmp_path / "out")
    assert (code, err) == (0, "colored 2 photos; passed over 1 .txt\n")
    assert files_below(tmp_path / "out") == ["1912/summer/b.png", "a.jpg"]


def test_several_folders_stay_apart(colorize, scans, tmp_path, files_below):
    shutil.copytree(scans, tmp_path / "more")
    assert colorize(scans, tmp_path / "more", "-o", tmp_path / "out")[0] == 0
    wanted = ["1912/summer/b.png", "a.jpg"]
    assert files_below(tmp_path / "out") == [f"{top}/{name}" for top in ("more", "scans") for name in wanted]


def test_a_pattern_keeps_the_folders_below_its_plain_part(colorize, scans, tmp_path, files_below):
    code, _, _ = colorize(f"{scans}/**/*.*", "-o", tmp_path / "out")
    assert code == 0
    assert files_below(tmp_path / "out") == ["1912/summer/b.png", "a.jpg"]


def test_a_file_that_reads_like_a_pattern_is_that_file(colorize, cats, tmp_path):
    shutil.copy(cats / "cat.jpg", tmp_path / "scan[1].jpg")
    assert colorize(tmp_path / "scan[1].jpg")[0] == 0
    assert (tmp_path / "scan[1]-colored.jpg").exists()


def test_a_photo_named_twice_is_colored_once(colorize, scans):
    _, _, err = colorize(scans, scans / "a.jpg", scans / "1912" / ".." / "a.jpg")
    assert err == "colored 2 photos; passed over 1 .txt\n"


@pytest.mark.parametrize(
    ("named", "kept"), [("out.webp", "WEBP"), ("out.TIFF", "TIFF"), ("out.jpeg", "JPEG")]
)
def test_one_photo_goes_to_the_file_that_o_names(colorize, cats, tmp_path, named, kept):
    assert colorize(cats / "cat.png", "-o", tmp_path / "new" / named)[0] == 0
    with Image.open(tmp_path / "new" / named) as image:
        assert image.format == kept


def test_format_and_quality_are_those_asked_for(colorize, scans, tmp_path, files_below):
    for quality in (95, 20):
        colorize(scans, "-o", tmp_path / str(quality), "--format", "webp", "--quality", quality)
    assert files_below(tmp_path / "95") == ["1912/summer/b.webp", "a.webp"]
    sizes = [(tmp_path / quality / "a.webp").stat().st_size for quality in ("95", "20")]
    assert sizes[1] < sizes[0] / 2


@pytest.mark.parametrize(
    ("options", "written"),
    [(["--format", "jpg"], ["a.jpg", "a_bmp.jpg", "a_png.jpg"]), ([], ["a.jpg", "a.png", "a_bmp.png"])],
)
def test_photos_that_would_get_one_name_get_two(colorize, tmp_path, files_below, options, written):
    (tmp_path / "in").mkdir()
    for shade, name in enumerate(("a.png", "a.jpg", "a.bmp")):
        Image.new("L", (40, 30), 60 * shade + 40).save(tmp_path / "in" / name)
    for _ in range(2):
        code, _, _ = colorize(tmp_path / "in", "-o", tmp_path / "out", *options)
        assert code == 0
        assert files_below(tmp_path / "out") == written
    means = [int(read_rgb(tmp_path / "out" / name).mean()) for name in written]
    assert len(set(means)) == 3


def test_photos_of_one_name_from_two_folders_never_overwrite_one_another(colorize, tmp_path, files_below):
    paths = [tmp_path / folder / "a.jpg" for folder in ("x", "y")]
    for path in paths:
        path.parent.mkdir()
        Image.new("L", (40, 30), 60).save(path)
    code, _, err = colorize(*paths, "-o", tmp_path / "out")
    assert code == 1
    assert err == (
        f"colored 1 photo: {tmp_path}/out/a.jpg; 1 failed:\n"
        f"  {paths[1]}: would be written to {tmp_path}/out/a.jpg, as {paths[0]} is; "
        "name the folder above both, or another -o\n"
    )
    assert colorize(tmp_path / "?", "-o", tmp_path / "apart")[0] == 0
    assert files_below(tmp_path / "apart") == ["x/a.jpg", "y/a.jpg"]


def test_a_second_run_skips_what_is_done_and_colors_what_is_new(colorize, scans, cats, files_below):
    colorize(scans)
    first = files_below(scans)
    before = (scans / "a-colored.jpg").stat()
    shutil.copy(cats / "cat.webp", scans / "new.webp")
    code, _, err = colorize(scans, "--vivid")
    assert code == 0
    assert err == (
        f"colored 1 photo: {scans}/new-colored.webp; "
        "skipped 2 photos, colored already (whatever the model and "
        "options were; --overwrite makes them again); left alone 2 made by an earlier run; "
        "passed over 1 .txt\n"
    )
    assert files_below(scans) == sorted([*first, "new.webp", "new-colored.webp"])
    after = (scans / "a-colored.jpg").stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


def test_overwrite_makes_outputs_anew(colorize, scans):
    colorize(scans / "a.jpg")
    pale = read_rgb(scans / "a-colored.jpg")
    code, _, err = colorize(scans / "a.jpg", "--saturation", 0, "--overwrite")
    assert (code, err) == (0, f"colored 1 photo: {scans}/a-colored.jpg\n")
    assert np.abs(pale.astype(int) - read_rgb(scans / "a-colored.jpg")).max() > 10
    assert np.ptp(read_rgb(scans / "a-colored.jpg").astype(int), axis=-1).max() <= 3


def test_an_output_folder_inside_the_photos_folder_is_not_colored_again(colorize, scans, files_below):
    for _ in range(2):
        assert colorize(scans, "-o", scans / "colored")[0] == 0
        assert files_below(scans / "colored") == ["1912/summer/b.png", "a.jpg"]


def test_an_output_of_an_earlier_run_is_colored_where_it_is_named_alone(colorize, scans):
    colorize(scans / "a.jpg")
    assert colorize(scans / "a-colored.jpg")[2] == f"colored 1 photo: {scans}/a-colored-colored.jpg\n"


@pytest.mark.parametrize("link", [None, os.link, os.symlink])
def test_a_photo_is_never_overwritten(colorize, scans, tmp_path, link):
    before = (scans / "a.jpg").read_bytes()
    output = scans / "a.jpg"
    if link:
        output = tmp_path / "link.jpg"
        link(scans / "a.jpg", output)
    code, _, err = colorize(scans / "a.jpg", "-o", output, "--overwrite")
    assert code == 1
    assert err == f"error: {scans}/a.jpg: its output {output} is a photo itself; choose another -o"
    assert colorize(scans / "a.jpg", "-o", scans, "--overwrite")[0] == 1
    assert (scans / "a.jpg").read_bytes() == before


def test_compare_shows_gray_left_and_colored_right_beside_the_plain_outputs(
    colorize, cats, tmp_path, files_below
):
    shutil.copy(cats / "cat.png", tmp_path)
    colorize(tmp_path / "cat.png")
    colorize(tmp_path / "cat.png", "--compare")
    assert files_below(tmp_path) == ["cat-colored.png", "cat-compare.png", "cat.png"]
    left, right = np.split(read_rgb(tmp_path / "cat-compare.png").astype(int), 2, axis=1)
    assert np.abs(left - read_rgb(tmp_path / "cat.png")).max() <= 1
    assert np.array_equal(right, read_rgb(tmp_path / "cat-colored.png"))


def test_compare_has_exif_data_that_say_its_own_width(colorize, cats, tmp_path):
    exif = Image.Exif()
    exif[Base.Make] = "Voigtländer".encode()
    exif[ExifTags.IFD.Exif] = {Base.ExifImageWidth: 90, Base.ExifImageHeight: 60, Base.LensModel: "Ultron"}
    with Image.open(cats / "cat.jpg") as cat:
        cat.save(tmp_path / "cat.jpg", exif=exif)
    assert colorize(tmp_path / "cat.jpg", "--compare")[0] == 0
    with Image.open(tmp_path / "cat-compare.jpg") as image:
        about = image.getexif()
        taken = about.get_ifd(ExifTags.IFD.Exif)
        assert image.size == (180, 60)
        assert (taken[Base.ExifImageWidth], taken[Base.ExifImageHeight]) == (180, 60)
        assert (about[Base.Make].encode("latin-1"), taken[Base.LensModel]) == (exif[Base.Make], "Ultron")


def test_compare_keeps_transparency(colorize, tmp_path):
    alpha = np.zeros((30, 40), np.uint8)
    alpha[5:20] = 200
    Image.fromarray(np.dstack([np.full_like(alpha, 90)] * 3 + [alpha])).save(tmp_path / "ghost.png")
    assert colorize(tmp_path / "ghost.png", "--compare")[0] == 0
    with Image.open(tmp_path / "ghost-compare.png") as image:
        assert np.array_equal(np.asarray(image.getchannel("A")), np.hstack([alpha, alpha]))


def test_a_dry_run_says_what_would_be_written_and_writes_nothing(colorize, scans, tmp_path, files_below):
    before = files_below(tmp_path)
    code, out, err = colorize(scans, "-o", tmp_path / "out", "--dry-run")
    assert (code, err) == (0, "would color 2 photos; passed over 1 .txt\n")
    assert out.splitlines() == [
        f"{scans}/1912/summer/b.png -> {tmp_path}/out/1912/summer/b.png",
        f"{scans}/a.jpg -> {tmp_path}/out/a.jpg",
    ] or out.splitlines() == [
        f"{scans}/a.jpg -> {tmp_path}/out/a.jpg",
        f"{scans}/1912/summer/b.png -> {tmp_path}/out/1912/summer/b.png",
    ]
    assert files_below(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([""], "a PHOTO is empty; name a file or a folder (. is this one)"),
        (["{scans}", ""], "a PHOTO is empty"),
        (["{scans}", "-o", ""], "-o is empty; name a file or a folder (. is this one)"),
        (["{scans}", "-o", "{scans}"], "is the folder of the photos itself"),
        (["{scans}", "-o", "{scans}/notes.txt"], "is a file; several photos need a folder"),
        (["{scans}", "-o", "{scans}/out.jpg"], "has the name of a photo; several photos need a folder"),
        (["{scans}/a.jpg", "-o", "out.xyz"], "this format cannot be written; use .jpg"),
        (["{scans}/a.jpg", "-o", "out.gif"], "this format cannot be written; use .jpg"),
        (["{scans}/a.jpg", "-o", "out.png", "--format", "jpg"], "contradict each other"),
        (["{scans}", "-o", "-"], "-o - (standard output) takes one photo"),
        (["-", "{scans}"], "- (standard input) is one photo"),
        (["{scans}/a.jpg", "-o", "-", "--json"], "cannot both go to standard output"),
        (["{scans}", "--saturation", "-1"], "-1 is no float from 0 to 10"),
        (["{scans}", "--saturation", "nan"], "nan is no float from 0 to 10"),
        (["{scans}", "--quality", "0"], "0 is no int from 1 to 100"),
        (["{scans}", "--jobs", "two"], "two is no int from 1 to 256"),
        (["{scans}", "--format", "gif"], "invalid choice: 'gif'"),
        (["{scans}", "--engine", "abacus"], "invalid choice: 'abacus'"),
        ([], "PHOTO"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_writes_nothing(
    colorize, scans, tmp_path, files_below, arguments, said
):
    before = files_below(tmp_path)
    code, out, err = colorize(*[argument.format(scans=scans) for argument in arguments])
    assert (code, out) == (2, "")
    assert err.startswith("usage: colorize")
    assert said in err.splitlines()[-1]
    assert files_below(tmp_path) == before
