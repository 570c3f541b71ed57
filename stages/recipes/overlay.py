"""A recipe as overrides of params.yaml, checked against the types of every section."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from stages.params import Section, check, put, read_yaml, setting
from ungray.errors import UngrayError

FOLDER = Path(__file__).parent
PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_/.-]*( [A-Za-z0-9_/.-]+)*")
"""Text that -S accepts without quotes, unless it is one of NOT_TEXT."""
NOT_TEXT = {"true", "false", "null", "nan", "inf"}


def names(folder: Path = FOLDER) -> list[str]:
    """Return the names of all recipes in ``folder``, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def description(name: str, folder: Path = FOLDER) -> str:
    """Return the description of a recipe: the first line of its file."""
    return (folder / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")


def overrides(name: str, more: Sequence[str], folder: Path = FOLDER) -> dict[str, Any]:
    """Return the values that recipe ``name`` sets, by dotted key; ``more``, each "key=value", override them.

    Recipes are the YAML files in ``folder``; those in ``stages/presets`` are called presets.

    Raises:
        UngrayError: there is no such recipe, or one of ``more`` is no "key=value".
    """
    known = names(folder)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        meant = f"; did you mean {near[0]}?" if near else "; there are"
        kind = "recipe" if folder == FOLDER else "preset"
        raise UngrayError(f"no {kind} {name!r}{meant} {'' if near else ', '.join(known)}".rstrip())
    found = dict(_flat(read_yaml(folder / f"{name}.yaml")))
    found |= dict(setting(text) for text in more)
    return found


def apply(found: Mapping[str, Any], params: Path) -> dict[str, Section]:
    """Return all sections of the file ``params``, overridden by ``found``, which is not written.

    They are checked: values are valid and the files that they name exist.

    Raises:
        UngrayError: they are not; see :func:`stages.params.check`.
    """
    content = copy.deepcopy(read_yaml(params))
    for key, value in found.items():
        put(content, key, value)
    sections = check(content, origin=str(params))
    for checked in sections.values():
        checked.check_environment()
    return sections


def command(name: str, found: Mapping[str, Any]) -> list[str]:
    """Return the command that runs experiment ``name`` with ``found`` set."""
    settings = [part for key, value in found.items() for part in ("-S", f"{key}={_written(value)}")]
    return ["dvc", "exp", "run", "-n", name, *settings]


def _flat(content: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in content.items():
        pairs += _flat(value, f"{above}{key}.") if isinstance(value, dict) else [(f"{above}{key}", value)]
    return pairs


def _written(value: Any) -> str:
    """Return ``value`` as DVC's -S (Hydra's grammar) parses it: one line of YAML in flow style."""
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    if isinstance(value, str):
        if PLAIN.fullmatch(value) and value.lower() not in NOT_TEXT:
            return value
        # Inside quotes, only a quote and backslashes before a quote need escaping.
        doubled = re.sub(r"(\\+)(?='|$)", r"\1\1", value)
        return "'" + doubled.replace("'", r"\'") + "'"
    stream = StringIO()
    YAML(typ="safe", pure=True).dump(value, stream)
    return stream.getvalue().split("\n")[0]
