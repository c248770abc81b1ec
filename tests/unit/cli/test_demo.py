"""`hvd demo` before anything runs: its settings."""

from pathlib import Path

from hvd.cli.demo import settings
from hvd.settings.loader import load


def test_its_settings_keep_all_in_its_own_folder(tmp_path: Path) -> None:
    """They can be read, and have the kinds of job that its traffic submits."""
    file = tmp_path / "hvd.toml"
    file.write_text(settings(str(tmp_path)))
    loaded = load({"HVD_CONFIG": str(file)}).settings
    assert loaded.state_dir == tmp_path
    assert set(loaded.job_kinds) == {"thumbnails", "invoice"}
