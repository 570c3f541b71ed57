"""A real scheduler and two workers: the results of a local run, whoever dies, and a sentence for all else."""

import operator
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import dask.config
import pytest
from distributed import Client

from stages.filter import __main__ as filter_command
from stages.filter import measurements, verdicts
from stages.prepare import __main__ as prepare_command
from stages.prepare import build
from stages.runtime import processes, worker
from stages.runtime import scheduler as scheduler_module
from stages.runtime.processes import map_photos
from stages.storage import tables
from ungray.errors import UngrayError

from . import works
from .started import ROOT, SECONDS, scheduler, workers


def _as_environment(configuration: dict[str, str]) -> dict[str, str]:
    """Return Dask's configuration as variables of the environment."""
    return {
        "DASK_" + key.upper().replace(".", "__").replace("-", "_"): value
        for key, value in configuration.items()
    }


def _refusal(address: str, **options) -> str:
    """Return the one sentence that a mapping ends with."""
    with pytest.raises(UngrayError) as caught:
        list(map_photos(operator.neg, range(100), workers=address, title="filter", **options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_results_come_in_order_from_both_workers_and_nothing_is_left_behind(address, shared):
    found = list(map_photos(works.process, range(300), workers=address, title="t"))
    assert [number for number, _ in found] == list(range(300))
    assert len({process for _, process in found}) == 3  # the first ones are worked on here
    assert os.getpid() == found[0][1] != found[-1][1]
    assert not list((shared / ".cache/scheduler").iterdir())


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives each freed block back")
def test_workers_keep_the_memory_they_have_freed(address, shared):
    found = list(map_photos(works.page_faults, range(60), workers=address, title="t"))
    faults = [faults for process, faults in found if process != os.getpid()]
    assert len(faults) > 20
    assert statistics.median(faults) < 512


def test_few_items_and_none_want_no_scheduler():
    nobody = "tcp://127.0.0.1:1"
    assert list(map_photos(operator.neg, [], workers=nobody, title="t")) == []
    assert list(map_photos(operator.neg, [1, 2], workers=nobody, title="t")) == [-1, -2]


def test_filter_and_prepare_give_the_bytes_of_a_local_run_though_a_worker_dies_in_each(
    address, shared, prepared, tiny, monkeypatch, tmp_path
):
    raw, manifest = Path("data/raw"), tables.read_table(Path("data/manifest.csv"), made_by="scrape")
    tables.write_table(verdicts.run(tiny["filter"], manifest, raw, workers=1), tmp_path / "local.csv")
    monkeypatch.setattr(processes, "FIRST", 3)  # they are worked on here
    monkeypatch.setattr(measurements, "map_photos", works.deadly(tmp_path / "filter"))
    table = verdicts.run(tiny["filter"], manifest, raw, workers=address)
    tables.write_table(table, tmp_path / "there.csv")
    assert (tmp_path / "filter").exists()
    assert (tmp_path / "there.csv").read_bytes() == (tmp_path / "local.csv").read_bytes()

    monkeypatch.setattr(build, "map_photos", works.deadly(tmp_path / "prepare"))
    # Relative, as the stage has them; what a worker writes, the test finds.
    folders = {"prepared": Path("data/prepared"), "cached": Path(".cache/prepare")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    build.run(tiny["prepare"], table, raw, **folders, workers=address)
    assert (tmp_path / "prepare").exists()
    for folder, local in zip(folders.values(), (prepared, prepared.parent / "cached"), strict=True):
        found, wanted = (
            {p.relative_to(top): p.read_bytes() for p in top.rglob("*") if p.is_file()}
            for top in (folder, local)
        )
        assert found == wanted


def test_photos_that_kill_every_worker_end_in_a_sentence(address):
    work = partial(works.kill_at, operator.neg, 90, None)
    with pytest.raises(UngrayError, match="t: 2 workers died over the same photos, most likely out of"):
        list(map_photos(work, range(100), workers=address, title="t"))


def test_a_worker_of_another_folder_is_refused_whether_it_comes_early_or_late(address, shared, tmp_path):
    results = map_photos(works.slow, range(200), workers=address, title="t")
    next(results)
    while next(results)[1] == os.getpid():
        pass
    with workers(address, tmp_path, "--no-nanny", there=3):
        with pytest.raises(UngrayError, match=f"works in another folder, {tmp_path}; start it in {shared}"):
            list(results)
        said = _refusal(address)
    assert f"works in another folder, {tmp_path}; start workers by `dask worker {address} " in said
    assert f"in {shared}" in said


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"token": ".cache/none"}, "works in another folder, "),
        ({"code": "0123456789abcdef"}, f"runs another version of the code, from {ROOT / 'stages'}"),
        ({"libraries": {"numpy": "1.0", "pillow": "2.0"}}, "has numpy "),
        ({}, ""),
    ],
)
def test_a_worker_says_what_differs_there(shared, change, expected):
    (shared / "token").write_text("token")
    here = {
        "folder": str(shared),
        "token": "token",
        "code": worker._code(),
        "libraries": worker._libraries(),
    }
    change |= {"libraries": here["libraries"] | change.get("libraries", {})}
    said = worker.mismatch(worker.Environment(**here | change))
    assert said.startswith(expected) if expected else said == ""


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:8786",
        "tcp://127.0.0.1",
        "http://127.0.0.1:8786",
        "tls://:8786",
        "tcp://[::1:8786",
        "inproc://a/1",
    ],
)
def test_what_is_no_address_of_a_scheduler_is_refused_with_two_that_are(address):
    said = _refusal(address)
    assert said.startswith(
        f"machine.scheduler: {address} is not the address of a Dask scheduler; write tcp://"
    )


@pytest.mark.parametrize(
    "host", ["10.0.0.5", "192.0.2.1", "example.org", "0.0.0.0", "[2001:db8::1]", "127.0.0.1.org"]
)
def test_a_network_address_without_tls_is_refused(host):
    said = _refusal(f"tcp://{host}:8786")
    assert (
        "is not limited to this machine, and anyone who can connect to a scheduler can run code there; use tls://"
        in said
    )


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:8786", "tcp://[::1]:8786", "tcp://localhost:1", "tls://a.b:1"]
)
def test_this_machines_own_addresses_and_tls_are_no_danger(address):
    scheduler_module.check_address(address)


def test_tls_without_certificates_is_refused(tmp_path, certificates):
    names = "distributed.comm.tls.ca-file, client.cert and client.key"
    said = _refusal("tls://127.0.0.1:8786")
    assert f"tls:// needs certificates, which Dask's configuration does not name; set {names}" in said
    gone = certificates | {"distributed.comm.tls.ca-file": str(tmp_path / "gone.pem")}
    with dask.config.set(gone):
        assert "cannot be read" in _refusal("tls://127.0.0.1:8786")


def test_where_dasks_configuration_demands_encryption_so_do_we():
    with dask.config.set({"distributed.comm.require-encryption": True}):
        assert "Dask's configuration requires encryption; use tls://" in _refusal("tcp://127.0.0.1:8786")


def test_nobody_at_the_address_is_said_and_how_to_do_without(monkeypatch):
    monkeypatch.setattr(scheduler_module, "CONNECT_SECONDS", 1)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"tcp://127.0.0.1:{held.getsockname()[1]}"
        said = _refusal(address)
    assert said.startswith(f"filter: no Dask scheduler answers at {address} (")
    assert said.endswith('start one, or set machine.scheduler to ""')


def test_a_scheduler_that_listens_to_the_network_is_refused(shared):
    with scheduler(shared) as address:
        if address.startswith("tcp://127."):
            pytest.skip("this machine has no address but loopback")
        said = _refusal("tcp://127.0.0.1:" + address.rpartition(":")[2])
    assert f"filter: {address}, of the scheduler tcp://127.0.0.1" in said
    assert "is open to the network, and anyone who can connect to it can run code there" in said


def test_over_tls_work_is_done_and_missing_workers_are_waited_for_then_missed(
    shared, certificates, configured, monkeypatch, capsys
):
    environment = _as_environment(certificates)
    monkeypatch.setattr(scheduler_module, "WORKERS_SECONDS", 1)
    monkeypatch.setattr(scheduler_module, "CHECK_SECONDS", 0.2)
    with scheduler(shared, "--protocol", "tls", "--host", "127.0.0.1", **environment) as address:
        assert address.startswith("tls://127.0.0.1:")
        assert f"filter: {address} has no worker; start workers by `dask worker {address} " in _refusal(
            address
        )
        assert f"filter: {address} has no worker; waiting up to 1 s for one\n" in capsys.readouterr().err
        two = [map_photos(works.process, range(2000), workers=address, title="t") for _ in range(2)]
        with workers(address, shared, "--no-nanny", there=1, **environment):
            for results in two:
                assert [next(results)[0] for _ in range(100)] == list(range(100))
            assert list(map_photos(operator.neg, range(100), workers=address, title="t"))[-1] == -99
        with pytest.raises(UngrayError, match=f"t: {address} has no worker; start workers by"):
            list(two[0])
    with pytest.raises(UngrayError, match=f"t: {address} is gone; start the scheduler and its workers, then"):
        list(two[1])


def test_a_connection_that_breaks_while_it_is_closed_hides_neither_results_nor_the_sentence(
    address, monkeypatch
):
    close = Client.close

    def breaks(self, *arguments, **options):
        close(self, *arguments, **options)
        raise ValueError("IOStream is not idle; cannot convert to SSL")

    monkeypatch.setattr(Client, "close", breaks)
    assert list(map_photos(operator.neg, range(4), workers=address, title="t")) == [0, -1, -2, -3]
    with pytest.raises(UngrayError, match="t: a photo fails"):
        list(map_photos(works.refuse, range(4), workers=address, title="t"))


def test_ctrl_c_ends_at_once_and_leaves_nothing_to_the_workers(address, shared):
    code = (
        "import time; from stages.runtime.processes import map_photos\n"
        "from ungray.system.console import run_command\n"
        "def main():\n"
        f"    results = map_photos(time.sleep, [0.2] * 5000, workers={address!r}, title='t')\n"
        "    [next(results) for _ in range(20)]; print('begun', flush=True); list(results)\n"
        "run_command(main)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert said.splitlines() == ["interrupted"]
    assert not list((shared / ".cache/scheduler").iterdir())
    end = time.monotonic() + SECONDS
    with Client(address, set_as_default=False) as client:
        while client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)):
            assert time.monotonic() < end
            time.sleep(0.1)


@pytest.mark.parametrize("command", [filter_command, prepare_command])
def test_the_stages_take_the_scheduler_that_params_name(command, shared, tiny):
    text = (ROOT / "params.yaml").read_text()
    assert text.count('scheduler: ""') == 1
    (shared / "params.yaml").write_text(text.replace('scheduler: ""', "scheduler: tcp://10.0.0.5:8786"))
    for table in ("blocked", "review"):
        shutil.copy(ROOT / f"data/{table}.csv", "data")
    raw, manifest = Path("data/raw"), tables.read_table(Path("data/manifest.csv"), made_by="scrape")
    tables.write_table(verdicts.run(tiny["filter"], manifest, raw, workers=1), Path("data/verdicts.csv"))
    for cached in ("filter", "prepare"):
        shutil.rmtree(Path(".cache") / cached, ignore_errors=True)
    with pytest.raises(UngrayError, match=r"tcp://10\.0\.0\.5:8786 is not limited to this machine"):
        command.main()


def test_without_dask_one_sentence_says_how_to_get_it(shared):
    code = (
        "import sys, operator; sys.modules['distributed'] = None\n"
        "from stages.runtime.processes import map_photos\n"
        "list(map_photos(operator.neg, range(100), workers='tcp://127.0.0.1:8786', title='t'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stderr.splitlines()[-1].endswith(
        "machine.scheduler needs Dask: `pip install -e '.[cluster]'`, or set it to \"\""
    )


def test_nothing_of_dask_is_loaded_where_no_scheduler_is_named():
    code = (
        "import sys, stages.filter.verdicts, stages.prepare.build\n"
        "assert not {'dask', 'distributed'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
