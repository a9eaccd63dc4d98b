"""``python -m haloassay`` is the command ``haloassay``."""

from haloassay.face.cli import main

if __name__ == "__main__":
    main()
