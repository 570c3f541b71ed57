"""Whatever judges or shows a model looks at the very pixels that the command hands a user."""

import numpy as np
import pytest
import torch

from stages.evaluate.candidates import candidate, load_photo
from stages.evaluate.judge import judge
from stages.evaluate.methods import methods
from stages.evaluate.pareto import judge_saturations
from stages.evaluate.sets import judge_sets
from stages.train.progress import ProgressGrids
from ungray import networks
from ungray.cli.main import main
from ungray.colorizer import Colorizer
from ungray.imaging import metrics, photos
from ungray.imaging.upsampling import gray_photo


@pytest.fixture(scope="module")
def model_file(tiny, tmp_path_factory):
    """A model, .safetensors alone, whose colors are strong and differ from place to place."""
    torch.manual_seed(0)
    network = networks.build(tiny["train"].network())
    with torch.no_grad():
        *_, weight, bias = network.parameters()
        weight.mul_(60)
        bias.mul_(0)
    path = tmp_path_factory.mktemp("door") / "colorizer.safetensors"
    networks.save_model(path, networks.Model(network.eval(), {"vivid": {"saturation": 1.5}}))
    return path


@pytest.fixture(scope="module")
def model(model_file):
    return networks.load_model(model_file)


@pytest.fixture(scope="module")
def test(prepared, index):
    return index[(index["split"] == "test") & (index["copy"] == 0)].head(4)


@pytest.fixture(scope="module")
def paths(test, prepared):
    return {str(file): prepared / str(file) for file in test["file"]}


@pytest.fixture(scope="module")
def by_command(model_file, paths, tmp_path_factory):
    """A function that has the command color the gray versions of the test photos, as files of one channel."""
    folder = tmp_path_factory.mktemp("scans")
    for path in paths.values():
        photos.write_rgb(folder / f"{path.stem}.png", gray_photo(photos.read_rgb(path)))

    def run(*options):
        colored = folder.with_name(f"colored{''.join(options)}")
        main([str(folder), "-o", str(colored), "--model", str(model_file), "--engine", "torch", *options])
        return {file: photos.read_rgb(colored / f"{path.stem}.png") for file, path in paths.items()}

    return run


def test_evaluate_judges_what_the_command_gives(model, test, paths, prepared, by_command):
    contenders = methods(model, base=model, mean=np.zeros(2, np.float32))
    rows = judge(contenders, model.network, test=test, prepared=prepared).photos.set_index(["file", "method"])
    for file, colored in by_command().items():
        truth = photos.read_rgb(paths[file])
        assert np.ptp(colored, axis=-1).mean() > 10
        for method in ("model", "base"):
            np.testing.assert_array_equal(contenders[method](gray_photo(truth)), colored)
            for figure, value in metrics.judge(colored, truth).items():
                assert rows.loc[(file, method), figure] == value


def test_compare_pareto_and_sets_judge_what_the_command_gives(model_file, paths, by_command):
    colorizer = Colorizer.load(model_file)
    plain, vivid = by_command(), by_command("--vivid")
    strong = by_command("--saturation", "2")
    ours = candidate(model_file)
    pareto = judge_saturations({"ours": colorizer}, [1.0, 2.0], paths, short_side=0)
    (folder,) = {path.parent for path in paths.values()}
    sets = judge_sets(colorizer, {"test": folder}, short_side=0, vivid=True)
    sets = sets[sets["method"] == "model"].set_index("file")
    for file, path in paths.items():
        photo = load_photo(path, short_side=0)
        np.testing.assert_array_equal(ours(photo), plain[file])
        rows = pareto[pareto["file"] == file].set_index("method")
        for method, colored in (("ours x1", plain[file]), ("ours x2", strong[file])):
            assert rows.loc[method, "psnr"] == metrics.psnr(colored, photo.truth)
            assert rows.loc[method, "colorfulness"] == metrics.colorfulness(colored)
        assert sets.loc[path.name, "psnr"] == metrics.psnr(vivid[file], photo.truth)


def test_progress_grids_show_what_the_command_gives(model, tiny, test, prepared, tmp_path, by_command):
    params = tiny["train"].model_copy(update={"grid_photos": len(test)})
    grids = ProgressGrids(params, work=tmp_path, val=test, prepared=prepared, augmentation=None)
    grids.draw(0, model.network)
    shown = test.sort_values("photo")["file"]
    colored = by_command()
    with np.load(tmp_path / "tiles-0000.npz") as tiles:
        for name, file in zip(tiles.files, shown, strict=True):
            np.testing.assert_array_equal(tiles[name], colored[file])
