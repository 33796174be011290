"""Build mixture datasets: the same as ``slimpajama mix``, for who looks for a script."""

import sys

from slimpajama.cli.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "mix")
    main()
