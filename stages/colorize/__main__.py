"""The command ``colorize``."""

from __future__ import annotations

import argparse
from pathlib import Path

from stages.command import run_command
from stages.errors import UngrayError

MODEL = Path(__file__).parents[2] / "data" / "models" / "colorizer.safetensors"

EXAMPLES = """examples:
  colorize grandmother.jpg -o grandmother-coloured.png
  colorize scan.tif -o scan.jpg --model data/models/colorizer.safetensors

The lightness of the photo is kept as it is, at full resolution; only colour is added. A colour photo is taken
as gray. The colours are a guess: plausible at best, never evidence of what was there.

Ungray (the project behind this command) trains such models on your own photos: see its README.
"""


def main(arguments: list[str] | None = None) -> None:
    """Run the command with ``arguments``, the process's own if None."""
    parser = argparse.ArgumentParser(
        prog="colorize",
        description="Ungray: give a gray photo colour.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("photo", type=Path, help="a photo of any size: JPEG, PNG, WebP, TIFF, BMP, GIF")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="where to write: .png, .jpg or .webp"
    )
    parser.add_argument(
        "--model",
        type=Path,
        default=MODEL,
        help="a trained model of ungray (default: the one `dvc repro` makes or `dvc pull` fetches)",
    )
    chosen = parser.parse_args(arguments)
    run_command(lambda: colorize_file(chosen.photo, chosen.output, model=chosen.model))


def colorize_file(photo: Path, output: Path, *, model: Path = MODEL) -> None:
    """Colour the file ``photo`` with ``model`` and write it to ``output``, whose extension gives the format.

    Raises:
        UngrayError: the photo or the model cannot be read, or the output cannot be written; one sentence says
        why.
    """
    # Here, not above: torch takes seconds to import, and `colorize --help` should answer at once.
    from stages import networks, photos
    from stages.color import recolor, rgb_to_lab

    if output.exists() and output.resolve() == photo.resolve():
        raise UngrayError(f"{output} is the photo itself; choose another name for the output")
    try:
        rgb = photos.read_rgb(photo)
    except photos.PhotoError as error:
        raise UngrayError(f"{photo}: {error}") from None
    except FileNotFoundError:
        raise UngrayError(f"{photo} not found") from None
    except (PermissionError, IsADirectoryError) as error:
        raise UngrayError(f"{photo}: {error.strerror}") from None
    network = networks.load_model(model).network
    coloured = recolor(
        rgb_to_lab(rgb)[..., 0],
        networks.predictor(network),
        short_side=network.working_size,
        multiple=network.MULTIPLE,
    )
    try:
        photos.write_rgb(output, coloured)
    except (PermissionError, NotADirectoryError, IsADirectoryError) as error:
        raise UngrayError(f"{output}: {error.strerror}") from None


if __name__ == "__main__":
    main()
