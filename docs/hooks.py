"""Makes the site of `mkdocs.yml` out of pages whose links lead through the repository.

The pages are read on a code host as well, so they link to files as they lie in the
repository. On the site the README is the first page, other texts keep their path, and
source files that a page links to become pages of their own. Links to modules of the
package lead into the API reference, whose pages are written here.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "ssod_mm"
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):<code>~?([^<]+)</code>")
_LANGUAGES = {".py": "python", ".sh": "bash", ".yml": "yaml", ".cff": "yaml"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Give headings the anchors that they have on a code host."""
    config.mdx_configs.setdefault("toc", {})["slugify"] = _anchor
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the texts outside `docs/`, the API reference and the linked source files."""
    pages = {file.src_uri: (ROOT / "docs" / file.src_uri) for file in files}
    pages["index.md"] = ROOT / "README.md"
    for path in (*ROOT.glob("C*.md"), *ROOT.glob("configs/*/README.md")):
        pages[path.relative_to(ROOT).as_posix()] = path
    for uri, path in pages.items():
        if uri not in files.src_uris:
            files.append(File.generated(config, uri, content=path.read_text()))
    for uri, content in _reference():
        files.append(File.generated(config, uri, content=content))
    texts = [path for path in pages.values() if path.suffix == ".md"]
    for path in _linked(texts):
        uri, _ = _place(path)
        if uri not in files.src_uris:
            files.append(File.generated(config, uri, content=_source_page(path)))
    return files


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Turn links to files of the repository into links to pages of the site."""
    here = _home(page.file.src_uri).parent

    def moved(match: re.Match[str]) -> str:
        before, target, rest = match.groups()
        if "://" in target or page.file.src_uri.startswith("api/"):
            return match[0]
        uri, anchor = _place((here / target).resolve())
        start = posixpath.dirname(page.file.src_uri) or "."
        rest = f"#{anchor})" if anchor else rest
        return before + posixpath.relpath(uri, start) + rest

    parts, end = [], 0
    for fence in _FENCE.finditer(markdown):
        parts += [_LINK.sub(moved, markdown[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, _LINK.sub(moved, markdown[end:])])


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Show as code the names that docstrings mark by Sphinx's roles."""
    return _ROLE.sub(r"<code>\1</code>", html)


def _home(uri: str) -> Path:
    """The file of the repository that a page was made from."""
    if uri == "index.md":
        return ROOT / "README.md"
    inside = ROOT / "docs" / uri
    return inside if inside.exists() else ROOT / uri


def _place(path: Path) -> tuple[str, str]:
    """Page and anchor that stand on the site for a file of the repository."""
    if not path.exists():
        raise PluginError(f"a page links to {path}, which does not exist")
    if path == ROOT / "README.md":
        return "index.md", ""
    if path.is_relative_to(ROOT / "docs"):
        return path.relative_to(ROOT / "docs").as_posix(), ""
    inside = path.relative_to(ROOT)
    if inside.parts[0] == PACKAGE and (path.is_dir() or path.suffix == ".py"):
        name = ".".join(inside.with_suffix("").parts).removesuffix(".__init__")
        return f"api/{_reference_page(path)}.md", name
    uri = inside.as_posix()
    return uri if path.suffix == ".md" else f"{uri}.md", ""


def _reference_page(path: Path) -> str:
    """Name of the page of the API reference that has a module or package."""
    part = path.relative_to(ROOT / PACKAGE).parts[:1]
    return part[0] if part and (ROOT / PACKAGE / part[0]).is_dir() else PACKAGE


def _reference() -> list[tuple[str, str]]:
    """The pages of the API reference: one for each package, from its docstrings."""
    modules: dict[str, list[str]] = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        blocks = modules.setdefault(_reference_page(path), [])
        blocks.append(f"::: {name.removesuffix('.__init__')}\n")
    return [
        (f"api/{name}.md", "\n".join([f"# {name}\n", *blocks]))
        for name, blocks in modules.items()
    ]


def _linked(texts: list[Path]) -> set[Path]:
    """Files and folders that pages link to and that are neither pages nor modules."""
    targets: set[Path] = set()
    for text in texts:
        for _, target, _ in _LINK.findall(_FENCE.sub("", text.read_text())):
            path = (text.parent / target).resolve()
            uri, anchor = ("", "") if "://" in target else _place(path)
            if uri and not anchor and not path.is_relative_to(ROOT / "docs"):
                targets.add(path)
    return {path for path in targets if path.suffix != ".md"}


def _source_page(path: Path) -> str:
    """A file with its text, or a folder with the names in it."""
    name = path.relative_to(ROOT).as_posix()
    if path.is_dir():
        names = sorted(entry.name for entry in path.iterdir() if entry.suffix == ".py")
        body = "\n".join(f"- `{entry}`" for entry in names)
    else:
        language = _LANGUAGES.get(path.suffix, "text")
        body = f"``````{language}\n{path.read_text()}\n``````"
    return f"---\nsearch:\n  exclude: true\n---\n\n# {name}\n\n{body}\n"


def _anchor(heading: str, separator: str) -> str:
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", separator)
