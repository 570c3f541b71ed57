"""The versions, and what does not fit together."""

import importlib
import platform

import pytest
from packaging.specifiers import SpecifierSet

from stages.doctor import software


@pytest.fixture(autouse=True)
def as_pinned(monkeypatch):
    """The project's own pins are out of the way, whatever is installed here."""
    real = software._requirements
    monkeypatch.setattr(software, "_requirements", lambda name: {} if name == "ungray" else real(name))


def test_what_is_installed_here_fits():
    found = software.describe()
    assert found["problems"] == []
    assert found["versions"]["python"] == platform.python_version()
    assert all(found["versions"][name] for name in ("torch", "torchvision", "numpy", "dvc"))


def test_torchvision_for_another_torch_is_named(monkeypatch):
    real = software._version
    monkeypatch.setattr(software, "_version", lambda name: "2.13.0+cpu" if name == "torch" else real(name))
    (problem,) = software.describe()["problems"]
    assert "wants torch" in problem
    assert "torch 2.13.0+cpu is here" in problem
    assert "make env" in problem


@pytest.mark.parametrize("error", [RuntimeError("operator torchvision::nms does not exist"), ImportError()])
def test_a_torchvision_that_cannot_be_imported_is_named(monkeypatch, error):
    def fail(name):
        raise error

    monkeypatch.setattr(importlib, "import_module", fail)
    (problem,) = software.describe()["problems"]
    assert problem.startswith("torchvision cannot be imported")
    assert str(error) in problem


def test_a_package_that_is_not_as_pinned_or_missing_is_named(monkeypatch):
    pins = {"ungray": {"numpy": SpecifierSet("==0.9"), "no-such-package": SpecifierSet("==1.0")}}
    monkeypatch.setattr(software, "_requirements", lambda package: pins.get(package, {}))
    (problem,) = software.describe()["problems"]
    assert "(pinned 0.9)" in problem
    assert "no-such-package missing (pinned 1.0)" in problem
