"""Color photos from Python: one class.

>>> from PIL import Image
>>> from ungray.colorizer import Colorizer
>>> colorizer = Colorizer.load()
>>> photo = Image.open("photo.jpg")
>>> colored = colorizer.colorize(photo)
>>> colored.mode, colored.size == photo.size
('RGB', True)

An array gives an array, photos of one shape share runs of the network, and a prediction can be rendered
several times:

>>> import numpy as np
>>> colorizer.colorize(np.asarray(photo)).shape
(400, 600, 3)
>>> len(colorizer.colorize_batch([photo, photo], vivid=True))
2
>>> prediction = colorizer.predict(photo)
>>> pale, strong = (prediction.render(saturation=saturation) for saturation in (0.5, 1.5))
>>> bool(np.ptp(pale, axis=-1).mean() < np.ptp(strong, axis=-1).mean())
True
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ungray import engines
from ungray.errors import ArgumentError, UngrayError
from ungray.hints import Hint, drawn
from ungray.imaging import encoding, photo_files
from ungray.imaging.color import Float
from ungray.imaging.prediction import BATCH, Memory, Prediction, Vivid, predict
from ungray.imaging.propagation import Propagation, State
from ungray.imaging.restoration import restored, restoring
from ungray.imaging.upsampling import small_copy, small_size

PACKAGED = Path(__file__).parent / "base" / "colorizer.onnx"
"""The base model if ungray was installed from a wheel."""

ROOT = Path(__file__).parents[2]
"""The root of the checkout if it was not."""

VIVID = Vivid(1.6)
"""The vivid colors of a model whose file does not define its own."""

Input = TypeVar("Input", Image.Image, NDArray[Any])


FOLDERS = {"base": "data/base", "mine": "data/models"}
"""The words for two models and their folders in the checkout: the base model, and the one trained there."""

TITLES = {"base": "the base model", "mine": "your model"}


def default_model() -> Path:
    """Return the path of the base model, or of the model trained in the checkout if there is no base
    model."""
    if PACKAGED.is_file():
        return PACKAGED
    found = (_colorizer_in(ROOT / folder) for folder in FOLDERS.values())
    return next((path for path in found if path.is_file()), ROOT / "data/models/colorizer.safetensors")


def model_path(model: Path | str | None) -> Path:
    """Return the path of ``model``: "base" or "mine" (see :data:`FOLDERS`), a path, or None for the default.

    Raises:
        UngrayError: the model of that word does not exist.
    """
    if model is None:
        return default_model()
    word = str(model)
    if word not in FOLDERS:
        return Path(model)
    if word == "base" and PACKAGED.is_file():
        return PACKAGED
    path = _colorizer_in(ROOT / FOLDERS[word])
    if not path.is_file():
        way_out = "`dvc pull` fetches it" if word == "base" else "`dvc repro` trains it"
        raise UngrayError(f"model {word}: {TITLES[word]}, {path}, is not there; {way_out}")
    return path


def word_for(path: Path) -> str:
    """Return the word for the model at ``path``, "base" or "mine"; an empty string for any other."""
    folders = {ROOT / folder: word for word, folder in FOLDERS.items()} | {PACKAGED.parent: "base"}
    return folders.get(path.absolute().parent, "") if path.stem == "colorizer" else ""


def _colorizer_in(folder: Path) -> Path:
    """Return the path of the .safetensors file in ``folder``, or of the .onnx file if there is none."""
    paths = [folder / f"colorizer{suffix}" for suffix in engines.SUFFIXES.values()]
    return next((path for path in paths if path.is_file()), paths[0])


@dataclass(frozen=True)
class NetworkInput:
    """A photo of ``width`` x ``height`` pixels as a network takes it.

    ``lightness`` is that of the small copy, float32 (small height, small width), 0..100; ``hints`` are those
    given for it, float32 (3, small height, small width), see :func:`ungray.hints.drawn`.
    """

    lightness: Float
    hints: Float
    width: int
    height: int


class Colorizer:
    """A model that gives gray photos color."""

    def __init__(self, engine: engines.Engine) -> None:
        self._engine = engine
        self.path = engine.path
        self.engine = engine.name
        self.configuration = engine.configuration
        self.provenance = engine.provenance
        self.quality = engine.quality
        """How good the model is, as far as its file says; see :mod:`ungray.quality`."""
        vivid = engine.provenance.get("vivid", {})
        self.vivid = Vivid(vivid["saturation"], vivid.get("exponent", 0.0)) if vivid else VIVID
        """How ``vivid=True`` changes the predicted colors."""

    @classmethod
    def load(cls, model: Path | str | None = None, *, engine: str = "auto", threads: int = 0) -> Colorizer:
        """Load a model.

        Args:
            model: a file of ungray, .safetensors or .onnx; "base" for the base model, "mine" for the one
                trained in the checkout; None takes "base", or "mine" if there is no base model.
            engine: "torch" (.safetensors), "onnxruntime" (.onnx, starts faster and needs no torch), or
                "auto": onnxruntime if ``model`` is an .onnx file or its folder has one of the same training,
                else torch. If an engine does not read the file given, it takes the file of the same name with
                its own extension.
            threads: number of threads that a run of the network may use, 0 for one per core; if several run
                at the same time, fewer are faster.

        Raises:
            ArgumentError: there is no such engine, ``model`` is neither a path nor a string, or ``threads``
                is not an integer of 0 or more.
            UngrayError: the model does not exist, is not one of ungray, or is damaged.
        """
        if not isinstance(model, str | os.PathLike | None):
            raise ArgumentError(f"{model!r:.40} is no model; give the path of a file, base or mine")
        if not (isinstance(threads, int) and threads >= 0):
            raise ArgumentError(
                f"threads is {threads!r:.40}; it must be 0, one per core, or a number of them"
            )
        return cls(engines.load(model_path(model), engine=engine, threads=threads))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the model file's path and the engine; unpickling loads the file again, with one thread per
        core."""
        return partial(type(self).load, self.path.resolve(), engine=self.engine), ()

    @property
    def takes_hints(self) -> bool:
        """Whether the model accepts hints; see :class:`ungray.hints.Hint`."""
        return self._engine.takes_hints

    def require_hints(self) -> None:
        """Raise an ArgumentError if the model accepts no hints."""
        if not self.takes_hints:
            raise ArgumentError(
                f"{self.path} takes no hints; the base model does, and so does one that is trained with "
                "train.hints.share over 0"
            )

    def colorize(
        self, photo: Input, *, saturation: float = 1.0, vivid: bool = False, hints: Sequence[Hint] = ()
    ) -> Input:
        """Return the photo in color, at its own size and lightness.

        Args:
            photo: a Pillow image of any mode (integers, mode I, are 8-bit levels if none is above 255, else
                16-bit levels; floats, mode F, are in 0..1), or an array, uint8 or uint16 of either byte
                order, (height, width) or (height, width, channels) with 1 to 4 channels: gray or RGB, and
                alpha. The photo's own colors are ignored.
            saturation: see :meth:`Prediction.render`.
            vivid: stronger colors; see :meth:`Prediction.render`.
            hints: known colors at points of the upright photo.

        Returns:
            For an image, an upright 8-bit RGB or RGBA image with ``icc_profile`` in its ``info``, and with
            ``exif``, ``xmp`` and ``dpi`` if the photo had them. For an array, an array of the same type in
            the machine's byte order, with 3 channels, or 4 if the photo has alpha.

        Raises:
            ArgumentError: ``photo`` is not a photo (but a path, None, or an array of another type or shape),
                the saturation is negative or not a number, a hint is not a :class:`Hint` or lies outside the
                photo, or the model accepts no hints.
            PhotoError: the image's file is damaged, or its values are not valid levels.
        """
        return self.colorize_batch([photo], saturation=saturation, vivid=vivid, hints=[hints])[0]

    def colorize_batch(
        self,
        photos: Iterable[Input],
        *,
        saturation: float = 1.0,
        vivid: bool = False,
        hints: Iterable[Sequence[Hint]] | None = None,
    ) -> list[Input]:
        """Return the photos in color; see :meth:`colorize`. Photos of one shape share runs of the network.

        ``hints`` has one sequence per photo.
        """
        photos = list(photos)
        predictions = self.predict_batch(photos, hints=hints)
        return [
            _like(photo, prediction.photo, prediction.render(saturation=saturation, vivid=vivid))
            for photo, prediction in zip(photos, predictions, strict=True)
        ]

    def colorize_frames(
        self,
        frames: Iterable[Input],
        *,
        saturation: float = 1.0,
        vivid: bool = False,
        hints: Mapping[int, Sequence[Hint]] | None = None,
    ) -> Iterator[Input]:
        """Yield the frames of a film in color that does not flicker.

        Each frame takes its colors from the frames around it, moved along with what they are on; cuts are
        found. See :mod:`ungray.imaging.propagation`. So ``frames`` are read 12 ahead
        (:data:`~ungray.imaging.propagation.LOOKAHEAD`), or up to a cut. Memory does not grow with the length
        of the film.

        Args:
            frames: photos in the order of time; see :meth:`colorize` for their types, and for what is
                yielded. A frame of another size begins a new shot.
            saturation: see :meth:`Prediction.render`.
            vivid: see :meth:`Prediction.render`.
            hints: known colors by the number of a frame, counted from 0; they hold from that frame to the
                next cut, and move along.

        Raises:
            ArgumentError: as :meth:`colorize`.
            PhotoError: as :meth:`colorize`.
        """
        propagation = self.propagation()
        waiting: deque[Input] = deque()

        def colored(predictions: Iterable[tuple[Prediction, State]]) -> Iterator[Input]:
            for prediction, _ in predictions:
                rgb = prediction.render(saturation=saturation, vivid=vivid)
                yield _like(waiting.popleft(), prediction.photo, rgb)

        for number, frame in enumerate(frames):
            waiting.append(frame)
            known = (hints or {}).get(number, ())
            yield from colored(self.add_frame(propagation, _photo(frame), hints=known))
        yield from colored(propagation.end())

    def propagation(self, state: State | None = None) -> Propagation:
        """Return what colors the frames of a film one after another, after one with ``state`` or anew."""
        engine = self._engine
        return Propagation(
            engine.run,
            working_size=engine.working_size,
            multiple=engine.multiple,
            vivid=self.vivid,
            state=state,
        )

    def add_frame(
        self,
        propagation: Propagation,
        photo: photo_files.Photo,
        *,
        hints: Sequence[Hint] = (),
        of_shot: Callable[[photo_files.Photo], Sequence[Hint]] | None = None,
    ) -> list[tuple[Prediction, State]]:
        """Add the next frame of a film, and return the colors of earlier ones; see :meth:`colorize_frames`.

        At the end of the film, :meth:`Propagation.end` returns the rest.

        Args:
            propagation: from :meth:`propagation`, one for each film.
            photo: the frame.
            hints: known colors, which hold from this frame to the next cut.
            of_shot: gives further hints, of less importance, for a frame that begins a shot.
        """

        def network_hints(some: Sequence[Hint]) -> Float | None:
            arrays = self._drawn([photo], [tuple(some)])
            return None if arrays is None else arrays[0]

        return propagation.add(
            photo,
            network_hints(hints),
            known=_colored(hints),
            of_shot=None if of_shot is None else lambda: network_hints([*of_shot(photo), *hints]),
        )

    def predict(
        self,
        photo: Image.Image | NDArray[Any] | photo_files.Photo,
        *,
        hints: Sequence[Hint] = (),
        memory: Memory | None = None,
    ) -> Prediction:
        """Predict the colors of one photo; see :meth:`Prediction.render`.

        Who predicts them again and again with other hints gives a ``memory``, one for each photo and model:
        then one run of the network is enough for each. The colors are the same.
        """
        return self._predicted([photo], [hints], memory)[0]

    def predict_batch(
        self,
        photos: Iterable[Image.Image | NDArray[Any] | photo_files.Photo],
        *,
        hints: Iterable[Sequence[Hint]] | None = None,
    ) -> list[Prediction]:
        """Predict the colors of several photos; photos of one shape share runs of the network.

        ``hints`` has one sequence per photo; see :meth:`colorize`.
        """
        return self._predicted(photos, hints)

    def _predicted(
        self,
        photos: Iterable[Image.Image | NDArray[Any] | photo_files.Photo],
        hints: Iterable[Sequence[Hint]] | None,
        memory: Memory | None = None,
    ) -> list[Prediction]:
        taken = [_photo(photo) for photo in photos]
        told = [tuple(some) for some in hints] if hints is not None else [()] * len(taken)
        predictions = predict(
            taken,
            self._engine.run,
            working_size=self._engine.working_size,
            multiple=self._engine.multiple,
            hints=self._drawn(taken, told),
            memory=memory,
        )
        return [
            replace(prediction, vivid=self.vivid, known=_colored(some))
            for prediction, some in zip(predictions, told, strict=True)
        ]

    def network_input(
        self, photo: Image.Image | NDArray[Any] | photo_files.Photo, *, hints: Sequence[Hint] = ()
    ) -> NetworkInput:
        """Return a photo as the network takes it; see :meth:`colorize` for the arguments and errors."""
        taken = _photo(photo)
        lightness = small_copy(
            taken.gray, short_side=self._engine.working_size, multiple=self._engine.multiple
        )
        (channels,) = self._drawn([taken], [tuple(hints)]) or [np.zeros((3, *lightness.shape), np.float32)]
        return NetworkInput(lightness, channels, taken.width, taken.height)

    def network_output(self, lightness: Float, hints: Float) -> Float:
        """Return the bare answers of the network, ab, float32 (answers, height, width, 2), Lab units.

        Args:
            lightness: of a small copy, float32 (height, width), 0..100; see :meth:`network_input`. The
                network sees it :func:`~ungray.imaging.restoration.restored`.
            hints: several sets of hints for it, float32 (answers, 3, height, width).
        """
        runs = [hints[start : start + BATCH] for start in range(0, len(hints), BATCH)]
        asked = restoring(self._engine.run)
        answers = [asked(np.repeat(lightness[None, None], len(some), axis=0), some) for some in runs]
        return np.concatenate(answers).transpose(0, 2, 3, 1)

    def features(self, lightness: Float) -> Float:
        """Return the features of the network's encoder, float32 (channels, height / 16, width / 16).

        Places that look alike have features of nearly one direction. ``lightness`` is float32 (height,
        width), 0..100; both sides are multiples of 32.

        Raises:
            UngrayError: the model's file has none.
        """
        if self._engine.extract is None:
            raise UngrayError(
                f"{self.path} has no features, which a reference photo needs: only a lite_unet that takes "
                "hints has them, exported by this version; fetch the base model of today with `dvc pull`, or "
                "make the file anew with `dvc repro --force export`"
            )
        return self._engine.extract(restored(lightness)[None, None])[0]

    def _drawn(
        self, photos: Sequence[photo_files.Photo], each: Sequence[tuple[Hint, ...]]
    ) -> list[Float] | None:
        """Return the hints of each photo in the network's input format; None if no photo has any."""
        if len(each) != len(photos):
            raise ArgumentError(f"there are hints for {len(each)} photos, and {len(photos)} photos")
        if not any(each):
            return None
        self.require_hints()
        side, multiple = self._engine.working_size, self._engine.multiple
        sizes = [
            small_size(photo.width, photo.height, short_side=side, multiple=multiple) for photo in photos
        ]
        return [
            drawn(some, photo=photo.gray.shape, small=(height, width))
            for some, photo, (width, height) in zip(each, photos, sizes, strict=True)
        ]


def _colored(hints: Sequence[Hint]) -> tuple[tuple[float, float], ...]:
    """Return x and y of each hint whose color is not gray."""
    return tuple((hint.x, hint.y) for hint in hints if np.hypot(*hint.ab()) > 1)


def _photo(photo: Image.Image | NDArray[Any] | photo_files.Photo) -> photo_files.Photo:
    if isinstance(photo, photo_files.Photo):
        return photo
    if isinstance(photo, Image.Image):
        return photo_files.from_image(photo)
    if isinstance(photo, np.ndarray):
        return photo_files.from_array(photo)
    raise ArgumentError(
        f"{photo!r:.99} is no photo; give a Pillow image, as of Image.open(path), or an array"
    )


def _like(given: Image.Image | NDArray[Any], photo: photo_files.Photo, rgb: NDArray[Any]) -> Any:
    """Return a colored photo in the type that was given, an image or an array, with its alpha."""
    if not isinstance(given, Image.Image):
        return rgb if photo.alpha is None else np.dstack([rgb, photo.alpha])
    image = Image.fromarray(encoding.with_bits(rgb, 8))
    if photo.alpha is not None:
        image.putalpha(Image.fromarray(encoding.with_bits(photo.alpha, 8)))
    image.info["icc_profile"] = encoding.srgb_profile()
    said = {name: value for name, value in vars(photo.metadata).items() if value}
    image.info.update(said)
    return image
