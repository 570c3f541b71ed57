"""The command ``colorize``."""
