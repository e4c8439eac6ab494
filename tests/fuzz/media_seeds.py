"""Whole small clips of many formats, to be damaged: ours, made by our libraries, by other tools."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from PIL import Image

from tests.clips import MEDIA, picture

CLIPS = Path(__file__).parents[2] / "assets" / "clips"
RATE, FRAMES = 48_000, 12
# File name, codec of the pictures, codec of the sound, as libavcodec calls its encoders.
_FILMS = (
    ("h264-aac.mp4", "libx264", "aac"),
    ("hevc-alac.mp4", "libx265", "alac"),
    ("mpeg4-mp3.avi", "mpeg4", "libmp3lame"),
    ("vp8-vorbis.webm", "libvpx", "vorbis"),
    ("vp9-opus.webm", "libvpx-vp9", "libopus"),
    ("h264-flac.mkv", "libx264", "flac"),
    ("ffv1-pcm.mkv", "ffv1", "pcm_s16le"),
    ("mjpeg-pcm.mov", "mjpeg", "pcm_s16le"),
    ("prores.mov", "prores_ks", None),
    ("mpeg2-mp2.ts", "mpeg2video", "mp2"),
    ("h264-ac3.ts", "libx264", "ac3"),
    ("flv-mp3.flv", "flv", "libmp3lame"),
    ("wmv-mp3.asf", "wmv2", "libmp3lame"),
    ("vp9.ivf", "libvpx-vp9", None),
    ("huffyuv.avi", "huffyuv", None),
    ("utvideo.nut", "utvideo", "flac"),
    ("mpeg1.mpg", "mpeg1video", "mp2"),
    ("sound.m4a", None, "aac"),
    ("sound.mp3", None, "libmp3lame"),
    ("sound.aac", None, "aac"),
    ("sound.flac", None, "flac"),
    ("sound.ogg", None, "libopus"),
    ("sound.wav", None, "pcm_s16le"),
    ("sound.aiff", None, "pcm_s16be"),
    ("sound.au", None, "pcm_s16be"),
    ("sound.caf", None, "alac"),
    ("sound.w64", None, "pcm_s16le"),
    ("sound.wv", None, "wavpack"),
    ("sound.tta", None, "tta"),
    ("sound.eac3", None, "eac3"),
)
# Each makes the file of its name out of film.mp4, sound.wav or picture.png of the same folder.
_TOOLS = (
    ("ffmpeg.mp4", "ffmpeg -i film.mp4 -c:v libx264 -preset ultrafast -movflags +faststart"),
    ("fragmented.mp4", "ffmpeg -i film.mp4 -c copy -movflags +frag_keyframe+empty_moov"),
    ("ffmpeg.mkv", "ffmpeg -i film.mp4 -c:v libvpx -c:a libvorbis -metadata title=<b>bold</b>"),
    ("ffmpeg.webm", "ffmpeg -i film.mp4 -c:v libvpx-vp9 -c:a libopus"),
    ("ffmpeg.avi", "ffmpeg -i film.mp4 -c:v msmpeg4 -c:a ac3"),
    ("ffmpeg.mov", "ffmpeg -i film.mp4 -c:v qtrle -c:a pcm_s24le"),
    ("dnxhd.mov", "ffmpeg -i film.mp4 -s 320x180 -c:v dnxhd -profile:v dnxhr_lb -an"),
    ("ffmpeg.ts", "ffmpeg -i film.mp4 -c:v mpeg2video -c:a mp2"),
    ("ffmpeg.asf", "ffmpeg -i film.mp4 -c:v wmv2 -c:a wmav2"),
    ("ffmpeg.flv", "ffmpeg -i film.mp4 -c:v flv1 -ar 44100 -c:a libmp3lame"),
    ("ffmpeg.ogv", "ffmpeg -i film.mp4 -c:v libtheora -c:a libvorbis"),
    ("ffmpeg.gif", "ffmpeg -i film.mp4"),
    ("ffmpeg.apng.png", "ffmpeg -i film.mp4 -f apng"),
    ("jpeg2000.mkv", "ffmpeg -i film.mp4 -c:v jpeg2000 -an"),
    ("speex.ogg", "ffmpeg -i sound.wav -ar 16000 -ac 1 -c:a libspeex"),
    ("adpcm.wav", "ffmpeg -i sound.wav -c:a adpcm_ms"),
    ("sox.wav", "sox sound.wav -b 24"),
    ("sox.aiff", "sox sound.wav"),
    ("sox.au", "sox sound.wav -e mu-law"),
    ("sox.ogg", "sox sound.wav"),
    ("flac.flac", "flac --silent -f sound.wav -o"),
    ("lame.mp3", "lame --quiet --ta <i>artist</i> sound.wav"),
    ("oggenc.ogg", "oggenc --quiet sound.wav -o"),
    ("cwebp.webp", "cwebp -quiet picture.png -o"),
    ("magick.jpg", "convert picture.png -interlace Plane -comment <a>comment</a>"),
    ("magick.gif", "convert -delay 5 picture.png ( picture.png -negate )"),
    ("magick.tiff", "convert picture.png -compress lzw"),
    ("magick.bmp", "convert picture.png"),
    ("magick.png", "convert picture.png -interlace PNG -depth 16"),
    ("gst.mkv", "gst vp8enc ! matroskamux"),
    ("gst.avi", "gst jpegenc ! avimux"),
    ("gst.mp4", "gst jpegenc ! qtmux"),
    ("gst.ogg", "gst theoraenc ! oggmux"),
)
_QUIET = {"libx265": {"x265-params": "log-level=none"}}
_GST = "gst-launch-1.0 -q videotestsrc num-buffers=8 ! video/x-raw,width=64,height=48 ! "


def make_seeds(folder: Path) -> list[Path]:
    """Our own clips and what this project's libraries write, in the same order everywhere."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, seen, heard in _FILMS:
        _write_once(folder / name, lambda path, s=seen, h=heard: _write_film(path, s, h))
    for name, options in {
        "picture.png": {},
        "still.jpg": {"exif": _turned()},
        "still.webp": {},
        "still.bmp": {},
        "still.tiff": {"compression": "tiff_deflate"},
        "still.ppm": {},
        "still.avif": {},
        "moving.gif": {"save_all": True},
        "moving.png": {"save_all": True},
        "moving.webp": {"save_all": True},
    }.items():
        _write_once(folder / name, lambda path, o=options: _write_picture(path, o))
    made = [folder / name for name, *_ in _FILMS]
    made += sorted(path for path in folder.glob("still.*"))
    made += sorted(path for path in folder.glob("moving.*"))
    return [*sorted(CLIPS.glob("*.mp4")), MEDIA / "testsrc.mp4", MEDIA / "test.png", *made]


def make_with_tools(folder: Path) -> list[Path]:
    """What the tools of this machine write; what is not there or fails is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_once(folder / "film.mp4", lambda path: _write_film(path, "libx264", "aac"))
    _write_once(folder / "sound.wav", lambda path: _write_film(path, None, "pcm_s16le"))
    _write_once(folder / "picture.png", lambda path: _write_picture(path, {}))
    for name, line in _TOOLS:
        _write_once(folder / name, lambda path, text=line: _run_tool(path, text))
    return [folder / name for name, _ in _TOOLS if (folder / name).exists()]


def _write_once(path: Path, write: Callable[[Path], None]) -> None:
    """Whole or not at all: a run goes on with the seeds of the one before."""
    if path.exists():
        return
    partial = path.with_name(f"partial-{path.name}")
    write(partial)
    if partial.exists() and partial.stat().st_size:
        partial.replace(path)


def _run_tool(path: Path, line: str) -> None:
    program, *arguments = line.split()
    if program == "gst":
        program, *arguments = f"{_GST}{' '.join(arguments)} ! filesink location={path}".split()
    elif program == "ffmpeg":
        arguments = ["-v", "error", "-y", *arguments, str(path)]
    else:
        arguments = [*arguments, str(path)]
    if shutil.which(program, path="/usr/bin:/bin") is None:
        return
    subprocess.run(
        [f"/usr/bin/{program}", *arguments],
        cwd=path.parent,
        capture_output=True,
        check=False,
        timeout=60,
    )


def _write_film(path: Path, seen: str | None, heard: str | None) -> None:
    with av.open(path, "w") as out:
        streams = []
        if seen is not None:
            pictures = out.add_stream(seen, rate=25)
            pictures.width, pictures.height = 64, 48
            if pictures.codec_context.codec.video_formats:
                pictures.pix_fmt = pictures.codec_context.codec.video_formats[0].name
            pictures.gop_size = 5
            streams.append(pictures)
        if heard is not None:
            sound = out.add_stream(heard, rate=44100 if "flv" in path.name else RATE)
            sound.layout = "stereo"
            streams.append(sound)
        for stream in streams:
            # The library calls its own Vorbis an experiment; x265 tells everything it does.
            stream.codec_context.options = {"strict": "experimental", **_QUIET.get(seen or "", {})}
        for stream in streams:
            out.mux(packet for part in _content(stream) for packet in stream.encode(part))
            out.mux(stream.encode(None))


def _content(stream: "av.VideoStream | av.AudioStream") -> "list[av.VideoFrame | av.AudioFrame]":
    if isinstance(stream, av.VideoStream):
        numbers = range(FRAMES)
        frames = [av.VideoFrame.from_ndarray(picture(8 * n), format="rgb24") for n in numbers]
        for number, frame in enumerate(frames):
            frame.pts = number
        return list(frames)
    rate = stream.rate
    tone = np.sin(np.arange(rate * FRAMES // 25) * 0.05) * 8000
    frame = av.AudioFrame.from_ndarray(
        np.repeat(tone.astype(np.int16), 2).reshape(1, -1), format="s16", layout="stereo"
    )
    frame.sample_rate, frame.pts = rate, 0
    return [frame]


def _write_picture(path: Path, options: dict[str, object]) -> None:
    frames = [Image.fromarray(picture(30 * number)) for number in range(4)]
    if "save_all" in options:
        options = {**options, "append_images": frames[1:], "duration": 80}
    frames[0].save(path, **options)


def _turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: a quarter turn
    exif[0x010E] = "<b>described</b>\x1b[2J"
    return exif.tobytes()
