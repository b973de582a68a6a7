"""Arrays and words in .safetensors: what goes in comes out, whatever was damaged is noticed."""

import io

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pointwise.errors import InputError
from pointwise.tables.tensors import Damaged, load_arrays, open_tensors, save_arrays, write_tensors

ARRAYS = {
    "mask": np.array([True, False, True]),
    "bytes": np.arange(3, dtype=np.uint8),
    "scalar": np.array(2.5),
    "nothing": np.zeros((0, 4), dtype=np.float16),
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
        assert torch.equal(tensors[name], torch.from_numpy(array.copy()))


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


def test_only_what_is_read_is_compared(tmp_path):
    path = tmp_path / "a.safetensors"
    save_arrays(path, {"wide": np.ones(2), "narrow": np.ones(2, dtype=np.uint8)}, kind="thing", words={})
    path.write_bytes(path.read_bytes()[:-1] + b"\2")
    with open_tensors(path) as file:
        assert file.shapes == {"wide": (2,), "narrow": (2,)}
        assert file.read("wide").tolist() == [1, 1]
        with pytest.raises(Damaged, match="its array narrow"):
            file.read("narrow")
