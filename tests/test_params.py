"""params.yaml: the shipped one is right, a wrong one is refused in a sentence, and no key is idle."""

import ast
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
KEYS = [(section, key) for section, keys in CONTENT.items() for key in keys]


def _write(path: Path, text: str | bytes) -> Path:
    path = path / "params.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def _with(section: str, key: str, value: str) -> str:
    """The shipped file with one value replaced, the way a person edits it: in the text."""
    lines, inside, found = [], False, 0
    for line in SHIPPED.splitlines():
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


def test_checking_the_file_by_hand_says_nothing_if_it_is_right_and_one_line_if_it_is_not(tmp_path):
    command = [sys.executable, "-m", "stages.params"]
    right = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (right.returncode, right.stdout, right.stderr) == (0, "", "")
    _write(tmp_path, _with("train", "lr", "fast"))
    environment = {"PYTHONPATH": str(ROOT)}
    wrong = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("error: params.yaml: train.lr = 'fast'")
    assert wrong.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("section", "key", "value", "expected"),
    [
        # wrong type
        ("train", "epochs", "many", ["'many'", "integer"]),
        ("train", "epochs", '"30"', ["'30'", "integer"]),
        ("train", "epochs", "2.5", ["2.5", "integer"]),
        ("train", "epochs", "true", ["True", "integer"]),
        ("train", "epochs", "", ["None", "integer"]),
        ("train", "flip", "1", ["1", "boolean"]),
        ("train", "lr", '"0.001"', ["'0.001'", "number"]),
        ("prepare", "split_salt", "7", ["7", "string"]),
        ("scrape", "queries", "flowers", ["'flowers'", "tuple"]),
        ("scrape", "queries", "[flowers, 3]", ["queries.1", "3", "string"]),
        ("machine", "workers", "all", ["'all'", "integer"]),
        # out of range
        ("train", "lr", "0", ["= 0", "greater than 0"]),
        ("train", "lr", "1.5", ["1.5", "less than or equal to 1"]),
        ("train", "lr", ".nan", ["nan"]),
        ("train", "working_size", "100", ["100", "multiple of 16"]),
        ("train", "batch_size", "1", ["= 1", "greater than or equal to 2"]),
        ("scrape", "limit", "1001", ["1001", "less than or equal to 1000"]),
        ("scrape", "queries", "[]", ["[]", "at least 1"]),
        ("scrape", "queries", "[sea, sea]", ["['sea', 'sea']", "repeated"]),
        ("scrape", "folder", "../elsewhere", ["'../elsewhere'", "inside the repository"]),
        ("filter", "max_aspect", "0.5", ["0.5", "greater than or equal to 1"]),
        ("filter", "near_duplicate_distance", "-1", ["-1", "greater than or equal to 0"]),
        ("prepare", "rotation_degrees", "90", ["90", "less than or equal to 45"]),
        ("prepare", "val_fraction", "0.5", ["0.5", "less than 0.5"]),
        ("evaluate", "bootstrap_samples", "10", ["= 10", "greater than or equal to 100"]),
        ("export", "opset", "17", ["17", "greater than or equal to 18"]),
        ("machine", "workers", "-1", ["-1", "greater than or equal to 0"]),
        ("machine", "checkpoint_minutes", "0", ["= 0", "greater than 0"]),
        ("machine", "workers", "10000000000", ["10000000000", "less than or equal to 1024"]),
        (
            "train",
            "seed",
            "18446744073709551616",
            ["18446744073709551616", "less than or equal to 4294967295"],
        ),
        ("train", "epochs", "1" + "0" * 400, ["train.epochs", "less than or equal to 1000000000"]),
        ("train", "base", "", ["None", "string"]),
        ("train", "base", '""', ["''", "at least 1"]),
        # bad choice
        ("prepare", "fit", "stretch", ["'stretch'", "crop", "squash", "pad"]),
        ("scrape", "source", "google", ["'google'", "sample", "folder", "bing"]),
        ("train", "loss", "huber", ["'huber'", "l1", "mse"]),
        ("train", "architecture", "[unet]", ["['unet']", "unet", "cnn"]),
        ("machine", "device", "gpu", ["'gpu'", "auto", "cpu", "cuda", "mps"]),
    ],
)
def test_a_bad_value_is_refused_with_its_key_itself_and_what_is_allowed(
    section, key, value, expected, tmp_path
):
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
        ("    filters: 256", "    filters: many", ["lab_autoencoder.filters = 'many'", "integer"]),
        ("    pooling: average", "    pooling: mean", ["dense_autoencoder.pooling = 'mean'", "'max'"]),
        ("    downsampling: 2", "    downsampling: 3", ["dense_autoencoder.downsampling = 3", "2, 4 or 8"]),
        ("    pretrained: true", "    pretrained: yes", ["resnet18.pretrained = 'yes'", "boolean"]),
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


@pytest.mark.parametrize(("section", "key"), KEYS, ids=[f"{section}.{key}" for section, key in KEYS])
def test_a_missing_key_is_named(section, key, tmp_path):
    content = {
        name: {k: v for k, v in keys.items() if (name, k) != (section, key)} for name, keys in CONTENT.items()
    }
    path = tmp_path / "params.yaml"
    YAML(typ="safe").dump(content, path)
    assert f"{section}.{key} is missing" in _refusal(path)


@pytest.mark.parametrize("section", CONTENT)
def test_a_missing_section_is_named(section, tmp_path):
    path = tmp_path / "params.yaml"
    YAML(typ="safe").dump({name: keys for name, keys in CONTENT.items() if name != section}, path)
    message = _refusal(path)
    assert section in message
    assert "missing" in message


@pytest.mark.parametrize("section", CONTENT)
@pytest.mark.parametrize("value", [None, [1], "text", 3])
def test_a_section_that_holds_no_keys_is_named(section, value, tmp_path):
    path = tmp_path / "params.yaml"
    YAML(typ="safe").dump(CONTENT | {section: value}, path)
    assert f"{section} = {value!r}" in _refusal(path)


def test_an_unknown_section_is_refused_with_the_one_that_was_meant(tmp_path):
    message = _refusal(_write(tmp_path, SHIPPED + "\nevaluation:\n  seed: 1\n"))
    assert "evaluation is unknown; did you mean evaluate?" in message


@pytest.mark.parametrize("key", ["3", "true", "~", "[a]"])
def test_a_section_whose_name_is_no_text_is_refused(key, tmp_path):
    assert "unknown" in _refusal(_write(tmp_path, f"{SHIPPED}\n? {key}\n: 1\n"))


def test_a_key_that_is_no_text_is_refused(tmp_path):
    assert "filter.5" in _refusal(_write(tmp_path, SHIPPED.replace("filter:\n", "filter:\n  5: 6\n")))


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


@pytest.mark.parametrize("section", CONTENT)
def test_every_number_has_a_lower_and_an_upper_limit(section):
    # Without one, a number with too many digits ends in a traceback of a library.
    model = type(params.load_all(ROOT / "params.yaml")[section])
    for key, limits in _numbers(model, section).items():
        names = {name for limit in limits for name in ("gt", "ge", "lt", "le") if hasattr(limit, name)}
        assert names & {"gt", "ge"}, f"{key} needs a lower limit"
        assert names & {"lt", "le"}, f"{key} needs an upper limit"


def test_everything_that_is_wrong_is_said_at_once(tmp_path):
    text = (
        _with("train", "lr", "2")
        .replace("loss: l1", "loss: huber")
        .replace("photo_size: 256 ", "photo_size: 8 ")
    )
    message = _refusal(_write(tmp_path, text))
    assert all(
        words in message for words in ("train.lr = 2", "train.loss = 'huber'", "prepare.photo_size = 8")
    )


BROKEN = {
    "bracket left open": SHIPPED + "x: [1, 2\n",
    "tab": "train:\n\tlr: 1\n",
    "wrong indent": SHIPPED.replace("  folder:", " folder:"),
    "git conflict": SHIPPED.replace("train:\n", "<<<<<<< HEAD\ntrain:\n=======\n>>>>>>> other\n"),
    "same key twice": SHIPPED + "\nmachine: {}\n",
    "two documents": SHIPPED + "\n---\nx: 1\n",
    "Python object": SHIPPED + "\nx: !!python/object/apply:os.getcwd []\n",
    "not UTF-8": SHIPPED.encode() + b"# caf\xe9\n",
    "UTF-16": SHIPPED.encode("utf-16"),
    "a control character": SHIPPED + "# \x07\n",
    "zeros": b"\0" * 100,
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_file_that_is_no_yaml_is_refused_in_one_sentence(kind, tmp_path):
    path = _write(tmp_path, BROKEN[kind])
    assert "YAML" in _refusal(path)


def test_broken_yaml_is_refused_with_its_line(tmp_path):
    assert ", line 3 is not valid YAML" in _refusal(_write(tmp_path, "train:\n  lr: 1\n  lr: 2\n"))


@pytest.mark.parametrize("text", ["", "# only this\n", "- train\n", "train\n", "3\n"])
def test_a_file_without_sections_is_refused(text, tmp_path):
    assert "contains no sections" in _refusal(_write(tmp_path, text))


def test_a_missing_file_is_refused_with_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = _refusal(Path("params.yaml"))
    assert "not found" in message
    assert str(tmp_path) in message


@pytest.mark.parametrize("written", ["1e-3", "1e-03", "0.001", "1.0E-3", ".001"])
def test_a_number_may_be_written_as_dvc_writes_it(written, tmp_path):
    found = params.load("train", TrainParams, path=_write(tmp_path, _with("train", "lr", written)))
    assert found.lr == 0.001
    assert type(found.lr) is float


def test_a_whole_number_will_do_for_a_fraction(tmp_path):
    path = _write(tmp_path, _with("prepare", "rotation_degrees", "10"))
    assert params.load("prepare", PrepareParams, path=path).rotation_degrees == 10.0


@pytest.mark.parametrize("word", ["yes", "on", "True"])
def test_words_that_old_yaml_took_for_booleans_stay_what_dvc_reads(word, tmp_path):
    # YAML 1.2 has only true and false (in three spellings); "yes" and "on" are text there.
    path = _write(tmp_path, _with("train", "flip", word))
    if word == "True":
        assert params.load("train", TrainParams, path=path).flip is True
    else:
        assert f"train.flip = '{word}'" in _refusal(path)


@pytest.mark.parametrize(("section", "key"), KEYS, ids=[f"{section}.{key}" for section, key in KEYS])
def test_a_loaded_value_cannot_be_changed(section, key):
    loaded = params.load_all(ROOT / "params.yaml")[section]
    before = getattr(loaded, key)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(loaded, key, before)
    with pytest.raises(ValidationError):
        loaded.invented = 1
    assert getattr(loaded, key) == before


def test_lists_are_loaded_as_tuples_which_cannot_be_changed_either():
    loaded = params.load_all(ROOT / "params.yaml")
    assert isinstance(loaded["scrape"].queries, tuple)
    assert isinstance(loaded["train"].unet.channels, tuple)


# Every key is read


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
