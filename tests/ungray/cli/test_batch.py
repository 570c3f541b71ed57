"""Many photos: what is bad among them, how many at a time, what the summary says, and how a run ends."""

import errno
import json
import os
import pty
import runpy
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from ungray.cli import batch
from ungray.cli.main import main
from ungray.imaging.photos import read_rgb
from ungray.system import memory
from ungray.system.limits import MAX_PIXELS

ROOT = Path(__file__).parents[3]
UNKNOWN = (
    "not an image of a known format (JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, HEIC, JPEG 2000, JPEG XL, PSD)"
)


def wait_until(condition):
    end = time.monotonic() + 120
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


def test_a_bad_file_ends_nothing_and_is_named_at_the_end(colorize, scans, tmp_path, files_below):
    (scans / "broken.png").write_bytes((scans / "1912/summer/b.png").read_bytes()[:300])
    (scans / "letter.jpg").write_text("Dear all")
    (scans / "lost.jpg").symlink_to(tmp_path / "nowhere.jpg")
    code, out, err = colorize(scans, tmp_path / "gone", tmp_path / "*.tif", "-o", tmp_path / "out")
    assert (code, out) == (1, "")
    first, *failed = err.splitlines()
    assert first == "colored 2 photos; passed over 1 .txt; 5 failed:"
    assert [line.split(": damaged")[0] for line in failed] == [
        f"  {scans}/broken.png",
        f"  {scans}/letter.jpg: {UNKNOWN}",
        f"  {scans}/lost.jpg: not found",
        f"  {tmp_path}/gone: not found",
        f"  {tmp_path}/*.tif: no photo matches this pattern",
    ]
    assert files_below(tmp_path / "out") == ["scans/1912/summer/b.png", "scans/a.jpg"]


def test_one_bad_photo_alone_is_one_sentence(colorize, tmp_path):
    (tmp_path / "letter.jpg").write_text("Dear all")
    assert colorize(tmp_path / "letter.jpg") == (1, "", f"error: {tmp_path}/letter.jpg: {UNKNOWN}")
    (tmp_path / "empty").mkdir()
    assert colorize(tmp_path / "empty") == (1, "", f"error: {tmp_path}/empty: no photo in this folder")


def test_the_command_keeps_the_memory_it_has_freed(colorize, cats, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(memory, "keep_freed", lambda: asked.append("to"))
    assert colorize(cats / "cat.jpg", "-o", tmp_path / "cat.png")[0] == 0
    assert asked == ["to"]


def test_hostile_photos_are_refused_one_by_one_and_the_others_are_colored(colorize, cats, tmp_path):
    hostile = runpy.run_path(str(ROOT / "tests/hostile_photos.py"), run_name="hostile_photos")
    refused = {name: content for name, content in hostile["FILES"].items() if name not in hostile["HARMLESS"]}
    for number, content in enumerate(refused.values()):
        (tmp_path / f"{number:02}.jpg").write_bytes(content)
    shutil.copy(cats / "cat.jpg", tmp_path / "zz.jpg")
    code, out, _ = colorize(tmp_path, "-o", tmp_path / "out", "--json", "--jobs", 2)
    told = json.loads(out)
    assert (code, told["colored"], told["failed"]) == (1, 1, len(refused))
    reasons = {row["reason"] for row in told["photos"] if row["status"] == "failed"}
    assert not [reason for reason in reasons if "a bug in colorize" in reason or "\n" in reason]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["zz.jpg"]


def test_the_json_summary_has_every_photo_in_order_and_what_colored_it(colorize, painter, scans, tmp_path):
    (scans / "letter.jpg").write_text("Dear all")
    colorize(scans / "a.jpg", "-o", tmp_path / "out/")
    code, out, err = colorize(scans, "-o", tmp_path / "out", "--json", "--vivid", "--saturation", 0.5)
    told = json.loads(out)
    rows = [(row["photo"], row["status"], row["output"], row["reason"]) for row in told.pop("photos")]
    assert code == 1
    assert "1 failed:" in err
    assert told == {
        "model": str(painter),
        "engine": "torch",
        "saturation": 0.5,
        "vivid": True,
        "vivid_factor": 1.6,
        "vivid_exponent": 0.0,
        "colored": 1,
        "skipped": 1,
        "planned": 0,
        "failed": 1,
        "passed_over": {".txt": 1},
    }
    assert rows == [
        (f"{scans}/a.jpg", "skipped", f"{tmp_path}/out/a.jpg", None),
        (f"{scans}/letter.jpg", "failed", None, UNKNOWN),
        (f"{scans}/1912/summer/b.png", "colored", f"{tmp_path}/out/1912/summer/b.png", None),
    ]


def test_a_file_that_cannot_be_written_is_named(colorize, scans, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "1912").write_text("a file where a folder should be")
    code, _, err = colorize(scans, "-o", tmp_path / "out")
    assert code == 1
    assert f"colored 1 photo: {tmp_path}/out/a.jpg; passed over 1 .txt; 1 failed:" in err
    assert f"b.png: {tmp_path}/out/1912/summer/b.png cannot be written: " in err


def test_a_full_disk_ends_the_run_in_one_sentence_and_leaves_nothing_half_written(
    colorize, scans, tmp_path, files_below, monkeypatch
):
    write_bytes = Path.write_bytes

    def write(path, content):
        if path.parent == tmp_path / "out":
            return write_bytes(path, content)
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write)
    code, out, err = colorize(scans, "-o", tmp_path / "out", "--jobs", 1, "--json")
    assert code == 1
    assert err == (
        f"colored 1 photo: {tmp_path}/out/a.jpg; 1 not done yet; passed over 1 .txt\n"
        f"error: the disk is full while writing {tmp_path}/out/1912/summer/b.png; "
        "free some space and run it again: what is done is kept"
    )
    assert [(row["photo"], row["status"]) for row in json.loads(out)["photos"]] == [
        (f"{scans}/a.jpg", "colored")
    ]
    assert files_below(tmp_path / "out") == ["a.jpg"]


def test_a_missing_model_is_one_sentence_and_nothing_is_written(scans, files_below, capsys):
    before = files_below(scans)
    with pytest.raises(SystemExit) as end:
        main([str(scans), "--model", str(scans / "gone.safetensors")])
    assert str(end.value.code).startswith(f"error: {scans}/gone.safetensors not found")
    assert files_below(scans) == before


def test_a_damaged_model_is_one_sentence_and_nothing_is_written(painter, cats, tmp_path, capsys):
    model = tmp_path / "broken.safetensors"
    model.write_bytes(painter.read_bytes()[:5000])
    with pytest.raises(SystemExit) as ended:
        main([str(cats / "cat.jpg"), "-o", str(tmp_path / "out.png"), "--model", str(model)])
    said = capsys.readouterr().err + str(ended.value)
    assert said.startswith(f"error: {model} is damaged or not a model of ungray")
    assert "dvc pull" in said
    assert said.count("\n") == 0
    assert list(tmp_path.iterdir()) == [model]


def test_more_jobs_give_the_same_bytes(colorize, tmp_path, files_below):
    (tmp_path / "in").mkdir()
    for number, array in enumerate([data.astronaut(), data.coffee(), data.chelsea(), data.rocket()] * 3):
        photo = Image.fromarray(array).convert("L").resize((300 + 7 * number, 200))
        photo.save(tmp_path / "in" / f"{number}.png")
    for jobs in ("1", "3"):
        assert colorize(tmp_path / "in", "-o", tmp_path / jobs, "--jobs", jobs)[0] == 0
    assert len(files_below(tmp_path / "1")) == 12
    for name in files_below(tmp_path / "1"):
        one, three = (read_rgb(tmp_path / jobs / name).astype(int) for jobs in ("1", "3"))
        assert np.abs(one - three).max() <= 1  # another number of threads sums in another order


def test_photos_in_work_have_room_for_so_many_pixels_together_and_the_largest_goes_alone():
    room, inside, most = batch.Room(100), [], []
    lock = threading.Lock()

    def work(pixels):
        with room.taken(pixels):
            with lock:
                inside.append(pixels)
                most.append(list(inside))
            time.sleep(0.01)
            with lock:
                inside.remove(pixels)

    threads = [threading.Thread(target=work, args=[pixels]) for pixels in [40, 400, 30, 60, 100, 20] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 24
    assert all(sum(now) <= 100 or now == [400] for now in most)


def test_ctrl_c_ends_at_once_keeps_what_is_done_and_the_next_run_goes_on(
    process, cats, tmp_path, files_below
):
    shutil.copy(cats / "cat.jpg", tmp_path / "cat.jpg")
    # A photo that never comes: nothing but Ctrl-C ends this run.
    os.mkfifo(tmp_path / "never.jpg")
    arguments = tmp_path / "cat.jpg", tmp_path / "never.jpg", "-o", tmp_path / "out", "--json"
    running = subprocess.Popen(
        **process(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_until((tmp_path / "out" / "cat.jpg").exists)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert err == f"colored 1 photo: {tmp_path}/out/cat.jpg; 1 not done yet\ninterrupted\n"
    assert json.loads(out)["colored"] == 1
    assert files_below(tmp_path / "out") == ["cat.jpg"]
    assert read_rgb(tmp_path / "out" / "cat.jpg").shape == (60, 90, 3)
    (tmp_path / "never.jpg").unlink()
    shutil.copy(cats / "cat.jpg", tmp_path / "never.jpg")
    ended = subprocess.run(**process(*arguments[:-1]), capture_output=True, text=True)
    assert ended.returncode == 0
    assert ended.stderr.startswith(f"colored 1 photo: {tmp_path}/out/never.jpg; skipped 1 photo")


def test_killed_in_the_middle_of_many_every_output_is_whole(process, tmp_path):
    (tmp_path / "in").mkdir()
    photo = Image.fromarray(data.astronaut()).convert("L").resize((900, 900))
    for number in range(60):
        photo.save(tmp_path / "in" / f"{number:02}.png")
    running = subprocess.Popen(
        **process(tmp_path / "in", "-o", tmp_path / "out", "--jobs", 2), stderr=subprocess.DEVNULL
    )
    wait_until(lambda: len(list((tmp_path / "out").glob("[0-9]*.png"))) > 4)
    running.kill()
    running.wait()
    done = sorted((tmp_path / "out").glob("[0-9]*.png"))
    assert all(read_rgb(path).shape == (900, 900, 3) for path in done)


def test_a_progress_bar_is_shown_on_a_terminal_and_nowhere_else(process, scans, tmp_path):
    quiet = subprocess.run(**process(scans, "-o", tmp_path / "1"), capture_output=True, text=True)
    assert (quiet.stdout, quiet.stderr) == ("", "colored 2 photos; passed over 1 .txt\n")
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, 80))
    running = subprocess.Popen(**process(scans, "-o", tmp_path / "2"), stderr=its)
    os.close(its)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:  # how Linux says that the other side is closed
        pass
    assert running.wait() == 0
    assert b"2/2" in shown
    assert b"colored 2 photos" in shown


def test_a_photo_is_not_thrown_at_a_terminal(process, cats):
    ours, its = pty.openpty()
    ended = subprocess.run(
        **process(cats / "cat.jpg", "-o", "-"), stdout=its, stderr=subprocess.PIPE, text=True
    )
    os.close(its)
    os.close(ours)
    assert ended.returncode == 2
    assert "the photo would go to the terminal; name a file with -o" in ended.stderr


def test_help_has_examples_and_imports_nothing_heavy():
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ungray", "--help"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in shown.stderr.splitlines()}
    assert "argparse" in imported
    assert not imported & {"torch", "numpy", "cv2", "PIL", "tqdm", "httpx", "onnxruntime", "pandas", "h11"}
    assert "colorize scans/ -o colored/" in shown.stdout
    assert all(len(line) <= 110 for line in shown.stdout.splitlines())
    assert f"up to {MAX_PIXELS / 1e6:.0f} megapixels" in " ".join(shown.stdout.split())


def test_where_all_is_done_no_model_is_loaded(colorize, scans, tmp_path):
    colorize(scans, "-o", tmp_path / "out")
    code, _, err = colorize(
        scans, "-o", tmp_path / "out", "--engine", "onnxruntime"
    )  # of which there is no file
    assert (code, err.split(",")[0]) == (0, "skipped 2 photos")


def test_serve_is_given_the_other_arguments(colorize, monkeypatch):
    given = []
    page = type("Page", (), {"main": staticmethod(given.append)})
    monkeypatch.setattr("ungray.page", page, raising=False)
    colorize("serve", "--port", "7000")
    assert given[0][:2] == ["--port", "7000"]


def test_two_runs_at_once_into_one_folder_leave_every_photo_whole(process, scans, tmp_path):
    command = process(scans, "-o", tmp_path / "out", "--overwrite")
    both = [subprocess.Popen(**command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [running.communicate(timeout=120)[1] for running in both]
    assert [running.returncode for running in both] == [0, 0], told
    alone = subprocess.run(**process(scans, "-o", tmp_path / "alone"), capture_output=True, text=True)
    assert alone.returncode == 0

    def content(folder):
        return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert content(tmp_path / "out") == content(tmp_path / "alone")
