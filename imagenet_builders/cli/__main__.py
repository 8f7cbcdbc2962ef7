"""Runs the command line as `python -m imagenet_builders.cli`."""

import sys

from imagenet_builders.cli import main

if __name__ == "__main__":
    sys.exit(main())
