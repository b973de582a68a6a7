"""Arrays and words in .safetensors: what goes in comes out, whatever was damaged is noticed."""

import io

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pointwise.errors import InputError
from pointwise.tables.tensors import Damaged, TensorFile, load_arrays, open_arrays, reading, save_arrays, write_tensors

ARRAYS = {
    "mask": np.array([True, False, True]),
    "bytes": np.arange(3, dtype=np.uint8),
    "scalar": np.array(2.5),
    "nothing": np.zeros((0, 4), dtype=np.float16),
    "half": np.arange(6, dtype=np.float16).reshape(2, 3),
    "counts": np.array([1, 2**40]),
    "checks": np.array([2**32 - 1], dtype=np.uint32),
    "none": np.array([], dtype=str),
    "columns": np.arange(12, dtype=np.int32).reshape(3, 4).T,  # not in the order of its rows
}


def test_arrays_of_every_type_and_shape_come_back_and_others_read_them(tmp_path):
    path = tmp_path / "a.safetensors"
    save_arrays(path, {**ARRAYS, "names": np.array(["a", "", "ä\n"])}, kind="thing", words={"b": "1", "a": "ö"})
    arrays, words = load_arrays(path, kind="thing", called="a thing")
    assert words == {"format": "pointwise.thing/1", "b": "1", "a": "ö"}
    assert arrays.pop("names").tolist() == ["a", "", "ä\n"]
    tensors = load_file(path)
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array, strict=True)
        assert arrays[name].flags.writeable
        assert name == "none" or torch.equal(tensors[name], torch.from_numpy(array.copy()))


def test_the_same_content_is_the_same_bytes():
    def written():
        file = io.BytesIO()
        write_tensors(file, ARRAYS, {f"word {i}": "x" for i in range(20)})
        return file.getvalue()

    assert written() == written()


def test_a_file_of_another_kind_or_damaged_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    save_arrays(path, ARRAYS, kind="thing", words={"ridge": "0.25"})
    with pytest.raises(InputError, match=r"a\.safetensors does not hold a being: it was not saved as such"):
        load_arrays(path, kind="being", called="a being")
    whole = path.read_bytes()
    for damaged, says in {
        whole[:-1]: "it is cut short or not a .safetensors file",
        whole.replace(b"0.25", b"0.26"): "it is damaged: its header is not what was written",
        whole[:-1] + bytes([whole[-1] ^ 4]): "it is damaged: its array .* is not what was written",
        whole.replace(b'{\\"', b'[\\"', 1): "its digests cannot be read",
    }.items():
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=rf"cannot be read as a thing \({says}.*\); make and save it again"):
            load_arrays(path, kind="thing", called="a thing")


def flipped(content, place):
    return content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]


def test_no_flipped_bit_and_no_cut_passes_into_the_result(tmp_path):
    def load(content):
        path.write_bytes(content)
        arrays, words = load_arrays(path, kind="part", called="a part")
        return {name: array.tolist() for name, array in arrays.items()}, words["n"]

    path = tmp_path / "part"
    save_arrays(path, {"x": np.arange(3.0), "y": np.arange(2), "z": np.array(["ü"])}, kind="part", words={"n": "3"})
    whole = path.read_bytes()
    expected, harmless = load(whole), 0
    for place in range(len(whole)):
        for content in (flipped(whole, place), *([] if place % 7 else [whole[:place], whole + whole[:place]])):
            try:
                assert load(content) == expected
                harmless += 1
            except InputError as error:
                sentence = str(error)
                assert "make and save it again" in sentence or "by this version of pointwise" in sentence
    assert harmless < 60  # white space, and the name of the digests


def test_only_what_is_read_is_compared(tmp_path):
    path = tmp_path / "a.safetensors"
    save_arrays(path, {"wide": np.ones(2), "narrow": np.ones(2, dtype=np.uint8)}, kind="thing", words={})
    path.write_bytes(path.read_bytes()[:-1] + b"\2")
    file = TensorFile(path)
    assert file.shapes == {"wide": (2,), "narrow": (2,)}
    assert file.read("wide").tolist() == [1, 1]
    with pytest.raises(Damaged, match="its array narrow"):
        file.read("narrow")


def test_a_file_that_is_not_there_or_goes_is_one_sentence(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(
        InputError, match=r"a\.safetensors cannot be read as a thing \(.*No such file.*\); make and save"
    ):
        open_arrays(path, kind="thing", called="a thing")
    save_arrays(path, ARRAYS, kind="thing", words={})
    file = open_arrays(path, kind="thing", called="a thing")
    path.unlink()
    with pytest.raises(InputError, match="No such file"), reading(path, called="a thing"):
        file.read("half")


def test_what_others_write_is_read_in_all_their_types(tmp_path):
    path = tmp_path / "a.safetensors"
    tensors = {str(dtype): torch.arange(4).to(dtype) for dtype in (torch.bfloat16, torch.float8_e5m2, torch.int16)}
    save_file(tensors, path)
    file = TensorFile(path)
    for name, tensor in tensors.items():
        assert torch.equal(file.read(name).double(), tensor.double())
