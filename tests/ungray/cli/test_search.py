"""What is found in folders and by patterns: links, locked folders, names that the system refuses."""

import errno
import os
import shutil
from pathlib import Path

import pytest

ALL = ["", "/**", "/**/*"]
"""Behind a folder's name: the folder, and patterns that mean as much."""


def refused(path):
    return PermissionError(errno.EACCES, "Permission denied", str(path))


@pytest.fixture
def unreadable(monkeypatch):
    """A function that makes a folder one whose list the system refuses (to root it refuses nothing)."""
    scandir = os.scandir

    def lock(folder):
        def look(path="."):
            if Path(path) == folder:
                raise refused(path)
            return scandir(path)

        monkeypatch.setattr(os, "scandir", look)

    return lock


@pytest.fixture
def unsearchable(monkeypatch):
    """A function that makes a folder one whose list can be had, and nothing of what is in it."""

    def lock(folder):
        def refusing(asked):
            def look(path, **options):
                if isinstance(path, (str, Path)) and folder in Path(path).parents:
                    raise refused(path)
                return asked(path, **options)

            return look

        for name in ("stat", "lstat"):
            monkeypatch.setattr(os, name, refusing(getattr(os, name)))

    return lock


@pytest.fixture
def circle(cats, tmp_path):
    """A folder with one photo and two links, each to the folder itself."""
    folder = tmp_path / "circle"
    folder.mkdir()
    shutil.copy(cats / "cat.png", folder / "cat.png")
    (folder / "loop").symlink_to(folder)
    (folder / "zoo").symlink_to(folder)
    return folder


@pytest.mark.parametrize("pattern", ALL)
def test_an_unreadable_folder_is_named_and_the_other_photos_are_colored(
    colorize, scans, tmp_path, unreadable, pattern
):
    unreadable(scans / "1912")
    code, _, err = colorize(f"{scans}{pattern}", "-o", tmp_path / "out/")
    assert (code, err) == (
        1,
        f"colored 1 photo: {tmp_path}/out/a.jpg; passed over 1 .txt; 1 failed:\n"
        f"  {scans}/1912: cannot be read: Permission denied\n",
    )


def test_an_unreadable_folder_named_alone_is_not_called_empty(colorize, scans, unreadable):
    unreadable(scans)
    assert colorize(scans) == (1, "", f"error: {scans}: cannot be read: Permission denied")


@pytest.mark.parametrize("output", [[], ["-o", "{tmp_path}/out/"]])
@pytest.mark.parametrize("pattern", ALL)
def test_a_photo_in_a_locked_folder_is_named_and_the_others_are_colored(
    colorize, scans, tmp_path, unsearchable, pattern, output
):
    unsearchable(scans / "1912" / "summer")
    code, _, err = colorize(f"{scans}{pattern}", *[part.format(tmp_path=tmp_path) for part in output])
    first, *failed = err.splitlines()
    assert (code, first.split(":")[0]) == (1, "colored 1 photo")
    assert failed == [f"  {scans}/1912/summer/b.png: Permission denied"]


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        ("/*/*/b.png", ["1912/summer: cannot be searched"]),
        ("/*/summer/*.png", ["1912: cannot be searched"]),
        ("/**/summer/*.png", ["1912: cannot be searched", "1912/summer: cannot be searched"]),
    ],
)
def test_where_a_pattern_leads_through_a_locked_folder_that_is_named(
    colorize, scans, unsearchable, pattern, named
):
    unsearchable(scans / "1912")
    code, out, err = colorize(scans / "a.jpg", f"{scans}{pattern}", "--dry-run")
    assert (code, len(out.splitlines())) == (1, 1)
    assert err.splitlines()[1:] == [f"  {scans}/{part}: Permission denied" for part in named]


def test_a_photo_named_in_a_locked_folder_is_not_called_missing(colorize, scans, unsearchable):
    unsearchable(scans)
    assert colorize(scans / "a.jpg") == (1, "", f"error: {scans}/a.jpg: Permission denied")


@pytest.mark.parametrize("name", ["out", "out/", "out.jpg"])
def test_an_output_in_a_locked_folder_is_wrong_usage(colorize, scans, tmp_path, unsearchable, name):
    (tmp_path / "locked").mkdir()
    unsearchable(tmp_path / "locked")
    code, _, err = colorize(scans / "a.jpg", "-o", f"{tmp_path}/locked/{name}")
    assert code == 2
    assert err.endswith(
        f"-o {tmp_path}/locked/{name} cannot be accessed: Permission denied; choose another\n"
    )


@pytest.mark.parametrize("options", [[], ["--dry-run"], ["--overwrite"]])
def test_a_name_too_long_for_its_output_is_named_and_the_others_are_colored(
    colorize, scans, tmp_path, options
):
    long = scans / f"{'n' * 244}.jpg"
    shutil.copy(scans / "a.jpg", long)
    code, _, err = colorize(scans / "a.jpg", long, *options)
    assert code == 1
    assert err.splitlines()[-1] == (
        f"  {long}: its output {long.with_suffix('')}-colored.jpg cannot be accessed: File name too long; "
        "choose another -o"
    )
    assert (scans / "a-colored.jpg").exists() is (options != ["--dry-run"])
    assert colorize("n" * 300) == (1, "", f"error: {'n' * 300}: File name too long")


@pytest.mark.parametrize("pattern", ["/**", "/**/*", "/*.png", "/**/*.png"])
def test_a_link_that_leads_to_itself_or_nowhere_is_named(colorize, scans, tmp_path, pattern):
    (scans / "loop.png").symlink_to("loop.png")
    (scans / "lost.png").symlink_to("gone.png")
    shutil.copy(scans / "1912/summer/b.png", scans / "c.png")
    code, _, err = colorize(f"{scans}{pattern}", "-o", tmp_path / "out")
    assert code == 1
    assert err.splitlines()[1:] == [
        f"  {scans}/loop.png: Too many levels of symbolic links",
        f"  {scans}/lost.png: not found",
    ]
    assert (tmp_path / "out" / "c.png").exists()


def test_a_link_under_a_pattern_whose_folder_is_gone_is_named(colorize, scans, tmp_path):
    (scans / "1913").symlink_to("/gone")
    code, _, err = colorize(f"{scans}/*/summer/*.png", "-o", tmp_path / "out")
    assert (code, err.splitlines()[1:]) == (1, [f"  {scans}/1913: not found"])


@pytest.mark.parametrize("pattern", ["", "/**", "/**/*.png", "/*", "/**/*", "/*/*.png", "/*/**/*.png", "/*/"])
def test_links_in_a_circle_do_not_have_a_photo_colored_twice(colorize, circle, files_below, pattern):
    code, _, err = colorize(f"{circle}{pattern}")
    assert (code, err[: len("colored 1 photo:")]) == (0, "colored 1 photo:")
    assert files_below(circle) == ["cat-colored.png", "cat.png"]


def test_a_folder_and_a_link_to_it_are_one_folder_and_a_link_to_a_photo_is_a_photo(
    colorize, circle, tmp_path, files_below
):
    (circle / "tom.png").symlink_to("cat.png")
    assert colorize(circle, circle / "loop", "-o", tmp_path / "out")[0] == 0
    assert files_below(tmp_path / "out") == ["circle/cat.png", "circle/tom.png"]


@pytest.mark.parametrize(
    ("pattern", "said"), [("", "no photo in this folder"), ("/**/*.jpg", "no photo matches this pattern")]
)
def test_where_all_folders_are_linked_it_says_that_they_are_not_followed(colorize, scans, pattern, said):
    (scans.parent / "album").mkdir()
    (scans.parent / "album" / "of-1912").symlink_to(scans)
    argument = f"{scans.parent}/album{pattern}"
    assert colorize(argument) == (
        1,
        "",
        f"error: {argument}: {said}; linked folders are not followed: name them",
    )
    assert colorize(f"{scans.parent}/album/*")[0] == 0


def test_this_folder_without_a_photo_says_so(colorize, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert colorize(".") == (1, "", "error: .: no photo in this folder")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*", ["1912/summer/b.png", "a.jpg"]),
        ("*/", ["1912/summer/b.png"]),
        ("**/", ["1912/summer/b.png", "a.jpg"]),
        ("[0-9]*/*/b.png", ["1912/summer/b.png"]),
        ("**/summer", ["1912/summer/b.png"]),
        ("./**/../a.*", ["a.jpg"]),
        ("**/?.*", ["1912/summer/b.png", "a.jpg"]),
    ],
)
def test_patterns_mean_what_they_mean_in_a_shell(
    colorize, scans, tmp_path, monkeypatch, files_below, pattern, found
):
    (scans / ".hidden").mkdir()
    shutil.copy(scans / "a.jpg", scans / ".hidden" / "a.jpg")
    monkeypatch.chdir(scans)
    assert colorize(pattern, "-o", tmp_path / "out")[0] == 0
    assert files_below(tmp_path / "out") == found
