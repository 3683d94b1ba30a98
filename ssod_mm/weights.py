"""Weights that configs name: where they come from and where they are looked for.

A name stands for one file, whose own name ends in the first letters of its SHA-256.
It is looked for in ``weights/`` of the current folder and in torch's cache, else
fetched into that cache when a model is built.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ssod_mm.errors import UserError

FOLDER = "weights"
_ONEDL = "https://mmassets.onedl.ai"
_TORCH = "https://download.pytorch.org/models"


@dataclass(frozen=True)
class Weights:
    """ImageNet weights of a backbone.

    Attributes:
        url: where the file is fetched.
        licence: licence of the weights, and whose they are.
        aliases: names of the same file in mmengine's lists.
    """

    url: str
    licence: str
    aliases: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """Name of the file."""
        return self.url.rsplit("/", 1)[1]


WEIGHTS = {
    "mobilenet_v2": Weights(
        f"{_ONEDL}/mmdetection/v2.0/third_party/"
        "mobilenet_v2_batch256_imagenet-ff34753d.pth",
        "Apache 2.0, OpenMMLab",
        ("open-mmlab://mmdet/mobilenet_v2",),
    ),
    "resnet50_caffe": Weights(
        f"{_ONEDL}/pretrain/third_party/resnet50_msra-5891d200.pth",
        "MIT, Kaiming He; converted by OpenMMLab",
        ("open-mmlab://detectron2/resnet50_caffe",),
    ),
    "resnet50": Weights(
        f"{_TORCH}/resnet50-0676ba61.pth",
        "BSD 3-Clause, torchvision",
        ("torchvision://resnet50",),
    ),
    "resnet18": Weights(
        f"{_TORCH}/resnet18-f37072fd.pth",
        "BSD 3-Clause, torchvision",
        ("torchvision://resnet18",),
    ),
}


def torch_cache() -> Path:
    """The folder in which torch keeps what it has fetched."""
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("TORCH_HOME") or str(Path(caches, "torch"))
    return Path(home).expanduser() / "hub" / "checkpoints"


def weights_name(text: str) -> str | None:
    """The name that a text stands for, if it is one or an alias of one."""
    aliases = {a: name for name, weights in WEIGHTS.items() for a in weights.aliases}
    return text if text in WEIGHTS else aliases.get(text)


def located(text: str | Path) -> str:
    """The file that a name stands for, or its URL where the file is not here.

    Args:
        text: a name, its alias, a path or a URL; the last two come back as they are.

    Raises:
        UserError: the file is here, but damaged.
    """
    name = weights_name(str(text))
    if name is None or Path(text).is_file():
        return str(text)
    file = WEIGHTS[name].file
    places = [Path(FOLDER, file), Path(FOLDER, f"{name}.pth"), torch_cache() / file]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return WEIGHTS[name].url
    if path.name == file:
        check_sum(path)
    return str(path)


def check_sum(path: Path) -> None:
    """Compare a file with the letters of its SHA-256 that end its name.

    Raises:
        UserError: they differ.
    """
    wanted = re.search(r"-([0-9a-f]{8,})\.[^.]*$", path.name)
    if wanted is None:
        return
    digest = _sha256(path, path.stat().st_size, path.stat().st_mtime_ns)
    if not digest.startswith(wanted[1]):
        raise UserError(
            f"{path} is damaged: its SHA-256 begins with {digest[:8]}, not "
            f"{wanted[1]}; delete it and give the same command again"
        )


@cache
def _sha256(path: Path, size: int, time_ns: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_weights(text: str, key: str) -> None:
    """Refuse what is neither a file nor a name or URL of weights.

    Args:
        text: what the config says.
        key: its key, for the message.

    Raises:
        FileNotFoundError: there is no such file; says what would be found.
        UserError: the file is damaged.
    """
    if weights_name(text) is not None:
        located(text)
        return
    if "://" in text or Path(text).is_file():
        return
    name = weights_name(Path(text).stem)
    hint = (
        f"pretrained={name} finds or fetches that file"
        if name
        else f"give a file, or one of the names {', '.join(WEIGHTS)}"
    )
    raise FileNotFoundError(f"there is no file of weights {text} ({key}); {hint}")
