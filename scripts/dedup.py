"""Run deduplication over shards: the same as ``slimpajama dedup``, for who looks for a script."""

import sys

from slimpajama.cli.main import main

if __name__ == "__main__":
    sys.argv.insert(1, "dedup")
    main()
