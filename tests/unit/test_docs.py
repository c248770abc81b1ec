"""The pages of docs/: they build, and no link of them leads nowhere."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

from tests.support.server import ROOT


def test_pages_build_without_a_warning(tmp_path: Path) -> None:
    """Links, anchors, and that each page is in the navigation: mkdocs.yml has them checked."""
    command = (sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site"))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Quick start" in (tmp_path / "site/index.html").read_text()


def test_links_of_the_readme_lead_somewhere() -> None:
    """To files of the tree, and to headings in them."""
    readme = (ROOT / "README.md").read_text()
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", readme) if "://" not in link]
    assert links
    for link in links:
        name, _, anchor = link.partition("#")
        text = (ROOT / name).read_text() if name.endswith(".md") or anchor else ""
        assert (ROOT / name).exists(), link
        headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"(?m)^#+ (.+)$", text)}
        assert not anchor or anchor in headings, link


def test_prometheus_takes_the_rules_of_the_page(tmp_path: Path) -> None:
    """And they name metrics that hvd has."""
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/alerts.md").read_text(), re.S)
    (tmp_path / "rules.yml").write_text(text)
    done = subprocess.run(
        ("promtool", "check", "rules", str(tmp_path / "rules.yml")), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    table = (ROOT / "docs/metrics.md").read_text()
    for rule in yaml.safe_load(text)["groups"][0]["rules"]:
        for name in re.findall(r"hvd_\w+", rule["expr"]):
            assert f"`{name.removesuffix('_bucket')}`" in table, name
