"""``python -m muru`` is the command ``muru``."""

import sys

from muru.cli import main

if __name__ == "__main__":
    sys.exit(main())
