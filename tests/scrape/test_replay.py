"""A search is asked once and a photo fetched once; afterwards all comes from the working cache."""

import hashlib
import shutil
import subprocess
from dataclasses import replace

import pandas as pd
import pytest
from ruamel.yaml import YAML

from stages.scrape import downloads, gather, manifest
from stages.scrape.blocking import TakenOut
from ungray.errors import UngrayError
from ungray.fetch import blob_path


@pytest.fixture
def run(scrape_params, tmp_path):
    """Runs a source as the stage does, into an empty folder; returns the manifest's bytes."""

    def run(*queries, blocked=(), **changes):
        raw = tmp_path / "raw"
        shutil.rmtree(raw, ignore_errors=True)
        raw.mkdir()
        params = scrape_params(**{"source": "bing", "queries": queries or ("cats",), **changes})
        manifest.write(gather.run(params, raw, taken_out=TakenOut.of(blocked)), tmp_path / "manifest.csv")
        return (tmp_path / "manifest.csv").read_bytes()

    return run


@pytest.fixture
def rows(tmp_path):
    """Returns the manifest that was written last, by path of the URL."""

    def rows():
        table = pd.read_csv(tmp_path / "manifest.csv", dtype=str, keep_default_na=False)
        table["path"] = table["url"].str.replace(r"^http://127.0.0.1:\d+", "", regex=True)
        return table.set_index("path")

    return rows


def paths(*numbers):
    return [f"/photo/{number}.jpg" for number in numbers]


def sha256_of(content):
    return hashlib.sha256(content).hexdigest()


FAULTY = ["/missing.jpg", "/html.jpg", "/big.jpg", "file:///etc/passwd", "http://10.0.0.1/a.jpg"]


def test_a_second_run_asks_nobody_and_gives_the_same_bytes(bing, run, contents, tmp_path):
    bing.finds("cats", *paths(1, 2, 2, 3), *FAULTY)
    bing.finds("dogs", *paths(3, 4, 5))
    first, photos, connections = run("cats", "dogs"), contents(tmp_path / "raw"), bing.connections
    assert run("cats", "dogs") == first
    assert contents(tmp_path / "raw") == photos
    assert bing.connections == connections


def test_a_photo_that_is_gone_or_another_now_stays_what_it_was(bing, run):
    bing.finds("cats", *paths(1, 2, 3))
    first = run()
    bing.gone, bing.changed, bing.links["cats"] = {1}, {2}, []
    assert run() == first


def test_a_query_that_is_added_is_asked_alone(bing, run, rows):
    bing.finds("cats", *paths(1, 2))
    bing.finds("dogs", *paths(2, 3))
    run("cats")
    asked = len(bing.asked)
    run("cats", "dogs")
    assert {a["q"] for a in bing.asked[asked:]} == {"dogs"}
    assert bing.fetched == dict.fromkeys(paths(1, 2, 3), 1)
    assert len(rows()) == 4


def test_a_query_that_is_removed_takes_its_photos_along_and_finds_them_when_it_comes_back(
    bing, run, tmp_path
):
    bing.finds("cats", *paths(1, 2))
    bing.finds("dogs", *paths(3))
    both = run("cats", "dogs")
    connections = bing.connections
    run("dogs")
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["dogs"]
    assert run("cats", "dogs") == both
    assert bing.connections == connections


def test_another_filter_is_another_search_and_fetches_no_photo_again(bing, run, rows):
    bing.finds("cats", *paths(1, 2))
    run()
    asked = len(bing.asked)
    run(license="share")
    assert len(bing.asked) > asked
    assert set(rows()["license"]) == {"Bing's filter share"}
    assert bing.fetched == dict.fromkeys(paths(1, 2), 1)


def test_a_failed_search_is_asked_again_by_the_next_run(bing, run, rows):
    bing.finds("cats", *paths(1))
    bing.finds("dogs", *paths(2))
    bing.trouble["dogs"] = "captcha", 0
    run("cats", "dogs")
    del bing.trouble["dogs"]
    asked = len(bing.asked)
    run("cats", "dogs")
    assert {a["q"] for a in bing.asked[asked:]} == {"dogs"}
    assert list(rows()["status"]) == ["kept", "kept"]


def test_a_refresh_adds_what_is_new_and_keeps_what_was_there(bing, run, rows):
    bing.finds("cats", *paths(1, 2, 3), "/photo/9.jpg")
    bing.gone = {9}
    run()
    before = rows()
    bing.finds("cats", *paths(7, 3, 1, 8))
    bing.gone, bing.changed = {2}, {1}
    again = run(refresh=1)
    assert list(rows()["rank"]) == ["1", "2", "3", "4", "5", "6"]
    assert list(rows().index) == paths(1, 2, 3, 9, 7, 8)
    assert (
        rows()
        .loc[paths(1, 2, 3), ["sha256", "fetched_at", "file"]]
        .equals(before.loc[paths(1, 2, 3), ["sha256", "fetched_at", "file"]])
    )
    assert rows().loc["/photo/9.jpg", "status"] == "kept", "a failed link is tried again"
    connections = bing.connections
    assert run(refresh=1) == again
    assert bing.connections == connections


def test_going_back_to_the_refresh_before_gives_its_bytes_again(bing, run):
    bing.finds("cats", *paths(1, 2))
    bing.gone = {2}
    before = run()
    bing.finds("cats", *paths(3))
    bing.gone = set()
    run(refresh=1)
    connections = bing.connections
    assert run(refresh=0) == before
    assert bing.connections == connections


def test_a_refresh_that_fails_keeps_what_was_there_and_is_asked_again(bing, run, rows):
    bing.finds("cats", *paths(1, 2))
    run()
    bing.trouble["cats"] = "captcha", 0
    run(refresh=1)
    assert list(rows()["status"]) == ["refused", "kept", "kept"]
    assert rows()["reason"].iloc[0].startswith("search failed")
    bing.trouble.clear()
    bing.finds("cats", *paths(2, 3))
    run(refresh=1)
    assert list(rows().index) == paths(1, 2, 3)


def test_a_lower_limit_refuses_what_came_and_a_higher_one_tries_again(bing, run, rows):
    bing.finds("cats", *paths(1), "/large.jpg")
    run()
    assert rows().loc["/large.jpg", "status"] == "kept"
    run(max_megabytes=0.005)
    assert rows().loc["/large.jpg", "reason"] == "larger than 0.005 MB"
    assert rows().loc["/photo/1.jpg", "status"] == "kept"
    run(max_megapixels=0.000_384)
    assert rows().loc["/large.jpg", "reason"].startswith("more than 0.000384 megapixels")
    assert rows().loc["/photo/1.jpg", "status"] == "kept"
    bing.finds("dogs", *paths(1), "/big.jpg")
    run("dogs", max_megabytes=0.5)
    run("dogs", max_megabytes=1.5)
    assert bing.fetched["/big.jpg"] == 2
    assert bing.fetched["/large.jpg"] == 1


def test_more_connections_are_no_reason_to_try_again(bing, run):
    bing.finds("cats", *paths(1), *FAULTY)
    first = run()
    connections = bing.connections
    assert run(connections=3, connections_per_host=1, delay=0.01) == first
    assert bing.connections == connections


def test_a_photo_that_the_cache_lost_is_fetched_again(bing, run):
    bing.finds("cats", *paths(1, 2))
    first = run()
    blob_path(downloads.photo_store(), sha256_of(bing.photo(1))).unlink()
    assert run() == first
    assert bing.fetched == {"/photo/1.jpg": 2, "/photo/2.jpg": 1}


def test_a_lost_photo_that_is_another_now_is_refused_until_the_next_refresh(bing, run, rows):
    bing.finds("cats", *paths(1, 2))
    run()
    blob_path(downloads.photo_store(), sha256_of(bing.photo(1))).unlink()
    bing.changed = {1}
    refused = run()
    assert rows().loc["/photo/1.jpg", "reason"] == "gave other bytes than when it was first fetched"
    assert run() == refused
    assert bing.fetched["/photo/1.jpg"] == 2
    run(refresh=1)
    assert rows().loc["/photo/1.jpg", "sha256"] == sha256_of(bing.photo(5001))


def test_a_photo_damaged_in_the_cache_is_named_and_the_next_run_fetches_it_again(bing, run):
    bing.finds("cats", *paths(1, 2))
    first = run()
    path = blob_path(downloads.photo_store(), sha256_of(bing.photo(1)))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UngrayError, match="damaged on disk"):
        run()
    assert run() == first


def test_a_journal_whose_last_line_was_cut_off_goes_on(bing, run):
    bing.finds("cats", *paths(1, 2, 3))
    first = run()
    (journal,) = downloads.photo_store().parent.glob("journal/*.jsonl")
    lines = journal.read_text().splitlines(keepends=True)
    assert len(lines) == 3
    journal.write_text("".join(lines[:2]) + lines[2][:40])
    again = run()
    assert again == run()
    assert len(again.splitlines()) == len(first.splitlines())
    assert sum(bing.fetched.values()) == 4
    assert len(journal.read_text().splitlines()) == 4, "the cut line stays on one of its own"


def test_a_photo_taken_out_is_refused_under_every_address_and_leaves_the_cache(bing, run, rows, tmp_path):
    bing.finds("cats", *paths(1, 2), "/photo/1.jpg?again")
    run()
    out = sha256_of(bing.photo(1))
    run(blocked=[out])
    assert list(rows()["status"]) == ["refused", "kept", "refused"]
    assert list(rows()["reason"]) == ["taken out", "", "taken out"]
    assert set(rows()["sha256"]) == {out, sha256_of(bing.photo(2))}
    assert not list(tmp_path.rglob(f"*{out[:16]}*"))
    fetched = bing.fetched.copy()
    run(blocked=[out])
    assert bing.fetched == fetched, "it is not even asked for"
    assert "127.0.0.1" not in rows()[rows()["reason"] == "taken out"].to_csv(index=False)


def test_a_photo_taken_out_that_comes_under_a_new_address_is_refused(bing, run, rows, tmp_path):
    bing.finds("cats", *paths(1, 2))
    out = sha256_of(bing.photo(1))
    run(blocked=[out])
    assert list(rows()["status"]) == ["refused", "kept"]
    assert not list(tmp_path.rglob(f"*{out[:16]}*"))


def test_no_network_while_downloading_is_not_held_against_the_photos(bing, run, rows, monkeypatch):
    bing.finds("cats", *paths(*range(40)))
    fetch_all = downloads.fetch_all

    def unplugged(urls, *, limits, store, unwanted):
        yield from fetch_all(urls[:3], limits=limits, store=store, unwanted=unwanted)
        (dead,) = fetch_all(["http://127.0.0.1:9/"], limits=limits, store=store)
        for url in urls[3:]:
            yield replace(dead, url=url)

    monkeypatch.setattr(downloads, "fetch_all", unplugged)
    run(connections=4)
    assert (rows()["status"] == "kept").sum() == 3
    monkeypatch.setattr(downloads, "fetch_all", fetch_all)
    run(connections=4)
    assert (rows()["status"] == "kept").sum() == 40
    assert max(bing.fetched.values()) == 1


DEAD = ["http://127.0.0.1:9/a.jpg", "http://nowhere.invalid/a.jpg", "/silent.jpg"]


@pytest.mark.parametrize("dead", DEAD)
def test_where_no_host_answers_at_all_nothing_is_held_against_the_photos(bing, run, dead):
    bing.finds("cats", dead)
    for _ in range(2):
        with pytest.raises(UngrayError, match="none of 1 files is a photo"):
            run(timeout=1, attempts=1)
    (journal,) = downloads.photo_store().parent.glob("journal/*.jsonl")
    assert journal.read_text() == ""


@pytest.mark.parametrize("dead", DEAD)
def test_a_dead_host_among_living_ones_is_not_tried_again(bing, run, rows, dead):
    other_name = dead.replace("/silent", bing.url("/silent").replace("127.0.0.1", "localhost"))
    bing.finds("cats", *paths(1, 2), other_name)
    first = run(timeout=1, attempts=1)
    assert list(rows()["status"]) == ["kept", "kept", "refused"]
    assert rows()["reason"].iloc[2].startswith(downloads.SILENCE)
    connections = bing.connections
    assert run(timeout=1, attempts=1) == first
    assert bing.connections == connections


@pytest.fixture
def commit(tmp_path, scrape_params):
    """Commits the manifest that was written last, with the params that made it."""

    def commit(*queries, **changes):
        (tmp_path / "data").mkdir(exist_ok=True)
        shutil.copy(tmp_path / "manifest.csv", tmp_path / "data/manifest.csv")
        params = scrape_params(source="bing", queries=queries, **changes).model_dump()
        YAML(typ="safe").dump(
            {"scrape": params | {"queries": list(params["queries"])}}, tmp_path / "params.yaml"
        )
        git = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.org"]
        for command in (
            ["init", "-q"],
            ["add", "data/manifest.csv", "params.yaml"],
            ["commit", "-qm", "state"],
        ):
            subprocess.run([*git, *command], check=True)

    return commit


def test_a_lost_cache_is_made_up_for_from_the_last_commit(bing, run, commit, rows, tmp_path, capsys):
    bing.finds("cats", *paths(1, 2, 3), "/missing.jpg")
    bing.finds("dogs", *paths(4))
    out = sha256_of(bing.photo(2))
    first = run("cats", "dogs", blocked=[out])
    commit("cats", "dogs")
    shutil.rmtree(tmp_path / ".cache")
    bing.links.clear()
    bing.asked.clear()
    bing.fetched.clear()
    bing.changed = {3}
    run("cats", "dogs", blocked=[out])
    assert "resuming from the searches and downloads of the last commit" in capsys.readouterr().out
    assert bing.asked == []
    assert set(bing.fetched) == set(paths(1, 3, 4)), "neither what failed nor what was taken out"
    again = (tmp_path / "manifest.csv").read_bytes()
    different = [line for line in first.splitlines() if line not in again.splitlines()]
    assert [b"/photo/3.jpg" in line for line in different] == [True]
    assert rows().loc["/photo/3.jpg", "reason"] == "gave other bytes than when it was first fetched"


def test_a_lost_cache_after_a_refresh_keeps_every_rank(bing, run, commit, tmp_path):
    bing.finds("cats", *paths(1, 2))
    run()
    bing.finds("cats", *paths(3, 1))
    first = run(refresh=1)
    commit("cats", refresh=1)
    shutil.rmtree(tmp_path / ".cache")
    bing.asked.clear()
    assert run(refresh=1) == first
    assert bing.asked == []


def test_a_search_that_failed_at_the_last_commit_is_asked_again(bing, run, commit, rows, tmp_path):
    bing.finds("cats", *paths(*range(40)))
    bing.finds("dogs", *paths(50))
    bing.trouble["cats"] = "captcha", 35
    run("cats", "dogs")
    commit("cats", "dogs")
    shutil.rmtree(tmp_path / ".cache")
    bing.trouble.clear()
    bing.asked.clear()
    run("cats", "dogs")
    assert {asked["q"] for asked in bing.asked} == {"cats"}
    assert len(rows()) == 41


@pytest.mark.parametrize("harm", ["params.yaml", "data/manifest.csv"])
def test_a_last_commit_that_cannot_be_read_is_passed_over(bing, run, commit, tmp_path, harm):
    bing.finds("cats", *paths(1))
    run()
    (tmp_path / harm).parent.mkdir(exist_ok=True)
    commit("cats")
    (tmp_path / harm).write_text("scrape: {source: bing}\n")
    subprocess.run(["git", "-c", "user.name=T", "-c", "user.email=t@e", "commit", "-qam", "harm"], check=True)
    shutil.rmtree(tmp_path / ".cache")
    bing.asked.clear()
    run()
    assert bing.asked
