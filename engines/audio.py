"""From a clip's sound to what the audio tower takes: windows of log mel filter banks.

Two ways. "cover" (the default) hears the sound as it runs, in consecutive windows. "reference" does
what upstream does: of a film eight snippets glued together, of a long sound file one random crop.
A film's sound is mixed down and resampled to 16 bit like the ffmpeg program's output; a sound file
stays at its own rate up to one FFT resampling of the whole window. Upstream does both so, and the
log of a filter bank shows the difference.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import ceil
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engines import media
from engines.config import AudioConfig, ClipOptions
from engines.errors import MediaError
from engines.filter_bank import fbank, fft_resample, round_to_bfloat16
from engines.media_file import shown
from engines.timeline import check_range

# A last window with less sound than this is not worth a window's tokens.
SHORTEST_TAIL_S = 0.25

Span = tuple[float, float]


class ReadSound(Protocol):
    """Reads spans of a sound; see `engines.media.read_sound`."""

    def __call__(
        self, spans_s: Sequence[Span], *, rate: int | None, first_channel: bool = False
    ) -> list[media.Sound]:
        """Float32 samples of each span."""
        ...


@dataclass(frozen=True)
class PreparedAudio:
    """Sound ready for the audio tower.

    Attributes:
        fbanks: one (1, frames, bins) float32 for each window; none when there is no sound.
        spans_s: the parts of the clip's sound that they hold, (start, end) in s.
        notes: sentences for the user.
    """

    fbanks: list[NDArray[np.float32]]
    spans_s: tuple[Span, ...] = ()
    notes: tuple[str, ...] = ()


def prepare_audio(options: ClipOptions, audio: AudioConfig) -> PreparedAudio:
    """Read a clip's sound for the audio tower.

    Raises:
        MediaError: the clip cannot be read, the range is no part of it, or sound alone was asked
            for and there is none.
    """
    if options.sound == "off":
        return PreparedAudio([])
    info = media.sound_info(options.path)
    if info is None:
        return _without_sound(options, audio)
    return prepare_sound(options, audio, info, partial(media.read_sound, options.path))


def prepare_sound(
    options: ClipOptions, audio: AudioConfig, info: media.SoundInfo, read: ReadSound
) -> PreparedAudio:
    """`prepare_audio` for sound wherever it lies: where that is, and what reads it.

    Raises:
        MediaError: the range is no part of the clip, or sound alone was asked for and there is
            none.
    """
    notes = info.notes
    start_s, end_s = info.start_s, info.end_s
    if options.audio_window == "reference":
        end_s = info.padded_end_s
    if options.range_s is not None:
        (low, high), more = check_range(options.path, options.range_s, info.clip_end_s)
        notes += more
        start_s, end_s = max(start_s, low), min(end_s, high)
        if end_s <= start_s:
            return _silent(options, audio, (*notes, "There is no sound inside the range."))
    if options.audio_window == "cover":
        prepared = _cover(audio, info, read, (start_s, end_s))
    elif info.with_pictures:
        prepared = _snippets(audio, read, (start_s, end_s))
    else:
        prepared = _crop(options, audio, info, read, (start_s, end_s))
    if not prepared.spans_s:
        return _silent(options, audio, (*notes, "The sound track could not be decoded."))
    return PreparedAudio(prepared.fbanks, prepared.spans_s, notes + prepared.notes)


def sound_windows(start_s: float, end_s: float, window_s: float, max_windows: int) -> list[Span]:
    """Cut a stretch of sound into windows of `window_s`, the last one shorter.

    More sound than `max_windows` hold is sampled by windows spread evenly from its start to its
    end (a single one sits in the middle).
    """
    total_s = end_s - start_s
    count = max(ceil((total_s - SHORTEST_TAIL_S) / window_s), 1)
    if count <= max_windows:
        starts = [start_s + i * window_s for i in range(count)]
    elif max_windows == 1:
        starts = [start_s + (total_s - window_s) / 2]
    else:
        gap_s = (total_s - window_s) / (max_windows - 1)
        starts = [start_s + i * gap_s for i in range(max_windows)]
    return [(start, min(start + window_s, end_s)) for start in starts]


def snippet_starts(total_s: Fraction, snippet_s: Fraction, count: int) -> list[Fraction]:
    """Where upstream's snippets of a film's sound start: it divides by `count`, not `count - 1`."""
    return [i * max(total_s - snippet_s, Fraction(0)) / count for i in range(count)]


def window_features(
    samples: NDArray[np.float32], sample_rate: int, audio: AudioConfig
) -> NDArray[np.float32]:
    """Zero-pad a window at its own rate, resample it as a whole, take its filter bank.

    Args:
        samples: (n,) float32 in [-1, 1]; what goes beyond the window is cut off.
        sample_rate: of `samples`, Hz.
        audio: the window's length and what the tower takes.

    Returns:
        (1, frames, bins) float32.
    """
    window = np.zeros(round(audio.window_s * sample_rate), np.float32)
    kept = samples[: len(window)]
    window[: len(kept)] = kept
    resampled = fft_resample(window, round(audio.window_s * audio.sample_rate))
    features = fbank(resampled, audio.num_mel_bins, audio.sample_rate)
    return (round_to_bfloat16(features) if audio.fbank_bf16 else features)[None]


def _cover(
    audio: AudioConfig, info: media.SoundInfo, read: ReadSound, stretch_s: Span
) -> PreparedAudio:
    windows = sound_windows(*stretch_s, audio.window_s, audio.max_windows)
    rate = audio.sample_rate if info.with_pictures else None
    sounds = read(windows, rate=rate)
    heard = [sound for sound in sounds if sound.end_s > sound.start_s]
    fbanks = [window_features(s.samples, s.sample_rate, audio) for s in heard]
    notes: tuple[str, ...] = ()
    total_s = stretch_s[1] - stretch_s[0]
    if total_s > len(windows) * audio.window_s + SHORTEST_TAIL_S:
        notes = (
            f"Of {total_s:.0f} s of sound, {len(windows)} windows of {audio.window_s:g} s, spread "
            "evenly, are heard.",
        )
    return PreparedAudio(fbanks, tuple((s.start_s, s.end_s) for s in heard), notes)


def _snippets(audio: AudioConfig, read: ReadSound, stretch_s: Span) -> PreparedAudio:
    """Upstream's way with a film: snippets from all over it, glued together in one window."""
    rate = audio.sample_rate
    first = round(stretch_s[0] * rate)
    count = ceil(round((stretch_s[1] - stretch_s[0]) * rate, 3))
    snippet_s = Fraction(audio.clip_duration_s)
    starts = snippet_starts(Fraction(count, rate), snippet_s, audio.clips_per_video)
    cuts = [(int(s * rate), min(int((s + snippet_s) * rate), count)) for s in starts]
    spans = [((first + low) / rate, (first + high) / rate) for low, high in cuts]
    sounds = read(spans, rate=rate)
    heard = dict.fromkeys((s.start_s, s.end_s) for s in sounds if s.end_s > s.start_s)
    glued = np.concatenate([sound.samples for sound in sounds])
    note = (
        f"The sound is heard as the reference does it, as {audio.clips_per_video} snippets of "
        f"{audio.clip_duration_s:g} s.",
    )
    return PreparedAudio([window_features(glued, rate, audio)], tuple(heard), note)


def _crop(
    options: ClipOptions,
    audio: AudioConfig,
    info: media.SoundInfo,
    read: ReadSound,
    stretch_s: Span,
) -> PreparedAudio:
    """Upstream's way with a sound file: the left channel, a random window of a long one."""
    start_s, end_s = stretch_s
    notes: tuple[str, ...] = ()
    spare = round((end_s - start_s - audio.window_s) * info.sample_rate)
    if spare > 0:
        start_s += random.Random(options.seed).randint(0, spare) / info.sample_rate
        end_s = start_s + audio.window_s
        notes = (f"Only {audio.window_s:g} s of the sound, chosen at random, are heard.",)
    [sound] = read([(start_s, end_s)], rate=None, first_channel=True)
    spans = ((sound.start_s, sound.end_s),) if sound.end_s > sound.start_s else ()
    return PreparedAudio([window_features(sound.samples, sound.sample_rate, audio)], spans, notes)


def _without_sound(options: ClipOptions, audio: AudioConfig) -> PreparedAudio:
    if options.sound == "only":
        raise MediaError(
            f"The clip {shown(options.path)} has no sound track; ask about its pictures instead."
        )
    info = media.probe(options.path)
    if options.range_s is not None and info.duration_s is not None:
        check_range(options.path, options.range_s, info.duration_s)
    if info.kind == "image":
        return PreparedAudio([])
    return _silent(options, audio, ("The clip has no sound track.",))


def _silent(options: ClipOptions, audio: AudioConfig, notes: tuple[str, ...]) -> PreparedAudio:
    """No sound: upstream feeds a window of silence, "cover" nothing at all."""
    if options.sound == "only":
        raise MediaError(
            f"No sound of {shown(options.path)} can be heard; choose another range or another clip."
        )
    if options.audio_window == "cover":
        return PreparedAudio([], (), notes)
    silence = window_features(np.zeros(0, np.float32), audio.sample_rate, audio)
    return PreparedAudio([silence], (), (*notes, "Silence stands for the sound."))
