"""What training.py lets race: the stage's own loop with its parts timed, and steps and loops by hand."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch.nn import functional

from stages.scrape import gather
from stages.train import loop
from stages.train.data import load_pixels, to_rgb
from stages.train.progress import NoProgress
from ungray import networks
from ungray.imaging import photos
from ungray.system import memory

SIDE = 256

Times = dict[str, list[float]]


def prepare(source: Path | None, folder: Path, *, count: int, shipped: dict[str, Any]) -> list[Path]:
    """Write ``count`` photos of 256x256 as JPEGs, as the stage prepare does; fewer repeat."""
    if source is None:
        source = folder / "sample"
        source.mkdir()
        gather.run(shipped["scrape"].model_copy(update={"source": "sample"}), source)
    kinds = (".jpg", ".jpeg", ".png", ".webp")
    found = sorted(path for path in source.rglob("*") if path.suffix.lower() in kinds)
    if not found:
        sys.exit(f"error: --photos: no photo in {source}")
    paths = []
    for number in range(count):
        rgb = photos.read_rgb(found[number * max(1, len(found) // count) % len(found)])
        side = min(rgb.shape[:2])
        top, left = (rgb.shape[0] - side) // 2, (rgb.shape[1] - side) // 2
        square = cv2.resize(rgb[top : top + side, left : left + side], (SIDE, SIDE))
        paths.append(folder / f"{number:04}.jpg")
        photos.write_rgb(paths[-1], np.asarray(square, dtype=np.uint8))
    return paths


# (a) the loop


class Loop:
    """The stage's own loop over ``paths``; times its parts as well."""

    def __init__(self, params: Any, machine: Any, paths: list[Path], *, fabric: Fabric) -> None:
        index = pd.DataFrame({"file": [path.name for path in paths], "digest": str(paths[0].parent)})
        folder = paths[0].parent
        pixels = load_pixels(index, folder, size=params.working_size, workers=machine.workers)
        self.parts: Times = defaultdict(list)
        self._fabric = fabric
        torch.manual_seed(0)
        self.training = loop.Training(
            params,
            machine,
            networks.build(params.network()),
            photos=loop.Photos(train=[pixels], files=list(index["file"]), val=pixels[:30]),
            fabric=fabric,
            checkpoint=folder / f"{params.architecture}.pt",
            fingerprint="",
            progress=NoProgress(),
        )
        self._time(self.training.objective, "pairs", "to floats and Lab")
        self._time_forward(self.training.objective.module, self.parts["forward"])
        self._time(self.training.objective, "update", "optimizer")

    def epoch(self) -> None:
        """Train one epoch, without the validation that ends it."""
        # One Fabric serves several loops, and one module's name several epochs: timed only meanwhile.
        backward, ahead = self._fabric.backward, loop.ahead
        self._fabric.backward = Timed(backward, self.parts["backward"])  # type: ignore[method-assign]
        loop.ahead = timed_items(ahead, self.parts["waiting for batches"])
        try:
            self.training._train_epoch([])
        finally:
            self._fabric.backward, loop.ahead = backward, ahead  # type: ignore[method-assign]
        self.training.state.epoch += 1
        self.training.state.batch = 0

    def _time_forward(self, module: torch.nn.Module, seconds: list[float]) -> None:
        # By hooks: Fabric wants to see its own module.
        began: list[float] = []
        module.register_forward_pre_hook(lambda *_: began.append(time.perf_counter()))
        module.register_forward_hook(lambda *_: seconds.append(time.perf_counter() - began.pop()))

    def _time(self, owner: Any, name: str, part: str) -> None:
        setattr(owner, name, Timed(getattr(owner, name), self.parts[part]))


class Timed:
    """Calls ``work``, notes its seconds; else it is what ``work`` is."""

    def __init__(self, work: Any, seconds: list[float]) -> None:
        self._work, self._seconds = work, seconds

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        result = self._work(*arguments, **options)
        self._seconds.append(time.perf_counter() - start)
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._work, name)


def timed_items(items: Callable[..., Iterator[Any]], seconds: list[float]) -> Callable[..., Iterator[Any]]:
    """Return ``items``, noting the seconds until each item comes."""

    def waiting(*arguments: Any) -> Iterator[Any]:
        iterator = items(*arguments)
        while True:
            start = time.perf_counter()
            item = next(iterator, None)
            seconds.append(time.perf_counter() - start)
            if item is None:
                return
            yield item

    return waiting


# (b) the bare step, and (c) with the parts between


def with_memory(work: Callable[[], None], *, kept: bool) -> Callable[[], None]:
    """Return ``work``, to be done with freed memory kept, or given back as glibc does by itself."""

    def worked() -> None:
        memory.keep_freed(kept)
        work()

    return worked


class Step:
    """A network and its optimizer, by hand."""

    def __init__(self, params: Any, *, bf16: bool, channels_last: bool) -> None:
        torch.manual_seed(0)
        self.network = networks.build(params.network()).train()
        if channels_last:
            self.network.to(memory_format=torch.channels_last)
        self.bf16 = bf16
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=params.lr)

    def __call__(self, inputs: torch.Tensor, targets: torch.Tensor) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            prediction = self.network(inputs)
        loss = functional.l1_loss(prediction.float(), targets)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def rebuilt(
    step: Step, paths: list[Path], *, batch_size: int, decoded: np.ndarray | None, pil_gray: bool
) -> Callable[[], None]:
    """Return an epoch as earlier work has it, or with photos decoded before, or gray made from a batch."""

    def photo(number: int) -> Image.Image:
        if decoded is not None:
            return Image.fromarray(decoded[number])
        with Image.open(paths[number]) as image:
            return image.convert("RGB").resize((SIDE, SIDE))

    def epoch() -> None:
        order = np.random.default_rng(0).permutation(len(paths))
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            if not pil_gray:
                assert decoded is not None
                inputs, targets = step.network.pairs(to_rgb(torch.from_numpy(decoded[chosen])))
                step(step.network.with_hints(inputs, None), targets)
                continue
            images = [photo(number) for number in chosen]
            grays = [np.asarray(image.convert("L"), dtype=np.float32)[None] / 255 for image in images]
            rgbs = [np.asarray(image, dtype=np.float32).transpose(2, 0, 1) / 255 for image in images]
            step(torch.from_numpy(np.stack(grays)), torch.from_numpy(np.stack(rgbs)))

    return epoch
