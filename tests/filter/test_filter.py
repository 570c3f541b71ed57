"""Which photos are kept, which are rejected and why, and which of them show the same thing."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from skimage import data

from stages.filter import report, verdicts
from stages.filter.checks import CHECKS
from stages.filter.measures import measure
from stages.filter.params import Params
from stages.filter.review.decisions import Decision, Decisions
from stages.params import load_all
from stages.prepare.geometry import rotate
from stages.scrape import manifest
from stages.storage import tables
from stages.storage.blocklist import COLUMNS, encoded
from stages.storage.blocklist import read_blocklist as read_blocked
from tests.sample_images import load_sample_image
from ungray.errors import UngrayError
from ungray.imaging.duplicates import CORNER, signature, sketch

PARAMS = load_all(Path(__file__).parents[2] / "params.yaml")["filter"]

PHOTOS = {
    "astronaut": data.astronaut(),
    "chelsea": data.chelsea(),
    "coffee": data.coffee(),
    "rocket": data.rocket(),
    "china": load_sample_image("china.jpg"),
    "flower": load_sample_image("flower.jpg"),
}


def _bytes(photo: np.ndarray, kind: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, kind, **options)
    return stream.getvalue()


class Collection:
    """A folder of raw photos and its manifest, filled the way the scrape stage does."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.raw, self.attempts = folder, folder / "raw", []

    def add(
        self, photo: np.ndarray | bytes, *, query: str = "things", photograph: str = "", split: str = ""
    ) -> str:
        """Add a photo; return its file in the manifest."""
        content = photo if isinstance(photo, bytes) else _bytes(photo)
        rank = 1 + sum(attempt.query == query for attempt in self.attempts)
        about = {"source": "folder", "query": query, "rank": rank, "url": str(rank)}
        about |= {"photograph": photograph, "split": split}
        self.attempts.append(manifest.keep(content, raw=self.raw, **about))
        return self.attempts[-1].file

    def manifest(self) -> pd.DataFrame:
        """Return the manifest as the filter stage reads it."""
        manifest.write(self.attempts, self.folder / "manifest.csv")
        return tables.read_table(self.folder / "manifest.csv", made_by="scrape")

    def judge(self, params: Params = PARAMS, *, workers: int = 1, **known) -> pd.DataFrame:
        """Return the verdicts, by file."""
        found = verdicts.run(params, self.manifest(), self.raw, workers=workers, **known)
        assert list(found.columns) == verdicts.COLUMNS
        assert found["file"].is_monotonic_increasing
        return found.set_index("file")


@pytest.fixture
def photos(tmp_path) -> Collection:
    return Collection(tmp_path)


def test_good_photos_are_kept_each_in_its_own_group_with_its_measures(photos):
    files = {name: photos.add(photo) for name, photo in PHOTOS.items()}
    found = photos.judge()
    assert (found["verdict"] == "kept").all()
    assert (found["reason"] == "").all()
    assert found["group"].nunique() == len(PHOTOS)
    for name, file in files.items():
        row, (height, width) = found.loc[file], PHOTOS[name].shape[:2]
        assert (row["width"], row["height"]) == (width, height)
        assert row["aspect"] == pytest.approx(max(width, height) / min(width, height), abs=0.001)
        assert row["chroma_p95"] > 6
        assert row["group"] == row["sha256"][:16]
        assert len(row["phash"]) == 16


@pytest.mark.parametrize("mode", ["L", "RGB", "JPEG"])
def test_a_gray_photo_is_rejected_with_its_chroma(photos, mode):
    gray = Image.fromarray(PHOTOS["astronaut"]).convert("L")
    kind = "JPEG" if mode == "JPEG" else "PNG"
    stream = io.BytesIO()
    gray.convert("L" if mode == "L" else "RGB").save(stream, kind)
    file = photos.add(stream.getvalue())
    photos.add(PHOTOS["coffee"])
    found = photos.judge().loc[file]
    assert found["verdict"] == "rejected"
    assert found["reason"] == "gray: chroma_p95 under 6"
    assert found["chroma_p95"] < 1
    assert found["group"] == ""


def test_a_nearly_gray_photo_is_rejected_and_a_muted_one_kept_as_the_threshold_says(photos):
    photo = PHOTOS["chelsea"].astype(float)
    gray = photo.mean(axis=-1, keepdims=True)
    nearly, muted = (photos.add((gray + share * (photo - gray)).astype(np.uint8)) for share in (0.05, 0.35))
    found = photos.judge()
    assert (found.loc[nearly, "verdict"], found.loc[muted, "verdict"]) == ("rejected", "kept")
    assert 0 < found.loc[nearly, "chroma_p95"] < 6 < found.loc[muted, "chroma_p95"] < 30
    photos.add(PHOTOS["flower"])
    stricter = photos.judge(PARAMS.model_copy(update={"min_chroma_p95": 30.0}))
    assert stricter.loc[muted, "reason"] == "gray: chroma_p95 under 30"


def test_chroma_means_the_same_for_every_size(photos):
    small = photos.add(PHOTOS["astronaut"])
    large = photos.add(cv2.resize(PHOTOS["astronaut"], (1536, 1536), interpolation=cv2.INTER_CUBIC))
    found = photos.judge()
    assert found.loc[small, "chroma_p95"] == pytest.approx(found.loc[large, "chroma_p95"], rel=0.05)


def test_photos_under_the_short_side_are_rejected_and_at_it_kept(photos):
    kept = photos.add(PHOTOS["coffee"][:128, :300])
    low, narrow = photos.add(PHOTOS["rocket"][:127, :300]), photos.add(PHOTOS["china"][:300, :127])
    found = photos.judge()
    assert found.loc[kept, "verdict"] == "kept"
    assert found.loc[[low, narrow], "verdict"].tolist() == ["rejected", "rejected"]
    assert found.loc[[low, narrow], "reason"].tolist() == ["short side under 128"] * 2


def test_extreme_strips_are_rejected_and_three_to_one_kept(photos):
    kept = photos.add(PHOTOS["coffee"][:200, :600])
    wide, tall = photos.add(PHOTOS["china"][:190, :600]), photos.add(PHOTOS["astronaut"][:, 100:265])
    found = photos.judge()
    assert found.loc[kept, "verdict"] == "kept"
    assert found.loc[[wide, tall], "reason"].tolist() == ["aspect over 3"] * 2
    assert found.loc[wide, "aspect"] == pytest.approx(600 / 190, abs=0.001)
    assert found.loc[tall, "aspect"] == pytest.approx(512 / 165, abs=0.001)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_jpeg_is_rejected_as_damaged(photos, share):
    content = _bytes(PHOTOS["astronaut"], "JPEG", quality=90)
    cut = photos.add(content[: int(share * len(content))])
    whole = photos.add(PHOTOS["coffee"])
    found = photos.judge()
    assert found.loc[cut, "verdict"] == "rejected"
    assert found.loc[cut, "reason"].startswith("damaged")
    assert found.loc[cut, "group"] == ""
    assert found.loc[whole, "verdict"] == "kept"


def test_a_photo_on_its_side_is_measured_upright(photos):
    image = Image.fromarray(PHOTOS["coffee"])
    exif = image.getexif()
    exif[0x0112] = 6  # turned by 90 degrees
    file = photos.add(_bytes(PHOTOS["coffee"], "JPEG", exif=exif))
    found = photos.judge().loc[file]
    assert (found["width"], found["height"]) == (400, 600)


def test_of_the_same_file_in_two_queries_one_is_kept_and_the_other_names_it(photos):
    content = _bytes(PHOTOS["china"])
    first, second = photos.add(content, query="asia"), photos.add(content, query="temples")
    other = photos.add(PHOTOS["flower"], query="temples")
    found = photos.judge()
    assert sorted(found.loc[[first, second], "verdict"]) == ["kept", "rejected"]
    kept, dropped = (first, second) if found.loc[first, "verdict"] == "kept" else (second, first)
    assert found.loc[dropped, "reason"] == f"exact duplicate of {kept}"
    assert found.loc[first, "group"] == found.loc[second, "group"] == found.loc[first, "sha256"][:16]
    assert found.loc[other, "verdict"] == "kept"


def _near_copies(photo: np.ndarray) -> list[bytes]:
    smaller = cv2.resize(photo, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    brighter = np.clip(photo[:-2].astype(float) * 1.08 + 6, 0, 255).astype(np.uint8)
    return [_bytes(photo[:-1], "JPEG", quality=60), _bytes(smaller), _bytes(brighter, "WEBP", quality=80)]


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "china"])
def test_of_near_copies_the_largest_is_kept_and_all_share_a_group(photos, name):
    copies = [photos.add(copy, query=f"q{number}") for number, copy in enumerate(_near_copies(PHOTOS[name]))]
    original = photos.add(PHOTOS[name], query="zzz")
    other = photos.add(PHOTOS["flower"], query="q0")
    found = photos.judge()
    assert found.loc[original, "verdict"] == "kept"
    assert found.loc[copies, "reason"].tolist() == [f"near duplicate of {original}"] * 3
    assert found.loc[[original, *copies], "group"].nunique() == 1
    assert found.loc[original, "group"] == found.loc[[original, *copies], "sha256"].min()[:16]
    assert found.loc[other, "verdict"] == "kept"
    assert found.loc[other, "group"] != found.loc[original, "group"]


def test_of_two_near_copies_of_equal_size_the_same_one_is_kept_whatever_their_queries(photos, tmp_path):
    contents = [_bytes(PHOTOS["coffee"], "JPEG", quality=quality) for quality in (70, 90)]
    kept = []
    for number, queries in enumerate((("a", "b"), ("b", "a"))):
        part = Collection(tmp_path / str(number))
        for content, query in zip(contents, queries, strict=True):
            part.add(content, query=query)
        found = part.judge()
        kept.append(found.loc[found["verdict"] == "kept", "sha256"].tolist())
    assert len(kept[0]) == 1
    assert kept[0] == kept[1]


def test_how_near_a_duplicate_must_be_is_what_the_parameter_says(photos):
    whole = photos.add(PHOTOS["chelsea"])
    cut = photos.add(PHOTOS["chelsea"][3:-3, 5:-5])
    hashes = photos.judge(PARAMS.model_copy(update={"near_duplicate_distance": 0}))["phash"]
    bits = bin(int(hashes[whole], 16) ^ int(hashes[cut], 16)).count("1")
    assert 0 < bits < 20
    apart = photos.judge(PARAMS.model_copy(update={"near_duplicate_distance": bits - 1}))
    assert (apart["verdict"] == "kept").all()
    assert apart["group"].nunique() == 1  # both may teach, but on one side of the split
    joined = photos.judge(PARAMS.model_copy(update={"near_duplicate_distance": bits}))
    assert joined.loc[cut, "reason"] == f"near duplicate of {whole}"
    assert joined["group"].nunique() == 1


def test_what_was_cut_turned_or_framed_stays_and_shares_a_group(photos):
    china = PHOTOS["china"]
    original = photos.add(china)
    copies = [
        photos.add(np.ascontiguousarray(copy))
        for copy in (
            china[:-85, 128:],
            china[:, ::-1],
            np.rot90(china),
            cv2.copyMakeBorder(china, 40, 40, 40, 40, cv2.BORDER_CONSTANT, value=(255, 255, 255)),
            rotate(china, degrees=5, border="inner"),
        )
    ]
    others = [photos.add(PHOTOS[name]) for name in ("astronaut", "chelsea", "coffee", "rocket", "flower")]
    found = photos.judge(PARAMS.model_copy(update={"max_strip": 1.0}))
    assert (found["verdict"] == "kept").all()
    assert found.loc[[original, *copies], "group"].nunique() == 1
    assert found.loc[[original, *others], "group"].nunique() == 6


def test_a_rejected_copy_does_not_push_out_the_good_one(photos):
    large_gray = cv2.resize(np.dstack([PHOTOS["rocket"].mean(-1).astype(np.uint8)] * 3), (1280, 854))
    gray, good = photos.add(large_gray), photos.add(PHOTOS["rocket"])
    found = photos.judge()
    assert found.loc[gray, "reason"].startswith("gray")
    assert found.loc[good, "verdict"] == "kept"


def test_files_cut_from_one_photograph_share_a_group_and_all_stay(photos):
    crops = [
        photos.add(PHOTOS["china"][top : top + 200, left : left + 200], photograph="china")
        for top in (0, 220) for left in (0, 210, 420)
    ]  # fmt: skip
    other = photos.add(PHOTOS["flower"][:200, :200], photograph="flower")
    alone = [photos.add(PHOTOS["coffee"]), photos.add(PHOTOS["chelsea"])]
    found = photos.judge()
    assert (found["verdict"] == "kept").all()
    assert found.loc[crops, "group"].nunique() == 1
    assert found.loc[crops[0], "group"] == found.loc[crops, "sha256"].min()[:16]
    assert found.loc[[crops[0], other, *alone], "group"].nunique() == 4


def test_a_copy_of_one_crop_brings_the_whole_photograph_into_its_group(photos):
    crop = PHOTOS["china"][:200, :200]
    first = photos.add(crop, photograph="china")
    second = photos.add(PHOTOS["china"][200:400, 400:600], photograph="china")
    copy = photos.add(_bytes(crop, "JPEG", quality=70), query="elsewhere")
    found = photos.judge()
    assert found["group"].nunique() == 1
    assert found.loc[second, "verdict"] == "kept"
    assert sorted(found.loc[[first, copy], "verdict"]) == ["kept", "rejected"]


def _many(photos: Collection, count: int) -> None:
    """Add ``count`` small crops of real photos, some gray, some near copies, some too small."""
    rng = np.random.default_rng(7)
    names = sorted(PHOTOS)
    for number in range(count):
        photo = PHOTOS[names[number % len(names)]]
        side = 32 if number % 9 else 12
        top, left = (int(rng.integers(0, limit - 64)) for limit in photo.shape[:2])
        crop = photo[top : top + side, left : left + side + 8]
        if number % 10 == 3:
            crop = np.dstack([crop.mean(-1).astype(np.uint8)] * 3)
        content = _bytes(crop)
        photos.add(content, query=f"q{number % 4}", photograph="shared" if number % 11 == 5 else "")
        if number % 5 == 0:
            photos.add(_bytes(crop, "JPEG", quality=85), query=f"q{(number + 1) % 4}")


SMALL = PARAMS.model_copy(update={"min_short_side": 16})


def test_verdicts_are_the_same_whatever_the_order_of_the_manifest(photos):
    _many(photos, 40)
    table = photos.manifest()
    first = verdicts.run(SMALL, table, photos.raw, workers=1)
    assert set(first["reason"].str.split().str[0].dropna()) >= {"gray:", "short", "near"}
    for seed in range(3):
        shuffled = table.sample(frac=1, random_state=seed)
        pd.testing.assert_frame_equal(verdicts.run(SMALL, shuffled, photos.raw, workers=1), first)


def test_verdicts_are_the_same_whatever_the_number_of_processes(photos):
    _many(photos, 70)
    table = photos.manifest()
    assert (table["status"] == "kept").sum() >= 64  # fewer would be worked on without processes
    one, two = (verdicts.run(SMALL, table, photos.raw, workers=workers) for workers in (1, 2))
    pd.testing.assert_frame_equal(one, two)


def test_rows_that_scrape_refused_are_not_judged(photos):
    photos.add(PHOTOS["coffee"])
    photos.add(b"<html>not found</html>")
    assert len(photos.judge()) == 1


def test_a_photo_of_the_manifest_that_is_not_there_is_named_with_the_way_out(photos):
    photos.add(PHOTOS["coffee"])
    gone = photos.add(PHOTOS["china"])
    (photos.raw / gone).unlink()
    with pytest.raises(UngrayError) as caught:
        photos.judge()
    assert str(photos.raw / gone) in str(caught.value)
    assert "dvc repro --force scrape" in str(caught.value)


def test_when_no_photo_is_left_the_reasons_are_told_with_their_counts(photos):
    for name in ("coffee", "china"):
        photos.add(np.dstack([PHOTOS[name].mean(-1).astype(np.uint8)] * 3))
    photos.add(PHOTOS["astronaut"][:100, :100])
    content = _bytes(PHOTOS["flower"], "JPEG")
    photos.add(content[: len(content) // 2])
    with pytest.raises(UngrayError) as caught:
        photos.judge()
    message = str(caught.value)
    assert "2: gray: chroma_p95 under 6" in message
    assert "1: short side under 128" in message
    assert "1: damaged" in message
    assert "params.yaml" in message
    assert "\n" not in message


def test_verdicts_come_back_from_their_table_as_they_were_written(photos, tmp_path):
    _many(photos, 20)
    found = verdicts.run(SMALL, photos.manifest(), photos.raw, workers=1)
    tables.write_table(found, tmp_path / "verdicts.csv")
    before = (tmp_path / "verdicts.csv").read_bytes()
    back = tables.read_table(tmp_path / "verdicts.csv", made_by="filter")
    for column in verdicts.COLUMNS:
        assert back[column].tolist() == found[column].tolist(), column
    tables.write_table(back, tmp_path / "verdicts.csv")
    assert (tmp_path / "verdicts.csv").read_bytes() == before


@pytest.mark.parametrize("queries", [("1984", "2001"), ("007", "008"), ("NA", "null"), ("1e3", "inf")])
def test_folders_named_like_numbers_or_nothing_stay_the_text_they_are(photos, queries, tmp_path):
    files = [
        photos.add(PHOTOS[name], query=query)
        for name, query in zip(("china", "flower"), queries, strict=True)
    ]
    found = photos.judge()
    assert found.loc[files, "query"].tolist() == list(queries)
    tables.write_table(found.reset_index(), tmp_path / "verdicts.csv")
    back = tables.read_table(tmp_path / "verdicts.csv", made_by="filter").set_index("file")
    assert back.loc[files, "query"].tolist() == list(queries)


# Which of several copies is kept


def test_of_copies_of_equal_size_the_less_compressed_one_is_kept(photos):
    coarse, fine = (photos.add(_bytes(PHOTOS["coffee"], "JPEG", quality=q)) for q in (50, 95))
    found = photos.judge()
    assert found.loc[fine, "verdict"] == "kept"
    assert (found.loc[coarse, "check"], found.loc[coarse, "duplicate_of"]) == ("near_duplicate", fine)


@pytest.mark.parametrize(
    ("small_one", "large_one"), [("test", "train"), ("test", "val"), ("val", "train"), ("test", "")]
)
def test_the_photo_of_a_data_sets_test_split_is_kept_before_a_larger_twin(photos, small_one, large_one):
    small = cv2.resize(PHOTOS["coffee"], (300, 200), interpolation=cv2.INTER_AREA)
    for_test = photos.add(small, query="a", split=small_one)
    for_train = photos.add(PHOTOS["coffee"], query="b", split=large_one)
    found = photos.judge()
    assert found.loc[for_test, "verdict"] == "kept"
    assert found.loc[for_train, "duplicate_of"] == for_test
    assert found.loc[[for_test, for_train], "split"].tolist() == [small_one, large_one]


# Decisions by hand


def decided(*rows: tuple) -> dict[str, Decision]:
    """Decisions as data/review.csv holds them, by sha256: (row of the verdicts, keep or reject, note)."""
    return {row["sha256"]: Decision(row["sha256"], row.name, kind, *note) for row, kind, *note in rows}


def test_a_photo_rejected_by_hand_says_so_with_the_note_and_leaves_its_group(photos):
    bad, good = photos.add(PHOTOS["coffee"]), photos.add(PHOTOS["china"])
    before = photos.judge()
    after = photos.judge(decisions=decided((before.loc[bad], "reject", "a drawing")))
    assert after.loc[bad, ["verdict", "check", "reason", "group"]].tolist() == [
        "rejected", "review", "rejected by hand: a drawing", "",
    ]  # fmt: skip
    pd.testing.assert_series_equal(after.loc[good], before.loc[good])
    silent = photos.judge(decisions=decided((before.loc[bad], "reject")))
    assert silent.loc[bad, "reason"] == "rejected by hand"


def test_a_photo_kept_by_hand_is_kept_whatever_the_checks_say(photos):
    gray = photos.add(np.dstack([PHOTOS["china"].mean(-1).astype(np.uint8)] * 3))
    tiny = photos.add(PHOTOS["flower"][:60, :60])
    photos.add(PHOTOS["coffee"])
    before = photos.judge()
    assert before.loc[[gray, tiny], "check"].tolist() == ["gray", "size"]
    after = photos.judge(decisions=decided((before.loc[gray], "keep"), (before.loc[tiny], "keep")))
    assert (after["verdict"] == "kept").all()
    assert (after[["check", "reason"]] == "").all(axis=None)
    assert after["group"].nunique() == 3


@pytest.mark.parametrize("kind", ["keep", "reject"])
def test_a_damaged_photo_cannot_be_kept_by_hand(photos, kind):
    content = _bytes(PHOTOS["astronaut"], "JPEG")
    cut = photos.add(content[: len(content) // 2])
    photos.add(PHOTOS["coffee"])
    before = photos.judge()
    after = photos.judge(decisions=decided((before.loc[cut], kind)))
    assert after.loc[cut, "check"] == {"keep": "decode", "reject": "review"}[kind]


def test_a_near_duplicate_kept_by_hand_stays_beside_the_best_one_in_one_group(photos):
    best, copy = photos.add(PHOTOS["coffee"]), photos.add(_bytes(PHOTOS["coffee"], "JPEG", quality=60))
    before = photos.judge()
    assert before.loc[copy, "check"] == "near_duplicate"
    after = photos.judge(decisions=decided((before.loc[copy], "keep")))
    assert (after["verdict"] == "kept").all()
    assert after.loc[best, "group"] == after.loc[copy, "group"] == before.loc[best, "group"]


def test_keeping_a_photo_by_hand_does_not_keep_a_second_copy_of_its_bytes(photos):
    content = _bytes(PHOTOS["china"])
    files = [photos.add(content, query=query) for query in ("a", "b")]
    before = photos.judge()
    after = photos.judge(decisions=decided((before.loc[files[1]], "keep")))
    pd.testing.assert_frame_equal(after, before)
    assert sorted(after["check"]) == ["", "exact_duplicate"]


def test_rejecting_a_photo_by_hand_rejects_every_copy_of_its_bytes_and_the_next_best_is_kept(photos):
    content = _bytes(PHOTOS["china"])
    copies = [photos.add(content, query=query) for query in ("a", "b")]
    smaller = photos.add(cv2.resize(PHOTOS["china"], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    before = photos.judge()
    assert before.loc[smaller, "check"] == "near_duplicate"
    after = photos.judge(decisions=decided((before.loc[copies[0]], "reject")))
    assert after.loc[copies, "check"].tolist() == ["review", "review"]
    assert after.loc[smaller, "verdict"] == "kept"


def test_a_gray_copy_kept_by_hand_does_not_push_the_colored_one_out(photos):
    large_gray = cv2.resize(np.dstack([PHOTOS["rocket"].mean(-1).astype(np.uint8)] * 3), (1280, 854))
    gray, good = photos.add(large_gray), photos.add(PHOTOS["rocket"])
    before = photos.judge()
    after = photos.judge(decisions=decided((before.loc[gray], "keep")))
    assert (after["verdict"] == "kept").all()
    assert after.loc[gray, "group"] == after.loc[good, "group"]


def test_a_decision_on_a_photo_that_is_no_longer_there_changes_nothing(photos):
    photos.add(PHOTOS["coffee"])
    gone = Decision("0" * 64, "things/0000000000000000.png", "reject", "gone")
    pd.testing.assert_frame_equal(photos.judge(decisions={gone.sha256: gone}), photos.judge())


# Taken out for good


def test_what_looks_like_a_photo_that_was_taken_out_does_not_come_back_even_by_hand(photos):
    owned = photos.add(PHOTOS["astronaut"])
    copies = [photos.add(copy) for copy in _near_copies(PHOTOS["astronaut"])]
    other = photos.add(PHOTOS["coffee"])
    before = photos.judge()
    blocked = pd.DataFrame({"sha256": ["f" * 64], "phash": [before.loc[owned, "phash"]]})
    blocked = blocked.assign(words="", addresses="")
    after = photos.judge(blocked=blocked, decisions=decided((before.loc[owned], "keep")))
    assert after.loc[[owned, *copies], "check"].tolist() == ["taken_out"] * 4
    assert after.loc[other, "verdict"] == "kept"


def test_what_was_taken_out_is_rejected_however_it_was_cut_and_no_sheet_shows_it(photos, tmp_path):
    coffee = PHOTOS["coffee"]
    height, width = coffee.shape[:2]
    cut = photos.add(coffee[: -height // 10, width // 10 :])
    other = photos.add(PHOTOS["china"])
    words = encoded(sketch(signature(coffee).corners))
    blocked = pd.DataFrame({"sha256": ["f" * 64], "phash": [""], "words": [words], "addresses": [""]})
    found = photos.judge(blocked=blocked)
    assert found.loc[[cut, other], "check"].tolist() == ["taken_out", ""]
    report.write_sheets(found.reset_index(), photos.raw, tmp_path / "sheets", max_photos=60)
    assert [path.name for path in (tmp_path / "sheets").iterdir()] == ["kept.jpg"]


def test_a_photo_without_a_hash_is_taken_out_by_its_bytes(photos):
    content = _bytes(PHOTOS["astronaut"], "JPEG")
    cut, other = photos.add(content[: len(content) // 2]), photos.add(PHOTOS["coffee"])
    checksum = photos.judge().loc[cut, "sha256"]
    blocked = pd.DataFrame({"sha256": [checksum], "phash": "", "words": "", "addresses": ""})
    found = photos.judge(blocked=blocked)
    assert found.loc[[cut, other], "check"].tolist() == ["taken_out", ""]


def test_the_shipped_tables_of_decisions_block_and_decide_nothing():
    top = Path(__file__).parents[2]
    assert read_blocked(top / "data/blocked.csv").columns.tolist() == list(COLUMNS)
    assert isinstance(Decisions(top / "data/review.csv").all(), dict)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "damaged"),
        ("sha256\nabc\n", "columns"),
        (f"sha256,phash\n{64 * 'a'},xyz\n", "line 2: phash is 'xyz'"),
        (f"sha256,phash\n{64 * 'a'},0123456789abcdef\nabc,0123456789abcdef\n", "line 3: sha256"),
    ],
)
def test_a_malformed_table_of_taken_out_photos_is_named_in_one_sentence(tmp_path, content, named):
    (tmp_path / "blocked.csv").write_text(content)
    with pytest.raises(UngrayError) as caught:
        read_blocked(tmp_path / "blocked.csv")
    assert str(tmp_path / "blocked.csv") in str(caught.value)
    assert named in str(caught.value)
    assert "git checkout" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_of_taken_out_photos_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UngrayError, match=r"blocked\.csv not found"):
        read_blocked(tmp_path / "blocked.csv")


# What was measured once


def test_known_measures_give_the_same_verdicts_and_no_photo_is_measured_twice(photos, tmp_path, monkeypatch):
    _many(photos, 30)
    cache = tmp_path / "cache"
    fresh = photos.judge(SMALL)
    first = photos.judge(SMALL, cache_folder=cache)
    measured = []
    monkeypatch.setattr(
        "stages.filter.measurements.measure", lambda path: measured.append(path) or measure(path)
    )
    again = photos.judge(SMALL, cache_folder=cache)
    assert measured == []
    pd.testing.assert_frame_equal(first, fresh)
    pd.testing.assert_frame_equal(again, fresh)
    new = photos.add(PHOTOS["coffee"])
    assert photos.judge(SMALL, cache_folder=cache).loc[new, "verdict"] == "kept"
    assert measured == [photos.raw / new]


def test_a_photo_cut_short_in_place_is_measured_again(photos, tmp_path):
    file = photos.add(PHOTOS["coffee"])
    photos.add(PHOTOS["china"])
    assert photos.judge(cache_folder=tmp_path / "cache").loc[file, "verdict"] == "kept"
    path = photos.raw / file
    path.write_bytes(path.read_bytes()[:5000])
    assert photos.judge(cache_folder=tmp_path / "cache").loc[file, "check"] == "decode"


def _saved(**arrays) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _of_one_photo(figures: str, **arrays) -> bytes:
    known = {
        "figures": np.frombuffer(figures.encode(), np.uint8),
        "corners": np.empty(0, CORNER),
        "ends": [0],
    }
    return _saved(**known | arrays)


@pytest.mark.parametrize(
    "spoiled",
    [
        b"",
        b"PK",
        _saved(figures=np.zeros(0, np.uint8))[:-40],
        _saved(ends=[0]),
        _of_one_photo("[1]"),
        _of_one_photo('{"a": 1}'),
        _of_one_photo('{"a": {"width": 3, "odd": 1}}'),
        _of_one_photo("{}"),
        _of_one_photo('{"a": {}}', corners=np.zeros(3)),
    ],
)
def test_a_spoilt_cache_costs_time_and_nothing_else(photos, tmp_path, spoiled):
    photos.add(PHOTOS["coffee"])
    photos.judge(cache_folder=tmp_path / "cache")
    (tmp_path / "cache/measures.npz").write_bytes(spoiled)
    pd.testing.assert_frame_equal(photos.judge(cache_folder=tmp_path / "cache"), photos.judge())


def test_stopped_half_way_what_was_measured_is_kept(photos, tmp_path, monkeypatch):
    files = [photos.add(PHOTOS[name]) for name in ("china", "coffee", "flower")]

    def interrupted(path: Path):
        if path.name == Path(sorted(files)[2]).name:
            raise KeyboardInterrupt
        return measure(path)

    monkeypatch.setattr("stages.filter.measurements.measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        photos.judge(cache_folder=tmp_path / "cache")
    with np.load(tmp_path / "cache/measures.npz") as known:
        assert len(json.loads(known["figures"].tobytes())) == 2


# Reports


@pytest.fixture
def mixed(photos):
    """Photos that meet with most of the checks, and the verdicts on them."""
    for name in ("astronaut", "chelsea", "coffee", "china"):
        photos.add(PHOTOS[name], query="good")
        photos.add(np.dstack([PHOTOS[name].mean(-1).astype(np.uint8)] * 3), query="gray")
    photos.add(_bytes(PHOTOS["coffee"], "JPEG", quality=60), query="copies")
    photos.add(_bytes(PHOTOS["coffee"]), query="copies")
    content = _bytes(PHOTOS["flower"], "JPEG")
    photos.add(content[: len(content) // 2], query="damaged")
    return photos, photos.judge().reset_index()


def test_the_counts_name_every_check_and_add_up(mixed):
    _, table = mixed
    counts = report.counts(table).set_index("check")
    assert counts.index.tolist() == ["kept", *CHECKS]
    assert counts["count"].sum() == len(table)
    expected = {"kept": 4, "gray": 4, "near_duplicate": 1, "exact_duplicate": 1, "decode": 1, "blur": 0}
    assert counts["count"][list(expected)].to_dict() == expected
    assert counts.loc["kept", "share"] == pytest.approx(4 / 11, abs=1e-4)
    queries = report.queries(table).set_index("query")
    assert queries["photos"].to_dict() == {"copies": 2, "damaged": 1, "good": 4, "gray": 4}
    assert queries.loc["gray", ["kept", "gray"]].tolist() == [0, 4]
    assert (queries.drop(columns="photos").sum() == counts["count"]).all()


def test_there_is_a_sheet_of_the_kept_and_of_each_check_that_rejected_something(mixed, tmp_path):
    photos, table = mixed
    report.write_sheets(table, photos.raw, tmp_path / "sheets", max_photos=60)
    names = {path.name for path in (tmp_path / "sheets").iterdir()}
    assert names == {f"{n}.jpg" for n in ("kept", "gray", "decode", "near_duplicate", "exact_duplicate")}
    kept = Image.open(tmp_path / "sheets/kept.jpg")
    assert kept.format == "JPEG"
    tile = report.TILE + report.GAP
    assert kept.width == 4 * tile + report.GAP
    first = table[table["verdict"] == "kept"]["file"].iloc[0]
    name = next(name for name, photo in PHOTOS.items() if _bytes(photo) == (photos.raw / first).read_bytes())
    small = Image.fromarray(PHOTOS[name])
    small.thumbnail((report.TILE, report.TILE))
    left, top = (report.GAP + (report.TILE - side) // 2 for side in small.size)
    shown = np.asarray(kept)[top : top + small.height, left : left + small.width].astype(int)
    assert np.abs(shown - np.asarray(small)).mean() < 8
    # The duplicate and the photo that is better, side by side.
    assert Image.open(tmp_path / "sheets/near_duplicate.jpg").width == 2 * tile + report.GAP


def test_the_sheets_are_bounded_and_the_same_bytes_every_time_and_old_ones_go(photos, tmp_path):
    _many(photos, 70)
    table = photos.judge(SMALL).reset_index()
    assert (table["verdict"] == "kept").sum() > 20
    (tmp_path / "one").mkdir()
    (tmp_path / "one/old.jpg").write_bytes(b"of an earlier run")
    report.write_sheets(table, photos.raw, tmp_path / "one", max_photos=20)
    report.write_sheets(table, photos.raw, tmp_path / "two", max_photos=20)
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / n).iterdir()} for n in ("one", "two"))
    assert one == two
    assert "old.jpg" not in one
    rows = Image.open(tmp_path / "one/kept.jpg").height // (report.TILE + report.GAP)
    assert rows == 2


def test_photos_of_every_kind_and_shape_find_a_place_on_a_sheet(photos, tmp_path):
    gray = Image.fromarray(PHOTOS["coffee"]).convert("L")
    kinds = [(gray, "JPEG"), (gray, "PNG"), (gray.convert("CMYK"), "JPEG"), (gray.convert("I;16"), "PNG")]
    for image, kind in kinds:
        stream = io.BytesIO()
        image.save(stream, kind)
        photos.add(stream.getvalue())
    photos.add(PHOTOS["china"][:2])
    photos.add(PHOTOS["china"][:, :1])
    photos.add(PHOTOS["china"])
    table = photos.judge().reset_index()
    report.write_sheets(table, photos.raw, tmp_path / "sheets", max_photos=60)
    assert {"gray.jpg", "size.jpg", "kept.jpg"} <= {path.name for path in (tmp_path / "sheets").iterdir()}


# The command


@pytest.fixture
def checkout(mixed):
    """A folder with all that `python -m stages.filter` reads, and a function that runs it there."""
    photos, _ = mixed
    top = Path(__file__).parents[2]
    (photos.folder / "data").mkdir()
    photos.raw.rename(photos.folder / "data/raw")
    (photos.folder / "manifest.csv").rename(photos.folder / "data/manifest.csv")
    for name in ("params.yaml", "data/review.csv", "data/blocked.csv"):
        (photos.folder / name).write_bytes((top / name).read_bytes())

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "stages.filter"]
        environment = os.environ | {"PYTHONPATH": str(top)}
        return subprocess.run(
            command, cwd=photos.folder, env=environment, capture_output=True, text=True, check=False
        )

    return photos.folder, run


def test_the_command_writes_tables_and_sheets_and_a_decision_shows_in_the_next_run(checkout):
    folder, run = checkout
    said = run()
    assert said.returncode == 0, said.stderr
    assert "4 of 11 photos kept" in said.stdout
    assert "rejected 4: gray" in said.stdout
    assert (folder / "reports/filter/sheets/gray.jpg").is_file()
    before = {p.name: p.read_bytes() for p in (folder / "reports/filter").rglob("*.*")}
    table = pd.read_csv(folder / "data/verdicts.csv", keep_default_na=False).set_index("check")
    row = table.loc["decode"]
    with (folder / "data/review.csv").open("a") as review:
        gray = table.loc["gray"].iloc[0]
        review.write(
            f"{gray['sha256']},{gray['file']},keep,\n{row['sha256']},{row['file']},reject,half of it\n"
        )
    assert "5 of 11 photos kept" in run().stdout
    counts = tables.read_table(folder / "reports/filter/counts.csv", made_by="filter").set_index("check")[
        "count"
    ]
    assert counts[["kept", "gray", "decode", "review"]].tolist() == [5, 3, 0, 1]
    assert not (folder / "reports/filter/sheets/decode.jpg").exists()
    shutil.copy(Path(__file__).parents[2] / "data/review.csv", folder / "data/review.csv")
    run()
    assert {p.name: p.read_bytes() for p in (folder / "reports/filter").rglob("*.*")} == before


def test_a_malformed_table_of_decisions_is_named_in_one_sentence_and_nothing_is_written(checkout):
    folder, run = checkout
    (folder / "data/review.csv").write_text("sha256,file,decision,note\nabc,a/b.jpg,perhaps,\n")
    said = run()
    assert said.returncode == 1
    assert said.stderr.startswith("error: data/review.csv, line 2")
    assert said.stderr.count("\n") == 1
    assert not (folder / "data/verdicts.csv").exists()


def test_a_rejected_photo_where_nothing_is_a_duplicate_is_no_trouble(photos):
    kept = photos.add(PHOTOS["chelsea"])
    small = photos.add(PHOTOS["coffee"][:64, :64])
    found = photos.judge()
    assert found.loc[kept, "verdict"] == "kept"
    assert found.loc[small, "check"] == "size"
    assert set(found["duplicate_of"]) == {""}
