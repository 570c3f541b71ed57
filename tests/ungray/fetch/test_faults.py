"""Every fault that a host can have, all in one run, with a good photo beside each."""

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ungray.fetch import blob_path

from .cases import ADDRESSES, CASES, LIMITS

RUN = """
import json, sys, time
from pathlib import Path
from ungray import fetch
from ungray.fetch import addresses

links, limits, store, known = json.load(sys.stdin)
public = "127.0.0.53"
def memory(name):
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0]) / 1024
def run(links):
    return list(fetch.fetch_all(
        links,
        limits=fetch.Limits(**limits),
        store=Path(store),
        resolve=lambda host: known.get(host, [public]) if host.endswith(".test") else addresses.look_up(host),
        is_public=lambda address: address == public or addresses.is_public(address),
    ))
outcomes = run(links[:1])
start = memory("VmRSS")
outcomes += run(links[1:])
print(json.dumps({"outcomes": [vars(o) for o in outcomes], "memory": memory("VmHWM") - start}))
"""


@pytest.fixture(scope="module")
def run(start, tmp_path_factory):
    """All cases at once in a process of its own: outcomes by link, what was asked for, the peak of memory."""
    server = start()
    store = tmp_path_factory.mktemp("store")
    links = {}
    for name, case in CASES.items():
        # One server, one path a case: what the link says after the host is put behind its name.
        server.answers[f"/{name}{case.path or case.link}"] = case.answer
        links[name] = server.link(f"{name}.test", f"/{name}{case.link}")
        server.serves(f"/good/{name}.jpg")
    good = {name: server.link(f"{name}.test", f"/good/{name}.jpg") for name in CASES}
    wanted = json.dumps([[*good.values(), *links.values()], vars(LIMITS), str(store), ADDRESSES])
    began = time.monotonic()
    told = subprocess.run(
        [sys.executable, "-c", RUN],
        input=wanted,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        timeout=120,
    )
    assert told.returncode == 0, told.stderr
    assert told.stderr == ""
    result = json.loads(told.stdout)
    result["by_link"] = {outcome["url"]: outcome for outcome in result["outcomes"]}
    return {**result, "links": links, "good": good, "store": store, "server": server} | {
        "seconds": time.monotonic() - began
    }


def sent(server, path):
    """The bytes that a path of the stand-in sends."""

    class Reader:
        def send(self, content, **headers):
            self.content = content

    reader = Reader()
    server.answers[path](reader)
    return reader.content


@pytest.mark.parametrize("name", CASES)
def test_a_fault_is_named_and_a_photo_is_kept_as_it_came(run, name):
    case, outcome = CASES[name], run["by_link"][run["links"][name]]
    if case.reason:
        assert outcome["sha256"] == ""
        assert outcome["reason"].startswith(case.reason)
        assert case.reason.endswith(" ") or outcome["reason"] == case.reason
        return
    assert outcome["reason"] == ""
    kept = blob_path(run["store"], outcome["sha256"]).read_bytes()
    assert hashlib.sha256(kept).hexdigest() == outcome["sha256"]
    if name == "redirect-to-a-photo":
        assert kept == sent(run["server"], "/good/404.jpg")
    elif case.kept:
        assert kept == case.kept
    else:
        assert kept == sent(run["server"], f"/{name}{case.path or case.link}")


@pytest.mark.parametrize("name", CASES)
def test_a_host_is_asked_again_only_where_that_can_help(run, name):
    path = f"/{name}{CASES[name].path or CASES[name].link}"
    assert sum(request.path == path for request in run["server"].asked) == CASES[name].asked


def test_the_good_photos_beside_the_faults_are_all_there(run):
    for name, link in run["good"].items():
        outcome = run["by_link"][link]
        if f"{name}.test" in ADDRESSES:
            assert outcome["reason"] == run["by_link"][run["links"][name]]["reason"]
            continue
        assert outcome["reason"] == ""
        assert blob_path(run["store"], outcome["sha256"]).read_bytes() == sent(
            run["server"], f"/good/{name}.jpg"
        )


def test_every_link_has_one_outcome_and_the_faults_did_not_wait_for_each_other(run):
    assert len(run["outcomes"]) == 2 * len(CASES) == len(run["by_link"])
    assert run["seconds"] < 4 * LIMITS.deadline  # one after the other they would take five


def test_reasons_name_no_port_and_no_object(run):
    for outcome in run["outcomes"]:
        assert str(run["server"].server_port) not in outcome["reason"]
        assert "0x" not in outcome["reason"]


def test_the_store_holds_the_photos_and_nothing_else(run):
    fetched = {outcome["sha256"] for outcome in run["outcomes"]} - {""}
    assert {path.name for path in run["store"].rglob("*") if path.is_file()} == fetched


def test_memory_stays_under_300_mb_above_the_start(run):
    print(f"peak of memory above the start: {run['memory']:.0f} MB in {run['seconds']:.1f} s")
    assert run["memory"] < 300
