"""tools/print_config.py: the resolved config, and what a config changes."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from tests.tools.semi_checkpoints import call_tool


@pytest.fixture
def child(tmp_path):
    (tmp_path / "parent.py").write_text(
        "fold = 1\npercent = 10\nmodel = dict(b=1, c=2)\n"
    )
    path = tmp_path / "child.py"
    path.write_text('_base_ = "parent.py"\nmodel = dict(b="{fold}@{percent}.json")\n')
    return path


def test_output_is_the_config_as_it_would_run(child, tmp_path, capsys):
    options = ("--fold", "3", "--seed", "5", "--cfg-options", "model.c=7")
    call_tool("print_config", child, *options)
    output = tmp_path / "output.py"
    output.write_text(capsys.readouterr().out)
    cfg = Config.fromfile(str(output))
    assert cfg.model == dict(b="3@10.json", c=7)
    assert cfg.work_dir == "work_dirs/child/fold3-p10-seed5"


def test_diff_shows_only_what_the_config_changes(child, capsys):
    call_tool("print_config", child, "--diff")
    assert capsys.readouterr().out == "model.b\n  - 1\n  + {fold}@{percent}.json\n"
    call_tool("print_config", child, "--diff", child)
    assert capsys.readouterr().out.strip() == ""
