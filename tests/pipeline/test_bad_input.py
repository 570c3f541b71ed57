import pytest
from PIL import Image

pytestmark = pytest.mark.pipeline


def sentence(done):
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def stage(clone, name):
    return sentence(clone.run("python", "-m", f"stages.{name}", fails=True))


def made(clone):
    data = clone.path / "data"
    folders = [data / "raw", data / "prepared"]
    models = [*data.glob("models/*.safetensors"), *data.glob("models/*.onnx")]
    return sorted(path.name for path in [*folders, *models] if path.exists())


def test_a_typo_in_params_is_named_with_the_key_that_was_meant_before_anything_runs(tiny_clone):
    tiny_clone.path.joinpath("params.yaml").write_text(
        tiny_clone.read("params.yaml").replace("batch_size:", "bach_size:")
    )
    for name in ("scrape", "train"):
        said = stage(tiny_clone, name)
        assert "train.bach_size is unknown; did you mean batch_size?" in said
    assert made(tiny_clone) == []


def test_folder_troubles_are_named(tiny_clone, tmp_path):
    photos = tmp_path / "my photos"
    tiny_clone.set(scrape__source="folder", scrape__folder=str(photos))
    assert "scrape.folder" in stage(tiny_clone, "scrape")
    photos.mkdir()
    assert "contains no image file" in stage(tiny_clone, "scrape")
    (photos / "letter.jpg").write_text("Dear Bing")
    assert "none of 1 files is a photo" in stage(tiny_clone, "scrape")
    tiny_clone.set(scrape__folder="../photos")
    assert "scrape.folder = '../photos' is not allowed" in stage(tiny_clone, "scrape")
    assert made(tiny_clone) == []


def test_a_missing_folder_is_named_by_dvc_repro_too(tiny_clone):
    tiny_clone.set(scrape__source="folder", scrape__folder="/nowhere/photos")
    assert "/nowhere/photos" in tiny_clone.run("dvc", "repro", fails=True).stderr


def test_nothing_left_after_the_filter_says_why(tiny_clone, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (1, 1), "red").save(photos / "dot.png")
    Image.new("RGB", (400, 400), "gray").save(photos / "wall.png")
    tiny_clone.set(scrape__source="folder", scrape__folder=str(photos))
    tiny_clone.run("python", "-m", "stages.scrape")
    said = stage(tiny_clone, "filter")
    assert "no photo is left after the filter" in said
    assert "short side under 128" in said
    assert "gray" in said
    assert not (tiny_clone.path / "data/verdicts.csv").is_file() or "dot" not in tiny_clone.read(
        "data/verdicts.csv"
    )


def test_too_few_groups_for_the_split_say_so(tiny_clone):
    tiny_clone.run("python", "-m", "stages.scrape")
    tiny_clone.run("python", "-m", "stages.filter")
    tiny_clone.set(prepare__split_salt="d")
    said = stage(tiny_clone, "prepare")
    assert "10 groups of photos are too few for the split: val and test would be empty" in said
    assert made(tiny_clone) == ["raw"]


def test_no_network_names_the_way_out(tiny_clone):
    tiny_clone.set(scrape__source="bing", scrape__queries=["cats"], scrape__timeout=5)
    # A proxy that does not answer: no network, whatever this machine has.
    tiny_clone.environment = tiny_clone.environment | {"https_proxy": "http://127.0.0.1:9"}
    done = tiny_clone.run("python", "-m", "stages.scrape", fails=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: Bing gave no link for any of 1 queries")
    assert "set scrape.source in params.yaml to sample or folder" in last
    assert made(tiny_clone) == []


def test_a_damaged_model_is_named_and_nothing_half_written(repro, tiny_clone):
    model = tiny_clone.path / "broken.safetensors"
    model.write_bytes((repro.path / "data/models/colorizer.safetensors").read_bytes()[:5000])
    photo = next((repro.path / "data/prepared/test").glob("*.jpg"))
    done = tiny_clone.run("colorize", str(photo), "-o", "out.png", "--model", str(model), fails=True)
    said = sentence(done)
    assert f"{model} is damaged or not a model of ungray" in said
    assert "dvc pull" in said
    assert not (tiny_clone.path / "out.png").exists()


@pytest.mark.parametrize("name", ["scrape", "filter", "prepare", "train", "evaluate", "export"])
def test_every_stage_has_a_help_with_examples(clone, name):
    shown = clone.run("python", "-m", f"stages.{name}", "--help").stdout
    assert f"python -m stages.{name}" in shown
    assert "dvc" in shown


@pytest.mark.parametrize("name", ["filter", "prepare", "train", "evaluate", "export"])
def test_a_stage_run_too_early_says_which_one_comes_first(clone, name):
    for made_by_others in ("data/manifest.csv", "data/verdicts.csv"):
        (clone.path / made_by_others).unlink(missing_ok=True)
    assert "`dvc repro" in stage(clone, name)


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize("key", ["scrape.folder", "scrape.urls", "train.base", "evaluate.base"])
def test_an_empty_path_is_a_sentence_of_dvcs_and_one_of_ours_that_names_it(clone, key, value):
    clone.set(**{key.replace(".", "__"): value})
    theirs = clone.run("dvc", "repro", "--single-item", key.split(".")[0], fails=True).stderr
    assert theirs.count("ERROR: ") == 1
    assert "unexpected error" not in theirs
    assert "Traceback" not in theirs
    said = sentence(clone.run("python", "-m", "stages.params", fails=True))
    assert said.startswith(f"error: params.yaml: {key} = {value!r} is not allowed")
