"""A hash of a resolved config: what is trained, wherever it is written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

# What the runner takes for training and validation. Where a run writes, what it draws,
# and what a config only helps itself with do not count.
_READ = {
    *("auto_scale_lr", "custom_hooks", "custom_imports", "data_preprocessor"),
    *("default_hooks", "default_scope", "env_cfg", "model", "optim_wrapper"),
    *("param_scheduler", "randomness", "train_cfg", "train_dataloader", "val_cfg"),
    *("val_dataloader", "val_evaluator"),
}
_REPORTING_HOOKS = ("RunRecordHook", "DrawPseudoLabelsHook")


def config_sha256(cfg: Config | Mapping[str, Any]) -> str:
    """Hash of what a config trains and validates.

    Where a run writes, what it draws and what a test would do leave the hash alone, and
    so do variables of the config that no part of the training reads.
    Nor do the weights it starts from count: a resumed run no longer names them. The
    order of keys does not count, nor does a list in place of a tuple.

    Args:
        cfg: A config that ``resolve_config`` completed.

    Returns:
        64 hexadecimal digits.
    """
    content = cfg.to_dict() if isinstance(cfg, Config) else dict(cfg)
    content = {key: value for key, value in content.items() if key in _READ}
    hooks = dict(content.get("default_hooks") or {})
    hooks.pop("logger", None)
    content["default_hooks"] = {
        name: hook for name, hook in hooks.items() if not _only_reports(hook)
    }
    content["custom_hooks"] = [
        hook for hook in content.get("custom_hooks") or [] if not _only_reports(hook)
    ]
    return text_sha256(json.dumps(content, sort_keys=True, default=str))


def _only_reports(hook: Any) -> bool:
    return isinstance(hook, Mapping) and hook.get("type") in _REPORTING_HOOKS


def text_sha256(text: str) -> str:
    """Hash of a text."""
    return hashlib.sha256(text.encode()).hexdigest()
