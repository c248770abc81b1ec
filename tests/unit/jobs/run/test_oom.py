"""The score by which the kernel chooses what to kill where memory runs out."""

import subprocess
from pathlib import Path

import pytest

from hvd.jobs.run.oom import JOBS_SCORE, first_victims

OWN = Path("/proc/self/oom_score_adj")
SHOW = ["sh", "-c", "cat /proc/self/oom_score_adj"]


def test_what_is_started_meanwhile_goes_first() -> None:
    """With all that it starts; this process is as it was."""
    before = OWN.read_text()
    with first_victims():
        assert int(subprocess.check_output(SHOW)) == max(JOBS_SCORE, int(before))
    assert OWN.read_text() == before


@pytest.mark.parametrize("content", ["700\n", "", None])
def test_a_higher_score_stays_and_none_is_no_trouble(tmp_path: Path, content: str | None) -> None:
    """A container may have no /proc, or one of its own."""
    file = tmp_path / "score"
    if content is not None:
        file.write_text(content)
    with first_victims(file):
        pass
    assert (file.read_text() if file.exists() else None) == content
