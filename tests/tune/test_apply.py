import shutil
from pathlib import Path

import pytest

from stages.tune.apply import apply
from ungray.errors import UngrayError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def params(tmp_path):
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path))


def best(tmp_path, text):
    path = tmp_path / "best.yaml"
    path.write_text(text)
    return path


def test_only_the_values_change_and_every_comment_stays(params, tmp_path):
    before = params.read_text().splitlines()
    overlay = best(
        tmp_path,
        "train:\n  batch_size: 64\n  lr: 2e-05\n  shuffle: false\n  lab_autoencoder:\n    filters: 512\n",
    )
    changes = apply(overlay, params)
    after = params.read_text().splitlines()
    assert len(before) == len(after)
    changed = {old: new for old, new in zip(before, after, strict=True) if old != new}
    assert {new.split(":")[0].strip() for new in changed.values()} == {
        "batch_size",
        "lr",
        "shuffle",
        "filters",
    }
    for old, new in changed.items():
        assert old.partition("#")[2] == new.partition("#")[2] != ""
    assert changes == [
        "train.batch_size: 30 -> 64",
        "train.lr: 3e-05 -> 2e-05",
        "train.shuffle: true -> false",
        "train.lab_autoencoder.filters: 256 -> 512",
    ]
    assert apply(overlay, params) == []


def test_a_list_keeps_its_style_and_comment(params, tmp_path):
    changes = apply(best(tmp_path, "train:\n  degradation_effects: [blur, grain]\n"), params)
    assert changes == [
        "train.degradation_effects: ['sepia', 'blur', 'grain', 'fading', 'borders', 'scratches'] -> "
        "['blur', 'grain']"
    ]
    (line,) = [line for line in params.read_text().splitlines() if "degradation_effects" in line]
    assert "[blur, grain]  " in line
    assert "#" in line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train:\n  batch_size: many\n", "does not fit"),
        ("train:\n  momentum: 0.9\n", "sets train.momentum, which"),
        ("train:\n  lr:\n    low: 1\n", "sets train.lr.low, which"),
        ("train: [", "is damaged"),
        ("3", "is damaged"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_file_stays(params, tmp_path, text, words):
    before = params.read_bytes()
    with pytest.raises(UngrayError, match=words) as caught:
        apply(best(tmp_path, text), params)
    assert "\n" not in str(caught.value)
    assert params.read_bytes() == before


def test_without_a_best_trial_it_says_how_to_make_one(params, tmp_path):
    with pytest.raises(UngrayError, match="no trial is complete; run"):
        apply(tmp_path / "best.yaml", params)
