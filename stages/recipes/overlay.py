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

from stages.params import check, put, read, setting
from ungray.errors import UngrayError

FOLDER = Path(__file__).parent
PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_/.-]*( [A-Za-z0-9_/.-]+)*")
"""Text that -S takes as it is, ..."""
NOT_TEXT = {"true", "false", "null", "nan", "inf"}
"""... unless it is one of these."""


def names() -> list[str]:
    """Return the recipes there are, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def description(name: str) -> str:
    """Return the one line that a recipe says of itself: the first of its file."""
    return (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")


def overrides(name: str, more: Sequence[str]) -> dict[str, Any]:
    """Return what recipe ``name`` sets, by dotted key; each of ``more``, "key=value", comes on top.

    Raises:
        UngrayError: no such recipe, or ``more`` holds something else; the sentence names what there is.
    """
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        meant = f"; did you mean {near[0]}?" if near else "; there are"
        raise UngrayError(f"no recipe {name!r}{meant} {'' if near else ', '.join(names())}".rstrip())
    found = dict(_flat(read(FOLDER / f"{name}.yaml")))
    found |= dict(setting(text) for text in more)
    return found


def apply(found: Mapping[str, Any], params: Path) -> None:
    """Check that the file ``params`` is right with ``found`` on top, and what it names is there.

    Raises:
        UngrayError: it is not; see :func:`stages.params.check`.
    """
    content = copy.deepcopy(read(params))
    for key, value in found.items():
        put(content, key, value)
    for checked in check(content, origin=str(params)).values():
        checked.check_environment()


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
    """Return ``value`` as DVC's -S (Hydra's grammar) reads it: one line of YAML in flow style."""
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    if isinstance(value, str):
        if PLAIN.fullmatch(value) and value.lower() not in NOT_TEXT:
            return value
        # Between quotes only a quote, and backslashes before one, mean something else.
        doubled = re.sub(r"(\\+)(?='|$)", r"\1\1", value)
        return "'" + doubled.replace("'", r"\'") + "'"
    stream = StringIO()
    YAML(typ="safe", pure=True).dump(value, stream)
    return stream.getvalue().split("\n")[0]
