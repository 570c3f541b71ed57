"""Export the trained model: data/models/colorizer.onnx, checked against torch, and the model card.

Examples:

  python -m stages.export
  dvc repro export
  python -m stages.export verdict             how good the trained model is
  python -m stages.export quality data/base   write a model's quality into its files, and update its card
"""

from stages.command import run_stage
from stages.export.params import Params
from stages.params import load


def main() -> None:
    """Run the stage."""
    params = load("export", Params)
    from stages.export.run import run  # PyTorch takes seconds to import: a bad value is reported before

    run(params)


if __name__ == "__main__":
    run_stage(
        "export",
        main,
        doc=__doc__,
        tools={"quality": "stages.export.quality:quality", "verdict": "stages.export.quality:verdict"},
    )
