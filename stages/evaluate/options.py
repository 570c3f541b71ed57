"""The command lines of the tools around the stage: compare, pareto, sets and hints."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from ungray.errors import UngrayError
from ungray.system.terminal import Parser


def tool_parser(name: str, description: str, *, output: str, short_side: bool = True) -> Parser:
    """Return the parser of ``python -m stages.evaluate <name>``, with the options that tools have in common.

    These are -o, whose default is ``output``, and, if ``short_side``, --short-side. A number out of range
    raises an UngrayError.
    """
    parser = Parser(prog=f"python -m stages.evaluate {name}", description=description)
    if short_side:
        parser.add_argument(
            "--short-side", type=at_least(0, "--short-side", "pixels"), default=256,
            help="pixels at which photos are judged; 0: as they are (256)",
        )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, default=Path(output), help=f"folder to write ({output})")
    return parser


def at_least(least: int, option: str, unit: str) -> Callable[[str], int]:
    """Return the type of a command line's ``option`` that is an integer number of ``unit``, at least
    ``least``."""

    def number(text: str) -> int:
        if (value := int(text)) < least:
            raise UngrayError(f"{option} {value} is not allowed: it must be {least} or more {unit}")
        return value

    return number


def named(
    texts: Sequence[str], *, name_of: Callable[[Path], str], taken: Collection[str] = ()
) -> dict[str, Path]:
    """Return the paths of ``texts``, each a path or NAME=path, by name; ``name_of`` gives a bare path its
    name.

    Raises:
        UngrayError: a name is empty, used twice, or in ``taken``.
    """
    paths: dict[str, Path] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        if not equals or Path(text).exists():
            name, rest = name_of(Path(text).resolve()), text
        if not name or name in paths or name in taken:
            why = f"the name {name!r} is already used" if name else "it has no name"
            raise UngrayError(f"{text}: {why}; give it another, as in OTHER={rest}")
        paths[name] = Path(rest).expanduser()
    return paths
