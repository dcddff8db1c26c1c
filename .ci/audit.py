"""Known holes in the locked packages, as pip-audit knows them; says so aloud where their list cannot be reached.

An index without a list of holes answers "not found" for every package, and pip-audit then ends well: that is no audit.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SECONDS = 300


def audit(options: list[str]) -> tuple[list[dict[str, Any]], str]:
    """What pip-audit says of each locked package, and what it complains of."""
    command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--progress-spinner", "off"]
    command += ["--format", "json", "--requirement", str(ROOT / "constraints.txt"), *options]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return [], f"no answer in {SECONDS} s"
    packages = json.loads(ran.stdout)["dependencies"] if ran.stdout.startswith("{") else []
    return packages, (ran.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]


def verdict(packages: list[dict[str, Any]], complaint: str) -> tuple[str, int]:
    """What to say, and the exit code: 1 where a package has a hole."""
    looked_at = [package for package in packages if "skip_reason" not in package]
    holes = [(package, hole) for package in looked_at for hole in package["vulns"]]
    if holes:
        lines = [
            f"  {package['name']} {package['version']}: {hole['id']} {' '.join(hole['aliases'])}"
            f" (mended in {', '.join(hole['fix_versions']) or 'no version yet'})"
            for package, hole in holes
        ]
        return "\n".join([f"audit: known holes: {len(holes)}", *lines]), 1
    if not looked_at:
        why = f"the index lists holes of none of {len(packages)} packages" if packages else complaint
        return f"audit: SKIPPED, nothing was looked at: {why}", 0
    said = f"audit: no known holes in {len(looked_at)} packages"
    missing = [package["name"] for package in packages if package not in looked_at]
    return said + (f"; not in the list: {', '.join(missing)}" if missing else ""), 0


if __name__ == "__main__":
    sentence, code = verdict(*audit(sys.argv[1:]))
    print(sentence)
    sys.exit(code)
