"""Encoding a source gives one row per picture that can be read, in the order of the source, whatever the batches."""

import hashlib
import io
import json
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from pointwise.encoders import load_encoder
from pointwise.encoding import encode, items
from pointwise.encoding.run import Run
from pointwise.errors import InputError
from pointwise.items.images import open_images
from pointwise.tables.rows import READERS


def png(level: int) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (4, 4), level).save(stream, "png")
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path):
    """Six pictures of two modes, of grey levels 0 to 5, of which the second and the fifth are damaged."""
    for i in range(6):
        path = tmp_path / "folder" / f"mode{i // 3}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(i)[: 30 if i in (1, 4) else None])
    return tmp_path / "folder"


class Means:
    """An encoder that is none of ours: two features, and a note of how many pictures came at once."""

    name, dim, meta = "means", 2, {"weights_sha256": "none"}

    def __init__(self) -> None:
        self.batches: list[int] = []

    def encode(self, images):
        self.batches.append(len(images))
        return torch.tensor([[float(image.mean()), float(image.shape[0])] for image in images])


class Lengths:
    """A text encoder that is none of ours: the number of letters and of words; reads three words."""

    name, dim, meta, max_tokens = "lengths", 2, {"pooling": "none", "max_tokens": 3}, 3

    def count_tokens(self, texts):
        return [len(text.split()) for text in texts]

    def encode(self, texts):
        return torch.tensor([[float(len(text)), float(len(text.split()))] for text in texts])


def tar_of(path, files):
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


@pytest.mark.parametrize("batch_size", [None, 1, 3, 4])
def test_rows_follow_the_source_and_bad_images_are_skipped_counted_and_named(folder, batch_size):
    seen = []
    table = encode(
        folder,
        encoder=Means(),
        skip_bad=True,
        batch_size=batch_size,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert table.features.tolist() == [[0, 4], [2, 4], [3, 4], [5, 4]]
    assert table.features.dtype == torch.float32
    assert table.ids.tolist() == ["mode0/0.png", "mode0/2.png", "mode1/3.png", "mode1/5.png"]
    assert table.modes.tolist() == ["mode0", "mode0", "mode1", "mode1"]
    assert (table.meta["encoder"], table.meta["weights_sha256"]) == ("means", "none")
    assert (table.meta["source"], table.meta["images"], table.meta["skipped"]) == (str(folder), 6, 2)
    assert [message.split(" cannot")[0] for message in table.meta["skipped_first"]] == [
        f"{folder}: mode0/1.png",
        f"{folder}: mode1/4.png",
    ]
    assert seen[-1] == (6, 6)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_progress_ends_at_the_total_when_the_last_image_is_bad(folder):
    seen = []
    (folder / "mode1" / "5.png").write_bytes(b"")
    encode(folder, encoder=Means(), skip_bad=True, batch_size=1, progress=lambda *counts: seen.append(counts))
    assert seen[-1] == (6, 6)


def test_a_bad_image_stops_the_encoding_unless_it_is_skipped(folder):
    with pytest.raises(InputError, match=r"mode0/1\.png cannot be read as an image: .* --skip-bad, or skip_bad=True"):
        encode(folder, encoder=Means())


def test_a_source_of_bad_images_only_is_refused(folder):
    for path in folder.glob("*/*.png"):
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"none of the 6 images of .* can be read; the first: .*mode0/0\.png"):
        encode(folder, encoder=Means(), skip_bad=True)


def test_batches_hold_as_many_as_asked_and_fewer_where_pictures_are_large():
    encoder = Means()
    encode(np.zeros((10, 4, 4), dtype=np.uint8), encoder=encoder, batch_size=4)
    assert encoder.batches == [4, 4, 2]
    large = np.zeros((5, 40, 50), dtype=np.uint8)  # 6,000 bytes each as RGB
    opened = items.open_items(large, captions=None, beside=False, only_matching=False)
    run = Run(opened, encoder, None, batch_bytes=10_000)
    assert run.encode(range(5), lambda batches: [batch.places for batch in batches])[0] == [[0, 1], [2, 3], [4]]


def test_images_in_another_reading_order_keep_their_rows(tmp_path):
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        for level in (3, 1, 2):
            member = tarfile.TarInfo(f"{level}.png")
            member.size = len(png(level))
            archive.addfile(member, io.BytesIO(png(level)))
    table = encode(tmp_path / "a.tgz", encoder=Means(), batch_size=2)
    assert table.ids.tolist() == ["1.png", "2.png", "3.png"]
    assert table.features[:, 0].tolist() == [1, 2, 3]
    assert table.modes is None


def test_opened_images_are_a_source_too(folder):
    (folder / "mode0" / "1.png").unlink()
    (folder / "mode1" / "4.png").unlink()
    images = open_images(folder)
    assert encode(images, encoder=Means()).ids.tolist() == images.ids.tolist()


# ---- captions


@pytest.fixture
def captioned(folder):
    """The six pictures, and a file with their captions."""
    with open(folder.parent / "captions.jsonl", "w", encoding="utf-8") as file:
        for i in reversed(range(6)):
            words = " ".join(["grey"] * (i + 1))
            file.write(json.dumps({"file_name": f"mode{i // 3}/{i}.png", "caption": words}) + "\n")
    return folder.parent / "captions.jsonl"


@pytest.mark.parametrize("batch_size", [None, 1, 4])
def test_pictures_with_captions_have_both_and_a_picture_that_is_skipped_takes_its_caption_along(
    folder, captioned, batch_size
):
    said = []
    table = encode(
        folder,
        encoder=Means(),
        text_encoder=Lengths(),
        captions=captioned,
        skip_bad=True,
        batch_size=batch_size,
        say=said.append,
    )
    assert table.features[:, 0].tolist() == [0, 2, 3, 5]
    assert table.text.tolist() == [[4, 1], [14, 3], [19, 4], [29, 6]]
    assert table.captions.tolist() == [" ".join(["grey"] * n) for n in (1, 3, 4, 6)]
    assert table.ids.tolist() == ["mode0/0.png", "mode0/2.png", "mode1/3.png", "mode1/5.png"]
    assert said == ["2 of 4 captions are longer than the 3 tokens that lengths reads, and were cut to these."]
    meta = {name: value for name, value in table.meta.items() if name not in ("skipped_first", "key", "items_sha256")}
    assert meta == {
        "encoder": "means",
        "weights_sha256": "none",
        "text_encoder": "lengths",
        "text_pooling": "none",
        "text_max_tokens": 3,
        "source": str(folder),
        "images": 6,
        "captions_source": str(captioned),
        "skipped": 2,
        "captions_truncated": 2,
        "max_tokens": 3,
        "batch_size": batch_size or 64,
    }


def test_captions_alone_give_a_table_of_texts(captioned):
    table = encode(captioned, text_encoder=Lengths())
    assert table.features.tolist() == [[5 * n - 1, n] for n in (6, 5, 4, 3, 2, 1)]
    assert table.ids.tolist() == [f"mode{i // 3}/{i}.png" for i in reversed(range(6))]
    assert table.captions[-1] == "grey"
    assert (table.text, table.modes) == (None, None)
    assert (table.meta["encoder"], table.meta["pooling"], table.meta["captions_truncated"]) == ("lengths", "none", 3)
    assert "images" not in table.meta


@pytest.mark.parametrize("suffix", [*READERS, ".txt"])
def test_every_file_of_captions_is_a_source(suffix):
    assert suffix in items._CAPTIONS


def test_captions_without_names_are_numbered(tmp_path):
    (tmp_path / "prompts.txt").write_text("a cat\na dog\n")
    table = encode(tmp_path / "prompts.txt", text_encoder=Lengths())
    assert table.ids.tolist() == [0, 1]
    assert table.captions.tolist() == ["a cat", "a dog"]


def test_texts_beside_the_pictures_are_taken_with_a_text_encoder_and_left_alone_without(tmp_path):
    files = {"1.png": png(1), "1.txt": b"one", "0.png": png(0), "0.txt": b"nought"}
    tar = tar_of(tmp_path / "pairs.tar", files)
    table = encode(tar, encoder=Means(), text_encoder=Lengths(), batch_size=1)
    assert table.ids.tolist() == ["0.png", "1.png"]
    assert table.features[:, 0].tolist() == [0, 1]
    assert table.text[:, 0].tolist() == [6, 3]
    assert table.captions.tolist() == ["nought", "one"]
    assert table.meta["captions_source"] == str(tar)
    assert encode(tar, encoder=Means()).text is None


def test_only_matching_keeps_the_pairs_and_says_how_captions_were_matched(folder, captioned):
    lines = captioned.read_text().splitlines()
    captioned.write_text("\n".join(lines[1:-1]).replace("mode0/", "").replace("mode1/", ""))
    options = {"encoder": Means(), "text_encoder": Lengths(), "captions": captioned, "skip_bad": True}
    with pytest.raises(InputError, match=r"2 of 6 images of .* have no caption \(first: mode0/0\.png, mode1/5\.png\)"):
        encode(folder, **options)
    said = []
    table = encode(folder, only_matching=True, say=said.append, **options)
    assert table.ids.tolist() == ["mode0/2.png", "mode1/3.png"]
    assert table.captions.tolist() == ["grey grey grey", "grey grey grey grey"]
    assert (table.meta["images"], table.meta["skipped"]) == (4, 2)
    assert said[0] == f"{captioned} names images by file name."
    assert "the 4 images with a caption are kept" in said[1]


def test_what_cannot_be_matched_is_refused(folder, captioned):
    with pytest.raises(
        InputError, match=r"captions\.jsonl is a file of captions, and .*captions\.jsonl are captions too"
    ):
        encode(captioned, captions=captioned, text_encoder=Lengths())
    with pytest.raises(InputError, match=r"only_matching \(--only-matching\) .* there are no captions; give a file"):
        encode(folder, encoder=Means(), only_matching=True)
    with pytest.raises(InputError, match=r"a text encoder is given, but an array has no captions; give a file of them"):
        encode(np.zeros((2, 4, 4), dtype=np.uint8), encoder=Means(), text_encoder=Lengths())
    with pytest.raises(InputError, match=r"cannot read captions from .*folder: it holds 6 images and no captions"):
        encode(folder, encoder=Means(), text_encoder=Lengths())
    with pytest.raises(InputError, match=r"gone\.csv does not exist; give a file, folder or archive of captions"):
        encode(folder, encoder=Means(), captions="gone.csv", text_encoder=Lengths())
    with pytest.raises(InputError, match=r"gone does not exist; give a file, folder or archive of images or captions"):
        encode("gone", encoder=Means())


def test_without_a_text_encoder_it_is_the_text_tower_of_the_encoder_or_minilm(folder, captioned, tmp_path):
    pytest.importorskip("transformers")
    from encoders.tiny_models import save_tiny_clip, save_tiny_dinov2

    for path in (folder / "mode0" / "1.png", folder / "mode1" / "4.png"):
        path.write_bytes(png(1))
    model = save_tiny_clip(tmp_path / "clip")
    table = encode(folder, encoder=str(model), captions=captioned)
    assert table.meta["encoder"] == table.meta["text_encoder"] == f"transformers:{model}"
    assert table.text.shape[1] == table.dim
    texts = encode(captioned, encoder=str(model))
    assert texts.meta["encoder"] == f"transformers:{model}"
    assert torch.allclose(texts.features.flip(0), table.text, atol=1e-5)
    vision = save_tiny_dinov2(tmp_path / "dinov2")
    assert encode(folder, encoder=str(vision), captions=captioned).meta["text_encoder"] == "minilm"
    assert encode(captioned).meta["encoder"] == "minilm"
    with pytest.raises(InputError, match=r"'pixels:8' encodes images, not texts; for texts there are minilm, "):
        encode(captioned, encoder="pixels:8")


# ---- what a table depends on


def test_the_key_is_that_of_content_and_encoder_and_of_nothing_else(folder, tmp_path):
    def key(source, **options):
        return encode(source, **({"encoder": Means(), "skip_bad": True} | options)).meta["key"]

    first = key(folder)
    assert key(folder, batch_size=1) == first
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob("*/*.png")}
    assert key(tar_of(tmp_path / "same.tar", dict(reversed(files.items())))) == first
    renamed = {name.replace("5", "6"): data for name, data in files.items()}
    assert key(tar_of(tmp_path / "renamed.tar", renamed)) != first
    (folder / "mode1" / "5.png").write_bytes(png(7))
    changed = key(folder)
    assert changed != first
    assert key(folder, encoder="pixels") != changed


def test_the_digest_of_an_image_is_that_of_its_file_or_of_its_array(folder, tmp_path):
    data = {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.glob("*/*.png"))}
    expected = [hashlib.sha256(content).hexdigest() for content in data.values()]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, content in data.items():
            archive.writestr(name, content)
    for source in (folder, tmp_path / "a.zip", tar_of(tmp_path / "a.tar", data)):
        images = open_images(source)
        assert [images.digest(i) for i in range(6)] == expected
        assert images.digest(-1) == expected[-1]
    arrays = [np.zeros((1, *shape), dtype=np.uint8) for shape in ((2, 3), (3, 2), (2, 3, 3))]
    assert len({open_images(array).digest(0) for array in arrays}) == 3
    gone = open_images(folder)
    (folder / "mode1" / "5.png").unlink()
    with pytest.raises(InputError, match=r"folder: mode1/5\.png cannot be read as an image: .*No such file"):
        gone.digest(5)


def test_a_long_caption_that_makes_all_others_wide_is_named_with_the_memory_that_it_takes(tmp_path):
    (tmp_path / "prompts.txt").write_text("short\n" * 29_999 + "x" * 9_000 + "\n")
    opened = items.open_items(tmp_path / "prompts.txt", captions=None, beside=False, only_matching=False)
    assert opened.notes == (
        "the caption of 29999 has 9000 characters, and in memory each caption of a table takes the room of the "
        "longest: 1.1 GB for 30000; shorten it.",
    )
    (tmp_path / "prompts.txt").write_text("short\n" * 29_999 + "x" * 8_000 + "\n")
    assert items.open_items(tmp_path / "prompts.txt", captions=None, beside=False, only_matching=False).notes == ()


# ---- what an encoder must return


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (
            torch.zeros(1, 2),
            r"encoder 'means' returned an array of shape \(1, 2\) for 4 items; it must be \(4, 2\), a row",
        ),
        (
            torch.zeros(4, 3),
            r"encoder 'means' returned an array of shape \(4, 3\) for 4 items; it must be \(4, 2\), a row",
        ),
        (
            torch.tensor([[0, 0], [0, 0], [0, np.nan], [np.inf, 0]]),
            r"encoder 'means' returned NaN or inf for 2 of 4 items, the first is 2; leave these out",
        ),
    ],
)
def test_rows_of_another_number_width_or_value_are_refused(returned, said):
    encoder = Means()
    encoder.encode = lambda images: returned
    with pytest.raises(InputError, match=said):
        encode(np.zeros((4, 2, 2), dtype=np.uint8), encoder=encoder)


def test_features_in_other_precisions_become_float32():
    encoder = Means()
    encoder.encode = lambda images: torch.ones(len(images), 2, dtype=torch.bfloat16, requires_grad=True)
    table = encode(np.zeros((4, 2, 2), dtype=np.uint8), encoder=encoder)
    assert table.features.dtype == torch.float32
    assert not table.features.requires_grad


def test_meta_of_an_encoder_that_is_no_json_is_said_before_anything_is_encoded():
    encoder = Means()
    encoder.meta = {"weights": torch.zeros(1)}
    with pytest.raises(InputError, match=r"the meta of encoder 'means' must be writable as JSON \(.*Tensor"):
        encode(np.zeros((4, 2, 2), dtype=np.uint8), encoder=encoder)
    assert encoder.batches == []


def test_unknown_names_sizes_devices_and_batch_sizes_say_what_there_is():
    array = np.zeros((1, 4, 4), dtype=np.uint8)
    with pytest.raises(InputError, match=r"there is no encoder 'pixel'; there are bundled, .* Did you mean 'pixels'\?"):
        load_encoder("pixel")
    with pytest.raises(InputError, match=r"there is no encoder 'zzz'; there are bundled, .* Installed.* pixels"):
        encode(array, encoder="zzz")
    with pytest.raises(InputError, match=r"batch_size is 0; it must be a whole number of at least 1"):
        encode(array, encoder="pixels", batch_size=0)
    with pytest.raises(InputError, match=r"device 'abacus' cannot be used here \(.+\); use 'cpu', or 'cuda' on a GPU"):
        load_encoder("bundled", device="abacus")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_an_input_error():
    with pytest.raises(InputError, match=r"device 'cuda' cannot be used here \(.+\); use 'cpu', or 'cuda' on a GPU"):
        load_encoder("bundled", device="cuda")
