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


class Vl2Error(Exception):
    """Base of everything this program raises on purpose."""


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
