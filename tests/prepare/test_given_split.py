"""Data sets that bring their own split, alone and mixed with photos that have none."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from stages.prepare.split import SPLITS, split
from ungray.errors import UngrayError

ORDER = {name: number for number, name in enumerate(SPLITS)}


def table(*rows, prefix="p"):
    """Kept photos, one for each (group, given side)."""
    checksums = [hashlib.sha256(f"{prefix}{number}".encode()).hexdigest() for number in range(len(rows))]
    found = pd.DataFrame(rows, columns=["group", "split"])
    return found.assign(sha256=checksums, photograph="", verdict="kept")


def sides(verdicts, *, salt="gray", val=0.1, test=0.1):
    found = split(verdicts, salt=salt, val_fraction=val, test_fraction=test)
    return pd.Series(found.to_numpy(), index=verdicts["sha256"].to_numpy())


def alone(count, given, prefix="p"):
    """``count`` photos, each a group of its own, all given to one side."""
    return table(*[(f"{prefix}{number}", given) for number in range(count)], prefix=prefix)


def mixed(seed, count=400):
    """Photos of all kinds in groups of one to four, in any order."""
    rng = np.random.default_rng(seed)
    groups = [f"g{number}" for number in rng.integers(0, count // 2, count)]
    return table(
        *zip(groups, rng.choice(["", "train", "val", "test"], count), strict=True), prefix=f"{seed}/"
    )


def test_photos_stay_where_their_data_set_has_them():
    verdicts = pd.concat([alone(200, given, prefix=given) for given in SPLITS], ignore_index=True)
    assert (sides(verdicts) == verdicts["split"].to_numpy()).all()
    assert (sides(verdicts, salt="other", val=0.4, test=0.4) == verdicts["split"].to_numpy()).all()


def test_the_test_photo_wins_and_its_train_twin_is_left_out():
    found = sides(table(("a", "test"), ("a", "train"), ("b", "train"), ("c", "val"), ("c", "train")))
    assert found.tolist() == ["test", "", "train", "val", ""]


def test_a_val_twin_of_a_test_photo_is_left_out():
    assert sides(table(("a", "val"), ("a", "test"))).tolist() == ["", "test"]


def test_photos_with_no_side_follow_the_given_test_photo_of_their_group():
    verdicts = table(*[(f"g{number}", given) for number in range(100) for given in ("test", "")])
    assert (sides(verdicts) == "test").all()


def test_a_given_test_photo_that_was_rejected_as_a_duplicate_still_keeps_its_train_twin_out():
    verdicts = table(("a", "test"), ("a", "train"))
    verdicts.loc[0, "verdict"] = "rejected"
    assert sides(verdicts).tolist() == ["test", ""]


def test_val_is_drawn_from_given_train_photos_where_none_is_given_and_test_never():
    train, test = alone(3000, "train", prefix="a"), alone(300, "test", prefix="b")
    found = sides(pd.concat([train, test], ignore_index=True), val=0.1, test=0.2)
    drawn = found[train["sha256"]]
    assert set(drawn) == {"train", "val"}
    assert (drawn == "val").mean() == pytest.approx(0.1, abs=0.02)
    assert (found[test["sha256"]] == "test").all()


def test_given_train_photos_that_are_alike_go_to_a_drawn_val_together():
    verdicts = table(*[(f"g{number // 3}", "train") for number in range(600)], ("t", "test"))
    found = sides(verdicts, val=0.2)
    by_group = found.groupby(verdicts["group"].to_numpy())
    assert (by_group.nunique() == 1).all()
    assert set(found) == {"train", "val", "test"}, "none is left out"


def test_given_val_photos_leave_all_of_train_to_train():
    verdicts = pd.concat([alone(500, "train", "a"), alone(1, "val", "b"), alone(1, "test", "c")])
    assert (sides(verdicts).iloc[:500] == "train").all()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("sides_given", [("train", "val", "test"), ("train", "test"), ("test",), ("train",)])
def test_mixed_collections_do_not_leak_and_no_given_photo_is_seen_on_another_side(seed, sides_given):
    verdicts = mixed(seed)
    verdicts["split"] = verdicts["split"].where(verdicts["split"].isin(sides_given), "")
    found = verdicts.assign(found=sides(verdicts, val=0.2, test=0.2).to_numpy())
    used = found[found["found"] != ""]
    assert (used.groupby("group")["found"].nunique() == 1).all()
    given = used[used["split"] != ""]
    elsewhere = given[given["found"] != given["split"]]
    if "val" in sides_given:
        assert elsewhere.empty
    else:  # then val is drawn from train
        assert set(elsewhere["split"]) <= {"train"}
        assert set(elsewhere["found"]) <= {"val"}
    assert (found.loc[found["split"] == "test", "found"] == "test").all()
    assert (found.loc[found["split"] == "", "found"] != "").all(), "only a given side leaves a photo out"


@pytest.mark.parametrize("seed", range(20))
def test_a_photo_keeps_its_side_as_a_mixed_collection_grows_or_moves_toward_test(seed):
    everything = mixed(seed, count=600)
    now = sides(everything)
    order = np.random.default_rng(seed).permutation(len(everything))
    some = everything.iloc[np.sort(order[:300])]
    was = sides(some)
    for checksum, before in was.items():
        after = now[checksum]
        assert before == after or after == "" or ORDER[after] > ORDER.get(before, 2), (before, after)
    apart = everything[~everything["group"].isin(everything.drop(some.index)["group"])]["sha256"]
    assert len(apart)
    assert (now[apart] == was[apart]).all(), "a group that no new photo joins stays as it was"


def test_the_order_of_rows_changes_nothing():
    verdicts = mixed(3)
    shuffled = verdicts.sample(frac=1, random_state=0)
    assert (sides(shuffled)[verdicts["sha256"]] == sides(verdicts)).all()


@pytest.mark.parametrize("given", ["training", "Test", "0", " val"])
def test_an_unknown_side_is_named(given):
    with pytest.raises(UngrayError, match=rf"split '{given}' is none of train, val, test; run `dvc repro"):
        sides(table(("a", "test"), ("b", given)))


# The stage


def test_the_stage_says_how_many_photos_it_left_out_and_they_are_nowhere(collection):
    verdicts = collection.verdicts
    verdicts["split"] = ["test"] * 5 + ["val"] * 5 + ["train"] * 34
    twins = verdicts.index[10:13]
    verdicts.loc[twins, "group"] = verdicts.loc[0, "group"]
    built = collection.prepare()
    assert built.left_out == 3
    assert built.index["photo"].nunique() == 41
    assert not set(built.index["photo"]) & set(verdicts.loc[twins, "sha256"].str[:16])
    counts = built.index[built.index["copy"] == 0]["split"].value_counts()
    assert counts.to_dict() == {"train": 31, "val": 5, "test": 5}
    assert not {name.split("/")[-1][:16] for name in collection.prepared()} & set(
        verdicts.loc[twins, "sha256"].str[:16]
    )


def test_a_data_set_that_gives_train_alone_lacks_test(collection):
    collection.verdicts["split"] = "train"
    with pytest.raises(UngrayError, match="test would be empty"):
        collection.prepare(val_fraction=0.3)
