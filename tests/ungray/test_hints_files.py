"""Hints files: what is written is read again, fits the photo at another size, and what is none is refused."""

import json
import os

import pytest

from ungray.errors import UngrayError
from ungray.hints import MAX_FILE, Hint, parse_hints, read_hints, write_hints

HINTS = [Hint(120.25, 80, "#aa3322"), Hint(3, 4, "#0000ff", weight=0.25)]


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "photo.hints.json"
    write_hints(path, HINTS, width=640, height=480)
    assert read_hints(path) == HINTS
    assert read_hints(path, width=640, height=480) == HINTS
    assert [file.name for file in tmp_path.iterdir()] == ["photo.hints.json"]
    first = path.read_bytes()
    write_hints(path, read_hints(path), width=640, height=480)
    assert path.read_bytes() == first
    write_hints(path, [], width=640, height=480)
    assert read_hints(path) == []


def test_hints_fit_the_photo_at_another_size(tmp_path):
    path = tmp_path / "photo.hints.json"
    write_hints(path, HINTS, width=640, height=480)
    larger = read_hints(path, width=1281, height=960)
    assert larger[0].x == pytest.approx(120.25 * 1281 / 640)
    assert (larger[0].y, larger[0].color, larger[1].weight) == (160, "#aa3322", 0.25)
    assert read_hints(path, width=3, height=2)[0].y == pytest.approx(80 * 2 / 480), "sides are rounded"
    with pytest.raises(UngrayError, match="for a photo of 640x480 pixels, and this one has 480x640"):
        read_hints(path, width=480, height=640)


def changed(**changes):
    return json.dumps({"width": 10, "height": 8, "hints": [{"x": 1, "y": 2, "color": "#aa3322"}]} | changes)


def test_a_weight_may_be_left_out():
    assert parse_hints(changed()) == [Hint(1, 2, "#aa3322")]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is not JSON"),
        (b"\xff\xfe\x00", "it is not JSON"),
        (changed()[:-9], "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("[1, 2]", "states no width and height"),
        (changed(width=0), "states no width and height"),
        (changed(height="8"), "states no width and height"),
        (changed(hints={}), "no list of at most 10,000 hints"),
        (changed(hints=[{"x": 1, "y": 2, "color": "#aa3322"}] * 10_001), "no list of at most 10,000 hints"),
        (changed(hints=[{"x": 1, "y": 2}]), "hint 1: no hint, which is such as"),
        (changed(hints=[[1, 2, "#aa3322"]]), "hint 1: no hint, which is such as"),
        (changed(hints=[{"x": float("nan"), "y": 2, "color": "#aa3322"}]), "hint 1: .*must be numbers"),
        (changed(hints=[{"x": 10**400, "y": 2, "color": "#aa3322"}]), "hint 1: .*must be numbers"),
        (changed(hints=[{"x": 1, "y": 2, "color": "red"}]), "hint 1: .*must be sRGB"),
        (changed(hints=[{"x": 10, "y": 2, "color": "#aa3322"}]), "hint 1: it lies at 10, 2, beside"),
        (changed(hints=[{"x": 1, "y": 2, "color": "#aa3322", "weight": 2}]), "hint 1: .*at most 1"),
        (b" " * (MAX_FILE + 1), "larger than 4 MB"),
    ],
    ids=range(17),
)
def test_what_is_no_hints_file_is_one_sentence(tmp_path, content, says):
    path = tmp_path / "a.hints.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UngrayError, match=f"^{path}: .*{says}"):
        read_hints(path)


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path):
    with pytest.raises(UngrayError, match=r"none\.json cannot be read: No such file"):
        read_hints(tmp_path / "none.json")
    with pytest.raises(UngrayError, match="cannot be read: Is a directory"):
        read_hints(tmp_path)
    os.mkfifo(tmp_path / "a.hints.json")  # nobody writes to it: opening it would wait for ever
    with pytest.raises(UngrayError, match="is a pipe or device; name a hints file"):
        read_hints(tmp_path / "a.hints.json")
