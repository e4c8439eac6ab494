"""The one tree of exceptions.

    Vl2Error
    ├── MediaError       a clip cannot be read, or holds nothing that was asked for
    ├── PromptError      a question or conversation the model's prompt cannot carry
    ├── BundleError      a bundle is missing, damaged, or of another version
    ├── DeviceError      a device or an inference library is not there or failed
    ├── CheckpointError  a checkpoint is incomplete, malformed or not supported
    ├── ExportError      an export cannot start, cannot finish, or gave a wrong result
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


class DeviceError(Vl2Error):
    """A device or an inference library is not there, or failed."""


class CheckpointError(Vl2Error):
    """A checkpoint is incomplete, malformed, or of a kind that is not supported."""


class ExportError(Vl2Error):
    """An export cannot start, cannot finish, or gave a result outside its tolerance."""


class Cancelled(Vl2Error):
    """The user stopped the work."""
