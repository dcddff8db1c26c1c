"""Print what dferc needs, and what the groups of optional dependencies need that are named as arguments, one a line."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = [name for group in sys.argv[1:] for name in project["optional-dependencies"][group]]
sys.stdout.write("\n".join([*project["dependencies"], *extras]) + "\n")
