"""pointwise agreement: files of the published formats and a tiny CLIP from disk, to the table and the file."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import kendalltau

from encoders.tiny_models import save_tiny_clip
from judgments.miniature import write_flickr8k, write_foil, write_mid_amt, write_pascal50s
from pointwise.cli import main
from pointwise.encoders import load_encoder, load_text_encoder

QUICK = ("--prefix", "", "--resamples", "10")  # the tiny model reads twelve tokens, which the prefix would use up


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """The folder of a tiny CLIP whose cosines are above 0."""
    return save_tiny_clip(tmp_path_factory.mktemp("models") / "clip", seed=3)


@pytest.fixture(autouse=True)
def one_thread():
    """The problems are so small that threads would mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def pointwise(tmp_path, monkeypatch, capsys):
    """Run the command line in an empty folder: (exit status, stdout, stderr)."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            main(["agreement", *map(str, arguments)])
        return stop.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def refused(pointwise):
    """Run what must be refused: exit status 2 and nothing on stdout. Returns the last line on stderr."""

    def run(*arguments):
        code, out, err = pointwise(*arguments)
        assert (code, out) == (2, "")
        lines = err.splitlines()
        assert lines[-1].startswith("pointwise: ")
        assert all(line.startswith("warning: ") for line in lines[:-1])
        return lines[-1]

    return run


def table_rows(out):
    """The rows of all printed tables, without their frames."""
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in out.splitlines() if line[:1] == "│"]


def features(clip, pictures, texts):
    """Features of each picture and text, one by one, of unit length."""
    images, words = load_encoder(str(clip)), load_text_encoder(str(clip))
    x = {path.name: images.encode([np.asarray(Image.open(path).convert("RGB"))])[0] for path in pictures}
    y = {text: words.encode([text])[0] for text in texts}
    return ({name: (row / row.norm()).double().numpy() for name, row in side.items()} for side in (x, y))


# ---- the whole path, by hand


def test_expert_ratings_by_hand(pointwise, tmp_path, clip):
    captions, expert, _ = write_flickr8k(tmp_path)
    metrics = ("--metrics", "clip_score,ref_clip_score")
    code, out, err = pointwise("flickr8k-expert", ".", "--encoder", clip, *QUICK, *metrics, "--json", "all.json")
    assert (code, err) == (0, "")
    x, y = features(clip, (tmp_path / "Flicker8k_Dataset").iterdir(), set(captions.values()))
    human, cosines, with_references = [], [], []
    for image, caption, ratings in expert:
        own = [text for name, text in captions.items() if name.split(".")[0] == image.split(".")[0]]
        if captions[caption] in own:
            continue
        text = y[captions[caption]]
        clip_s = 2.5 * max(x[image] @ text, 0)
        nearest = max(y[reference] @ text for reference in own)
        human += ratings
        cosines += [clip_s] * 3
        with_references += [2 * clip_s * nearest / (clip_s + nearest)] * 3
    rows = table_rows(out)
    for row, (name, column, published) in zip(
        rows, (("clip_score", cosines, "51.2"), ("ref_clip_score", with_references, "53.0")), strict=False
    ):
        tau = 100 * kendalltau(np.round(column, 6), human, variant="c").statistic
        assert row[:2] == ["Kendall τ-c", name]
        assert float(row[2]) == pytest.approx(tau, abs=0.006)
        assert re.fullmatch(r"-?\d+\.\d\d to -?\d+\.\d\d", row[3])
        assert row[4:] == [published, str(len(human))]
    assert rows[2][:2] == ["Kendall τ-c", "clip_score - ref_clip_score"]
    assert float(rows[2][2]) == pytest.approx(float(rows[0][2]) - float(rows[1][2]), abs=0.011)
    assert "Encoded by transformers:" in out
    assert "Everything is in all.json." in out

    report = json.loads((tmp_path / "all.json").read_text())
    assert report["set"] == "flickr8k-expert"
    assert (report["judged_pairs"], report["fitted_pairs"]) == (120, 100)
    first = report["results"][0]
    assert (first["metric"], first["statistic"], first["published"], first["n"]) == (
        "clip_score",
        "kendall_c",
        51.2,
        360,
    )
    assert first["low"] <= first["value"] <= first["high"]
    assert report["differences"][0]["value"] == pytest.approx(first["value"] - report["results"][1]["value"])
    pair = report["pairs"][0]
    assert pair["clip_score"] == pytest.approx(2.5 * x[pair["image"]] @ y[pair["text"]], abs=1e-6)


def test_foil_accuracy_by_hand(pointwise, tmp_path, clip):
    write_foil(tmp_path)
    code, out, _ = pointwise(
        "foil", ".", "--encoder", clip, "--prefix", "", "--resamples", "50", "--metrics", "clip_score", "--json", "-"
    )
    assert code == 0
    report = json.loads(out)
    texts = {pair["text"] for pair in report["pairs"]}
    x, y = features(clip, (tmp_path / "val2014").iterdir(), texts)
    cosines = [x[pair["image"]] @ y[pair["text"]] for pair in report["pairs"]]
    right = [100 * (true > foil) for true, foil in zip(cosines[::2], cosines[1::2], strict=True)]
    assert [row["statistic"] for row in report["results"]] == ["accuracy, 1 reference", "accuracy, 4 references"]
    assert [row["value"] for row in report["results"]] == [pytest.approx(np.mean(right))] * 2
    assert [row["published"] for row in report["results"]] == [87.2, 87.2]


def test_mid_of_crowd_judgments_by_hand(pointwise, tmp_path, clip):
    captions, _, crowd = write_flickr8k(tmp_path)
    code, out, _ = pointwise(
        "flickr8k-cf", ".", "--encoder", clip, "--prefix", "", "--resamples", "50", "--ridge", "1e-4", "--json", "-"
    )
    assert code == 0
    report = json.loads(out)
    x, y = features(clip, (tmp_path / "Flicker8k_Dataset").iterdir(), set(captions.values()))
    asked = {(image, captions[caption]) for image, caption, *_ in crowd}
    pairs = [
        (image, text) for name, text in captions.items() for image in x if image.split(".")[0] == name.split(".")[0]
    ]
    z = np.array([np.hstack([x[image], y[text]]) for image, text in pairs if (image, text) not in asked])
    mean, covariance = z.mean(0), np.cov(z.T) + 1e-4 * np.eye(16)
    sides = [np.linalg.inv(covariance[part, part]) for part in (slice(0, 8), slice(8, 16), slice(0, 16))]
    scores = []
    for image, caption, *_ in crowd:
        away = np.hstack([x[image], y[captions[caption]]]) - mean
        squares = [part @ inverse @ part for part, inverse in zip((away[:8], away[8:], away), sides, strict=True)]
        scores.append((squares[0] + squares[1] - squares[2]) / 2)  # less the information, which is the same for all
    got = [pair["mid"] for pair in report["pairs"]]
    np.testing.assert_allclose(np.array(got) - got[0], np.array(scores) - scores[0], atol=2e-3)
    shares = [yes / (yes + no) for *_, yes, no in crowd]
    assert report["results"][0]["metric"] == "mid"
    assert report["results"][0]["value"] == pytest.approx(100 * kendalltau(got, shares).statistic)


# ---- what is printed


def test_pascal_has_a_row_for_each_category(pointwise, tmp_path, clip):
    write_pascal50s(tmp_path)
    code, out, err = pointwise("pascal-50s", ".", "--encoder", clip, *QUICK)
    assert (code, err) == (0, "")
    rows = table_rows(out)
    statistics = ["accuracy HC", "accuracy HI", "accuracy HM", "accuracy MM", "accuracy"]
    assert [row[:2] for row in rows[:15]] == [
        [statistic, metric] for statistic in statistics for metric in ("mid", "clip_score", "ref_clip_score")
    ]
    assert [row[4] for row in rows[:15:3]] == ["67.0", "99.7", "97.4", "76.8", "85.2"]
    assert [row[5] for row in rows[:15:3]] == ["3", "3", "3", "3", "12"]
    assert len(rows) == 30  # and as many differences


def test_images_are_judged_without_references_and_published_numbers(pointwise, tmp_path, clip):
    write_mid_amt(tmp_path)
    code, out, err = pointwise("mid-amt", ".", "--encoder", clip, "--resamples", "10")
    assert (code, err) == (0, "")
    rows = table_rows(out)
    assert [row[:2] for row in rows[:4]] == [
        [statistic, metric] for statistic in ("Kendall τ-c", "Kendall τ-b") for metric in ("mid", "clip_score")
    ]
    assert all(len(row) == 5 for row in rows[:4])
    assert "ublished" not in out
    assert "mid is fitted on 20 pairs" in out


def test_texts_that_are_cut_are_counted_aloud(pointwise, tmp_path, clip):
    write_foil(tmp_path)
    code, out, err = pointwise("foil", ".", "--encoder", clip, "--resamples", "10", "--metrics", "clip_score")
    assert code == 0
    assert re.fullmatch(r"warning: 81 of 81 texts have more than the 12 tokens that transformers:\S+ reads; .*\n", err)
    assert 'texts after "A photo depicts "' in out


def test_two_models_are_measured_by_mid_alone(pointwise, tmp_path, clip):
    write_flickr8k(tmp_path)
    arguments = (
        "flickr8k-expert",
        ".",
        "--encoder",
        "pixels:2",
        "--text-encoder",
        clip,
        "--prefix",
        "",
        "--resamples",
        10,
    )
    code, out, err = pointwise(*arguments)
    assert code == 0
    assert err.startswith(
        "warning: images and texts are read by two models, so that cosines have no meaning: mid alone"
    )
    assert [row[:2] for row in table_rows(out)] == [["Kendall τ-c", "mid"]]
    assert "Encoded by pixels:2 and transformers:" in out


def test_seed_and_resamples_repeat(pointwise, tmp_path, clip):
    write_pascal50s(tmp_path)
    arguments = ("pascal-50s", ".", "--encoder", clip, *QUICK, "--metrics", "ref_clip_score", "--json", "-", "--seed")
    first, again, other = (pointwise(*arguments, seed)[1] for seed in (1, 1, 2))
    assert first == again
    assert json.loads(first)["pairs"][0]["ref_clip_score"] != json.loads(other)["pairs"][0]["ref_clip_score"]


# ---- a table of one's own


@pytest.fixture
def own(tmp_path):
    """A table of 60 items of 20 images: two raters, a good metric and a bad one."""
    rng = np.random.default_rng(0)
    truth = rng.integers(1, 6, size=60)
    columns = {
        "image": [f"{i // 3}.png" for i in range(60)],
        "ann": truth,
        "bob": np.clip(truth + rng.integers(-1, 2, size=60), 1, 5),
        "good": truth + rng.normal(size=60),
        "bad": rng.normal(size=60),
    }
    rows = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    (tmp_path / "table.csv").write_text("\n".join([",".join(columns), *rows]))
    return columns


def test_own_table_gives_all_statistics_and_differences(pointwise, own, tmp_path):
    code, out, err = pointwise(
        "own", "table.csv", "--human", "ann,bob", "--group", "image", "--resamples", 200, "--json", "a.json"
    )
    assert (code, err) == (0, "")
    human = (own["ann"] + own["bob"]) / 2
    report = json.loads((tmp_path / "a.json").read_text())
    values = {(row["metric"], row["statistic"]): row["value"] for row in report["results"]}
    for metric in ("good", "bad"):
        assert values[metric, "kendall_b"] == pytest.approx(100 * kendalltau(own[metric], human).statistic)
        assert values[metric, "pearson"] == pytest.approx(100 * np.corrcoef(own[metric], human)[0, 1])
    rows = table_rows(out)
    assert [row[0] for row in rows[:10:2]] == [
        "Kendall τ-b",
        "Kendall τ-c",
        "Spearman ρ",
        "Pearson r",
        "pairwise accuracy",
    ]
    assert len(rows) == 15
    assert rows[10][:2] == ["Kendall τ-b", "good - bad"]
    assert float(rows[10][4]) < 0.05
    assert report["differences"][0]["p_value"] == pytest.approx(float(rows[10][4]), rel=0.1)
    assert "value" in out
    assert "ours" not in out  # there is nothing published beside it
    assert "bootstrap over groups by image" in out


def test_own_table_with_one_metric_has_no_differences(pointwise, own):
    code, out, _ = pointwise("own", "table.csv", "--human", "ann", "--metrics", "good", "--resamples", 20)
    assert code == 0
    assert len(table_rows(out)) == 5
    assert "Differences" not in out
    assert "bootstrap over rows" in out


def test_columns_that_cannot_be_scores_are_said_aloud(pointwise, own, tmp_path):
    lines = (tmp_path / "table.csv").read_text().split("\n")
    lines = [f"{line},{'gaps' if i == 0 else '' if i == 3 else i}" for i, line in enumerate(lines)]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    code, out, err = pointwise("own", "table.csv", "--human", "ann,bob", "--resamples", 20)
    assert code == 0
    rows = len(own["ann"])
    assert err == (
        f"warning: column 'gaps' of table.csv is left out: 1 of its {rows} rows hold no number, the first is row 2 "
        "('').\n"
    )
    assert "gaps" not in out


def test_no_number_is_cut_off_on_a_narrow_screen(pointwise, own, monkeypatch, tmp_path):
    names = "image,ann,bob,a_metric_of_some_length,another_metric_of_some_length"
    lines = (tmp_path / "table.csv").read_text().split("\n")
    (tmp_path / "table.csv").write_text("\n".join([names, *lines[1:]]))
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = pointwise("own", "table.csv", "--human", "ann,bob", "--group", "image", "--resamples", 1000)
    assert code == 0
    table = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in out.splitlines()[:-1]]
    assert max(map(len, table)) <= 80
    assert "…" not in out
    assert "0.002" in out


# ---- bad input


def test_options_of_the_other_kind(refused, own):
    assert "own needs --human COLUMN" in refused("own", "table.csv")
    for empty in ("", " , "):
        assert "--human is empty; give names separated by commas" in refused("own", "table.csv", "--human", empty)
    said = refused("own", "table.csv", "--human", "ann", "--ridge", "0.1")
    assert "--ridge is for a published set, not for own; leave it out." in said
    said = refused("foil", ".", "--human", "ann")
    assert "--human is for a table of your own (own FILE), not for foil; leave it out." in said
    assert "--metrics is empty" in refused("foil", ".", "--metrics", " , ")


def test_unknown_set_metric_folder_and_encoder(refused, tmp_path, clip):
    assert "'coco' is not one of 'flickr8k-expert', 'flickr8k-cf', 'pascal-50s'" in refused("coco", ".")
    assert "gone is not a folder" in refused("foil", "gone")
    write_foil(tmp_path)
    assert "'cider' is no metric that judged pairs are scored by" in refused("foil", ".", "--metrics", "mid,cider")
    assert "there is no encoder 'clop'" in refused("foil", ".", "--encoder", "clop")
    assert "'pixels' encodes images, not texts" in refused("foil", ".", "--encoder", "pixels")
    said = refused("foil", ".", "--encoder", "pixels", "--text-encoder", clip, "--metrics", "mid,clip_score")
    assert "clip_score compare images and texts by their cosine, which has no meaning between two models" in said


def test_the_model_of_the_published_numbers_is_not_here(refused, tmp_path):
    write_foil(tmp_path)
    said = refused("foil", ".")
    assert "openai/clip-vit-base-patch32" in said
    assert "where there is no network, copy the folder of that model here and give it as --encoder FOLDER" in said


def test_mid_that_cannot_be_fitted_says_what_to_do(refused, pointwise, tmp_path, clip):
    write_foil(tmp_path)
    arguments = ("foil", ".", "--encoder", "pixels:8", "--text-encoder", clip, *QUICK)
    said = refused(*arguments)
    assert (
        "mid cannot be fitted on the 65 reference pairs (image, caption) of foil: 65 pairs are too few for 192 + 8"
        in said
    )
    assert said.endswith("Try --reduce 64 or --ridge 1e-3, or leave mid out of --metrics.")
    for way in (("--reduce", 5), ("--ridge", "1e-3")):
        assert pointwise(*arguments, *way)[0] == 0


def test_nothing_is_encoded_where_the_result_cannot_be_written(refused, tmp_path, clip):
    write_foil(tmp_path)
    assert "gone does not exist" in refused("foil", ".", "--encoder", clip, "--json", "gone/all.json")
