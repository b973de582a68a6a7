"""Writers of folders and archives, as other programs write them, each in its plainest form."""

import io
import tarfile
import zipfile


def write_folder(path, files):
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def write_zip(path, files, *, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def write_tar(path, files):
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def write_files(path, files):
    """A folder, a zip or a tar, by the ending of its name."""
    if path.suffix == "":
        return write_folder(path, files)
    return (write_zip if path.suffix == ".zip" else write_tar)(path, files)
