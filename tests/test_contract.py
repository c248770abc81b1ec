"""What the documents say of settings and metrics is what the tables say, and every module has its test file.

`python -m tests.test_contract` writes their tables anew.
"""

import argparse
import re
from pathlib import Path

import pytest

from hvd.cli.main import parser_of_all
from hvd.metrics.table import METRICS
from hvd.settings.table import SETTINGS, variable, written

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"

LIVE = {
    *(
        "__main__",
        "agg/__main__",
        "daemon/admin/__main__",
        "daemon/admin/main",
        "daemon/run/application",
        "gunicorn_conf",
        "jobs/__main__",
        "otlp/__main__",
        "runtime",
    ),
    *(f"export/presets/{name}" for name in ("django", "fastapi", "flask", "starlette")),
    *("snapshot", "web/app", "web/here", "web/counting", "web/wsgi"),
}
"""Modules that only mean something in a running daemon: tests/live starts it."""


def settings_table() -> str:
    """The settings as docs/settings.md lists them."""
    lines = ["| key | variable | default | meaning |", "|---|---|---|---|"]
    for key, setting in SETTINGS.items():
        default = setting.words or f"`{setting.default}`"
        meaning = f"{setting.help} Takes {setting.type.expected}."
        lines.append(f"| `{written(key)}` | `{variable(key)}` | {default} | {meaning} |")
    lines.append("| `jobs.kinds` |  | none | Kinds of job, a table each: see `deploy/hvd.toml`. |")
    lines.append(
        "| `routes` |  | none | A table: route templates, each with a regular expression that the whole path matches, "
        "for apps whose framework tells none. The first that matches counts. |"
    )
    return "\n".join(lines)


def metrics_table() -> str:
    """The metrics as docs/metrics.md lists them."""
    lines = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |")
    return "\n".join(lines)


TABLES = {"settings": settings_table, "metrics": metrics_table}


def with_table(name: str, text: str) -> str:
    """A document with the table that it should have."""
    pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
    text, found = re.subn(pattern, lambda match: f"{match[1]}{TABLES[name]()}\n{match[2]}", text, flags=re.S)
    assert found == 1, f"docs/{name}.md has {found} places for its table"
    return text


@pytest.mark.parametrize("name", TABLES)
def test_documents_list_every_setting_and_metric(name: str) -> None:
    """Name, default, kind and meaning, as the code has them; `python -m tests.test_contract` brings them up to date."""
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    assert text == with_table(name, text)


def test_every_module_has_a_test_file() -> None:
    """tests/unit mirrors hvd, but for what only lives in a running daemon."""
    modules = {str(path.relative_to(ROOT / "hvd").with_suffix("")) for path in (ROOT / "hvd").rglob("*.py")}
    for module in sorted(module for module in modules - LIVE if not module.endswith("__init__")):
        folder, _, name = module.rpartition("/")
        assert (ROOT / "tests" / "unit" / folder / f"test_{name}.py").exists(), f"hvd/{module}.py has no unit test file"


def test_documents_name_files_that_exist() -> None:
    """What is moved or merged is followed in README and docs."""
    for text in (README, *DOCS.glob("*.md"), *(ROOT / "deploy").glob("*.md")):
        for name in re.findall(r"`((?:hvd|tests|bench|deploy|docs)/[\w/.-]+\.\w+)`", text.read_text(encoding="utf-8")):
            assert (ROOT / name).exists(), f"{text.name} names {name}"


def options_of(command: str) -> tuple[set[str], str]:
    """-> all options of the commands that such a text names, and what follows their names."""
    parser, rest = parser_of_all(), command
    while isinstance(parser._actions[-1], argparse._SubParsersAction):
        name, _, after = rest.partition(" ")
        if not (name in parser._actions[-1].choices or parser.prog == "hvd"):
            break  # as `hvd jobs ...`
        parser, rest = parser._actions[-1].choices[name], after
    return {option for action in parser._actions for option in action.option_strings}, rest


def test_documents_name_commands_that_exist() -> None:
    """`hvd status` and its options, in running text as in examples."""
    pattern = r"(?:`|^ {4}\$? ?)(?:/opt/hvd/bin/)?hvd ([a-z][^`\n#>|;&]*)"
    for text in (README, ROOT / "SECURITY.md", *DOCS.glob("*.md"), *(ROOT / "deploy").glob("*.md")):
        for command in re.findall(pattern, text.read_text(encoding="utf-8"), flags=re.M):
            options, rest = options_of(command.strip())
            for option in re.findall(r"(?:^|[ \[])(--[a-z-]+)", rest.partition(" -- ")[0]):
                assert option in options, f"{text.name} names `hvd {command}`"


def test_only_the_settings_read_the_environment() -> None:
    """No other module of hvd asks os.environ for anything."""
    readers = [
        path.name for path in (ROOT / "hvd").rglob("*.py") if re.search(r"os\.(environ|getenv)", path.read_text())
    ]
    assert readers == ["environ.py"]


if __name__ == "__main__":
    for name in TABLES:
        path = DOCS / f"{name}.md"
        path.write_text(with_table(name, path.read_text(encoding="utf-8")), encoding="utf-8")
