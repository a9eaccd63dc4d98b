"""``python -m haloassay`` is the command ``haloassay``."""

from haloassay.cli import main

if __name__ == "__main__":
    main()
