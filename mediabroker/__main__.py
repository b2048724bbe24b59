"""`python -m mediabroker` is the command `mediabroker`."""

from mediabroker.cli import main

if __name__ == "__main__":
    main()
