"""`colorize film.mp4`: what is kept of a film, and what goes wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from tests.ungray.film.conftest import FRAMES, pictures, read_film, write_film
from ungray.cli.main import main
from ungray.film import parts
from ungray.imaging.color import chroma, rgb_to_lab


@pytest.fixture(autouse=True)
def _short_parts(monkeypatch):
    monkeypatch.setattr(parts, "FRAMES", 5)


@pytest.fixture
def colorize_with_hints(hinted, capsys):
    """A function that runs the command with a model that takes hints: code, standard output, error."""

    def run(*arguments):
        capsys.readouterr()
        code, said = 0, ""
        try:
            main([*map(str, arguments), "--model", str(hinted.with_suffix(".onnx"))])
        except SystemExit as end:
            code, said = (end.code, "") if isinstance(end.code, int) else (1, str(end.code))
        out, err = capsys.readouterr()
        return code, out, err + said

    return run


def hidden(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def sound(path):
    """The packets of the sound: times and bytes."""
    with av.open(str(path)) as film:
        return [
            (float(packet.pts * packet.time_base), bytes(packet))
            for packet in film.demux(audio=0)
            if packet.size
        ]


def mean_chroma(frames):
    return float(np.mean([chroma(rgb_to_lab(frame)).mean() for frame in frames]))


def test_a_film_keeps_its_times_and_its_sound_and_gets_color(colorize, tmp_path):
    times = [0, 40, 80, 120, 160, 400, 440, 500, 560, 620, 900, 1000]
    write_film(tmp_path / "film.mp4", pictures(), times=times, metadata={"title": "Cats"})
    code, _, err = colorize(tmp_path / "film.mp4")
    assert (code, "colored 1 film:" in err) == (0, True), err
    frames, found = read_film(tmp_path / "film-colored.mp4")
    assert [round(1000 * at) for at in found] == times
    assert mean_chroma(frames) > 5 > 1 > mean_chroma(read_film(tmp_path / "film.mp4")[0])
    for colored, gray in zip(frames, pictures(), strict=True):
        apart = rgb_to_lab(colored)[..., 0].mean() - rgb_to_lab(gray)[..., 0].mean()
        assert abs(apart) < 2
    assert sound(tmp_path / "film-colored.mp4") == sound(tmp_path / "film.mp4")
    with av.open(str(tmp_path / "film-colored.mp4")) as film:
        assert film.metadata["title"] == "Cats"
        assert film.streams.video[0].codec_context.name == "h264"
    assert hidden(tmp_path) == []


def test_a_portrait_film_of_a_phone_is_written_upright(colorize, tmp_path):
    frames = list(pictures())
    write_film(tmp_path / "phone.mov", [np.ascontiguousarray(np.rot90(f)) for f in frames], rotation=-90)
    assert colorize(tmp_path / "phone.mov")[0] == 0
    colored, _ = read_film(tmp_path / "phone-colored.mov")
    assert colored[0].shape == frames[0].shape
    assert np.abs(rgb_to_lab(colored[0])[..., 0] - rgb_to_lab(frames[0])[..., 0]).mean() < 6


@pytest.mark.parametrize(
    ("name", "how", "expected"),
    [
        ("odd.mkv", {"codec": "ffv1", "format": "gray", "sound": False}, (64, 96, "yuv420p")),
        ("deep.mkv", {"codec": "libx264", "format": "yuv420p10le"}, (63, 95, "yuv420p10le")),
        ("old.avi", {"codec": "mpeg4", "sound": False}, (64, 96, "yuv420p")),
        ("web.webm", {"codec": "libvpx-vp9", "sound": False}, (63, 95, "yuv420p")),
        ("phone.3gp", {"codec": "mpeg4", "sound": False}, (64, 96, "yuv420p")),
    ],
)
def test_kinds_of_films(colorize, tmp_path, name, how, expected):
    """H.264 has pairs of pixels: of an odd side the last pixel is there twice."""
    even = how["codec"] in ("libx264", "mpeg4")
    size = {"width": 96, "height": 64} if even else {"width": 95, "height": 63}
    write_film(tmp_path / name, pictures(**size), **how)
    code, _, err = colorize(tmp_path / name, "-o", tmp_path / "out/")
    assert code == 0, err
    (out,) = (tmp_path / "out").iterdir()
    assert out.suffix == (".mkv" if name == "phone.3gp" else (tmp_path / name).suffix)
    with av.open(str(out)) as film:
        first = next(film.decode(video=0))
        height, width, format = expected
        if format == "yuv420p10le":
            height, width = 64, 96
        assert (first.height, first.width, first.format.name) == (height, width, format)
    assert len(read_film(out)[0]) == FRAMES


@pytest.mark.parametrize(
    ("codec", "name", "format"),
    [
        ("hevc", "deep.mkv", "yuv422p10le"),
        ("av1", "deep.mkv", "yuv420p10le"),
        ("prores", "deep.mov", "yuv422p10le"),
        ("ffv1", "deep.mkv", "yuv422p10le"),
    ],
)
def test_codecs_keep_ten_bits(colorize, tmp_path, codec, name, format):
    write_film(tmp_path / "film.mkv", pictures(4), codec="libx264", format="yuv422p10le")
    assert colorize(tmp_path / "film.mkv", "--codec", codec, "-o", tmp_path / name)[0] == 0
    with av.open(str(tmp_path / name)) as film:
        frames = list(film.decode(video=0))
        assert (len(frames), frames[0].format.name) == (4, format)
        assert [round(float(frame.time), 3) for frame in frames] == [0, 0.04, 0.08, 0.12]
        assert film.streams.audio


def test_a_codec_without_its_encoder_is_a_sentence(colorize, film, monkeypatch):
    from ungray.film.formats import CODECS, Codec

    monkeypatch.setitem(CODECS, "av1", Codec("libnone", 26))
    code, _, err = colorize(film, "--codec", "av1")
    assert (code, "cannot write av1 (no libnone); choose another --codec" in err) == (1, True), err


def test_pixel_aspect_and_color_tags_are_kept_or_set(colorize, tmp_path):
    wide = {"aspect": Fraction(4, 3)}
    write_film(tmp_path / "plain.mp4", pictures(), **wide)
    tags = {"colorspace": 1, "color_range": 2, "color_primaries": 1, "color_trc": 1}
    write_film(tmp_path / "tagged.mp4", pictures(), tags=tags)
    assert colorize(tmp_path / "plain.mp4", tmp_path / "tagged.mp4")[0] == 0
    found = {}
    for name in ("plain", "tagged"):
        with av.open(str(tmp_path / f"{name}-colored.mp4")) as film:
            context = film.streams.video[0].codec_context
            assert name == "tagged" or film.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
            found[name] = (
                context.colorspace,
                context.color_range,
                context.color_primaries,
                context.color_trc,
            )
    assert found == {"plain": (6, 1, 6, 6), "tagged": (1, 2, 1, 1)}


def test_chapters_and_subtitles_are_kept(colorize, tmp_path, film):
    (tmp_path / "texts.srt").write_text("1\n00:00:00,100 --> 00:00:00,300\nMeow\n")
    with (
        av.open(str(film)) as pictured,
        av.open(str(tmp_path / "texts.srt")) as texts,
        av.open(str(tmp_path / "with.mkv"), "w") as out,
    ):
        both = [(pictured, pictured.streams.video[0]), (texts, texts.streams.subtitles[0])]
        to = {id(stream): out.add_stream_from_template(stream, opaque=True) for _, stream in both}
        out.set_chapters(
            [{"id": 1, "start": 0, "end": 240, "time_base": Fraction(1, 1000), "metadata": {"title": "One"}}]
        )
        for container, stream in both:
            for packet in container.demux(stream):
                if packet.size:
                    packet.stream = to[id(stream)]
                    out.mux(packet)
    assert colorize(tmp_path / "with.mkv")[0] == 0
    with av.open(str(tmp_path / "with-colored.mkv")) as colored:
        assert [chapter["metadata"]["title"] for chapter in colored.chapters()] == ["One"]
        texts = [bytes(packet) for packet in colored.demux(subtitles=0) if packet.size]
    assert texts == [b"Meow"]


def test_what_the_format_cannot_hold_is_said(colorize, tmp_path, film):
    code, out, err = colorize(film, "-o", tmp_path / "out.webm", "--json")
    assert code == 0
    assert "left out, since .webm cannot hold it: sound (aac); -o with .mkv can" in err
    assert "; left sound (aac) out of 1 film" in err
    (row,) = json.loads(out)["photos"]
    assert (row["left_out"], row["damaged_frames"]) == (["sound (aac)"], 0)
    code, _, err = colorize(film, "-o", tmp_path / "out2.webm", "--codec", "h264")
    assert (code, "WEBM cannot hold h264; choose another --codec" in err) == (1, True), err


def test_a_part_of_a_film(colorize, film, tmp_path):
    assert colorize(film, "--start", "0.2", "--end", "0.4s")[0] == 0
    _, times = read_film(tmp_path / "film-colored.mp4")
    assert np.allclose(times, [0, 0.04, 0.08, 0.12, 0.16])
    assert sound(tmp_path / "film-colored.mp4")[-1][0] < 0.2
    assert colorize(film, "--preview", "80ms")[0] == 2
    assert colorize(film, "--preview", "0.08s", "--start", "0:00.2")[0] == 0
    assert len(read_film(tmp_path / "film-preview.mp4")[0]) == 2
    code, _, err = colorize(film, "--start", "9", "-o", tmp_path / "x.mp4")
    assert (code, "has no frame in the time that was asked for" in err) == (1, True), err
    code, _, err = colorize(film, "--start", "2", "--end", "1", "-o", tmp_path / "x.mp4")
    assert (code, "must be after the start" in err) == (1, True), err


def test_one_frame_and_a_film_in_color_and_one_that_is_tinted(colorize, tmp_path):
    write_film(tmp_path / "one.mp4", pictures(1))
    write_film(tmp_path / "color.mp4", pictures(gray=False))
    sepia = [(frame * np.array([1, 0.85, 0.65])).astype(np.uint8) for frame in pictures()]
    write_film(tmp_path / "sepia.mp4", sepia)
    code, _, err = colorize(tmp_path / "one.mp4", tmp_path / "color.mp4", tmp_path / "sepia.mp4")
    assert code == 1
    assert "color.mp4: it is in color already; --force takes it as gray" in err
    assert "colored 2 films" in err
    assert len(read_film(tmp_path / "one-colored.mp4")[0]) == 1
    assert colorize(tmp_path / "color.mp4", "--force")[0] == 0


def test_damaged_films(colorize, tmp_path, film):
    content = bytearray(film.read_bytes())
    with av.open(str(film)) as whole:
        packets = [packet for packet in whole.demux(video=0) if packet.size]
    for packet in packets[4:6]:
        content[packet.pos + 8 : packet.pos + packet.size] = bytes(packet.size - 8)
    (tmp_path / "holes.mp4").write_bytes(content)
    code, out, err = colorize(tmp_path / "holes.mp4", "--json")
    assert (code, "damaged frames are left out" in err) == (0, True), err
    (row,) = json.loads(out)["photos"]
    assert row["damaged_frames"] > 0
    assert f"; {row['damaged_frames']} damaged frames" in err
    assert len(read_film(tmp_path / "holes-colored.mp4")[0]) >= FRAMES - 6
    (tmp_path / "none.mp4").write_bytes(b"no film at all")
    (tmp_path / "empty.mkv").write_bytes(b"")
    code, _, err = colorize(tmp_path / "none.mp4", tmp_path / "empty.mkv")
    assert code == 1
    assert "none.mp4: not a film that can be read (" in err
    assert "empty.mkv: not a film that can be read (" in err
    assert hidden(tmp_path) == []


def test_sound_alone_is_no_film(colorize, tmp_path):
    with av.open(str(tmp_path / "song.mkv"), "w") as out:
        tone = out.add_stream("aac", rate=44100, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        samples.sample_rate = 44100
        out.mux(tone.encode(samples))
        out.mux(tone.encode(None))
    code, _, err = colorize(tmp_path / "song.mkv")
    assert (code, "has no pictures, only sound or texts" in err) == (1, True), err


def test_without_pyav_one_sentence_says_how_to_get_it(colorize, film, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    code, _, err = colorize(film)
    assert (code, "films need PyAV, which is not installed: pip install 'ungray[film]'" in err) == (1, True)


def test_ctrl_c_keeps_what_is_done_and_the_film_is_the_same(colorize, film, tmp_path, monkeypatch):
    from ungray.film.encoding import Part

    assert colorize(film, "-o", tmp_path / "whole.mp4")[0] == 0
    added = []

    def add(self, rgb, **named):
        added.append(named["time"])
        if len(added) == 8:
            raise KeyboardInterrupt
        return own(self, rgb, **named)

    ends = []
    own = Part.add
    monkeypatch.setattr(Part, "add", add)
    monkeypatch.setattr(os, "_exit", ends.append)
    _, _, err = colorize(film, "-o", tmp_path / "broken.mp4")
    assert "what is done is kept; run it again to go on" in err
    assert ends == [130]
    assert not (tmp_path / "broken.mp4").exists()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code, _, err = colorize(film, "-o", tmp_path / "broken.mp4")
    assert (code, "goes on after frame 5, where it was interrupted" in err) == (0, True), err
    assert len(added) == 8 + FRAMES - 5  # the first part is not made again
    assert (tmp_path / "broken.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert hidden(tmp_path) == []


def test_killed_it_goes_on_and_the_film_is_the_same(process, tmp_path):
    """Of other options, what was done is not taken."""
    write_film(tmp_path / "film.mkv", pictures(30))
    code = "from ungray.film import parts; parts.FRAMES = 5; from ungray.cli.main import main; main()"

    def start(output, *options):
        how = process(tmp_path / "film.mkv", "-o", tmp_path / output, *options)
        (
            python,
            *_,
        ) = how["args"]
        return subprocess.Popen(
            [python, "-c", code, *how["args"][3:]], env=how["env"], stderr=subprocess.PIPE, text=True
        )

    assert start("whole.mkv").wait() == 0
    begun = start("broken.mkv")
    folder = tmp_path / ".broken.mkv.parts"
    until = time.monotonic() + 120
    while not (folder / "000001.json").exists():
        assert time.monotonic() < until
        time.sleep(0.002)
    begun.kill()
    begun.wait()
    assert not (tmp_path / "broken.mkv").exists()
    again = start("broken.mkv")
    assert "goes on after frame" in again.communicate()[1]
    assert (tmp_path / "broken.mkv").read_bytes() == (tmp_path / "whole.mkv").read_bytes()
    assert hidden(tmp_path) == []


def test_ctrl_c_on_a_terminal_ends_with_130_and_it_goes_on(process, tmp_path):
    write_film(tmp_path / "film.mp4", pictures(40))
    code = "from ungray.film import parts; parts.FRAMES = 5; from ungray.cli.main import main; main()"
    how = process(tmp_path / "film.mp4", "-o", tmp_path / "out.mp4")
    command = [how["args"][0], "-c", code, *how["args"][3:]]
    begun = subprocess.Popen(command, env=how["env"], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not (tmp_path / ".out.mp4.parts" / "000000.json").exists():
        assert time.monotonic() < until
        time.sleep(0.002)
    begun.send_signal(signal.SIGINT)
    said = begun.communicate()[1]
    assert begun.returncode == 130, said
    assert "what is done is kept; run it again to go on" in said
    assert "Traceback" not in said
    assert not (tmp_path / "out.mp4").exists()
    again = subprocess.run(command, env=how["env"], stderr=subprocess.PIPE, text=True, check=True)
    assert "goes on after frame" in again.stderr
    assert hidden(tmp_path) == []


def test_a_full_disk(colorize, film, tmp_path, small_disk):
    """Whatever is written when it is full: a part, its times, or the film that the parts become."""
    for kilobytes in range(8, 400, 12):
        disk = small_disk(kilobytes)
        code, _, err = colorize(film, "-o", disk / "out.mp4")
        if code == 0:
            break
        assert (code, f"the disk is full while writing {disk}/out.mp4; free some space" in err) == (1, True)
        assert not (disk / "out.mp4").exists()
    assert kilobytes > 8, "it was full once"
    assert colorize(film, "-o", tmp_path / "out.mp4")[0] == 0
    assert (disk / "out.mp4").read_bytes() == (tmp_path / "out.mp4").read_bytes()
    assert hidden(disk) == []


def test_quality_is_a_number_of_the_codec(colorize, film, tmp_path):
    for crf in (15, 45):
        assert colorize(film, "-o", tmp_path / f"{crf}.mp4", "--crf", crf)[0] == 0
    assert (tmp_path / "45.mp4").stat().st_size < 0.7 * (tmp_path / "15.mp4").stat().st_size
    code, _, err = colorize(film, "-o", tmp_path / "wrong.mp4", "--crf", 99)
    assert (code != 0, "--crf" in err) == (True, True), err


def test_films_by_a_pattern_and_one_without_sound(colorize, tmp_path, files_below):
    (tmp_path / "films").mkdir()
    for name, sound in (("a.mp4", True), ("b.mp4", False), ("c.mkv", True)):
        write_film(tmp_path / "films" / name, pictures(3), sound=sound)
    assert colorize(tmp_path / "films/*.mp4", "-o", tmp_path / "out")[0] == 0
    assert files_below(tmp_path / "out") == ["a.mp4", "b.mp4"]
    for name, count in (("a.mp4", 1), ("b.mp4", 0)):
        with av.open(str(tmp_path / "out" / name)) as made:
            assert (len(made.streams.video), len(made.streams.audio)) == (1, count)


def test_animations_keep_times_loops_and_transparency(colorize, tmp_path):
    images = [Image.fromarray(frame) for frame in pictures(4)]
    images[0].save(
        tmp_path / "cat.gif", save_all=True, append_images=images[1:], duration=[50, 100, 50, 200], loop=3
    )
    for image in images:
        image.putalpha(200)
    images[0].save(tmp_path / "cat.webp", save_all=True, append_images=images[1:], duration=70, loop=0)
    images[0].save(tmp_path / "photo.webp")
    assert colorize(tmp_path, "-o", tmp_path / "out")[0] == 0
    durations = []
    with Image.open(tmp_path / "out/cat.gif") as gif:
        assert (gif.n_frames, gif.info["loop"]) == (4, 3)
        for number in range(4):
            gif.seek(number)
            durations.append(gif.info["duration"])
        assert mean_chroma([np.asarray(gif.convert("RGB"))]) > 5
    assert durations == [50, 100, 50, 200]
    with Image.open(tmp_path / "out/cat.webp") as webp:
        assert webp.n_frames == 4
        webp.load()
        assert np.asarray(webp.convert("RGBA"))[..., 3].mean() == 200
    with Image.open(tmp_path / "out/photo.webp") as photo:
        assert photo.n_frames == 1
    assert colorize(tmp_path / "cat.gif", "-o", tmp_path / "cat.mp4")[0] == 0
    assert np.allclose(read_film(tmp_path / "cat.mp4")[1], [0, 0.05, 0.15, 0.2])


def test_a_folder_of_numbered_frames(colorize, tmp_path, files_below):
    (tmp_path / "frames").mkdir()
    frames = list(pictures())
    for number, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / "frames" / f"cat{number + 1}.png"), frame)
    assert colorize(tmp_path / "frames", "--frames", 24, "-o", tmp_path / "out")[0] == 0
    assert files_below(tmp_path / "out") == sorted(f"cat{number + 1}.png" for number in range(FRAMES))
    assert colorize(tmp_path / "frames", "--frames", 24, "-o", tmp_path / "film.mkv")[0] == 0
    colored, times = read_film(tmp_path / "film.mkv")
    assert (len(colored), round(times[1], 3)) == (FRAMES, 0.042)
    last = rgb_to_lab(colored[-1])[..., 0]  # cat12, not cat9
    assert np.abs(last - rgb_to_lab(frames[-1])[..., 0]).mean() < 3
    code, _, err = colorize(tmp_path / "out/cat1.png", "--frames", 24)
    assert (code, "--frames takes folders of numbered frames" in err) == (1, True)
    assert hidden(tmp_path) == []


def test_films_in_a_folder_beside_photos(colorize, tmp_path, film):
    Image.fromarray(next(pictures(1))).save(tmp_path / "photo.png")
    code, out, err = colorize(tmp_path, "--json")
    assert (code, "colored 1 photo and 1 film" in err) == (0, True), err
    assert json.loads(out)["colored"] == 2
    code, _, err = colorize(tmp_path)
    assert "skipped 1 photo and 1 film, colored already" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "film-colored.mp4", "film.mp4", "photo-colored.png", "photo.png",
    ]  # fmt: skip


def test_side_by_side(colorize, film, tmp_path):
    assert colorize(film, "--compare")[0] == 0
    frames, _ = read_film(tmp_path / "film-compare.mp4")
    assert frames[0].shape == (64, 192, 3)
    assert mean_chroma([frame[:, :94] for frame in frames]) < 2 < mean_chroma([f[:, 98:] for f in frames])


def test_hints_hold_from_their_time_on(colorize_with_hints, film, tmp_path):
    """Also those of the file next to the film; --hint begins where coloring does."""
    rows = [{"x": 48, "y": 32, "color": "#dd2211", "time": 0.2}]
    hints = tmp_path / "film.hints.json"
    hints.write_text(json.dumps({"width": 96, "height": 64, "hints": rows}))
    code, _, err = colorize_with_hints(film)
    assert (code, "colored 1 film" in err) == (0, True), err
    plain = tmp_path / "plain.mp4"
    hints.rename(tmp_path / "late.json")
    assert colorize_with_hints(film, "-o", plain)[0] == 0
    assert colorize_with_hints(film, "--hint", "48,32,#dd2211", "-o", tmp_path / "given.mp4")[0] == 0
    found = {name: read_film(tmp_path / name)[0] for name in ("film-colored.mp4", "plain.mp4", "given.mp4")}

    def apart(name, number):
        return np.abs(rgb_to_lab(found[name][number]) - rgb_to_lab(found["plain.mp4"][number])).mean()

    assert apart("film-colored.mp4", 3) < 0.5 < 1 < apart("film-colored.mp4", 6)
    assert apart("given.mp4", 0) > 1
    rows[0]["time"] = "soon"
    hints.write_text(json.dumps({"width": 96, "height": 64, "hints": rows}))
    code, _, err = colorize_with_hints(film, "--overwrite")
    assert (code, "its time is 'soon'; it must be seconds, 0 or more" in err) == (1, True), err
    hints.unlink()
    code, _, err = colorize_with_hints(film, "--hint", "148,32,#dd2211", "-o", tmp_path / "x.mp4")
    assert (code, "outside the film of 96x64 pixels" in err) == (1, True), err


def test_each_shot_takes_the_colors_of_a_reference_photo(colorize_with_hints, tmp_path):
    shots = [*pictures(3), *(255 - frame[:, ::-1] for frame in pictures(3))]
    write_film(tmp_path / "film.mp4", [np.ascontiguousarray(frame) for frame in shots])
    cv2.imwrite(str(tmp_path / "like.png"), next(pictures(1, gray=False))[..., ::-1])
    code, _, err = colorize_with_hints(tmp_path / "film.mp4", "--like", tmp_path / "like.png")
    assert (code, "colored 1 film" in err) == (0, True), err
    assert colorize_with_hints(tmp_path / "film.mp4", "-o", tmp_path / "plain.mp4")[0] == 0
    pairs = zip(
        read_film(tmp_path / "film-colored.mp4")[0], read_film(tmp_path / "plain.mp4")[0], strict=True
    )
    apart = [np.abs(rgb_to_lab(one) - rgb_to_lab(other)).mean() for one, other in pairs]
    assert min(apart[0], apart[2]) > 0.3
    code, _, err = colorize_with_hints(tmp_path / "film.mp4", "--variants", 2, "--overwrite")
    assert (code, "--variants is for photos" in err) == (2, True), err
