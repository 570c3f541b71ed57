"""Which model colors: words for the two of a checkout, and what is said of it."""

import json
import shutil

import pytest

from stages.export.card import _vivid
from ungray import colorizer, networks
from ungray.cli.main import main
from ungray.colorizer import Colorizer
from ungray.errors import UngrayError
from ungray.imaging.prediction import Vivid
from ungray.page.models import Models


@pytest.fixture
def checkout(colorful, tmp_path, monkeypatch):
    """A checkout that has both models; that of its own is calm: its vivid factor is 1."""
    monkeypatch.setattr(colorizer, "ROOT", tmp_path / "checkout")
    for folder in ("base", "models"):
        (tmp_path / "checkout/data" / folder).mkdir(parents=True)
    shutil.copy(colorful, tmp_path / "checkout/data/base/colorizer.safetensors")
    model = networks.load_model(colorful)
    calm = networks.Model(model.network, {"vivid": {"saturation": 1.0}})
    networks.save_model(tmp_path / "checkout/data/models/colorizer.safetensors", calm)
    return tmp_path / "checkout"


@pytest.fixture
def said(cats, tmp_path, capsys):
    """A function that colors a photo anew: the lines on standard error, and the JSON if asked for."""

    def run(*options):
        capsys.readouterr()
        main([str(cats / "cat.png"), "-o", str(tmp_path / "out.png"), "--overwrite", *options])
        out, err = capsys.readouterr()
        return err.splitlines(), json.loads(out) if out else None

    return run


def test_colorize_says_which_of_the_two_it_was(checkout, said, colorful):
    base, mine = (checkout / f"data/{name}/colorizer.safetensors" for name in ("base", "models"))
    default, _ = said()
    assert default[0] == f"colorize: the base model, {base}; --model mine takes yours"
    assert said("--model", "base")[0][0] == f"colorize: the base model, {base}"
    lines, found = said("--model", "mine", "--json")
    assert lines[0] == f"colorize: your model, {mine}"
    assert found["model"] == str(mine)
    assert not [line for line in said("--model", str(colorful))[0] if line.startswith("colorize:")]
    mine.unlink()
    assert said()[0][0] == f"colorize: the base model, {base}"


def test_a_word_whose_model_is_not_there_is_refused_with_the_way_out(checkout, said):
    shutil.rmtree(checkout / "data/models")
    with pytest.raises(SystemExit) as left:
        said("--model", "mine")
    assert left.value.code == (
        f"error: model mine: your model, {checkout}/data/models/colorizer.safetensors, is not there; "
        "`dvc repro` trains it"
    )
    shutil.move(checkout / "data/base", checkout / "data/models")
    with pytest.raises(UngrayError, match=r"model base: .* `dvc pull` fetches it"):
        Colorizer.load("base")
    assert said()[0][0].startswith("colorize: your model, ")


def test_the_words_name_what_they_name_in_python_and_on_the_page(checkout):
    assert Colorizer.load("mine").path == checkout / "data/models/colorizer.safetensors"
    assert Colorizer.load("base").path == checkout / "data/base/colorizer.safetensors"
    offered = Models(["mine", "base"])
    assert offered.names == ["mine", "base"]
    assert offered.about("mine").startswith("**Your model** (unet)")
    assert offered.about("base").startswith("**The base model** (unet)")
    assert Models([]).names == ["base"]


def test_vivid_that_changes_nothing_says_so_wherever_it_is_offered(checkout, said):
    nothing = "--vivid changes nothing with this model: its factor is 1.00"
    lines, found = said("--model", "mine", "--vivid", "--json")
    assert any(nothing in line for line in lines)
    assert found["vivid_factor"] == 1
    for options in (("--model", "mine"), ("--model", "base", "--vivid")):
        assert not any(nothing in line for line in said(*options)[0])
    offered = Models(["mine", "base"])
    assert "Vivid changes nothing with it" in offered.about("mine")
    assert "Vivid changes nothing" not in offered.about("base")
    assert (Colorizer.load("mine").vivid, Colorizer.load("base").vivid) == (Vivid(1), Vivid(2))
    card = _vivid({"vivid": {"saturation": 1.0}})
    assert card[1].startswith("The same as the plain colors")
