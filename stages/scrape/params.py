"""The section ``scrape`` of params.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from stages.params import Section
from stages.storage.tables import cell
from ungray.errors import UngrayError
from ungray.system.files import main_checkout


class Params(Section):
    """Where photos come from."""

    source: Literal["sample", "folder", "bing", "urls", "flowers102", "cifar10"]
    folder: str = Field(min_length=1)
    urls: str = Field(min_length=1)
    dataset_folder: str
    sample_crops: int = Field(ge=1, le=64)
    sample_crop_size: int = Field(ge=64, le=300)
    limit: int = Field(ge=1, le=1000)
    safe_search: bool
    photos_only: bool
    color_only: bool
    min_side: int = Field(ge=0, le=10_000, description="pixels")
    license: Literal[
        "any",
        "creative_commons",
        "public_domain",
        "share",
        "share_commercially",
        "modify",
        "modify_commercially",
    ]
    refresh: int = Field(ge=0, le=1_000_000)
    connections: int = Field(ge=1, le=256)
    connections_per_host: int = Field(ge=1, le=16)
    delay: float = Field(ge=0, le=60, description="seconds")
    attempts: int = Field(ge=1, le=10)
    timeout: int = Field(gt=0, le=86_400, description="seconds")
    deadline: float = Field(gt=0, le=86_400, description="seconds")
    max_megabytes: float = Field(gt=0, le=10_000)
    max_megapixels: float = Field(gt=0, le=178)
    honor_opt_out: bool
    queries: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]

    def check_environment(self) -> None:
        """Raise an UngrayError if the source is a folder or a list that does not exist."""
        if self.source == "folder" and not self.photo_folder().is_dir():
            raise UngrayError(
                f"scrape.folder: {self.folder} is not a folder; put the path of your photos into params.yaml"
            )

        if self.source == "urls" and not self.url_list().is_file():
            raise UngrayError(
                f"scrape.urls: {self.urls} is not a file; put the path of your list into params.yaml"
            )

    def photo_folder(self) -> Path:
        """Return the folder of the source ``folder``.

        A path inside the repository refers to the main checkout, even in a DVC experiment's temporary copy,
        which lacks everything that git ignores.
        """
        return main_checkout(Path.cwd()) / self.folder

    def url_list(self) -> Path:
        """Return the path of the list of the source ``urls``.

        A DVC experiment's temporary copy contains it if git tracks it; else it is the main checkout's.
        """
        return Path(self.urls) if Path(self.urls).exists() else main_checkout(Path.cwd()) / self.urls

    def dataset_path(self) -> Path:
        """Return the folder of an existing data set, as :meth:`photo_folder` does."""
        return main_checkout(Path.cwd()) / self.dataset_folder

    @field_validator("folder", "urls", "dataset_folder")
    @classmethod
    def _stays_reachable(cls, folder: str) -> str:
        # DVC runs experiments in a temporary copy, where ../photos is another folder.
        if not Path(folder).is_absolute() and ".." in Path(folder).parts:
            raise ValueError("an absolute path, or a path inside the repository")
        return folder

    @field_validator("queries")
    @classmethod
    def _no_blank_or_double(cls, queries: tuple[str, ...]) -> tuple[str, ...]:
        if any(not query.strip() for query in queries) or len(set(queries)) < len(queries):
            raise ValueError("a list without blank or repeated queries")
        if any(cell(query) != query for query in queries):
            raise ValueError("queries of one line each, without control characters")
        return queries
