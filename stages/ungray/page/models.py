"""The models that the page offers, and their descriptions."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from markdown_it import MarkdownIt

from ungray.colorizer import TITLES, Colorizer, model_path, word_for
from ungray.imaging.metrics import DECISIVE
from ungray.provenance import kept_nothing, what_it_is
from ungray.quality import TOO_FEW, minus_gray, on_val, over_sets, ratio, verdicts

CARD = "model_card.md"
NO_CARD = "There is no model card beside this model's file."
MAX_PICTURE = 2_000_000
"""In bytes; larger pictures in a card are left out."""


class Models:
    """Model files by short names, each loaded when it is first used."""

    def __init__(self, paths: Sequence[Path | str]) -> None:
        """Take ``paths``, each a file, "base" or "mine"; none: the base model."""
        chosen = [model_path(path) for path in paths] or [model_path(None)]
        self.paths = _named(list(dict.fromkeys(chosen)))
        self.names = list(self.paths)
        self._loaded: dict[str, Colorizer] = {}
        self._lock = threading.Lock()

    def load(self, name: str) -> Colorizer:
        """Return the model of that name.

        Raises:
            KeyError: there is no such name.
            UngrayError: its file cannot be read.
        """
        path = self.paths[name]
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = Colorizer.load(path)
            return self._loaded[name]

    def summary(self, name: str) -> dict[str, Any]:
        """Return what the page's script must know of a model, JSON."""
        model = self.load(name)
        word = word_for(model.path)
        return {
            "name": name,
            "title": TITLES[word].capitalize() if word else name,
            "quality": plain_quality(model),
            "takes_hints": model.takes_hints,
            "has_vivid": model.vivid.changes_colors,
        }

    def about(self, name: str) -> str:
        """Return what to say about a model in a line or two of Markdown: its kind, and how good it is."""
        return about(self.load(name))

    def card(self, name: str) -> str:
        """Return the model's card as HTML, with what :meth:`about` says first; pictures are embedded."""
        path = self.paths[name].with_name(CARD)
        card = _with_pictures(path.read_text("utf-8"), path.parent) if path.is_file() else NO_CARD
        # The preset is safe: HTML in the card stays text, and links lead to web pages only.
        markdown = MarkdownIt("js-default", {"html": False})
        return markdown.render(f"{self.about(name)}\n\n{card}")


def plain_quality(model: Colorizer) -> str:
    """Return in one sentence, without a metric's name, how close a model's colors are to the true ones."""
    quality = model.quality
    if _kept_nothing(model.provenance):
        return "This model's training kept nothing, so it colors as the model that it began with."
    try:
        if quality.get("elsewhere"):
            times = fmean(ratio(one, DECISIVE.name) for one in quality["elsewhere"])
            count = sum(one["photos"] for one in quality["elsewhere"])
            return _beside_gray(times, f"On {count:,} test photos of other collections")
        if quality.get("test"):
            verdict = minus_gray(quality["test"], DECISIVE.name)["verdict"]
            if verdict == TOO_FEW:
                return "Too few photos were tested to tell whether this model's colors are better than none."
            if verdict == "can't tell":
                return "On its test photos, this model's colors were not clearly better than none."
            return _beside_gray(ratio(quality["test"], DECISIVE.name), "On its test photos")
        if quality.get("val"):
            found = minus_gray(quality["val"], DECISIVE.name)
            if found["low"] is None or found["low"] <= 0 <= found["high"]:
                return "On its validation photos, this model's colors were not clearly better than none."
            return _beside_gray(ratio(quality["val"], DECISIVE.name), "On its validation photos")
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        pass
    return "How good this model's colors are is not known."


def _beside_gray(times: float, where: str) -> str:
    """Return the sentence for a distance to the true colors that is ``times`` that of the gray photo."""
    share = f"{100 * abs(1 - times):.0f} % {'closer to' if times < 1 else 'farther from'}"
    return f"{where}, this model's colors were {share} the true ones than gray."


def about(model: Colorizer) -> str:
    """Return a description of ``model`` in Markdown: what it is, and how good compared with gray."""
    architecture = str(model.configuration.get("architecture", "")) or "a network"
    provenance = model.provenance
    photos, groups = provenance.get("photos"), provenance.get("groups")
    trained = (
        f", trained on {photos['train']:,} photos" if isinstance(photos, dict) and "train" in photos else ""
    )
    if nothing := _kept_nothing(provenance):
        trained = f": {nothing}"
    said = _compared_with_gray(model.quality) or "Its quality compared with the gray photo is unknown."
    few = isinstance(groups, dict) and groups.get("train", 100) < 100
    warning = " Too few photos to learn color from: expect odd colors." if few else ""
    if not model.vivid.changes_colors:
        warning += " Vivid changes nothing with it: livelier colors were not found right for it."
    word = word_for(model.path)
    title = TITLES[word].capitalize() if word else model.path.stem
    return f"**{title}** ({architecture}{trained}). {said}{warning}"


def _compared_with_gray(quality: dict[str, Any]) -> str:
    """Return a sentence on the quality compared with gray; empty if ``quality`` is missing or invalid."""
    try:
        if "elsewhere" in quality:
            said = over_sets(quality["elsewhere"])
        else:
            said = verdicts(quality["test"])[0] if "test" in quality else on_val(quality["val"])
    except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError):
        return ""
    return f"{said[0].upper()}{said[1:]}."


def _kept_nothing(provenance: dict[str, Any]) -> str:
    """Return what a model is if its training kept nothing; empty for others, and if that is unknown."""
    try:
        return what_it_is(provenance) if kept_nothing(provenance) else ""
    except (KeyError, TypeError, ValueError):
        return ""


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """Return the paths by name: base or mine, else the stem, prefixed with the folder if stems repeat."""
    named: dict[str, Path] = {}
    stems = [path.stem for path in paths]
    for path in paths:
        name = path.stem if stems.count(path.stem) == 1 else f"{path.resolve().parent.name}/{path.stem}"
        name = word_for(path) or name
        while name in named:
            name += "'"
        named[name] = path
    return named


def _with_pictures(card: str, folder: Path) -> str:
    """Return ``card`` with the pictures below ``folder`` embedded; others are left out."""

    def inside(found: re.Match[str]) -> str:
        alt, name = found.groups()
        path = (folder / name).resolve()
        kind = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}.get(path.suffix.lower())
        fits = kind and path.is_relative_to(folder.resolve()) and path.is_file()
        if not fits or path.stat().st_size > MAX_PICTURE:
            return f"*{alt}*" if alt else ""
        return f"![{alt}](data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()})"

    return re.sub(r"!\[([^\]]*)\]\(([^)\s]+)[^)]*\)", inside, card)
