"""params.yaml: the shipped one is right, a wrong one is refused in a sentence, and no key is idle."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest
from dvc_data.hashfile.meta import Meta
from pydantic import ValidationError
from ruamel.yaml import YAML

from stages import params
from stages.evaluate.params import Params as EvaluateParams
from stages.prepare.params import Params as PrepareParams
from stages.train.params import Params as TrainParams
from ungray.errors import UngrayError

ROOT = Path(__file__).parents[1]
SHIPPED = (ROOT / "params.yaml").read_text(encoding="utf-8")
CONTENT = YAML(typ="safe", pure=True).load(SHIPPED)


def _write(path: Path, text: str | bytes) -> Path:
    path = path / "params.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def _with(section: str, key: str, value: str, text: str = SHIPPED) -> str:
    """``text``, the shipped file, with one value replaced, the way a person edits it: in the text."""
    lines, inside, found = [], False, 0
    for line in text.splitlines():
        if line and not line.startswith((" ", "#")):
            inside = line == f"{section}:"
        if inside and line.startswith(f"  {key}:"):
            line, found = f"  {key}: {value}", found + 1
            if key == "queries":
                inside = False
        elif key == "queries" and section == "scrape" and line.startswith("    - "):
            continue
        lines.append(line)
    assert found == 1, f"no {section}.{key} in params.yaml"
    return "\n".join(lines) + "\n"


def _refusal(path: Path) -> str:
    with pytest.raises(UngrayError) as caught:
        params.load_all(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_the_shipped_file_is_right_and_every_section_becomes_its_stages_model():
    loaded = params.load_all(ROOT / "params.yaml")
    assert set(loaded) == set(CONTENT) == {"machine", *params.STAGES}
    for section, keys in CONTENT.items():
        assert loaded[section].model_dump(mode="json") == keys


def test_a_section_is_loaded_as_the_model_asked_for():
    found = params.load("train", TrainParams, path=ROOT / "params.yaml")
    assert isinstance(found, TrainParams)
    assert found.lr == CONTENT["train"]["lr"]
    with pytest.raises(TypeError, match="train"):
        params.load("train", EvaluateParams, path=ROOT / "params.yaml")


def test_checking_the_file_by_hand_says_nothing_if_it_is_right_and_one_line_if_it_is_not(
    tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(ROOT)
    params.main()
    assert capfd.readouterr() == ("", "")
    _write(tmp_path, _with("train", "lr", "fast"))
    wrong = subprocess.run(
        [sys.executable, "-m", "stages.params"],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("error: params.yaml: train.lr = 'fast'")
    assert wrong.stderr.count("\n") == 1


BAD = {
    # wrong type: nothing is taken for what it is not
    ("train", "epochs", '"30"'): "train.epochs = '30' is not allowed: it must be a valid integer",
    ("train", "flip", "1"): "train.flip = 1 is not allowed: it must be a valid boolean",
    ("scrape", "queries", "[flowers, 3]"): "scrape.queries.1 = 3 is not allowed: it must be a valid string",
    # out of range
    ("train", "lr", ".nan"): "train.lr = nan",
    ("prepare", "val_fraction", "0.5"): "prepare.val_fraction = 0.5 is not allowed: it must be less than 0.5",
    ("machine", "workers", "1" + "0" * 400): "machine.workers",  # longer than Python turns into a number
    ("tune", "trials", ""): "tune.trials = None",
    # bad choice
    ("evaluate", "fid", "1"): "evaluate.fid = 1",
    ("train", "loss", "huber"): "train.loss = 'huber' is not allowed: it must be 'l1'",
    ("train", "architecture", "[unet]"): "train.architecture = ['unet'] is not allowed: it must be",
}


def test_all_bad_values_are_refused_at_once_each_with_its_key_itself_and_what_is_allowed(tmp_path):
    text = SHIPPED
    for section, key, value in BAD:
        text = _with(section, key, value, text)
    message = _refusal(_write(tmp_path, text))
    for words in BAD.values():
        assert words in message


# What our own validators refuse; pydantic's own limits are held by the test above.
@pytest.mark.parametrize(
    ("section", "key", "value", "expected"),
    [
        ("train", "working_size", "100", ["= 100", "multiple of 16"]),
        ("scrape", "queries", "[]", ["= []", "at least 1"]),
        ("scrape", "queries", "[sea, sea]", ["= ['sea', 'sea']", "repeated"]),
        ("scrape", "folder", "../elsewhere", ["= '../elsewhere'", "inside the repository"]),
    ],
)
def test_a_value_of_the_right_type_that_makes_no_sense_is_refused(section, key, value, expected, tmp_path):
    message = _refusal(_write(tmp_path, _with(section, key, value)))
    assert f"{section}.{key}" in message
    for words in expected:
        assert words in message


def test_one_bad_channel_is_not_called_a_missing_one(tmp_path):
    message = _refusal(_write(tmp_path, SHIPPED.replace("[48, 96, 192, 384]", "[48, 96, wide, 384]")))
    assert "train.unet.channels.2 = 'wide'" in message
    assert "not 3" not in message


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "    channels: [48, 96, 192, 384]",
            "    channels: [48, 96, 192]",
            ["unet.channels = [48, 96, 192]", "4"],
        ),
        ("    num_layers: 3", "    num_layers: 6", ["lab_autoencoder.num_layers = 6", "5"]),
        ("    downsampling: 2", "    downsampling: 3", ["dense_autoencoder.downsampling = 3", "2, 4 or 8"]),
        ("    channels:", "    chanels:", ["unet.chanels is unknown; did you mean channels?"]),
        ("    filters:", "    width:", ["lab_autoencoder.width is unknown", "known: num_layers, filters"]),
        ("    embedding:", "    embeding:", ["dense_autoencoder.embedding is missing"]),
    ],
)
def test_what_is_wrong_in_an_architectures_own_section_is_named_with_its_whole_key(
    old, new, expected, tmp_path
):
    assert old in SHIPPED
    message = _refusal(_write(tmp_path, SHIPPED.replace(old, new)))
    for words in expected:
        assert words in message
    assert f"train.{expected[0]}" in message


def test_fractions_that_leave_nothing_to_train_on_are_refused_with_both_keys(tmp_path):
    text = _with("prepare", "val_fraction", "0.45").replace("test_fraction: 0.1", "test_fraction: 0.45")
    message = _refusal(_write(tmp_path, text))
    assert "prepare" in message
    assert "val_fraction + test_fraction" in message
    assert "0.8" in message


@pytest.mark.parametrize(
    ("section", "key", "near"),
    [("train", "learning_rate", ""), ("train", "epoch", "epochs"), ("filter", "size", "")],
)
def test_an_unknown_key_is_refused_with_the_one_that_was_meant_or_all_there_are(section, key, near, tmp_path):
    message = _refusal(_write(tmp_path, SHIPPED.replace(f"{section}:\n", f"{section}:\n  {key}: 3\n")))
    assert f"{section}.{key} is unknown" in message
    if near:
        assert f"did you mean {near}?" in message
    else:
        assert all(known in message for known in CONTENT[section])


def test_a_misspelt_key_is_named_as_unknown_and_the_right_one_as_missing(tmp_path):
    message = _refusal(_write(tmp_path, SHIPPED.replace("  batch_size:", "  batchsize:")))
    assert "train.batchsize is unknown; did you mean batch_size?" in message
    assert "train.batch_size is missing" in message


def test_every_missing_key_is_named(tmp_path):
    path = tmp_path / "params.yaml"
    YAML(typ="safe").dump({section: {} for section in CONTENT}, path)
    message = _refusal(path)
    for section, keys in CONTENT.items():
        for key in keys:
            assert f"{section}.{key} is missing" in message


def test_every_missing_section_is_named(tmp_path):
    message = _refusal(_write(tmp_path, "other: {}\n"))
    for section in CONTENT:
        assert f"section '{section}' is missing" in message


def test_sections_that_hold_no_keys_are_named(tmp_path):
    path = tmp_path / "params.yaml"
    wrong = {"scrape": None, "filter": [1], "train": "text", "machine": 3}
    YAML(typ="safe").dump(CONTENT | wrong, path)
    message = _refusal(path)
    for section, value in wrong.items():
        assert f"{section} = {value!r}" in message


def test_an_unknown_section_is_refused_with_the_one_that_was_meant(tmp_path):
    message = _refusal(_write(tmp_path, SHIPPED + "\nevaluation:\n  seed: 1\n"))
    assert "evaluation is unknown; did you mean evaluate?" in message


def test_sections_and_keys_whose_names_are_no_text_are_refused(tmp_path):
    text = SHIPPED.replace("filter:\n", "filter:\n  5: 6\n") + "\n3: 1\n? [a]\n: 1\n"
    message = _refusal(_write(tmp_path, text))
    assert "filter.5" in message
    assert "unknown" in message


def test_a_key_of_an_earlier_version_is_named_with_what_it_is_called_now_and_nothing_else(tmp_path):
    message = _refusal(_write(tmp_path, SHIPPED.replace("  photo_size:", "  size:")))
    assert message.count(";") == 1
    assert (
        "prepare.size is now called prepare.photo_size; rename it here and wherever else it is set" in message
    )
    both = SHIPPED.replace("  photo_size:", "  size: banana\n  photo_size:")
    assert "prepare.size is now called prepare.photo_size" in _refusal(_write(tmp_path, both))


def _keys(content: object) -> set[str]:
    """Every key of nested ``content``, at any depth."""
    if isinstance(content, list):
        return set().union(*map(_keys, content))
    return set(content).union(*map(_keys, content.values())) if isinstance(content, dict) else set()


def test_no_key_that_dvc_tracks_has_a_name_that_its_run_cache_overlooks():
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"].values()
    tracked = {key.split(".")[0] for stage in stages for key in stage["params"]}
    assert tracked < set(CONTENT)
    assert not _keys([CONTENT[section] for section in tracked]) & {Meta.PARAM_SIZE, Meta.PARAM_NFILES}


def _numbers(model: type[params.Section], above: str) -> dict[str, list[object]]:
    """The limits of every number that a section holds, by its dotted key."""
    found = {}
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, params.Section):
            found |= _numbers(field.annotation, f"{above}.{name}")
        elif field.annotation in (int, float):
            found[f"{above}.{name}"] = field.metadata
    return found


def test_every_number_has_a_lower_and_an_upper_limit():
    # Without one, a number with too many digits ends in a traceback of a library.
    for section, loaded in params.load_all(ROOT / "params.yaml").items():
        for key, limits in _numbers(type(loaded), section).items():
            names = {name for limit in limits for name in ("gt", "ge", "lt", "le") if hasattr(limit, name)}
            assert names & {"gt", "ge"}, f"{key} needs a lower limit"
            assert names & {"lt", "le"}, f"{key} needs an upper limit"


BROKEN = {
    "git conflict": SHIPPED.replace("train:\n", "<<<<<<< HEAD\ntrain:\n=======\n>>>>>>> other\n"),
    "same key twice": SHIPPED + "\nmachine: {}\n",
    "two documents": SHIPPED + "\n---\nx: 1\n",
    "Python object": SHIPPED + "\nx: !!python/object/apply:os.getcwd []\n",
    "not UTF-8": SHIPPED.encode() + b"# caf\xe9\n",
    "a control character": SHIPPED + "# \x07\n",
    "zeros": b"\0" * 100,
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_file_that_is_no_yaml_is_refused_in_one_sentence(kind, tmp_path):
    path = _write(tmp_path, BROKEN[kind])
    assert "YAML" in _refusal(path)


def test_broken_yaml_is_refused_with_its_line(tmp_path):
    assert ", line 3 is not valid YAML" in _refusal(_write(tmp_path, "train:\n  lr: 1\n  lr: 2\n"))


@pytest.mark.parametrize("text", ["", "- train\n"])
def test_a_file_without_sections_is_refused(text, tmp_path):
    assert "contains no sections" in _refusal(_write(tmp_path, text))


def test_a_missing_file_is_refused_with_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = _refusal(Path("params.yaml"))
    assert "not found" in message
    assert str(tmp_path) in message


@pytest.mark.parametrize("written", ["1e-3", "1.0E-3", ".001"])
def test_a_number_may_be_written_as_dvc_writes_it(written, tmp_path):
    found = params.load("train", TrainParams, path=_write(tmp_path, _with("train", "lr", written)))
    assert found.lr == 0.001
    assert type(found.lr) is float


def test_a_whole_number_will_do_for_a_fraction(tmp_path):
    path = _write(tmp_path, _with("prepare", "rotation_degrees", "10"))
    assert params.load("prepare", PrepareParams, path=path).rotation_degrees == 10.0


def test_words_that_old_yaml_took_for_booleans_stay_what_dvc_reads(tmp_path):
    # YAML 1.2 has only true and false (in three spellings); "yes" and "on" are text there.
    path = _write(tmp_path, _with("train", "flip", "True"))
    assert params.load("train", TrainParams, path=path).flip is True
    assert "train.flip = 'yes'" in _refusal(_write(tmp_path, _with("train", "flip", "yes")))


def test_a_loaded_value_cannot_be_changed():
    for loaded in params.load_all(ROOT / "params.yaml").values():
        key = next(iter(type(loaded).model_fields))
        with pytest.raises(ValidationError, match="frozen"):
            setattr(loaded, key, getattr(loaded, key))


def test_lists_are_loaded_as_tuples_which_cannot_be_changed_either():
    loaded = params.load_all(ROOT / "params.yaml")
    assert isinstance(loaded["scrape"].queries, tuple)
    assert isinstance(loaded["train"].unet.channels, tuple)


# Every key is read


@functools.cache
def _reads(section: str) -> set[str]:
    """The attributes that the section's code reads of its params; ``machine`` is read everywhere."""
    folder = ROOT / "stages" if section == "machine" else ROOT / "stages" / section
    names = {"machine", "_machine", "self"} if section == "machine" else {"params", "self", "_params"}
    found = set()
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                owner = node.value
                name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
                # self only in Params itself, whose methods may combine keys
                if name in names and (name != "self" or path.name == "params.py"):
                    found.add(node.attr)
    return found


@pytest.mark.parametrize("section", CONTENT)
def test_every_key_is_read_by_its_stage(section):
    idle = set(CONTENT[section]) - _reads(section)
    assert idle == set(), f"params.yaml offers {sorted(idle)} in {section}, and nothing reads it"


@pytest.mark.parametrize("section", CONTENT)
def test_a_made_up_key_would_be_found_idle(section):
    assert {"made_up", "sharpness"}.isdisjoint(_reads(section))
    # Nor is a key of one stage taken for read because another reads it.
    assert "rotation_degrees" not in _reads(section) or section == "prepare"
    assert _reads(section)


def test_every_key_has_a_comment_for_the_person_who_edits_it():
    bare = [
        line
        for line in SHIPPED.splitlines()
        if line.startswith("  ") and not line.startswith("    ") and "#" not in line
    ]
    assert bare == []


def test_changes_on_the_command_line_are_checked_like_the_file(tmp_path):
    path = _write(tmp_path, SHIPPED)
    changed = params.load_all(
        path, changes=["train.lr=1e-5", "prepare.extra_sizes=[64, 128]", "scrape.urls=a=b"]
    )
    assert changed["train"].lr == 1e-5
    assert changed["prepare"].extra_sizes == (64, 128)
    assert changed["scrape"].urls == "a=b"
    for change, said in {
        "train.bach_size=3": "did you mean batch_size?",
        "trian.lr=1": "trian is unknown; did you mean train?",
        "train.lr=fast": "train.lr = 'fast' is not allowed",
        "lr=1": "write section.key=value",
        "train.lr": "write section.key=value",
        "train.lr=[": "write section.key=value",
        "train.lr.low=1": "lr is a value of params.yaml, not a section",
    }.items():
        with pytest.raises(UngrayError) as caught:
            params.load_all(path, changes=[change])
        assert said in str(caught.value)
