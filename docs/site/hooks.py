"""Files of the repository that pages link to come along; a page is read in the repository, too."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
_LINK = re.compile(r"\]\(\.\./([^)#]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of the API, and what is linked and lies outside ``docs``."""
    files.append(File.generated(config, "api.md", content=_api()))
    for page in Path(config.docs_dir).glob("*.md"):
        for path in _LINK.findall(page.read_text(encoding="utf-8")):
            if _place(path) not in files.src_uris:
                files.append(File.generated(config, _place(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Lead the links there."""
    return _LINK.sub(lambda found: f"]({_place(found[1])})", markdown)


def _place(path: str) -> str:
    # A name that begins with a dot, or a README.md, would not be a plain file of the site.
    return f"repository/{path.replace('.github', 'github')}"


def _api() -> str:
    """A page of everything public, from its docstrings."""
    import mobiledeploy

    lines = ["# API", "", "What `import mobiledeploy` has, from the docstrings.", ""]
    for name in sorted(mobiledeploy.__all__, key=lambda name: (name[0].isupper(), name)):
        if not name.startswith("_"):
            known = getattr(mobiledeploy, name)
            home = f"{known.__module__}.{known.__name__}"
            lines += [f"::: {home}", "    options:"]
            lines += [f"      heading: mobiledeploy.{name}", f"      toc_label: {name}", ""]
    return "\n".join(lines)
