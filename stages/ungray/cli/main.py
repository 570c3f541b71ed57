"""The command ``colorize``: heavy modules are imported late, so that ``--help`` answers at once."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable

from ungray.cli.outputs import UsageError
from ungray.imaging.reading.formats import NAMES
from ungray.system.console import run_command
from ungray.system.limits import MAX_PIXELS
from ungray.system.terminal import Parser

EXAMPLES = """examples:
  colorize grandmother.jpg                   grandmother-colored.jpg, beside the photo
  colorize scan.tif -o scan.jpg --vivid      another name and format, livelier colors
  colorize photo.jpg --model mine            by the model trained here, not by the base model
  colorize scans/ -o colored/ --jobs 2      a folder and all below it, under the same names
  colorize 'scans/**/*.png' -o colored/     a pattern; in quotes the folders are kept
  colorize https://example.org/photo.jpg     a photo of the web
  colorize - <in.jpg >out.jpg                standard input to standard output
  colorize scans/ --compare --dry-run        what would be written: gray and colored side by side
  colorize serve                             the web page, on this machine alone; see colorize serve --help

A photo whose output exists is skipped, whatever model and options made it; --overwrite makes it again. A
photo itself is never overwritten. Its lightness stays as it is, at full resolution; only color is added,
and a color photo is taken as gray. The colors are a guess: plausible at best, never evidence of what was
there.

A link to a photo is a photo of its own. A link to a folder is followed where you name it or a * of a pattern
matches it, not below a folder and not by **. No photo is colored twice, whatever links lead to its folder.

exit codes: 0 success, 1 some photo failed (the others are done), 2 wrong usage, 130 interrupted

Ungray (the project behind this command) trains such models on your own photos: see its README.md.
"""


def main(arguments: list[str] | None = None) -> None:
    """Run the command with ``arguments``; None takes those of the process."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["serve"]:
        from ungray import page

        return page.main(arguments[1:])
    parser = _parser()
    chosen = parser.parse_args(arguments)

    def color() -> None:
        from ungray.cli.run import run

        try:
            run(chosen)
        except UsageError as error:
            parser.error(str(error))

    run_command(color, if_full="free some space and run it again: what is done is kept")


def _parser() -> Parser:
    parser = Parser(
        prog="colorize",
        description="Ungray: give gray photos color.",
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "photos",
        nargs="+",
        metavar="PHOTO",
        help=f"a file, a folder, a pattern, an http(s) address, or - for standard input; {NAMES}, and raw "
        f"files of cameras where rawpy is installed, of up to {MAX_PIXELS / 1e6:.0f} megapixels",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        help="where to write: a file for one photo, a folder for several, - for standard output (default: "
        "beside the photo, as NAME-colored)",
    )
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="base (the base model, which `dvc pull` fetches), mine (the one that `dvc repro` trains), or a "
        "file of ungray, .safetensors or .onnx (default: base, or mine where that is not there)",
    )
    parser.add_argument(
        "--engine",
        choices=("auto", "torch", "onnxruntime"),
        default="auto",
        help="what runs the model (default: onnxruntime where the model was exported, else torch)",
    )
    _add_color(parser.add_argument_group("color"))
    _add_files(parser.add_argument_group("files"))
    _add_running(parser.add_argument_group("running"))
    return parser


def _add_color(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--saturation",
        type=_number(float, 0, 10),
        default=1.0,
        metavar="X",
        help="how strong the colors are: 0 is gray, 1 what the model says (default)",
    )
    group.add_argument("--vivid", action="store_true", help="livelier colors, at the price of more error")
    group.add_argument("--compare", action="store_true", help="gray and colored side by side in one picture")


def _add_files(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--format",
        choices=("jpg", "png", "webp", "tif"),
        help="of the outputs (default: the photo's own; HEIC becomes JPEG, AVIF WebP, other kinds PNG)",
    )
    group.add_argument(
        "--quality",
        type=_number(int, 1, 100),
        default=95,
        metavar="Q",
        help="quality of JPEG and WebP, 1 to 100 (default: 95)",
    )
    group.add_argument(
        "--pages",
        action="store_true",
        help="color all pages of a TIFF, into one TIFF (default: the first page)",
    )
    group.add_argument("--overwrite", action="store_true", help="make outputs again that exist already")


def _add_running(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--jobs",
        type=_number(int, 1, 256),
        default=0,
        metavar="N",
        help="photos at a time (default: one per core, 4 at most)",
    )
    group.add_argument("--dry-run", action="store_true", help="say what would be written, and write nothing")
    group.add_argument("--json", action="store_true", help="print a summary for programs on standard output")


def _number(kind: Callable[[str], float], low: float, high: float) -> Callable[[str], float]:
    """Return a function that reads a number from ``low`` to ``high``."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if low <= value <= high:
            return value
        raise argparse.ArgumentTypeError(f"{text} is no {kind.__name__} from {low:g} to {high:g}")

    return read


if __name__ == "__main__":
    main()
