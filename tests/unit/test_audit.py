"""What `make audit` makes of the answers of pip-audit."""

import json
from typing import Any

import pytest

from tests.audit import judge

SOUND: dict[str, Any] = {"name": "falcon", "version": "4.0.2", "vulns": []}
FAULTY = {**SOUND, "name": "x", "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["2.0"], "aliases": []}]}
UNKNOWN = {"name": "y", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([SOUND], 0, "packages asked about: 1"),
        ([SOUND, FAULTY, UNKNOWN], 1, "x 4.0.2: PYSEC-2026-1, mended in 2.0"),
        ([SOUND, UNKNOWN], 0, "not known to the package index: y"),
        ([UNKNOWN], 0, "could ask nobody"),
        (None, 0, "could ask nobody for known faults: ConnectionError: no route"),
    ],
)
def test_findings_fail_and_silence_does_not(
    packages: list[Any] | None, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who can't ask may be behind a mirror, or without a network; what was found is never let pass."""
    output = "" if packages is None else json.dumps({"dependencies": packages, "fixes": []})
    assert judge(output, "Traceback\nConnectionError: no route\n") == status
    assert said in capsys.readouterr().out
