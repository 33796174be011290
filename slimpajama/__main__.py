"""``python -m slimpajama`` is the ``slimpajama`` command."""

from slimpajama.cli.main import main

if __name__ == "__main__":
    main()
