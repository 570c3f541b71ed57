"""The review page without a browser: what the server answers, what it refuses, and what stays on disk."""

import io
import json
import socket
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from skimage import data
from starlette.testclient import TestClient

from stages.filter.review import command
from stages.filter.review.collection import Collection
from stages.filter.review.decisions import Decision, Decisions, Seen, one_line, read_decisions
from stages.filter.review.pictures import SIDES, Pictures
from stages.filter.review.server import PAGE, Review, application
from stages.scrape.manifest import folder_name
from stages.storage import tables
from ungray.errors import UngrayError
from ungray.guard import HEADERS
from ungray.system import files, loopback

HERE = "http://127.0.0.1:8420"
HOSTILE = """moon "><img src=x onerror=alert(1)>'"""


def row(query, content, *, check="", reason="", group="", **measures):
    checksum = files.sha256(content)
    return {
        "file": f"{folder_name(query)}/{checksum[:16]}.png", "query": query,
        "verdict": "rejected" if check else "kept", "check": check, "reason": reason,
        "group": group, "sha256": checksum, "photograph": "", "split": "",
        **{"width": 0, "height": 0, "chroma_p95": 0.0} | measures,
    }  # fmt: skip


def png(photo):
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "PNG")
    return stream.getvalue()


PHOTOS = [
    png(data.chelsea()),
    png(data.coffee()),
    png(data.rocket()),
    png(np.repeat(data.camera()[..., None], 3, axis=2)),
    png(np.tile(data.coffee(), (1, 4, 1))[:300]),
]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with seven photos: two queries, one photo in both, one gray, one that is none."""
    cat, coffee, rocket, gray, wide = PHOTOS
    rows = [
        (cat, row("pets", cat, group="g1", width=451, height=300, chroma_p95=40.6)),
        (coffee, row("pets", coffee, width=600, height=400)),
        (
            gray,
            row(
                "pets",
                gray,
                check="gray",
                reason="gray: chroma_p95 0.4 under 6",
                width=512,
                height=512,
                chroma_p95=0.4,
            ),
        ),
        (b"no photo", row("pets", b"no photo", check="decode", reason="not an image of a known format")),
        (cat, row(HOSTILE, cat, check="exact_duplicate", reason="exact duplicate of pets/x.png", group="g1")),
        (rocket, row(HOSTILE, rocket, group="g1")),
        (wide, row(HOSTILE, wide, check="aspect", reason="aspect over 3")),
    ]
    for content, about in rows:
        path = tmp_path / "data" / "raw" / about["file"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    tables.write_table(pd.DataFrame([about for _, about in rows]), tmp_path / "data" / "verdicts.csv")
    (tmp_path / "data" / "review.csv").write_text("sha256,file,decision,note\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def opened(checkout, **options):
    """A browser tab, as it were: a client of a server newly started in ``checkout``."""
    review = Review(
        Collection(checkout / "data" / "verdicts.csv"),
        Decisions(checkout / "data" / "review.csv"),
        Pictures(checkout / "data" / "raw"),
        Seen(checkout / "viewed.txt"),
    )
    return TestClient(application(review), base_url=HERE, **options)


@pytest.fixture
def tab(checkout):
    return opened(checkout)


def listed(tab, **selection):
    return tab.get("/api/list", params=selection).json()["ids"]


def shown(tab, *ids):
    return tab.get("/api/photos", params={"ids": ",".join(ids or listed(tab))}).json()["photos"]


def decide(tab, identity, decision, **more):
    return tab.post("/api/decisions", json={"id": identity, "decision": decision, **more})


def on_disk(checkout):
    return (checkout / "data" / "review.csv").read_text()


class TestListing:
    def test_photos_come_by_query_with_verdict_reason_and_measures(self, tab):
        answer = tab.get("/api/list").json()
        assert [(group["name"], group["size"]) for group in answer["groups"]] == [(HOSTILE, 3), ("pets", 4)]
        gray = next(photo for photo in shown(tab) if photo["check"] == "gray")
        assert gray["verdict"] == "rejected"
        assert gray["reason"] == "gray: chroma_p95 0.4 under 6"
        assert gray["measures"] == {"width": "512", "height": "512", "chroma_p95": "0.4"}

    def test_by_reason_the_rejected_come_before_the_kept(self, tab):
        groups = tab.get("/api/list", params={"by": "check"}).json()["groups"]
        assert [group["name"] for group in groups] == ["aspect", "decode", "exact_duplicate", "gray", ""]

    def test_every_number_in_a_filter_is_the_number_of_photos_it_lists(self, tab):
        decide(tab, listed(tab)[0], "reject")
        tab.post("/api/viewed", json={"ids": listed(tab)[2:4]})
        for selection in (
            {},
            {"query": "pets"},
            {"check": "gray"},
            {"show": "kept"},
            {"query": HOSTILE, "check": ""},
        ):
            counts = tab.get("/api/counts", params=selection).json()
            for name in ("query", "check"):
                for choice in counts[name]:
                    assert choice["size"] == len(listed(tab, **selection | {name: choice["name"]})) > 0
            for show, size in counts["show"].items():
                assert size == len(listed(tab, **selection | {"show": show}))

    def test_the_others_of_its_group_are_named(self, tab):
        cat, *_ = [photo for photo in shown(tab) if photo["query"] == "pets" and photo["group"] == "g1"]
        assert cat["mate_count"] == 2
        assert {mate["query"] for mate in shown(tab, *cat["mates"])} == {HOSTILE}

    @pytest.mark.parametrize(
        "path", ["list?show=some", "list?by=file", "photos?ids=" + ",".join(["0" * 16] * 201)]
    )
    def test_a_request_that_makes_no_sense_is_refused_with_a_sentence(self, tab, path):
        answer = tab.get(f"/api/{path}")
        assert answer.status_code == 400
        assert answer.json()["error"]

    def test_unknown_photos_are_left_out(self, tab):
        assert shown(tab, "0" * 16, "../../etc/passwd", "") == []

    def test_new_verdicts_show_without_a_restart_and_old_ones_while_dvc_has_them_away(self, tab, checkout):
        path = checkout / "data" / "verdicts.csv"
        version, table = tab.get("/api/list").json()["version"], tables.read_table(path, made_by="filter")
        path.unlink()
        assert len(listed(tab)) == 7
        tables.write_table(table[:2], path)
        assert len(listed(tab)) == 2
        assert tab.get("/api/list").json()["version"] != version


class TestDecisions:
    def test_a_decision_is_on_disk_when_the_answer_comes(self, tab, checkout):
        first = shown(tab)[0]
        assert decide(tab, first["id"], "reject", note="a poster").json() == {
            "decision": "reject",
            "note": "a poster",
        }
        assert on_disk(checkout) == (
            f"sha256,file,decision,note\n{first['sha256']},{first['file']},reject,a poster\n"
        )
        assert shown(tab, first["id"])[0]["decision"] == "reject"

    def test_it_survives_a_stopped_server(self, tab, checkout):
        first = listed(tab)[0]
        decide(tab, first, "keep")
        assert shown(opened(checkout), first)[0]["decision"] == "keep"

    def test_taking_it_back_removes_its_row_and_nothing_else(self, tab, checkout):
        first, second, third = listed(tab)[1:4]
        for identity in (first, second, third):
            decide(tab, identity, "reject")
        before = on_disk(checkout).splitlines()
        decide(tab, second, None)
        assert len(before) == 4
        assert set(on_disk(checkout).splitlines()) < set(before)
        decide(tab, first, None)
        decide(tab, third, None)
        assert on_disk(checkout) == "sha256,file,decision,note\n"

    def test_rows_are_sorted_whatever_the_order_of_decisions(self, tab, checkout):
        ids = listed(tab)
        for identity in ids:
            decide(tab, identity, "keep")
        forward = on_disk(checkout)
        for identity in ids:
            decide(tab, identity, None)
        for identity in reversed(ids):
            decide(tab, identity, "keep")
        # The photo in two queries is named by where it was decided last.
        checksums = [line.split(",")[0] for line in forward.splitlines()]
        assert sorted(checksums) == sorted(line.split(",")[0] for line in on_disk(checkout).splitlines())
        decided = read_decisions(checkout / "data" / "review.csv").values()
        assert [d.file for d in decided] == sorted(d.file for d in decided)

    def test_the_same_bytes_in_two_queries_are_decided_together(self, tab, checkout):
        cat = next(photo for photo in shown(tab) if photo["check"] == "exact_duplicate")
        decide(tab, cat["id"], "reject")
        twins = [photo for photo in shown(tab) if photo["sha256"] == cat["sha256"]]
        assert [twin["decision"] for twin in twins] == ["reject", "reject"]
        assert len(on_disk(checkout).splitlines()) == 2

    def test_a_note_stays_when_only_the_decision_changes(self, tab):
        first = listed(tab)[0]
        decide(tab, first, "reject", note="blurred")
        assert decide(tab, first, "keep").json() == {"decision": "keep", "note": "blurred"}
        assert decide(tab, first, "keep", note="").json()["note"] == ""

    @pytest.mark.parametrize(
        ("typed", "kept"),
        [
            ('quote " comma, =SUM(A1)', 'quote " comma, =SUM(A1)'),
            ("two\nlines\r\n and\ttabs ", "two lines and tabs"),
            ("nul \x00 \x1b[31m \ud800", "nul [31m"),
            ("schön 写真 👨‍👩‍👧", "schön 写真 👨‍👩‍👧"),
            ("NA", "NA"),
            ("x" * 600, "x" * 500),
        ],
    )
    def test_any_note_comes_back_as_one_line(self, tab, checkout, typed, kept):
        first = listed(tab)[0]
        body = json.dumps({"id": first, "decision": "keep", "note": typed})
        answer = tab.post("/api/decisions", content=body, headers={"Content-Type": "application/json"})
        if "\ud800" in typed:  # half a character is no JSON
            assert answer.status_code == 400
            assert one_line(typed).replace("  ", " ") == kept
        else:
            assert answer.json()["note"] == kept
            assert shown(opened(checkout), first)[0]["note"] == kept

    def test_an_undo_does_not_overwrite_what_another_tab_decided_since(self, tab, checkout):
        other, first = opened(checkout), listed(tab)[0]
        decide(tab, first, "reject")
        decide(tab, first, "keep", note="another tab")
        answer = decide(other, first, None, over={"decision": "reject", "note": ""})
        assert answer.status_code == 409
        assert "was decided elsewhere meanwhile" in answer.json()["error"]
        assert ",keep,another tab" in on_disk(checkout)
        assert decide(other, first, None, over={"decision": "keep", "note": "another tab"}).status_code == 200

    def test_tabs_that_decide_at_once_lose_nothing(self, tmp_path):
        decisions = Decisions(tmp_path / "review.csv")
        checksums = [files.sha256(str(number).encode()) for number in range(120)]
        with ThreadPoolExecutor(12) as tabs:
            list(
                tabs.map(lambda c: decisions.decide(c, lambda _: Decision(c, f"q/{c}", "reject")), checksums)
            )
        assert set(read_decisions(tmp_path / "review.csv")) == set(checksums)

    def test_an_edit_by_hand_meanwhile_is_not_overwritten(self, tab, checkout):
        decide(tab, listed(tab)[0], "keep")
        with (checkout / "data" / "review.csv").open("a") as table:
            table.write(f"{'a' * 64},elsewhere/a.png,reject,by hand\n")
        decide(tab, listed(tab)[1], "reject")
        assert ",elsewhere/a.png,reject,by hand" in on_disk(checkout)
        assert len(on_disk(checkout).splitlines()) == 4

    def test_a_failed_write_leaves_the_old_file_and_says_so(self, checkout, monkeypatch):
        tab = opened(checkout, raise_server_exceptions=False)
        first, second = listed(tab)[:2]
        decide(tab, first, "keep")
        before = on_disk(checkout)

        def full(*_, **__):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(pd.DataFrame, "to_csv", full)
        answer = decide(tab, second, "reject")
        assert answer.status_code == 500
        assert "No space left on device" in answer.json()["error"]
        monkeypatch.undo()
        assert on_disk(checkout) == before
        assert shown(tab, second)[0]["decision"] is None

    @pytest.mark.parametrize(
        ("content", "complaint"),
        [
            ("sha256,file\n", "needs the columns"),
            ("", "is damaged"),
            (f"sha256,file,decision,note\n{'a' * 64},a,maybe,\n", "line 2: decision is 'maybe'"),
            (f"sha256,file,decision,note\n{'a' * 64},a,keep,\n{'a' * 64},a,reject,\n", "line 3"),
            ("<<<<<<< HEAD\nsha256,file,decision,note\n", "review.csv"),
        ],
    )
    def test_a_damaged_table_is_named_and_left_alone(self, tab, checkout, content, complaint):
        first = listed(tab)[0]
        (checkout / "data" / "review.csv").write_text(content)
        answer = decide(tab, first, "keep")
        assert answer.status_code == 500
        assert complaint in answer.json()["error"]
        assert on_disk(checkout) == content

    def test_without_a_table_the_first_decision_makes_one(self, tab, checkout):
        (checkout / "data" / "review.csv").unlink()
        decide(tab, listed(tab)[0], "keep")
        assert len(on_disk(checkout).splitlines()) == 2

    def test_what_waits_for_dvc_repro_is_counted(self, tab, checkout):
        def waiting():
            return tab.get("/api/counts").json()["progress"]["waiting"]

        kept = next(photo for photo in shown(tab) if photo["verdict"] == "kept")
        decide(tab, kept["id"], "reject")
        assert waiting() == 1
        path = checkout / "data" / "verdicts.csv"
        table = tables.read_table(path, made_by="filter")
        table.loc[table["sha256"] == kept["sha256"], ["verdict", "check"]] = ["rejected", "review"]
        tables.write_table(table, path)
        assert waiting() == 0
        decide(tab, kept["id"], None)
        assert waiting() == 1

    def test_what_no_run_can_change_does_not_wait_for_one(self, tab):
        for photo in shown(tab):
            if photo["check"] in ("decode", "exact_duplicate"):
                decide(tab, photo["id"], "keep")
        assert tab.get("/api/counts").json()["progress"]["waiting"] == 0


class TestProgress:
    def test_what_was_viewed_is_remembered(self, tab, checkout):
        ids = listed(tab)
        assert tab.post("/api/viewed", json={"ids": ids[:2]}).status_code == 204
        decide(tab, ids[2], "keep")
        progress = opened(checkout).get("/api/counts").json()["progress"]
        seen = {photo["sha256"] for photo in shown(tab, *ids[:3])}
        rows = [photo for photo in shown(tab) if photo["sha256"] in seen]
        assert (progress["photos"], progress["viewed"]) == (7, len(rows))
        assert not set(ids[:3]) & set(listed(tab, show="not_viewed"))

    def test_a_line_cut_short_costs_only_itself(self, checkout):
        path = checkout / "viewed.txt"
        Seen(path).add(["a" * 64])
        path.write_text(path.read_text() + "\n" + "b" * 30)
        again = Seen(path)
        again.add(["c" * 64])
        assert {"a" * 64, "c" * 64} <= Seen(path).checksums


class TestPictures:
    def test_a_thumbnail_is_small_kept_and_cached_by_the_browser(self, tab, checkout):
        photo = next(photo for photo in shown(tab) if photo["measures"].get("width") == "600")
        answer = tab.get(f"/thumbnail/{photo['sha256']}.jpg")
        with Image.open(io.BytesIO(answer.content)) as image:
            assert image.format == "JPEG"
            assert image.size == (SIDES["thumbnail"], round(SIDES["thumbnail"] * 400 / 600))
        assert "max-age" in answer.headers["Cache-Control"]
        (checkout / "data" / "raw" / photo["file"]).unlink()
        assert tab.get(f"/thumbnail/{photo['sha256']}.jpg").content == answer.content

    def test_a_small_photo_is_not_blown_up(self, tab):
        photo = next(photo for photo in shown(tab) if photo["measures"].get("width") == "451")
        with Image.open(io.BytesIO(tab.get(f"/large/{photo['sha256']}.jpg").content)) as image:
            assert image.size == (451, 300)

    def test_a_file_that_is_no_photo_says_why(self, tab):
        photo = next(photo for photo in shown(tab) if photo["check"] == "decode")
        answer = tab.get(f"/thumbnail/{photo['sha256']}.jpg")
        assert answer.status_code == 404
        assert "not an image" in answer.json()["error"]

    def test_a_missing_file_names_the_way_out(self, tab, checkout):
        photo = next(photo for photo in shown(tab) if photo["check"] == "gray")
        (checkout / "data" / "raw" / photo["file"]).unlink()
        assert "`dvc repro scrape`" in tab.get(f"/thumbnail/{photo['sha256']}.jpg").json()["error"]

    def test_twenty_tabs_asking_for_one_photo_all_get_it(self, tab):
        photo = next(photo for photo in shown(tab) if photo["check"] == "aspect")
        with ThreadPoolExecutor(20) as tabs:
            answers = list(tabs.map(lambda _: tab.get(f"/thumbnail/{photo['sha256']}.jpg"), range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1

    @pytest.mark.parametrize(
        "path",
        [
            f"/thumbnail/{'0' * 64}.jpg",
            "/thumbnail/..%2f..%2fdata%2freview.csv.jpg",
            "/huge/{sha256}.jpg",
            "/..%2f..%2f..%2f..%2fetc/passwd",
            "/../server.py",
            "/%2e%2e/server.py",
            "/data/review.csv",
        ],
    )
    def test_no_request_names_a_file(self, tab, path):
        answer = tab.get(path.replace("{sha256}", shown(tab)[0]["sha256"]))
        assert answer.status_code == 404


class TestRefusals:
    """What another page in the same browser could try."""

    def test_another_name_for_this_machine_gets_nothing(self, tab):
        answer = tab.get("/api/list", headers={"Host": "evil.example:8420"})
        assert answer.status_code == 403
        assert "ids" not in answer.text

    def test_another_site_decides_nothing(self, tab, checkout):
        body = {"id": listed(tab)[0], "decision": "reject"}
        answer = tab.post("/api/decisions", json=body, headers={"Origin": "http://127.0.0.1:9999"})
        assert answer.status_code == 403
        assert on_disk(checkout).count("\n") == 1

    def test_our_page_may_through_a_tunnel_from_another_port_too(self, tab):
        body = {"id": listed(tab)[0], "decision": "reject"}
        for here in (HERE, "http://localhost:9000"):
            headers = {"Host": here.removeprefix("http://"), "Origin": here}
            assert tab.post("/api/decisions", json=body, headers=headers).status_code == 200

    @pytest.mark.parametrize(
        "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
    )
    def test_a_form_is_no_decision(self, tab, checkout, kind):
        body = json.dumps({"id": listed(tab)[0], "decision": "reject"})
        assert tab.post("/api/decisions", content=body, headers={"Content-Type": kind}).status_code == 415
        assert on_disk(checkout).count("\n") == 1

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[]",
            b'{"id": "../../x", "decision": "keep"}',
            b'{"id": "0123456789abcdef", "decision": "delete"}',
            b'{"id": "0123456789abcdef"}',
            b'{"id": "0123456789abcdef", "decision": "keep", "file": "/etc/passwd"}',
            b'{"id": "0123456789abcdef", "decision": "keep"}',
            b'"' + b"x" * 70_000 + b'"',
        ],
    )
    def test_a_body_that_is_no_decision_changes_nothing(self, tab, checkout, body):
        answer = tab.post("/api/decisions", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 404, 413)
        assert answer.json()["error"]
        assert on_disk(checkout).count("\n") == 1

    @pytest.mark.parametrize("path", ["/", "/page.js", "/api/list", "/nowhere"])
    def test_every_answer_says_what_may_use_it(self, tab, path):
        headers = tab.get(path).headers
        assert httpx.Headers(HEADERS).items() <= headers.items()

    def test_the_page_names_no_other_address(self):
        for path in PAGE.iterdir():
            text = path.read_text().replace("http://www.w3.org/2000/svg", "")
            assert "http" not in text.replace("https?", ""), path
            assert "innerHTML" not in text, path


def many(count):
    """A table of ``count`` photos in 41 queries, as large as a real one."""
    checksums = [files.sha256(str(number).encode()) for number in range(count)]
    return pd.DataFrame(
        {
            "file": [f"query {number % 41}/{checksum[:16]}.jpg" for number, checksum in enumerate(checksums)],
            "query": [f"query {number % 41}" for number in range(count)],
            "verdict": ["rejected" if number % 7 == 0 else "kept" for number in range(count)],
            "check": ["gray" if number % 7 == 0 else "" for number in range(count)],
            "reason": ["gray: chroma_p95 under 6" if number % 7 == 0 else "" for number in range(count)],
            "group": [checksum[:16] for checksum in checksums],
            "sha256": checksums,
            "width": 1024, "height": 768, "aspect": 1.333, "chroma_p95": 31.4, "phash": "f5d13224dd4bf02c",
        }
    )  # fmt: skip


def quickest(work):
    """Processor seconds of the quickest of three."""
    taken = []
    for number in range(3):
        start = time.process_time()
        work(number)
        taken.append(time.process_time() - start)
    return min(taken)


class TestTenThousand:
    """Ten times as many photos may cost ten times as much, and some more: not a hundred times."""

    def times(self, checkout, work):
        """Return what ``work(tab, ids, number)`` takes of 1,000 photos and of 10,000, all but one decided."""
        seconds = []
        for count in (1_000, 10_000):
            table = many(count)
            tables.write_table(table, checkout / "data" / "verdicts.csv")
            decided = pd.DataFrame(
                {"sha256": table["sha256"], "file": table["file"], "decision": "keep", "note": ""}
            )
            tables.write_table(decided.sort_values(["file", "sha256"])[1:], checkout / "data" / "review.csv")
            tab = opened(checkout)
            ids = listed(tab)
            assert len(ids) == count
            seconds.append(quickest(lambda number, tab=tab, ids=ids: work(tab, ids, number)))
        print("{:.3f} s with 1,000 photos, {:.3f} s with 10,000".format(*seconds))
        return seconds

    def test_everything_answers_as_quickly_as_can_be(self, checkout):
        def work(tab, ids, number):
            listed(tab)
            tab.get("/api/counts")
            assert len(shown(tab, *ids[500:600])) == 100

        few, all_of_them = self.times(checkout, work)
        assert all_of_them < 25 * few

    def test_a_decision_among_thousands_is_still_quick(self, checkout):
        def work(tab, ids, number):
            assert decide(tab, ids[number], "reject").status_code == 200

        few, all_of_them = self.times(checkout, work)
        assert all_of_them < 25 * few
        assert on_disk(checkout).count(",reject,") == 3

    def test_it_needs_little_memory(self, checkout):
        tables.write_table(many(10_000), checkout / "data" / "verdicts.csv")
        tab = opened(checkout)
        listed(tab)
        tracemalloc.start()
        ids = listed(tab)
        tab.get("/api/counts")
        shown(tab, *ids[5000:5100])
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(ids) == 10_000
        assert peak < 50e6
        assert len(tab.get("/api/list").content) < 300_000


class TestCommand:
    def test_without_verdicts_it_names_the_command_that_makes_them(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UngrayError, match=r"data/verdicts.csv not found; `dvc repro filter` makes it"):
            command.main(["--no-browser"])

    def test_verdicts_of_an_older_version_are_told(self, checkout):
        path = checkout / "data" / "verdicts.csv"
        tables.write_table(tables.read_table(path, made_by="filter").drop(columns="check"), path)
        with pytest.raises(UngrayError, match="no column check; `dvc repro --force filter`"):
            command.main(["--no-browser"])

    def test_the_usual_port_taken_a_free_one_is_found(self):
        with (
            loopback.listening(None, default=command.PORT) as first,
            loopback.listening(None, default=command.PORT) as second,
        ):
            assert first.getsockname()[0] == second.getsockname()[0] == "127.0.0.1"
            assert first.getsockname()[1] != second.getsockname()[1]

    def test_the_port_asked_for_taken_is_told(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with (
                pytest.raises(UngrayError, match=f"port {port} is not available .*--port"),
                loopback.listening(port, default=command.PORT),
            ):
                pass

    def test_a_number_that_is_no_port_is_told(self):
        with (
            pytest.raises(UngrayError, match="port 99999 is not available"),
            loopback.listening(99999, default=command.PORT),
        ):
            pass

    def test_a_second_page_on_the_same_checkout_is_told_the_first_ones_address(self, tmp_path):
        told = []

        def second():
            try:
                with command.alone(tmp_path, "http://127.0.0.1:2"):
                    told.append("open twice")
            except UngrayError as error:
                told.append(str(error))

        with command.alone(tmp_path, "http://127.0.0.1:1"):
            thread = threading.Thread(target=second)
            thread.start()
            thread.join()
        second()
        assert told == [
            "the review page is already open, at http://127.0.0.1:1; use that one, or close it",
            "open twice",
        ]
