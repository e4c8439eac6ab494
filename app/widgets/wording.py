"""Sizes, times and parts of a model in the user's language."""

from PySide6.QtCore import QCoreApplication, QLocale

from app.translatable import QT_TRANSLATE_NOOP

# Why a part runs where it does, as `engines.devices.resolve` says it. What holds a name of this
# computer comes as the engine wrote it.
REASONS = (
    QT_TRANSLATE_NOOP("Engine", "The model runs on the CPU."),
    QT_TRANSLATE_NOOP("Engine", "The model runs on cpu, as asked."),
    QT_TRANSLATE_NOOP("Engine", "The model runs on cuda, as asked."),
    QT_TRANSLATE_NOOP("Engine", "The model runs on tensorrt, as asked."),
    QT_TRANSLATE_NOOP(
        "Engine", "The encoders run on the GPU (CUDA), the language model runs on the CPU."
    ),
    QT_TRANSLATE_NOOP(
        "Engine",
        "Compiled engines run on the GPU where the bundle has them; the rest runs on the CPU.",
    ),
    QT_TRANSLATE_NOOP(
        "Engine",
        "The model runs on the CPU; there is a GPU, to use it install onnxruntime-gpu with its"
        " CUDA libraries.",
    ),
)


def size_text(number: float) -> str:
    """Return a number of bytes as a person says it: 340 kB, 5.9 MB, 4.1 GB."""
    # 340 kB, 5.9 MB, 200 MB, 4.1 GB: a tenth of a megabyte is noise in a hundred of them.
    places = 1 if 1e6 <= number < 1e8 or number >= 1e9 else 0
    si = QLocale.DataSizeFormat.DataSizeSIFormat
    return QLocale().formattedDataSize(int(number), places, si)


def duration_text(seconds: float) -> str:
    """Return a span of time as a person says it: 45 s, 3 min, 2.1 h."""
    if seconds < 90:
        return QCoreApplication.translate("Wording", "{n} s").format(n=round(seconds))
    if seconds < 5400:
        return QCoreApplication.translate("Wording", "{n} min").format(n=round(seconds / 60))
    hours = QLocale().toString(seconds / 3600, "f", 1)
    return QCoreApplication.translate("Wording", "{n} h").format(n=hours)


def percent_text(fraction: float) -> str:
    """Return a share of one as a whole number of percent."""
    return QCoreApplication.translate("Wording", "{n} %").format(n=round(100 * fraction))


def part_text(part: str) -> str:
    """Return the name of a part of the model; one that is not known keeps its own."""
    names = {
        "vision_tower": QCoreApplication.translate("Wording", "Picture encoder"),
        "projector": QCoreApplication.translate("Wording", "Connector"),
        "audio": QCoreApplication.translate("Wording", "Sound encoder"),
        "decoder": QCoreApplication.translate("Wording", "Language model"),
        "embeddings": QCoreApplication.translate("Wording", "Word embeddings"),
        "cache": QCoreApplication.translate("Wording", "Memory of the conversation"),
        "program": QCoreApplication.translate("Wording", "The program itself"),
    }
    return names.get(part, part)


def device_text(device: str) -> str:
    """Return the name of a device."""
    names = {"cpu": "CPU", "cuda": "NVIDIA CUDA", "tensorrt": "NVIDIA TensorRT"}
    return names.get(device, device)


def demo_text() -> str:
    """Say what the demo model knows; its own manifest says it in English."""
    return QCoreApplication.translate(
        "Wording",
        "This demo model knows only its small synthetic world: coloured shapes that move, bounce,"
        " appear and disappear, flashes, tones, beeps and noise. About anything else its answer"
        " means nothing.",
    )


def engine_text(sentence: str) -> str:
    """Return a sentence of the engine in the user's language where that is known, else as it is."""
    return QCoreApplication.translate("Engine", sentence)
