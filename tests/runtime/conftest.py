"""Schedulers and workers on loopback, started by their commands in a folder that they and the tests share."""

import shutil
from pathlib import Path

import dask.config
import pytest
import trustme

from .started import scheduler, workers


@pytest.fixture(scope="module")
def shared(prepared, tmp_path_factory) -> Path:
    """The folder of a repository with the sample's photos in it."""
    top = tmp_path_factory.mktemp("shared")
    shutil.copytree(prepared.parent / "raw", top / "data/raw")
    shutil.copy(prepared.parent / "manifest.csv", top / "data")
    return top


@pytest.fixture(scope="module")
def address(shared) -> str:
    """A scheduler with two workers in ``shared``."""
    with (
        # Two workers may die over the same photos, not four as Dask has it: that takes half as long.
        scheduler(
            shared, "--host", "127.0.0.1", DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="1"
        ) as address,
        workers(address, shared, "--nworkers", "2", there=2),
    ):
        yield address


@pytest.fixture(autouse=True)
def in_shared(shared, monkeypatch):
    """Work where the workers do."""
    monkeypatch.chdir(shared)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> dict[str, str]:
    """Where Dask's configuration finds an authority and a certificate, key by key."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "own.pem")
    roles = {f"{role}.cert": str(folder / "own.pem") for role in ("client", "scheduler", "worker")}
    found = {"ca-file": str(folder / "ca.pem"), **roles}
    return {f"distributed.comm.tls.{key}": value for key, value in found.items()}


@pytest.fixture
def configured(certificates):
    """This process has the certificates."""
    with dask.config.set(certificates):
        yield
