"""What is known of a clip by looking at it or at the history: where it is, whether it is the same.

Every function may wait for a disk, so none is for the thread that draws. No Qt.
"""

from dataclasses import replace
from pathlib import Path

from app.clip_files import guess_kind
from app.history import ClipRecord, ConversationRecord, History, clip_record, clip_status
from app.moved_clips import ClipStatus
from app.new_file import is_there, place
from engines.errors import MediaError


def look_at(path: Path) -> ClipRecord:
    """What a file or folder seems to be; one that is not there is told apart later, when read."""
    path = place(path)
    return clip_record(path, guess_kind(path, is_there(path) and path.is_dir()))


def recall(history: History, number: int) -> tuple[ConversationRecord, ClipStatus]:
    """A conversation, and whether its clip lies where it lay; StoreError when it is not there."""
    record = history.load(number)
    return record, "here" if record.clip is None else clip_status(record.clip)


def same_clip(history: History, number: int, path: Path) -> ClipRecord:
    """A file that the user says to be the clip of a conversation.

    Raises:
        MediaError: its content is another, or it cannot be read.
        StoreError: the conversation is not there.
    """
    from engines.media import clip_hash  # brings the media libraries, seldom needed here

    remembered, found = history.load(number).clip, look_at(path)
    if remembered is None or remembered.sha256 is None:
        return found
    sha256 = clip_hash(found.path)
    if sha256 != remembered.sha256:
        raise MediaError(
            f"{path.name} is not the clip of this conversation, its content differs; open it as a"
            " clip of its own."
        )
    return replace(found, sha256=sha256)
