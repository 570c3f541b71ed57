"""``python -m ungray`` is the command ``colorize``."""

from ungray.cli.main import main

if __name__ == "__main__":
    main()
