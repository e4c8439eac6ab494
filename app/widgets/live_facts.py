"""A recording in numbers, as the live page says them."""

from PySide6.QtCore import QCoreApplication, QLocale

from app.capture.recorder import SECONDS, LiveStatus

translate = QCoreApplication.translate


def facts(status: LiveStatus) -> str:
    """The recording in numbers: size, rate, what was lost, what is kept."""
    parts = []
    if status.size is not None:
        seen = translate("LivePage", "{width} × {height}, {rate} pictures a second")
        rate = QLocale().toString(status.fps, "f", 0)
        parts.append(seen.format(width=status.size[0], height=status.size[1], rate=rate))
    if status.camera is not None:
        lost = translate("LivePage", "{missed} missed, {crowded} dropped early")
        parts.append(lost.format(missed=status.missed, crowded=status.crowded_out))
    if status.microphone is not None:
        gaps = translate("LivePage", "sound lost {count} times")
        parts.append(gaps.format(count=status.overflows))
    known = (status.pictures_from_s, status.sound_from_s)
    oldest = min((at_s for at_s in known if at_s is not None), default=status.now_s)
    kept = translate("LivePage", "{seconds} s kept in {size} of memory")
    form = QLocale.DataSizeFormat.DataSizeSIFormat
    size = QLocale().formattedDataSize(status.nbytes, 0, form)
    seconds = round(min(status.now_s - oldest, SECONDS))
    return " · ".join([*parts, kept.format(seconds=seconds, size=size)])
