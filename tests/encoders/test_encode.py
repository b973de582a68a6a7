"""Encoding a source gives one row per picture that can be read, in the order of the source, whatever the batches."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from pointwise.data.images import open_images
from pointwise.encoders import encode, load_encoder, loop
from pointwise.errors import InputError


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


def test_batches_hold_as_many_as_asked_and_fewer_where_pictures_are_large(monkeypatch):
    encoder = Means()
    encode(np.zeros((10, 4, 4), dtype=np.uint8), encoder=encoder, batch_size=4)
    assert encoder.batches == [4, 4, 2]
    encoder = Means()
    monkeypatch.setattr(loop, "_BATCH_BYTES", 10_000)
    encode(np.zeros((5, 40, 50), dtype=np.uint8), encoder=encoder)  # 6,000 bytes each as RGB
    assert encoder.batches == [2, 2, 1]


def test_images_in_another_reading_order_keep_their_rows(tmp_path):
    import tarfile

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


def test_unknown_names_sizes_devices_and_batch_sizes_say_what_there_is():
    array = np.zeros((1, 4, 4), dtype=np.uint8)
    with pytest.raises(InputError, match=r"there is no encoder 'pixel'; there are bundled, .* Did you mean 'pixels'\?"):
        load_encoder("pixel")
    with pytest.raises(
        InputError, match=r"there is no encoder 'zzz'; there are bundled, efficientnet-lite0, pixels\.$"
    ):
        encode(array, encoder="zzz")
    with pytest.raises(InputError, match=r"batch_size is 0; it must be at least 1"):
        encode(array, encoder="pixels", batch_size=0)
    with pytest.raises(InputError, match=r"the device 'abacus' cannot be used \(.+\); give 'cpu', or None"):
        load_encoder("bundled", device="abacus")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_an_input_error():
    with pytest.raises(InputError, match=r"the device 'cuda' cannot be used \(.+\); give 'cpu', or None"):
        load_encoder("bundled", device="cuda")
