"""`hvd check`: the settings in force, and where each comes from."""

import argparse

from hvd.cli.arguments import Exit
from hvd.cli.jobs.show import table
from hvd.settings.loader import load
from hvd.settings.table import SETTINGS, written
from hvd.texts import as_toml


def run(_: argparse.Namespace) -> int:
    """Print them. Raises SettingsError with all that is wrong with them."""
    loaded = load()
    settings, sources, file = loaded[:3]
    rows = [(written(key), SETTINGS[key].as_text(getattr(settings, key)), source) for key, source in sources.items()]
    rows.append(("block", as_toml(settings.block_name), "from instance"))
    print(f"file: {as_toml(file)}" if file else "file: none, HVD_CONFIG names no file")
    print("\n".join(table(rows)))
    for template, pattern in settings.routes.items():
        print(f"route {template}: {as_toml(pattern)}")
    for kind in settings.job_kinds.values():
        params = ", ".join(f"{name}: {param.TYPE}" for name, param in kind.params.items())
        print(f"kind of job {kind.name}: {as_toml(kind.command)}, params {params or 'none'}")
    for kind in settings.job_kinds.values():
        for doubt in kind.doubts():
            print(f"warning: {doubt}")
    return Exit.OK
