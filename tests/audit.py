"""`make audit`: looks for known faults in what hvd needs (pip-audit) and for dangerous code in hvd (bandit).

Findings end it with status 1. What bandit finds and is right is judged in writing: in pyproject.toml for all places, at
its line for one (`# nosec`). Where PyPI can't be asked for known faults, that is said and is no failure; nor is it one
where only some packages are unknown there, which are listed.
"""

import json
import subprocess
import sys
from typing import Any


def main() -> int:
    """Do both. Returns the exit status."""
    command = [sys.executable, "-m", "bandit", "-q", "-c", "pyproject.toml", "-r", "hvd"]
    bandit = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
    # it warns of each part of a statement in which `# nosec` would not have been needed
    print("".join(line for line in bandit.stderr.splitlines(keepends=True) if "nosec encountered" not in line), end="")
    command = [sys.executable, "-m", "pip_audit", "--skip-editable", "--format", "json", "--progress-spinner", "off"]
    audit = subprocess.run(command, check=False, capture_output=True, text=True)
    return max(bandit.returncode, judge(audit.stdout, audit.stderr))


def judge(output: str, errors: str) -> int:
    """Say what pip-audit found. Returns 1 for findings, 0 for none, and where nobody could be asked."""
    try:
        packages: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError):
        reason = (errors.strip().splitlines() or ["no reason given"])[-1]
        print(f"pip-audit could ask nobody for known faults: {reason}")
        return 0
    for package in packages:
        for fault in package.get("vulns", ()):
            versions = ", ".join(fault["fix_versions"]) or "none yet"
            print(f"{package['name']} {package['version']}: {fault['id']}, mended in {versions}")
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    asked = len(packages) - len(skipped)
    if not asked:
        print("pip-audit could ask nobody for known faults: this package index doesn't tell of any")
    elif skipped:
        print(f"not known to the package index: {', '.join(skipped)}")
    print(f"packages asked about: {asked}")
    return int(any(package.get("vulns") for package in packages))


if __name__ == "__main__":
    sys.exit(main())
