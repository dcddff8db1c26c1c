"""``python -m dferc_platform``: the command line where dferc is importable but not installed."""

from dferc_platform.cli import main

if __name__ == "__main__":
    main()
