"""The command ``colorize``: heavy modules are imported late, so that ``--help`` answers at once."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable

from ungray.cli.films import parse_rate, parse_time
from ungray.cli.hints import parse_hint
from ungray.cli.outputs import MOST_VARIANTS, UsageError
from ungray.film.formats import CODECS
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
  colorize photo.jpg --hint 120,80,#aa3322   the color at a pixel is known: in quotes where # begins a comment
  colorize photo.jpg --like other.jpg        places that look alike take the colors of another photo
  colorize photo.jpg --variants 4            four plausible colorings to choose from
  colorize https://example.org/photo.jpg     a photo of the web
  colorize - <in.jpg >out.jpg                standard input to standard output
  colorize scans/ --compare --dry-run        what would be written: gray and colored side by side
  colorize film.mp4                          film-colored.mp4, with its sound; --preview 10s for a first look
  colorize frames/ --frames 24 -o film.mkv   a folder of numbered frames, as one film
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
    _add_hints(parser.add_argument_group("hints: what you know of its colors"))
    _add_files(parser.add_argument_group("files"))
    _add_films(parser.add_argument_group("films"))
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


def _add_hints(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--hint",
        type=parse_hint,
        action="append",
        metavar="X,Y,#RRGGBB",
        help="the color at a pixel of the upright photo; a fourth value, over 0 and at most 1, says how much "
        "it is trusted (default: 1); may be given several times",
    )
    group.add_argument(
        "--hints",
        metavar="PATH",
        help="a hints file (JSON, as the page and --variants write it), or a folder with one per photo, "
        "a.hints.json for a.jpg (default: that file beside its photo, if there is one)",
    )
    group.add_argument(
        "--like",
        metavar="PHOTO",
        help="a photo in color of something similar: places that look alike take its colors",
    )
    group.add_argument(
        "--variants",
        type=_number(int, 1, MOST_VARIANTS),
        default=0,
        metavar="N",
        help="write N plausible colorings, NAME-1 to NAME-N, each with its hints file to go on from",
    )


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


def _add_films(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--codec",
        choices=tuple(CODECS),
        help="of the pictures; sound and subtitles are copied (default: h264, vp9 for WebM)",
    )
    group.add_argument(
        "--crf",
        type=_number(int, 0, 63),
        metavar="N",
        help="quality of h264, hevc, vp9 and av1: the lower, the better and larger (default: "
        + ", ".join(f"{codec.crf} for {name}" for name, codec in CODECS.items() if codec.crf)
        + ")",
    )
    group.add_argument(
        "--start", type=parse_time, metavar="TIME", help="color from here on: seconds, or 1:30, or 1:02:03"
    )
    group.add_argument("--end", type=parse_time, metavar="TIME", help="color up to here")
    group.add_argument(
        "--preview",
        type=parse_time,
        metavar="TIME",
        help="color this much from the start, as 10s, into NAME-preview",
    )
    group.add_argument(
        "--frames",
        type=parse_rate,
        metavar="RATE",
        help="take each folder as the numbered frames of one film, and write frames, or with -o film.mp4 a "
        "film of this many frames a second",
    )
    group.add_argument("--force", action="store_true", help="color films that are in color already, too")


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

    def number(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if low <= value <= high:
            return value
        raise argparse.ArgumentTypeError(f"{text} is no {kind.__name__} from {low:g} to {high:g}")

    return number


if __name__ == "__main__":
    main()
