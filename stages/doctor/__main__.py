"""Report what this machine can do, how full the caches are, and what training with params.yaml would cost.

To measure the cost, the real training loop runs for some seconds on generated photos, with the network, batch
and precision of params.yaml. Nothing is written. Examples:

  python -m stages.doctor
  python -m stages.doctor -S train.architecture=cnn -S train.working_size=256
  python -m stages.doctor -S machine.precision=fp32 --photos 50000 --seconds 10
  python -m stages.doctor --json
  python -m stages.doctor check            whether a long training makes sense, in about a minute
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stages.doctor import caches, check, machine, page
from stages.params import Machine, load_all
from ungray.errors import UngrayError
from ungray.system.console import run_command
from ungray.system.files import main_checkout
from ungray.system.terminal import Parser, tell, write_out

MOST_SECONDS = 600

MEND = "`pip check` lists packages that conflict; `rm -rf .venv && make env` fixes it"


def main() -> None:
    """Run the command."""
    if sys.argv[1:2] == ["check"]:
        return check.run(sys.argv[2:])
    options = _options()
    if options.photos is not None and options.photos < 1:
        raise UngrayError(f"--photos {options.photos} is not allowed: it must be 1 or more")
    if not 0 <= options.seconds <= MOST_SECONDS:
        raise UngrayError(f"--seconds {options.seconds:g} is not allowed: it must be 0 to {MOST_SECONDS}")
    sections = load_all(changes=options.set)
    here = Path.cwd()
    try:
        has = machine.describe({".cache": main_checkout(here) / ".cache", "data": here / "data"})
    except (ImportError, RuntimeError) as error:
        raise UngrayError(f"torch cannot be imported ({_line(error)}); {MEND}") from None
    sizes = caches.describe(here)
    found: dict[str, Any] = {"machine": has, "caches": sizes}
    if not options.json:
        tell(*page.machine_lines(has, sizes))
    _add_cost(found, sections, options)
    if options.json:
        write_out(json.dumps(found, indent=2) + "\n")
    else:
        tell(*page.advice_lines(found["advice"]))


def _add_cost(found: dict[str, Any], sections: dict[str, Any], options: argparse.Namespace) -> None:
    """Measure and show what training costs; add cost, photos, plan and advice to ``found``."""
    try:
        from stages.doctor import advice, cost, plan
    except (ImportError, RuntimeError) as error:  # for example, if torch and torchvision do not match
        raise UngrayError(f"training cannot start ({_line(error)}); {MEND}") from None
    params, where = sections["train"], sections["machine"]
    assert isinstance(where, Machine)
    free = found["machine"]["memory"]["free"]
    photos = plan.photo_counts(Path("data/prepared"), given=options.photos)
    busy = found["machine"]["busy"]
    measured = cost.cost(params, where, seconds=options.seconds, free_memory=free, busy=busy)
    planned = plan.plan(params, photos, measured)
    if not options.json:
        tell(*page.cost_lines(params, where, cost=measured, photos=photos, plan=planned))
    found |= {"cost": asdict(measured), "photos": asdict(photos), "plan": asdict(planned)}
    found["advice"] = advice.machine_advice(found["machine"], found["caches"]) + advice.cost_advice(
        params, where, found["machine"], cost=measured, photos=photos, plan=planned
    )


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _options() -> argparse.Namespace:
    parser = Parser(
        prog="python -m stages.doctor",
        description=__doc__,
    )
    parser.add_argument(
        "-S", "--set", metavar="KEY=VALUE", action="append", default=[],
        help="a value instead of params.yaml's, as train.batch_size=64; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--photos", metavar="N", type=int, help="train photos and copies (those in data/prepared)"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to time training (5)")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
