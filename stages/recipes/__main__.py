"""Run a recipe: print the command `dvc exp run -n NAME -S ...` that it stands for, then run it.

Without a name, list the recipes. Values after the name override the recipe's. Run again on the same commit,
it is experiment NAME-2, NAME-3 and so on. Examples:

  python -m stages.recipes
  python -m stages.recipes bing-cnn
  python -m stages.recipes unet scrape.source=folder scrape.folder=/my/photos train.minutes=10
"""

import shlex
import subprocess
import sys
from pathlib import Path

from stages.recipes.experiments import unused
from stages.recipes.overlay import apply, command, description, names, overrides
from ungray.system.console import run_command
from ungray.system.terminal import Parser, tell


def main() -> None:
    """List the recipes, or run one."""
    parser = Parser(
        prog="python -m stages.recipes",
        description=__doc__,
    )
    parser.add_argument("name", nargs="?", help="a recipe")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="overrides a value of the recipe")
    parser.add_argument("--dry-run", action="store_true", help="check and print the command, run nothing")
    asked = parser.parse_args()
    if not asked.name:
        width = max(map(len, names()))
        for name in names():
            tell(f"{name:{width}}  {description(name)}")
        return
    found = overrides(asked.name, asked.settings)
    apply(found, Path("params.yaml"))
    line = command(unused(asked.name), found)
    tell(shlex.join(line))
    if not asked.dry_run:
        sys.exit(subprocess.run(line, check=False).returncode)


if __name__ == "__main__":
    run_command(main)
