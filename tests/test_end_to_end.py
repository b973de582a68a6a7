"""From models in the hub's format, pictures and captions on disk to the numbers of a comparison."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image

import pointwise as pw
from encoders.tiny_models import save_tiny_clip, save_tiny_dinov2
from pointwise.cli import main
from pointwise.encoders import load_encoder, load_text_encoder

COUNT = 110  # r_precision takes 99 other captions
ALIGNMENT = ["mid", "clip_score", "r_precision", "info_nce"]
WORDS = ("a", "an", "in", "of", "on", "the", "dog", "cat")  # few letters, so that five are not cut


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two models, pictures of two kinds with a caption each, and the same captions one picture further on."""
    place = tmp_path_factory.mktemp("place")
    save_tiny_clip(place / "clip")
    save_tiny_dinov2(place / "dinov2")
    rng = np.random.default_rng(0)
    captions = [" ".join(rng.choice(WORDS, size=5)) for _ in range(COUNT)]
    for kind in ("real", "fake"):
        (place / kind).mkdir()
        for i in range(COUNT):
            height, width = rng.integers(3, 40, size=2)
            pixels = rng.integers(256, size=(height, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / kind / f"{i:02}.png")
    for name, texts in (("captions", captions), ("shifted", captions[1:] + captions[:1])):
        with (place / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("image", "caption"), *((f"{i:02}.png", text) for i, text in enumerate(texts))])
    return place


@pytest.fixture
def pointwise(place, monkeypatch, capsys):
    """Run the command line in that place; what it prints on stdout."""
    monkeypatch.chdir(place)

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        printed = capsys.readouterr()
        assert stop.value.code == 0, printed.err
        return printed.out

    return run


def test_pictures_and_captions_by_clip_are_compared_with_their_alignment(pointwise, place):
    for kind, captions in (("real", "captions"), ("fake", "captions"), ("fake", "shifted")):
        table = f"{kind}-{captions}.npz"
        said = pointwise("encode", kind, "-o", table, "--encoder", "./clip", "--captions", f"{captions}.csv")
        assert said.startswith(
            f"{table}: {COUNT} rows of 8 features by transformers:./clip and text by transformers:./clip, in"
        )
    real, fake = pw.load("real-captions.npz"), pw.load("fake-captions.npz")
    pictures = [np.asarray(Image.open(file)) for file in sorted((place / "fake").iterdir())]
    image, text = load_encoder("./clip", device="cpu"), load_text_encoder("./clip", device="cpu")
    torch.testing.assert_close(fake.features, image.encode(pictures), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fake.text, text.encode(list(fake.captions)), rtol=1e-4, atol=1e-5)
    assert fake.ids.tolist() == sorted(file.name for file in (place / "fake").iterdir())

    pairs = pw.GaussianPair()
    pairs.update(real.features, real.text)
    values = []
    for table in ("fake-captions.npz", "fake-shifted.npz"):
        printed = pointwise("compare", "real-captions.npz", table, "--json", "all.json")
        assert [name for name in ("pce", "frechet", *ALIGNMENT) if f" {name} " not in printed] == []
        evaluation, features, texts = pw.Evaluation.from_json("all.json"), pw.load(table).features, pw.load(table).text
        expected = {
            "mid": pairs.pmi(features, texts),
            "clip_score": pw.clip_score(features, texts),
            "r_precision": pw.r_precision(features, texts),
            "info_nce": pw.info_nce_score(features, texts),
        }
        values.append([evaluation[name].value for name in ALIGNMENT])
        assert values[-1] == pytest.approx([expected[name].value for name in ALIGNMENT])
    assert np.isfinite(values).all()
    assert values[0] != pytest.approx(values[1])


def test_pictures_are_encoded_by_the_dinov2_that_the_table_names_and_compared(pointwise):
    pointwise("encode", "real", "-o", "real-dinov2/", "--encoder", "transformers:dinov2")
    assert pw.load("real-dinov2").meta["pooling"] == "pooled output"
    printed = pointwise("compare", "real-dinov2", "fake", "--json", "dinov2.json")
    assert " pce " in printed
    assert " mid " not in printed
    provenance = pw.Evaluation.from_json("dinov2.json").provenance
    assert provenance["generated"]["columns"] == 16
    assert provenance["generated"]["meta"]["weights_sha256"] == provenance["real"]["meta"]["weights_sha256"]
