from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from engines import audio, media, sound_reader
from engines.config import AudioConfig, ClipOptions
from engines.errors import MediaError
from engines.filter_bank import fbank, fft_resample, mel_banks, round_to_bfloat16
from tests.clips import CLICK_SAMPLES, MEDIA, Tone, click_track, write_clip

BEATS = AudioConfig(
    num_mel_bins=128,
    sample_rate=16000,
    window_s=30.0,
    clip_duration_s=2.0,
    clips_per_video=8,
    tokens_per_window=1496,
    max_windows=4,
    fbank_bf16=True,
)
SHORT = AudioConfig(128, 16000, 0.5, 0.1, 2, 8, 3, False)
RATES = {"libopus": 48000}


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def reference(name: str) -> np.ndarray:
    return np.load(MEDIA / "reference.npz")[name]


# Filter bank


def test_fbank_is_the_reference() -> None:
    features = fbank(reference("waveform"))
    assert features.shape == (98, 128)
    assert features.dtype == np.float32
    expected = from_bfloat16(reference("fbank_audio"))[:98]
    assert np.abs(round_to_bfloat16(features) - expected).mean() < 1e-3


def test_fbank_of_silence_and_of_nothing() -> None:
    silent = fbank(np.zeros(400, np.float32))
    assert silent.shape == (1, 128)
    assert silent == pytest.approx(np.log(np.finfo(np.float32).eps))  # -15.9424
    assert fbank(np.zeros(399, np.float32)).shape == (0, 128)
    assert fbank(np.zeros(400 + 160 * 2 + 159, np.float32)).shape == (3, 128)
    assert fbank(np.zeros(480_000, np.float32)).shape == (2998, 128)


def test_fbank_equals_the_naive_way() -> None:
    """One frame at a time, in float64, by the definition."""
    wave = np.random.default_rng(1).uniform(-0.5, 0.5, 1200).astype(np.float32)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85
    banks = mel_banks(128, 512, 16000).astype(np.float64)
    naive = []
    for start in range(0, 801, 160):
        frame = wave[start : start + 400].astype(np.float64) * 32768
        frame -= frame.mean()
        emphasised = frame.copy()
        emphasised[0] -= 0.97 * frame[0]
        for k in range(1, 400):
            emphasised[k] -= 0.97 * frame[k - 1]
        power = np.abs(np.fft.rfft(emphasised * window, 512)[:256]) ** 2
        naive.append(np.log(np.maximum(banks @ power, np.finfo(np.float32).eps)))
    assert fbank(wave) == pytest.approx(np.array(naive), abs=2e-4)


def test_mel_banks_by_hand() -> None:
    banks = mel_banks(128, 512, 16000)
    assert banks.shape == (128, 256)
    assert banks[3].sum() == 0  # no FFT bin falls into this triangle
    mel = 1127 * np.log(1 + np.array([20, 1000, 8000]) / 700)
    width = (mel[2] - mel[0]) / 129
    place = (mel[1] - mel[0]) / width  # 1000 Hz is FFT bin 32
    rising, falling = int(place), int(place) - 1
    assert banks[rising, 32] == pytest.approx(place - rising, abs=1e-4)
    assert banks[falling, 32] == pytest.approx(1 - (place - rising), abs=1e-4)
    assert np.count_nonzero(banks[:, 32]) == 2


@pytest.mark.parametrize(("count", "length"), [(8, 4), (4, 8), (9, 4), (5, 9), (441, 160), (6, 5)])
def test_fft_resample_keeps_what_fits(count: int, length: int) -> None:
    """A slow enough wave is the same function sampled at the other points."""
    t_in, t_out = np.arange(count) / count, np.arange(length) / length
    wave = (0.3 + np.cos(2 * np.pi * t_in + 0.5)).astype(np.float32)
    expected = 0.3 + np.cos(2 * np.pi * t_out + 0.5)
    assert fft_resample(wave, length) == pytest.approx(expected, abs=1e-6)


def test_fft_resample_of_the_highest_bin() -> None:
    # 8 samples of the frequency that 4 samples cannot tell from its mirror image: cos survives.
    wave = np.cos(np.pi * np.arange(8) / 2).astype(np.float32)  # 1 0 -1 0 ...
    assert fft_resample(wave, 4) == pytest.approx([1, -1, 1, -1], abs=1e-6)
    back = fft_resample(np.array([1, -1, 1, -1], np.float32), 8)
    assert back == pytest.approx(wave, abs=1e-6)
    assert fft_resample(wave, 8) == pytest.approx(wave)


def test_round_to_bfloat16() -> None:
    step = 2.0**-7  # of bfloat16 at 1
    values = np.array([1, 1 + step / 2, 1 + step * 1.5, 1 + step * 0.51, -1 - step / 2, 0])
    expected = [1, 1, 1 + 2 * step, 1 + step, -1, 0]
    assert round_to_bfloat16(values.astype(np.float32)).tolist() == expected
    assert round_to_bfloat16(np.array([-15.942385], np.float32))[0] == -15.9375


# The reference's numbers from the files on


@pytest.mark.parametrize(
    ("name", "stored", "bound"),
    [("testsrc.mp4", "fbank_video", 0.01), ("sweep.wav", "fbank_audio", 1e-4)],
)
def test_reference_route(name: str, stored: str, bound: float) -> None:
    prepared = audio.prepare_audio(ClipOptions(MEDIA / name, audio_window="reference"), BEATS)
    [features] = prepared.fbanks
    assert features.shape == (1, 2998, 128)
    assert features.dtype == np.float32
    # 0.05 is asked for; 1024 samples too many or too few give 0.45.
    assert np.abs(features[0] - from_bfloat16(reference(stored))).mean() < bound


def test_cover_hears_a_sound_file_as_the_reference_does() -> None:
    prepared = audio.prepare_audio(ClipOptions(MEDIA / "sweep.wav"), BEATS)
    assert prepared.spans_s == ((0.0, 7.5),)
    assert np.abs(prepared.fbanks[0][0] - from_bfloat16(reference("fbank_audio"))).mean() < 1e-4


# The encoder's delay is taken away exactly once


@pytest.mark.parametrize(
    ("name", "codec", "frames", "stamped", "options"),
    [
        ("edit-list.mp4", "aac", 75, True, None),
        ("undeclared.mp4", "aac", 75, False, None),
        ("no-edit-list.mp4", "aac", 75, True, {"use_editlist": "0"}),
        ("fragments.mp4", "aac", 75, True, {"movflags": "frag_keyframe+empty_moov"}),
        ("sound.m4a", "aac", 0, True, None),
        ("undeclared.m4a", "aac", 0, False, None),
        ("clip.mov", "aac", 75, True, None),
        ("clip.mkv", "aac", 75, True, None),
        ("undeclared.mkv", "aac", 75, False, None),
        ("opus.mkv", "libopus", 75, True, None),
        ("opus.ogg", "libopus", 0, True, None),
        ("lame.mp3", "libmp3lame", 0, True, None),
        ("lame.mp4", "libmp3lame", 75, True, None),
        ("broadcast.ts", "aac", 75, True, None),
        ("bare.aac", "aac", 0, True, None),
        ("plain.wav", "pcm_s16le", 0, True, None),
        ("plain.flac", "flac", 0, True, None),
    ],
)
def test_a_click_stays_where_it_is(
    tmp_path: Path,
    name: str,
    codec: str,
    frames: int,
    stamped: bool,
    options: dict[str, str] | None,
) -> None:
    clicks = (0.5, 1.0, 2.0)
    rate = RATES.get(codec, 44100)
    path = write_clip(
        tmp_path / name,
        frames=frames,
        tone=Tone(click_track(rate, 3.0, clicks), rate, codec, stamped),
        container_options=options,
    )
    for out_rate in (16000, None):
        [sound] = media.read_sound(path, [(0.0, 3.0)], rate=out_rate)
        for time_s in clicks:
            low = int((time_s - 0.2) * sound.sample_rate)
            energy = sound.samples[low : low + int(0.4 * sound.sample_rate)] ** 2
            centre = low + (np.arange(len(energy)) * energy).sum() / energy.sum()
            expected = time_s + (CLICK_SAMPLES - 1) / 2 / rate
            assert centre / sound.sample_rate == pytest.approx(expected, abs=0.0005)


def test_sound_before_and_after_the_first_picture(tmp_path: Path) -> None:
    """A picture track that starts a second late does not swallow the sound before it."""
    tone = Tone(click_track(44100, 3.0, (0.5,)))
    times = [1000 + 40 * i for i in range(50)]
    path = write_clip(tmp_path / "late.mkv", times_ms=times, tone=tone)
    info = media.sound_info(path)
    assert info is not None
    assert info.start_s == 0
    assert media.read_timeline(path).times_s[0] == pytest.approx(1.0, abs=0.03)
    [sound] = media.read_sound(path, [(0.0, 1.0)], rate=16000)
    assert np.abs(sound.samples).argmax() / 16000 == pytest.approx(0.5, abs=0.002)


# Spans


def test_spans_equal_cuts_of_the_whole() -> None:
    path = MEDIA / "testsrc.mp4"
    [whole] = media.read_sound(path, [(0.0, 6.0)], rate=16000)
    spans = [(0.5, 2.5), (1.0, 1.25), (2.00875, 4.00875), (5.0, 6.0)]
    for span, sound in zip(spans, media.read_sound(path, spans, rate=16000), strict=True):
        first = round(span[0] * 16000)
        expected = whole.samples[first : first + len(sound.samples)]
        # AAC fills bands with noise of its own, which depends on where decoding started.
        assert np.abs(sound.samples - expected).max() < 0.01
        assert (sound.start_s, sound.end_s) == span


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.m4a", "aac"),
        ("a.mkv", "aac"),
        ("a.mp3", "libmp3lame"),
        ("a.ogg", "libopus"),
        ("a.wav", "pcm_s16le"),
    ],
)
def test_far_spans_are_reached_without_decoding_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, codec: str
) -> None:
    rate = RATES.get(codec, 44100)
    clicks = (25.5, 50.25)
    path = write_clip(
        tmp_path / name, frames=0, tone=Tone(click_track(rate, 60.0, clicks), rate, codec)
    )
    decoded = 0
    planar = sound_reader._planar

    def counted(frame: av.AudioFrame) -> np.ndarray:
        nonlocal decoded
        decoded += frame.samples
        return planar(frame)

    monkeypatch.setattr(sound_reader, "_planar", counted)
    sounds = media.read_sound(path, [(25.0, 26.0), (50.0, 51.0)], rate=16000)
    for sound, at in zip(sounds, (0.5, 0.25), strict=True):
        assert np.abs(sound.samples).argmax() / 16000 == pytest.approx(at, abs=0.002)
        assert sound.end_s - sound.start_s == pytest.approx(1.0)
    assert decoded < 6 * rate


def test_span_over_the_end_tells_what_was_there() -> None:
    [sound] = media.read_sound(MEDIA / "sweep.wav", [(7.0, 9.0)], rate=None)
    assert len(sound.samples) == 2 * 44100
    assert (sound.start_s, sound.end_s) == pytest.approx((7.0, 7.5))
    assert not sound.samples[22050:].any()
    [beyond] = media.read_sound(MEDIA / "sweep.wav", [(8.0, 9.0)], rate=None)
    assert beyond.start_s == beyond.end_s


def test_channels(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=8000)
        stream.layout = "stereo"
        both = np.stack([np.full(8000, 8192), np.full(8000, -16384)]).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(both.T).reshape(1, -1), format="s16", layout="stereo"
        )
        frame.sample_rate = 8000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    [left] = media.read_sound(path, [(0.0, 0.1)], rate=None, first_channel=True)
    [mean] = media.read_sound(path, [(0.0, 0.1)], rate=None)
    assert set(left.samples.tolist()) == {0.25}
    assert set(mean.samples.tolist()) == {-0.125}


# Windows


def test_sound_windows() -> None:
    assert audio.sound_windows(0.0, 7.5, 30.0, 4) == [(0.0, 7.5)]
    assert audio.sound_windows(1.0, 71.0, 30.0, 4) == [(1.0, 31.0), (31.0, 61.0), (61.0, 71.0)]
    # 0.2 s more than a window are not worth a window
    assert audio.sound_windows(0.0, 30.2, 30.0, 4) == [(0.0, 30.0)]
    assert audio.sound_windows(0.0, 0.1, 30.0, 4) == [(0.0, 0.1)]
    assert audio.sound_windows(0.0, 100.0, 10.0, 4) == [(0, 10), (30, 40), (60, 70), (90, 100)]
    assert audio.sound_windows(0.0, 100.0, 10.0, 1) == [(45.0, 55.0)]


def test_snippet_starts() -> None:
    two = Fraction(2)
    assert audio.snippet_starts(Fraction(10), two, 8) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert audio.snippet_starts(Fraction(30), two, 8)[-1] == Fraction(49, 2)
    assert audio.snippet_starts(Fraction(1), two, 8) == [0] * 8


def options(name: str | Path, **fields: object) -> ClipOptions:
    return ClipOptions(MEDIA / name, **fields)  # type: ignore[arg-type]


def test_more_sound_than_windows_is_told() -> None:
    prepared = audio.prepare_audio(options("sweep.wav"), SHORT)
    assert [f.shape for f in prepared.fbanks] == [(1, 48, 128)] * 3
    assert prepared.spans_s == ((0.0, 0.5), (3.5, 4.0), (7.0, 7.5))
    assert prepared.notes == ("Of 8 s of sound, 3 windows of 0.5 s, spread evenly, are heard.",)


def test_range_cuts_the_sound() -> None:
    prepared = audio.prepare_audio(options("testsrc.mp4", range_s=(2.0, 2.8)), SHORT)
    assert prepared.spans_s == ((2.0, 2.5), (2.5, 2.8))
    [whole] = media.read_sound(MEDIA / "testsrc.mp4", [(2.0, 2.5)], rate=16000)
    assert np.array_equal(prepared.fbanks[0][0], fbank(whole.samples))
    with pytest.raises(MediaError, match="begins after the end"):
        audio.prepare_audio(options("testsrc.mp4", range_s=(6.5, 7.0)), SHORT)
    with pytest.raises(MediaError, match="runs backwards"):
        audio.prepare_audio(options("sweep.wav", range_s=(3.0, 1.0)), SHORT)


def test_range_without_sound(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "half.mp4", tone=Tone(click_track(44100, 0.5, (0.1,))))
    clip = ClipOptions(path, range_s=(1.0, 2.0))
    prepared = audio.prepare_audio(clip, SHORT)
    assert prepared.fbanks == []
    assert prepared.notes == ("There is no sound inside the range.",)
    with pytest.raises(MediaError, match="choose another range"):
        audio.prepare_audio(ClipOptions(path, range_s=(1.0, 2.0), sound="only"), SHORT)


def test_no_sound_track(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "silent.mp4", frames=5)
    prepared = audio.prepare_audio(ClipOptions(path), SHORT)
    assert prepared.fbanks == []
    assert prepared.notes == ("The clip has no sound track.",)
    prepared = audio.prepare_audio(ClipOptions(path, audio_window="reference"), BEATS)
    assert prepared.fbanks[0] == pytest.approx(-15.9375)
    assert prepared.spans_s == ()
    with pytest.raises(MediaError, match="has no sound track"):
        audio.prepare_audio(ClipOptions(path, sound="only"), SHORT)
    assert audio.prepare_audio(ClipOptions(path, sound="off"), SHORT).notes == ()
    assert audio.prepare_audio(options("test.png"), SHORT).notes == ()


def test_reference_crop_is_seeded() -> None:
    def crop(seed: int) -> audio.PreparedAudio:
        return audio.prepare_audio(options("sweep.wav", audio_window="reference", seed=seed), SHORT)

    [span] = crop(1).spans_s
    assert span[1] - span[0] == pytest.approx(0.5)
    assert crop(1).spans_s == crop(1).spans_s != crop(2).spans_s
    assert "chosen at random" in crop(1).notes[0]
    # A short sound needs no crop.
    assert audio.prepare_audio(options("sweep.wav", audio_window="reference"), BEATS).notes == ()


def test_a_stretch_shorter_than_the_resamplers_filter_gives_nothing() -> None:
    samples = sound_reader.resample_s16(np.zeros((1, 10), np.int16), "mono", 44100, 16000)
    assert (samples.dtype, len(samples)) == (np.float32, 0)
