"""The verdict of a comparison: better, worse, can't tell, too few; and the interval behind it."""

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.evaluate.bootstrap import compare
from stages.evaluate.params import Params
from stages.params import load

SHIPPED = load("evaluate", Params, path=Path(__file__).parents[2] / "params.yaml")


def _compare(differences, groups=None, *, better="lower", min_groups=20, samples=2000, seed=1, weights=None):
    differences = pd.Series(differences)
    groups = [f"g{number}" for number in range(len(differences))] if groups is None else groups
    params = SHIPPED.model_copy(update={"min_groups": min_groups, "bootstrap_samples": samples, "seed": seed})
    return compare(
        differences,
        pd.Series(groups, differences.index),
        better=better,
        params=params,
        weights=None if weights is None else pd.Series(weights, differences.index),
    )


def _draws(mean: float, count: int = 50, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1, count)


@pytest.mark.parametrize(
    ("mean", "side", "word"),
    [(-1, "lower", "better"), (1, "lower", "worse"), (-1, "higher", "worse"), (1, "higher", "better")],
)
def test_a_clear_difference_is_called_better_or_worse_by_the_figures_direction(mean, side, word):
    found = _compare(_draws(mean), better=side)
    assert found.word == word
    assert found.mean == pytest.approx(_draws(mean).mean())
    assert found.low < found.mean < found.high
    assert np.sign(found.low) == np.sign(found.high) == np.sign(mean)
    assert found.groups == 50


def test_a_difference_within_chance_cannot_be_told():
    found = _compare(_draws(0))
    assert found.word == "can't tell"
    assert found.low < 0 < found.high


def test_no_difference_at_all_cannot_be_told():
    found = _compare(np.zeros(30))
    assert (found.word, found.mean, found.low, found.high) == ("can't tell", 0, 0, 0)


def test_with_fewer_groups_than_wanted_there_is_no_verdict_however_clear_the_difference():
    clear = np.full(19, -5.0)
    assert _compare(clear).word == "too few photos to tell"
    assert _compare([*clear, -5.0]).word == "better"
    assert _compare(clear, min_groups=19).word == "better"


def test_many_photos_of_few_groups_are_too_few():
    found = _compare(_draws(-3, 200), [f"g{number % 5}" for number in range(200)])
    assert found.word == "too few photos to tell"
    assert found.groups == 5
    assert found.low < found.high < 0


def test_one_group_has_no_interval():
    found = _compare([-1.0, -2.0], ["a", "a"], min_groups=2)
    assert (found.low, found.high, found.groups, found.word) == (None, None, 1, "too few photos to tell")
    assert found.mean == -1.5


def test_crops_of_one_photograph_do_not_narrow_the_interval():
    photographs = _draws(0, 30)
    photographs += -0.2 - photographs.mean()  # a fifth of a deviation: within chance for 30
    once = _compare(photographs)
    crops = np.repeat(photographs, 40)
    groups = np.repeat([f"g{number}" for number in range(30)], 40)
    cut = _compare(crops, groups)
    assert cut.groups == once.groups == 30
    assert cut.mean == pytest.approx(once.mean)
    assert cut.high - cut.low == pytest.approx(once.high - once.low, rel=0.01)
    # Had the crops been drawn one by one, chance would have looked like proof.
    as_if_independent = _compare(crops)
    assert as_if_independent.high - as_if_independent.low < 0.3 * (cut.high - cut.low)
    assert (once.word, cut.word, as_if_independent.word) == ("can't tell", "can't tell", "better")


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    hits = 0
    for seed in range(200):
        found = _compare(_draws(0.5, 40, seed), samples=300, seed=seed)
        hits += found.low <= 0.5 <= found.high
    assert 180 <= hits <= 199


def test_the_interval_is_near_students_for_many_photos():
    values = _draws(1, 400)
    half = 1.966 * values.std(ddof=1) / 20
    found = _compare(values)
    assert found.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_a_group_of_many_photos_counts_by_its_photos():
    found = _compare([1.0, 1.0, 1.0, -1.0], ["a", "a", "a", "b"], min_groups=2)
    assert found.mean == 0.5
    assert (found.low, found.high) == (-1, 1)


def test_the_same_seed_gives_the_same_interval_and_another_one_nearly():
    values = _draws(-0.3)
    first, again, other = _compare(values), _compare(values), _compare(values, seed=2)
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)
    assert first.low == pytest.approx(other.low, abs=0.1)
    assert first.high == pytest.approx(other.high, abs=0.1)


def test_neither_row_order_nor_group_names_nor_index_change_the_mean_or_the_word():
    values = _draws(-0.6, 40)
    groups = np.array([f"g{number // 2:02}" for number in range(40)])
    order = np.random.default_rng(5).permutation(40)
    first = _compare(values, groups)
    shuffled = _compare(pd.Series(values[order], index=range(100, 140)), groups[order])
    assert first.word == shuffled.word == "better"
    assert shuffled.mean == pytest.approx(first.mean)
    assert (shuffled.low, shuffled.high) == pytest.approx((first.low, first.high))
    assert shuffled.groups == 20


def test_a_figure_without_a_better_side_has_an_interval_and_no_word():
    found = _compare(_draws(1), better="neither")
    assert found.low < 1.2 < found.high
    assert found.word == ""


def test_with_weights_it_is_the_ratio_of_sums_and_its_interval_covers_it():
    truth = np.random.default_rng(3).uniform(10, 50, 200)
    found = _compare(0.4 * truth, better="neither", weights=truth)
    assert (found.mean, found.low, found.high) == pytest.approx((0.4, 0.4, 0.4))
    rough = _compare(0.4 * truth + _draws(0, 200), better="neither", weights=truth)
    assert rough.low < 0.4 < rough.high
    assert rough.mean == pytest.approx((0.4 * truth + _draws(0, 200)).sum() / truth.sum())


def test_many_thousand_groups_are_drawn_in_bounded_memory():
    tracemalloc.start()
    found = _compare(_draws(-0.1, 50_000), samples=200)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.word == "better"
    assert peak < 150e6, "all 200 x 50,000 draws at once would take 240 MB"
