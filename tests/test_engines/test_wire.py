"""Packets come out as they went in; whatever else comes is refused."""

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines import wire


def written(*packets: bytes) -> io.BytesIO:
    return io.BytesIO(b"".join(packets))


def test_a_packet_comes_out_as_it_went_in() -> None:
    head = {"text": "grün \udcff \u2028 \n", "number": 1.5, "nothing": None}
    pictures = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    sound = np.array([[-1.0, 0.5]], np.float32)
    empty = np.zeros((0, 0, 0, 3), np.uint8)
    stream = written(wire.to_bytes(head, [pictures, sound, empty]), wire.to_bytes({"next": 1}))
    packet = wire.read(stream)
    assert packet is not None
    assert packet.head == head
    for array, original in zip(packet.arrays, (pictures, sound, empty), strict=True):
        assert array.dtype == original.dtype
        assert np.array_equal(array, original)
    following = wire.read(stream)
    assert following is not None
    assert following.head == {"next": 1}
    assert wire.read(stream) is None


def test_a_line_is_ascii_whatever_it_holds() -> None:
    assert wire.to_bytes({"name": "ü\n\udce9"}).isascii()


@pytest.mark.parametrize(
    "content",
    [
        b"Segmentation fault\n",
        b"\x00\xff\xfe\n",
        b"[]\n",
        b'{"head": 3, "arrays": []}\n',
        b'{"head": {}}\n',
        b'{"head": {}, "arrays": 7}\n',
        b'{"head": {}, "arrays": [["object", [1]]]}\n',
        b'{"head": {}, "arrays": [["uint8", [-1]]]}\n',
        b'{"head": {}, "arrays": [["uint8", [true]]]}\n',
        b'{"head": {}, "arrays": [["uint8", [1.0]]]}\n',
        b'{"head": {}, "arrays": [["uint8", [1, 1, 1, 1, 1]]]}\n',
        b'{"head": {}, "arrays": [["uint8", [100000, 100000]]]}\n',
        b'{"head": {}, "arrays": [["float32", [2]]]}\n1234567',
        b'{"head": {}, "arrays": []}',
        b"[" * 100_000 + b"\n",
        b'{"head": {}, "arrays": [' + b'["uint8", [0]], ' * 5000 + b'["uint8", [0]]]}\n',
        b'{"head": {}, "arrays": [["uint8", [' + b"9" * 5000 + b"]]]}\n",
    ],
)
def test_what_is_no_packet_is_refused(content: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.read(written(content))


def test_a_line_without_an_end_is_refused_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_LINE_BYTES", 100)
    stream = written(b"x" * 1000)
    with pytest.raises(wire.WireError, match="no end"):
        wire.read(stream)
    assert stream.tell() == 101
    with pytest.raises(wire.WireError, match="too large"):
        wire.to_bytes({"text": "x" * 100})


def test_other_arrays_are_not_sent() -> None:
    with pytest.raises(wire.WireError):
        wire.to_bytes({}, [np.zeros(2, np.complex64)])


def test_noise_before_the_greeting_is_passed_over() -> None:
    packet = wire.to_bytes({"a": 1})
    for noise in (b"", b"hello\n", b"no end", b"\xff\n\nmore"):
        stream = written(noise, wire.GREETING, packet)
        wire.skip_noise(stream)
        assert stream.read() == packet
    with pytest.raises(wire.WireError, match="before it began"):
        wire.skip_noise(written(b"Traceback\n"))
    with pytest.raises(wire.WireError, match="something else"):
        wire.skip_noise(written(b"y\n" * wire.MAX_NOISE_BYTES))


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_no_bytes_do_more_than_be_refused(content: bytes) -> None:
    try:
        packet = wire.read(written(content))
    except wire.WireError:
        return
    assert packet is None or json.dumps(packet.head)
