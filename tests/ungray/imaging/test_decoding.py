import io
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ungray.errors import UngrayError
from ungray.imaging import decoding, photo_files
from ungray.imaging.photos import PhotoError, probe, read_rgb

from . import decoding_works as works

ROOT = Path(__file__).parents[3]


def encoded(width=64, height=48, *, kind="JPEG", mode="RGB"):
    pixels = np.random.default_rng(1).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).resize((width, height)).convert(mode).save(written, kind)
    return written.getvalue()


PHOTO = encoded()


def alive(process):
    """Whether a process runs, one that has ended and was not asked for its status counting as gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(path):
    """Wait until a process has made this file."""
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.01)


def gone_within(seconds, process):
    end = time.monotonic() + seconds
    while alive(process) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(process)


def test_another_process_reads_what_this_one_would_and_is_kept_for_the_next_photo():
    (first, length), (second, _) = (decoding.limited(works.size, PHOTO) for _ in range(2))
    assert first == second != os.getpid()
    assert length == len(PHOTO)
    assert (decoding.limited(read_rgb, PHOTO) == read_rgb(PHOTO)).all()
    here, there = photo_files.read_photo(PHOTO), decoding.limited(photo_files.read_photo, PHOTO)
    assert (here.gray == there.gray).all()
    assert (here.alpha, here.metadata, here.bits, here.format, here.halved) == (
        (there.alpha, there.metadata, there.bits, there.format, there.halved)
    )


def test_several_threads_decode_at_a_time_each_in_a_process_of_its_own():
    both = threading.Barrier(2)

    def decode(_):
        both.wait(20)
        return decoding.limited(partial(works.greedy, megabytes=200), PHOTO), decoding.limited(
            works.size, PHOTO
        )

    with ThreadPoolExecutor(2) as pool:
        (_, first), (_, second) = pool.map(decode, range(2))
    assert first != second


def test_a_photo_that_takes_too_long_is_refused_in_its_time_and_the_next_one_is_read():
    process, _ = decoding.limited(works.size, PHOTO)
    start = time.monotonic()
    with pytest.raises(decoding.TooLongError, match=r"not decoded in 0\.5 s"):
        decoding.limited(works.slow, PHOTO, seconds=0.5)
    assert 0.5 <= time.monotonic() - start < 2
    assert gone_within(2, process)
    assert decoding.limited(works.size, PHOTO)[0] != process


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's memory")
def test_a_photo_may_take_memory_as_its_pixels_want_and_no_more():
    assert decoding.limited(partial(works.greedy, megabytes=400), PHOTO) == 400
    with pytest.raises(PhotoError, match="needs more memory"):
        decoding.limited(partial(works.greedy, megabytes=600), PHOTO)
    large = encoded(8000, 4000)  # pixels enough for a gigabyte
    assert decoding.limited(partial(works.greedy, megabytes=600), large) == 600
    assert decoding.limited(works.size, PHOTO)[1] == len(PHOTO)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"progressive": True, "subsampling": 0}),
        ("PNG", {"compress_level": 1}),
    ],
)
def test_a_large_photo_has_memory_enough(kind, options):
    pixels = np.arange(3000, dtype=np.uint8)[:, None, None] + np.zeros((3000, 4000, 3), np.uint8)
    image = Image.fromarray(pixels)
    if kind == "PNG":
        image.putalpha(200)
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    written = io.BytesIO()
    image.save(written, kind, **options, exif=exif)
    assert decoding.limited(read_rgb, written.getvalue()).size == 36_000_000
    assert decoding.limited(photo_files.read_photo, written.getvalue()).gray.size == 12_000_000


SIXTEEN_BITS = cv2.imencode(
    ".tif", np.arange(300, dtype=np.uint16)[:, None, None] * np.full((300, 400, 4), 16, np.uint16)
)[1].tobytes()


def test_a_large_photo_of_sixteen_bits_has_memory_enough():
    pixels = np.arange(3000, dtype=np.uint16)[:, None, None] * np.full((3000, 4000, 4), 16, np.uint16)
    content = cv2.imencode(".tif", pixels)[1].tobytes()
    assert decoding.limited(photo_files.read_photo, content).bits == 16


def test_a_folder_that_was_deleted_since_costs_nothing(tmp_path, monkeypatch):
    folder = tmp_path / "deleted"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "empty"))  # so that it compiles
    decoder = decoding.LimitedProcess()
    try:
        decoder.ask(pickle.dumps(works.size), PHOTO, seconds=60)
        monkeypatch.chdir(tmp_path)
        folder.rmdir()
        # Numba names its files relative to the current folder.
        done, photo = pickle.loads(
            decoder.ask(pickle.dumps(photo_files.read_photo), SIXTEEN_BITS, seconds=60)
        )
    finally:
        decoder.close()
    assert done, photo
    assert photo.bits == 16


def test_a_decoder_that_breaks_down_refuses_its_photo_and_ends_nothing_else():
    with pytest.raises(PhotoError, match=r"^damaged: its decoder broke down \(SIGSEGV\)$"):
        decoding.limited(works.crash, PHOTO)
    assert decoding.limited(works.size, PHOTO)[1] == len(PHOTO)


def test_what_the_work_raises_is_raised_here():
    with pytest.raises(UngrayError, match=r"^this one is refused$"):
        decoding.limited(works.refusing, PHOTO)
    with pytest.raises(PhotoError, match=r"^not an image of a known format"):
        decoding.limited(read_rgb, b"no photo at all")
    with pytest.raises(KeyError, match="an unexpected one") as fault:
        decoding.limited(works.faulty, PHOTO)
    assert "decoding_works.py" in fault.value.__notes__[0]


def test_what_libraries_print_neither_spoils_the_answer_nor_reaches_the_terminal(capfd):
    assert decoding.limited(works.noisy, PHOTO) == "done"
    assert "speaks" not in "".join(capfd.readouterr())


def test_a_process_that_died_while_nobody_used_it_is_replaced():
    process, _ = decoding.limited(works.size, PHOTO)
    os.kill(process, signal.SIGKILL)
    assert gone_within(2, process)
    assert decoding.limited(works.size, PHOTO)[0] != process


def test_stopping_ends_the_waiting_at_once_and_for_good(tmp_path):
    decoder, told = decoding.Decoder(), []

    def wait():
        with pytest.raises(PhotoError, match=r"^interrupted$"):
            decoder.run(partial(works.slow, begun=tmp_path / "begun"), PHOTO)
        told.append(time.monotonic())

    decoding.limited(works.size, PHOTO)  # so that a process is there
    waiting = threading.Thread(target=wait)
    waiting.start()
    wait_for(tmp_path / "begun")
    start = time.monotonic()
    decoder.close()
    waiting.join(10)
    assert told[0] - start < 1
    with pytest.raises(PhotoError, match=r"^interrupted$"):
        decoder.run(works.size, PHOTO)
    assert decoding.limited(works.size, PHOTO)[1] == len(PHOTO)  # others go on


LEFT = """
import sys
from functools import partial
from ungray.imaging import decoding
from tests.ungray.imaging import decoding_works as works
content = open(sys.argv[1], "rb").read()
print(decoding.limited(works.size, content)[0], flush=True)
if sys.argv[2] == "slow":
    decoding.limited(partial(works.slow, begun=sys.argv[3]), content)
"""


@pytest.mark.parametrize("how", ["slow", "end"])
def test_ctrl_c_ends_at_once_and_no_process_stays_behind(how, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(PHOTO)
    process = subprocess.Popen(
        [sys.executable, "-c", LEFT, str(tmp_path / "photo.jpg"), how, str(tmp_path / "begun")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    decoder = int(process.stdout.readline())
    assert alive(decoder) or how == "end"
    start = time.monotonic()
    if how == "slow":
        wait_for(tmp_path / "begun")
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
    _, trouble = process.communicate(timeout=30)
    assert time.monotonic() - start < 2
    assert ("KeyboardInterrupt" in trouble) == (how == "slow")
    assert gone_within(2, decoder)


def test_a_process_whose_parent_was_killed_ends_by_itself(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(PHOTO)
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            LEFT.replace(", content)\n", ", content, seconds=1)\n"),
            str(tmp_path / "photo.jpg"),
            "slow",
            str(tmp_path / "begun"),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    decoder = int(process.stdout.readline())
    wait_for(tmp_path / "begun")
    process.kill()
    process.wait()
    assert gone_within(1 + decoding.GRACE + 2, decoder)


def test_the_header_alone_is_asked_for_as_well():
    assert decoding.limited(probe, PHOTO) == ("JPEG", 64, 48)
