"""Damaged and hostile documents through every reader of ours: an answer or one sentence, no more.

    python -m tests.fuzz.documents --count 10000 --seed 1

A document is a real one with bytes or values changed, JSON that Hypothesis made up, or noise.
Prints one JSON object; exits with 1 if a reader raised anything but a sentence of the tree, took
more than 10 s or a gigabyte. `regressions/` beside this holds what once failed: KIND-NAME.
"""

import argparse
import json
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import engines.bundle
from app import settings as settings_file
from app.receipt import read_receipt
from assets import demo_bundle, demo_clips
from engines import engine_files, engine_trust
from engines.bundle import MANIFEST, read_bundle
from engines.command import printable, sentence_of
from engines.config import PromptConfig, to_json
from engines.errors import MAX_SENTENCE, Vl2Error
from engines.evaluate import read_questions
from engines.messages import Turn
from engines.prompt import render_prompt

MOST_S = 10
MOST_BYTES = 1 << 30
# What was copied into itself again and again is large enough.
MOST_PLACES = 20_000
ODD = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**64), 10**400, 1e308, 0.5, -0.0),
    *(float("nan"), float("inf"), float("-inf")),
    *("", " ", "x" * 70_000, "\0", "\x1b[2J\x1b]0;title\x07", "\u202e", "\ud800", "a\nb\r\nc"),
    *("../../etc/passwd", "/etc/passwd", "C:\\a", "..", ".", "a/b", "\N{SNOWMAN}" * 500),
    *([], {}, [[]], [None] * 5000, {"a": {"b": {"c": 1}}}, {"": 0}, ["x", 1, None]),
)  # fmt: skip
PIECES = (
    *(b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"[" * 3000, b'{"a":' * 3000, b"\xff\xfe"),
    *(b"\x00", b"\xef\xbb\xbf", b'"\\ud800"', b'"\\u0000"', b"\x1b[31m", b'"a":1,"a":2,', b"//"),
    *(b"\n" * 500, b"}" * 10, b"-", b"1" + b"0" * 500, b"\xc3\x28", b'"' + b"y" * 9000 + b'"'),
)  # fmt: skip

# What makes a template work or grow, or leave its sandbox.
TEMPLATE_PIECES = (
    *(b"{% for i in range(99999) %}", b"{% endfor %}"),
    *(b"{% for c in x recursive %}", b"{{ loop(x) }}"),
    *(b"{% set x = x + x %}", b"{% set x = [x, x] %}", b"{% set ns.x = ns.x ~ ns.x %}"),
    *(b"{% macro m(a) %}{{ m(a) }}{% endmacro %}{{ m(1) }}", b"{% call m() %}", b"{% endcall %}"),
    *(b"{% set x %}", b"{% endset %}", b"{% filter upper %}", b"{{ x | tojson(indent=9) }}"),
    *(b"{{ '%999999999d' % 1 }}", b".center(999999999)", b" * 999999999", b" ** 9 ** 9"),
    *(b".__class__.__mro__", b"| map('upper') | sort | unique | join(x)", b".replace('', x)"),
    *(b"{% if x == y %}", b"{% endif %}", b"{% include 'x' %}", b"{% block b %}{{ self.b() }}"),
    *(b"{{", b"}}", b"{%-", b"-%}", b"{#", b"#}", b"{{ x }}", b"{{ ns }}", b"[::-1]"),
    *(b"\\x00", b"\\ud800", b"(" * 3000, b"1+" * 3000),
)  # fmt: skip

Reader = Callable[[Path, bytes], object]


def _manifest(folder: Path, content: bytes) -> object:
    bundle = folder / "own.vl2"
    bundle.mkdir(exist_ok=True)
    (bundle / MANIFEST).write_bytes(content)
    return read_bundle(bundle)


def _receipt(folder: Path, content: bytes) -> object:
    return read_receipt(_written(folder / "receipt.json", content))


def _settings(folder: Path, content: bytes) -> object:
    path = _written(folder / "settings.json", content)
    found, notice = settings_file.load(path)
    assert notice is None or _is_sentence(notice), notice
    settings_file.save(found, folder / "saved.json")
    again, complaint = settings_file.load(folder / "saved.json")
    assert complaint is None
    assert again == found
    return found


def _questions(folder: Path, content: bytes) -> object:
    return read_questions(_written(folder / "questions.jsonl", content))


def _calibration(folder: Path, content: bytes) -> object:
    from export.examples import read_lines

    return read_lines(_written(folder / "questions.jsonl", content))


def _gptq_config(folder: Path, content: bytes) -> object:
    from export.gptq_checkpoint import read_gptq_config

    _written(folder / "quantize_config.json", content)
    return read_gptq_config(folder)


def _safetensors(folder: Path, content: bytes) -> object:
    from export.tensors import read_header

    return read_header(_written(folder / "model.safetensors", content))


def _weight_index(folder: Path, content: bytes) -> object:
    from export.weight_files import read_weights

    _written(folder / "model.safetensors.index.json", content)
    _written(folder / "model-00001-of-00001.safetensors", real("safetensors"))
    return read_weights(folder)


def _config(folder: Path, content: bytes) -> object:
    from export.keys import Keys
    from export.model_config import read_config
    from export.tensors import read_json
    from export.tower_config import tower_files

    path = _written(folder / "config.json", content)
    keys = Keys(read_json(path), path)
    tower = tower_files(keys.text("mm_vision_tower"), keys, [folder], False, False)
    return read_config(keys, tower, None)


def _engines(folder: Path, content: bytes) -> object:
    """As if the user's own key vouched for it."""
    bundle = folder / "own.vl2"
    (bundle / "engines" / "sm89").mkdir(parents=True)
    shutil.copy(demo_bundle() / MANIFEST, bundle)
    _written(bundle / "engines" / "sm89" / engine_files.LIST, content)
    with (
        patch.object(engine_files, "_read_key", lambda _: b""),
        patch.object(engine_files, "_sign", lambda *_: "d"),
    ):
        found = engine_files.read_engines(read_bundle(bundle), "sm89")
    for graph in ("decoder", "vision_tower"):
        with suppress(Vl2Error):
            engine_files.check_engine(read_bundle(bundle), found, graph, found.tensorrt)
    return found


def _trust(folder: Path, content: bytes) -> object:
    _written(folder / "engine-tests.json", content)
    with patch.object(engine_trust, "records_path", lambda: folder / "engine-tests.json"):
        return engine_trust.recall("a" * 64)


def _hashes(folder: Path, content: bytes) -> object:
    _written(folder / "hashes.json", content)
    with patch.object(engines.bundle, "_hashes_path", lambda: folder / "hashes.json"):
        found = engines.bundle._load_hashes()
        engines.bundle._store_hashes(found)
    return found


def _history(folder: Path, content: bytes) -> object:
    """The columns of a turn that hold JSON."""
    from app.history_rows import _parsed

    return _parsed(content.decode("utf-8", "replace"))


def _template(folder: Path, content: bytes) -> object:
    template = content.decode("utf-8", "replace")
    config = PromptConfig(template, "Be kind.", {"bos_token": "<s>", "eos_token": "</s>"}, None)
    turns = [Turn("user", "Who?"), Turn("assistant", "Me. " * 50), Turn("user", "Why?")]
    return render_prompt(turns, "video", config, folder)


READERS: Mapping[str, Reader] = {
    "manifest": _manifest,
    "receipt": _receipt,
    "settings": _settings,
    "questions": _questions,
    "calibration": _calibration,
    "gptq": _gptq_config,
    "safetensors": _safetensors,
    "index": _weight_index,
    "config": _config,
    "engines": _engines,
    "trust": _trust,
    "hashes": _hashes,
    "history": _history,
    "template": _template,
}
# These are not JSON as a whole.
TEXTS = ("questions", "calibration", "template")


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _header(data: object) -> bytes:
    text = json.dumps(data).encode()
    return struct.pack("<Q", len(text)) + text + bytes(64)


@cache
def real(kind: str) -> bytes:
    """A document as it should be."""
    if kind == "manifest":
        return (demo_bundle() / MANIFEST).read_bytes()
    if kind in ("questions", "calibration"):
        lines = (demo_clips() / "questions.jsonl").read_bytes().splitlines()[:6]
        clip = f'"{demo_clips()}/'.encode()
        return b"\n".join(line.replace(b'"clip": "', b'"clip": ' + clip) for line in lines)
    if kind == "template":
        return (Path(__file__).parent / "template.jinja").read_bytes()
    return _documents()[kind]


@cache
def _documents() -> dict[str, bytes]:
    from dataclasses import asdict

    stored = {"dtype": "F16", "shape": [4, 4], "data_offsets": [0, 32]}
    more = {"dtype": "I32", "shape": [8], "data_offsets": [32, 64]}
    gptq = {"bits": 4, "group_size": 128, "desc_act": True, "sym": True, "quant_method": "gptq",
            "checkpoint_format": "gptq", "damp_percent": 0.01, "pack_dtype": "int32"}  # fmt: skip
    mine = {name: getattr(settings_file.Settings(), name) for name in settings_file._NAMES}
    outcome = asdict(engine_trust.Outcome("passed", "it is", "b" * 64))
    data = {
        "receipt": _receipt_of_the_demo(),
        "settings": mine | {"recent": ["/a.mp4"], "newer": [1]},
        "gptq": gptq,
        "index": {"weight_map": {"a.weight": "model-00001-of-00001.safetensors"}, "metadata": {}},
        "config": _config_of_a_checkpoint(),
        "engines": _engine_list(),
        "trust": {"a" * 64: outcome},
        "hashes": {str(demo_bundle() / MANIFEST): [1, 2, "e" * 64]},
        "history": {"num_frames": 8, "sound": "on", "answer": "Two.", "devices": [{"part": "x"}]},
    }
    found = {name: json.dumps(value).encode() for name, value in data.items()}
    return found | {"safetensors": _header({"a.weight": stored, "b": more, "__metadata__": {}})}


def _engine_list() -> dict[str, Any]:
    axes = {"x": [[1, 4], [2, 4], [8, 4]]}
    tensors = {"x": ["float16", [-1, 4]]}
    entry = engine_files.EngineFile(
        "decoder.engine", 9, "e" * 64, "decoder.onnx", "f" * 64, "fp16", {}, {}, {}, 1, 2, 3.0
    )
    both = {"inputs": tensors, "outputs": tensors, "profiles": axes}
    compiler = engine_files.Compiler("rtx", "1.2.3")
    bundle = read_bundle(demo_bundle()).id
    listed = engine_files.EngineSet(engine_files.FORMAT, compiler, "sm89", bundle, {})
    data: dict[str, Any] = to_json(listed)
    return data | {"graphs": {"decoder": to_json(entry) | both}, "hmac": "d"}


def _receipt_of_the_demo() -> dict[str, Any]:
    path = Path(__file__).parent / "receipt.json"
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def _config_of_a_checkpoint() -> dict[str, Any]:
    from tests.golden import checkpoint

    found: dict[str, Any] = json.loads((checkpoint("qwen2_av") / "config.json").read_bytes())
    wide = {"mm_vision_tower": "google/siglip-so400m-patch14-384", "mm_hidden_size": 1152}
    return found | wide


def damaged(kind: str, number: int) -> bytes:
    """A real document with values or bytes of it changed; the same for the same number."""
    chance = random.Random(f"{kind}:{number}")
    content = real(kind)
    if chance.random() < 0.6 and kind not in TEXTS:
        content = _other_values(kind, content, chance)
    if chance.random() < 0.5 or kind == "template":
        content = _other_bytes(content, chance, TEMPLATE_PIECES if kind == "template" else PIECES)
    return content


def _other_values(kind: str, content: bytes, chance: random.Random) -> bytes:
    data = json.loads(content[8:-64] if kind == "safetensors" else content)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        places = list(_places(data))
        if not places or len(places) > MOST_PLACES:
            break
        holder, key = chance.choice(places)
        match chance.randrange(5):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[chance.choice(("x", "\x1b[2J", "../x", "\ud800", "y" * 9000))] = holder[key]
            case 2:
                other = chance.choice(places)
                holder[key] = deepcopy(other[0])
            case _:
                holder[key] = deepcopy(chance.choice(ODD))
    return _header(data) if kind == "safetensors" else json.dumps(data).encode()


def _places(data: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(data, dict | list):
        for key in list(data) if isinstance(data, dict) else range(len(data)):
            yield data, key
            yield from _places(data[key])


def _other_bytes(content: bytes, chance: random.Random, pieces: Sequence[bytes]) -> bytes:
    found = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 8))):
        at = chance.randrange(len(found) + 1)
        end = min(len(found), at + chance.choice((1, 2, 16, 200)))
        match chance.randrange(6 if pieces is PIECES else 9):
            case 0 if at < len(found):
                found[at] ^= 1 << chance.randrange(8)
            case 1:
                del found[at:end]
            case 2:
                found[at:at] = found[at:end] * chance.choice((1, 2, 50))
            case 3:
                found[at:end] = chance.randbytes(end - at)
            case 5:
                del found[chance.choice((at, at, 0)) :]
            case _:
                found[at:at] = chance.choice(pieces)
    return bytes(found)


_plain = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40)
    | st.sampled_from([value for value in ODD if not isinstance(value, list | dict)])
)  # fmt: skip
_json = st.recursive(
    _plain,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=20,
)


def contents(kind: str) -> st.SearchStrategy[bytes]:
    """Documents for one kind of reader."""
    changed = st.integers(0, 2**40).map(lambda number: damaged(kind, number))
    made_up = _json.map(lambda value: json.dumps(value).encode())
    if kind == "safetensors":
        made_up |= _json.map(_header)
    return st.one_of(changed, changed, changed, changed, made_up, st.binary(max_size=300))


def examine(kind: str, content: bytes, folder: Path) -> str:
    """Read a document; "read" or "told", AssertionError for what should not have happened."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        with _at_most(MOST_S):
            READERS[kind](folder, content)
    except Vl2Error as error:
        _check_sentence(error)
        return "told"
    assert _peak_bytes() < MOST_BYTES, "too much memory"
    return "read"


def _check_sentence(error: Vl2Error) -> None:
    assert _is_sentence(str(error)), str(error)[:3000]
    assert _is_sentence(printable(sentence_of(error)))


def _is_sentence(text: str) -> bool:
    return text.endswith(".") and len(text) <= MAX_SENTENCE + 3 and printable(text) == text != ""


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    """Of work, which is the same on a busy machine; and not much longer by the clock."""

    def too_long(*_: object) -> None:
        raise AssertionError(f"it took more than {seconds} s")

    before = {
        number: signal.signal(number, too_long) for number in (signal.SIGPROF, signal.SIGALRM)
    }
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.alarm(30 * seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def run(kind: str, count: int, number: int, found: Counter[str]) -> None:
    """Examine `count` documents for one reader, which Hypothesis chooses; raises at a fault."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "case"

        @seed(number)
        @settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(contents(kind))
        def one(content: bytes) -> None:
            found[examine(kind, content, folder)] += 1

        one()


def load_libraries() -> None:
    """What the readers import at first use takes longer than any document may."""
    import export.gptq_checkpoint
    import export.model_config
    import export.weight_files  # noqa: F401


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="documents in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=READERS, help="default: all in turn")
    parsed = parser.parse_args()
    kinds = [parsed.kind] if parsed.kind else list(READERS)
    load_libraries()
    began, faults, outcomes = time.monotonic(), [], {}
    for kind in kinds:
        found: Counter[str] = Counter()
        try:
            run(kind, -(-parsed.count // len(kinds)), parsed.seed, found)
        except BaseException as error:  # noqa: BLE001 (this is what is looked for)
            faults.append(f"{kind}: {type(error).__name__}: {error}"[:2000])
            print(faults[-1], file=sys.stderr)
        outcomes[kind] = dict(found)
        print(kind, dict(found), file=sys.stderr, flush=True)
    seconds = round(time.monotonic() - began, 1)
    total = sum(sum(one.values()) for one in outcomes.values())
    peak = _peak_bytes() >> 20
    record = {"seed": parsed.seed, "documents": total, "seconds": seconds, "peak_mb": peak}
    print(json.dumps(record | {"outcomes": outcomes, "faults": faults}))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
