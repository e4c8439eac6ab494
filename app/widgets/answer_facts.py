"""What is told of an answer beside its words: the line under it, notes, the receipt in plain words.

`result` is what `vl2 ask --json` prints; from an older history parts of it may be missing.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QCoreApplication, QLocale

translate = QCoreApplication.translate
Facts = Mapping[str, Any]
_MANY_TIMES = 24


def footer_line(result: Facts) -> str:
    """Speed, tokens by what they carry, and where it ran: "first word 0.12 s · … · CPU"."""
    timing, usage = _part(result, "timing"), _part(result, "usage")
    parts = []
    first = timing.get("first_token_s")
    if first is not None:
        parts.append(
            translate("AnswerFacts", "first word {seconds} s").format(seconds=_number(first, 2))
        )
    speed = timing.get("decode_tokens_per_s")
    if speed is not None:
        parts.append(
            translate("AnswerFacts", "{count} tokens/s").format(
                count=_number(speed, 0 if speed >= 10 else 1)
            )
        )
    counted = [
        words.format(count=_number(usage[name], 0))
        for name, words in (
            ("visual_tokens", translate("AnswerFacts", "{count} picture")),
            ("audio_tokens", translate("AnswerFacts", "{count} sound")),
            ("text_tokens", translate("AnswerFacts", "{count} text")),
        )
        if usage.get(name)
    ]
    if counted:
        parts.append(translate("AnswerFacts", "{counts} tokens").format(counts=" + ".join(counted)))
    if result.get("device"):
        parts.append(device_name(result))
    return " · ".join(parts)


def device_name(result: Facts) -> str:
    """The device as people write it."""
    device = str(result.get("device", ""))
    names = {"cpu": "CPU", "cuda": "CUDA", "tensorrt": "TensorRT"}
    return names.get(device.lower(), device)


def notes(result: Facts) -> list[str]:
    """Sentences on what the model did not get, and on an answer that was cut."""
    told = [str(note) for note in _part(result, "coverage").get("notes", ())]
    if result.get("finish_reason") == "length":
        told.append(
            translate(
                "AnswerFacts",
                "The answer ended at its longest length; set a longer one and ask again.",
            )
        )
    return told


def receipt_of(result: Facts) -> Facts:
    """The receipt itself; for an older answer, all that is known."""
    receipt = result.get("receipt")
    return receipt if isinstance(receipt, Mapping) else result


def receipt_json(result: Facts) -> str:
    """The receipt, as `vl2 ask --replay` reads it."""
    return json.dumps(receipt_of(result), ensure_ascii=False, indent=1)


def receipt_lines(result: Facts) -> list[tuple[str, str]]:
    """The receipt in plain words: what, and its value."""
    receipt = receipt_of(result)
    bundle = receipt.get("bundle") or result.get("bundle")
    coverage, usage = _part(receipt, "coverage"), _part(receipt, "usage")
    lines = []
    if isinstance(bundle, Mapping):
        lines.append((translate("AnswerFacts", "Model"), str(bundle.get("name", ""))))
        bundle = bundle.get("id")
    if bundle:
        lines.append((translate("AnswerFacts", "Bundle"), f"{str(bundle)[:12]}…"))
    if result.get("device"):
        lines.append((translate("AnswerFacts", "Ran on"), device_name(result)))
    lines.append((translate("AnswerFacts", "Words chosen"), _choosing(_part(receipt, "options"))))
    times = coverage.get("frame_times_s") or ()
    lines.append(
        (
            translate("AnswerFacts", "Frames seen at"),
            _times(times) if times else translate("AnswerFacts", "none"),
        )
    )
    spans = coverage.get("sound_spans_s") or ()
    lines.append(
        (
            translate("AnswerFacts", "Sound heard"),
            _spans(spans) if spans else translate("AnswerFacts", "none"),
        )
    )
    if usage:
        counts = translate("AnswerFacts", "{asked} read, {written} written").format(
            asked=_number(usage.get("prompt_tokens", 0), 0),
            written=_number(usage.get("new_tokens", 0), 0),
        )
        lines.append((translate("AnswerFacts", "Tokens"), counts))
    return lines


def receipt_text(result: Facts) -> str:
    """The same as lines of text."""
    return "\n".join(f"{what}: {value}" for what, value in receipt_lines(result))


def _choosing(options: Facts) -> str:
    temperature = options.get("temperature") or 0
    if not temperature:
        return translate("AnswerFacts", "always the likeliest, so the same again each time")
    return translate("AnswerFacts", "by chance, temperature {temperature}, seed {seed}").format(
        temperature=_number(temperature, 2), seed=options.get("seed", 0)
    )


def _times(times: Sequence[float]) -> str:
    shown = ", ".join(_seconds(time) for time in times[:_MANY_TIMES])
    more = len(times) - _MANY_TIMES
    if more > 0:
        shown = translate("AnswerFacts", "{times} and {count} more").format(times=shown, count=more)
    return translate("AnswerFacts", "{times} s").format(times=shown)


def _spans(spans: Sequence[Sequence[float]]) -> str:
    shown = ", ".join(f"{_seconds(span[0])}–{_seconds(span[1])}" for span in spans[:_MANY_TIMES])
    return translate("AnswerFacts", "{times} s").format(times=shown)


def _seconds(value: float) -> str:
    return _number(value, 2)


def _number(value: float, digits: int) -> str:
    return QLocale().toString(float(value), "f", digits)


def _part(facts: Facts, name: str) -> Facts:
    part = facts.get(name)
    return part if isinstance(part, Mapping) else {}
