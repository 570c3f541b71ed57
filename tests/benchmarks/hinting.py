"""What variants and reference photos are worth, beside the simplest rivals.

    python -m tests.benchmarks.hinting variants DIR [DIR ...] [--model MODEL] [--most 30]
    python -m tests.benchmarks.hinting reference DIR [DIR ...] [--film VIDEO ...] [--model MODEL] [--most 30]

`variants`: CIEDE2000 from the truth of one coloring and of the best of four, and how far the four lie apart
(mean CIEDE2000 of all pairs). The rival is the automatic coloring at saturations 0.5, 1, 1.5 and 2.

`reference`: CIEDE2000 of photos colored with a reference photo: itself (the easy end), its other half,
another photo of the folder (which should do no harm), and frames of a film some seconds apart. Beside it the
automatic coloring, and the same with histograms of a and b matched to the reference's.

Photos are judged at 256 pixels. Each row has the 95 % interval of the mean of the difference from automatic.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from ungray import Colorizer, hints_from_reference
from ungray.imaging import photos
from ungray.imaging.color import Rgb, lab_to_rgb, rgb_to_lab
from ungray.imaging.metrics import ciede2000
from ungray.imaging.upsampling import gray_photo
from ungray.variants import variants

SIDE = 256
"""The longer side of judged photos, in pixels."""

SATURATIONS = (0.5, 1.0, 1.5, 2.0)

FRAMES, APART = 12, 3.0
"""Pairs of frames per film, and the seconds between the two of a pair."""


def difference(photo: Rgb, truth: Rgb) -> float:
    """Return the mean CIEDE2000 between two photos."""
    return float(ciede2000(rgb_to_lab(photo), rgb_to_lab(truth)).mean())


def apart(colorings: list[Rgb]) -> float:
    """Return the mean CIEDE2000 of all pairs."""
    return float(np.mean([difference(*pair) for pair in itertools.combinations(colorings, 2)]))


def truths(folder: Path, most: int) -> list[Rgb]:
    """Return at most ``most`` photos of a folder, evenly spaced, at the judged size."""
    paths = sorted(path for path in folder.rglob("*") if f".{path.suffix.lower()[1:]}" in (".jpg", ".png"))
    chosen = np.linspace(0, len(paths) - 1, min(most, len(paths))).round().astype(int)
    return [scaled(photos.read_rgb(paths[number])) for number in chosen]


def scaled(photo: Rgb) -> Rgb:
    """Return a photo with a longer side of at most :data:`SIDE`."""
    factor = min(1.0, SIDE / max(photo.shape[:2]))
    return np.asarray(cv2.resize(photo, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)


def judge_variants(colorizer: Colorizer, folders: list[Path], most: int) -> pd.DataFrame:
    """Return one row per photo."""
    rows = []
    for folder in folders:
        for truth in truths(folder, most):
            gray = gray_photo(truth)
            automatic = colorizer.predict(gray)
            begun = time.process_time()
            found = variants(colorizer, gray, number=4)
            seconds = time.process_time() - begun
            four = colorizer.colorize_batch([gray] * len(found), hints=found)
            rival = [automatic.render(saturation=saturation) for saturation in SATURATIONS]
            ours, theirs = ([difference(one, truth) for one in some] for some in (four, rival))
            one = difference(automatic.render(), truth)
            rows.append(
                {
                    "set": folder.name, "gray": difference(gray, truth), "automatic": one,
                    "mean of four": np.mean(ours), "best of four": min(ours),
                    "best of automatic and four": min(one, *ours), "apart": apart(four),
                    "saturations: best": min(theirs), "saturations: apart": apart(rival),
                    "CPU seconds": seconds,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def halves(photo: Rgb) -> tuple[Rgb, Rgb]:
    """Return the halves of a photo, cut across its longer side."""
    height, width = photo.shape[:2]
    if width >= height:
        return np.ascontiguousarray(photo[:, : width // 2]), np.ascontiguousarray(photo[:, -(width // 2) :])
    return photo[: height // 2], photo[-(height // 2) :]


def pairs(folders: list[Path], films: list[Path], most: int) -> Iterator[tuple[str, Rgb, Rgb]]:
    """Yield kind, photo and reference."""
    for folder in folders:
        some = truths(folder, most)
        for number, photo in enumerate(some):
            yield f"{folder.name}: itself", photo, photo
            yield f"{folder.name}: other half", *halves(photo)
            yield f"{folder.name}: another photo", photo, some[number - 1]
    for film in films:
        video = cv2.VideoCapture(str(film))
        length, rate = video.get(cv2.CAP_PROP_FRAME_COUNT), video.get(cv2.CAP_PROP_FPS)
        for start in np.linspace(0, max(0, length - APART * rate - 2), FRAMES).astype(int):
            frames = []
            for place in (start, start + round(APART * rate)):
                video.set(cv2.CAP_PROP_POS_FRAMES, place)
                read, frame = video.read()
                frames += [scaled(np.ascontiguousarray(frame[..., ::-1]))] if read else []
            if len(frames) == 2:
                yield f"{film.stem}: {APART:g} s apart", frames[1], frames[0]


def matched_histograms(photo: Rgb, reference: Rgb) -> Rgb:
    """Return a photo whose a and b have the distributions of the reference's; the lightness stays."""
    lab, theirs = rgb_to_lab(photo), rgb_to_lab(reference)
    for channel in (1, 2):
        values = lab[..., channel].ravel()
        wanted = np.sort(theirs[..., channel].ravel())
        ranks = np.argsort(values, kind="stable")
        places = np.linspace(0, len(wanted) - 1, len(values))
        values[ranks] = np.interp(places, np.arange(len(wanted)), wanted)
        lab[..., channel] = values.reshape(lab.shape[:2])
    return lab_to_rgb(lab)


def judge_reference(colorizer: Colorizer, folders: list[Path], films: list[Path], most: int) -> pd.DataFrame:
    """Return one row per pair."""
    rows = []
    for kind, truth, reference in pairs(folders, films, most):
        gray = gray_photo(truth)
        automatic = colorizer.colorize(gray)
        begun = time.process_time()
        hints = hints_from_reference(colorizer, gray, reference)
        seconds = time.process_time() - begun
        colored = colorizer.colorize(gray, hints=hints)
        rows.append(
            {
                "set": kind, "gray": difference(gray, truth), "automatic": difference(automatic, truth),
                "matched histograms": difference(matched_histograms(automatic, reference), truth),
                "reference": difference(colored, truth), "hints": len(hints), "CPU seconds": seconds,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def interval(values: pd.Series) -> str:
    """Return the 95 % interval of a mean."""
    half = 1.96 * values.std() / len(values) ** 0.5
    return f"{values.mean():+.2f} ({values.mean() - half:+.2f} to {values.mean() + half:+.2f})"


def summary(judged: pd.DataFrame, decisive: str) -> pd.DataFrame:
    """Return the means per set, and the difference of ``decisive`` from automatic."""
    means = judged.groupby("set", sort=False).mean().round(2)
    gain = (judged[decisive] - judged["automatic"]).groupby(judged["set"], sort=False).agg(interval)
    means.insert(0, "pairs", judged.groupby("set", sort=False).size())
    means[f"{decisive} minus automatic"] = gain
    return means


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("variants", "reference"))
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--film", nargs="*", type=Path, default=[], metavar="VIDEO")
    parser.add_argument("--model", default=None)
    parser.add_argument("--most", type=int, default=30)
    chosen = parser.parse_args()
    colorizer = Colorizer.load(chosen.model, threads=1)
    judges: dict[str, Callable[[], pd.DataFrame]] = {
        "variants": lambda: judge_variants(colorizer, chosen.folders, chosen.most),
        "reference": lambda: judge_reference(colorizer, chosen.folders, chosen.film, chosen.most),
    }
    decisive = {"variants": "best of four", "reference": "reference"}[chosen.what]
    print(summary(judges[chosen.what](), decisive).T.to_string())


if __name__ == "__main__":
    main()
