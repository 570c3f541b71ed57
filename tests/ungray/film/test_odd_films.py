"""Films with odd names, levels and times, hostile ones, and runs that meet: nothing is wrong or lost."""

import os
import shutil
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from tests.ungray.film.conftest import FRAMES, pictures, read_film, write_film
from ungray.film import coloring, formats, parts, sources
from ungray.imaging.color import rgb_to_lab
from ungray.system import files


def write_plain(path, frames, *, format="yuv420p", rate=25, base=Fraction(1, 25)):
    """Write a film without loss, whose levels are not said."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = format
        stream.codec_context.time_base = stream.time_base = base
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="gray").reformat(format=format)
            picture.pts, picture.time_base = number, base
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))


def frame_folder(folder, names):
    folder.mkdir()
    for name, frame in zip(names, pictures(len(names)), strict=True):
        Image.fromarray(frame).save(folder / name)
    return folder


@pytest.mark.parametrize("name", ["12:30 in the park", "concat:a|b", "a\x1b[31mred\nline", "n" * 246])
def test_a_film_may_have_any_name(colorize, film, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    film.rename(f"{name}.mp4")
    output = f"{name[:-8]}-colored.mp4" if len(name) > 240 else f"{name}-colored.mp4"
    code, _, err = colorize(f"{name}.mp4", "-o", output)
    assert (code, "\x1b" in err) == (0, False), err
    assert len(read_film(tmp_path / output)[0]) == FRAMES
    assert len(list(tmp_path.iterdir())) == 2


def test_a_list_of_other_files_is_no_film(colorize, film, tmp_path):
    """A film that somebody gave must not bring other films of this disk into the output."""
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile {film.name}\n")
    code, _, err = colorize(tmp_path / "list.mp4")
    assert (code, "list.mp4: not a film that can be read (" in err) == (1, True), err


def test_gray_levels_without_a_word_on_their_range_stay(colorize, tmp_path):
    ramp = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    write_plain(tmp_path / "ramp.mkv", [ramp] * 2, format="gray")
    assert colorize(tmp_path / "ramp.mkv", "--codec", "ffv1")[0] == 0
    found = rgb_to_lab(read_film(tmp_path / "ramp-colored.mkv")[0][0])[..., 0]
    assert np.abs(found - rgb_to_lab(np.dstack([ramp] * 3))[..., 0]).max() < 1.5


def test_a_film_that_claims_a_billion_frames_a_second(colorize, tmp_path):
    gray = [frame[..., 0].copy() for frame in pictures(3)]
    write_plain(tmp_path / "fast.mkv", gray, rate=10**9, base=Fraction(1, 10**9))
    code, _, err = colorize(tmp_path / "fast.mkv")
    assert code == 0, err


def test_sound_whose_times_go_back(colorize, tmp_path):
    write_film(tmp_path / "one.ts", pictures())
    (tmp_path / "twice.ts").write_bytes((tmp_path / "one.ts").read_bytes() * 2)
    code, _, err = colorize(tmp_path / "twice.ts")
    assert code == 0, err
    assert len(read_film(tmp_path / "twice-colored.mkv")[0]) == 2 * FRAMES


def test_frames_that_are_too_large_are_refused_before_they_are_decoded(colorize, tmp_path, film, monkeypatch):
    monkeypatch.setattr(sources, "MAX_FILM_PIXELS", 1000)
    frames = frame_folder(tmp_path / "frames", ["1.png", "2.png"])
    monkeypatch.setattr(sources.FilmFile, "_decoded", None)
    for arguments in ([film], [frames, "--frames", 24, "-o", tmp_path / "new.mp4"]):
        code, _, err = colorize(*arguments)
        assert (code, "frames of 96x64 are too large" in err) == (1, True), err
    assert colorize(frames, "--frames", 24)[0] == 0  # one at a time


def test_an_animation_whose_frames_do_not_fit_into_memory_is_refused(colorize, tmp_path, monkeypatch):
    first, *others = map(Image.fromarray, pictures(4))
    first.save(tmp_path / "cat.gif", save_all=True, append_images=others)
    monkeypatch.setattr(coloring, "ANIMATION_PIXELS", 4 * 96 * 64 - 1)
    code, _, err = colorize(tmp_path / "cat.gif")
    assert (code, "make a film of it: -o with .mp4 or .mkv" in err) == (1, True), err
    assert colorize(tmp_path / "cat.gif", "-o", tmp_path / "cat.mkv")[0] == 0


def test_folders_of_frames_with_odd_names(colorize, tmp_path, files_below):
    frame_folder(tmp_path / "shot.v2", ["²1.png", "2.png", "10.png"])
    code, _, err = colorize(tmp_path / "shot.v2", "--frames", 24)
    assert code == 0, err
    assert files_below(tmp_path / "shot.v2-colored") == ["10.png", "2.png", "²1.png"]


def test_two_frames_of_one_name_are_refused_since_one_would_overwrite_the_other(colorize, tmp_path):
    frames = frame_folder(tmp_path / "frames", ["1.png", "1.bmp", "2.png"])
    code, _, err = colorize(frames, "--frames", 24, "-o", tmp_path / "out")
    assert code == 1
    assert "there are 2 frames of the name 1, with other extensions; keep one of each" in err
    assert not (tmp_path / "out").exists()


def test_frames_of_any_kind_of_photo(colorize, tmp_path):
    (tmp_path / "frames").mkdir()
    for number, frame in enumerate(pictures(2)):
        written, jp2 = cv2.imencode(".jp2", frame)
        assert written
        (tmp_path / "frames" / f"{number}.jp2").write_bytes(jp2.tobytes())
    code, _, err = colorize(tmp_path / "frames", "--frames", 24, "-o", tmp_path / "film.mkv")
    assert code == 0, err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--start", "9" * 400], "is no time of a film"),
        (["--preview", "99999999999999999999"], "is no time of a film"),
        (["--frames", "1e999999999"], "is no number of frames a second"),
        (["--frames", "0.0000000000001"], "is no number of frames a second"),
    ],
)
def test_odd_numbers_are_one_sentence(colorize, film, arguments, says):
    code, _, err = colorize(film, *arguments)
    assert (code, says in err, "Traceback" in err) == (2, True, False), err


def test_what_is_no_error_of_ours_ends_no_other_film(colorize, film, tmp_path, monkeypatch):
    shutil.copy(film, tmp_path / "b.mp4")
    errors = [av.error.InvalidDataError(1, "Invalid data"), AssertionError("odd")]

    def fails(*arguments, **named):
        raise errors.pop()

    monkeypatch.setattr(coloring.encoding, "join", fails)
    code, _, err = colorize(film, tmp_path / "b.mp4")
    assert (code, "Traceback" in err) == (1, False)
    assert "b.mp4: FFmpeg cannot read or write it (Invalid data)" in err
    assert "film.mp4: a bug in colorize (AssertionError: odd)" in err


def test_a_run_waits_for_another_with_the_same_output(colorize, film, tmp_path, monkeypatch):
    output = tmp_path / "out.mp4"
    held = files.lock(formats.unfinished(output), folder=True)

    def the_other_ends(seconds):
        os.close(held)
        shutil.rmtree(formats.unfinished(output))
        output.write_bytes(b"theirs")

    monkeypatch.setattr(parts.time, "sleep", the_other_ends)
    code, _, err = colorize(film, "-o", output)
    assert (code, "another run writes into" in err, "skipped 1 film" in err) == (0, True, True), err
    assert output.read_bytes() == b"theirs"


def test_killed_while_it_tidies_up_it_can_be_made_again(colorize, film, tmp_path, monkeypatch):
    def cut_short(folder, **_):
        next(folder.glob("*.nut")).unlink()

    with monkeypatch.context() as patch:
        patch.setattr(parts.shutil, "rmtree", cut_short)
        assert colorize(film)[0] == 0
    code, _, err = colorize(film, "--overwrite")
    assert code == 0, err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film-colored.mp4", "film.mp4"]


def test_an_option_that_does_nothing_says_so(colorize, film, cats, tmp_path):
    _, _, err = colorize(cats / "cat.jpg", "--codec", "hevc", "--preview", "5", "-o", tmp_path / "a.jpg")
    assert "--codec and --preview are for films, and none is written here" in err
    _, _, err = colorize(film, "--pages", "-o", tmp_path / "b.mp4")
    assert "--pages is for photos, and there is none" in err
    _, _, err = colorize(film, "--codec", "hevc", "--dry-run")
    assert "is for" not in err
