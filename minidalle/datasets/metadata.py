"""What a picture file holds besides the picture, and why Pillow is not given it.

Texts, colour profiles and EXIF can be broken, and Pillow then refuses the whole picture. They can
also be made to fill the memory: a text in a PNG is compressed, and each of the 5000 tags that fit
into 64 KB of EXIF may point at all of it. Nothing of it is needed here but how the camera was held.
"""

import struct

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"  # how these files begin
PAINTING = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")  # the chunks of a PNG that matter
NOTES = {*range(0xE1, 0xEE), 0xEF, 0xFE}  # the segments of a JPEG that do not: APP1 to 15, comments
ADOBE = 0xEE  # but this one, APP14, says which colours are meant
LONE = {0x01, *range(0xD0, 0xDA)}  # segments of a JPEG that are a marker only
SCAN, END = b"\xff\xda", b"\xff\xd9"  # between these are the pixels
MOST_SCANS = 100  # of a JPEG; usual ones have ten, and each goes over the whole picture
EXIF = b"Exif\0\0"
ORIENTATION = 0x112  # the tag for how the camera was held


def bare(content: bytes) -> tuple[bytes, bytes]:
    """A PNG or JPEG without metadata, and its EXIF, b"" if it has none; others unchanged.

    Raises ValueError, in a few words, for a JPEG of too many scans.
    """
    if content.startswith(PNG):
        return bare_png(content)
    if content.startswith(JPEG):
        return bare_jpeg(content)
    return content, b""


def bare_png(content: bytes) -> tuple[bytes, bytes]:
    """A chunk is length (4 bytes), name (4), content and checksum (4)."""
    kept, exif, at = bytearray(content[:8]), b"", 8
    while at < len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        name = content[at + 4 : at + 8]
        if name in PAINTING:
            kept += content[at:end]
        elif name == b"eXIf":
            exif = content[at + 8 : end - 4]
        at = end
    return bytes(kept), exif


def bare_jpeg(content: bytes) -> tuple[bytes, bytes]:
    """A segment is 255, a marker, a length (2 bytes, which it includes) and content."""
    kept, exif, at = bytearray(content[:2]), b"", 2
    while 0 <= (at := content.find(b"\xff", at)) < len(content) - 1:  # decoders skip other bytes
        if content.startswith(SCAN, at):
            break
        marker = content[at + 1]
        if marker in (0x00, 0xFF):  # no marker yet
            at += 1
            continue
        length = 0 if marker in LONE else int.from_bytes(content[at + 2 : at + 4], "big")
        end = at + 2 + length
        if marker not in NOTES:
            kept += content[at:end]
        elif content.startswith(EXIF, at + 4) and not exif:
            exif = content[at + 4 + len(EXIF) : end]
        at = end
    end = content.find(END, at)  # phones append films
    pixels = content[at : end + 2 if end >= 0 else None] if at >= 0 else b""
    if pixels.count(SCAN) > MOST_SCANS:
        raise ValueError("too many scans")
    return bytes(kept) + pixels, exif


def orientation(exif: bytes) -> int:
    """How the camera was held, 1 to 8; 1, upright, if the EXIF does not say or is unreadable.

    A header says the order of bytes and where the first list of tags begins: their number, and then
    tag, type, count and value of each, in 12 bytes.
    """
    exif = exif.removeprefix(EXIF)
    try:
        order = {b"II": "<", b"MM": ">"}[exif[:2]]
        (begin,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, begin)
        for at in range(begin + 2, begin + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(order + "HHIH", exif, at)
            if tag == ORIENTATION:
                return value
    except (KeyError, struct.error):
        pass
    return 1
