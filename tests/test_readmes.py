"""What the READMEs name is there: links, make targets, commands and their options, parameters, files."""

import ast
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
LISTED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
    cwd=ROOT, capture_output=True, text=True, check=True,
).stdout.splitlines()  # fmt: skip
FILES = {name for name in LISTED if (ROOT / name).is_file()}
FOLDERS = {str(folder) for name in FILES for folder in Path(name).parents}
READMES = sorted(name for name in FILES if name.endswith(".md"))
PARAMS = YAML(typ="safe").load(ROOT / "params.yaml")
MISTAKES = {"train.bach_size"}
"""Keys in the tables of error messages that are meant to be wrong."""

each = pytest.mark.parametrize("name", READMES)
of_today = pytest.mark.parametrize("name", [name for name in READMES if name != "CHANGELOG.md"])


def text(name):
    return (ROOT / name).read_text()


def without_code(markdown):
    """``markdown`` without indented blocks and code in a line."""
    lines = [line for line in markdown.splitlines() if not line.startswith("    ")]
    return re.sub(r"`[^`]*`", "", "\n".join(lines))


def anchors(markdown):
    """The anchors that GitHub gives the headings of ``markdown``."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", markdown, re.M):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number = 0
        while (unique := f"{anchor}-{number}" if number else anchor) in found:
            number += 1
        found.add(unique)
    return found


def commands(markdown):
    """The command lines in ``markdown``: of indented blocks and of code in a line, comments left out."""
    blocks = [
        line[4:].strip().removeprefix("$ ") for line in markdown.splitlines() if line.startswith("    ")
    ]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(blocks)).splitlines()
    found = []
    for line in [*joined, *re.findall(r"`([^`\n]+)`", markdown)]:
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # a sentence with an apostrophe
            continue
        if words:
            found.append(words)
    return found


def source(words):
    """The files whose parsers read the options of a command of ours, empty for any other command."""
    if words[0] == "colorize":
        return [ROOT / ("stages/ungray/page" if words[1:2] == ["serve"] else "stages/ungray/cli")]
    if not re.match(r"python\d?$", words[0]):
        return []
    if words[1:2] == ["-m"] and words[2].startswith(("stages.", "tests.")):
        path = ROOT / words[2].replace(".", "/")
        return [path] if path.is_dir() else [path.with_suffix(".py")]
    return [ROOT / words[1]] if words[1:2] and words[1].endswith(".py") else []


def options(paths):
    """The options that the parsers in these files and folders take."""
    modules = [module for path in paths for module in (path.rglob("*.py") if path.is_dir() else [path])]
    return {"-h", "--help"} | {
        argument.value
        for module in modules
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument"
        for argument in node.args
        if isinstance(argument, ast.Constant) and str(argument.value).startswith("-")
    }


def test_the_readme_is_of_one_evening():
    assert len(text("README.md").splitlines()) <= 260


@each
def test_links_lead_to_files_and_headings_that_are_there(name):
    outs = [
        str(out)
        for stage in YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"].values()
        for out in stage["outs"]
    ]
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text(name))):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (ROOT / name).parent.joinpath(path).resolve().relative_to(ROOT) if path else Path(name)
        assert str(there) in FILES | FOLDERS or str(there).startswith(tuple(outs)), f"{target} leads nowhere"
        assert not anchor or anchor in anchors(text(str(there))), f"no heading for {target}"


def test_every_readme_is_reached_from_the_first():
    reached, waiting = set(), ["README.md"]
    while waiting:
        name = waiting.pop()
        reached.add(name)
        for target in re.findall(r"\]\(([^)\s#]+)", without_code(text(name))):
            there = str((ROOT / name).parent.joinpath(target).resolve()).removeprefix(f"{ROOT}/")
            waiting += {there} & set(READMES) - reached
    assert reached == set(READMES)


@of_today
def test_make_targets_are_there(name):
    makefile = text("Makefile")
    for words in commands(text(name)):
        for target in words[1:] if words[0] == "make" else []:
            assert "=" in target or target == "..." or re.search(rf"^{target}:", makefile, re.M), words


@of_today
def test_modules_and_options_are_there(name):
    for words in commands(text(name)):
        paths = source(words)
        if not paths or any(re.search(r"<\w+>", word) for word in words):  # stages.<stage>
            continue
        if "color.py" in words:  # the program in a card, which tests/export runs
            continue
        assert all(path.exists() for path in paths), words
        given = {word.partition("=")[0] for word in words[1:] if re.match(r"--?[a-zA-Z]", word)} - {"-m"}
        assert given <= options(paths), words


@of_today
def test_params_are_there(name):
    keys = re.findall(rf"(?<![\w./])((?:{'|'.join(PARAMS)})(?:\.[a-z_\d]+)+)\b(?![./*(])", text(name))
    for key in set(keys) - MISTAKES:
        section = PARAMS
        for part in key.split("."):
            assert part in section, key
            section = section[part]


@of_today
def test_files_and_folders_of_the_code_are_there(name):
    folder = Path(name).parent
    for path in re.findall(r"`((?:stages|tests|\.github|\.ci|\.devcontainer)/[\w./-]*)`", text(name)):
        assert {path.rstrip("/"), str(folder / path.rstrip("/"))} & (FILES | FOLDERS), path


def test_no_readme_makes_a_stage_run_again():
    inside = [name for name in READMES if name.startswith("stages/")]
    done = subprocess.run(
        ["dvc", "check-ignore", *inside], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == inside


def test_pictures_are_small():
    shown = {
        (ROOT / name).parent.joinpath(target).resolve()
        for name in READMES
        for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text(name))
    }
    assert {path.name for path in shown} >= {"colors.webp", "web_page.webp", "report.webp"}
    assert all(path.stat().st_size < 150_000 for path in shown)
