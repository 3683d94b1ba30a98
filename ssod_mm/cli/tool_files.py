"""Where the tools lie, found without importing anything."""

from __future__ import annotations

from pathlib import Path


def tools_folder() -> Path:
    """The folder of the tools: the repository's, or the installed package's."""
    package = Path(__file__).resolve().parents[1]
    beside, inside = package.parent / "tools", package / "tools"
    return inside if inside.is_dir() else beside
