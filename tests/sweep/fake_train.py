"""Stands in for tools/train.py: counts, saves, resumes, and says if it runs twice.

python fake_train.py WORK_DIR MAX_ITERS SEED START RESUME [crash|mistake]
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import sys
import time
from pathlib import Path

SAVE_EVERY, SECONDS = 4, 0.02


def main():
    work_dir, max_iters, seed, start, resume, *how = sys.argv[1:]
    work_dir, max_iters = Path(work_dir), int(max_iters)
    alone = (work_dir / "alone").open("w")
    try:
        fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        (work_dir / "TWICE").touch()
        return
    with (work_dir / "starts").open("a") as file:
        file.write(f"resume={resume}\n")
    if how == ["mistake"]:
        sys.stderr.write("error: no such option\n")
        sys.exit(2)
    first = Path(start).read_text() if start else ""
    state = {"iter": 0, "value": f"{seed}{first}", "loss": [], "AP": []}
    pointer = work_dir / "last_checkpoint"
    if resume == "True":
        saved = work_dir.glob("iter_*.pth")
        newest = max(saved, key=lambda path: int(path.stem.removeprefix("iter_")))
        state = json.loads(newest.read_text())
        write_record(work_dir, state, max_iters)  # the kill may have come before it
    for step in range(state["iter"] + 1, max_iters + 1):
        time.sleep(SECONDS)
        state["value"] = hashlib.sha256(state["value"].encode()).hexdigest()
        state["loss"].append([step, int(state["value"][:6], 16) / 16**6])
        state["iter"] = step
        sys.stdout.write(f"Iter(train) [{step:>4}/{max_iters}]\n")
        if how == ["crash"] and step == SAVE_EVERY - 1:
            raise RuntimeError("out of memory, of course")
        if step % SAVE_EVERY == 0 or step == max_iters:
            state["AP"].append(state["loss"][-1])
            path = work_dir / f"iter_{step}.pth"
            draft = work_dir / "draft"
            draft.write_text(json.dumps(state))
            draft.replace(path)
            draft.write_text(str(path))
            draft.replace(pointer)
            write_record(work_dir, state, max_iters)


def write_record(work_dir, state, max_iters):
    record = {
        "schema": 1,
        "name": work_dir.name,
        "state": "finished" if state["iter"] == max_iters else "running",
        "iterations": state["iter"],
        "max_iters": max_iters,
        "wall_time_s": state["iter"] * SECONDS,
        "metrics": {"coco/bbox_mAP": state["AP"]},
        "training": {"loss": state["loss"]},
    }
    draft = work_dir / "record-draft"
    draft.write_text(json.dumps(record))
    draft.replace(work_dir / "record.json")


if __name__ == "__main__":
    main()
