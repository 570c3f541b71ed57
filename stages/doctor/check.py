"""Check in about a minute whether a long training with params.yaml makes sense; it changes nothing of DVC's.

On a few of the prepared train photos it runs the learning rate range test, lets the network learn eight
photos by heart, and finds how large a batch fits into memory. Anything odd is a sentence; where training
would be pointless (all photos are gray, the loss does not fall), the exit code is 1. Curve and photos are in
.cache/check. Examples:

  python -m stages.doctor check
  python -m stages.doctor check -S train.start_from=nothing -S train.lr=0.001
  python -m stages.doctor check --seconds 60 --json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stages.doctor.machine import describe
from stages.doctor.page import filesize
from stages.params import load_all
from stages.storage import tables
from ungray.errors import UngrayError
from ungray.system.files import main_checkout
from ungray.system.terminal import Parser, tell, write_out

MOST_SECONDS = 600
PREPARED = Path("data/prepared")
LEAST_BATCH = 16
"""A batch of this many photos at least is probed, so that the growth of memory is known."""


def run(arguments: Sequence[str]) -> None:
    """Run the check.

    Raises:
        UngrayError: there are no prepared photos, or training is not possible here.
        SystemExit: with 1, if training as params.yaml says would be pointless.
    """
    options = _options(arguments)
    if not 0 <= options.seconds <= MOST_SECONDS:
        raise UngrayError(f"--seconds {options.seconds:g} is not allowed: it must be 0 to {MOST_SECONDS}")
    sections: dict[str, Any] = load_all(changes=options.set)
    params, machine = sections["train"], sections["machine"]
    index = tables.read_table(PREPARED / "index.csv", made_by="prepare")
    folder = main_checkout(Path.cwd()) / ".cache" / "check"
    try:
        from stages.doctor import cost, oddities, pictures
        from stages.doctor.rehearsal import Rehearsal, sample
    except (ImportError, RuntimeError) as error:  # for example, if torch and torchvision do not match
        raise UngrayError(f"training cannot start ({str(error).splitlines()[0]}); try `pip check`") from None
    report = (lambda *lines: None) if options.json else tell
    pixels = sample(index, PREPARED, size=params.working_size, stream=machine.stream)
    report(f"A training with {params.architecture} from {params.start_from}, on {len(pixels)} train photos")
    # First, while this process is small: what it takes is not free.
    free = describe({})["memory"]["free"]
    probed = params.model_copy(update={"batch_size": max(params.batch_size, LEAST_BATCH)})
    measured = cost.cost(probed, machine, seconds=0, free_memory=free)
    largest = measured.largest_batch
    at_most = f"about {largest} fit" if largest else "a larger one was not tried"
    report(_line("batch", f"{params.batch_size} photos; {at_most} ({filesize(free)} free)"))
    rehearsal = Rehearsal(params, machine, pixels, seconds=options.seconds)
    found = rehearsal.range_test()
    curve, grid = folder / "learning_rate.png", folder / "photos.jpg"
    pictures.draw_range_test(curve, found, lr=params.lr)
    proposed = f"{found.proposal:g}" if found.proposal else "none: no rate made the loss fall"
    report(_line("learning rate", f"{params.lr:g}; the range test proposes {proposed}"))
    learned = rehearsal.by_heart(found.proposal)
    pictures.draw_photos(grid, pixels, learned)
    fall = f"{100 * learned.fall:.0f} % less" if learned.fall == learned.fall else "not finite"
    report(
        _line(
            "by heart",
            f"{len(learned.colored)} photos in {len(learned.losses)} steps at {learned.rate:g}: loss "
            f"{learned.losses[0]:.4f} to {learned.losses[-1]:.4f}, {fall} (gray {learned.gray:.4f})",
        ),
        _line("pictures", f"{_shown(curve)}, {_shown(grid)}"),
    )
    no_color = oddities.without_color(pixels)
    odd = [*([no_color] if no_color else oddities.of_data(pixels))]
    odd += oddities.of_index(index, min_groups=sections["evaluate"].min_groups)
    odd += oddities.of_training(params, found, learned) + oddities.of_memory(params, measured)
    report("Odd", *(f"  - {sentence}" for sentence in odd or ["nothing: training can start"]))
    if options.json:
        values = {
            "largest_batch": largest,
            "range_test": asdict(found),
            "by_heart": {name: value for name, value in asdict(learned).items() if name != "colored"},
            "pictures": [str(curve), str(grid)],
            "odd": odd,
        }
        write_out(json.dumps(values, indent=2) + "\n")
    if no_color or oddities.pointless(learned):
        sys.exit(1)


def _line(name: str, text: str) -> str:
    return f"  {name:<16} {text}"


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _options(arguments: Sequence[str]) -> Any:
    parser = Parser(prog="python -m stages.doctor check", description=__doc__)
    parser.add_argument(
        "-S", "--set", metavar="KEY=VALUE", action="append", default=[],
        help="a value instead of params.yaml's, as train.lr=0.0003; may be repeated",
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, default=15.0, help="limit of each of the two tests (15)")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    return parser.parse_args(list(arguments))
