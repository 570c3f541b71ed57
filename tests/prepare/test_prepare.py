"""What training sees: photos of one size, a split that leaks nothing and stays, rotated copies in train."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from skimage import data

from stages.prepare import build
from stages.prepare.geometry import angles, fit, rotate, shrink
from stages.prepare.params import Params
from stages.prepare.split import SPLITS, split
from stages.runtime import processes
from stages.storage import tables
from tests.sample_images import load_sample_image
from ungray.errors import UngrayError
from ungray.imaging import photos

PARAMS = Params(
    photo_size=32,
    enlarge=True,
    fit="crop",
    val_fraction=0.2,
    test_fraction=0.2,
    split_salt="gray",
    extra_sizes=(),
    rotated_copies=2,
    rotation_degrees=15.0,
    rotation_border="inner",
    jpeg_quality=95,
    shard_photos=0,
)
PHOTOS = {
    "astronaut": data.astronaut(),
    "chelsea": data.chelsea(),
    "coffee": data.coffee(),
    "rocket": data.rocket(),
    "china": load_sample_image("china.jpg"),
    "flower": load_sample_image("flower.jpg"),
}


def _with(**changes) -> Params:
    return Params(**(PARAMS.model_dump() | changes))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# Bringing photos to one size


@pytest.mark.parametrize(
    "shape", [(300, 451), (451, 300), (200, 200), (20, 33), (33, 20), (97, 96), (10, 400)]
)
@pytest.mark.parametrize("how", ["crop", "squash", "pad"])
def test_every_photo_becomes_a_square_of_the_size(shape, how):
    photo = PHOTOS["astronaut"][: shape[0], : shape[1]]
    found = fit(photo, size=96, how=how)
    assert found.shape == (96, 96, 3)
    assert found.dtype == np.uint8


def _near(found: np.ndarray, expected: np.ndarray, *, levels: float) -> bool:
    return np.abs(found.astype(float) - expected).mean() < levels


@pytest.mark.parametrize("turn", [False, True], ids=["landscape", "portrait"])
def test_crop_keeps_the_middle_in_proportion(turn):
    photo = PHOTOS["china"]  # 427 x 640
    middle = photo[:, 106:533]
    if turn:
        photo, middle = photo.transpose(1, 0, 2), middle.transpose(1, 0, 2)
    expected = np.asarray(Image.fromarray(middle).resize((128, 128), Image.Resampling.BOX))
    found = fit(photo, size=128, how="crop")
    assert _near(found, expected, levels=4)
    aside = np.roll(photo, 60, axis=0 if turn else 1)
    assert not _near(fit(aside, size=128, how="crop"), expected, levels=20)


def test_squash_shows_the_whole_photo_out_of_proportion():
    photo = PHOTOS["china"]
    expected = np.asarray(Image.fromarray(photo).resize((128, 128), Image.Resampling.BOX))
    assert _near(fit(photo, size=128, how="squash"), expected, levels=3)


@pytest.mark.parametrize("turn", [False, True], ids=["landscape", "portrait"])
def test_pad_shows_the_whole_photo_in_proportion_with_mirrored_borders(turn):
    photo = PHOTOS["coffee"]  # 400 x 600
    found = fit(photo.transpose(1, 0, 2) if turn else photo, size=150, how="pad")
    if turn:
        found = found.transpose(1, 0, 2)
    expected = np.asarray(Image.fromarray(photo).resize((150, 100), Image.Resampling.BOX))
    assert _near(found[25:125], expected, levels=3)
    np.testing.assert_array_equal(found[:25], found[25:50][::-1])
    np.testing.assert_array_equal(found[125:], found[100:125][::-1])


def test_pad_fills_a_long_strip_too():
    strip = PHOTOS["rocket"][200:210]  # 10 x 640: the mirror image itself must be mirrored, many times
    found = fit(strip, size=64, how="pad")
    assert found.shape == (64, 64, 3)
    assert np.abs(found[0].astype(int) - found[32]).max() < 60
    assert found.any(axis=(1, 2)).all()


def test_a_photo_of_the_size_already_is_left_as_it_is():
    photo = PHOTOS["chelsea"][:64, :64]
    for how in ("crop", "squash", "pad"):
        np.testing.assert_array_equal(fit(photo, size=64, how=how), photo)


# Rotation


def _turned(photo: np.ndarray, *, degrees: float, size: int) -> np.ndarray:
    return rotate(shrink(photo, size=size), degrees=degrees, border="inner")


@pytest.mark.parametrize("shape", [(300, 451), (451, 300), (512, 512), (200, 600), (129, 131), (65, 300)])
@pytest.mark.parametrize("how", ["crop", "squash"])
@pytest.mark.parametrize("border", ["inner", "reflect"])
def test_no_rotation_leaves_dark_corners(shape, how, border):
    white = np.full((*shape, 3), 255, np.uint8)
    darkest = {}
    for degrees in (*range(-45, 46, 5), -44.9, -0.1, 0.1, 3.3, 44.9):
        turned = rotate(shrink(white, size=128), degrees=float(degrees), border=border)
        turned = fit(turned, size=128, how=how)
        assert turned.shape == (128, 128, 3)
        darkest[degrees] = int(turned.min())
    dark = {degrees: level for degrees, level in darkest.items() if level <= 250}
    assert dark == {}, "darkest level of a white photo, by degrees"


@pytest.mark.parametrize("degrees", [-45.0, -20.0, -7.0, 7.0, 20.0, 45.0])
@pytest.mark.parametrize("name", ["astronaut", "china"])
def test_positive_degrees_turn_counterclockwise_by_that_much(name, degrees):
    photo = PHOTOS[name][:427, :427]
    turned = fit(_turned(photo, degrees=degrees, size=128), size=128, how="crop")
    side = int(427 / (np.cos(np.radians(abs(degrees))) + np.sin(np.radians(abs(degrees)))))
    edge = (427 - side) // 2

    def by_pillow(angle):  # Pillow turns counterclockwise
        whole = Image.fromarray(photo).rotate(angle, Image.Resampling.BICUBIC)
        inner = whole.crop((edge, edge, edge + side, edge + side))
        return np.asarray(inner.resize((128, 128), Image.Resampling.BOX)).astype(float)

    off = {angle: np.abs(by_pillow(angle) - turned).mean() for angle in (degrees, 0, -degrees)}
    assert off[degrees] < 12  # half a pixel to either side, in a photo full of detail
    assert off[degrees] < 0.5 * min(off[0], off[-degrees])


def test_a_mirrored_photo_turned_the_other_way_is_the_mirrored_result():
    photo = PHOTOS["china"]
    turned = fit(_turned(photo, degrees=12.0, size=96), size=96, how="crop")
    mirrored = fit(_turned(photo[:, ::-1].copy(), degrees=-12.0, size=96), size=96, how="crop")
    assert _near(mirrored[:, ::-1], turned, levels=10)
    assert not _near(mirrored, turned, levels=30)


def test_angles_are_within_range_evenly_spread_and_the_same_for_ever():
    drawn = np.array([angles(_digest(str(photo))[:16], copies=3, max_degrees=15.0) for photo in range(1000)])
    assert np.abs(drawn).max() <= 15
    assert np.abs(drawn).max() > 14
    assert abs(drawn.mean()) < 0.6
    assert drawn.std() == pytest.approx(30 / 12**0.5, rel=0.05)
    assert (drawn == drawn.round(1)).all()
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert abs(np.corrcoef(drawn[:, one], drawn[:, other])[0, 1]) < 0.1
    # Written down: another figure here means that every prepared data set changes.
    assert angles("0123456789abcdef", copies=3, max_degrees=15.0) == [-13.3, 6.2, 5.9]
    assert angles("0123456789abcdef", copies=2, max_degrees=15.0) == [-13.3, 6.2]
    assert angles("0123456789abcdef", copies=0, max_degrees=15.0) == []


# The split


def _verdicts(count: int, *, start: int = 0, prefix: str = "p") -> pd.DataFrame:
    """``count`` photos, each a group of its own, as the filter stage writes them."""
    checksums = [_digest(f"{prefix}{number}") for number in range(start, start + count)]
    return pd.DataFrame(
        {
            "file": [f"q/{checksum[:16]}.jpg" for checksum in checksums],
            "query": "q",
            "verdict": "kept",
            "reason": "",
            "group": [checksum[:16] for checksum in checksums],
            "sha256": checksums,
            "photograph": "",
            "split": "",
        }
    )


def _in_groups(table: pd.DataFrame, sizes: list[int]) -> pd.DataFrame:
    """Join neighboring photos to groups of ``sizes``, all but the first of each rejected as duplicates."""
    table = table.iloc[: sum(sizes)].copy()
    number = np.repeat(np.arange(len(sizes)), sizes)
    table["group"] = table.groupby(number)["sha256"].transform("min").str[:16]
    first = ~pd.Series(number).duplicated().to_numpy()
    table["verdict"] = np.where(first, "kept", "rejected")
    table["reason"] = np.where(first, "", "near duplicate of another")
    return table


def _split(table: pd.DataFrame, salt: str = "gray", val: float = 0.1, test: float = 0.1) -> pd.Series:
    found = split(table, salt=salt, val_fraction=val, test_fraction=test)
    return pd.Series(found.to_numpy(), index=table["sha256"].to_numpy())


@pytest.mark.parametrize(("val", "test"), [(0.1, 0.1), (0.2, 0.05), (0.05, 0.4)])
@pytest.mark.parametrize("salt", ["gray", "another", ""])
def test_the_fractions_are_roughly_met(val, test, salt):
    shares = _split(_verdicts(2000), salt, val, test).value_counts(normalize=True)
    # Three deviations of a draw of 2,000.
    for name, wanted in (("val", val), ("test", test), ("train", 1 - val - test)):
        assert shares[name] == pytest.approx(wanted, abs=3 * (wanted * (1 - wanted) / 2000) ** 0.5)


def test_another_salt_draws_another_split():
    table = _verdicts(500)
    same = (_split(table) == _split(table, "other")).mean()
    assert same == pytest.approx(0.8**2 + 2 * 0.1**2, abs=0.07)
    assert (_split(table) == _split(table)).all()


def test_no_group_is_on_two_sides_and_photos_without_a_group_on_none():
    sizes = np.random.default_rng(0).integers(1, 6, 200).tolist()
    table = _in_groups(_verdicts(1200), sizes)
    lost = table.index[:10]
    table.loc[lost, ["group", "verdict", "reason"]] = ["", "rejected", "gray"]
    found = split(table, salt="gray", val_fraction=0.2, test_fraction=0.2)
    assert (found[lost] == "").all()
    rest = table.drop(lost).assign(split=found)
    assert set(rest["split"]) == set(SPLITS)
    assert (rest.groupby("group")["split"].nunique() == 1).all()


def test_crops_of_one_photograph_are_on_the_side_of_the_photograph_however_many_they_are():
    def side(crops: int, photograph: str) -> set[str]:
        table = _verdicts(crops, prefix=photograph).assign(photograph=photograph)
        table["group"] = table["sha256"].min()[:16]
        return set(_split(table))

    sides = []
    for number in range(150):
        few, many = side(1, f"photograph {number}"), side(12, f"photograph {number}")
        assert few == many
        sides += few
    # Were each crop a draw of its own, 12 of them would go to test with 72 %.
    assert sides.count("test") < 30


@pytest.mark.parametrize("salt", ["gray", "blue", "1"])
def test_every_photo_keeps_its_side_when_200_others_come(salt):
    sizes = np.random.default_rng(1).integers(1, 4, 150).tolist()
    before = _in_groups(_verdicts(600), sizes)
    others = _in_groups(_verdicts(400, start=10_000), np.random.default_rng(2).integers(1, 4, 100).tolist())
    after = pd.concat([before, others.iloc[:200]]).sample(frac=1, random_state=3).reset_index(drop=True)
    was, now = _split(before, salt), _split(after, salt)
    assert len(now) == len(was) + 200
    assert (now[was.index] == was).all()
    assert set(was) == set(SPLITS)


def test_a_photo_keeps_its_side_when_others_go():
    table = _verdicts(400)
    assert (_split(table.iloc[::2]) == _split(table)[table["sha256"].iloc[::2]]).all()


def test_joining_two_groups_moves_photos_only_toward_test():
    table = _verdicts(400)
    was = _split(table)
    order = {"train": 0, "val": 1, "test": 2}
    joined = _in_groups(table, [2] * 200)
    now = _split(joined)
    moves = [(order[was[checksum]], order[now[checksum]]) for checksum in was.index]
    assert all(after >= before for before, after in moves)
    assert any(after > before for before, after in moves)
    for number in range(200):
        pair = was.iloc[2 * number : 2 * number + 2]
        assert set(now[pair.index]) == {max(pair, key=order.get)}


def test_a_near_copy_that_joins_a_group_never_moves_it_back_from_test():
    table = _verdicts(300)
    was = _split(table)
    copies = _verdicts(300, prefix="copy").assign(group=table["group"], verdict="rejected", reason="near")
    now = _split(pd.concat([table, copies], ignore_index=True))
    assert (now[was.index[was == "test"]] == "test").all()
    # Nor does the larger copy that is kept in place of the first.
    swapped = pd.concat([table.assign(verdict="rejected"), copies.assign(verdict="kept")], ignore_index=True)
    assert (_split(swapped) == now).all()


# The stage


@pytest.fixture(scope="module")
def collection(tmp_path_factory) -> tuple[pd.DataFrame, Path]:
    """80 small pieces of six photographs of odd sizes, and the verdicts on them: groups of one and two."""
    raw = tmp_path_factory.mktemp("raw")
    rows, rng = [], np.random.default_rng(4)
    for number in range(80):
        photo = PHOTOS[sorted(PHOTOS)[number % 6]]
        height, width = (int(side) for side in rng.integers(40, 90, 2))
        top, left = (int(rng.integers(0, limit - 90)) for limit in photo.shape[:2])
        _, encoded = cv2.imencode(".png", photo[top : top + height, left : left + width, ::-1])
        content = encoded.tobytes()
        checksum = hashlib.sha256(content).hexdigest()
        query = f"query {number % 3}"
        file = f"{query}/{checksum[:16]}.png"
        (raw / query).mkdir(exist_ok=True)
        (raw / file).write_bytes(content)
        rows.append((file, query, checksum))
    table = pd.DataFrame(rows, columns=["file", "query", "sha256"])
    table["photograph"] = table["split"] = ""
    number = np.where(table.index < 40, table.index // 2, table.index)  # the first forty are pairs
    table["group"] = table.groupby(number)["sha256"].transform("min").str[:16]
    table["verdict"], table["reason"] = "kept", ""
    table.loc[[1, 3, 79], "verdict"] = "rejected"
    return table.sort_values("file", ignore_index=True), raw


def _run(collection, folder: Path, params: Params = PARAMS, *, workers: int = 1) -> pd.DataFrame:
    """Prepare ``collection`` in the new folder ``folder`` with an empty cache; return the index."""
    verdicts, raw = collection
    folder.mkdir()
    (folder.parent / f"{folder.name} cached").mkdir()
    cached = folder.parent / f"{folder.name} cached"
    return build.run(params, verdicts, raw, folder, cached=cached, workers=workers).index


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="module")
def prepared(collection, tmp_path_factory) -> tuple[Path, pd.DataFrame]:
    """The folder that the stage made of the collection, and its index as the next stage reads it."""
    folder = tmp_path_factory.mktemp("data") / "prepared"
    _run(collection, folder)
    return folder, tables.read_table(folder / "index.csv", made_by="prepare")


def test_the_index_lists_every_file_and_the_digest_of_its_bytes(prepared):
    folder, index = prepared
    assert list(index.columns) == build.INDEX
    assert index["file"].is_monotonic_increasing
    contents = _contents(folder)
    assert set(index["file"]) == set(contents) - {"index.csv"}
    for row in index.itertuples():
        assert str(row.digest) == hashlib.sha256(contents[row.file]).hexdigest()[:16]
        assert row.file.startswith(f"{row.split}/{row.photo}")


def test_the_index_links_every_file_to_its_photo_query_and_group(prepared, collection):
    folder, index = prepared
    verdicts, raw = collection
    kept = verdicts[verdicts["verdict"] == "kept"]
    assert set(index["photo"]) == set(kept["sha256"].str[:16])
    origin = kept.set_index(kept["sha256"].str[:16])
    for row in index.itertuples():
        assert (row.query, row.group) == tuple(origin.loc[row.photo, ["query", "group"]])
    for row in index[index["copy"] == 0].iloc[::9].itertuples():
        expected = fit(photos.read_rgb(raw / origin.loc[row.photo, "file"]), size=32, how="crop")
        assert _near(photos.read_rgb(folder / row.file), expected, levels=4)


def test_every_prepared_photo_has_the_size_and_full_color_resolution(prepared):
    folder, index = prepared
    for file in index["file"]:
        with Image.open(folder / file) as image:
            assert (image.format, image.size, image.mode) == ("JPEG", (32, 32), "RGB")
            assert {layer[1:3] for layer in image.layer} == {(1, 1)}


def test_rotated_copies_are_in_train_only_and_as_many_as_asked_for(prepared):
    _, index = prepared
    copies = index.groupby(["split", "photo"])["copy"].apply(lambda numbers: sorted(numbers))
    assert all(numbers == [0, 1, 2] for numbers in copies["train"])
    assert all(numbers == [0] for name in ("val", "test") for numbers in copies[name])
    assert (index.loc[index["copy"] == 0, "rotation"] == 0).all()
    turned = index[index["copy"] > 0]
    assert turned["rotation"].abs().max() <= 15
    assert turned["rotation"].nunique() > 10
    for row in turned.itertuples():
        assert row.rotation == angles(row.photo, copies=2, max_degrees=15.0)[row.copy - 1]
        assert row.file == f"train/{row.photo}_r{row.copy}.jpg"


def test_a_rotated_copy_shows_its_photo_turned_by_the_angle_in_the_index(prepared, collection):
    folder, index = prepared
    verdicts, raw = collection
    files = verdicts.set_index(verdicts["sha256"].str[:16])["file"]
    turned = index[index["rotation"].abs() > 8]
    assert len(turned) > 10
    for row in turned.iloc[:10].itertuples():
        original = photos.read_rgb(raw / files[row.photo])
        expected = fit(_turned(original, degrees=row.rotation, size=32), size=32, how="crop")
        found = photos.read_rgb(folder / row.file)
        assert _near(found, expected, levels=5)
        assert not np.array_equal(found, photos.read_rgb(folder / f"train/{row.photo}.jpg"))


def test_no_group_of_the_prepared_photos_is_on_two_sides(prepared):
    _, index = prepared
    assert (index.groupby("group")["split"].nunique() == 1).all()
    assert index.groupby("group")["photo"].nunique().max() > 1
    assert set(index["split"]) == set(SPLITS)


def test_preparing_twice_gives_the_same_bytes_whatever_the_processes_and_row_order(
    prepared, collection, tmp_path, monkeypatch
):
    monkeypatch.setattr(processes, "START_SECONDS", 0)  # else so few are worked on without processes
    folder, _ = prepared
    verdicts, raw = collection
    expected = _contents(folder)
    _run(collection, tmp_path / "again")
    assert _contents(tmp_path / "again") == expected
    _run(collection, tmp_path / "two", workers=2)
    assert _contents(tmp_path / "two") == expected
    shuffled = verdicts.sample(frac=1, random_state=0)
    _run((shuffled, raw), tmp_path / "shuffled")
    assert _contents(tmp_path / "shuffled") == expected


def test_without_rotated_copies_only_the_photos_themselves_are_there(prepared, collection, tmp_path):
    _, index = prepared
    found = _run(collection, tmp_path / "none", _with(rotated_copies=0))
    assert (found["copy"] == 0).all()
    originals = index[index["copy"] == 0]
    assert found["digest"].tolist() == originals["digest"].tolist()


def test_more_copies_leave_those_before_as_they_were(prepared, collection, tmp_path):
    _, index = prepared
    found = _run(collection, tmp_path / "more", _with(rotated_copies=3))
    again = found[found["copy"] < 3].reset_index(drop=True)
    for column in ("file", "digest"):
        assert again[column].tolist() == index[column].tolist()
    assert (found["copy"] == 3).sum() == (index["copy"] == 1).sum()


@pytest.mark.parametrize("how", ["squash", "pad"])
def test_the_other_ways_to_fit_reach_the_files(how, collection, tmp_path):
    verdicts, raw = collection
    index = _run(collection, tmp_path / how, _with(fit=how, rotated_copies=0, photo_size=48))
    row = index.iloc[0]
    file = verdicts.set_index(verdicts["sha256"].str[:16])["file"][row["photo"]]
    expected = fit(photos.read_rgb(raw / file), size=48, how=how)
    assert _near(photos.read_rgb(tmp_path / how / row["file"]), expected, levels=4)


def test_a_lower_quality_makes_smaller_files(collection, tmp_path):
    sizes = []
    for quality in (60, 100):
        _run(collection, tmp_path / str(quality), _with(jpeg_quality=quality, rotated_copies=0))
        sizes.append(sum(map(len, _contents(tmp_path / str(quality)).values())))
    assert sizes[0] < 0.7 * sizes[1]


def test_too_few_groups_are_refused_with_the_splits_that_would_be_empty(collection, tmp_path):
    verdicts, raw = collection
    sides = split(verdicts, salt="gray", val_fraction=0.2, test_fraction=0.2)
    for lacking in (["val"], ["train"], ["val", "test"]):
        few = verdicts[~sides.isin(lacking)]
        folder = tmp_path / "-".join(lacking)
        with pytest.raises(UngrayError) as caught:
            _run((few, raw), folder)
        message = str(caught.value)
        assert f"{' and '.join(lacking)} would be empty" in message
        groups = few.loc[few["verdict"] == "kept", "group"].nunique()
        assert message.startswith(f"{groups} groups")
        assert "prepare.val_fraction" in message
        assert "\n" not in message
        assert _contents(folder) == {}


def test_a_split_that_holds_only_rejected_photos_is_empty(collection, tmp_path):
    verdicts, raw = collection
    sides = split(verdicts, salt="gray", val_fraction=0.2, test_fraction=0.2)
    rejected = verdicts.assign(verdict=verdicts["verdict"].where(sides != "test", "rejected"))
    with pytest.raises(UngrayError, match="test would be empty"):
        _run((rejected, raw), tmp_path / "prepared")


@pytest.mark.parametrize("harm", ["missing", "truncated"])
def test_a_photo_that_became_unreadable_is_named_with_the_way_out(harm, collection, tmp_path):
    verdicts, raw = collection
    file = verdicts.loc[verdicts["verdict"] == "kept", "file"].iloc[5]
    copy = tmp_path / "raw"
    for name, content in _contents(raw).items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(content)
    if harm == "missing":
        (copy / file).unlink()
    else:
        (copy / file).write_bytes((raw / file).read_bytes()[:200])
    with pytest.raises(UngrayError) as caught:
        _run((verdicts, copy), tmp_path / "prepared")
    assert str(copy / file) in str(caught.value)
    assert "dvc repro" in str(caught.value)
