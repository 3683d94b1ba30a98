"""The table of all methods on a GPU, without one."""

from __future__ import annotations

import json
import runpy
import subprocess
from types import SimpleNamespace

import pytest

from ssod_mm.cli.lookup import find_config
from tests.tools.semi_checkpoints import TOOLS, call_tool


def figures(wall):
    return {"wall_ms": wall, "busy": 0.5}


def test_rows_name_configs_that_exist():
    rows = runpy.run_path(str(TOOLS / "profile_gpu.py"))["all_rows"]()
    assert len({row.name for row in rows}) == len(rows) > 10
    for row in rows:
        assert find_config(row.config).is_file()
        command = row.command(TOOLS)
        has_intervals = row.method == "certainty"
        assert ("soft_teacher" in command) != has_intervals


def test_rows_without_soft_teacher_have_no_ratio():
    table = runpy.run_path(str(TOOLS / "profile_gpu.py"))["table"]
    found = dict(floor_ms=40.0, variants={"method": figures(50.0)})
    line = next(row for row in table({"row": found}).splitlines() if "method" in row)
    assert line.split("|")[-2].strip() == ""


def test_failed_and_late_rows_are_named(tmp_path, monkeypatch, capsys):
    calls = []

    def run(command, **_options):
        calls.append(command)
        failed = "--amp" not in command
        if not failed:
            out = command[command.index("--out") + 1]
            variants = {"method": figures(50.0), "soft_teacher": figures(200.0)}
            content = dict(floor_ms=40.0, variants=variants)
            with open(out, "w") as file:
                json.dump(content, file)
        return SimpleNamespace(returncode=int(failed))

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SystemExit) as stopped:
        call_tool("profile_gpu", "--out", tmp_path, "--only", "^dtg-r50.*1.4")
    assert "dtg-r50_coco-float32-1+4 (failed, see" in str(stopped.value)
    assert len(calls) == 2
    printed = (tmp_path / "table.txt").read_text()
    assert "0.25" in printed
    assert "dtg-r50_coco-bf16-1+4" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="left out: certainty-r50_coco-bf16-2"):
        call_tool(
            "profile_gpu",
            "--out",
            tmp_path,
            "--minutes",
            -1,
            "--only",
            "certainty.*2.8",
        )
    assert len(calls) == 2
