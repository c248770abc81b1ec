"""`hvd snapshot`."""

import json

import pytest

from hvd.cli.main import main
from tests.unit.cli.daemon import HEALTHY, daemon


def test_snapshot_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    """For eyes, or on one line; control characters stay escaped."""
    with daemon((200, HEALTHY)) as (url, _):
        assert main(["snapshot", "--url", url]) == 0
        pretty = capsys.readouterr().out
        assert main(["snapshot", "--url", url, "--compact"]) == 0
        compact = capsys.readouterr().out
    assert json.loads(pretty) == json.loads(compact) == HEALTHY
    assert pretty.startswith('{\n  "system_health": "healthy",\n')
    assert compact.count("\n") == 1
    assert "\x1b" not in pretty + compact
