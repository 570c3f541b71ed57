"""How far long work is: a bar on a terminal, elsewhere a line a minute."""

import ast
import io
import sys
from pathlib import Path

import pytest

from stages.runtime.processes import map_photos
from ungray.system import progress
from ungray.system.progress import Bar

ROOT = Path(__file__).parents[3]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Make every look at the clock ten seconds later than the one before."""
    now = iter(range(0, 10**6, 10))
    monkeypatch.setattr(progress, "monotonic", lambda: float(next(now)))


def test_without_a_terminal_a_line_a_minute_says_how_far_it_is(clock, capsys):
    assert list(Bar(range(13), desc="filter", unit="photo")) == list(range(13))
    assert capsys.readouterr() == (
        "",
        "filter: photo 6 of 13, 10.0 seconds each, about 1 min left\n"
        "filter: photo 12 of 13, 10.0 seconds each, about 1 min left\n",
    )


def test_a_file_name_reaches_the_terminal_as_plain_text(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Bar(total=1, desc="a\x1b[31m\n.mp4", unit="frame") as bar:
        bar.update()
    assert r"a\x1b[31m\n.mp4" in terminal.getvalue()
    assert "\x1b[31m" not in terminal.getvalue()


def test_what_goes_on_from_where_it_was_is_not_taken_for_faster_than_it_is(clock, capsys):
    with Bar(desc="train, epoch 2", unit="photo", initial=75_000, total=150_000) as bar:
        for _ in range(6):
            bar.update(500)
    assert capsys.readouterr().err == (
        "train, epoch 2: photo 78,000 of 150,000, 50.0 a second, about 24 min left\n"
    )


def test_what_takes_less_than_a_minute_is_quiet(capsys):
    list(Bar(range(1000), desc="filter", unit="photo"))
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_there_is_a_bar_instead(clock, monkeypatch):
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    list(Bar(range(13), desc="filter", unit="photo"))
    assert "filter: 100%|" in shown.getvalue()
    assert "each, about" not in shown.getvalue()


def test_nothing_is_shown_where_it_is_hidden_or_standard_error_is_closed(clock, monkeypatch, capsys):
    assert len(list(Bar(range(13), desc="filter", unit="photo", hidden=True))) == 13
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys, "stderr", None)
    assert len(list(Bar(range(13), desc="filter", unit="photo"))) == 13
    assert capsys.readouterr().out == ""


def test_photos_that_processes_work_on_are_counted(clock, capsys):
    assert list(map_photos(abs, range(13), workers=1, title="decode")) == list(range(13))
    assert capsys.readouterr().err.startswith("decode: photo 6 of 13, ")


def test_all_long_work_says_how_far_it_is_in_this_way():
    """A bar of tqdm's own is silent without a terminal."""
    for path in (ROOT / "stages").rglob("*.py"):
        if path == ROOT / "stages/ungray/system/progress.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.module != "tqdm", path
            elif isinstance(node, ast.Import):
                assert "tqdm" not in [name.name for name in node.names], path
