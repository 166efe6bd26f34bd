"""``python -m middleplatform``: the command line."""

import sys

from middleplatform.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
