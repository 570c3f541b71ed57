"""The models that the page offers, and what it says about them."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ungray.colorizer import TITLES, Colorizer, model_path, word_for
from ungray.provenance import kept_nothing, what_it_is

CARD = "model_card.md"
MAX_PICTURE = 2_000_000
"""Bytes; a larger picture of a card is left out."""


class Models:
    """Model files under short names, each loaded when it is first asked for."""

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
            KeyError: no such name.
            UngrayError: its file cannot be read.
        """
        path = self.paths[name]
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = Colorizer.load(path)
            return self._loaded[name]

    def about(self, name: str) -> str:
        """Return what to say about a model in a line or two of Markdown: its kind, and how good it is."""
        return about(self.load(name), card=self.card(name))

    def card(self, name: str) -> str:
        """Return the model's card, Markdown, its pictures inside; empty if there is none beside its file."""
        path = self.paths[name].with_name(CARD)
        return _with_pictures(path.read_text(), path.parent) if path.is_file() else ""


def about(model: Colorizer, *, card: str) -> str:
    """Return what ``model`` is and how good beside gray, in Markdown: by its provenance, else by its card."""
    architecture = str(model.configuration.get("architecture", "")) or "a network"
    provenance = model.provenance
    photos, groups = provenance.get("photos"), provenance.get("groups")
    trained = (
        f", trained on {photos['train']:,} photos" if isinstance(photos, dict) and "train" in photos else ""
    )
    if nothing := _kept_nothing(provenance):
        trained = f": {nothing}"
    said = _by_provenance(provenance) or _by_card(card)
    if not said:
        said = "How good it is beside the gray photo is not known."
    few = isinstance(groups, dict) and groups.get("train", 100) < 100
    warning = " Too few photos to learn color from: expect odd colors." if few else ""
    if round(model.vivid, 2) == 1:
        warning += " Vivid changes nothing with it: livelier colors were not found right for it."
    word = word_for(model.path)
    title = TITLES[word].capitalize() if word else model.path.stem
    return f"**{title}** ({architecture}{trained}). {said}{warning}"


def _by_provenance(provenance: dict[str, Any]) -> str:
    """Return a sentence if the provenance has ``metrics``, {"model": {...}, "gray": {...}}, else nothing."""
    metrics = provenance.get("metrics")
    try:
        ours, gray = metrics["model"], metrics["gray"]  # type: ignore[index]
        return (
            f"On photos it never saw: CIEDE2000 {ours['ciede2000']:.2f} beside the gray photo's "
            f"{gray['ciede2000']:.2f} (lower is better), PSNR {ours['psnr']:.2f} dB beside "
            f"{gray['psnr']:.2f} dB."
        )
    except (KeyError, TypeError, ValueError):
        return ""


def _kept_nothing(provenance: dict[str, Any]) -> str:
    """Return what a model is whose training kept nothing; empty for others, and where that can't be told."""
    try:
        return what_it_is(provenance) if kept_nothing(provenance) else ""
    except (KeyError, TypeError, ValueError):
        return ""


def _by_card(card: str) -> str:
    """Return the card's own verdict beside gray, its first sentences under that heading, else nothing."""
    found = re.search(r"^## Verdict$(?:\n(?!#).*)*?\n(Beside the gray photo: .+)$", card, re.MULTILINE)
    return found.group(1).strip() if found else ""


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """Return each path under base or mine, its stem, or that with the folder in front where stems repeat."""
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
    """Return ``card`` with pictures that lie below ``folder`` put inside; those that don't are left out."""

    def inside(found: re.Match[str]) -> str:
        alt, name = found.groups()
        path = (folder / name).resolve()
        kind = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}.get(path.suffix.lower())
        fits = kind and path.is_relative_to(folder.resolve()) and path.is_file()
        if not fits or path.stat().st_size > MAX_PICTURE:
            return f"*{alt}*" if alt else ""
        return f"![{alt}](data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()})"

    return re.sub(r"!\[([^\]]*)\]\(([^)\s]+)[^)]*\)", inside, card)
