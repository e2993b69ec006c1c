"""Write a file so that a reader finds all of it or none of it, and read one within bounds."""

import os
import secrets
from os import PathLike
from pathlib import Path

__all__ = ["read_at_most", "write_atomically"]


def read_at_most(path: str | PathLike[str], max_bytes: int) -> bytes:
    """Return the content of a file, or the start of it: more than `max_bytes`, by a little, if it is larger than that.

    It is read a part at a time, as a single read takes memory for all that may come, also if the file is small.

    Raises:
        OSError: The file can't be read.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "note.txt", "done")
    ...     read_at_most(Path(folder) / "note.txt", 2**40)
    b'done'
    """
    content = bytearray()
    with Path(path).open("rb") as file:
        while len(content) <= max_bytes and (part := file.read(2**20)):
            content += part
    return bytes(content)


def write_atomically(path: str | PathLike[str], content: str | bytes) -> None:
    """Write a file under a temporary name in the same folder, then rename it.

    Whatever interrupts this, the file is as it was before, and no temporary file stays behind. Text is written as
    UTF-8, its line ends as they are. A link is followed; a device or a pipe is simply written to.

    Raises:
        OSError: The file can't be written; it names `path`.
        ValueError: The text has no form in UTF-8 (a lone surrogate).

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "note.txt", "done")
    ...     [file.name for file in Path(folder).iterdir()]
    ['note.txt']
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(data)  # renaming would put a file in the place of a device
        else:
            _write_and_rename(target, data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error  # not the temporary name


def _write_and_rename(target: Path, data: bytes) -> None:
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # or a power cut may leave the new name on an empty file
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
