"""Run a preset, quick, good or best, on the photos that params.yaml names; say first what it costs here.

A preset sets how to train and leaves all else: it is `dvc exp run -n NAME -S ...`, as a recipe is. Its values
stay in params.yaml; those of `good` are the shipped ones. Without a name, list the presets. Examples:

  make repro PRESET=good
  python -m stages.presets
  python -m stages.presets best --dry-run           says what it would cost, runs nothing
  python -m stages.presets good --from nothing      not from the base model, with a learning rate that suits
  python -m stages.presets good train.epochs=20     values after the name override the preset's
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from stages.doctor import cost, plan
from stages.doctor.machine import describe
from stages.doctor.page import duration
from stages.params import setting
from stages.recipes.experiments import unused
from stages.recipes.overlay import apply, command, description, names, overrides
from ungray.system.console import run_command
from ungray.system.terminal import Parser, tell

FOLDER = Path(__file__).parent
PREPARED = Path("data/prepared")

STARTS: dict[str, dict[str, Any]] = {
    "base": {"train.start_from": "base"},
    "nothing": {"train.start_from": "nothing", "train.lr": 0.001},
}
"""What belongs together for a start: from nothing, the rate of a fine-tuning hardly moves the weights."""

TIMED_SECONDS = 3.0
"""How long steps are timed for the cost."""


def main() -> None:
    """List the presets, or run one."""
    parser = Parser(prog="python -m stages.presets", description=__doc__)
    parser.add_argument("name", nargs="?", help="a preset")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="overrides a value of the preset")
    parser.add_argument("--from", dest="start", choices=STARTS, default="base", help="where training starts")
    parser.add_argument(
        "--force", action="store_true", help="run every stage, also those that did not change"
    )
    parser.add_argument("--dry-run", action="store_true", help="say the cost and the command, run nothing")
    asked = parser.parse_intermixed_args()
    if not asked.name:
        for name in names(FOLDER):
            tell(f"{name:5}  {description(name, FOLDER)}")
        return
    found = overrides(asked.name, [], FOLDER) | STARTS[asked.start]
    found |= dict(setting(text) for text in asked.settings)
    sections: dict[str, Any] = {**apply(found, Path("params.yaml"))}
    tell(_cost(f"{asked.name}, from {sections['train'].start_from}", sections))
    line = command(unused(asked.name), found) + (["--force"] if asked.force else [])
    tell(shlex.join(line))
    if not asked.dry_run:
        sys.exit(subprocess.run(line, check=False).returncode)


def _cost(title: str, sections: dict[str, Any]) -> str:
    """Return a sentence on what training costs on this machine, measured with the training's own loop."""
    has = describe({})
    params, free = sections["train"], has["memory"]["free"]
    measured = cost.cost(params, sections["machine"], seconds=TIMED_SECONDS, free_memory=free)
    photos = plan.photo_counts(PREPARED, given=None)
    planned = plan.plan(params, photos, measured)
    sources = {"prepared": "as prepared last", "assumed": "assumed, as nothing is prepared yet"}
    busy = has["busy"] >= cost.BUSY
    return (
        f"{title}: training takes about {duration(planned.minutes)} here, {planned.epochs:.3g} epochs of "
        f"{photos.train} photos and copies ({sources[photos.source]}) at {measured.photos_per_second:.3g} a "
        f"second{', while other programs are busy' if busy else ''}; the same command resumes it after Ctrl-C"
    )


if __name__ == "__main__":
    run_command(main)
