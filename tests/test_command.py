import errno
import io
import json
import subprocess
import sys

import pytest

from stages import command
from ungray.errors import UngrayError
from ungray.system import terminal
from ungray.system.console import run_command


def leaving(main, capsys):
    with pytest.raises(SystemExit) as left:
        run_command(main)
    return left.value.code, capsys.readouterr().err


def raising(error):
    def main():
        raise error

    return main


def test_what_a_person_can_mend_is_one_sentence(capsys):
    code, _ = leaving(raising(UngrayError("no photo; add one")), capsys)
    assert code == "error: no photo; add one"  # printed to standard error, exit code 1


def test_ctrl_c_ends_with_130(capsys):
    code, said = leaving(raising(KeyboardInterrupt()), capsys)
    assert code == 130
    assert said == "interrupted\n"


def a_library_that_fails_when_interrupted():
    try:
        raise KeyboardInterrupt
    finally:
        print(result)  # noqa: F821


def an_error_of_ours_about_it():
    try:
        a_library_that_fails_when_interrupted()
    except NameError:
        raise UngrayError("the database is gone") from None


@pytest.mark.parametrize("main", [a_library_that_fails_when_interrupted, an_error_of_ours_about_it])
def test_what_ctrl_c_makes_fail_is_ctrl_c(main, capsys):
    code, said = leaving(main, capsys)
    assert code == 130
    assert said == "interrupted\n"


def test_an_error_while_another_is_handled_stays_what_it_is(capsys):
    def main():
        try:
            raise KeyError
        except KeyError:
            raise UngrayError("no photo; add one") from None

    code, _ = leaving(main, capsys)
    assert code == "error: no photo; add one"


def test_a_reader_that_has_seen_enough_gets_no_traceback():
    code = "from ungray.system.console import run_command; run_command(lambda: print('line\\n' * 100_000))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_a_full_disk_says_so_and_what_to_do(capsys):
    code, _ = leaving(raising(OSError(errno.ENOSPC, "No space left on device", "data/raw/x.jpg")), capsys)
    assert code.startswith("error: the disk is full while writing data/raw/x.jpg; free some space")


def test_the_way_out_of_a_full_disk_can_be_the_commands_own(capsys):
    with pytest.raises(SystemExit) as left:
        run_command(raising(OSError(errno.EDQUOT, "Disk quota exceeded")), if_full="delete a photo")
    assert left.value.code == "error: the disk is full; delete a photo"


def test_standard_output_gets_all_even_where_it_takes_little_at_a_time(monkeypatch):
    taken = bytearray()

    class Narrow(io.RawIOBase):
        def writable(self):
            return True

        def write(self, content):
            taken.extend(content[:3])
            return min(len(content), 3)

    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(Narrow(), encoding="ascii", write_through=True))
    terminal.write_out(b"a photo, ")
    terminal.write_out("caf\xe9 \udcff")
    assert taken == rb"a photo, caf\xe9 \udcff"


@pytest.mark.parametrize("error", [ValueError("ours"), OSError(errno.EIO, "broken disk")])
def test_a_fault_of_ours_keeps_its_traceback(error):
    with pytest.raises(type(error)):
        run_command(raising(error))


def test_a_stage_notes_its_seconds_beside_those_of_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["stage"])
    command.run_stage("scrape", lambda: None, doc="Gathers.")
    command.run_stage("filter", lambda: None, doc="Filters.")
    timings = json.loads((tmp_path / "reports/timings.json").read_text())
    assert timings.keys() == {"scrape", "filter"}
    assert all(0 <= seconds < 5 for seconds in timings.values())


@pytest.mark.parametrize("variable", ["RANK", "LOCAL_RANK"])
def test_of_several_processes_only_the_first_writes_timings(tmp_path, monkeypatch, variable):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["stage"])
    monkeypatch.setenv(variable, "1")
    command.run_stage("train", lambda: None, doc="Trains.")
    assert not list(tmp_path.iterdir())


def test_a_stage_takes_no_argument_but_help(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["stage", "--help"])
    with pytest.raises(SystemExit):
        command.run_stage("scrape", raising(AssertionError("it ran")), doc="Gathers photos.")
    assert "Gathers photos." in capsys.readouterr().out
