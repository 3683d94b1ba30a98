from __future__ import annotations

import copy
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssod_mm.data.split_files import (
    class_table,
    make_splits,
    split_documents,
    split_table,
)
from ssod_mm.data.splits import (
    annotated_image_ids,
    format_percent,
    ids_sha256,
    index_list_split,
    labelled_count,
    seeded_split,
)
from tests.data.coco_files import box, coco_document, write_coco

id_lists = st.lists(st.integers(0, 10**6), min_size=1, max_size=60, unique=True)
percents = st.floats(0.01, 100, allow_nan=False)
seeds = st.integers(0, 2**31)
folds = st.integers(0, 20)

# Images 1 to 20, 25 %, fold 1, seed 0: a change here breaks every published split.
FROZEN_IDS = (8, 12, 16, 17, 20)
FROZEN_SHA256 = "31abb3b9b00b6ad470a4041c53c0277625977278497b30cdc52991a5424aed7c"


@given(id_lists, percents, folds, seeds)
@settings(max_examples=60, deadline=None)
def test_split_is_disjoint_complete_and_of_the_right_size(ids, percent, fold, seed):
    exact = len(ids) * percent / 100
    if exact < 0.49:
        with pytest.raises(ValueError, match="gives no labelled image"):
            seeded_split(ids, percent, fold, seed)
        return
    if exact < 0.51:
        return
    split = seeded_split(ids, percent, fold, seed)
    assert not set(split.labelled) & set(split.unlabelled)
    assert sorted(split.labelled + split.unlabelled) == sorted(ids)
    assert list(split.labelled) == sorted(split.labelled)
    assert abs(len(split.labelled) - exact) <= 0.5 + 1e-9


@given(id_lists, st.tuples(percents, percents), folds, seeds, st.randoms())
@settings(max_examples=60, deadline=None)
def test_ratios_are_nested_and_the_order_of_ids_does_not_matter(
    ids, pair, fold, seed, random
):
    small, large = sorted(max(p, 51 / len(ids)) for p in pair)
    large = min(large, 100.0)
    small = min(small, large)
    narrow = seeded_split(ids, small, fold, seed)
    wide = seeded_split(ids, large, fold, seed)
    assert set(narrow.labelled) <= set(wide.labelled)
    shuffled = list(ids)
    random.shuffle(shuffled)
    assert seeded_split(shuffled, small, fold, seed) == narrow


def test_folds_and_seeds_give_other_images():
    ids = range(1000)
    drawn = {
        seeded_split(ids, 10, fold, seed).sha256
        for fold in range(5)
        for seed in range(3)
    }
    assert len(drawn) == 15
    overlap = set(seeded_split(ids, 10, 1, 0).labelled) & set(
        seeded_split(ids, 10, 2, 0).labelled
    )
    # Independent draws of 100 of 1000 share 10 on average, standard deviation 2.9.
    assert len(overlap) < 25


def test_draw_is_frozen():
    split = seeded_split(range(1, 21), 25, fold=1, seed=0)
    assert split.labelled == FROZEN_IDS
    assert split.sha256 == ids_sha256(reversed(FROZEN_IDS)) == FROZEN_SHA256
    assert split.scheme == "nested-permutation"


@pytest.mark.parametrize("percent", [0, -1, 100.5, 101, math.nan, math.inf])
def test_percent_outside_its_range_is_an_error(percent):
    with pytest.raises(ValueError, match=r"percent = .* above 0 and at most 100"):
        labelled_count(100, percent)


def test_percent_100_leaves_nothing_unlabelled():
    split = seeded_split([3, 1, 2], 100, 1, 0)
    assert split.labelled == (1, 2, 3)
    assert split.unlabelled == ()


def test_rounding_is_exact_and_halves_go_up():
    assert labelled_count(118287, 10) == 11829  # 11828.7
    assert labelled_count(448, 10) == 45  # 44.8
    assert labelled_count(50, 1) == 1  # 0.5
    assert labelled_count(1000, 0.35) == 4  # 3.5, below 3.5 in binary


@given(st.integers(1, 200_000))
@settings(max_examples=60, deadline=None)
def test_error_names_a_percent_that_works(num_images):
    too_small = 0.49 / num_images
    with pytest.raises(ValueError, match="smallest percent") as caught:
        labelled_count(num_images, round(too_small, 12))
    named = float(str(caught.value).split()[-1])
    assert labelled_count(num_images, named) == 1


def test_no_images_and_repeated_ids_are_errors():
    with pytest.raises(ValueError, match="no image"):
        seeded_split([], 10, 1, 0)
    with pytest.raises(ValueError, match="image id 7 occurs more than once"):
        seeded_split([7, 8, 7], 50, 1, 0)
    with pytest.raises(ValueError, match="seed = -1"):
        seeded_split([7, 8], 50, 1, -1)


@pytest.mark.parametrize(
    ("percent", "text"), [(10, "10"), (10.0, "10"), (0.5, "0.5"), (0.01, "0.01")]
)
def test_percent_in_file_names(percent, text):
    assert format_percent(percent) == text


def test_documents_share_out_images_and_annotations():
    coco = coco_document(10)
    coco["annotations"] += [box(900 + i, i, segmentation=[[1, 2]]) for i in (3, 5)]
    before = copy.deepcopy(coco)
    split = seeded_split([i["id"] for i in coco["images"]], 30, 2, 5)
    parts = split_documents(coco, split)
    labelled, unlabelled, hidden = (
        parts[role] for role in ("labelled", "unlabelled", "hidden")
    )
    assert coco == before
    assert {i["id"] for i in labelled["images"]} == set(split.labelled)
    assert {i["id"] for i in unlabelled["images"]} == set(split.unlabelled)
    assert hidden["images"] == unlabelled["images"]
    assert unlabelled["annotations"] == []
    assert {a["image_id"] for a in labelled["annotations"]} == set(split.labelled)
    ids = [a["id"] for a in labelled["annotations"] + hidden["annotations"]]
    assert sorted(ids) == sorted(a["id"] for a in coco["annotations"])
    assert not any("segmentation" in a for a in hidden["annotations"])
    for part in parts.values():
        assert part["categories"] == coco["categories"]
        assert part["info"]["description"] == "tiny"
        assert part["info"]["ssod_mm"] == {
            "percent": 30,
            "fold": 2,
            "seed": 5,
            "scheme": "nested-permutation",
            "num_labelled": 3,
            "sha256": split.sha256,
        }


def test_make_splits_writes_files_and_tables(tmp_path):
    ann_file = write_coco(tmp_path, coco_document(20))
    reports = make_splits(ann_file, tmp_path / "semi", [10, 50], [1, 2], seed=3)
    assert sorted(p.name for p in (tmp_path / "semi").iterdir()) == sorted(
        f"train.{fold}@{percent}{ending}.json"
        for fold in (1, 2)
        for percent in (10, 50)
        for ending in ("", "-unlabeled", "-hidden")
    )
    labelled = json.loads((tmp_path / "semi" / "train.2@50.json").read_text())
    record = labelled["info"]["ssod_mm"]
    assert record["sha256"] == ids_sha256([i["id"] for i in labelled["images"]])
    assert len(labelled["images"]) == record["num_labelled"] == 10
    report = next(r for r in reports if r.split.fold == 2 and r.split.percent == 50)
    assert sum(report.class_counts.values()) == 10
    assert record["sha256"] in split_table(reports)
    line = next(t for t in class_table(reports).splitlines() if "disc" in t)
    assert str(report.class_counts["disc"]) in line.split()


def test_make_splits_without_hidden_annotations(tmp_path):
    ann_file = write_coco(tmp_path, coco_document(4))
    make_splits(ann_file, tmp_path / "semi", [50], [1], hidden=False)
    names = {p.name for p in (tmp_path / "semi").iterdir()}
    assert names == {"train.1@50.json", "train.1@50-unlabeled.json"}


def test_files_of_another_seed_are_kept(tmp_path):
    ann_file = write_coco(tmp_path, coco_document(20))
    out = tmp_path / "semi"
    make_splits(ann_file, out, [10], [1], seed=0)
    before = {p: p.read_bytes() for p in out.iterdir()}
    make_splits(ann_file, out, [10], [1], seed=0)  # the same again is fine
    with pytest.raises(ValueError, match=r"train\.1@10\.json .*seed 0 \(new: 1\)"):
        make_splits(ann_file, out, [5, 10], [1], seed=1)
    assert {p: p.read_bytes() for p in out.iterdir()} == before
    make_splits(ann_file, out, [10], [1], seed=1, force=True)
    assert {p: p.read_bytes() for p in out.iterdir()} != before


def test_files_of_another_tool_are_kept(tmp_path):
    ann_file = write_coco(tmp_path, coco_document(20))
    (tmp_path / "semi").mkdir()
    foreign = tmp_path / "semi" / "train.1@10-unlabeled.json"
    foreign.write_text(json.dumps(coco_document(3)))
    with pytest.raises(ValueError, match=r"belongs to another split: .*--force"):
        make_splits(ann_file, tmp_path / "semi", [10], [1])


def test_annotations_of_absent_images_and_classes(tmp_path, caplog):
    document = coco_document(10)
    document["annotations"].append(box(1, 99))
    (tmp_path / "train.json").write_text(json.dumps(document))
    reports = make_splits(tmp_path / "train.json", tmp_path, [50], [1])
    for path in reports[0].paths.values():
        annotations = json.loads(path.read_text())["annotations"]
        assert 99 not in {annotation["image_id"] for annotation in annotations}
    document["annotations"][0]["category_id"] = 9
    (tmp_path / "train.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match=r"annotation 101 .*category_id 9"):
        make_splits(tmp_path / "train.json", tmp_path, [50], [1])


def test_unusable_annotation_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.json"):
        make_splits(tmp_path / "absent.json", tmp_path, [10], [1])
    unlabelled = write_coco(tmp_path, coco_document(4, annotations=[]))
    with pytest.raises(ValueError, match=r"train\.json holds no annotation"):
        make_splits(unlabelled, tmp_path, [50], [1])
    broken = tmp_path / "broken.json"
    broken.write_text('{"images": [')
    with pytest.raises(ValueError, match=r"broken\.json is no valid json"):
        make_splits(broken, tmp_path, [50], [1])


INDEX_LISTS = {"10.0": {"1": [0], "2": [2]}, "50.0": {"1": list(range(0, 18, 2))}}


class TestIndexLists:
    """Images 1..20; 3 has a crowd only and 4 nothing, so the pool is the other 18."""

    @pytest.fixture
    def coco(self):
        coco = coco_document(20)
        kept = [a for a in coco["annotations"] if a["image_id"] not in (3, 4)]
        coco["annotations"] = [*kept, box(900, 3, iscrowd=1)]
        coco["images"].reverse()
        return coco

    def split(self, coco, percent, fold, lists=None):
        ids = [i["id"] for i in coco["images"]]
        pool = annotated_image_ids(coco)
        return index_list_split(lists or INDEX_LISTS, pool, ids, percent, fold)

    def test_indices_count_annotated_images_in_ascending_order(self, coco):
        assert self.split(coco, 10, 1).labelled == (1,)
        split = self.split(coco, 10, 2)
        assert split.labelled == (5,)  # 1, 2, 5
        assert split.unlabelled == tuple(i for i in range(1, 21) if i != 5)
        assert (split.scheme, split.seed) == ("index-list", None)

    def test_list_that_does_not_fit_is_an_error(self, coco):
        with pytest.raises(ValueError, match=r"percent = 20 is not in .* 10, 50"):
            self.split(coco, 20, 1)
        with pytest.raises(ValueError, match=r"fold = 7 is not in .* 1, 2"):
            self.split(coco, 10, 7)
        for indices, message in (
            ([0, 1], "holds 2 indices, but 1 belong .*--index-pool"),
            ([18], "from 0 to 17"),
            ([-1], "from 0 to 17"),
        ):
            with pytest.raises(ValueError, match=message):
                self.split(coco, 10, 1, {"10.0": {"1": indices}})
        with pytest.raises(ValueError, match="more than once"):
            self.split(coco, 20, 1, {"20.0": {"1": [4, 4, 5]}})

    def test_files_tell_the_scheme(self, coco, tmp_path):
        ann_file = write_coco(tmp_path, coco)
        lists = tmp_path / "supervision.txt"
        lists.write_text(json.dumps(INDEX_LISTS))
        make_splits(ann_file, tmp_path / "semi", [10], [2], index_list=lists)
        path = tmp_path / "semi" / "train.2@10.json"
        record = json.loads(path.read_text())["info"]["ssod_mm"]
        assert (record["scheme"], record["seed"]) == ("index-list", None)
        with pytest.raises(ValueError, match="scheme 'index-list'"):
            make_splits(ann_file, tmp_path / "semi", [10], [2], seed=0)
        reports = make_splits(
            ann_file, tmp_path / "all", [50], [1], index_list=lists_of_all(tmp_path),
            index_pool="all",
        )  # fmt: skip
        assert reports[0].split.labelled == tuple(range(1, 11))

    @pytest.mark.parametrize(
        "text", ["not json", "[1, 2]", '{"10.0": [1]}', '{"10.0": {"1": ["a"]}}']
    )
    def test_malformed_file_is_an_error(self, coco, tmp_path, text):
        ann_file = write_coco(tmp_path, coco)
        lists = tmp_path / "supervision.txt"
        lists.write_text(text)
        with pytest.raises(
            ValueError, match=r"supervision\.txt does not have the form"
        ):
            make_splits(ann_file, tmp_path, [10], [1], index_list=lists)
        with pytest.raises(FileNotFoundError, match=r"none\.txt not found"):
            make_splits(ann_file, tmp_path, [10], [1], index_list=tmp_path / "none.txt")


def lists_of_all(folder):
    path = folder / "all.txt"
    path.write_text(json.dumps({"50": {"1": list(range(10))}}))
    return path


@pytest.fixture
def make_splits_tool(monkeypatch):
    """Run tools/make_splits.py with some arguments, in this process."""
    import importlib
    from pathlib import Path

    tools = Path(__file__).resolve().parents[2] / "tools"
    monkeypatch.syspath_prepend(str(tools))
    module = importlib.import_module("make_splits")

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["make_splits.py", *map(str, arguments)])
        module.main()

    return run


def test_tool_writes_beside_the_file_and_prints_checksums(
    tmp_path, make_splits_tool, capsys
):
    ann_file = write_coco(tmp_path, coco_document(20))
    make_splits_tool("--ann", ann_file, "--percent", "5", "50", "--folds", "2")
    printed = capsys.readouterr().out
    for fold in (1, 2):
        path = tmp_path / "semi" / f"train.{fold}@50.json"
        record = json.loads(path.read_text())["info"]["ssod_mm"]
        assert record["sha256"] in printed
        assert record["seed"] == 0
    assert "12 files in" in printed
    assert "train.2@5.json: written" in printed
    make_splits_tool("--ann", ann_file, "--percent", "5", "--fold", "7")
    assert (tmp_path / "semi" / "train.7@5.json").exists()
    assert not (tmp_path / "semi" / "train.6@5.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--percent", "0"], "percent = 0.0: must be above 0"),
        (["--percent", "101"], "percent = 101.0: must be above 0"),
        (["--percent", "1"], "gives no labelled image"),
        (["--index-list", "nowhere.txt"], "nowhere.txt not found"),
    ],
)
def test_tool_ends_with_one_line(
    tmp_path, make_splits_tool, capsys, arguments, message
):
    ann_file = write_coco(tmp_path, coco_document(20))
    with pytest.raises(SystemExit) as caught:
        make_splits_tool("--ann", ann_file, *arguments)
    assert caught.value.code == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert message in error
    assert "\n" not in error
    assert not (tmp_path / "semi").exists()


def test_tool_refuses_fold_counts_below_one(make_splits_tool, capsys):
    with pytest.raises(SystemExit) as caught:
        make_splits_tool("--ann", "train.json", "--folds", "0")
    assert caught.value.code == 2
    assert "argument --folds: 0 is not at least 1" in capsys.readouterr().err
