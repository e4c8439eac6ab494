import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from engines import media, packet_index, video_reader
from engines.errors import MediaError
from engines.media_file import shown
from engines.timeline import constant_rate
from tests.clips import (
    HEIGHT,
    MEDIA,
    WIDTH,
    Tone,
    click_track,
    hollow,
    patch,
    picture,
    write_clip,
    write_long_film,
)


def greens(path: Path, indices: list[int]) -> list[int]:
    """The numbers of the pictures that come out (see `clips.picture`)."""
    return [round(float(f.rgb[:, :, 1].mean()) / 2) for f in media.read_frames(path, indices)]


def every_frame(path: Path) -> dict[int, np.ndarray]:
    """The naive path: everything decoded from the start."""
    with av.open(str(path)) as container:
        return {f.pts: f.to_ndarray(format="rgb24") for f in container.decode(video=0)}


# Kinds and probing


def test_probe_film() -> None:
    info = media.probe(MEDIA / "testsrc.mp4")
    assert (info.kind, info.width, info.height, info.rotation) == ("video", 320, 180, 0)
    assert (info.fps, info.frame_count, info.duration_s) == (25.0, 150, 6.0)
    assert (info.has_video, info.has_sound, info.sample_rate, info.channels) == (
        True,
        True,
        44100,
        2,
    )


def test_probe_sound_and_picture() -> None:
    sound = media.probe(MEDIA / "sweep.wav")
    assert (sound.kind, sound.duration_s, sound.has_video) == ("audio", 7.5, False)
    still = media.probe(MEDIA / "test.png")
    assert (still.kind, still.width, still.height, still.duration_s) == ("image", 360, 240, None)


def test_kind_comes_from_content(tmp_path: Path) -> None:
    for source, kind in (("testsrc.mp4", "video"), ("test.png", "image"), ("sweep.wav", "audio")):
        disguised = tmp_path / "holiday.txt"
        disguised.write_bytes((MEDIA / source).read_bytes())
        assert media.probe(disguised).kind == kind


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("mp4", "libx264"), ("mkv", "libx264"), ("mov", "libx264"), ("webm", "libvpx-vp9"),
     ("avi", "libx264"), ("ts", "libx264")],
)  # fmt: skip
def test_containers(tmp_path: Path, suffix: str, codec: str) -> None:
    path = write_clip(tmp_path / f"clip.{suffix}", codec=codec, frames=30)
    info = media.probe(path)
    assert (info.frame_count, info.fps, info.width, info.height) == (30, 25.0, WIDTH, HEIGHT)
    assert info.duration_s == pytest.approx(1.2, abs=0.002)
    assert greens(path, [0, 7, 29]) == pytest.approx([0, 7, 29], abs=1)
    assert media.read_timeline(path).times_s[0] == 0


def test_animations(tmp_path: Path) -> None:
    frames = [Image.fromarray(picture(i * 10)) for i in range(4)]
    gif, webp = tmp_path / "a.gif", tmp_path / "a.webp"
    frames[0].save(gif, save_all=True, append_images=frames[1:], duration=[50, 200, 0, 50])
    frames[0].save(webp, save_all=True, append_images=frames[1:], duration=100, lossless=True)
    assert media.read_timeline(gif).times_s == pytest.approx([0, 0.05, 0.25, 0.35])
    assert media.read_timeline(gif).end_s == pytest.approx(0.4)
    assert media.read_timeline(gif).fps is None
    assert media.read_timeline(webp).fps == pytest.approx(10)
    assert media.probe(webp).kind == "video"
    assert greens(webp, [1, 3]) == [10, 30]
    frames[0].save(gif)
    assert media.probe(gif).kind == "image"


def test_folder_of_frames(tmp_path: Path) -> None:
    for name, number in (("b.png", 20), ("a.png", 10), ("c.bmp", 30)):
        Image.fromarray(picture(number)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "empty.png").touch()
    info = media.probe(tmp_path)
    assert (info.kind, info.frame_count, info.fps, info.duration_s) == ("video", 3, 3.0, 1.0)
    assert media.read_timeline(tmp_path).notes == (
        "2 entries of the folder are no pictures and left out.",
    )
    assert greens(tmp_path, [0, 1, 2]) == [10, 20, 30]


def test_cover_art_is_no_video(tmp_path: Path) -> None:
    tone = Tone(click_track(44100, 0.5, ()), codec="libmp3lame")
    sound = write_clip(tmp_path / "s.mp3", frames=0, tone=tone)
    png = (MEDIA / "test.png").read_bytes()
    body = b"\0image/png\0\x03\0" + png
    frame = b"APIC" + len(body).to_bytes(4, "big") + b"\0\0" + body
    size = bytes((len(frame) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    covered = tmp_path / "covered.mp3"
    covered.write_bytes(b"ID3\x03\0\0" + size + frame + sound.read_bytes())
    with av.open(str(covered)) as container:
        assert len(container.streams.video) == 1
    assert media.probe(covered).kind == "audio"
    with pytest.raises(MediaError, match="has sound but no pictures"):
        media.read_timeline(covered)


# Orientation


@pytest.mark.parametrize(
    ("matrix", "size", "corner"),
    [
        ((1, 0, 0, 1), (64, 48), (0, 0)),
        ((0, 1, -1, 0), (48, 64), (0, -1)),
        ((-1, 0, 0, -1), (64, 48), (-1, -1)),
        ((0, -1, 1, 0), (48, 64), (-1, 0)),
        ((-1, 0, 0, 1), (64, 48), (0, -1)),
    ],
)
def test_display_matrix(
    tmp_path: Path, matrix: tuple[int, ...], size: tuple[int, int], corner: tuple[int, int]
) -> None:
    path = tmp_path / "turned.mp4"
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        rgb = np.zeros((48, 64, 3), np.uint8)
        rgb[:16, :16] = 255
        out.mux(video.encode(av.VideoFrame.from_ndarray(rgb)))
        out.mux(video.encode())
    a, b, c, d = (v << 16 for v in matrix)
    patch(path, b"tkhd", 40, "9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    [frame] = media.read_frames(path, [0])
    assert frame.rgb.shape == (size[1], size[0], 3)
    bright = {(y, x) for y in (0, -1) for x in (0, -1) if frame.rgb[y, x, 0] > 128}
    assert bright == {corner}
    assert media.probe(path).width == size[0]


def test_exif_orientation(tmp_path: Path) -> None:
    rgb = np.zeros((20, 40, 3), np.uint8)
    rgb[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    path = tmp_path / "phone.jpg"
    Image.fromarray(rgb).save(path, exif=exif)
    [frame] = media.read_frames(path, [0])
    assert frame.rgb.shape == (40, 20, 3)
    assert frame.rgb[0, -1, 0] > 128 > frame.rgb[0, 0, 0]


def test_picture_modes(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    Image.new("RGBA", (3, 2), (10, 20, 30, 0)).save(path)
    [frame] = media.read_frames(path, [0])
    assert frame.rgb[0, 0].tolist() == [10, 20, 30]  # alpha is dropped, as upstream does
    Image.fromarray(np.full((2, 3), 0x8040, np.uint16)).save(path)
    [frame] = media.read_frames(path, [0])
    assert frame.rgb[0, 0].tolist() == [0x80, 0x80, 0x80]
    Image.new("L", (1, 1), 7).save(path)
    [frame] = media.read_frames(path, [0])
    assert frame.rgb.tolist() == [[[7, 7, 7]]]


# Frames at exact times


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("closed.mp4", "keyint=24:scenecut=0"),
        ("open.mp4", "open-gop=1:keyint=24:bframes=3:b-adapt=0:scenecut=0"),
        ("open.mkv", "open-gop=1:keyint=24:bframes=3:b-adapt=0:scenecut=0"),
        ("one-keyframe.mkv", "keyint=infinite:scenecut=0"),
        ("refresh.mp4", "intra-refresh=1:keyint=24:scenecut=0"),
        ("fragments.mp4", "keyint=24:scenecut=0"),
    ],
)
def test_jumping_equals_decoding_all(tmp_path: Path, name: str, options: str) -> None:
    fragments = {"movflags": "frag_keyframe+empty_moov"} if name == "fragments.mp4" else None
    path = write_clip(
        tmp_path / name,
        frames=120,
        codec_options={"x264-params": options},
        container_options=fragments,
    )
    naive = every_frame(path)
    order = sorted(naive)
    for indices in ([3, 50, 51, 71, 72, 119], [97], [22, 23, 24, 25], [60, 100]):
        for index, frame in zip(indices, media.read_frames(path, indices), strict=True):
            assert frame.exact
            assert np.array_equal(frame.rgb, naive[order[index]])


def test_edit_list_hides_frames(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "cut.mp4", frames=100, codec_options={"x264-params": "keyint=24"})
    with av.open(str(path)) as container:
        tick = container.streams.video[0].time_base.denominator // 25
    # Show 2 s from frame 35 on, in the middle of a group of pictures (B-frames delay it by two).
    patch(path, b"elst", 8, "Ii", 2000, 37 * tick)
    timeline = media.read_timeline(path)
    assert len(timeline.times_s) == 50
    assert timeline.times_s[0] == 0
    assert timeline.end_s == pytest.approx(2.0)
    assert greens(path, [0, 10, 49]) == pytest.approx([35, 45, 84], abs=1)


def test_variable_rate_keeps_true_times(tmp_path: Path) -> None:
    times = [0, 100, 200, 300, 2000, 5000]
    path = write_clip(tmp_path / "vfr.mkv", frames=6, times_ms=times)
    timeline = media.read_timeline(path)
    assert timeline.times_s == pytest.approx(np.array(times) / 1000)
    assert timeline.fps is None


def test_constant_rate() -> None:
    jitter = np.array([0, 33, 67, 100, 133, 167]) / 1000  # 30 fps in a container of milliseconds
    assert constant_rate(jitter, 0.2, 30.0) == 30.0
    # A header's absurd rate is not believed.
    assert constant_rate(np.arange(50) / 25, 2.0, 90000.0) == pytest.approx(25)
    assert constant_rate(np.arange(50) / 25, 2.0, None) == pytest.approx(25)
    assert constant_rate(np.array([0, 0.1, 1.0]), 1.1, 3.0) is None
    assert constant_rate(np.zeros(1), 0.04, None) == pytest.approx(25)


def test_memory_and_work_stay_flat_on_a_long_film(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_long_film(tmp_path / "long.mp4", seconds=7200)
    decoded = 0
    naive = video_reader._Cursor._decode_from

    def counted(self: video_reader._Cursor, key: int) -> object:
        nonlocal decoded
        for frame in naive(self, key):
            decoded += 1
            yield frame

    monkeypatch.setattr(video_reader._Cursor, "_decode_from", counted)
    assert len(media.read_timeline(path).times_s) == 36000
    wanted = [2250 + 4500 * i + 7 * i for i in range(8)]
    tracemalloc.start()
    for index, frame in zip(wanted, media.read_frames(path, wanted), strict=True):
        assert frame.time_s == index / 5
        assert frame.rgb.mean() == pytest.approx(index % 50 * 5, abs=4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert decoded <= 8 * 51  # at most one group of pictures (50) for each
    assert peak < 2 << 20  # all frames would be 110 MB


# Damage


def test_interrupted_recording(tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes((MEDIA / "testsrc.mp4").read_bytes()[:100_000])
    with pytest.raises(MediaError, match="cut short or never finished"):
        media.probe(path)


def test_truncated_file_is_used_and_told(tmp_path: Path) -> None:
    path = write_clip(
        tmp_path / "short.mp4", frames=100, container_options={"movflags": "+faststart"}
    )
    data = path.read_bytes()
    start = data.index(b"mdat")
    path.write_bytes(data[: start + (len(data) - start) * 2 // 3])
    info = media.probe(path)
    assert info.frame_count is not None
    assert 10 < info.frame_count < 100
    assert "cut short: it declares 4.0 s" in info.notes[0]
    assert greens(path, [5]) == pytest.approx([5], abs=1)


def test_hole_in_the_middle(tmp_path: Path) -> None:
    path = hollow(write_clip(tmp_path / "hole.mp4", codec_options={"x264-params": "keyint=10"}))
    frames = list(media.read_frames(path, list(range(50))))
    assert len(frames) == 50
    assert 0 < sum(frame.exact for frame in frames) < 50
    assert frames[0].exact
    assert frames[-1].exact


def test_nothing_reaches_stderr(tmp_path: Path) -> None:
    path = hollow(write_clip(tmp_path / "hole.mp4"))
    code = (
        "import sys; from pathlib import Path; from engines import media\n"
        "p = Path(sys.argv[1]); print(sum(1 for _ in media.read_frames(p, range(0, 40, 5))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert (done.stdout.strip(), done.stderr) == ("8", "")


# Refusals: one sentence each


def refusal(path: Path) -> str:
    with pytest.raises(MediaError) as caught:
        media.probe(path)
    message = str(caught.value)
    assert message.endswith(".")
    assert ". " not in message.replace(shown(path), "")
    return message


def test_refusals(tmp_path: Path) -> None:
    assert "There is no file" in refusal(tmp_path / "missing.mp4")
    assert "holds no pictures" in refusal(tmp_path)
    (tmp_path / "empty.mp4").touch()
    assert "is empty (0 bytes)" in refusal(tmp_path / "empty.mp4")
    (tmp_path / "text.mp4").write_text("This is no film.\n" * 100)
    assert "is not a video, picture or sound" in refusal(tmp_path / "text.mp4")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\ntestsrc.mp4\n#EXT-X-ENDLIST\n")
    assert "is not a video, picture or sound" in refusal(tmp_path / "list.m3u8")
    (tmp_path / "cut.png").write_bytes((MEDIA / "test.png").read_bytes()[:3000])
    assert "is cut short or damaged" in refusal(tmp_path / "cut.png")
    assert "cannot be opened" in refusal(tmp_path / "a\0b.mp4")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_and_devices_never_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "is a device or a pipe" in refusal(tmp_path / "pipe.mp4")
    assert "is a device or a pipe" in refusal(Path("/dev/zero"))
    with pytest.raises(MediaError, match="is a device or a pipe"):
        media.clip_hash(tmp_path / "pipe.mp4")


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "secret.mp4"
    path.write_bytes(b"secret")
    monkeypatch.setattr(os, "open", refused)
    assert "may not be read by this account" in refusal(path)


def test_too_many_pixels(tmp_path: Path) -> None:
    Image.new("1", (20000, 5000)).save(tmp_path / "huge.png")
    assert "more than 89 megapixels" in refusal(tmp_path / "huge.png")


def test_too_many_pixels_in_a_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=2)
    monkeypatch.setattr(video_reader, "MAX_PIXELS", WIDTH * HEIGHT - 1)
    assert f"are {WIDTH}x{HEIGHT}, more than" in refusal(path)


def test_odd_names(tmp_path: Path) -> None:
    try:
        path = tmp_path / os.fsdecode(b"caf\xe9\n.mp4")
        path.write_bytes((MEDIA / "testsrc.mp4").read_bytes())
    except OSError:
        path = tmp_path / "caf\u00e9 \u732b.mp4"  # a file system that only takes Unicode
        path.write_bytes((MEDIA / "testsrc.mp4").read_bytes())
    assert media.probe(path).frame_count == 150
    shown(path).encode("utf-8")
    assert shown(path).isprintable()


# Hash


def test_clip_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = tmp_path / "one.bin", tmp_path / "two.bin"
    one.write_bytes(b"abc")
    two.write_bytes(b"abc")
    assert media.clip_hash(one) == media.clip_hash(two)
    assert media.clip_hash(one).startswith("ba7816bf")  # SHA-256 of "abc"
    monkeypatch.setattr(media, "HASH_WHOLE_BYTES", 1000)
    monkeypatch.setattr(media, "HASH_BLOCK_BYTES", 10)
    for size, changed in ((1001, 1000), (2000, 0), (2000, 1999)):
        data = bytearray(size)
        one.write_bytes(bytes(data))
        data[changed] = 1
        two.write_bytes(bytes(data))
        assert media.clip_hash(one) != media.clip_hash(two)


def test_clip_hash_of_folder(tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    Image.fromarray(picture(1)).save(frames / "a.png")
    before = media.clip_hash(frames)
    (frames / "notes.txt").write_text("not a frame")
    assert media.clip_hash(frames) == before
    (frames / "a.png").rename(frames / "b.png")
    assert media.clip_hash(frames) != before


def test_index_is_read_again_when_the_file_changes(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=10)
    assert packet_index.read_index(path) is packet_index.read_index(path)
    write_clip(path, frames=20)
    assert media.probe(path).frame_count == 20


def test_large_pictures_are_decoded_by_fewer_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    threads = [video_reader.thread_count(w, h) for w, h in ((3840, 2160), (7680, 4320), (0, 0))]
    assert threads == [0, 10, 0]  # 0: as many as the library likes
    assert video_reader.thread_count(1 << 20, 1 << 10) == 1
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert video_reader.thread_count(7680, 4320) == 2
