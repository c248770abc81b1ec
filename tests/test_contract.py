"""What the README says of settings and metrics is what the tables say, and every module has its test file.

`python -m tests.test_contract` writes the README's tables anew.
"""

import re
from pathlib import Path

from hvd.metrics.table import METRICS
from hvd.settings.table import markdown_table

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"

LIVE = {
    *(
        "__main__",
        "agg/__main__",
        "daemon/admin/__main__",
        "daemon/admin/main",
        "daemon/run/application",
        "gunicorn_conf",
        "jobs/__main__",
        "runtime",
    ),
    *(f"export/presets/{name}" for name in ("django", "fastapi", "flask", "starlette")),
    *("snapshot", "web/app", "web/here", "web/counting", "web/wsgi"),
}
"""Modules that only mean something in a running daemon: tests/live starts it."""


def metrics_table() -> str:
    """The metrics as the README lists them."""
    lines = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |")
    return "\n".join(lines)


TABLES = {"settings": markdown_table, "metrics": metrics_table}


def with_tables(text: str) -> str:
    """The README with the tables that it should have."""
    for name, table in TABLES.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        text, found = re.subn(pattern, lambda match, table=table: f"{match[1]}{table()}\n{match[2]}", text, flags=re.S)
        assert found == 1, f"README has {found} places for the table of {name}"
    return text


def test_readme_lists_every_setting_and_metric() -> None:
    """Name, default, kind and meaning, as the code has them; `python -m tests.test_contract` brings them up to date."""
    text = README.read_text(encoding="utf-8")
    assert text == with_tables(text)


def test_every_module_has_a_test_file() -> None:
    """tests/unit mirrors hvd, but for what only lives in a running daemon."""
    modules = {str(path.relative_to(ROOT / "hvd").with_suffix("")) for path in (ROOT / "hvd").rglob("*.py")}
    for module in sorted(module for module in modules - LIVE if not module.endswith("__init__")):
        folder, _, name = module.rpartition("/")
        assert (ROOT / "tests" / "unit" / folder / f"test_{name}.py").exists(), f"hvd/{module}.py has no unit test file"


def test_documents_name_files_that_exist() -> None:
    """What is moved or merged is followed in README and docs."""
    for text in (README, *(ROOT / "docs").glob("*.md"), *(ROOT / "deploy").glob("*.md")):
        for name in re.findall(r"`((?:hvd|tests|bench|deploy|docs)/[\w/.-]+\.\w+)`", text.read_text(encoding="utf-8")):
            assert (ROOT / name).exists(), f"{text.name} names {name}"


def test_only_the_settings_read_the_environment() -> None:
    """No other module of hvd asks os.environ for anything."""
    readers = [
        path.name for path in (ROOT / "hvd").rglob("*.py") if re.search(r"os\.(environ|getenv)", path.read_text())
    ]
    assert readers == ["variables.py"]


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")
