"""``python -m ssod_mm`` is the command ``ssod``."""

from ssod_mm.cli.main import main

if __name__ == "__main__":
    main()
