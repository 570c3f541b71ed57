import numpy as np
import pytest

from stages.evaluate.methods import mean_ab
from stages.evaluate.run import run
from stages.storage.shards import Shards
from stages.storage.tables import read_table
from ungray.errors import UngrayError
from ungray.imaging import metrics, photos
from ungray.imaging.color import rgb_to_lab
from ungray.imaging.upsampling import gray_photo
from ungray.networks import Model
from ungray.provenance import kept_nothing


def test_every_test_photo_is_judged_for_the_model_the_base_gray_and_the_mean_color(found, index):
    test = set(index.loc[index["split"] == "test", "file"])
    assert set(found.photos["method"]) == {"model", "base", "gray", "mean_ab"}
    for _, rows in found.photos.groupby("method"):
        assert set(rows["file"]) == test
        assert len(rows) == len(test)


def test_grays_figures_are_those_of_the_gray_photo(found, prepared, index, means):
    truths = [photos.read_rgb(prepared / file) for file in index.loc[index["split"] == "test", "file"]]
    judged = [metrics.judge(gray_photo(truth), truth) for truth in truths]
    gray = means(found, "gray")
    for figure in ("psnr", "ssim", "ciede2000", "ab_mae", "l1", "mse", "histogram_distance"):
        assert gray[figure] == pytest.approx(np.mean([photo[figure] for photo in judged]), rel=1e-4)
    assert gray["colorfulness_ratio"] < 0.01


def test_only_the_network_has_figures_of_its_own_raw_output(found, means):
    assert means(found, "model")["raw_l1"] > 0
    assert means(found, "model")["raw_mse"] > 0
    assert "raw_l1" not in means(found, "gray")
    assert "raw_l1" not in means(found, "base")


def test_the_mean_color_is_that_of_the_train_photos_without_their_copies(prepared, index):
    train = index[(index["split"] == "train") & (index["copy"] == 0)]
    pixels = np.concatenate(
        [rgb_to_lab(photos.read_rgb(prepared / file))[..., 1:].reshape(-1, 2) for file in train["file"]]
    )
    assert mean_ab(train, prepared) == pytest.approx(pixels.mean(axis=0), abs=1e-3)


def test_photos_in_shards_have_the_mean_color_of_loose_ones_to_the_last_digit(prepared, packed):
    folder = packed(5)
    every = read_table(folder / "index.csv", made_by="prepare").query("split == 'train'")
    train = every[every["copy"] == 0]
    assert (mean_ab(train, folder, shards=Shards(every, str(folder))) == mean_ab(train, prepared)).all()


def test_the_mean_color_is_the_same_in_every_photo(found, prepared, index):
    file = index.loc[index["split"] == "test", "file"].iloc[0]
    gray = gray_photo(photos.read_rgb(prepared / file))
    lightness = rgb_to_lab(gray)[..., 0]
    lab = rgb_to_lab(found.methods["mean_ab"](gray))
    assert np.abs(lab[..., 0] - lightness).max() < 1
    middle = (lightness > 40) & (lightness < 70)  # where the gamut is wide
    assert lab[middle][:, 1:].std(axis=0) == pytest.approx([0, 0], abs=0.5)


def test_ab_histograms_are_shares_of_all_pixels_and_gray_has_one_color(found):
    assert set(found.histograms) == {"model", "base", "gray", "mean_ab", "truth"}
    for histogram in found.histograms.values():
        assert histogram.sum() == pytest.approx(1)
    assert (found.histograms["truth"] > 0).sum() > 20
    assert found.histograms["gray"][10:12, 10:12].sum() + found.histograms["gray"][9:11, 9:11].sum() >= 1


def test_one_test_photo_and_no_base_are_judged_too(tiny, prepared, index, model, pixels):
    one = index[
        (index["split"] != "test") | (index["file"] == index.query("split == 'test'")["file"].iloc[0])
    ]
    found = run(tiny["evaluate"], model, None, index=one, pixels=pixels, prepared=prepared)
    assert found.metrics["photos"] == found.metrics["groups"] == 1
    assert found.metrics["verdict"] == "too few photos to tell"
    assert found.figures[["mean_low", "minus_gray_low"]].isna().all(axis=None), "one group has no interval"
    assert "base" not in set(found.figures["method"])
    assert "verdict_beside_base" not in found.metrics
    assert len(found.said) == 2, "a verdict, and what was left out"


def test_no_test_photo_is_said_in_a_sentence(tiny, prepared, index, model, pixels):
    none = index[index["split"] != "test"]
    with pytest.raises(UngrayError, match="no test photo"):
        run(tiny["evaluate"], model, None, index=none, pixels=pixels, prepared=prepared)


def test_photos_that_the_base_was_trained_on_do_not_judge(tiny, prepared, index, model, base, pixels):
    test = (index["split"] == "test") & (index["copy"] == 0)
    first = index.index[test][0]
    marked = index.assign(base_knows=np.where(test, "no", ""))
    marked.loc[first, "base_knows"] = "yes"
    found = run(tiny["evaluate"], model, base, index=marked, pixels=pixels, prepared=prepared)
    assert set(found.photos["file"]) == set(index.loc[test, "file"]) - {index.loc[first, "file"]}
    assert found.metrics["photos"] == test.sum() - 1
    assert found.metrics["known_to_base"] == 1
    assert found.said[-1].startswith(f"left out 1 of {test.sum()} test photos")


def test_which_photos_the_base_knows_may_be_none_or_unknown(tiny, prepared, index, model, pixels):
    def left_out(rows):
        found = run(tiny["evaluate"], model, None, index=rows, pixels=pixels, prepared=prepared)
        return found.metrics.get("known_to_base"), found.said[-1]

    tests = ((index["split"] == "test") & (index["copy"] == 0)).sum()
    none = f"the base model was trained on none of the {tests} test photos"
    assert left_out(index.assign(base_knows=index["split"].map({"test": "no"}).fillna(""))) == (0, none)
    unknown = "it is not known which test photos the base model was trained on: its folder has no hashes"
    assert left_out(index.assign(base_knows="")) == (None, unknown)
    assert left_out(index.drop(columns="base_knows")) == (None, unknown)


def test_if_the_base_knows_all_test_photos_none_can_judge(tiny, prepared, index, model, pixels):
    with pytest.raises(UngrayError, match=r"trained on all \d+ test photos"):
        run(
            tiny["evaluate"], model, None,
            index=index.assign(base_knows="yes"), pixels=pixels, prepared=prepared,
        )  # fmt: skip


def test_a_models_verdict_beside_itself_cannot_be_better_or_worse(tiny, prepared, index, model, pixels):
    params = tiny["evaluate"].model_copy(update={"min_groups": 2})
    found = run(params, model, model, index=index, pixels=pixels, prepared=prepared)
    assert found.metrics["verdict_beside_base"] == "can't tell"
    row = found.figures.set_index(["figure", "method"]).loc[("ciede2000", "model")]
    assert row[["minus_base", "minus_base_low", "minus_base_high"]].tolist() == [0, 0, 0]
    assert found.said[1].startswith("the same as the base model: CIEDE2000 ")


def test_a_model_whose_training_kept_nothing_is_called_that_first(tiny, prepared, index, model, pixels):
    unchanged = {"epoch": 0, "epochs": 2, "watch": "ciede2000", "before": 9.7, "best": 9.9}
    idle = Model(model.network, {"start": {"new": []}, "unchanged": unchanged})
    found = run(tiny["evaluate"], idle, model, index=index, pixels=pixels, prepared=prepared)
    assert found.said[0] == kept_nothing(idle.provenance)
    assert found.said[0].startswith("this is the base model, unchanged: training kept nothing, since")
    assert len(found.said) == 4
    assert found.metrics["model_is"] == "the base model, unchanged"
