"""Judge data/models/colorizer.safetensors on the test photos; write metrics, tables, pictures and a report.

Examples:

  python -m stages.evaluate
  dvc metrics show
  dvc metrics diff                                    the workspace vs. the last commit
  python -m stages.evaluate compare A B --photos DIR  two models, or another program's colorings
  python -m stages.evaluate pareto A B C               error against colorfulness, at several saturations
  python -m stages.evaluate sets A slides=DIR sea=DIR a model on photographs from elsewhere, set by set
  python -m stages.evaluate hints A --photos DIR      how much known colors at some points help
  python -m stages.evaluate board                     every model that was trained here, on one test set
"""

from stages.command import run_stage
from stages.evaluate.params import Params
from stages.params import Machine, load


def main() -> None:
    """Run the stage."""
    params, machine = load("evaluate", Params), load("machine", Machine)
    # PyTorch takes seconds to import: a bad value is reported before.
    from stages.evaluate.outputs import judge_and_write

    judge_and_write(params, stream=machine.stream)


if __name__ == "__main__":
    tools = {name: f"stages.evaluate.{name}:{name}" for name in ("compare", "pareto", "hints", "sets")}
    tools["board"] = "stages.evaluate.board.command:board"
    run_stage("evaluate", main, doc=__doc__, tools=tools)
