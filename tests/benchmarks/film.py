"""How steady the colors of films are, and how true; what coloring a film costs.

    python -m tests.benchmarks.film quality --films DIR        films that the method was chosen on, and DIR's
    python -m tests.benchmarks.film held-out --photos DIR      films that it was not, and of DIR's photos
    python -m tests.benchmarks.film cuts
    python -m tests.benchmarks.film speed
    python -m tests.benchmarks.film memory --most 90000        an hour
    python -m tests.benchmarks.film picture                    reports/films.webp

``quality``: films with known colors are made of the sample's photographs: pans, zooms, and cut-outs that move
over a pan, with grain and brightness that flickers, as old films have. They are colored as ``colorize`` does,
frame by frame, and frame by frame with plain temporal smoothing (a running mean of the colors of a place).
``held-out``: the same for other photographs and other motions, which nothing was chosen on: turns, a camera
in the hand, a walk, zooms out; of ``--photos``, the first :data:`HELD_OUT` in the order of their names.

- flicker: mean change of ab, in Lab units, from a frame to the next along the true flow, over what is visible
  in both; and less the truth's own. Of real films the flow is found at full size, by DIS in both directions.
- CDC: color distribution consistency (Liu and others, "Temporally consistent video colorization", 2021): the
  mean Jensen-Shannon divergence of the histograms of R, G and B of frames 1, 2 and 4 apart, times 1,000.
- CIEDE2000, the mean over all frames.

Bars: flicker, the truth's own not subtracted, at most a third of frame by frame's; CIEDE2000 no worse.
Exits with 1 where one is missed.

``cuts``: the shots of the sample's films joined; how many cuts are found, and how many are none, compared
with PySceneDetect's detectors. ``speed``: frames a second, CPU time, and their ratio to decoding and encoding
alone by the same codec; the goal is 0.5 at 720p. ``memory``: whether it grows with the
length of a film, ``--most`` frames.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skimage import data
from sklearn.datasets import load_sample_image

from ungray.colorizer import Colorizer, default_model
from ungray.film.coloring import Options, color_film
from ungray.film.encoding import Encoding, Part
from ungray.film.sources import open_source
from ungray.imaging import metrics, photo_files
from ungray.imaging.color import Float, Rgb, lab_to_rgb, rgb_to_lab
from ungray.imaging.photos import read_rgb
from ungray.imaging.propagation import Propagation
from ungray.imaging.upsampling import gray_photo

HEIGHT, WIDTH, FRAMES = 240, 426, 48
LAGS = (1, 2, 4)

HELD_OUT = 8
"""Number of photographs of ``--photos`` of which films are made."""


@dataclass(frozen=True)
class Film:
    """Frames, and for each but the last where its pixels are in the next: x and y, and whether visible."""

    name: str
    frames: list[Rgb]
    flows: list[tuple[Float, NDArray[np.bool_]]]
    old: list[Rgb]
    """The frames with grain and flicker of brightness, in gray."""


def photographs() -> dict[str, Rgb]:
    found = {name: load_sample_image(f"{name}.jpg") for name in ("china", "flower")}
    found |= {name: getattr(data, name)() for name in ("astronaut", "chelsea", "coffee", "rocket")}
    return {name: np.ascontiguousarray(photo[..., :3]) for name, photo in found.items()}


def window(photo: Rgb, *, left: float, top: float, scale: float, turn: float = 0.0) -> NDArray[np.float64]:
    """The matrix from pixels of a frame to those of ``photo``; place and scale in 0..1 of what fits, and by
    how many degrees it is turned around its center."""
    fits = min(photo.shape[1] / WIDTH, photo.shape[0] / HEIGHT)
    step = fits * scale
    across, down = photo.shape[1] - WIDTH * step, photo.shape[0] - HEIGHT * step
    straight = np.array([[step, 0, left * across], [0, step, top * down], [0, 0, 1]])
    return straight @ np.vstack([cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), turn, 1), [0, 0, 1]])


def made(name: str, photo: Rgb, other: Rgb | None, path: Callable[[float], dict[str, float]]) -> Film:
    """A film: a window that moves over ``photo``, and in front of it a disk cut out of ``other``."""
    frames, flows, matrices, disks = [], [], [], []
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    for number in range(FRAMES):
        matrix = window(photo, **path(number / (FRAMES - 1)))
        step = float(np.hypot(*matrix[:2, 0]))
        large = cv2.GaussianBlur(photo, (0, 0), max(0.3, 0.4 * step))
        frame = cv2.warpAffine(
            large, matrix[:2], (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        center = np.array([WIDTH * (0.15 + 0.7 * number / FRAMES), HEIGHT * (0.5 + 0.2 * np.sin(number / 8))])
        inside = np.hypot(columns - center[0], rows - center[1]) < HEIGHT / 4
        if other is not None:
            shift = np.array([[1, 0, other.shape[1] / 2 - center[0]], [0, 1, other.shape[0] / 2 - center[1]]])
            cut = cv2.warpAffine(other, shift, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
            frame = np.where(inside[..., None], cut, frame)
        frames.append(frame)
        matrices.append(matrix)
        disks.append((center, inside & (other is not None)))
    for now, then, (center, inside), (after, covered) in zip(
        matrices, matrices[1:], disks, disks[1:], strict=False
    ):
        places = np.stack([columns, rows, np.ones_like(rows)], -1) @ (np.linalg.inv(then) @ now).T
        places = np.where(
            inside[..., None], np.stack([columns, rows], -1) + (after - center), places[..., :2]
        )
        flows.append((places.astype(np.float32), seen(places, inside, covered)))
    return Film(name, frames, flows, aged(frames))


def seen(places: NDArray[Any], inside: NDArray[np.bool_], covered: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which pixels of a frame are visible in the next, at ``places``: in it, on the same side of a cut."""
    x, y = places[..., 0], places[..., 1]
    within = (x >= 1) & (x < WIDTH - 2) & (y >= 1) & (y < HEIGHT - 2)
    at = np.moveaxis(places.astype(np.float32), -1, 0)
    there = cv2.remap(covered.astype(np.float32), *at, cv2.INTER_LINEAR)
    edge = cv2.morphologyEx(inside.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > 0
    return within & ~edge & (np.abs(there - inside) < 0.01)


def aged(frames: list[Rgb]) -> list[Rgb]:
    """Gray frames with grain, and brightness that changes from frame to frame."""
    draws = np.random.default_rng(0)
    return [
        (gray_photo(frame) * draws.normal(1, 0.015) + draws.normal(0, 3, frame.shape[:2])[..., None])
        .clip(0, 255)
        .round()
        .astype(np.uint8)
        for frame in frames
    ]


def films() -> Iterator[Film]:
    photos = photographs()

    def pan(at: float) -> dict[str, float]:
        return {"left": at, "top": 0.5 + 0.3 * np.sin(5 * at), "scale": 0.6}

    def zoom(at: float) -> dict[str, float]:
        return {"left": 0.5, "top": 0.5, "scale": 0.9 - 0.5 * at}

    def slow(at: float) -> dict[str, float]:
        return {"left": 0.3 + 0.2 * at, "top": 0.5, "scale": 0.75}

    def still(at: float) -> dict[str, float]:
        return {"left": 0.5, "top": 0.5, "scale": 0.8}

    yield made("pan over china", photos["china"], None, pan)
    yield made("zoom into flower", photos["flower"], None, zoom)
    yield made("pan over rocket", photos["rocket"], None, pan)
    yield made("zoom into coffee", photos["coffee"], None, zoom)
    yield made("chelsea before china", photos["china"], photos["chelsea"], slow)
    yield made("astronaut before flower", photos["flower"], photos["astronaut"], slow)
    yield made("flower before coffee, still", photos["coffee"], photos["flower"], still)


def turned(at: float) -> dict[str, float]:
    return {"left": 0.3 + 0.4 * at, "top": 0.5, "scale": 0.6, "turn": 20 * at - 10}


def in_hand(at: float) -> dict[str, float]:
    left, top = 0.5 + 0.1 * np.sin(17 * at), 0.5 + 0.1 * np.sin(29 * at + 1)
    return {"left": left, "top": top, "scale": 0.65, "turn": 3 * np.sin(11 * at)}


def walk(at: float) -> dict[str, float]:
    return {"left": 0.9 - 0.8 * at * at, "top": 0.6 + 0.1 * np.abs(np.sin(20 * at)), "scale": 0.5}


def zoom_out(at: float) -> dict[str, float]:
    return {"left": 0.6 - 0.2 * at, "top": 0.4, "scale": 0.35 + 0.35 * at, "turn": 8 - 8 * at}


def held_out_films(folder: Path | None) -> Iterator[Film]:
    """Films of photographs and motions that nothing was chosen on, those of ``folder`` last."""
    names = ("astronaut.png", "chelsea.png", "hubble_deep_field.jpg", "motorcycle_left.png", "retina.jpg")
    photos = {Path(name).stem: read_rgb((files("skimage.data") / name).read_bytes()) for name in names}
    yield made("turn over motorcycle", photos["motorcycle_left"], None, turned)
    yield made("walk past motorcycle", photos["motorcycle_left"], None, walk)
    yield made("astronaut in the hand", photos["astronaut"], None, in_hand)
    yield made("zoom out of chelsea", photos["chelsea"], None, zoom_out)
    yield made("turn over hubble", photos["hubble_deep_field"], None, turned)
    yield made("retina before motorcycle", photos["motorcycle_left"], photos["retina"][500:, 500:], in_hand)
    if folder:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
        for path, motion in zip(
            paths[:HELD_OUT], itertools.cycle((turned, in_hand, walk, zoom_out)), strict=False
        ):
            yield made(f"{motion.__name__} {path.stem}", read_rgb(path.read_bytes()), None, motion)


def real(path: Path, most: int) -> Film:
    """The first frames of a film in color, at the height of the others."""
    import av

    frames = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            rgb = frame.to_ndarray(format="rgb24")
            width = round(rgb.shape[1] * HEIGHT / rgb.shape[0])
            frames.append(cv2.resize(rgb, (width, HEIGHT), interpolation=cv2.INTER_AREA))
            if len(frames) == most:
                break
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grays = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    rows, columns = np.mgrid[: frames[0].shape[0], : frames[0].shape[1]].astype(np.float32)
    flows = []
    for one, other in itertools.pairwise(grays):
        forth, back = dis.calc(one, other, None), dis.calc(other, one, None)
        x, y = columns + forth[..., 0], rows + forth[..., 1]
        apart = forth + cv2.remap(back, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        change = np.abs(cv2.remap(other, x, y, cv2.INTER_LINEAR).astype(np.float32) - one)
        inside = (x >= 0) & (x < one.shape[1] - 1) & (y >= 0) & (y < one.shape[0] - 1)
        places = np.stack([x, y], -1)
        flows.append((places, inside & (np.hypot(apart[..., 0], apart[..., 1]) < 0.5) & (change < 12)))
    return Film(path.stem, frames, flows, [gray_photo(frame) for frame in frames])


def chosen_on(folder: Path | None, most: int) -> Iterator[Film]:
    """The films that the method was chosen on; ``folder`` has the real ones."""
    yield from films()
    for path in sorted(folder.glob("*.mp4")) if folder else ():
        yield real(path, most)


def flicker(frames: list[Rgb], film: Film) -> float:
    """Mean change of ab along the flow, Lab units."""
    labs = [rgb_to_lab(frame)[..., 1:] for frame in frames]
    changes = []
    for one, other, (places, visible) in zip(labs, labs[1:], film.flows, strict=False):
        there = cv2.remap(other, *np.moveaxis(places, -1, 0), cv2.INTER_LINEAR)
        changes.append(np.hypot(*np.moveaxis(there - one, -1, 0))[visible].mean() if visible.any() else 0)
    return float(np.mean(changes))


def cdc(frames: list[Rgb]) -> float:
    """Color distribution consistency, times 1,000; lower is steadier."""
    from scipy.spatial.distance import jensenshannon

    shares = np.stack(
        [
            [np.bincount(frame[..., channel].ravel(), minlength=256) for channel in range(3)]
            for frame in frames
        ]
    )
    shares = shares / shares.sum(axis=-1, keepdims=True)
    return 1000 * float(
        np.mean(
            [
                np.mean(jensenshannon(one, other, axis=-1, base=2) ** 2)
                for lag in LAGS
                for one, other in zip(shares, shares[lag:], strict=False)
            ]
        )
    )


def ciede2000(frames: list[Rgb], film: Film) -> float:
    pairs = zip(frames, film.frames, strict=True)
    return float(np.mean([metrics.Coloring(frame, truth).differences.mean() for frame, truth in pairs]))


def frame_by_frame(colorizer: Colorizer, film: Film) -> list[Rgb]:
    return [colorizer.colorize(frame) for frame in film.old]


def smoothed(frames: list[Rgb], share: float = 0.2) -> list[Rgb]:
    """Frames with the running mean of the colors of each place."""
    ab = None
    found = []
    for frame in frames:
        lab = rgb_to_lab(frame)
        ab = lab[..., 1:] if ab is None else ab + share * (lab[..., 1:] - ab)
        found.append(lab_to_rgb(np.dstack([lab[..., :1], ab])))
    return found


def steady(colorizer: Colorizer, film: Film) -> list[Rgb]:
    return list(colorizer.colorize_frames(film.old))


def judged(colorizer: Colorizer, film: Film) -> pd.DataFrame:
    """A row for each way of coloring the film."""
    alone = frame_by_frame(colorizer, film)
    ways = {
        "truth": film.frames,
        "gray": film.old,
        "frame by frame": alone,
        "smoothed": smoothed(alone),
        "steady": steady(colorizer, film),
    }
    table = pd.DataFrame(
        {
            "flicker": {way: flicker(frames, film) for way, frames in ways.items()},
            "CDC": {way: cdc(frames) for way, frames in ways.items()},
            "CIEDE2000": {way: ciede2000(frames, film) for way, frames in ways.items()},
            "colorfulness": {
                way: np.mean([metrics.colorfulness(frame) for frame in frames[::6]])
                for way, frames in ways.items()
            },
        }
    )
    table.insert(1, "less the truth's", table["flicker"] - table.loc["truth", "flicker"])
    return table


def quality(colorizer: Colorizer, found: Iterator[Film]) -> bool:
    """Whether the bars are met by the mean of the films."""
    tables = {}
    for film in found:
        tables[film.name] = judged(colorizer, film)
        print(film.name, tables[film.name].round(2).to_string(), sep="\n", flush=True)
    mean = sum(tables.values()) / len(tables)
    print(f"mean of {len(tables)} films", mean.round(3).to_string(), sep="\n")
    ours, alone = mean.loc["steady"], mean.loc["frame by frame"]
    ratio = ours["flicker"] / alone["flicker"]
    worse = [
        name
        for name, table in tables.items()
        if table.loc["steady", "CIEDE2000"] > table.loc["frame by frame", "CIEDE2000"]
    ]
    print(f"flicker is {ratio:.3f} of frame by frame's; CIEDE2000 is worse of: {', '.join(worse) or 'none'}")
    return bool(ratio <= 1 / 3 and ours["CIEDE2000"] <= alone["CIEDE2000"])


class Nothing:
    """A network that finds no color, so that only cuts are looked for."""

    def __call__(self, lightness: Float, hints: Float | None = None) -> Float:
        return np.zeros((len(lightness), 2, *lightness.shape[2:]), np.float32)


def own_cuts(frames: list[Rgb]) -> set[int]:
    propagation = Propagation(Nothing(), working_size=128, multiple=32)
    found = set()
    for number, frame in enumerate(frames):
        propagation.add(photo_files.from_array(frame))
        if propagation.cut and number:
            found.add(number)
    return found


def scenedetect_cuts(frames: list[Rgb], name: str) -> set[int]:
    import scenedetect
    from scenedetect import FrameTimecode, detectors

    del scenedetect
    detector = getattr(detectors, name)(min_scene_len=1)
    found = []
    for number, frame in enumerate(frames):
        small = cv2.resize(frame, (256, 144), interpolation=cv2.INTER_AREA)
        found += detector.process_frame(FrameTimecode(number, fps=25.0), small)
    return {int(cut.frame_num if hasattr(cut, "frame_num") else cut) for cut in found}


def cuts(folder: Path | None, most: int) -> bool:
    """Films joined by pieces of 12 frames in turn, so that there are many cuts; pans and zooms are none."""
    shots = [film.old for film in films()]
    if folder:
        shots += [real(path, most).old for path in sorted(folder.glob("*.mp4"))]
    frames: list[Rgb] = []
    true = set()
    for part in range(FRAMES // 12):
        for shot in shots:
            true |= {len(frames)} - {0}
            frames += [cv2.resize(frame, (WIDTH, HEIGHT)) for frame in shot[12 * part : 12 * part + 12]]
    rows = {"ours": own_cuts(frames)}
    rows |= {name: scenedetect_cuts(frames, name) for name in ("ContentDetector", "AdaptiveDetector")}
    table = pd.DataFrame(
        {
            name: {"found": len(found & true), "of": len(true), "wrong": len(found - true)}
            for name, found in rows.items()
        }
    ).T
    print(f"{len(frames)} frames", table.to_string(), sep="\n")
    return bool(table.loc["ours", "found"] >= 0.95 * len(true))


def large_film(path: Path, height: int, frames: int) -> None:
    """A gray film of a pan with grain, in H.264."""
    import av

    width = 2 * round(height * 16 / 18)
    photo = photographs()["china"]
    draws = np.random.default_rng(0)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "18"})
        stream.width, stream.height = width, height
        for number in range(frames):
            matrix = np.array([[480 / width, 0, number], [0, 480 / width, 0.3 * number]])
            frame = cv2.warpAffine(
                photo, matrix, (width, height), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
            )
            gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) + draws.normal(0, 2, (height, width))
            picture = av.VideoFrame.from_ndarray(gray.clip(0, 255).astype(np.uint8), format="gray")
            out.mux(stream.encode(picture.reformat(format="yuv420p")))
        out.mux(stream.encode(None))


def spent(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of time, and of all processors' time, that ``work`` takes."""
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    processors = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, processors


def codec_alone(path: Path, output: Path) -> None:
    """Decode a film and encode it again by the encoder that films are written by."""
    source = open_source(path)
    part = Part(output, source.video, Encoding(codec="h264"))
    import av

    with av.open(str(path)) as film:
        film.streams.video[0].thread_type = "AUTO"
        for number, frame in enumerate(film.decode(video=0)):
            frame.pts, frame.time_base = number, 1 / source.video.rate
            part._write(part._stream.encode(frame))
    part.close()


def speed(colorizer: Colorizer, frames: int) -> bool:
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        path, output = Path(folder, "film.mp4"), Path(folder, "out.mp4")
        for height in (480, 720, 1080):
            large_film(path, height, frames)
            for warm in (True, False):  # the first run compiles loops
                if warm and height != 480:
                    continue
                output.unlink(missing_ok=True)
                own = spent(
                    lambda: color_film(open_source(path), output, colorizer, Options(), about={"at": 0})
                )
            alone = spent(lambda: codec_alone(path, Path(folder, "alone.nut")))
            rows[f"{height}p"] = {
                "frames a second": frames / own[0],
                "codec alone": frames / alone[0],
                "ratio": alone[0] / own[0],
                "CPU ms a frame": 1000 * own[1] / frames,
                "codec alone, CPU": 1000 * alone[1] / frames,
                "ratio of CPU time": alone[1] / own[1],
            }
            print(
                f"{height}p",
                {name: round(value, 2) for name, value in rows[f"{height}p"].items()},
                flush=True,
            )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")
    return rows["720p"]["ratio of CPU time"] >= 0.5


def memory(colorizer: Colorizer, frames: int) -> bool:
    """The memory of each third of a long film of frames of 112x64 pixels."""
    import psutil

    process = psutil.Process()
    sizes: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "film.mp4")
        large_film(path, 64, frames)

        def seen(done: int) -> None:
            sizes.append(process.memory_info().rss / 1e6)

        color_film(open_source(path), Path(folder, "out.mp4"), colorizer, Options(), about={}, progress=seen)
    thirds = [part.max() for part in np.array_split(np.array(sizes[100:]), 3)]
    print(f"{frames} frames; most in each third: " + ", ".join(f"{size:.0f} MB" for size in thirds))
    return bool(thirds[2] < thirds[0] * 1.05)


def picture(colorizer: Colorizer, path: Path) -> bool:
    """Write an animated picture: a film, in gray, frame by frame, and steady."""
    from PIL import Image

    film = next(film for film in films() if film.name == SHOWN)
    ways = [film.old, frame_by_frame(colorizer, film), steady(colorizer, film)]
    frames = []
    for number in range(0, FRAMES, 3):
        row = [cv2.resize(way[number], (212, 120), interpolation=cv2.INTER_AREA) for way in ways]
        gap = np.full((120, 6, 3), 255, np.uint8)
        frames.append(Image.fromarray(np.hstack([row[0], gap, row[1], gap, row[2]])))
    frames[0].save(
        path,
        save_all=True,
        append_images=frames[1:],
        duration=135,
        loop=0,
        quality=60,
        method=6,
        kmin=0,
        kmax=0,  # whole frames: parts of them show as blocks in the dark
    )
    print(f"{path}: {path.stat().st_size:,} bytes")
    return path.stat().st_size < 150_000


SHOWN = "zoom into flower"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["quality", "held-out", "cuts", "speed", "memory", "picture"])
    parser.add_argument("--model", type=Path, default=default_model())
    parser.add_argument("--films", type=Path, help="a folder of MP4 films in color")
    parser.add_argument("--photos", type=Path, help="a folder of photographs in color")
    parser.add_argument("--most", type=int, default=100, help="frames of each film that is read or timed")
    parser.add_argument("--output", type=Path, default=Path("reports/films.webp"), help="of picture")
    chosen = parser.parse_args()
    cv2.setNumThreads(1)  # as the command does on two cores
    colorizer = Colorizer.load(chosen.model, threads=1)
    works = {
        "quality": lambda: quality(colorizer, chosen_on(chosen.films, chosen.most)),
        "held-out": lambda: quality(colorizer, held_out_films(chosen.photos)),
        "cuts": lambda: cuts(chosen.films, chosen.most),
        "speed": lambda: speed(colorizer, chosen.most),
        "memory": lambda: memory(colorizer, chosen.most),
        "picture": lambda: picture(colorizer, chosen.output),
    }
    sys.exit(not works[chosen.what]())


if __name__ == "__main__":
    main()
