"""``pb export`` over a decoded run: files that other tools and our own commands read back."""

import csv
import io
import json
from pathlib import Path

import pytest
import torch

from pb_plugin.cli import main
from pb_plugin.export.leaderboard import files_of, leaderboard, method_csv
from pb_plugin.export.rows import COLUMNS
from pb_plugin.planning.options import Options
from pb_plugin.planning.plan import plan
from pb_plugin.records.store import Store
from pb_plugin.report.stored import read_report
from pb_plugin.report.terminal import pbx_text, range_text
from pb_plugin.results.aggregate import aggregate
from pb_plugin.results.points import points_pbx, read_points
from pb_plugin.results.run_file import describe, save
from pb_plugin.results.suites import SUITES
from pb_plugin.results.summary import XS
from pb_plugin.running.bench import Bench

torch.set_num_threads(1)

PUBLISHED = Path(__file__).resolve().parents[4] / "shared" / "published_curves"
SUITE = ("--suite", "puzzles")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "store"
    options = Options(
        task=SUITES["puzzles"],
        unmasking=("left_to_right", "threshold:gamma=0.5,0.6,1.0"),
        k=(1, 2, 8),
        samples=4,
        store=folder,
    )
    cells = plan(options).cells
    bench = Bench(options, Store(folder, worker="main"))
    for task in options.task:
        bench.decode([cell for cell in cells if cell.task == task])
    save(describe(bench.resources, cells, missing_tasks=(), notes=()), folder)
    bench.close()
    return folder


@pytest.fixture
def export(store, capsys):
    def run(*options):
        code = main(["export", str(store), *map(str, options)])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def summary_of(store):
    return read_report(store, None).summary


def test_every_cell_is_a_row_of_the_csv_in_full_precision(export, store, tmp_path):
    out = tmp_path / "a.csv"
    assert export("--csv", out) == (0, f"written: {out}\n", "")
    rows = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8"))))
    cells = summary_of(store).cells
    assert len(rows) == len(cells) == 12
    for row, cell in zip(rows, cells, strict=True):
        assert tuple(row) == tuple(COLUMNS)
        assert f"{row['task']}-{row['curve']}[{row['setting']}]" == cell.label
        assert float(row["tps"]) == cell.tps["canvas"]
        assert float(row["tps_content"]) == cell.tps["content"]
        assert float(row["accuracy"]) == cell.percent
        assert float(row["low"]) == 100 * cell.interval.low
        assert (int(row["n"]), int(row["n_failed"]), row["reason"]) == (4, 0, "")


@pytest.mark.parametrize("curve", ["ideal-left_to_right", "ideal-threshold"])
def test_the_points_of_a_curve_are_read_back_by_pb_points(export, store, tmp_path, curve):
    out = tmp_path / "curve.csv"
    assert export("--csv", out, "--curve", curve, *SUITE)[0] == 0
    (found,) = [c for c in summary_of(store).curves if c.identity.label == curve]
    for rule in ("published", "uniform"):
        for x in XS:
            again = points_pbx(out, rule, x, found.family == "static")
            assert again == found.suites["puzzles"].pbx(x, "canvas", rule)


def test_parquet_holds_the_same_with_types(export, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    export("--csv", tmp_path / "a.csv")
    assert export("--parquet", tmp_path / "a.parquet")[0] == 0
    table = parquet.read_table(tmp_path / "a.parquet")
    kinds = {"string": str, "double": float, "int64": int}
    assert {field.name: kinds[str(field.type)] for field in table.schema} == dict(COLUMNS)
    written = [
        {name: "" if value is None else str(value) for name, value in row.items()}
        for row in table.to_pylist()
    ]
    assert written == list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text(encoding="utf-8"))))


def test_without_pyarrow_the_message_names_the_extra(export, tmp_path, monkeypatch):
    monkeypatch.setattr("pb_plugin.export.rows.find_spec", lambda name: None)
    code, _, error = export("--parquet", tmp_path / "a.parquet")
    assert code == 2
    assert error == (
        'pb: --parquet must have pyarrow, got none installed; pip install -e ".[parquet]", or write --csv\n'
    )


def test_a_folder_for_the_leaderboard_has_pbx_and_a_file_for_every_method(export, store, tmp_path):
    code, out, _ = export("--leaderboard", tmp_path / "site", *SUITE, "--json")
    assert code == 0
    folder = tmp_path / "site" / "ideal"
    assert sorted(json.loads(out)["files"]) == sorted(map(str, folder.iterdir()))
    board = json.loads((folder / "ideal.json").read_text(encoding="utf-8"))
    assert board["results"].keys() == {"l2r", "confidence-threshold"}
    for curve, name in zip(summary_of(store).curves, ("l2r", "confidence-threshold"), strict=True):
        file = folder / f"{name}.csv"
        for x, value in board["results"][name].items():
            assert value == curve.suites["puzzles"].pbx(float(x)).value
            assert points_pbx(file, "published", float(x), curve.family == "static").value == value


def seventeen(make_cell, **values):
    """Return the one curve of a run over all tasks, k = 1 and 4: everything is right, then half of it."""
    cells = [
        make_cell(task, k=k, nfe=8 // k, scores=(1.0, float(k == 1)), **values)
        for task in SUITES["all"]
        for k in (4, 1)
    ]
    return aggregate(cells).curves


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published curves are not beside the checkout")
@pytest.mark.parametrize("method", ["confidence", "threshold", "left_to_right", "wino"])
def test_the_layout_is_that_of_the_published_files(make_cell, method):
    (curve,) = seventeen(make_cell, method=method)
    ((model, files),) = files_of([curve], "all").items()
    assert model == "llada"
    (name,) = [name for name in files if name.endswith(".csv")]
    theirs = list(csv.reader(io.StringIO((PUBLISHED / name).read_text(encoding="utf-8"))))
    ours = list(csv.reader(io.StringIO(files[name])))
    assert ours[0] == theirs[0]
    assert list(dict.fromkeys(row[0] for row in ours[1:])) == list(
        dict.fromkeys(row[0] for row in theirs[1:])
    )
    assert ours[1:3] == [["puzzles-latin_square", "1.0", "100.0"], ["puzzles-latin_square", "4.0", "50.0"]]
    assert ours[-2:] == [["avg", "1.0", "100.0"], ["avg", "4.0", "50.0"]]
    published = json.loads((PUBLISHED / "llada15.json").read_text(encoding="utf-8"))
    board = files["llada.json"]
    assert board.keys() == published.keys()
    assert board["thresholds"] == published["thresholds"]
    assert board["results"].keys() <= published["results"].keys()
    assert board["results"][name.removesuffix(".csv")].keys() == published["results"]["wino"].keys()


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published curves are not beside the checkout")
def test_means_over_their_files_are_their_rows_of_averages(tmp_path):
    """So that rows of avg are what we take them for: the mean of the i-th row of every task."""
    text = (PUBLISHED / "confidence-topk.csv").read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    tasks = tmp_path / "tasks.csv"
    tasks.write_text("".join(line for line in lines if not line.startswith("avg")), encoding="utf-8")
    for mine, theirs in zip(read_points(tasks), read_points(PUBLISHED / "confidence-topk.csv"), strict=True):
        assert mine == pytest.approx(theirs)


def test_what_is_not_the_default_has_a_file_of_its_own(make_cell):
    curves = seventeen(make_cell) + seventeen(make_cell, temperature=0.5, method_params={})
    names = set(files_of(curves, "all")["llada"])
    assert names == {"confidence-topk.csv", "confidence-topk-t0.5.csv", "llada.json"}


def test_two_curves_that_would_be_one_file_are_refused(make_cell):
    with pytest.raises(ValueError, match=r"got 'm_y\.csv' twice; export stores apart"):
        files_of(seventeen(make_cell, method="m/y") + seventeen(make_cell, method="m:y"), "all")


def test_a_name_cannot_lead_out_of_the_folder(make_cell):
    (curve,) = seventeen(make_cell, model="../../up", method="..")
    ((folder, files),) = files_of([curve], "all").items()
    assert folder == "_.._up"
    assert set(files) == {"_.csv", "_.._up.json"}
    assert leaderboard([curve], "all")["results"].keys() == {"_"}
    assert method_csv(curve, "all").startswith("task,tps,accuracy\n")


def test_latex_is_a_table_with_intervals(export, store, tmp_path):
    out = tmp_path / "table.tex"
    assert export("--latex", out, *SUITE)[0] == 0
    lines = out.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("\\")] == [
        r"\begin{tabular}{lrrrr}",
        r"\toprule",
        r"\midrule",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    rows = {row.split(" & ")[0]: row for row in lines if " & " in row}
    assert rows.keys() == {"", r"ideal-left\_to\_right", "ideal-threshold"}
    assert all(row.count(" & ") == 4 and row.endswith(r" \\") for row in rows.values())
    (curve,) = [c for c in summary_of(store).curves if c.identity.method == "left_to_right"]
    value, interval = curve.suites["puzzles"].pbx(80), curve.suites["puzzles"].pbx_interval(80)
    written = rows[r"ideal-left\_to\_right"].split(" & ")[2]
    assert written == f"{pbx_text(value)} {range_text(interval)}".replace(">=", r"$\geq$")


def test_latex_writes_every_letter_as_itself(make_cell):
    from pb_plugin.export.latex import escaped, latex_table

    assert escaped("a_b%{c}\\~^&$#") == (
        r"a\_b\%\{c\}\textbackslash{}\textasciitilde{}\textasciicircum{}\&\$\#"
    )
    (never,) = seventeen(make_cell, method="m_1")
    text = latex_table([never], "all")
    assert r"llada-m\_1 & 1.00 & 1.00 & 1.00 & 1.00 \\" in text
    cells = [make_cell(task, k=4, nfe=2, scores=(float(task != "copy"),)) for task in SUITES["all"]]
    assert r" & $\geq$4.00 & " in latex_table(aggregate(cells).curves, "all")
    wrong = [make_cell(task, k=4, nfe=2, scores=(0.0,)) for task in SUITES["all"]]
    assert " & never & " in latex_table(aggregate(wrong).curves, "all")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--csv", "{}/a", "--curve", "x"), "--curve must be one of the run, got 'x'; it has ideal-"),
        (("--csv", "{}/a", "--suite", "x"), "--suite must be one of all, core, waiting_line, "),
        (
            ("--latex", "{}/a"),
            "--suite must have a full result for every task of it, got 'all' (not measured",
        ),
        (
            ("--latex", "{}/a", "--curve", "x"),
            "--curve must come with --csv, got it with --latex; leave it out",
        ),
        (("--csv", "{}"), "--csv must be a file, got the folder '"),
        (("--csv", "{}/no/a"), "--csv must lie in a folder that exists, got '"),
        (("--leaderboard", "{}/file"), "--leaderboard must be a folder, got the file '"),
        ((), "one of the arguments --csv --parquet --leaderboard --latex is required"),
        (("--csv", "{}/a", "--latex", "{}/b"), "argument --latex: not allowed with argument --csv"),
    ],
    ids=str,
)
def test_what_cannot_be_written_is_named_in_one_line(export, tmp_path, options, message):
    (tmp_path / "file").write_text("")
    code, _, error = export(*(option.replace("{}", str(tmp_path)) for option in options))
    assert code == 2
    assert error.startswith(f"pb: {message}")
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
