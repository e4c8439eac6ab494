"""Receipts: all that an answer depended on, so that anyone who has the clip can have it again.

A receipt is JSON (docs/receipts.md). One that is read is untrusted: it is bounded, every type is
checked, and it can name files of this computer only.
"""

import hashlib
import json
import os
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.inference import EngineSpec
from app.new_file import place, write_file
from engines.bench import versions
from engines.bundle import MANIFEST, Bundle
from engines.config import MAX_MANIFEST_BYTES, ClipOptions, Coverage, Mismatch, from_json, to_json
from engines.errors import MediaError, ReceiptError
from engines.events import Result, Timing, Usage
from engines.generate import FinishReason
from engines.media import clip_hash
from engines.media_file import open_regular, shown
from engines.messages import Message, Turn, clip_message, clip_options, parse_messages
from engines.sampling import GenerateOptions

RECEIPT_VERSION = 1
MAX_RECEIPT_BYTES = 8 << 20
MAX_SHOWN = 300


_versions = lru_cache(versions)  # Looks into every package's folder.


@dataclass(frozen=True)
class BundleFacts:
    """Which bundle answered: `id` is the SHA-256 of its manifest, `path` where it lay."""

    id: str
    name: str
    path: Path


@dataclass(frozen=True)
class ClipFacts:
    """Which clip it was: `sha256` is its `engines.media.clip_hash`; what was taken from it."""

    sha256: str
    options: ClipOptions


@dataclass(frozen=True)
class DeviceFacts:
    """Where the model ran, and how it was loaded (see `EngineSpec`)."""

    name: str
    exact: bool
    threads: int | None


@dataclass(frozen=True)
class Receipt:
    """An answer, and all it depended on.

    Attributes:
        receipt_version: of this format.
        bundle: whose answer it is.
        clip: what it is about, or None.
        messages: the texts of the conversation up to the question, which is the last; the clip
            belongs to the first one of the user.
        options: how to answer, with the seed.
        answer, token_ids, finish_reason, coverage, usage, timing: as in `engines.events.Result`.
        device: where it ran.
        versions: of this program and of the libraries that decide the numbers.
    """

    receipt_version: int
    bundle: BundleFacts
    clip: ClipFacts | None
    messages: tuple[Turn, ...]
    options: GenerateOptions
    answer: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    coverage: Coverage
    usage: Usage
    timing: Timing
    device: DeviceFacts
    versions: dict[str, str]


@dataclass(frozen=True)
class Question:
    """What to ask of which model: all that is needed for an answer."""

    spec: EngineSpec
    messages: list[Message]
    options: GenerateOptions


def conversation_clip(messages: list[Message]) -> ClipOptions | None:
    """What a conversation asks of its clip, None without one; PromptError when malformed."""
    part = parse_messages(messages).clip
    return None if part is None else clip_options(part)


def make_receipt(
    bundle: Bundle, question: Question, clip_sha256: str | None, result: Result
) -> Receipt:
    """The receipt of an answer.

    Args:
        bundle: the bundle that answered.
        question: what it was asked.
        clip_sha256: the clip's hash when it was asked; None without a clip.
        result: the answer.
    """
    clip = conversation_clip(question.messages)
    facts = None
    if clip is not None and clip_sha256 is not None:
        facts = ClipFacts(clip_sha256, replace(clip, path=clip.path.absolute()))
    return Receipt(
        RECEIPT_VERSION,
        BundleFacts(bundle.id, bundle.config.name, bundle.path.absolute()),
        facts,
        parse_messages(question.messages).turns,
        question.options,
        result.answer,
        result.token_ids,
        result.finish_reason,
        result.coverage,
        result.usage,
        result.timing,
        DeviceFacts(result.device, question.spec.exact, question.spec.threads),
        _versions(),
    )


def answer_json(answer: Result | Receipt) -> dict[str, Any]:
    """An answer or a receipt as JSON, its seconds rounded to what a clock can tell."""
    fields: dict[str, Any] = to_json(answer)
    timing = {
        name: None if value is None else round(value, 4) for name, value in fields["timing"].items()
    }
    return {**fields, "timing": timing}


def write_receipt(path: Path, receipt: dict[str, Any]) -> None:
    """Write a receipt; ReceiptError when the file cannot be written, or is the clip itself."""
    text = json.dumps(receipt, indent=1) + "\n"
    try:
        _refuse_clip(path, receipt.get("clip"))
        write_file(path, text)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ReceiptError(
            f"The receipt cannot be written to {shown(path)} ({reason}); choose another file."
        ) from error


def _refuse_clip(path: Path, clip: dict[str, Any] | None) -> None:
    if clip and place(path) == place(Path(clip["options"]["path"])):
        raise ValueError("it is the clip itself")


def read_receipt(path: Path) -> Receipt:
    """Read a receipt.

    Raises:
        MediaError: the file is not there or cannot be read.
        ReceiptError: it is no receipt, or one of another version.
    """
    with open_regular(path) as file:
        content = file.read(MAX_RECEIPT_BYTES + 1)
    advice = "save one with vl2 ask --receipt FILE, or copy it from the window"
    if len(content) > MAX_RECEIPT_BYTES:
        raise ReceiptError(f"The file {shown(path)} is too large for a receipt; {advice}.")
    try:
        data = json.loads(content)
        version = data.get("receipt_version") if isinstance(data, dict) else None
        if type(version) is int and version != RECEIPT_VERSION:
            raise ReceiptError(
                f"The receipt {shown(path)} has version {version}, but this program reads version"
                f" {RECEIPT_VERSION}; answer it again with the version of vl2 that wrote it."
            )
        return from_json(Receipt, data, "receipt")
    except Mismatch as error:
        reason = str(error)[:200]
    except (ValueError, RecursionError):
        reason = "it is not JSON"
    raise ReceiptError(f"The file {shown(path)} is no receipt ({reason}); {advice}.")


def replay(
    receipt: Receipt, bundle: Path | None, clip: Path | None, device: str = "auto"
) -> Question:
    """The question of a receipt, after a look whether bundle and clip are still the same.

    Args:
        receipt: the answer to have again.
        bundle: where the bundle is now; None looks where it was, and at the bundled demo.
        clip: where the clip is now; None looks where it was.
        device: "auto" takes the one it ran on.

    Raises:
        ReceiptError: bundle or clip is gone, or has another content.
        MediaError: the clip cannot be read.
    """
    spec = EngineSpec(
        bundle=_find_bundle(receipt.bundle, bundle),
        device=receipt.device.name if device == "auto" else device,
        exact=receipt.device.exact,
        threads=receipt.device.threads,
    )
    turns: list[Message] = [{"role": turn.role, "content": turn.text} for turn in receipt.messages]
    if receipt.clip is not None:
        path = _find_clip(receipt.clip, clip)
        first = next((i for i, turn in enumerate(turns) if turn["role"] == "user"), None)
        if first is None:
            raise ReceiptError("The receipt holds no question; it cannot be answered again.")
        turns[first] = clip_message(
            replace(receipt.clip.options, path=path), turns[first]["content"]
        )
    return Question(spec, turns, receipt.options)


def check_same(receipt: Receipt, result: Result) -> None:
    """ReceiptError unless the answer has the receipt's tokens."""
    if result.token_ids == receipt.token_ids:
        return
    here = _versions()
    other = [f"{name} {was}" for name, was in receipt.versions.items() if here.get(name) != was]
    made = f"; it was made with {', '.join(other)[:200]}" if other else ""
    raise ReceiptError(f"The answer is not the receipt's{made}; compare the two as --json.")


def _find_bundle(wanted: BundleFacts, given: Path | None) -> Path:
    from assets import demo_bundle

    name = f"{wanted.name[:80]} ({wanted.id[:12]})"
    if given is not None:
        if _bundle_id(given) != wanted.id:
            raise ReceiptError(
                f"The receipt was made with the bundle {name}, which {_named(given)} is not; name"
                " the right one with --bundle."
            )
        return given
    for path in (wanted.path, demo_bundle()):
        if not _is_remote(path) and _bundle_id(path) == wanted.id:
            return path
    raise ReceiptError(
        f"The bundle {name} that the receipt was made with is not at {_named(wanted.path)} any"
        " more; name it with --bundle."
    )


def _bundle_id(path: Path) -> str | None:
    try:
        with open_regular(path / MANIFEST) as file:
            return hashlib.sha256(file.read(MAX_MANIFEST_BYTES)).hexdigest()
    except (MediaError, OSError):
        return None


def _find_clip(wanted: ClipFacts, given: Path | None) -> Path:
    path = given or wanted.options.path
    advice = "name it as it is now: vl2 ask CLIP --replay RECEIPT"
    if given is None and _is_remote(path):
        raise ReceiptError(
            f"The clip of the receipt, {_named(path)}, is not on this computer; {advice}."
        )
    if not os.path.exists(path):  # noqa: PTH110 (a name that cannot be is no error)
        raise ReceiptError(f"The clip of the receipt, {_named(path)}, is gone; {advice}.")
    if clip_hash(path) != wanted.sha256:
        raise ReceiptError(
            f"The clip {_named(path)} is not the one that the receipt tells of, its content"
            f" differs; {advice}."
        )
    return path


def _is_remote(path: Path) -> bool:
    """True for a share of another computer: to look there would already tell it who asks."""
    return os.fspath(path).startswith(("\\\\", "//"))


def _named(path: Path) -> str:
    """A path for a sentence; one from a receipt may have any length."""
    text = shown(path)
    return text if len(text) <= MAX_SHOWN else f"…{text[-MAX_SHOWN:]}"
