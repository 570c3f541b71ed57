"""Train the network that params.yaml describes; write data/models/colorizer.safetensors and reports/train.

Interrupted by Ctrl-C or killed, it resumes at its last checkpoint when it is started again. Examples:

  python -m stages.train
  torchrun --nproc-per-node 2 -m stages.train
  dvc exp run -S train.lr=0.0005
  dvc exp run -S train.epochs=1000 -S train.minutes=30 -S train.ema=0.999 -S train.keep=best
  dvc exp run -S train.schedule=stable -S train.epochs=1000 -S train.minutes=240   extends one of 120 minutes
  dvc exp run -S train.architecture=cnn -S train.working_size=256
  python -m stages.train average data/base data/models -o mean.safetensors   mean of two models
  python -m stages.train watch                 a page that shows trainings while they go on
"""

import shutil
from pathlib import Path

from stages.command import run_stage
from stages.params import Machine, load
from stages.train.params import Params


def main() -> None:
    """Run the stage."""
    params, machine = load("train", Params), load("machine", Machine)
    # PyTorch takes seconds to import: a bad value is reported before.
    from stages.train.run import run
    from ungray import networks

    result = run(params, machine, prepared=Path("data/prepared"), report=Path("reports/train"))
    if result.first_process:
        networks.save_model(Path("data/models/colorizer.safetensors"), result.model)
        # The model is saved; if the checkpoint stayed, a forced rerun would skip the training.
        shutil.rmtree(result.work)


if __name__ == "__main__":
    tools = {"average": "stages.train.average:run", "watch": "stages.train.watch.command:main"}
    run_stage("train", main, doc=__doc__, tools=tools)
