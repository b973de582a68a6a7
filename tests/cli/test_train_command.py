"""pointwise train, from the arguments to the model, the exit status and the sentences on stderr."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

import pointwise as pw
import pointwise.cli.train as module
from pointwise.cli import main
from pointwise.tokens.token_file import load_tokens
from pointwise.tokens.tokens import image_inputs, text_inputs
from pointwise.training.model import DualEncoder

COUNT = 200
COLOURS = {"red": (255, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
SCRATCH = (
    *("--from-scratch", "--tokenizer", "bytes", "--context", 40, "--image-size", 32, "--width", 16, "--depth", 1),
    *("--points", 2, "--dim", 8, "--batch-size", 32, "--warmup", 2, "--lr", 0.005),
)
FROZEN = ("--encoder", "pixels:8", "--points", 2, "--dim", 8, "--batch-size", 8, "--warmup", 2, "--steps", 4)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Pictures of one coloured square each, and captions that say its colour and side."""
    folder = tmp_path_factory.mktemp("rendered")
    rng = np.random.default_rng(0)
    rows = ["file_name,caption"]
    for i in range(COUNT):
        colour, side = rng.choice(list(COLOURS)), rng.choice(["left", "right"])
        picture = np.zeros((32, 32, 3), dtype=np.uint8)
        x, y = rng.integers(0, 7) + 16 * (side == "right"), rng.integers(0, 22)
        picture[y : y + 9, x : x + 9] = COLOURS[colour]
        Image.fromarray(picture).save(folder / f"{i:03}.png")
        rows.append(f"{i:03}.png,{colour} on the {side}")
    (folder / "captions.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture
def pointwise(tmp_path, monkeypatch, capsys):
    """Run the command line in an empty folder: (exit status, stdout, stderr)."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(["train", *(str(argument) for argument in arguments)])
        return stop.value.code, *capsys.readouterr()

    yield run
    torch.set_num_threads(threads)


@pytest.fixture
def refused(pointwise, tmp_path):
    """Run what must be refused: status 2, one sentence on stderr, nothing written. Returns the sentence."""

    def run(*arguments: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        code, out, err = pointwise(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("pointwise: ")
        assert err.count("\n") == 1
        assert "Traceback" not in err
        assert sorted(tmp_path.rglob("*")) == before
        return err

    return run


@pytest.fixture
def table(tmp_path):
    """A table of eighty pairs that share a latent."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(80, 4))
    features, text = (z @ rng.normal(size=(4, width)) + 0.1 * rng.normal(size=(80, width)) for width in (6, 5))
    pw.FeatureTable(features.astype("float32"), text=text.astype("float32")).save(tmp_path / "pairs.npz")
    return "pairs.npz"


def log(folder):
    with open(f"{folder}/log.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.mark.parametrize("similarity", ["kme", "wpse", "clip"])
def test_pictures_and_captions_become_a_model_from_scratch(pointwise, pictures, similarity):
    captions = pictures / "captions.csv"
    command = (pictures, "-o", "run", "--captions", captions, *SCRATCH, "--similarity", similarity, "--steps", 25)
    code, out, err = pointwise(*command)
    assert (code, err) == (0, "")
    assert re.match(
        rf"run/model.safetensors: {similarity}, 2 points of 8 dimensions, [\d,]+ parameters, 200 pairs\. Mean loss of "
        r"the last 25 steps \d\.\d{3} nats: mutual information of the pairs trained on about -?\d\.\d{3} nats \(log B, "
        r"3\.466, is the most that batches of this size can show\)\.\n25 steps in \d+\.\d s\.\n$",
        out,
    )
    lines = log("run")
    assert len(lines) == 25
    assert lines[-1]["loss"] < lines[0]["loss"]
    model = DualEncoder.load("run/model.safetensors")
    assert model.kind == similarity
    pixels = [np.asarray(Image.open(pictures / f"{i:03}.png")) for i in range(3)]
    s = model(image_inputs(model, pixels), text_inputs(model, ["red on the left", "white on the right"]))
    assert s.shape == (3, 2)


def test_pictures_are_cropped_from_scratch_unless_it_is_said_otherwise(pointwise, pictures):
    command = (pictures, "--captions", pictures / "captions.csv", *SCRATCH, "--steps", 2)
    for name, options in (("left", ()), ("given", ("--crop", 0.9)), ("whole", ("--crop", 1))):
        assert pointwise(*command, "-o", name, *options)[0] == 0
    left, given, whole = ([line["loss"] for line in log(name)] for name in ("left", "given", "whole"))
    assert left == given
    assert left != whole


def test_a_run_goes_on_to_the_same_bytes(pointwise, pictures, monkeypatch):
    command = (pictures, "--captions", pictures / "captions.csv", *SCRATCH, "--steps", 6, "--checkpoint-every", 3)
    assert pointwise(*command, "-o", "whole")[0] == 0

    def stopping(*arguments, progress, **options):
        def stop(line):
            if line["step"] == 4:
                raise KeyboardInterrupt

        return run(*arguments, progress=stop, **options)

    run = module.run
    monkeypatch.setattr(module, "run", stopping)
    assert pointwise(*command, "-o", "parts")[0] == 130
    monkeypatch.setattr(module, "run", run)
    code, out, _ = pointwise(*command, "-o", "parts", "--resume")
    assert code == 0
    assert "of the last 3 steps" in out
    for name in ("model.safetensors", "checkpoint.safetensors"):
        with open(f"whole/{name}", "rb") as whole, open(f"parts/{name}", "rb") as parts:
            assert whole.read() == parts.read()
    assert "Its training was over already." in pointwise(*command, "-o", "parts", "--resume")[1]


def test_heads_are_trained_on_tokens_of_frozen_encoders_which_are_kept(pointwise, pictures, tmp_path, monkeypatch):
    command = (pictures, "--captions", pictures / "captions.csv", *FROZEN)
    code, _, err = pointwise(*command, "-o", "run")
    assert code == 0
    assert "encoder pixels:8 gives one feature vector for an item and no tokens" in err
    kept = load_tokens("run/tokens")
    assert kept.pairs.images.x.shape == (COUNT, 1, 192)
    assert kept.pairs.texts.x.shape[::2] == (COUNT, 384)
    assert kept.ids[0] == "000.png"
    assert kept.captions[0] in {f"{colour} on the {side}" for colour in COLOURS for side in ("left", "right")}
    model = DualEncoder.load("run/model.safetensors")
    assert model.meta["image_encoder"] == "pixels:8"
    assert model.meta["text_encoder"] == "minilm"

    from pointwise.tokens import make_tokens

    monkeypatch.setattr(make_tokens, "encode_tokens", None)  # nothing is encoded again
    assert pointwise(*command, "-o", "run", "--resume")[0] == 0
    (tmp_path / "other.csv").write_text((pictures / "captions.csv").read_text().replace("red", "scarlet"))
    kept = {path.name: path.read_bytes() for path in (tmp_path / "run" / "tokens").iterdir()}
    code, _, err = pointwise(pictures, "--captions", "other.csv", *FROZEN, "-o", "run", "--resume")
    assert (code, err.count("\n")) == (2, 1)
    assert "the tokens in run/tokens are of other pictures, captions or encoders than these; a training is res" in err
    assert {path.name: path.read_bytes() for path in (tmp_path / "run" / "tokens").iterdir()} == kept
    code, _, err = pointwise("run/tokens", *FROZEN[2:], "-o", "again")
    assert (code, err) == (0, "")
    first, again = log("run"), log("again")
    assert [line["loss"] for line in first] == [line["loss"] for line in again]


def test_a_table_with_text_is_a_source(pointwise, table):
    code, out, err = pointwise(table, "-o", "run", *FROZEN[2:], "--points", "all")
    assert (code, err) == (0, "")
    assert "kme, one point for each token of 8 dimensions" in out


def test_a_training_that_diverges_ends_with_status_1_and_a_sentence(pointwise, table):
    code, out, err = pointwise(table, "-o", "run", *FROZEN[2:-1], 40, "--lr", 1000, "--checkpoint-every", 1)
    assert (code, out) == (1, "")
    assert re.match(
        r"pointwise: training diverged at step \d+: its loss is nan, the norm of the gradient nan; the last good "
        r"checkpoint is run/checkpoint.safetensors, of step \d+\. Give another folder and a lower learning rate than ",
        err,
    )
    assert err.count("\n") == 1


# ---- held-out pairs

TOLD = (
    r"Their loss is (?P<loss>\d+\.\d{3}) nats: mutual information about -?\d+\.\d{3} nats \(log (?P<n>\d+), "
    r"\d\.\d{3}, is the most it can show\)\. The model has the weights of step (?P<step>\d+), where it was lowest\.\n"
)


def test_a_share_is_held_out_by_groups_of_pictures_and_captions(pointwise, pictures):
    options = ("--captions", pictures / "captions.csv", *SCRATCH, "--steps", 9, "--held-out-every", 4)
    code, out, err = pointwise(pictures, "-o", "run", *options, "--held-out", 0.3)
    assert (code, err) == (0, "")
    told = re.search(
        r"Held out: (\d+) of the 200 pairs of .*rendered\d*; none shares a picture or a caption with those trained on "
        rf"\(pairs that share one were kept together, in 8 groups\)\. {TOLD}",
        out,
    )
    with open("run/held_out.json", encoding="utf-8") as file:
        said = json.load(file)
    captions = dict(line.split(",") for line in (pictures / "captions.csv").read_text().splitlines()[1:])
    sides = [{captions[f"{i:03}.png"] for i in range(COUNT) if (i in said["rows"]) == out} for out in (True, False)]
    assert not sides[0] & sides[1]
    assert len(sides[0]) + len(sides[1]) == 8
    assert said["ids"] == [f"{row:03}.png" for row in said["rows"]]
    assert {name: said[name] for name in ("share", "seed", "pairs", "groups")} == {
        "share": 0.3,
        "seed": 0,
        "pairs": int(told[1]),
        "groups": 8,
    }
    assert said["pairs"] == len(said["rows"]) <= 60
    lines = log("run")
    assert [line["step"] for line in lines if "held_out_loss" in line] == [0, 4, 8, 9]
    best = min((line for line in lines if "held_out_loss" in line), key=lambda line: line["held_out_loss"])
    assert (told["loss"], int(told["step"])) == (f"{best['held_out_loss']:.3f}", best["step"])
    kept = DualEncoder.load("run/model.safetensors").meta["held_out"]
    assert (kept["step"], kept["loss"]) == (best["step"], best["held_out_loss"])

    assert pointwise(pictures, "-o", "run", *options, "--held-out", 0.3, "--resume")[1].startswith("run/model")
    assert pointwise(pictures, "-o", "again", *options, "--held-out", 0.3)[0] == 0
    assert pointwise(pictures, "-o", "other", *options, "--held-out", 0.3, "--seed", 5)[0] == 0
    with open("again/held_out.json", encoding="utf-8") as again, open("other/held_out.json", encoding="utf-8") as other:
        assert json.load(again) == said
        assert json.load(other)["rows"] != said["rows"]


def test_copies_of_pictures_stay_together_though_their_captions_differ(pointwise, tmp_path):
    """Files with the same bytes, for an encoder whose tokens may differ, and one whose picture alone is the same."""
    rng = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    rows = ["file_name,caption"]
    for i in range(60):
        Image.fromarray(np.random.default_rng(i // 3).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(
            tmp_path / "pictures" / f"{i:02}.png", compress_level=int(rng.integers(0, 9))
        )
        rows.append(f"{i:02}.png,caption {i}")
    (tmp_path / "captions.csv").write_text("\n".join(rows))
    for name, options in (("frozen", FROZEN), ("scratch", (*SCRATCH, "--steps", 2, "--batch-size", 8))):
        code, out, _ = pointwise("pictures", "--captions", "captions.csv", "-o", name, *options, "--held-out", 0.2)
        assert code == 0
        assert "Held out: 12 of the 60 pairs of pictures; none shares" in out
        assert "in 20 groups" in out
        with open(f"{name}/held_out.json", encoding="utf-8") as file:
            held_out = json.load(file)["rows"]
        assert len({row // 3 for row in held_out}) == 4


def test_stored_tokens_keep_pairs_of_one_caption_together(pointwise, pictures):
    assert pointwise(pictures, "--captions", pictures / "captions.csv", *FROZEN, "-o", "run")[0] == 0
    code, out, _ = pointwise("run/tokens", *FROZEN[2:], "-o", "again", "--held-out", 0.3)
    assert code == 0
    assert "pairs of run/tokens; none shares" in out
    assert "in 8 groups" in out


def test_other_pairs_are_held_out_by_their_path(pointwise, pictures, tmp_path):
    (tmp_path / "validation").mkdir()
    rows = ["file_name,caption"]
    for i in range(12):
        source = np.asarray(Image.open(pictures / f"{i:03}.png"))
        Image.fromarray(source if i < 3 else 255 - source).save(tmp_path / "validation" / f"{i}.png")
        rows.append(f"{i}.png,{'' if i < 3 else 'not '}seen before {i}")
    (tmp_path / "validation.csv").write_text("\n".join(rows))
    options = ("--captions", pictures / "captions.csv", "--held-out", "validation")
    options += ("--held-out-captions", "validation.csv")
    for name, more in (("frozen", FROZEN), ("scratch", (*SCRATCH, "--steps", 4))):
        code, out, err = pointwise(pictures, "-o", name, *options, *more)
        assert code == 0
        assert "3 of the 12 held-out pairs share a picture or a caption with pairs that are trained on" in err
        assert "Held out: the 12 pairs of validation; 3 share a picture or a caption with those trained on. Th" in out
        assert "200 pairs." in out
        assert log(name)[0]["held_out_batch"] == 12
    code, out, err = pointwise("frozen/tokens", "-o", "stored", "--held-out", "frozen/held_out_tokens", *FROZEN[2:])
    assert code == 0
    stored, first = log("stored"), log("frozen")
    assert [line.get("held_out_loss") for line in stored] == [line.get("held_out_loss") for line in first]


def test_a_table_is_held_out_by_share_or_path(pointwise, table, tmp_path):
    code, out, err = pointwise(table, "-o", "run", *FROZEN[2:], "--held-out", 0.25)
    assert (code, err) == (0, "")
    assert "Held out: 20 of the 80 pairs of pairs.npz; none shares" in out
    pw.load(tmp_path / table)[:30].save(tmp_path / "part.npz")
    code, out, err = pointwise(table, "-o", "path", *FROZEN[2:], "--held-out", "part.npz")
    assert code == 0
    assert "30 of the 30 held-out pairs share" in err


def test_a_model_that_gets_worse_on_held_out_pairs_is_said_to_be_of_no_use(pointwise, table, tmp_path):
    pairs = pw.load(tmp_path / table)
    pw.FeatureTable(pairs.features, text=pairs.text.roll(9, 0)).save(tmp_path / "wrong.npz")
    code, out, _ = pointwise(table, "-o", "run", *FROZEN[2:-1], 60, "--lr", 0.02, "--held-out", "wrong.npz")
    assert code == 0
    assert "It was lowest before the first step: the model has the weights that it started with, and is of" in out


# ---- what is refused, before anything is read


def test_held_out_pairs_of_another_kind_are_refused(refused, pictures, table, tmp_path):
    captions = ("--captions", pictures / "captions.csv")
    assert (
        f"{pictures} holds pictures and pairs.npz holds features; what --held-out names must be of the kind"
        in refused(pictures, "-o", "run", *captions, *FROZEN, "--held-out", "pairs.npz")
    )
    meta = {"encoder": "bundled", "text_encoder": "minilm"}
    for name, change in (("mine", {}), ("theirs", {"text_encoder": "clip"})):
        pw.FeatureTable(
            np.eye(40, 6, dtype="float32"), text=np.eye(40, 5, dtype="float32"), meta={**meta, **change}
        ).save(tmp_path / f"{name}.npz")
    assert (
        "the text features of mine.npz were made by minilm, those of theirs.npz by clip; hold out pairs of the same"
        in refused("mine.npz", "-o", "run", *FROZEN[2:], "--held-out", "theirs.npz")
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--held-out", "1.5"), "--held-out is 1.5; it must be a number above 0 and below 1"),
        (("--held-out", "0"), "--held-out is 0.0; it must be a number above 0"),
        (("--held-out", "nan"), "--held-out is nan; it must be a number above 0"),
        (("--held-out", "10%"), "--held-out is '10%', which is neither a path that exists nor a share of the pairs"),
        (("--held-out-every", 5), "--held-out-every has no meaning without --held-out; leave it out or give that too"),
        (
            ("--held-out", 0.1, "--held-out-captions", "x"),
            "--held-out-captions has no meaning where --held-out is a share of SOURCE; leave it out",
        ),
        (
            ("--held-out", 0.1, "--batch-size", 77),
            "batch_size is 77; it must be from 2 to 72, the number of pairs to train on",
        ),
        (("--held-out", 0.02), "a share of 0.02 of 80 pairs has room for 1, and must hold at least 2"),
        (("--crop", 0.5), "--crop has no meaning where encoders are frozen; leave it out or give --from-scratch"),
        (("--crop", 0), "--crop has no meaning where encoders are frozen"),
    ],
)
def test_held_out_pairs_and_crops_that_make_no_sense_are_refused(refused, table, options, message):
    assert message in refused(table, "-o", "run", *FROZEN[2:], *options)


def test_sources_that_are_no_pairs_are_refused(refused, pictures, tmp_path):
    assert "gone does not exist; give images with captions" in refused("gone", "-o", "run")
    pw.FeatureTable(np.ones((4, 3), dtype="float32")).save(tmp_path / "lone.npz")
    assert "the table lone.npz has no text features" in refused("lone.npz", "-o", "run")
    assert "holds captions alone" in refused(pictures / "captions.csv", "-o", "run")
    assert "captions" in refused(pictures, "-o", "run")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--points", "many"), "points is 'many'; it must be a number of at least 1, or 'all'"),
        (("--points", "0"), "points is 0; it must be a number"),
        (("--width", 3), "--width has no meaning where encoders are frozen; leave it out or give --from-scratch"),
        (
            ("--from-scratch", "--encoder", "bundled", "--text-encoder", "minilm"),
            "--encoder, --text-encoder have no meaning where --from-scratch is given; leave them out.",
        ),
        (("--batch-size", 201), "batch_size is 201; it must be from 2 to 200, the number of pairs"),
        (("--resume",), "there is no run/checkpoint.safetensors to go on from"),
        (("--text-encoder", "none", "--batch-size", 8), "there is no text encoder 'none'"),
        (("--lr", 0), "learning_rate is 0.0; it must be a number above 0 and at most 1000"),
        (("--batch-size", 1), "batch_size is 1; it must be a whole number of at least 2"),
        (("--from-scratch", "--crop", 0), "crop is 0.0; it must be a number above 0 and at most 1"),
        (("--steps", "many"), "Invalid value for '--steps': 'many' is not a valid integer"),
        (("--device", "cuda:77"), "device 'cuda:77' cannot be used here"),
        (("--encoder", "none", "--batch-size", 8), "there is no encoder 'none'"),
        (("--from-scratch", "--tokenizer", "bytes", "--patch", 7), "patches of 7 x 7 do not fill"),
    ],
)
def test_options_that_make_no_sense_are_refused(refused, pictures, options, message):
    assert message in refused(pictures, "-o", "run", "--captions", pictures / "captions.csv", *options)


def test_features_of_pairs_need_no_encoder(refused, table):
    sentence = refused(table, "-o", "run", "--encoder", "bundled", "--captions", "captions.csv")
    assert (
        "--captions, --encoder have no meaning where pairs.npz holds features of pairs already; leave them" in sentence
    )


def test_a_checkpoint_is_not_overwritten(pointwise, refused, table):
    assert pointwise(table, "-o", "run", *FROZEN[2:])[0] == 0
    assert "run/checkpoint.safetensors is there; go on from it" in refused(table, "-o", "run", *FROZEN[2:])
    assert "was made with another steps: 4, and now it is 2000" in refused(
        table, "-o", "run", *FROZEN[2:-2], "--resume"
    )
