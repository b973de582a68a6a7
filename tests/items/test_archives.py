"""Folders and archives give the same files, and none that points outside or is damaged."""

import io
import os
import tarfile

import pytest
from writers import write_files, write_tar, write_zip

from pointwise.errors import InputError
from pointwise.items.archives import files_of, printable

FILES = {"b.txt": b"1", "x/a.txt": b"2", ".hidden/c.txt": b"3", "__MACOSX/b.txt": b"4", "x/.d.txt": b"5"}


@pytest.mark.parametrize("name", ["folder", "a.zip", "a.tar", "a.tar.gz", "a.tgz"])
def test_every_source_gives_the_same_files(tmp_path, name):
    files = files_of(write_files(tmp_path / name, FILES))
    assert list(files.names) == ["b.txt", "x/a.txt"]
    assert sorted(files.order) == ["b.txt", "x/a.txt"]
    assert [files.read(name, limit=1) for name in files.names] == [b"1", b"2"]
    with pytest.raises(InputError, match=r"b\.txt unpacks to more than 0 bytes"):
        files.read("b.txt", limit=0)


def test_an_archive_is_read_in_its_own_order(tmp_path):
    files = files_of(write_tar(tmp_path / "a.tar", {"b": b"", "./c//d": b"", "a": b""}))
    assert files.order == ["b", "c/d", "a"]


@pytest.mark.parametrize("name", ["../a.txt", "/tmp/a.txt", "cat/../../a.txt", "C:/a.txt", "../.hidden"])
@pytest.mark.parametrize("archive", ["a.zip", "a.tar", "a.tar.gz"])
def test_members_that_point_outside_of_an_archive_are_refused(tmp_path, archive, name):
    refusal = rf"^\S+{archive} has the member '{name}', which points outside of the archive"
    with pytest.raises(InputError, match=refusal):
        files_of(write_files(tmp_path / archive, {"ok.txt": b"", name: b""}))


def test_zip_members_with_backslashes_lie_in_folders(tmp_path):
    assert files_of(write_zip(tmp_path / "a.zip", {"cat\\a.txt": b"1"})).names == ["cat/a.txt"]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz"])
def test_an_archive_cut_short_or_of_another_kind_is_refused(tmp_path, name):
    path = write_files(tmp_path / name, {f"{i}.txt": os.urandom(2000) for i in range(20)})
    path.write_bytes(path.read_bytes()[:-20_000])
    with pytest.raises(InputError, match=rf"{name} cannot be read as an archive: .+ copy or pack it again"):
        files_of(path)
    path.write_bytes(b"not an archive")
    with pytest.raises(InputError, match=rf"{name} cannot be read as an archive"):
        files_of(path)


def test_a_damaged_member_is_named(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a.txt": os.urandom(100)})
    data = bytearray(path.read_bytes())
    data[60] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.txt cannot be read \(Bad CRC-32 for file 'a\.txt'\); mend or remove it"):
        files_of(path).read("a.txt", limit=1000)


def test_linked_folders_are_followed_unless_they_lead_back(tmp_path):
    write_files(tmp_path / "folder", {"a.txt": b""})
    write_files(tmp_path / "elsewhere", {"b.txt": b""})
    os.symlink(tmp_path / "elsewhere", tmp_path / "folder" / "x")
    os.symlink(tmp_path / "folder", tmp_path / "folder" / "loop")
    assert files_of(tmp_path / "folder").names == ["a.txt", "x/b.txt"]


def test_linked_folders_that_lead_to_each_other_end(tmp_path):
    write_files(tmp_path / "folder", {"a/1.txt": b"", "b/2.txt": b""})
    os.symlink(tmp_path / "folder" / "b", tmp_path / "folder" / "a" / "b")
    os.symlink(tmp_path / "folder" / "a", tmp_path / "folder" / "b" / "a")
    assert files_of(tmp_path / "folder").names == ["a/1.txt", "a/b/2.txt", "b/2.txt", "b/a/1.txt"]


@pytest.mark.parametrize("compression", ["", "gz", "bz2", "xz"])
def test_the_compression_of_a_tar_is_seen_in_its_bytes(tmp_path, compression):
    with tarfile.open(tmp_path / "a.tar", f"w:{compression}") as archive:
        add(archive, "a.txt", b"1")
    assert files_of(tmp_path / "a.tar").read("a.txt", limit=1) == b"1"


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_a_header_that_unpacks_to_much_is_not_read(tmp_path, kind):
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        add(archive, "a.txt", b"1")
        add(archive, "long", bytes(17 << 20), type=kind)
        add(archive, "b.txt", b"2")
    assert (tmp_path / "a.tgz").stat().st_size < 100_000
    with pytest.raises(
        InputError, match=r"a\.tgz cannot be read as an archive: one of its headers unpacks to 17825792 b"
    ):
        files_of(tmp_path / "a.tgz")


def test_links_in_a_tar_are_followed_inside_of_it(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        add(archive, "./x/a.txt", b"1")
        add(archive, "x/hard.txt", type=tarfile.LNKTYPE, linkname="./x/a.txt")
        add(archive, "x/y/soft.txt", type=tarfile.SYMTYPE, linkname="../hard.txt")
        add(archive, "out.txt", type=tarfile.SYMTYPE, linkname="../../etc/passwd")
        add(archive, "folder.txt", type=tarfile.SYMTYPE, linkname="x")
        add(archive, "one.txt", type=tarfile.SYMTYPE, linkname="two.txt")
        add(archive, "two.txt", type=tarfile.SYMTYPE, linkname="one.txt")
    files = files_of(tmp_path / "a.tar")
    for name in ("x/a.txt", "x/hard.txt", "x/y/soft.txt"):
        assert files.read(name, limit=1) == b"1"
    for name, said in (
        ("out.txt", r"it is a link to '\.\./\.\./etc/passwd', and there is no such file in the archive"),
        ("folder.txt", r"it is a link to 'x', and there is no such file in the archive"),
        ("one.txt", r"it is a link that leads to no file"),
    ):
        with pytest.raises(InputError, match=rf"{name} cannot be read \({said}\); mend or remove it"):
            files.read(name, limit=1)


def test_of_members_of_one_name_the_last_counts(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, data in (("a.txt", b"1"), ("./a.txt", b"2"), ("a.txt", b"3"), ("b.txt", b"4")):
            add(archive, name, data)
    files = files_of(tmp_path / "a.tar")
    assert (files.names, files.read("a.txt", limit=1)) == (["a.txt", "b.txt"], b"3")


def add(archive, name, data=b"", **what):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for attribute, value in what.items():
        setattr(member, attribute, value)
    archive.addfile(member, io.BytesIO(data))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(InputError, match=r"a\.txt cannot be read \(it is no regular file\); mend or remove it"):
        files_of(tmp_path).read("a.txt", limit=1)


def test_names_that_are_not_utf8_are_printable():
    assert printable("caf\udce9 é") == "caf\\xe9 é"
