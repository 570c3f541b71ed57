"""A photo's name may hold escape sequences and line breaks; the terminal gets none of them."""

import shutil

import pytest

from ungray.system.terminal import printable

EVIL = "a\x1b]0;taken over\x07\nerror: forged\x9b31m"
SHOWN = r"a\x1b]0;taken over\x07\nerror: forged\x9b31m"


@pytest.fixture
def evil(cats, tmp_path):
    """A folder of a good and a bad photo of such names."""
    folder = tmp_path / "scans"
    folder.mkdir()
    shutil.copy(cats / "cat.jpg", folder / f"{EVIL}.jpg")
    (folder / f"{EVIL}.png").write_text("Dear all")
    return folder


def lines(text):
    """Its lines, each of them text."""
    found = text.removesuffix("\n").split("\n")
    assert [printable(line) for line in found] == found
    return found


def test_in_the_list_of_failures_each_is_a_line(colorize, evil, tmp_path):
    code, out, err = colorize(evil, "-o", tmp_path / "out")
    assert (code, out) == (1, "")
    assert (tmp_path / "out" / f"{EVIL}.jpg").exists()
    colored, failed = lines(err)
    assert colored.endswith("; 1 failed:")
    assert failed.startswith(f"  {evil}/{SHOWN}.png: not an image")


def test_in_a_dry_run_and_where_one_photo_fails_or_is_skipped(colorize, evil, tmp_path):
    code, out, _ = colorize(evil, "--dry-run")
    assert code == 0
    assert lines(out)[0] == f"{evil}/{SHOWN}.jpg -> {evil}/{SHOWN}-colored.jpg"
    assert len(lines(out)) == 2
    code, _, err = colorize(evil / f"{EVIL}.png")
    assert code == 1
    assert lines(err)[0].startswith(f"error: {evil}/{SHOWN}.png: ")
    colorize(evil / f"{EVIL}.jpg")
    code, _, err = colorize(evil / f"{EVIL}.jpg")
    assert code == 0
    assert f"{SHOWN}-colored.jpg" in lines(err)[0]


def test_in_wrong_usage(colorize, evil, tmp_path):
    code, _, err = colorize(evil, "-o", evil / f"{EVIL}.jpg", "--format", "png")
    assert code == 2
    assert any(SHOWN in line for line in lines(err))
