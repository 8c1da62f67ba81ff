"""The files in a tar, found by their headers alone.

A tar is a row of blocks of 512 bytes. Each file has a block that says its name and size, and then
its content, padded to whole blocks; a block of zeros ends the tar. A long name, or a large size, is
said by an extra header, of the same form, in front of that of the file.

Python's `tarfile` believes what it reads: a negative size takes it back to where it was, for ever,
extra headers in a row become calls within calls, and some it keeps in memory to the end. Shards
may come from strangers, so this is one loop that only moves forward and holds one header at a time.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

BLOCK = 512
FILES = (b"0", b"\0", b"7")  # kinds of headers: of files,
EMPTY = (b"1", b"2", b"3", b"4", b"5", b"6")  # of links, devices and folders, without content,
LONG_NAME, PAX = b"L", (b"x", b"X")  # the extra headers of GNU and of POSIX,
EXTRA = (LONG_NAME, *PAX, b"K", b"g")  # and two more, about links and about no file in particular
LONGEST = 2**20  # bytes of an extra header; usual ones have hundreds


def files_in(path: Path) -> Iterator[tuple[str, int, int]]:
    """(name, begin, end) for each file in a tar, which is its bytes from `begin` to `end`.

    Raises ValueError, in a few words, where the tar is damaged, and OSError as `open` does.
    """
    at, said = 0, {}  # what extra headers have said of the next file
    with open(path, "rb") as file:
        length = file.seek(0, io.SEEK_END)
        while (block := read_at(file, at, BLOCK)) != bytes(BLOCK):
            header = read_header(block)
            kind, begin = header["kind"], at + BLOCK
            if kind not in EXTRA:
                header, said = header | said, {}
            end = begin + (0 if kind in EMPTY else header["size"])
            if end > length:
                raise ValueError("its last file is cut off")
            if kind in EXTRA:
                said |= read_extra(kind, file, begin, end)
            elif kind in FILES and not header["name"].endswith("/"):  # an old tar's folder
                yield header["name"], begin, end
            at = end + -end % BLOCK


def read_at(file: BinaryIO, begin: int, size: int) -> bytes:
    """The `size` bytes from `begin` on; raises ValueError if there are fewer."""
    file.seek(begin)
    content = file.read(size)
    if len(content) < size:
        raise ValueError("its end is missing")
    return content


def read_header(block: bytes) -> dict[str, Any]:
    """Kind, name and size in the block of a header; raises ValueError if they cannot be right."""
    blank = block[:148] + b" " * 8 + block[156:]  # the sum is taken with spaces in its own place
    if number(block[148:156]) != sum(blank):
        raise ValueError("a wrong checksum")
    name = text(block[:100])
    if block[257:263] == b"ustar\0" and block[345]:  # POSIX has more room, for folders
        name = text(block[345:500]) + "/" + name
    return {"kind": block[156:157], "name": name, "size": number(block[124:136])}


def read_extra(kind: bytes, file: BinaryIO, begin: int, end: int) -> dict[str, Any]:
    """The name and size that an extra header says of the next file, if any."""
    if kind != LONG_NAME and kind not in PAX:
        return {}
    if end - begin > LONGEST:
        raise ValueError(f"a name or header of {end - begin} bytes")
    content = read_at(file, begin, end - begin)
    return {"name": text(content)} if kind == LONG_NAME else read_pax(content)


def read_pax(content: bytes) -> dict[str, Any]:
    r"""Name and size in a header of POSIX, whose lines begin with their own length.

    >>> read_pax(b"14 path=a.png\n11 size=99\n13 mtime=1.5\n")
    {'name': 'a.png', 'size': 99}
    """
    said, at = {}, 0
    while at < len(content):
        digits, _, _ = content[at : at + 10].partition(b" ")
        end = at + int(digits) if digits.isdigit() else 0
        if end < at + len(digits) + 2 or end > len(content):
            raise ValueError("a broken header")
        key, _, value = content[at + len(digits) + 1 : end - 1].partition(b"=")
        if key == b"path":
            said["name"] = text(value)
        elif key == b"size":
            if not value.isdigit() or len(value) > 20:
                raise ValueError("a broken header")
            said["size"] = int(value)
        at = end
    return said


def number(field: bytes) -> int:
    r"""An octal number in ASCII or, if it begins with the byte 128, a binary one.

    >>> number(b"0000644 \0"), number(b"\x80\0\1\0")
    (420, 256)
    """
    if field[0] == 128:
        return int.from_bytes(field[1:], "big")
    digits = field.split(b"\0")[0].strip()
    if digits.strip(b"01234567"):
        raise ValueError("a number that is none")
    return int(digits or b"0", 8)


def text(field: bytes) -> str:
    """What stands before the first zero byte; what is not UTF-8 becomes surrogates."""
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
