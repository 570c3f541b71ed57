"""The web page: ``colorize serve`` shows a photo gray and colored, on this machine and nowhere else."""

from ungray.page.command import main

__all__ = ["main"]
