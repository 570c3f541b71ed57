"""Hints by the command: the same bytes as from Python, a file per photo, a reference photo, variants."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from ungray import Colorizer, Hint, hints_from_reference
from ungray.cli.main import main
from ungray.hints import read_hints, write_hints

RED = Hint(40, 30, "#aa3322")
BLUE = Hint(10.5, 20, "#2233aa", weight=0.5)


@pytest.fixture
def colorize(hinted, capsys):
    """A function that runs the command with a model that takes hints: code, standard output, error."""

    def run(*arguments, model=None):
        capsys.readouterr()
        model = model or hinted.with_suffix(".onnx")
        code, said = 0, ""
        try:
            main([*map(str, arguments), "--model", str(model)])
        except SystemExit as end:
            code, said = (end.code, "") if isinstance(end.code, int) else (1, str(end.code))
        out, err = capsys.readouterr()
        return code, out, err + said

    return run


@pytest.fixture
def scan(cats, tmp_path):
    """A gray photo of 90x60 pixels in a folder of its own."""
    shutil.copy(cats / "cat.png", tmp_path / "cat.png")
    return tmp_path / "cat.png"


def pixels(path):
    return np.asarray(Image.open(path))


def test_the_same_hints_give_the_same_bytes_by_option_by_file_and_from_python(colorize, scan, hinted):
    folder = scan.parent
    code, _, err = colorize(
        scan, "-o", folder / "option.png", "--hint", "40,30,#aa3322", "--hint", "10.5, 20, #2233aa, 0.5"
    )
    assert (code, "with 2 hints from --hint" in err) == (0, True), err
    write_hints(folder / "known.json", [RED, BLUE], width=90, height=60)
    code, _, err = colorize(scan, "-o", folder / "file.png", "--hints", folder / "known.json")
    assert (code, f"with 2 hints from {folder / 'known.json'}" in err) == (0, True), err
    assert (folder / "option.png").read_bytes() == (folder / "file.png").read_bytes()
    colorizer = Colorizer.load(hinted)
    assert (pixels(folder / "option.png") == colorizer.colorize(pixels(scan), hints=[RED, BLUE])).all()
    assert (pixels(folder / "option.png") != colorizer.colorize(pixels(scan))).any()


def test_each_photo_of_a_folder_has_its_hints_file(colorize, cats, scan, tmp_path, hinted):
    folder = tmp_path / "scans"
    (folder / "1912").mkdir(parents=True)
    for name in ("a.png", "b.png", "1912/c.png"):
        shutil.copy(cats / "cat.png", folder / name)
    write_hints(folder / "a.hints.json", [RED], width=180, height=120)
    write_hints(folder / "1912" / "c.hints.json", [RED, BLUE], width=90, height=60)
    (folder / "b.hints.json").write_text("{}")
    code, out, err = colorize(folder, "-o", tmp_path / "colored", "--json")
    assert code == 1
    assert "2 of them with 3 hints" in err
    assert "b.png: " in err
    assert "b.hints.json: no hints file: it states no width and height" in err
    rows = {Path(row["photo"]).name: row for row in json.loads(out)["photos"]}
    assert rows["a.png"]["hints_from"] == [str(folder / "a.hints.json")]
    assert (rows["c.png"]["hints"], rows["b.png"]["status"]) == (2, "failed")
    moved = [Hint(RED.x / 2, RED.y / 2, RED.color)]
    expected = Colorizer.load(hinted).colorize(pixels(scan), hints=moved)
    assert (pixels(tmp_path / "colored" / "a.png") == expected).all()


def test_hints_files_may_lie_in_a_folder_of_their_own(colorize, cats, tmp_path):
    folder = tmp_path / "scans"
    (folder / "1912").mkdir(parents=True)
    for name in ("a.png", "1912/c.png"):
        shutil.copy(cats / "cat.png", folder / name)
    write_hints(folder / "a.hints.json", [RED], width=90, height=60)
    write_hints(tmp_path / "known" / "1912" / "c.hints.json", [RED, BLUE], width=90, height=60)
    code, out, _ = colorize(folder, "-o", tmp_path / "out", "--hints", tmp_path / "known", "--json")
    assert code == 0
    assert {Path(row["photo"]).name: row["hints"] for row in json.loads(out)["photos"]} == {
        "a.png": 0,
        "c.png": 2,
    }


def test_variants_are_files_with_their_hints_that_give_them_again(colorize, scan):
    folder = scan.parent
    code, out, err = colorize(folder, "--variants", 3, "--hint", "40,30,#aa3322", "--json")
    names = [f"cat-colored-{number}" for number in (1, 2, 3)]
    assert (code, "cat-colored-1.png to cat-colored-3.png" in err) == (0, True), err
    assert [Path(path).stem for path in json.loads(out)["photos"][0]["variants"]] == names
    assert len({(folder / f"{name}.png").read_bytes() for name in names}) == 3
    for name in names:
        assert read_hints(folder / f"{name}.hints.json")[0] == RED
        code, _, _ = colorize(
            scan, "-o", folder / "again" / f"{name}.png", "--hints", folder / f"{name}.hints.json"
        )
        assert (folder / f"{name}.png").read_bytes() == (folder / "again" / f"{name}.png").read_bytes()
    shutil.rmtree(folder / "again")
    code, _, err = colorize(folder, "--variants", 3)
    assert (code, "skipped 1 photo" in err, "left alone 3" in err) == (0, True, True), err
    (folder / "cat-colored-2.png").unlink()
    assert "colored 1 photo" in colorize(folder, "--variants", 3)[2]


def test_variants_leave_alone_what_is_there(colorize, scan):
    other = scan.with_name("out-2.png")
    other.write_bytes(b"a photo of mine")
    assert colorize(scan, "--variants", 3, "-o", scan.with_name("out.png"))[0] == 0
    assert other.read_bytes() == b"a photo of mine"
    assert colorize(scan, "--variants", 3, "-o", scan.with_name("out.png"), "--overwrite")[0] == 0
    assert other.read_bytes() != b"a photo of mine"


def test_a_photo_with_a_long_name_has_no_hints_file(colorize, scan):
    long = scan.rename(scan.with_name("n" * 247 + ".png"))
    code, _, err = colorize(long, "-o", scan.with_name("out.png"))
    assert code == 0, err


def test_a_dry_run_names_the_variants_and_writes_nothing(colorize, scan):
    code, out, _ = colorize(scan, "--variants", 4, "--dry-run")
    assert (code, "cat-colored-1.png to cat-colored-4.png" in out) == (0, True)
    assert [path.name for path in scan.parent.iterdir()] == ["cat.png"]


def test_a_reference_lends_its_colors(colorize, scan, hinted):
    reference = scan.with_name("like.jpg")
    Image.fromarray(data.chelsea()).resize((180, 120)).save(reference)
    code, _, err = colorize(scan, "-o", scan.with_name("out.png"), "--like", reference)
    assert code == 0, err
    assert f"hints from {reference}" in err
    colorizer = Colorizer.load(hinted)
    hints = hints_from_reference(colorizer, pixels(scan), Image.open(reference))
    assert hints
    assert (pixels(scan.with_name("out.png")) == colorizer.colorize(pixels(scan), hints=hints)).all()


def test_a_reference_of_something_else_is_said_and_changes_nothing(colorize, scan, hinted):
    reference = scan.with_name("wall.png")
    Image.new("RGB", (180, 120), "#aa3322").save(reference)
    code, out, err = colorize(scan, "-o", scan.with_name("out.png"), "--like", reference, "--json")
    assert code == 0, err
    assert f"{reference} has too little in common with it to lend colors" in err
    (row,) = json.loads(out)["photos"]
    assert (row["hints"], row["hints_from"], row["unlike"]) == (0, None, str(reference))
    assert (pixels(scan.with_name("out.png")) == Colorizer.load(hinted).colorize(pixels(scan))).all()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--hint", "40,30"), 2, "40,30 is no hint; give X,Y,#rrggbb"),
        (("--hint", "40,30,red"), 2, "40,30,red is no hint .*must be sRGB"),
        (("--hint", "a,30,#aa3322"), 2, "a,30,#aa3322 is no hint"),
        (("--hint", "40,30,#aa3322,0"), 2, "is no hint .*over 0 and at most 1"),
        (("--hint", "90,30,#aa3322"), 1, "lies at 90, 30, beside the photo of 90x60 pixels"),
        (("--hints", "none.json"), 1, "--hints none.json: not found"),
        (
            ("--hints", "empty"),
            2,
            "--hints empty: no hints file is there for any of these, such as empty/cat",
        ),
        (("--like", "/dev/zero"), 1, "--like /dev/zero: larger than 0.001 GB"),
        (("--hints", "cat.png"), 1, "cat.png: damaged, or no hints file"),
        (("--like", "none.jpg"), 1, "--like none.jpg: No such file or directory; name a photo in color"),
        (("--like", "notes.txt"), 1, "--like notes.txt: not an image"),
        (("--variants", "0"), 2, "0 is no int from 1 to 12"),
        (("--variants", "2", "-o", "-"), 2, "standard output is one"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_writes_nothing(colorize, scan, monkeypatch, arguments, code, says):
    monkeypatch.chdir(scan.parent)
    Path("notes.txt").write_text("Dear all")
    Path("empty").mkdir()
    monkeypatch.setattr("ungray.imaging.photos.MAX_BYTES", 1_000_000)
    found, _, err = colorize("cat.png", *arguments)
    assert found == code
    (line,) = [line for line in err.splitlines() if "error: " in line]
    assert re.search(says, line), line
    assert sorted(path.name for path in Path().iterdir()) == ["cat.png", "empty", "notes.txt"]


def test_what_is_for_one_photo_is_refused_for_several(colorize, cats):
    for option in ("--hint=4,3,#aa3322", f"--hints={cats / 'cat.png'}"):
        code, _, err = colorize(cats / "cat.png", cats / "cat.jpg", option)
        assert (code, "for one photo, and there are 2 photos" in err) == (2, True), err


def test_a_model_that_takes_no_hints_says_so(colorize, scan, colorful, featureless):
    write_hints(scan.with_name("cat.hints.json"), [RED], width=90, height=60)
    code, _, err = colorize(scan, model=colorful)
    assert (code, "cat.hints.json is of no use" in err) == (1, True), err
    scan.with_name("cat.hints.json").unlink()
    for arguments in (("--hint", "4,3,#aa3322"), ("--variants", "2"), ("--like", scan)):
        code, _, err = colorize(scan, *arguments, model=colorful)
        assert (code, "takes no hints" in err) == (1, True), err
    code, _, err = colorize(scan, "--like", scan, model=featureless)
    assert (code, "has no features, which a reference photo needs" in err) == (1, True), err
