"""Build steps named in pyproject.toml: a wheel gets the base model, and an editable install gets the stages.

So `colorize` works wherever it is installed, and `dask worker`, which does not search the folder where it is
started, finds the stages of this checkout.
"""

import re
import shutil
from pathlib import Path

from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "data/base/colorizer.onnx"
BESIDE = ("model_card.md", "failures.jpg")
"""Files about the model that the page shows."""


def base_model() -> Path:
    """Return the file of the base model: as fetched by DVC, or otherwise the one in the bundled remote."""
    if MODEL.is_file():
        return MODEL
    (md5,) = re.findall(r"md5: ([0-9a-f]{32})", MODEL.with_suffix(".onnx.dvc").read_text())
    kept = ROOT / "data/remote/files/md5" / md5[:2] / md5[2:]
    if not kept.is_file():
        raise FileNotFoundError(f"no base model: neither {MODEL} nor {kept}; `git checkout data` brings it")
    return kept


class BuildWithModel(build_py):
    """Copies the modules, and the base model with its card next to them."""

    def run(self) -> None:
        """Build."""
        super().run()
        if self.editable_mode:  # the model is found in the checkout
            return
        folder = Path(self.build_lib, "ungray/base")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(base_model(), folder / MODEL.name)
        for name in BESIDE:
            if (MODEL.parent / name).is_file():
                shutil.copyfile(MODEL.parent / name, folder / name)


class EditableWithStages(editable_wheel):
    """Maps `stages` as well as `ungray` to this checkout."""

    def run(self) -> None:
        """Build."""
        self.distribution.packages = [*self.distribution.packages, "stages"]
        self.distribution.package_dir = {**self.distribution.package_dir, "stages": "stages"}
        super().run()
