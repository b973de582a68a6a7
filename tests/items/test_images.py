"""Every source of images gives the same pixels, in a stated order, and says what it cannot read."""

import io
import os
import shutil
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image
from writers import write_files, write_folder, write_tar, write_zip

from pointwise.errors import InputError
from pointwise.items.images import SUFFIXES, is_images, open_images, resize

NAMES = ("cat/b.png", "cat/a.png", "dog/deep/c.png")  # not in the order of their names


def picture(seed: int, *, height: int = 5, width: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def png(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "png")
    return stream.getvalue()


def contents(names: tuple[str, ...] = NAMES) -> dict[str, bytes]:
    return {name: png(picture(i)) for i, name in enumerate(names)}


@pytest.fixture(params=["folder", "a.zip", "a.tar", "a.tar.gz", "a.tgz"])
def place(request, tmp_path):
    return tmp_path / request.param


def test_every_source_gives_sorted_ids_top_folders_as_modes_and_the_same_pixels(place):
    images = open_images(write_files(place, contents()))
    assert len(images) == 3
    assert images.ids.tolist() == ["cat/a.png", "cat/b.png", "dog/deep/c.png"]
    assert images.modes.tolist() == ["cat", "cat", "dog"]
    assert sorted(images.reading_order) == [0, 1, 2]
    for i, seed in enumerate((1, 0, 2)):
        np.testing.assert_array_equal(images[i], picture(seed))
        assert images[i].dtype == np.uint8
    np.testing.assert_array_equal(images[-1], images[2])


def test_files_without_folders_have_no_modes(place):
    images = open_images(write_files(place, contents(("b.png", "a.png"))))
    assert images.ids.tolist() == ["a.png", "b.png"]
    assert images.modes is None


def test_images_beside_the_mode_folders_are_refused_with_both_counts(place):
    with pytest.raises(
        InputError, match=r"holds 1 images beside its sub-folders \(the first is c\.png\) and 2 in them"
    ):
        open_images(write_files(place, contents(("cat/a.png", "c.png", "cat/b.png"))))


def test_hidden_files_and_other_suffixes_are_left_out(place):
    files = contents(("cat/a.PNG", "dog/b.png"))
    extra = {"__MACOSX/cat/._a.png": b"junk", ".hidden/c.png": b"junk", "cat/.d.png": b"junk", "cat/notes.txt": b"text"}
    assert open_images(write_files(place, files | extra)).ids.tolist() == ["cat/a.PNG", "dog/b.png"]


def test_a_source_without_images_says_which_suffixes_were_looked_for(place):
    with pytest.raises(InputError, match=r"holds no images; .*" + ", ".join(SUFFIXES).replace(".", r"\.")):
        open_images(write_files(place, {"notes.txt": b"text"}))


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_the_folders_that_a_whole_archive_shares_are_its_wrapping(tmp_path, name):
    wrapped = open_images(write_files(tmp_path / name, contents(("./set/train/cat/a.png", "./set/train/dog/b.png"))))
    assert wrapped.ids.tolist() == ["cat/a.png", "dog/b.png"]
    assert wrapped.modes.tolist() == ["cat", "dog"]
    flat = open_images(write_files(tmp_path / name, contents(("pictures/a.png", "pictures/b.png"))))
    assert flat.ids.tolist() == ["a.png", "b.png"]
    assert flat.modes is None


@pytest.mark.parametrize("name", ["../a.png", "/tmp/a.png", "cat/../../a.png", "C:/a.png"])
@pytest.mark.parametrize("archive", ["a.zip", "a.tar", "a.tar.gz"])
def test_members_that_point_outside_of_an_archive_are_refused(tmp_path, archive, name):
    with pytest.raises(InputError, match=rf"has the member '{name}', which points outside of the archive"):
        open_images(write_files(tmp_path / archive, contents(("ok.png", name))))


def test_zip_members_with_backslashes_lie_in_folders(tmp_path):
    assert open_images(write_zip(tmp_path / "a.zip", contents(("cat\\a.png", "dog\\b.png")))).modes.tolist() == [
        "cat",
        "dog",
    ]


def test_a_compressed_tar_is_read_forwards(tmp_path):
    images = open_images(write_tar(tmp_path / "a.tgz", contents()))
    assert list(images.reading_order) == [1, 0, 2]


def test_nothing_is_unpacked_beside_an_archive(tmp_path):
    images = open_images(write_zip(tmp_path / "a.zip", contents()))
    assert images[0].shape == (5, 7, 3)
    assert os.listdir(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("damage", [b"", b"not an image", png(picture(0, height=40, width=40))[:-900]])
def test_a_damaged_image_is_named_and_skip_bad_advised(place, damage):
    images = open_images(write_files(place, {"good.png": png(picture(0)), "bad.png": damage}))
    assert images[1].shape == (5, 7, 3)
    with pytest.raises(InputError, match=r": bad\.png cannot be read as an image: .+\. Mend .+ --skip-bad"):
        images[0]


def test_a_damaged_jpeg_and_a_damaged_zip_member_are_named(tmp_path):
    stream = io.BytesIO()
    Image.fromarray(picture(0, height=64, width=64)).save(stream, "jpeg")
    with pytest.raises(InputError, match=r"a\.jpg cannot be read as an image: image file is truncated"):
        open_images(write_folder(tmp_path / "folder", {"a.jpg": stream.getvalue()[:-400]}))[0]
    path = write_zip(tmp_path / "a.zip", contents(("a.png",)), compression=zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[60] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.zip: a\.png cannot be read as an image: Bad CRC-32"):
        open_images(path)[0]


@pytest.mark.parametrize("side", [10_000, 40_000])  # Pillow warns of the first and refuses the second
def test_a_decompression_bomb_is_refused_with_the_limit(tmp_path, side):
    data = bytearray(png(picture(0)))
    data[16:24] = struct.pack(">II", side, side)  # the header claims this width and height; its checksum follows
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    images = open_images(write_folder(tmp_path / "folder", {"bomb.png": data}))
    with pytest.raises(
        InputError, match=rf"bomb\.png .* more pixels than the 89478485 taken as safe: .*{side**2}.* --skip-bad"
    ):
        images[0]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz"])
def test_an_archive_cut_short_or_of_another_kind_is_refused(tmp_path, name):
    path = write_files(tmp_path / name, {f"{i}.png": png(picture(i, height=64)) for i in range(20)})
    path.write_bytes(path.read_bytes()[:-20_000])
    with pytest.raises(InputError, match=rf"{name} cannot be read as an archive: .+ copy or pack it again"):
        open_images(path)
    path.write_bytes(b"not an archive")
    with pytest.raises(InputError, match=rf"{name} cannot be read as an archive"):
        open_images(path)


@pytest.mark.parametrize("damage", ["cut between members", "cut in a header", "damaged header"])
def test_a_tar_whose_rest_tarfile_drops_without_a_word_is_refused(tmp_path, damage):
    path = write_tar(tmp_path / "a.tar", {f"{i}.png": png(picture(i)) for i in range(5)})
    data = path.read_bytes()
    third = 2 * 1024  # each member: 512 bytes of header, 512 of data
    kept = {
        "cut between members": data[:third],
        "cut in a header": data[: third + 100],
        "damaged header": data[:third] + b"x" * 512 + data[third + 512 :],
    }
    path.write_bytes(kept[damage])
    with tarfile.open(path) as archive:
        assert len(archive.getmembers()) == 2
    with pytest.raises(InputError, match=r"after 2 members there is neither another nor the end mark"):
        open_images(path)


def test_paths_that_are_no_source_say_what_is(tmp_path):
    with pytest.raises(InputError, match=r"nowhere does not exist; give a folder"):
        open_images(tmp_path / "nowhere")
    (tmp_path / "a.csv").write_text("1")
    with pytest.raises(InputError, match=r"a\.csv is not a source of images; give a folder"):
        open_images(tmp_path / "a.csv")
    (tmp_path / "a.png").write_bytes(png(picture(0)))
    with pytest.raises(InputError, match=r"a\.png is a single image; give the folder"):
        open_images(str(tmp_path / "a.png"))


def test_linked_folders_are_followed_unless_they_lead_back(tmp_path):
    write_folder(tmp_path / "folder", contents(("cat/a.png", "dog/b.png")))
    write_folder(tmp_path / "elsewhere", contents(("c.png",)))
    os.symlink(tmp_path / "elsewhere", tmp_path / "folder" / "fox")
    os.symlink(tmp_path / "folder", tmp_path / "folder" / "dog" / "loop")
    assert open_images(tmp_path / "folder").ids.tolist() == ["cat/a.png", "dog/b.png", "fox/c.png"]


def test_a_file_name_that_is_not_utf8_becomes_a_printable_id(tmp_path):
    folder = os.fsencode(tmp_path / "folder")
    os.mkdir(folder)
    with open(os.path.join(folder, b"caf\xe9.png"), "wb") as file:
        file.write(png(picture(0)))
    images = open_images(tmp_path / "folder")
    assert images.ids.tolist() == ["caf\\xe9.png"]
    np.testing.assert_array_equal(images[0], picture(0))


@pytest.mark.parametrize("name", ["folder", "a.npy"])
def test_an_image_is_read_as_it_was_when_its_digest_was_taken(tmp_path, name):
    def write(seed):
        if name == "folder":
            write_folder(tmp_path / name, {"a.png": png(picture(seed)), "b.png": png(picture(5))})
        else:
            np.lib.format.open_memmap(tmp_path / name, mode="r+")[:] = picture(seed), picture(5)

    np.save(tmp_path / "a.npy", np.zeros((2, 5, 7, 3), dtype=np.uint8))
    write(0)
    images = open_images(tmp_path / name)
    digest = images.digest(0)
    write(1)
    np.testing.assert_array_equal(images[0], picture(0))
    np.testing.assert_array_equal(images[0], picture(1))
    assert images.digest(0) != digest
    np.testing.assert_array_equal(images[1], picture(5))
    write(2)
    np.testing.assert_array_equal(images[0], picture(1))
    assert images.digest(1) == open_images(tmp_path / name).digest(1)


# ---- arrays


@pytest.mark.parametrize("shape", [(4, 6, 5, 3), (4, 6, 5), (4, 6, 5, 1)])
def test_arrays_and_npy_files_are_rgb_or_grey(tmp_path, shape):
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.save(tmp_path / "a.npy", array)
    for images in (open_images(array), open_images(tmp_path / "a.npy")):
        assert images.ids.tolist() == [0, 1, 2, 3]
        assert images.modes is None
        np.testing.assert_array_equal(images[2], np.broadcast_to(array[2].reshape(6, 5, -1), (6, 5, 3)))
        assert images[2].flags.writeable


def test_arrays_of_other_kinds_say_what_they_hold(tmp_path):
    with pytest.raises(InputError, match=r"an array holds float64 \[2, 4, 4, 3\]; images must be uint8"):
        open_images(np.zeros((2, 4, 4, 3)))
    with pytest.raises(
        InputError, match=r"holds uint8 \[2, 3, 8, 8\]; the colours must come last.*transpose\(0, 2, 3, 1\)"
    ):
        open_images(np.zeros((2, 3, 8, 8), dtype=np.uint8))
    with pytest.raises(InputError, match=r"holds uint8 \[2, 8, 8, 4\]; images must be \[n, h, w, 3\]"):
        open_images(np.zeros((2, 8, 8, 4), dtype=np.uint8))
    with pytest.raises(InputError, match=r"holds uint8 \[0, 8, 8, 3\]: there are no pixels"):
        open_images(np.zeros((0, 8, 8, 3), dtype=np.uint8))
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(
        InputError,
        match=r"a\.npy cannot be read as an \.npy array: Array can't be memory-mapped: Python objects in dtype\. Write",
    ):
        open_images(tmp_path / "a.npy")


# ---- how a file becomes RGB


def decoded(tmp_path, image, suffix, **options):
    folder = tmp_path / "folder"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    image.save(folder / f"a{suffix}", **options)
    return open_images(folder)[0]


def test_transparent_pixels_lie_over_white(tmp_path):
    half = Image.new("RGBA", (2, 1), (100, 0, 0, 0))
    half.putpixel((1, 0), (100, 0, 0, 51))  # a fifth opaque
    assert decoded(tmp_path, half, ".png").tolist() == [[[255, 255, 255], [224, 204, 204]]]
    grey = Image.new("LA", (1, 1), (0, 51))
    assert decoded(tmp_path, grey, ".png").tolist() == [[[204, 204, 204]]]


def test_palettes_become_rgb_with_or_without_a_transparent_entry(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    assert decoded(tmp_path, image, ".png").tolist() == [[[10, 20, 30], [40, 50, 60]]]
    assert decoded(tmp_path, image, ".png", transparency=0).tolist() == [[[255, 255, 255], [40, 50, 60]]]
    assert decoded(tmp_path, image, ".png", transparency=b"\x00\xff").tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_black_and_white_grey_and_cmyk_become_rgb(tmp_path):
    assert decoded(tmp_path, Image.new("1", (1, 1), 1), ".png").tolist() == [[[255, 255, 255]]]
    assert decoded(tmp_path, Image.new("L", (1, 1), 77), ".png").tolist() == [[[77, 77, 77]]]
    assert decoded(tmp_path, Image.new("CMYK", (1, 1), (0, 255, 255, 0)), ".tif").tolist() == [[[255, 0, 0]]]


def test_the_high_8_of_16_bits_are_kept_and_32_bits_refused(tmp_path):
    image = Image.fromarray(np.array([[0, 255, 256, 65535]], dtype=np.uint16))
    for suffix in (".png", ".tif"):
        assert decoded(tmp_path, image, suffix)[0, :, 0].tolist() == [0, 0, 1, 255]
    with pytest.raises(InputError, match=r"its pixels have 32 bits \(mode F\)"):
        decoded(tmp_path, Image.new("F", (1, 1), 0.5), ".tiff")


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    array = picture(0)
    np.testing.assert_array_equal(decoded(tmp_path, Image.fromarray(array), ".png", exif=exif), np.rot90(array, k=-1))


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("L", (2, 2), level) for level in (0, 255)]
    assert decoded(tmp_path, frames[0], ".gif", save_all=True, append_images=frames[1:]).max() == 0


# ---- table or images


def test_is_images_tells_image_sources_from_tables(tmp_path):
    write_folder(tmp_path / "pictures", contents() | {"cat/index.csv": b""})
    write_folder(tmp_path / "shards", {"part-0.parquet": b"", "plot.png": b""})
    write_folder(tmp_path / "nested", {"split/part-0.parquet": b""})
    (tmp_path / "empty").mkdir()
    np.save(tmp_path / "images.npy", np.zeros((2, 4, 4, 3), dtype=np.uint8))
    np.save(tmp_path / "features.npy", np.zeros((2, 4), dtype=np.uint8))
    np.save(tmp_path / "floats.npy", np.zeros((2, 4, 4, 3)))
    (tmp_path / "broken.npy").write_bytes(b"")
    for name in ("a.zip", "a.tar.gz", "a.TGZ", "a.png", "a.npz", "a.parquet"):
        (tmp_path / name).write_bytes(b"")
    yes = {name for name in os.listdir(tmp_path) if is_images(tmp_path / name)}
    assert yes == {"pictures", "empty", "images.npy", "a.zip", "a.tar.gz", "a.TGZ", "a.png"}
    assert not is_images(tmp_path / "nowhere.zip")


def test_resize_keeps_a_picture_of_that_size_and_a_constant_constant():
    array = picture(0)
    np.testing.assert_array_equal(resize(array, height=5, width=7), array)
    assert (resize(np.full((50, 31, 3), 9, dtype=np.uint8), height=4, width=6) == np.full((4, 6, 3), 9)).all()


def test_resize_antialiases_what_it_shrinks():
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    small = resize(stripes, height=16, width=16)[:, 2:-2]
    assert np.abs(small.astype(int) - 128).max() <= 3
