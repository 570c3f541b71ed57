"""Standard input and output as shells hand them over: closed, full, left by their readers, or of no UTF-8."""

import json
import os
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from ungray.imaging.photos import read_rgb

UNKNOWN = (
    "not an image of a known format (JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, HEIC, JPEG 2000, JPEG XL, PSD)"
)
STRICT = {"PYTHONIOENCODING": "utf-8:strict"}


@pytest.fixture
def shell(process):
    """A function that runs the command in a shell, with redirections: exit code, output, what is said."""

    def run(*arguments, redirected, **environment):
        command = process(*arguments)
        command["args"] = ["bash", "-c", f'set -o pipefail; "$@" {redirected}', "bash", *command["args"]]
        command["env"] |= environment
        ended = subprocess.run(**command, capture_output=True)
        return ended.returncode, ended.stdout, ended.stderr.decode()

    return run


@pytest.fixture
def noise(tmp_path):
    """A photo of more bytes than a pipe holds."""
    path = tmp_path / "noise.png"
    levels = np.random.default_rng(0).integers(0, 256, (700, 700), np.uint8)
    Image.fromarray(levels).save(path)
    return path


def test_standard_input_goes_to_standard_output_in_its_own_format_or_another(process, cats):
    for name, options, kept in (
        ("png", [], b"\x89PNG"),
        ("gif", [], b"\x89PNG"),
        ("png", ["--format", "jpg"], b"\xff\xd8"),
    ):
        ended = subprocess.run(
            **process("-", *options), input=(cats / f"cat.{name}").read_bytes(), capture_output=True
        )
        assert (ended.returncode, ended.stderr) == (0, b"")
        assert ended.stdout.startswith(kept)
        assert np.ptp(read_rgb(ended.stdout).astype(int), axis=-1).max() > 20
    ended = subprocess.run(**process("-"), input=b"Dear all", capture_output=True, text=False)
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert ended.stderr.decode() == f"error: -: {UNKNOWN}\n"


def test_standard_input_can_go_to_a_file_and_a_file_to_standard_output(process, cats, tmp_path):
    photo = (cats / "cat.png").read_bytes()
    subprocess.run(**process("-", "-o", tmp_path / "out.webp"), input=photo, check=True)
    assert read_rgb(tmp_path / "out.webp").shape == (60, 90, 3)
    ended = subprocess.run(**process(cats / "cat.jpg", "-o", "-"), capture_output=True, check=True)
    assert ended.stdout.startswith(b"\xff\xd8")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_before_the_photo_ends_makes_it_a_failure(shell, noise, unbuffered):
    code, out, err = shell(noise, "-o", "-", redirected="| head -c 10", PYTHONUNBUFFERED=unbuffered)
    assert (code, len(out)) == (1, 10)
    assert err == f"error: {noise}: standard output cannot be written: Broken pipe\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_slow_reader_gets_the_whole_photo(shell, noise, unbuffered):
    code, out, err = shell(noise, "-o", "-", redirected="| (sleep 1; cat)", PYTHONUNBUFFERED=unbuffered)
    assert (code, err, read_rgb(out).shape) == (0, "", (700, 700, 3))


@pytest.mark.parametrize(
    ("arguments", "redirected", "said"),
    [
        (["-"], "<&-", "- reads standard input, and that is closed; redirect it: < photo.jpg"),
        (["{cat}", "-o", "-"], ">&-", "standard output is closed"),
        (["{cat}", "--json"], ">&-", "standard output is closed"),
        (["{cat}", "--dry-run"], ">&-", "standard output is closed"),
    ],
)
def test_a_closed_stream_that_is_needed_is_wrong_usage(shell, cats, arguments, redirected, said):
    cat = cats / "cat.jpg"
    code, _, err = shell(*[part.format(cat=cat) for part in arguments], redirected=redirected)
    assert code == 2
    assert err.splitlines()[-1].startswith(f"colorize: error: {said}")
    assert "Traceback" not in err


@pytest.mark.parametrize("redirected", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_that_is_not_needed_is_not_missed(shell, cats, tmp_path, redirected):
    code, out, err = shell(cats / "cat.jpg", "-o", tmp_path / "out.png", redirected=redirected)
    assert (code, out) == (0, b"")
    assert "Traceback" not in err
    assert read_rgb(tmp_path / "out.png").shape == (60, 90, 3)


def test_without_standard_error_the_summary_for_programs_is_alone_on_standard_output(shell, scans, tmp_path):
    code, out, _ = shell(scans, "-o", tmp_path / "out", "--json", redirected="2>&-")
    assert (code, json.loads(out)["colored"]) == (0, 2)


@pytest.mark.parametrize("options", [["-o", "-"], ["--json"], ["--dry-run"]])
def test_a_full_standard_output_is_one_sentence(shell, scans, options):
    code, _, err = shell(scans / "a.jpg", *options, redirected=">/dev/full")
    assert code == 1
    assert err.splitlines()[-1] == (
        "error: the disk is full while writing standard output; "
        "free some space and run it again: what is done is kept"
    )
    assert "Traceback" not in err


@pytest.mark.parametrize("environment", [STRICT, {"LC_ALL": "C.UTF-8"}])
def test_names_that_are_no_text_are_told_in_escapes(shell, cats, tmp_path, environment):
    name = os.path.join(os.fsencode(tmp_path), b"caf\xe9.jpg")  # noqa: PTH118, of bytes
    shutil.copy(cats / "cat.jpg", name)
    code, out, _ = shell(tmp_path, "--dry-run", redirected="", **environment)
    escaped = f"{tmp_path}/caf\\udce9"
    assert (code, out.decode()) == (0, f"{escaped}.jpg -> {escaped}-colored.jpg\n")
    code, out, err = shell(tmp_path, "--json", redirected="", **environment)
    assert (code, err) == (0, f"colored 1 photo: {escaped}-colored.jpg\n")
    (row,) = json.loads(out.decode("ascii"))["photos"]
    assert os.fsencode(row["photo"]) == name


def test_a_dry_run_of_standard_input_reads_and_writes_no_photo(shell):
    code, out, err = shell("-", "--dry-run", "--json", redirected="<&-")
    (row,) = json.loads(out)["photos"]
    assert (code, err, row["status"], row["output"]) == (0, "would color 1 photo\n", "planned", None)
    code, out, _ = shell("-", "--dry-run", redirected="</dev/null")
    assert (code, out) == (0, b"- -> standard output\n")
