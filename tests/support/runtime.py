"""Runtime folders of daemons that tests start, in whichever place the daemon could use."""

import shutil
from pathlib import Path

from hvd.settings.runtime_folder import candidates


def runtime_folders(instance: str) -> list[Path]:
    """Those that are there."""
    return [folder for base in candidates() if (folder := base / instance).exists()]


def remove_runtime_folders(instance: str) -> None:
    """With what is in them."""
    for folder in runtime_folders(instance):
        shutil.rmtree(folder)
