"""The house: which part of hvd may import which. docs/design.md has the list with each part's reason."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

HVD = Path(__file__).resolve().parents[1] / "hvd"

PARTS = (
    "faces",  # the loose modules, which users name
    "cli",
    "demo",
    "daemon",
    "web",
    "agg",
    "jobs",
    "otlp",
    "companion",
    "instrument",
    "export",
    "read",
    "metrics",
    "settings",
    "core",
    "texts",
    "json_schemas",
    "errors",
)
"""From the top down: a part imports those below it."""

FRAMEWORKS = {
    "gunicorn": {"daemon", "web"},
    "falcon": {"web", "demo"},
    "psutil": {"agg"},
    "sqlalchemy": {"jobs"},
    "jsonschema": {"json_schemas"},
    "prometheus_client": {"metrics", "faces"},
    "opentelemetry": {"otlp", "export"},
    "requests": {"otlp"},
    "grpc": {"otlp"},
}
"""Who may import what others wrote."""


def part_of(module: str) -> str:
    """The part that a module, as `hvd.agg.hub`, belongs to."""
    name = module.split(".")[1] if "." in module else ""
    return name if name in PARTS else "faces"


def imports(path: Path) -> Iterator[str]:
    """What a file imports, wherever in it; `from hvd.core import layout` is hvd.core.layout."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def arrows() -> Iterator[tuple[str, str, str]]:
    """File, its part, and a part that it imports."""
    for path in HVD.rglob("*.py"):
        file = path.relative_to(HVD.parent)
        own = part_of(".".join(file.with_suffix("").parts))
        for name in imports(path):
            if name.startswith("hvd.") and name != "hvd.__version__" and (other := part_of(name)) != own:
                yield str(file), own, other


def test_every_folder_is_a_part() -> None:
    """So no folder is without a place in the list."""
    folders = {path.name for path in HVD.iterdir() if (path / "__init__.py").exists()}
    assert folders <= set(PARTS)


def test_every_folder_says_what_it_is_for() -> None:
    """In one sentence, which its listing shows first."""
    for path in HVD.rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{path} says nothing"


def test_arrows_only_go_down() -> None:
    """A part imports only parts below it."""
    up = {(file, other) for file, own, other in arrows() if PARTS.index(own) >= PARTS.index(other)}
    assert not up


def test_only_their_own_part_imports_frameworks() -> None:
    """gunicorn is known to the daemon alone, HTTP to the endpoints and to counting."""
    for path in HVD.rglob("*.py"):
        part = part_of(".".join(path.relative_to(HVD.parent).with_suffix("").parts))
        for name in imports(path):
            owners = FRAMEWORKS.get(name.split(".")[0], {part})
            assert part in owners, f"{path} imports {name}"


NOT_FOR_CORE = {
    *("http", "https", "wsgi", "asgi", "url", "urls", "method", "methods", "route", "routes", "status", "statuses"),
    *("percentile", "percentiles", "websocket", "websockets", "gunicorn", "falcon", "prometheus"),
}


def test_core_does_not_know_what_is_counted() -> None:
    """It imports itself and the errors, gets its families as arguments, and has no word for what they are of."""
    folder = HVD / "core"
    for path in folder.glob("*.py"):
        others = [name for name in imports(path) if name.startswith("hvd.")]
        assert all(name.startswith(("hvd.core.", "hvd.errors.")) for name in others), path
    for path in (*folder.glob("*.py"), *folder.glob("*.[ch]")):
        words = set(re.findall("[a-z]+", path.read_text(encoding="utf-8").lower()))
        words -= {"methods"} if path.suffix != ".py" else set()  # tp_methods: what CPython calls a type's functions
        assert not words & NOT_FOR_CORE, path
