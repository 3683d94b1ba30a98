"""Benchmark of the clustering, on tiny inputs."""

from __future__ import annotations

from tests.tools.semi_checkpoints import call_tool


def test_clustering_alone(capsys, mmdet_scope):
    options = ["--images", 2, "--rounds", 1, "--device", "cpu", "--no-worst-case"]
    call_tool("benchmark_clustering", *options)
    rows = [line.strip("|").split("|") for line in capsys.readouterr().out.split("\n")]
    stages = [(int(row[0]), row[1].strip()) for row in rows if row[0].strip().isdigit()]
    expected = ["R-CNN", "RPN", "matching", "matching, all"]
    assert stages == [(images, stage) for images in (1, 2) for stage in expected]
