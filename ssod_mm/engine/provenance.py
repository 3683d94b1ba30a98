"""Where a run's numbers come from: code, packages, device, annotation files."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from ssod_mm.cli.data_files import named_paths
from ssod_mm.version import __version__

PACKAGES = (
    "torch",
    "onedl-mmengine",
    "onedl-mmcv",
    "onedl-mmdetection",
    "numpy",
    "faster-coco-eval",
)
_TIMEOUT_S = 10


def git_state(root: str | Path | None = None) -> dict[str, Any]:
    """Revision of the checkout, and whether tracked files differ from it.

    Args:
        root: the checkout; that of this package when None.

    Returns:
        ``revision`` and ``changed``; empty outside a checkout or without git.
    """
    root = Path(root or Path(__file__).resolve().parents[2])
    if not (root / ".git").exists():
        return {}
    try:
        revision, changes = (
            subprocess.run(
                ["git", "-C", str(root), *command],
                capture_output=True,
                text=True,
                check=True,
                timeout=_TIMEOUT_S,
            ).stdout
            for command in (
                ["rev-parse", "HEAD"],
                ["status", "--porcelain", "--untracked-files=no"],
            )
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"revision": revision.strip(), "changed": bool(changes.strip())}


def package_versions() -> dict[str, str]:
    """Versions of Python, this package and what computes the numbers."""
    versions = {"python": platform.python_version(), "ssod_mm": __version__}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def device_name() -> str:
    """The GPU, or the kind of CPU with its threads."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"


def annotation_digests(cfg: Config) -> tuple[dict[str, str], dict[str, int]]:
    """What a training's annotation files hold.

    Args:
        cfg: a config with ``train_dataloader``.

    Returns:
        sha256 of each file by its name, and the number of boxes of each class over
        all of them. Unlabelled files hold no boxes; files that are not there, such as
        URLs, are left out.
    """
    dataset = (cfg.get("train_dataloader") or {}).get("dataset")
    digests: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for named in named_paths(dataset, "train_dataloader.dataset"):
        path = Path(named.path)
        if named.is_folder or path.name in digests or not path.is_file():
            continue
        content = path.read_bytes()
        digests[path.name] = hashlib.sha256(content).hexdigest()
        counts.update(_boxes_per_class(content))
    return digests, dict(counts)


def _boxes_per_class(content: bytes) -> Counter[str]:
    """Boxes of each category of a COCO-format file; crowds do not count."""
    try:
        document = json.loads(content)
        names = {
            category["id"]: category["name"] for category in document["categories"]
        }
        return Counter(
            names[ann["category_id"]]
            for ann in document.get("annotations") or []
            if not ann.get("iscrowd")
        )
    except (ValueError, KeyError, TypeError):
        return Counter()
