"""The command line, ``dferc``. Nothing heavy is imported before a command runs, so that help is there at once."""

from dferc_platform.cli.app import app, main

__all__ = ["app", "main"]
