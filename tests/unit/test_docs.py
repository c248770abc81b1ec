"""The pages of docs/: they build, and no link of them leads nowhere."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support.server import ROOT


def test_pages_build_without_a_warning(tmp_path: Path) -> None:
    """Links, anchors, and that each page is in the navigation: mkdocs.yml has them checked."""
    command = (sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site"))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Quick start" in (tmp_path / "site/index.html").read_text()
    assert "HvdUnhealthy" in (tmp_path / "site/alerts.html").read_text(), "the rules of deploy/alerts.yml"


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
