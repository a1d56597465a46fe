"""The documentation as a site: every page in it, every link kept, nothing from a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mobiledeploy

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_site_is_built(tmp_path: Path) -> None:
    # Strict: what mkdocs warns of, like a link to nowhere or a page that is not in the navigation, fails.
    build = ["-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(
        [sys.executable, *build],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    pages = {path.stem: path.read_text() for path in (tmp_path / "site").glob("*.html")}
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} <= pages.keys()
    public = {name for name in mobiledeploy.__all__ if not name.startswith("_")}
    assert set(re.findall(r"^\s+mobiledeploy\.(\w+)$", pages["api"], re.MULTILINE)) == public
    fetched = re.compile(r'<(?:script|img|link rel="stylesheet")[^>]+(?:src|href)="https?:')
    assert not [name for name, text in pages.items() if fetched.search(text)]
    linked = re.findall(r'href="(repository/[^"]+)"', pages["gate"])
    assert len(linked) == 5
    assert all((tmp_path / "site" / path).is_file() for path in linked)
