"""The one tree of exceptions.

    Vl2Error
    ├── MediaError       a clip cannot be read, or holds nothing that was asked for
    ├── PromptError      a question or conversation the model's prompt cannot carry
    ├── BundleError      a bundle is missing, damaged, or of another version
    ├── EngineFileError  a compiled engine is missing, not to be trusted, or does not fit
    ├── DeviceError      a device or an inference library is not there or failed
    │   └── DeviceMemoryError  a GPU's memory is full: the work can go on elsewhere
    ├── CheckpointError  a checkpoint is incomplete, malformed or not supported
    ├── ExportError      an export cannot start, cannot finish, or gave a wrong result
    ├── StoreError       the history or the settings cannot be read or written
    ├── EngineError      the engine process died, or a job in it failed
    ├── ReceiptError     a receipt cannot be read, written, or answered again
    ├── CaptureError     a camera or a microphone cannot be used
    ├── WindowError      the window cannot be opened
    └── Cancelled        the user stopped the work

Every message is one sentence for a user: what happened, to which file, what to do next.
"""

import re

# Longer than any sentence about a file whose name is as long as a system allows.
MAX_SENTENCE = 5000
# What moves a terminal's cursor or turns the direction of writing; and halves of characters.
_MOVING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_HALVES = re.compile(r"[\ud800-\udfff]")


class Vl2Error(Exception):
    """Base of everything this program raises on purpose."""

    def __init__(self, sentence: str = "") -> None:
        """What a file holds may be quoted in the sentence: it becomes one line that has an end."""
        super().__init__(one_line(sentence))


def one_line(sentence: str) -> str:
    """A sentence as it can be shown anywhere; of a long one the beginning and the end."""
    text = _MOVING.sub("", " ".join(sentence.splitlines()))
    text = _HALVES.sub("\N{REPLACEMENT CHARACTER}", text)
    half = MAX_SENTENCE // 2
    return text if len(text) <= MAX_SENTENCE else f"{text[:half]} … {text[-half:]}"


class MediaError(Vl2Error):
    """A clip cannot be read, or holds nothing that was asked for."""


class PromptError(Vl2Error):
    """A question or a conversation that the model's prompt cannot carry."""


class BundleError(Vl2Error):
    """A bundle is missing, damaged, or of another version."""


class EngineFileError(Vl2Error):
    """A compiled engine is missing, not to be trusted, or does not fit; its graph still serves."""


class DeviceError(Vl2Error):
    """A device or an inference library is not there, or failed."""


class DeviceMemoryError(DeviceError):
    """A GPU's memory is full; what was to run there can run elsewhere."""


class CheckpointError(Vl2Error):
    """A checkpoint is incomplete, malformed, or of a kind that is not supported."""


class ExportError(Vl2Error):
    """An export cannot start, cannot finish, or gave a result outside its tolerance."""


class StoreError(Vl2Error):
    """The history or the settings cannot be read or written."""


class EngineError(Vl2Error):
    """The engine process died, or a job in it failed; the message is its sentence."""


class ReceiptError(Vl2Error):
    """A receipt cannot be read or written, or what it tells of is not there any more."""


class CaptureError(Vl2Error):
    """A camera or a microphone cannot be opened, or gives nothing any more."""


class WindowError(Vl2Error):
    """The window cannot be opened: its library, or a screen, is not there."""


class Cancelled(Vl2Error):
    """The user stopped the work."""
