"""pointwise retrieve: tables, stored tokens and images, to the table and the file."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from pointwise._retrieval.retrieval import retrieval
from pointwise.cli import main
from pointwise.pmi.calibration import pmi_calibration
from pointwise.tables.table import FeatureTable
from pointwise.tokens.token_file import save_tokens
from pointwise.tokens.tokenizer import Tokenizer
from pointwise.tokens.tokens import pixels
from pointwise.training.folder import MODEL
from pointwise.training.inputs import Inputs, Pairs
from pointwise.training.model import DualEncoder, FrozenTokens
from pointwise.training.towers import TextTransformer, VisionTransformer

N = 30


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
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            main(["retrieve", *map(str, arguments)])
        return stop.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def refused(pointwise):
    """Run what must be refused: exit status 2, nothing on stdout, and the one line on stderr is returned."""

    def run(*arguments):
        code, out, err = pointwise(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("pointwise: ")
        assert err.count("\n") == 1
        return err

    return run


def rows_of(out):
    """The rows of the printed table, without their frame."""
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in out.splitlines() if line[:1] == "│"]


def pairs(n=N, d=6, seed=0, **columns):
    rng = np.random.default_rng(seed)
    text = rng.normal(size=(n, d))
    return FeatureTable(3 * text + 2 * rng.normal(size=(n, d)), text=text, **columns)


def cosines(table):
    x, y = (rows.numpy() / np.linalg.norm(rows.numpy(), axis=1, keepdims=True) for rows in (table.features, table.text))
    return x @ y.T


def agrees(report, found):
    for way in ("image_to_text", "text_to_image"):
        direction = getattr(found, way)
        assert report[way]["ranks"] == direction.ranks.tolist()
        for name, value in direction.to_dict().items():
            assert report[way][name]["value"] == pytest.approx(value, abs=1e-12)
        assert (report[way]["recall@1"]["low"], report[way]["recall@1"]["high"]) == direction.recall[1].interval()
        assert (
            report[way]["median_rank"]["low"],
            report[way]["median_rank"]["high"],
        ) == direction.median_rank_interval()


# ---- tables


def test_a_table_by_cosines(pointwise):
    table = pairs(ids=[f"{i}.png" for i in range(N)], captions=[f"text {i}" for i in range(N)])
    table.save("pairs.parquet")
    found = retrieval(cosines(table))
    code, out, err = pointwise("pairs.parquet", "--json", "all.json")
    assert (code, err) == (0, "")
    rows = rows_of(out)
    assert [row[0] for row in rows] == ["R@1", "R@5", "R@10", "MRR", "median rank"]
    first = found.image_to_text.recall[1]
    assert rows[0][1:3] == [f"{first.value:.3f}", "{:.3f} to {:.3f}".format(*first.interval())]
    assert rows[2][3] == f"{found.text_to_image.recall[10].value:.3f}"
    assert rows[3][1] == f"{found.image_to_text.reciprocal_rank.value:.3f}"
    assert rows[4][3] == f"{found.text_to_image.median_rank:g}"
    assert "30 images and 30 texts, by cosine." in out
    assert "Everything, down to the rank of each item, is in all.json." in out
    with open("all.json") as file:
        report = json.load(file)
    agrees(report, found)
    assert (report["images"], report["texts"], report["similarity"]) == (N, N, "cosine")
    assert report["ids"] == table.ids.tolist()
    assert report["captions"] == table.captions.tolist()
    assert "calibration" not in report


def test_products_in_place_of_cosines(pointwise):
    table = pairs(seed=1)
    table.save("pairs.npz")
    code, out, err = pointwise("pairs.npz", "--similarity", "dot", "--json", "-")
    assert (code, err) == (0, "")
    report = json.loads(out)
    agrees(report, retrieval(table.features.numpy() @ table.text.numpy().T))
    assert (report["similarity"], report["ids"], report["captions"]) == ("dot", None, None)


def test_rows_of_one_id_are_one_image(pointwise):
    table = pairs()
    image_of = np.random.default_rng(3).permutation(np.repeat(np.arange(10), 3))
    features = table.features[image_of]
    FeatureTable(features, text=table.text, ids=image_of + 100).save("pairs.npz")
    report = json.loads(pointwise("pairs.npz", "--json", "-")[1])
    agrees(report, retrieval(cosines(table)[:10], groups_y=image_of))
    assert (report["images"], report["texts"]) == (10, 30)
    assert report["ids"] == list(range(100, 110))
    assert report["text_to_image"]["image_of"] == image_of.tolist()


def test_captions_of_several_images_are_said(pointwise):
    pairs(captions=["a dog", "a cat", "a dog", *map(str, range(N - 3))]).save("pairs.npz")
    code, _, err = pointwise("pairs.npz")
    assert code == 0
    assert err == (
        "warning: 1 captions belong to several images each (the first: 'a dog'); only the image of the same row counts "
        "as right.\n"
    )


# ---- models


def token_pairs(seed=0):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(5) < torch.randint(1, 6, (N, 1), generator=generator)
    return Pairs(
        Inputs(torch.randn(N, 4, 7, generator=generator)),
        Inputs(torch.randn(N, 5, 3, generator=generator), mask),
    )


@pytest.mark.parametrize("similarity", ["kme", "wpse", "clip"])
def test_stored_tokens_by_a_model(pointwise, tmp_path, similarity):
    model = DualEncoder(FrozenTokens(width=7), FrozenTokens(width=3), similarity=similarity, points=2, dim=4)
    (tmp_path / "trained").mkdir()
    model.save(f"trained/{MODEL}")
    some = token_pairs()
    save_tokens("tokens.safetensors", some, ids=[f"{i:02}" for i in range(N)], captions=["text"] * N, meta={})
    with torch.no_grad():
        s = model(*some)
    code, out, err = pointwise("tokens.safetensors", "--model", "trained", "--json", "all.json")
    assert code == 0
    assert err.startswith("warning: 1 captions belong to several images each")
    with open("all.json") as file:
        report = json.load(file)
    agrees(report, retrieval(s))
    calibration = pmi_calibration(s)
    for name, value in calibration.to_dict().items():
        got = report["calibration"][name]
        assert (got["value"] if name == "mutual_information" else got) == pytest.approx(value, rel=1e-4, abs=1e-4)
    assert report["calibration"]["pmi"] == pytest.approx(calibration.mutual_information.per_sample, abs=1e-3)
    assert f"30 images and 30 texts, by the {similarity} model trained." in out
    printed = float(re.search(r"Mutual information (\S+) nats", out)[1])
    assert printed == pytest.approx(calibration.mutual_information.value, abs=6e-4)


def test_images_with_captions_by_a_model(pointwise, tmp_path):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, size=(6, 16, 16, 3), dtype=np.uint8)
    (tmp_path / "pictures").mkdir()
    texts = [f"a picture, number {i}" for i in range(6)]
    for i, (picture, text) in enumerate(zip(pictures, texts, strict=True)):
        Image.fromarray(picture).save(f"pictures/{i}.png")
        (tmp_path / "pictures" / f"{i}.txt").write_text(text)
    words = Tokenizer("bytes", context=20)
    model = DualEncoder(
        VisionTransformer(image_size=16, patch=8, width=32, depth=1, seed=0),
        TextTransformer(vocabulary=words.vocabulary, context=20, width=32, depth=1, seed=0),
        points=2,
        dim=4,
        meta={"tokenizer": words.name},
    )
    model.save("model.safetensors")
    code, out, err = pointwise("pictures", "--model", "model.safetensors", "--json", "-")
    assert (code, err) == (0, "")
    report = json.loads(out)
    with torch.no_grad():
        s = model(pixels(list(pictures), image_size=16), words(texts))
    agrees(report, retrieval(s))
    assert report["captions"] == texts


# ---- distractors


def alone(m=20, d=6, seed=1):
    return FeatureTable(np.random.default_rng(seed).normal(size=(m, d)) * 3)


def test_distractors_are_candidates_of_texts_and_no_queries(pointwise):
    table, more = pairs(), alone()
    table.save("pairs.npz")
    more.save("more.npz")
    x = torch.cat([table.features, more.features]).double().numpy()
    y = table.text.double().numpy()
    cosine = (x / np.linalg.norm(x, axis=1, keepdims=True)) @ (y / np.linalg.norm(y, axis=1, keepdims=True)).T
    found = retrieval(cosine, groups_y=np.arange(N))
    code, out, err = pointwise("pairs.npz", "--distractors", "more.npz", "--json", "all.json")
    assert (code, err) == (0, "")
    assert "30 images and 30 texts among 20 more images without a text, by cosine." in out
    with open("all.json") as file:
        report = json.load(file)
    agrees(report, found)
    assert (report["images"], report["texts"], report["distractors"]) == (N, N, 20)
    assert len(report["image_to_text"]["ranks"]) == len(report["text_to_image"]["ranks"]) == N
    without = json.loads(pointwise("pairs.npz", "--json", "-")[1])
    assert report["image_to_text"] == without["image_to_text"]
    assert report["text_to_image"]["recall@1"]["value"] < without["text_to_image"]["recall@1"]["value"]
    assert without["distractors"] == 0


def test_distractors_of_a_model_leave_its_calibration_as_it_is(pointwise):
    model = DualEncoder(FrozenTokens(width=7), FrozenTokens(width=3), points=2, dim=4)
    model.save("model.safetensors")
    for name, some in (("some", token_pairs()), ("more", token_pairs(seed=1))):
        ids = [f"{i:02}" for i in range(N)]
        save_tokens(f"{name}.safetensors", some, ids=ids, captions=ids, meta={})
    images = torch.cat([token_pairs().images.x, token_pairs(seed=1).images.x])
    with torch.no_grad():
        s = model(Inputs(images), token_pairs().texts)
    options = ("some.safetensors", "--model", "model.safetensors", "--json", "-")
    code, out, err = pointwise(*options, "--distractors", "more.safetensors")
    assert (code, err) == (0, "")
    report = json.loads(out)
    agrees(report, retrieval(s, groups_y=np.arange(N)))
    with_pairs_alone = json.loads(pointwise(*options)[1])["calibration"]
    assert report["calibration"]["pmi"] == pytest.approx(with_pairs_alone["pmi"], abs=1e-4)
    assert report["calibration"]["constant"] == pytest.approx(with_pairs_alone["constant"], abs=1e-4)


def test_pictures_as_distractors_of_a_model_that_reads_them(pointwise, tmp_path):
    rng = np.random.default_rng(0)
    for folder, count in (("pictures", 5), ("more", 3)):
        (tmp_path / folder).mkdir()
        for i in range(count):
            Image.fromarray(rng.integers(0, 256, size=(16, 16, 3), dtype=np.uint8)).save(f"{folder}/{i}.png")
            if folder == "pictures":
                (tmp_path / folder / f"{i}.txt").write_text(f"number {i}")
    words = Tokenizer("bytes", context=20)
    DualEncoder(
        VisionTransformer(image_size=16, patch=8, width=32, depth=1, seed=0),
        TextTransformer(vocabulary=words.vocabulary, context=20, width=32, depth=1, seed=0),
        points=2,
        dim=4,
        meta={"tokenizer": words.name},
    ).save("model.safetensors")
    code, out, err = pointwise("pictures", "--model", "model.safetensors", "--distractors", "more")
    assert (code, err) == (0, "")
    assert "5 images and 5 texts among 3 more images without a text, by the kme model" in out
    assert pointwise("pictures", "--model", "model.safetensors", "--distractors", "pictures")[2].startswith(
        "warning: 5 of the 5 distractors in pictures are the same as an image that texts belong to"
    )


def test_distractors_that_cannot_be_compared_are_refused(refused, tmp_path):
    pairs(meta={"encoder": "a", "text_encoder": "a"}).save("pairs.npz")
    alone(d=5).save("narrow.npz")
    FeatureTable(np.eye(6), meta={"encoder": "b"}).save("other.npz")
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (4, 4)).save("pictures/0.png")
    assert "gone does not exist; give a table of images." in refused("pairs.npz", "--distractors", "gone")
    assert (
        "the images of narrow.npz are arrays [1, 5] of an unnamed encoder, and those to be found arrays [1, 6] of a; "
        "encode both by the same."
    ) in refused("pairs.npz", "--distractors", "narrow.npz")
    assert "arrays [1, 6] of b, and those" in refused("pairs.npz", "--distractors", "other.npz")
    assert "pictures holds images; make a table of them first" in refused("pairs.npz", "--distractors", "pictures")
    FeatureTable(np.eye(6) * [[1], [1], [0], [1], [1], [1]]).save("zero.npz")
    assert "the distractor features of row 2 are all zeros" in refused("pairs.npz", "--distractors", "zero.npz")


# ---- what is refused


def test_what_cannot_be_searched_is_refused(refused, tmp_path):
    pairs(n=3).save("pairs.npz")
    FeatureTable(np.eye(3)).save("alone.npz")
    FeatureTable(np.zeros((0, 2)), text=np.zeros((0, 2))).save("empty.npz")
    FeatureTable(np.eye(3), text=np.eye(3)[[0, 0, 2]] * [[1], [0], [1]]).save("zero.npz")
    FeatureTable(np.eye(3), text=np.eye(3), ids=[7, 8, 7]).save("ids.npz")
    FeatureTable(np.eye(2), text=np.eye(2), meta={"encoder": "a", "text_encoder": "b"}).save("two.npz")
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (4, 4)).save("pictures/0.png")
    assert "gone.npz does not exist; give a table with text features." in refused("gone.npz")
    assert "the table alone.npz has no text features; make one of pairs by" in refused("alone.npz")
    assert "the table empty.npz has no rows" in refused("empty.npz")
    assert "the text features of row 1 are all zeros" in refused("zero.npz")
    assert "rows 0 and 2 of ids.npz have the same id 7 and different features" in refused("ids.npz")
    assert "these come from a and b" in refused("two.npz")
    assert "pictures holds images. Make a table of them first: pointwise encode pictures" in refused("pictures")
    assert "--captions is for a model of pairs" in refused("pairs.npz", "--captions", "c.csv")
    assert "--device is for a model of pairs" in refused("pairs.npz", "--device", "cpu")
    assert "cannot write no/where.json" in refused("pairs.npz", "--json", "no/where.json")
    assert "gone does not exist; give the folder that pointwise train wrote" in refused("pairs.npz", "--model", "gone")
    assert "a model has its own; leave it out beside --model" in refused(
        "pairs.npz", "--model", "gone", "--similarity", "cosine"
    )


def test_a_model_of_other_features_is_refused(refused):
    frozen = DualEncoder(
        FrozenTokens(width=6), FrozenTokens(width=6), points=1, dim=4, meta={"image_encoder": "a", "text_encoder": "b"}
    )
    frozen.save("frozen.safetensors")
    words = Tokenizer("bytes", context=9)
    DualEncoder(
        FrozenTokens(width=6),
        TextTransformer(vocabulary=words.vocabulary, context=9, width=32, depth=1, seed=0),
        points=1,
        dim=4,
    ).save("reads.safetensors")
    pairs(d=5).save("narrow.npz")
    pairs(d=6, meta={"encoder": "a", "text_encoder": "c"}).save("other.npz")
    pairs(d=6).save("pairs.npz")
    assert (
        "the image features of narrow.npz are 5 columns of an unnamed encoder; the model was trained on 6 of a: encode "
        "by that."
    ) in refused("narrow.npz", "--model", "frozen.safetensors")
    assert "the text features of other.npz are 6 columns of c; the model was trained on 6 of b" in refused(
        "other.npz", "--model", "frozen.safetensors"
    )
    assert "the model makes its own features of texts; give images with captions, not pairs.npz" in refused(
        "pairs.npz", "--model", "reads.safetensors"
    )
    assert "pairs.npz holds features of texts already; leave --captions out" in refused(
        "pairs.npz", "--model", "frozen.safetensors", "--captions", "c.csv"
    )
    save_tokens("tokens.safetensors", token_pairs(), ids=list(map(str, range(N))), captions=["text"] * N, meta={})
    assert "tokens.safetensors holds tokens; give the model that was trained on such" in refused("tokens.safetensors")
    missing = "gone does not exist; give a table with text features, or images."
    assert missing in refused("gone", "--model", "frozen.safetensors")


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without CUDA")
def test_a_device_that_is_not_there_is_refused(refused):
    pairs().save("pairs.npz")
    DualEncoder(FrozenTokens(width=6), FrozenTokens(width=6), points=1, dim=4).save("model.safetensors")
    options = ("--model", "model.safetensors", "--device", "cuda")
    assert "device 'cuda' cannot be used here" in refused("pairs.npz", *options)
