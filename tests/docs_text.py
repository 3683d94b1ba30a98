"""What the documentation names: links, commands, code spans, tables, messages."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "configs").glob("*/README.md")),
]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text() for page in PAGES}
SOURCES = sorted((ROOT / "ssod_mm").rglob("*.py"))
METHODS = "docs/ablations_and_methods.md"
READERS_OWN = "my_methods/"
GAP = "…"
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_ASSIGNMENT = re.compile(r"[A-Z][A-Z0-9_]*=")


@dataclass(frozen=True)
class Command:
    """One command line of a bash block.

    Attributes:
        variables: names set before it.
        words: the command itself, without variables and comments.
    """

    variables: tuple[str, ...]
    words: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(self.words)


def blocks(text: str, language: str) -> Iterator[tuple[int, str]]:
    """Position and content of the fenced blocks of a language."""
    for match in _FENCE.finditer(text):
        if match[1] == language:
            yield match.start(), match[2]


def commands(text: str) -> Iterator[Command]:
    """The commands of a page's bash blocks, continued lines joined."""
    for _, block in blocks(text, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            count = 0
            while count < len(words) and _ASSIGNMENT.match(words[count]):
                count += 1
            if words:
                names = tuple(word.split("=")[0] for word in words[:count])
                yield Command(names, tuple(words[count:]))


def spans(text: str) -> list[str]:
    """Inline code of a page, white space reduced to single blanks."""
    plain = _FENCE.sub("", text)
    return [" ".join(match[2].split()) for match in _SPAN.finditer(plain)]


def links(text: str) -> list[str]:
    """Targets of a page's links and pictures that lie in the repository."""
    targets = _LINK.findall(_FENCE.sub("", text))
    return [target for target in targets if "://" not in target]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in headings
    }


def table_after(text: str, heading: str) -> list[list[str]]:
    """Cells of the first table under a heading, without its head."""
    below = text[text.index(f"\n{heading}") :]
    rows = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)[0].splitlines()
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def strings_of(path: Path) -> Iterator[str]:
    """Every text in a Python file, with a gap for each formatted value."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield " ".join(node.value.split())
        elif isinstance(node, ast.JoinedStr):
            parts = [
                part.value if isinstance(part, ast.Constant) else GAP
                for part in node.values
            ]
            yield " ".join("".join(parts).split())


def names_of(path: Path) -> Iterator[str]:
    """Classes that a Python file defines or imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)


def has_key(cfg: Config, dotted: str) -> bool:
    """Whether a config has a dotted key."""
    node = cfg
    for part in dotted.split("."):
        if part not in node:
            return False
        node = node[part]
    return True
