"""Damage done to files: at random, and where formats keep sizes, times and counts."""

import struct
import zlib
from collections.abc import Callable, Sequence
from random import Random

# What a parser may trip over, as it fits into as many bytes as a field has.
_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000)
_LARGE = (0xFFFFFFFE, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)
# Where numbers stand behind a mark: what is found at which distances, and in which bytes' order.
_FIELDS: tuple[tuple[bytes, tuple[int, ...], str], ...] = (
    *((name, (-4,), ">") for name in (b"moov", b"trak", b"mdat", b"stbl", b"stsd", b"free")),
    (b"mvhd", (16, 20), ">"),  # scale of time, duration
    (b"mdhd", (16, 20), ">"),
    (b"tkhd", (12, 24, 44, 48, 80, 84), ">"),  # number, duration, matrix, width, height
    (b"elst", (4, 8, 12, 16), ">"),
    (b"stts", (8, 12, 16), ">"),
    (b"ctts", (8, 12, 16), ">"),
    (b"stsc", (8, 12, 16, 20), ">"),
    (b"stsz", (8, 12, 16), ">"),
    (b"stco", (8, 12), ">"),
    (b"stss", (8, 12), ">"),
    (b"avc1", (-4, 28), ">"),  # width and height, two bytes each
    (b"mp4a", (-4, 20, 28), ">"),  # channels, rate
    (b"trun", (8, 12, 16), ">"),
    (b"IHDR", (-4, 4, 8, 12), ">"),
    (b"acTL", (4, 8), ">"),
    (b"fcTL", (4, 8, 12, 16, 20), ">"),
    (b"IDAT", (-4,), ">"),
    (b"RIFF", (4,), "<"),
    (b"avih", (4, 8, 20, 36, 40), "<"),
    (b"strh", (12, 24, 28, 36), "<"),
    (b"strf", (4, 8, 12, 16), "<"),
    (b"fmt ", (4, 8, 10, 12, 16), "<"),
    (b"data", (4,), "<"),
    (b"VP8X", (4, 8, 11), "<"),
    (b"ANMF", (4, 8, 10, 13, 16), "<"),
    (b"GIF89a", (6, 8, 10), "<"),
    (b"\x21\xf9\x04", (3, 4), "<"),  # a frame's duration
    (b"\x2c", (1, 3, 5, 7), "<"),  # a frame's place and size
    (b"\xff\xc0", (2, 5, 7, 9), ">"),  # JPEG's height and width
    (b"\xff\xda", (2,), ">"),
    (b"BM", (2, 10, 14, 18, 22, 28), "<"),
    (b"II*\x00", (4, 8, 10, 14, 18), "<"),
    (b"fLaC", (4, 8, 12, 18, 22), ">"),
    (b"OggS", (6, 14, 18, 26), "<"),
    (b"OpusHead", (8, 9, 10, 12), "<"),
    (b"\x01vorbis", (7, 11, 12, 28), "<"),
    (b"\x80theora", (10, 14, 22, 26), ">"),
    (b"\x1a\x45\xdf\xa3", (4,), ">"),
    (b"\x2a\xd7\xb1", (3, 4), ">"),  # Matroska: scale of time
    (b"\x44\x89", (2, 3), ">"),  # duration
    (b"\x23\xe3\x83", (3, 4), ">"),  # a frame's duration
    (b"\xb0", (1, 2), ">"),  # width
    (b"\xba", (1, 2), ">"),  # height
    (b"\xb5", (1, 2), ">"),  # rate of the sound
    (b"\x9f", (1, 2), ">"),  # channels
    (b"\xa3", (1, 2), ">"),  # a block
    (b"FLV", (4, 5), ">"),
    (b"DKIF", (6, 12, 14, 16, 20, 24), "<"),
    (b"FORM", (4,), ">"),
    (b"COMM", (8, 10, 14, 16), ">"),
    (b".snd", (4, 8, 16, 20), ">"),
    (b"wvpk", (4, 12, 16, 20, 24), "<"),
    (b"TTA1", (4, 6, 8, 10, 14), "<"),
    (b"ID3", (6,), ">"),
    (b"Xing", (8, 12), ">"),
)
MOST_DAMAGES = 3
HEADER_BYTES = 2048


def damaged(whole: bytes, others: Sequence[bytes], random: Random) -> tuple[bytes, list[str]]:
    """One to three damages to a file; `others` are what parts are taken from.

    Returns:
        the damaged bytes, and what was done.
    """
    content, done = bytearray(whole), []
    for _ in range(random.choice((1, 1, 1, 2, MOST_DAMAGES))):
        [damage] = random.choices(list(_DAMAGES), weights=list(_DAMAGES.values()))
        if damage is _spliced:
            content = _spliced(content, bytearray(random.choice(others)), random)
        else:
            content = damage(content, random)
        done.append(damage.__name__.strip("_"))
        if not content:
            break
    if content[:8] == b"\x89PNG\r\n\x1a\n" and random.random() < 0.8:
        _mend_checksums(content)
    return bytes(content), done


def _truncated(content: bytearray, random: Random) -> bytearray:
    return content[: random.randrange(len(content))]


def _flipped(content: bytearray, random: Random) -> bytearray:
    for _ in range(random.choice((1, 4, 32))):
        content[_somewhere(content, random)] ^= 1 << random.randrange(8)
    return content


def _scribbled(content: bytearray, random: Random) -> bytearray:
    start, count = _somewhere(content, random), random.choice((1, 4, 16, 256))
    kind = random.randrange(3)
    content[start : start + count] = (
        random.randbytes(count) if kind == 0 else bytes([0 if kind == 1 else 0xFF]) * count
    )
    return content


def _numbered(content: bytearray, random: Random) -> bytearray:
    start, count = _somewhere(content, random), random.choice((1, 2, 4, 8))
    return _put(content, start, count, random.choice("<>"), random)


def _aimed(content: bytearray, random: Random) -> bytearray:
    """A field that has a meaning gets another number."""
    there = [field for field in _FIELDS if field[0] in content]
    if not there:
        return _numbered(content, random)
    mark, distances, order = random.choice(there)
    places, at = [], content.find(mark)
    while at >= 0 and len(places) < 64:
        places.append(at)
        at = content.find(mark, at + 1)
    start = max(random.choice(places) + random.choice(distances), 0)
    return _put(content, start, random.choice((2, 4, 4, 8)), order, random)


def _put(content: bytearray, start: int, count: int, order: str, random: Random) -> bytearray:
    if random.random() < 0.3:
        near = int.from_bytes(content[start : start + count], "big" if order == ">" else "little")
        number = near + random.choice((-2, -1, 1, 2, 1 << 8, 1 << 16))
    else:
        number = random.choice((*_NUMBERS, *_LARGE, random.getrandbits(8 * count)))
    kind = {1: "B", 2: "H", 4: "I", 8: "Q"}[count]
    content[start : start + count] = struct.pack(order + kind, number % (1 << 8 * count))
    return content


def _cut_out(content: bytearray, random: Random) -> bytearray:
    start = _somewhere(content, random)
    del content[start : start + random.choice((1, 3, 16, 188, 1024, len(content) // 4 + 1))]
    return content


def _doubled(content: bytearray, random: Random) -> bytearray:
    start, count = _somewhere(content, random), random.choice((1, 16, 188, 1024, 16384))
    part = bytes(content[start : start + count])
    at = random.choice((start, _somewhere(content, random)))
    content[at:at] = part * random.choice((1, 1, 2, 50))
    return content


def _swapped(content: bytearray, random: Random) -> bytearray:
    count = random.choice((4, 64, 512))
    a, b = sorted((_somewhere(content, random), _somewhere(content, random)))
    if b - a < count:
        return content[a:] + content[:a]
    first, second = bytes(content[a : a + count]), bytes(content[b : b + count])
    content[a : a + count], content[b : b + count] = second, first
    return content


def _spliced(content: bytearray, other: bytearray, random: Random) -> bytearray:
    """The beginning of one file and the end of another, or a part of the other within."""
    start = _somewhere(content, random)
    if random.random() < 0.5:
        return content[:start] + other[_somewhere(other, random) :]
    at = _somewhere(other, random)
    part = other[at : at + random.choice((64, 1024, 8192))]
    return content[:start] + part + content[start + random.choice((0, len(part))) :]


def _somewhere(content: bytearray, random: Random) -> int:
    """A place, mostly in what describes the rest: the first and the last bytes."""
    count = len(content)
    match random.randrange(4):
        case 0 | 1:
            return random.randrange(min(count, HEADER_BYTES))
        case 2:
            return count - 1 - random.randrange(min(count, HEADER_BYTES))
    return random.randrange(count)


_DAMAGES: dict[Callable[..., bytearray], int] = {
    _truncated: 2,
    _flipped: 4,
    _scribbled: 3,
    _numbered: 3,
    _aimed: 8,
    _cut_out: 2,
    _doubled: 2,
    _swapped: 1,
    _spliced: 3,
}


def _mend_checksums(content: bytearray) -> None:
    """PNG's: a wrong one would end every reading before anything interesting happens."""
    at = 8
    while at + 12 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4], "big")
        if end + 4 > len(content):
            return
        content[end : end + 4] = struct.pack(">I", zlib.crc32(content[at + 4 : end]))
        at = end + 4
