"""What a running question tells its caller: progress, pieces of text, and the result at the end."""

from dataclasses import dataclass
from typing import Literal

from engines.config import Coverage, PartDevice
from engines.generate import FinishReason

Stage = Literal["load", "media", "vision", "audio", "prefill"]


@dataclass(frozen=True)
class Progress:
    """How far a stage is.

    Stages: "load" opens a graph, "media" decodes the clip, "vision" counts frames, "audio" windows
    of sound, "prefill" tokens of the prompt.
    """

    stage: Stage
    done: int
    total: int


@dataclass(frozen=True)
class TextPiece:
    """Text that became certain with a token; it may be empty. The pieces joined are the answer."""

    text: str
    token_id: int


@dataclass(frozen=True)
class Usage:
    """Tokens of the prompt by what they carry, and of the answer."""

    prompt_tokens: int
    visual_tokens: int
    audio_tokens: int
    text_tokens: int
    new_tokens: int


@dataclass(frozen=True)
class Timing:
    """Seconds of each part; `first_token_s` runs from the question to the first token.

    `decode_tokens_per_s` counts the tokens after the first; None when there was only one.
    """

    media_s: float
    encode_s: float
    prefill_s: float
    first_token_s: float
    decode_tokens_per_s: float | None


@dataclass(frozen=True)
class Result:
    """The answer with everything that a script or a receipt needs.

    Attributes:
        answer: the text, without space around it.
        token_ids: the new tokens; the one that ended the answer is the last.
        finish_reason: "stop" at an end token, "length" at the limit.
        usage: tokens in and out.
        timing: seconds.
        coverage: what of the clip the model really got.
        device: where it ran: the device that was chosen if any part ran there.
        bundle: the bundle's id, SHA-256 of its manifest.
        devices: where each part really ran, and why.
    """

    answer: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    usage: Usage
    timing: Timing
    coverage: Coverage
    device: str
    bundle: str
    devices: tuple[PartDevice, ...] = ()


Event = Progress | TextPiece | Result
