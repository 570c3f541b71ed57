"""Nothing that others wrote (names of files, servers' words, warnings) reaches the terminal as it is."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from ruamel.yaml import YAML
from skimage import data

from ungray.system.terminal import printable

ROOT = Path(__file__).parents[3]
EVIL = "a\x1b]0;taken over\x07\x1b[2J\nerror: forged\r\x9b31m\u202egpj"
"""A file name that sets the window's title, clears the screen, and forges a line, in more ways than one."""

SHOWN = r"a\x1b]0;taken over\x07\x1b[2J\nerror: forged\r\x9b31m\u202egpj"
COMMANDS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    .removesuffix(".__main__")
    .replace("stages.ungray", "ungray")
    for path in (ROOT / "stages").rglob("*.py")
    if 'if __name__ == "__main__"' in path.read_text()
)


def run(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, encoding="utf-8", errors="surrogateescape", check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"} | environment,
    )  # fmt: skip


def test_text_stays_as_it_is_and_what_is_none_becomes_escapes():
    for text in ("Großmutter 1912 – été.jpg", "おばあさん\u3000祖父.png", "👩\u200d🌾 \u200cفیلم", "a\\nb"):
        assert printable(text) == text
    assert printable(EVIL) == SHOWN
    assert printable(b"\xff\x80.jpg".decode(errors="surrogateescape")) == r"\udcff\udc80.jpg"
    assert printable(Path("a\tb")) == r"a\tb"


def test_all_that_is_printed_is_made_printable_in_one_place():
    """Else the next message brings the fault back."""
    elsewhere = []
    for path in (ROOT / "stages").rglob("*.py"):
        if path == ROOT / "stages/ungray/system/terminal.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            raw = name in ("print", "sys.exit", "SystemExit") or re.search(
                r"ArgumentParser$|print_exc|std(out|err)\.write$|tqdm\.write$|self\.write$", name
            )
            safe = not node.args or (
                isinstance(node.args[0], ast.Constant)
                or ast.unparse(node.args[0]).startswith(("printable(", "subprocess.run("))
                or (isinstance(node.args[0], ast.JoinedStr) and "printable(" in ast.unparse(node.args[0]))
            )
            if raw and not (safe and "ArgumentParser" not in name):
                elsewhere.append(f"{path.relative_to(ROOT)}:{node.lineno}: {name}")
    assert elsewhere == []


def test_names_of_a_folder_of_photos_are_shown_as_text_by_scrape(tmp_path):
    photos = tmp_path / "photos" / EVIL
    photos.mkdir(parents=True)
    Image.fromarray(data.chelsea()).save(photos / "cat.png")
    (tmp_path / "data").mkdir()
    shutil.copy(ROOT / "data/blocked.csv", tmp_path / "data")
    yaml = YAML()
    content = yaml.load(ROOT / "params.yaml")
    content["scrape"] |= {"source": "folder", "folder": str(tmp_path / "photos")}
    yaml.dump(content, tmp_path / "params.yaml")
    ran = run("-m", "stages.scrape", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert printable(ran.stdout.replace("\n", "")) == ran.stdout.replace("\n", "")
    # As the manifest writes line breaks.
    assert SHOWN.replace(r"\n", r"\x0a").replace(r"\r", r"\x0d") in ran.stdout


def test_the_message_of_an_error_a_usage_error_and_a_fault(tmp_path):
    code = (
        "import sys\nfrom ungray.system.console import run_command\nfrom ungray.errors import UngrayError\n"
        "def main(): raise {}\nrun_command(main)"
    )
    ran = run("-c", code.format(f"UngrayError({EVIL!r})"), cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (1, f"error: {SHOWN}\n")
    ran = run("-c", code.format(f"ValueError({EVIL!r})"), cwd=tmp_path)
    assert ran.returncode == 1
    assert ran.stderr.startswith("Traceback")
    assert ran.stderr.endswith("\nValueError: " + SHOWN.replace(r"\n", "\n") + "\n")
    ran = run("-m", "stages.doctor", f"--{EVIL}", cwd=tmp_path)
    assert ran.returncode == 2
    assert ran.stderr.endswith(f"unrecognized arguments: --{SHOWN}\n")


WARNING = """
import warnings
from PIL import Image
from ungray.system.console import run_command
from ungray.imaging.kernels import compiled

def main():
    Image.open("photo.jpg").getexif()
    compiled(eval("lambda value: value"))  # of no file, so it can't be kept

run_command(main)
"""


def test_no_warning_of_a_library_is_shown_but_where_python_is_asked_to(tmp_path):
    # An entry of 200 bytes at the end of the block, where there are 4.
    entry = b"\x0f\x01\x02\x00" + (200).to_bytes(4, "little") + (26).to_bytes(4, "little")
    exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00" + entry + b"\x00\x00\x00\x00cut!"
    Image.fromarray(data.chelsea()).save(tmp_path / "photo.jpg", exif=exif)
    ran = run("-c", WARNING, cwd=tmp_path, PYTHONWARNINGS="")
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.startswith("warning: compiled loops can't be cached")
    assert ran.stderr.count("\n") == 1
    ran = run("-c", WARNING, cwd=tmp_path, PYTHONWARNINGS="default")
    assert re.search(r"site-packages\S*PIL\S* UserWarning: ", ran.stderr)


def test_the_list_of_commands_is_whole():
    assert {"ungray", "stages.train", "stages.doctor", "stages.scrape.take_out"} <= {*COMMANDS}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_current_folder_that_is_gone_is_said_in_a_sentence(tmp_path, command):
    (tmp_path / "gone").mkdir()
    line = f"cd gone && rmdir ../gone && exec '{sys.executable}' -m {command}"
    photo = " a.jpg" if command in ("ungray", "ungray.cli.main", "stages.scrape.take_out") else ""
    ran = subprocess.run(
        ["sh", "-c", line + photo],
        cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: the current folder is gone: ")
    assert ran.stderr.count("\n") == 1
    assert ran.stdout == ""
