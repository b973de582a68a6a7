"""pointwise compare, from the arguments to the table, the file, the exit status and the one sentence on stderr."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len
from rich.console import Console

from pointwise._compare import compare
from pointwise._evaluate import evaluate
from pointwise.cli import main
from pointwise.cli.bars import Bars
from pointwise.cli.tables import scores_table
from pointwise.comparison import Comparison
from pointwise.encoding import encode
from pointwise.evaluation import Evaluation
from pointwise.metrics.registry import METRICS
from pointwise.pmi.pmi import KmePmi
from pointwise.reference.reference import Reference
from pointwise.score import Score
from pointwise.summaries.gaussian import GaussianPair
from pointwise.tables.table import FeatureTable, load
from pointwise.tables.tensors import load_arrays, save_arrays

ALONE = [name for name, row in METRICS.items() if row.of != "pair"]  # that need no texts


def rows(n: int = 80, d: int = 3, *, seed: int = 0, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    return shift + scale * np.random.default_rng(seed).standard_normal((n, d))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in, with a real table that has modes and two generators, the second far off."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    FeatureTable(rows(), modes=["cat", "dog"] * 40, ids=np.arange(80)).save("real.npz")
    FeatureTable(rows(70, seed=1)).save("good.parquet")
    FeatureTable(rows(60, seed=2, shift=3.0)).save("bad.npz")
    return tmp_path


@pytest.fixture
def pointwise(folder, capsys):
    """Run the command line here: (exit status, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        return stop.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def refused(pointwise, folder):
    """Run what must be refused: exit status 2, nothing on stdout, nothing written. Returns the one line on stderr."""

    def run(*arguments: object) -> str:
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        code, out, err = pointwise(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("pointwise: ")
        assert err.endswith(("\n", ".\n"))
        assert err.count("\n") == 1
        assert "Traceback" not in err
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
        return err

    return run


def shell(*arguments: object, **options: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pointwise", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)


def cells(out: str) -> dict[str, list[str]]:
    """The rows of all printed tables by their first cell; the header of the first is under its own, "metric"."""
    lines = [line.replace("┃", "│").strip().strip("│").split("│") for line in out.splitlines() if line[:1] in "│┃"]
    found: dict[str, list[str]] = {}
    for first, *others in lines:
        found.setdefault(first.strip(), [cell.strip() for cell in others])
    return found


# ---- what is printed


def test_two_generators_side_by_side(pointwise):
    code, out, err = pointwise("compare", "real.npz", "good.parquet", "bad.npz")
    assert (code, err) == (0, "")
    table = cells(out)
    assert table["metric"] == ["better", "unit", "good", "bad"]
    assert set(ALONE) <= set(table)
    ev = evaluate(rows(), rows(70, seed=1))
    value, half = table["pce"][2].removesuffix(" *").split(" ±")
    low, high = ev["pce"].interval()
    assert float(value) == pytest.approx(ev["pce"].value, abs=6e-3)
    assert float(half) == pytest.approx((high - low) / 2, abs=6e-3)
    assert table["entropy_real"][2] == table["entropy_real"][3]


def test_star_is_on_the_best_by_the_direction_of_each_metric(pointwise):
    """Tight has the lowest re, wide the highest; near has it nearest to zero."""
    np.savez("tight.npz", features=rows(seed=3, scale=0.1))
    np.savez("near.npz", features=rows(seed=4, scale=1.05))
    np.savez("wide.npz", features=rows(seed=5, scale=3.0))
    code, out, _ = pointwise("compare", "real.npz", "tight.npz", "near.npz", "wide.npz")
    assert code == 0
    table = cells(out)
    names = table["metric"][2:]
    assert names == ["tight", "near", "wide"]
    starred = {row: [name for name, cell in zip(names, table[row][2:], strict=True) if "*" in cell] for row in ALONE}
    assert starred["re"] == ["near"]  # zero
    assert starred["frechet"] == ["near"]  # lower
    assert starred["pce"] == ["tight"]  # lower
    assert starred["coverage"] == ["near"]  # higher
    assert starred["density"] == ["tight"]  # higher
    assert starred["rce"] == starred["kl_real_fake"] == starred["kl_fake_real"] == ["near"]  # zero
    assert len({table["entropy_fake"][i] for i in (2, 3, 4)}) == 3  # no tie
    assert starred["entropy_real"] == starred["entropy_fake"] == []  # of one table: neither way is better
    for row in map(METRICS.get, ALONE):
        assert table[row.name][0] == {"lower": "↓", "higher": "↑", "zero": "→0", "none": ""}[row.better]
        assert table[row.name][1] == row.unit


@pytest.mark.parametrize("name", METRICS)
def test_where_the_star_is_follows_from_what_a_metric_is_best_at(name):
    """Entropies of one table are neither good nor bad: they have no star and no arrow, though they differ."""
    values = {"low": -2.0, "middle": 0.25, "high": 1.0}
    evaluations = {of: Evaluation({(name, None): Score(value)}, {}) for of, value in values.items()}
    out = io.StringIO()
    Console(file=out, width=200).print(scores_table(evaluations, width=200))
    row = cells(out.getvalue())[name]
    starred = [of for of, cell in zip(values, row[2:], strict=True) if "*" in cell]
    if name in ("entropy_real", "entropy_fake"):
        assert (starred, row[0]) == ([], "")
    elif name in ("rce", "re", "kl_real_fake", "kl_fake_real"):
        assert (starred, row[0]) == (["middle"], "→0")
    else:
        assert (starred, row[0]) in ((["low"], "↓"), (["high"], "↑"))


def test_one_generator_has_no_star(pointwise):
    _, out, _ = pointwise("compare", "real.npz", "good.parquet")
    assert not any("*" in cell for row in cells(out).values() for cell in row)


def test_modes_of_the_real_table_get_tables_of_their_own(pointwise):
    _, out, _ = pointwise("compare", "real.npz", "good.parquet", "bad.npz")
    assert "kl_real_fake by real mode" in out
    assert "recall cover by real mode" in out
    assert cells(out)["cat"][0] == "40"
    by_mode = evaluate(FeatureTable(rows(), modes=["cat", "dog"] * 40), rows(70, seed=1))["kl_real_fake"].by_mode()
    assert float(cells(out)["dog"][1].split(" ±")[0]) == pytest.approx(by_mode["dog"].value, abs=5e-4)


def test_modes_tables_show_the_worst_and_say_of_how_many(pointwise):
    FeatureTable(rows(80), modes=[f"class {i % 20}" for i in range(80)]).save("many.npz")
    _, out, _ = pointwise("compare", "many.npz", "good.parquet")
    assert out.count("the 12 worst of 20 modes") == 2
    assert sum(line.startswith("│ class ") for line in out.splitlines()) == 24


def test_without_modes_there_are_no_tables_of_them(pointwise):
    code, out, _ = pointwise("compare", "good.parquet", "bad.npz")
    assert code == 0
    assert "by real mode" not in out


def test_several_k(pointwise):
    code, out, _ = pointwise("compare", "real.npz", "bad.npz", "--k", "3, 5", "--metrics", "pce,recall_cover,frechet")
    assert code == 0
    ev = evaluate(rows(), rows(60, seed=2, shift=3.0), k=(3, 5))
    table = cells(out)
    assert [name for name in table if "@" in name] == ["pce@3", "pce@5", "recall_cover@3", "recall_cover@5"]
    assert float(table["pce@3"][2].split(" ±")[0]) == pytest.approx(ev["pce", 3].value, abs=5e-3)
    assert "recall cover by real mode (share of it that is generated often enough), k = 5" in out


def test_chosen_metrics_in_their_order(pointwise):
    _, out, _ = pointwise("compare", "real.npz", "bad.npz", "--metrics", "kid, rce,pce")
    assert list(cells(out))[:4] == ["metric", "kid", "rce", "pce"]
    assert "rce by real mode" in out


def test_options_reach_the_evaluation(pointwise):
    pointwise("compare", "real.npz", "bad.npz", "--cover", 2, "--dimension", 1.5, "--seed", 7, "--json", "all.json")
    told = Evaluation.from_json("all.json").provenance
    assert (told["k"], told["cover"], told["dimension"], told["seed"]) == ([5], 2, 1.5, 7)
    pointwise(
        "compare", "real.npz", "bad.npz", "--dimension", "intrinsic", "--duplicates", "keep", "--json", "all.json"
    )
    told = Evaluation.from_json("all.json").provenance
    assert 2 < told["dimension"] < 4
    assert told["duplicates"]["policy"] == "keep"


def test_names_are_shown_as_they_are(pointwise):
    FeatureTable(rows(), modes=["[/x]", ":smile: [b]"] * 40).save("real [v2].npz")
    np.savez("gen[red].npz", features=rows(seed=1))
    code, out, _ = pointwise("compare", "real [v2].npz", "gen[red].npz")
    assert code == 0
    table = cells(out)
    assert table["metric"] == ["better", "unit", "gen[red]"]
    assert {"[/x]", ":smile: [b]"} <= set(table)


def test_generators_of_one_name_are_told_apart_by_their_paths(pointwise, folder):
    for name in ("a", "b"):
        (folder / name).mkdir()
        np.savez(folder / name / "model.npz", features=rows(seed=1))
    _, out, _ = pointwise("compare", "real.npz", "a/model.npz", "b/model.npz", "--metrics", "pce")
    assert cells(out)["metric"][2:] == ["a/model.npz", "b/model.npz"]


def test_many_generators_are_all_shown_in_full_in_a_pipe(pointwise):
    for i in range(20):
        np.savez(f"generator{i}.npz", features=rows(seed=i + 1))
    _, out, _ = pointwise("compare", "real.npz", *[f"generator{i}.npz" for i in range(20)], "--metrics", "pce")
    assert "…" not in out
    assert cells(out)["metric"][2:] == [f"generator{i}" for i in range(20)]


def test_a_metric_that_one_generator_lacks(pointwise):
    zero = rows(seed=1)
    zero[0] = 0
    np.savez("zero.npz", features=zero)
    for order in (["zero.npz", "bad.npz"], ["bad.npz", "zero.npz"]):
        code, out, err = pointwise("compare", "real.npz", *order)
        assert code == 0
        assert err.startswith("warning: zero: cmmd is left out: 1 of 80 rows of the generated table are all zeros")
        row = dict(zip(cells(out)["metric"], cells(out)["cmmd"], strict=True))
        assert row["zero"] == "-"
        assert row["bad"] != "-"


def test_warnings_go_to_stderr(pointwise):
    np.savez("copies.npz", features=np.concatenate([rows(seed=1), rows(seed=1)[:10], rows()[:5]]))
    code, out, err = pointwise("compare", "real.npz", "copies.npz", "--k", 1)
    assert code == 0
    assert err.splitlines() == [
        "warning: copies: 20 of 95 generated rows have an exact copy among the generated rows.",
        "warning: copies: 5 of 95 generated rows are exact copies of real rows.",
        "warning: copies: 20 of 95 generated rows have their k-th generated neighbour (k = 1) at distance zero: "
        "in their log terms the smallest positive distance stands in.",
        "warning: copies: 5 of 95 generated rows have their k-th real neighbour (k = 1) at distance zero: "
        "in their log terms the smallest positive distance stands in.",
        "warning: copies: 5 of 80 real rows have their k-th generated neighbour (k = 1) at distance zero: "
        "in their log terms the smallest positive distance stands in.",
    ]
    assert "warning" not in out


def test_a_narrow_terminal_gets_several_tables(pointwise, monkeypatch):
    """Each of the five generators is shown whole, and the one star of a metric is the best of all five."""
    names = [f"generator-number-{i}" for i in range(5)]
    for i, name in enumerate(names):
        np.savez(f"{name}.npz", features=rows(seed=1, shift=float(5 - i)))
    for name, value in {"FORCE_COLOR": "1", "NO_COLOR": "1", "COLUMNS": "80", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    code, out, _ = pointwise("compare", "real.npz", *[f"{name}.npz" for name in names], "--metrics", "pce")
    assert code == 0
    lines = re.sub(r"\x1b\[[\d;]*m", "", out).splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in out
    shown = [line for line in lines if line.startswith("┃")]
    assert [name for line in shown for name in names if name in line] == names
    assert len(shown) > 1
    starred = [line for line in lines if line.startswith("│ pce") and "*" in line]
    assert len(starred) == 1
    assert starred[0].rstrip("│ ").endswith("*")


# ---- JSON


def test_json_to_a_file_holds_everything(pointwise):
    code, out, err = pointwise("compare", "real.npz", "good.parquet", "bad.npz", "--json", "all.json")
    assert (code, err) == (0, "")
    assert out.endswith("Everything, down to the sample, is in all.json.\n")
    comparison = Comparison.from_json("all.json")
    assert list(comparison) == ["good", "bad"]
    for name, fake in (("good.parquet", rows(70, seed=1)), ("bad.npz", rows(60, seed=2, shift=3.0))):
        ev = comparison[Path(name).stem]
        assert ev.provenance["generator"] == Path(name).stem
        assert (ev.provenance["real_source"], ev.provenance["generated_source"]) == ("real.npz", name)
        expected = evaluate(rows(), fake, duplicates="floor")
        assert ev.to_dict() == expected.to_dict()
        np.testing.assert_array_equal(ev["rce"].per_sample, expected["rce"].per_sample)
        assert list(ev["rce"].by_mode()) == ["cat", "dog"]
        assert ev["rce"].ids.tolist() == list(range(80))
    expected = compare(rows(), {"good": rows(70, seed=1), "bad": rows(60, seed=2, shift=3.0)}, duplicates="floor")
    for name in ALONE:
        made, read = (each.difference("good", "bad")[name] for each in (expected, comparison))
        assert (read.value, read.standard_error) == (made.value, made.standard_error)


def test_json_to_stdout_is_nothing_but_json(folder):
    np.savez("copies.npz", features=np.concatenate([rows(seed=1), rows()[:5]]))
    done = shell("compare", "real.npz", "copies.npz", "--json", "-")
    assert done.returncode == 0
    assert done.stderr == "warning: copies: 5 of 85 generated rows are exact copies of real rows.\n"
    assert len(json.loads(done.stdout)["evaluations"]) == 1
    (folder / "saved.json").write_text(done.stdout)
    expected = evaluate(rows(), np.concatenate([rows(seed=1), rows()[:5]]))
    assert Evaluation.from_json("saved.json").to_dict() == expected.to_dict()


def test_json_where_it_cannot_be_written_is_refused_before_anything_is_read(refused):
    sentence = refused("compare", "absent.npz", "absent too.npz", "--json", "nowhere/all.json")
    assert "cannot write nowhere/all.json: the folder" in sentence
    assert "does not exist; create it first." in sentence
    assert "it is a folder" in refused("compare", "absent.npz", "absent too.npz", "--json", ".")
    assert "cannot write nowhere/half" in refused("compare", "absent.npz", "x.npz", "--reference", "nowhere/half")


def test_json_is_not_written_when_a_later_generator_is_bad(refused):
    np.savez("narrow.npz", features=rows(60, 2))
    assert "3 feature columns" in refused("compare", "real.npz", "good.parquet", "narrow.npz", "--json", "all.json")


def test_json_is_written_even_if_nobody_reads_the_table(folder):
    command = [sys.executable, "-m", "pointwise", "compare", "real.npz", "bad.npz", "--json", "all.json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=120) == 1
    assert set(ALONE) == {name for name, _ in Evaluation.from_json("all.json")}


# ---- images


@pytest.fixture
def images(folder):
    """Two folders of 40 pictures of 6 x 6 pixels in two classes, one dark and one light."""
    for number, name in enumerate(("photos", "made")):
        rng = np.random.default_rng(number)
        for mode, middle in (("dark", 60), ("light", 190)):
            (folder / name / mode).mkdir(parents=True)
            for i in range(20):
                pixels = rng.integers(middle - 50, middle + 50, size=(6, 6, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / name / mode / f"{i:02}.png")
    return folder


def test_folders_of_images_with_classes(pointwise, images):
    code, out, err = pointwise("compare", "photos", "made", "--encoder", "pixels", "--json", "all.json")
    assert (code, err) == (0, "")
    assert cells(out)["metric"][2:] == ["made"]
    assert cells(out)["dark"][0] == cells(out)["light"][0] == "20"
    ev = Evaluation.from_json("all.json")
    assert ev.provenance["real"]["columns"] == 6 * 6 * 3
    assert ev.provenance["generated"]["meta"]["encoder"] == "pixels:6"
    assert ev["pce"].ids[0] == "dark/00.png"
    assert list(ev["pce"].by_mode()) == ["dark", "light"]


def test_arrays_and_archives_of_images(pointwise, images):
    np.save("stack.npy", np.random.default_rng(2).integers(0, 255, size=(40, 6, 6, 3), dtype=np.uint8))
    subprocess.run([sys.executable, "-m", "zipfile", "-c", "made.zip", "made/"], check=True)
    code, out, _ = pointwise("compare", "photos", "made.zip", "stack.npy", "--encoder", "pixels:6", "--metrics", "pce")
    assert code == 0
    assert cells(out)["metric"][2:] == ["made", "stack"]
    _, alone, _ = pointwise("compare", "photos", "made", "--encoder", "pixels:6", "--metrics", "pce")
    assert cells(alone)["pce"][2].split()[0] == cells(out)["pce"][2].split()[0]


@pytest.mark.parametrize("encoder", ["pixels", "pixels:28"])
def test_generated_images_are_brought_to_the_size_of_the_real_ones(pointwise, folder, encoder):
    for name, side in (("small", 28), ("large", 40)):
        rng = np.random.default_rng(side)
        (folder / name).mkdir()
        for i in range(20):
            pixels = rng.integers(0, 256, size=(side, side, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:02}.png")
    code, _, err = pointwise("compare", "small", "large", "--encoder", encoder, "--json", "all.json")
    assert (code, err) == (0, "")
    told = Evaluation.from_json("all.json").provenance
    for side in ("real", "generated"):
        assert (told[side]["columns"], told[side]["meta"]["encoder"]) == (28 * 28 * 3, "pixels:28")


def test_without_an_encoder_images_are_encoded_as_the_real_table_was(pointwise, images):
    encode("photos", encoder="pixels:5").save("photos.npz")
    code, _, err = pointwise("compare", "photos.npz", "made", "--json", "all.json")
    assert (code, err) == (0, "")
    told = Evaluation.from_json("all.json").provenance
    assert told["generated"]["columns"] == 5 * 5 * 3
    assert told["generated"]["meta"]["encoder"] == "pixels:5"


def test_tables_of_two_encoders_are_compared_with_a_warning(pointwise):
    FeatureTable(rows(), meta={"encoder": "X"}).save("x.npz")
    FeatureTable(rows(seed=1), meta={"encoder": "X"}).save("same.npz")
    FeatureTable(rows(seed=1), meta={"encoder": "Y"}).save("y.npz")
    code, _, err = pointwise("compare", "x.npz", "same.npz", "y.npz", "good.parquet")
    assert code == 0
    assert err == (
        "warning: y: the real table was encoded by X and the generated one by Y: their features cannot be compared. "
        "Encode both alike.\n"
    )


def test_arrays_of_grey_images(pointwise, folder):
    """Grey is the colour of three equal parts, so both forms of a stack give the same numbers."""
    for seed, name in enumerate(("real", "fake")):
        grey = np.random.default_rng(seed).integers(0, 256, size=(40, 6, 6), dtype=np.uint8)
        np.save(f"{name}-grey.npy", grey)
        np.save(f"{name}-rgb.npy", np.repeat(grey[..., None], 3, axis=3))
    found = []
    for form in ("grey", "rgb"):
        sources = (f"real-{form}.npy", f"fake-{form}.npy")
        code, _, err = pointwise("compare", *sources, "--encoder", "pixels", "--json", "all.json")
        assert (code, err) == (0, "")
        found.append(Evaluation.from_json("all.json"))
    grey, rgb = found
    assert grey.provenance["real"]["columns"] == 6 * 6 * 3
    assert grey.provenance["generated"]["meta"]["encoder"] == "pixels:6"
    assert grey.provenance["real"]["fingerprint"] == rgb.provenance["real"]["fingerprint"]
    assert grey.to_dict() == rgb.to_dict()


def test_a_damaged_image_is_named(pointwise, refused, images):
    (images / "made" / "dark" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    sentence = refused("compare", "photos", "made", "--encoder", "pixels", "--json", "all.json")
    assert (
        "made: dark/broken.png cannot be read as an image: it is in no format that Pillow knows, or its beginning is "
        "damaged. Mend or remove it"
    ) in sentence
    assert "--skip-bad" in sentence
    code, out, err = pointwise("compare", "photos", "made", "--encoder", "pixels", "--skip-bad", "--json", "all.json")
    assert code == 0
    assert err.count("\n") == 1
    assert err.startswith(
        "warning: made: 1 of 41 images could not be read and were skipped; the first: made: dark/broken"
    )
    assert cells(out)["pce"][2]
    assert Evaluation.from_json("all.json").provenance["generated"]["rows"] == 40


def test_images_that_cannot_be_had(refused, images):
    assert "Did you mean 'pixels'?" in refused("compare", "photos", "made", "--encoder", "pixel")
    (images / "empty").mkdir()
    assert "empty holds no images" in refused("compare", "photos", "empty", "--encoder", "pixels")
    assert "single image" in refused("compare", "photos", "made/dark/00.png", "--encoder", "pixels")
    assert "108 feature columns" in refused("compare", "photos", "real.npz", "--encoder", "pixels")


# ---- what is refused


def truncated(name: str) -> None:
    FeatureTable(rows(seed=1)).save(name)
    whole = Path(name).read_bytes()
    Path(name).write_bytes(whole[: len(whole) // 2])


def with_nan() -> None:
    x = rows(seed=1)
    x[4, 2] = np.nan
    np.savez("fake.npz", features=x)


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("made by a pickle",)


BAD_TABLES = {
    "nan": ("fake.npz", with_nan, "fake.npz: features has NaN or inf in 1 of 80 rows; the first is row 4, column 2"),
    "width": (
        "fake.npz",
        lambda: np.savez("fake.npz", features=rows(80, 7)),
        "the real table has 3 feature columns but the generated table has 7",
    ),
    "few": (
        "fake.npz",
        lambda: np.savez("fake.npz", features=rows(15)),
        "the generated table has 15 rows, which is too few for cover * k = 3 * 5",
    ),
    "empty table": (
        "fake.npz",
        lambda: np.savez("fake.npz", features=np.empty((0, 3))),
        "the generated table has 0 rows; a comparison needs at least 2",
    ),
    "no such path": ("fake.npz", lambda: None, "fake.npz does not exist; give a table file, or a folder"),
    "empty file": ("fake.npz", Path("fake.npz").touch, "fake.npz: it is empty"),
    "half an npy": ("fake.npy", lambda: truncated("fake.npy"), "cannot load fake.npy: the array is cut short"),
    "half an npz": ("fake.npz", lambda: truncated("fake.npz"), "cannot load fake.npz: it is cut short or damaged"),
    "half a parquet": ("fake.parquet", lambda: truncated("fake.parquet"), "cannot load fake.parquet: "),
    "half a safetensors": ("fake.safetensors", lambda: truncated("fake.safetensors"), "cannot load fake.safetensors: "),
    "objects": (
        "fake.npy",
        lambda: np.save("fake.npy", np.array([[Harmful()]], dtype=object), allow_pickle=True),
        "holds Python objects (type object), which are pickled and can run code",
    ),
    "pickle": (
        "fake.pt",
        lambda: Path("fake.pt").write_bytes(pickle.dumps(Harmful())),
        "fake.pt: it is no .pt file: it begins like a pickle, which can run code",
    ),
    "other suffix": (
        "fake.csv",
        lambda: Path("fake.csv").write_text("1,2,3\n"),
        "the suffix '.csv' is not one of .npy, .npz, .safetensors, .parquet, .pt",
    ),
    "wrong suffix": (
        "fake.parquet",
        lambda: Path("fake.parquet").write_bytes(Path("real.npz").read_bytes()),
        "it is no .parquet file: it begins like a zip file",
    ),
    "three dimensions": (
        "fake.npy",
        lambda: np.save("fake.npy", np.zeros((80, 3, 2))),
        "features has 3 dimensions (shape (80, 3, 2))",
    ),
}


@pytest.mark.parametrize("case", BAD_TABLES)
@pytest.mark.parametrize("more", [(), ("good.parquet",)], ids=["alone", "first of two"])
def test_generated_tables_that_cannot_be_used(refused, case, more):
    name, make, sentence = BAD_TABLES[case]
    make()
    assert sentence in refused("compare", "real.npz", name, *more, "--json", "all.json")


@pytest.mark.parametrize("case", ["nan", "no such path", "half an npz", "objects", "few"])
def test_real_tables_that_cannot_be_used(refused, case):
    name, make, sentence = BAD_TABLES[case]
    make()
    sentence = sentence.replace("the generated table", "the real table")
    assert sentence in refused("compare", name, "good.parquet", "--json", "all.json")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--metrics", "pce,recal"], "there is no metric 'recal' (did you mean 'recall'?)"),
        (["--metrics", ""], "metrics is empty"),
        (["--k", "x"], "--k is 'x'; give a whole number of at least 1, or several with commas, as 3,5,10."),
        (["--k", "3,"], "--k is '3,'"),
        (["--k", "0"], "--k is '0'"),
        (["--k", "-3"], "--k is '-3'"),
        (["--k", "2.5"], "--k is '2.5'"),
        (["--k", "30"], "the real table has 80 rows, which is too few for cover * k = 3 * 30"),
        (["--cover", "0"], "Invalid value for '--cover': 0 is not in the range x>=1"),
        (["--cover", "much"], "Invalid value for '--cover': 'much' is not a valid integer"),
        (["--dimension", "-2"], "dimension is -2.0; it must be 'ambient', 'intrinsic' or a positive number."),
        (["--dimension", "nan"], "dimension is nan; it must be 'ambient', 'intrinsic' or a positive number."),
        (["--dimension", "flat"], "dimension is 'flat'; it must be"),
        (["--duplicates", "drop"], "'drop' is not one of 'raise', 'floor', 'keep'"),
        (["--device", "banana"], "device 'banana' cannot be used"),
        (["--seed", "-1"], "Invalid value for '--seed': -1 is not in the range x>=0"),
        (["--reference", "real.npz"], "real.npz cannot be read as a reference"),
        (["--mid", "reduce=x"], "--mid has 'reduce=x'; give reduce=32, ridge=0.001 or debias, several with commas."),
        (["--mid", "shrink=3"], "--mid has 'shrink=3'; give reduce=32"),
        (["--mid", "reduce"], "--mid has 'reduce'; give reduce=32"),
        (["--mid", "debias=1"], "--mid has 'debias=1'; give reduce=32"),
        (["--mid", "reduce=0"], "reduce is 0; it must be a whole number of at least 1"),
        (["--mid", "ridge=nan"], "ridge is nan; it must be a number of at least 0"),
        (["--nonsense"], "No such option '--nonsense'."),
        (["bad.npz"], "bad.npz is given 2 times; give each generator once."),
        (["x" * 5000], "does not exist; give a table file"),
        (["a\nb.npz"], "a b.npz does not exist"),
    ],
)
def test_options_that_cannot_be_used(refused, arguments, sentence):
    assert sentence in refused("compare", "real.npz", "bad.npz", *arguments, "--json", "all.json")


def test_too_large_k_reads_the_same_for_one_and_for_several_generators(refused):
    alone = refused("compare", "real.npz", "good.parquet", "--k", "30")
    assert refused("compare", "real.npz", "good.parquet", "bad.npz", "--k", "30") == alone


def test_copies_can_be_refused(refused):
    np.savez("copies.npz", features=np.concatenate([rows(seed=1), rows(seed=1)[:10]]))
    sentence = refused("compare", "real.npz", "copies.npz", "--k", "1", "--duplicates", "raise", "--json", "all.json")
    assert "20 of 90 rows of the generated table have their 1st neighbour at distance zero" in sentence


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Missing command. See 'pointwise --help'."),
        (["compar", "real.npz", "bad.npz"], "No such command 'compar'"),
        (["compare"], "Missing argument 'REAL'. See 'pointwise compare --help'."),
        (["compare", "real.npz"], "Missing argument 'FAKE...'. See 'pointwise compare --help'."),
        (["compare", "real.npz", "bad.npz", "--json"], "Option '--json' requires an argument."),
        (["--nonsense"], "No such option '--nonsense'."),
    ],
)
def test_usage_errors(refused, arguments, sentence):
    assert sentence in refused(*arguments)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["-h"], ["compare", "--help"], ["demo", "-h"], ["metrics", "--help"]]
)
def test_help(pointwise, arguments):
    code, out, err = pointwise(*arguments)
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: pointwise {arguments[0] if len(arguments) > 1 else '[OPTIONS] COMMAND'}")


# ---- the reference in a file


def kept(folder) -> dict[str, tuple[int, bytes]]:
    """When and what was written to the file of the reference."""
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.glob("real.reference*")}


def test_a_reference_is_written_once_and_then_used(pointwise, folder):
    arguments = ("compare", "real.npz", "bad.npz", "--reference", "real.reference", "--json", "all.json")
    assert pointwise(*arguments)[0] == 0
    first, written = Evaluation.from_json("all.json"), kept(folder)
    assert list(written) == ["real.reference"]
    assert pointwise(*arguments)[0] == 0
    assert (
        Evaluation.from_json("all.json").to_dict()
        == first.to_dict()
        == evaluate(rows(), rows(60, seed=2, shift=3.0)).to_dict()
    )
    assert kept(folder) == written

    arrays, words = load_arrays("real.reference", kind="reference", called="a reference")
    arrays["neighborhoods.distances"] *= 2
    save_arrays("real.reference", arrays, kind="reference", words={k: v for k, v in words.items() if k != "format"})
    assert pointwise(*arguments)[0] == 0
    difference = Evaluation.from_json("all.json")["entropy_real"].value - first["entropy_real"].value
    assert difference == pytest.approx(3 * np.log(2))


def test_a_reference_of_another_table_is_refused(pointwise, refused, folder):
    pointwise("compare", "real.npz", "bad.npz", "--reference", "real.reference")
    sentence = refused("compare", "good.parquet", "bad.npz", "--reference", "real.reference")
    assert "real.reference was worked out of another table: the features of this one (70 rows, fingerprint " in sentence
    assert "are not those of the file (fingerprint" in sentence
    assert sentence.endswith("Give that table, or another path, where it is worked out anew.\n")


def test_a_reference_that_is_too_shallow_is_made_deeper_and_written_again(pointwise, folder):
    arguments = ("compare", "real.npz", "bad.npz", "--reference", "real.reference", "--json", "all.json")
    pointwise(*arguments, "--k", 3)
    before = kept(folder)
    assert pointwise(*arguments, "--k", 6)[0] == 0
    assert Evaluation.from_json("all.json").to_dict() == evaluate(rows(), rows(60, seed=2, shift=3.0), k=6).to_dict()
    deeper = kept(folder)
    assert deeper != before
    pointwise(*arguments, "--k", 3)  # it serves the smaller k too
    assert Evaluation.from_json("all.json").to_dict() == evaluate(rows(), rows(60, seed=2, shift=3.0), k=3).to_dict()
    assert kept(folder) == deeper


def test_a_damaged_reference_is_refused(pointwise, refused, folder):
    pointwise("compare", "real.npz", "bad.npz", "--reference", "real.reference")
    (folder / "real.reference").write_bytes((folder / "real.reference").read_bytes()[:200])
    sentence = refused("compare", "real.npz", "bad.npz", "--reference", "real.reference")
    assert "real.reference cannot be read as a reference" in sentence


def test_a_reference_is_not_written_when_a_later_generator_is_bad(refused):
    np.savez("narrow.npz", features=rows(60, 2))
    refused("compare", "real.npz", "good.parquet", "narrow.npz", "--reference", "real.reference")


@pytest.mark.parametrize("flag", ["--real-neighbors", "--reference-pairs", "--learned", "--reduce", "--ridge"])
def test_flags_that_the_reference_replaced_are_gone(refused, flag):
    assert f"No such option '{flag}'" in refused("compare", "real.npz", "bad.npz", flag, "x")


# ---- as a program


def test_version(folder):
    done = shell("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "pointwise, version 0.1.0\n"


def test_refusal_as_a_program(folder):
    done = shell("compare", "real.npz", "absent.npz")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "pointwise: absent.npz does not exist; give a table file, or a folder, archive or .npy of images.\n"
    )


def test_a_terminal_without_arrows_still_shows_the_numbers(pointwise, monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    code, _, err = pointwise("compare", "real.npz", "bad.npz", "--metrics", "pce")
    assert (code, err) == (0, "")
    assert f"{evaluate(rows(), rows(60, seed=2, shift=3.0))['pce'].value:.2f} ?" in written.getvalue().decode("ascii")


def test_an_error_of_our_own_exits_1_with_its_traceback(folder):
    program = """
import sys
from pointwise.cli import main
from pointwise.cli.bars import Bars
from pointwise.cli.tables import scores_table
def broken(*args, **options):
    raise AssertionError("a bug")
sys.modules["pointwise.cli.compare"].compared = broken
main(["compare", "real.npz", "bad.npz", "--json", "all.json"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.rstrip().endswith("AssertionError: a bug")
    assert not (folder / "all.json").exists()


def test_stopped_from_the_keyboard(pointwise, monkeypatch):
    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["pointwise.cli.compare"], "compared", interrupted)
    code, out, err = pointwise("compare", "real.npz", "bad.npz")
    assert (code, out, err.strip()) == (130, "", "pointwise: stopped.")


# ---- progress bars


def test_a_bar_with_the_time_left_appears_on_a_terminal_alone(capsys, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    in_pipe = Bars("in a pipe: ")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with in_pipe, Bars("model [1]: ") as on_terminal:
        for bars in (in_pipe, on_terminal):
            bars("real neighbours", 1, 4)
        time.sleep(2.1)
        assert capsys.readouterr().err == ""
        for bars in (in_pipe, on_terminal):
            bars("real neighbours", 2, 4)
    out, err = capsys.readouterr()
    text = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", err)
    assert out == ""
    assert re.search(r"model \[1\]: real neighbours .* 2/4 \d:\d\d:\d\d left", text)
    assert "in a pipe" not in text


def test_quick_work_draws_no_bar(capsys, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Bars() as bars:
        for done in range(4):
            bars("real neighbours", done + 1, 4)
    assert capsys.readouterr() == ("", "")


# ---- pairs


def paired_tables() -> dict[str, FeatureTable]:
    """A reference with texts, and two generators of which the second ignores them."""
    texts = {name: rows(150, 4, seed=seed) for seed, name in enumerate(("real", "heeds", "ignores"), 10)}
    samples = {name: text + rows(150, 4, seed=20 + len(name)) for name, text in texts.items()}
    samples["ignores"] = rows(150, 4, seed=30, scale=1.4)
    captions = {name: [f"{name} {i} " + "very " * 20 + "long" for i in range(150)] for name in texts}
    return {
        name: FeatureTable(samples[name], text=text, captions=captions[name], ids=np.arange(150))
        for name, text in texts.items()
    }


@pytest.fixture
def paired(folder):
    """The same as files."""
    for name, table in paired_tables().items():
        table.save(f"{name}.npz")


@pytest.mark.usefixtures("paired")
def test_alignment_of_tables_with_texts(pointwise):
    code, out, err = pointwise("compare", "real.npz", "heeds.npz", "ignores.npz", "--json", "all.json")
    assert (code, err) == (0, "")
    table = cells(out)
    for name in ("mid", "clip_score", "r_precision", "info_nce"):
        assert "*" in table[name][2], name
        assert "*" not in table[name][3], name
    scores = Comparison.from_json("all.json")["ignores"]["mid"]
    assert "Pairs that fit least by mid" in out
    worst = [line for line in out.splitlines() if "│ ignores " in line]
    assert len(worst) == 5
    first = int(scores.per_sample.argmin())
    assert f"│ {first} " in worst[0]
    assert f"ignores {first} very very" in worst[0]
    assert "..." in worst[0]
    assert worst[0].rstrip(" │").endswith(f" {scores.per_sample.min():.2f}")


@pytest.mark.usefixtures("paired")
def test_options_of_mid(pointwise):
    def mid(*options):
        code, out, err = pointwise("compare", "real.npz", "heeds.npz", "--metrics", "mid", "--json", "-", *options)
        assert (code, err) == (0, "")
        return json.loads(out)["evaluations"]["heeds"]["scores"][0]["value"]

    real, fake = load("real.npz"), load("heeds.npz")
    for text, made in (
        ("ridge=0.3", GaussianPair(ridge=0.3)),
        ("reduce=2", GaussianPair(reduce=2)),
        ("reduce=2, ridge=0.3", GaussianPair(reduce=2, ridge=0.3)),
        ("debias", GaussianPair()),
    ):
        made.update(real.features, real.text)
        assert mid("--mid", text) == made.pmi(fake.features, fake.text, debias=text == "debias").value
    Reference(real, pairs=made).save("pairs.safetensors")
    assert mid("--reference", "pairs.safetensors") == mid()


@pytest.mark.usefixtures("paired")
def test_a_gaussian_of_other_pairs_keeps_its_own_options_in_the_file(pointwise):
    """As --reference-pairs did: the pairs that it is fitted on may be more than the real table has."""
    real, fake, more = load("real.npz"), load("heeds.npz"), load("ignores.npz")
    pair = GaussianPair(reduce=3, ridge=0.2)
    for table in (real, more):
        pair.update(table.features, table.text)
    Reference(real, pairs=pair).save("pairs.safetensors")
    code, *_ = pointwise("compare", "real.npz", "heeds.npz", "--reference", "pairs.safetensors", "--json", "all.json")
    assert code == 0
    ev = Evaluation.from_json("all.json")
    assert ev["mid"].value == pair.pmi(fake.features, fake.text).value
    about = ev.provenance["reference_pairs"]
    assert (about["pairs"], about["reduce"], about["ridge"]) == (300, 3, 0.2)


@pytest.mark.usefixtures("paired")
def test_options_of_mid_that_do_not_go_together(refused):
    assert "ridge is -1.0" in refused("compare", "real.npz", "heeds.npz", "--mid", "ridge=-1")
    err = refused("compare", "real.npz", "heeds.npz", "--metrics", "mid", "--mid", "debias,ridge=0.1")
    assert "debias=True is exact for plain covariances alone" in err
    pair = GaussianPair(ridge=0.1)
    pair.update(load("real.npz").features, load("real.npz").text)
    Reference(load("real.npz"), pairs=pair).save("pairs.safetensors")
    arguments = ("compare", "real.npz", "heeds.npz", "--metrics", "mid", "--reference", "pairs.safetensors")
    assert "debias=True is exact for plain covariances alone" in refused(*arguments, "--mid", "debias")


@pytest.mark.usefixtures("paired")
def test_the_variance_that_principal_axes_keep_is_printed(pointwise):
    arguments = ("compare", "real.npz", "heeds.npz", "ignores.npz", "--metrics", "mid")
    assert "principal axes" not in pointwise(*arguments)[1]
    out = pointwise(*arguments, "--mid", "reduce=3", "--json", "all.json")[1]
    kept = Comparison.from_json("all.json")["heeds"].provenance["reference_pairs"]["kept_variance"]
    assert out.count("principal axes") == 1
    assert (
        f"mid is of 3 + 3 principal axes of 150 reference pairs; they keep {100 * kept[0]:.1f}% of the samples' and "
        f"{100 * kept[1]:.1f}% of the texts' variance."
    ) in out
    assert 0.5 < kept[0] < 1


@pytest.fixture(scope="module")
def learned():
    """What is learned from the reference, which takes long, made once for all tests."""
    real = paired_tables()["real"]
    return KmePmi.fit(real.features, real.text, seed=3)


@pytest.fixture
def seeds(paired, learned, monkeypatch):
    """The seeds with which it is asked for."""
    seeds = []

    def fit(x, y, *, seed, progress):
        assert (len(x), len(y), progress is not None) == (150, 150, True)
        seeds.append(seed)
        return learned

    monkeypatch.setattr(KmePmi, "fit", fit)
    return seeds


def test_what_is_learned_from_pairs_is_learned_once_where_it_is_named(pointwise, learned, seeds):
    arguments = ("compare", "real.npz", "heeds.npz", "ignores.npz", "--metrics", "kme_pmi", "--json", "all.json")
    code, out, err = pointwise(*arguments, "--seed", 3)
    assert (code, err) == (0, "")
    assert seeds == [3]
    for name, ev in Comparison.from_json("all.json").items():
        fake = load(f"{name}.npz")
        np.testing.assert_array_equal(ev["kme_pmi"].per_sample, learned.pmi(fake.features, fake.text).per_sample)
    calibration = learned.calibration
    assert (
        f"kme_pmi of {len(calibration.rows)} real pairs that were not learned from is "
        f"{calibration.mutual_information.value:.3g} nats; its constant has the standard error "
        f"{calibration.constant_error:.2g}, which moves all generators alike."
    ) in out
    assert "Pairs that fit least by kme_pmi" in out


def test_what_is_learned_is_kept_in_the_file_of_the_reference(pointwise, folder, seeds):
    arguments = ("compare", "real.npz", "heeds.npz", "--reference", "real.reference", "--json", "all.json")
    arguments += ("--seed", "3")
    assert pointwise(*arguments, "--metrics", "kme_pmi,mid")[0] == 0
    first, written = Evaluation.from_json("all.json"), kept(folder)
    code, _, err = pointwise(*arguments)  # it is at hand, so it is computed without being named
    assert (code, err) == (0, "")
    again = Evaluation.from_json("all.json")
    assert seeds == [3]
    assert again["kme_pmi"].value == first["kme_pmi"].value
    assert (again["mid"].value, again["mid"].standard_error) == (first["mid"].value, first["mid"].standard_error)
    assert again.provenance["learned"] == first.provenance["learned"]
    assert kept(folder) != written  # with neighbours too


def test_contradictory_options_of_mid_are_refused_before_anything_is_read(refused):
    err = refused("compare", "absent.npz", "absent too.npz", "--mid", "debias,ridge=0.1")
    assert "ridge must be 0, it is 0.1" in err


@pytest.mark.usefixtures("paired")
def test_a_reference_of_no_pairs_is_not_replaced_by_the_real_table(pointwise):
    Reference(load("real.npz"), pairs=GaussianPair()).save("none.safetensors")
    arguments = ("compare", "real.npz", "heeds.npz", "--reference", "none.safetensors")
    code, out, err = pointwise(*arguments, "--metrics", "mid,frechet")
    assert (code, out) == (2, "")
    assert "0 pairs are too few" in err
    assert "mid is left out: 0 pairs are too few" in pointwise(*arguments)[2]


@pytest.mark.usefixtures("paired")
def test_a_generator_without_texts_among_others(pointwise, refused):
    np.savez("bare.npz", features=rows(150, 4, seed=40))
    code, out, err = pointwise("compare", "real.npz", "bare.npz", "heeds.npz")
    assert code == 0
    assert err == (
        "warning: bare: mid, clip_score, r_precision and info_nce are left out: the generated table carries no text "
        "features; give it text=, one row per sample, or encode it together with its captions.\n"
    )
    row = dict(zip(cells(out)["metric"], cells(out)["mid"], strict=True))
    assert row["bare"] == "-"
    assert row["heeds"] != "-"
    assert "Pairs that fit least by mid" in out
    sentence = refused("compare", "real.npz", "heeds.npz", "bare.npz", "--metrics", "mid")
    assert sentence.startswith("pointwise: bare: the generated table carries no text features")


@pytest.mark.usefixtures("paired")
def test_mid_by_mode_of_generators_with_modes_of_their_own(pointwise):
    text = rows(150, 4, seed=10)
    for name, modes in (("first", ["cat", "dog", "fox"]), ("second", ["cat", "owl"])):
        of_row = [modes[i % len(modes)] for i in range(150)]
        FeatureTable(text + rows(150, 4, seed=len(name)), text=text, modes=of_row).save(f"{name}.npz")
    code, out, err = pointwise("compare", "real.npz", "heeds.npz", "first.npz", "second.npz", "--json", "all.json")
    assert (code, err) == (0, "")
    assert "mid by mode of the generated pairs" in out
    table = cells(out)
    assert table["mode"] == ["samples", "heeds", "first", "second"]
    assert (table["cat"][0], table["dog"][0], table["owl"][0]) == ("50-75", "50", "75")
    assert [cell == "-" for cell in table["cat"][1:]] == [True, False, False]
    assert [cell == "-" for cell in table["fox"][1:]] == [True, False, True]
    by_mode = Comparison.from_json("all.json")["second"]["mid"].by_mode()
    assert float(table["owl"][3].split(" ±")[0]) == pytest.approx(by_mode["owl"].value, abs=6e-3)


HOSTILE = "\x1b[31mred\x1b[0m \x1b]0;title\x07 [red]x[/red] :smile:\nsecond\tline \x00 \x9b2J \u202eturned\u202c"
CAPTIONS = {
    "controls": (HOSTILE, "�[31mred�[0m �]0;title� [red]x[/red] :smile: second line � �2J �turned�"),
    "chinese": ("猫が窓辺で寝ている" * 9, "猫が窓辺で寝ている" * 4 + "猫が..."),
    "emoji": ("👍" * 60, "👍" * 38 + "..."),
    "accents": ("é" * 90, "é" * 77 + "..."),
    "arabic": ("قطة على النافذة", "قطة على النافذة"),
}


@pytest.mark.parametrize("case", CAPTIONS)
@pytest.mark.parametrize("width", [None, 80, 200])
def test_captions_are_shown_and_not_obeyed(pointwise, monkeypatch, case, width):
    caption, expected = CAPTIONS[case]
    text = rows(150, 4, seed=10)
    real, fake = (FeatureTable(text + rows(150, 4, seed=seed), text=text, captions=[caption] * 150) for seed in (1, 2))
    real.save("real.npz")
    fake.save("fake.npz")
    if width is not None:
        for name, value in {"FORCE_COLOR": "1", "NO_COLOR": "1", "COLUMNS": str(width), "TERM": "xterm"}.items():
            monkeypatch.setenv(name, value)
    code, out, _ = pointwise("compare", "real.npz", "fake.npz", "--metrics", "mid")
    assert code == 0
    plain = re.sub(r"\x1b\[[01]m", "", out)  # bold and its end, of the table itself
    assert not set(plain) & set("\x1b\x07\x00\x9b\t\u202e")
    lines = plain.splitlines()
    assert len({cell_len(line) for line in lines if line.startswith("│ fake ")}) == 1
    if width is not None:
        assert max(map(cell_len, lines)) <= width
    if width != 80:  # else in two lines
        assert sum(expected in line for line in lines) == 5


def test_names_of_modes_and_generators_are_shown_and_not_obeyed(pointwise):
    FeatureTable(rows(), modes=["\x1b[2Jcat", "dog\nfox"] * 40).save("real.npz")
    np.savez("\x1b[31mred.npz", features=np.concatenate([rows(seed=1), rows()[:5]]))
    code, out, err = pointwise("compare", "real.npz", "\x1b[31mred.npz")
    assert code == 0
    assert "\x1b" not in out + err
    assert {"�[2Jcat", "dog fox"} <= set(cells(out))
    assert cells(out)["metric"][2] == "�[31mred"
    assert err.startswith("warning: �[31mred: 5 of 85 generated rows are exact copies of real rows")


def test_errors_name_the_generator_among_several(refused):
    np.savez("narrow.npz", features=rows(60, 2))
    assert refused("compare", "real.npz", "good.parquet", "narrow.npz").startswith(
        "pointwise: narrow: the real table h"
    )
    assert refused("compare", "real.npz", "narrow.npz").startswith("pointwise: the real table has 3 feature columns")
