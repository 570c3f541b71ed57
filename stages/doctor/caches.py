"""Measures the disk space of the working cache, DVC's cache and the data."""

from __future__ import annotations

import configparser
import os
from pathlib import Path

from ungray.system.files import main_checkout


def describe(checkout: Path) -> dict[str, dict[str, int]]:
    """Return the numbers of bytes and files in each cache, by path, largest first.

    The working cache and ``data`` are reported folder by folder. A file linked into two counts in both.
    """
    top = main_checkout(checkout)
    folders = [*_inside(top / ".cache"), dvc_cache(top), *_inside(checkout / "data")]
    sizes = {_shown(folder, top): size(folder) for folder in folders if folder.is_dir()}
    ordered = sorted(sizes.items(), key=lambda item: (-item[1][0], item[0]))
    return {name: {"bytes": found, "files": files} for name, (found, files) in ordered}


def dvc_cache(checkout: Path) -> Path:
    """Return where DVC stores its objects: where the repository's settings say, otherwise ``.dvc/cache``."""
    found = "cache"
    for name in ("config", "config.local"):
        settings = configparser.ConfigParser(interpolation=None)
        try:
            settings.read(checkout / ".dvc" / name, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue  # DVC itself reports this better
        found = settings.get("cache", "dir", fallback=found)
    return (checkout / ".dvc" / Path(found).expanduser()).resolve()


def size(folder: Path) -> tuple[int, int]:
    """Return bytes and number of files in ``folder``; symlinks are not followed, hard links count once."""
    total, files, seen = 0, 0, set()
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                about = os.lstat(Path(place) / name)
            except OSError:
                continue  # a temporary file has disappeared
            if about.st_nlink > 1 and (about.st_dev, about.st_ino) in seen:
                continue
            seen.add((about.st_dev, about.st_ino))
            total, files = total + about.st_size, files + 1
    return total, files


def _inside(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _shown(folder: Path, top: Path) -> str:
    return folder.relative_to(top).as_posix() if folder.is_relative_to(top) else str(folder)
