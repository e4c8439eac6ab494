"""A tiny hand-written bundle: real graphs, random weights, made in a second."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tokenizers
from onnx import helper, numpy_helper

from engines.config import ClipOptions
from engines.media import MediaInfo

VOCAB, HIDDEN, HEADS, KV_HEADS, HEAD_DIM, LAYERS, CONTEXT = 263, 64, 4, 2, 16, 2, 512
FRAMES, IMAGE, PATCH, WIDTH = 4, 8, 4, 6
PATCHES = (IMAGE // PATCH) ** 2
FBANK, AUDIO_TOKENS = 8, 5
SPECIAL = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]"
    "{% elif m['role'] == 'system' %}{{ m['content'] }}\n"
    "{% else %}{{ m['content'] + eos_token }}{% endif %}{% endfor %}"
)


class _Graph:
    """An ONNX graph under construction, its weights random but always the same."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def weight(self, name: str, *shape: int) -> str:
        value = self.rng.standard_normal(shape) / np.sqrt(shape[0])
        return self.constant(name, value.astype(np.float32))

    def constant(self, name: str, value: np.ndarray) -> str:
        self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def node(self, op: str, inputs: list[str], outputs: list[str], **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, outputs, **attributes))
        return outputs[0]

    def save(self, path: Path, inputs: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
        def infos(tensors: dict[str, Any]) -> list[Any]:
            return [
                helper.make_tensor_value_info(
                    name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape
                )
                for name, (dtype, shape) in tensors.items()
            ]

        graph = helper.make_graph(
            self.nodes, path.stem, infos(inputs), infos(outputs), self.initializers
        )
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
        return {"file": path.name, "inputs": inputs, "outputs": outputs}


def write_decoder(path: Path, seed: int = 0) -> dict[str, Any]:
    g = _Graph(seed)
    angles = np.arange(CONTEXT)[:, None] / 10000 ** (np.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    g.constant("cos", np.cos(angles).astype(np.float32))
    g.constant("sin", np.sin(angles).astype(np.float32))
    g.constant("ones", np.ones(HIDDEN, np.float32))
    cache: list[str] = []
    x = "inputs_embeds"
    for i in range(LAYERS):
        normed = g.node("SimplifiedLayerNormalization", [x, "ones"], [f"{i}.norm"], epsilon=1e-6)
        qkv = [
            g.node("MatMul", [normed, g.weight(f"{i}.w{n}", HIDDEN, width)], [f"{i}.{n}"])
            for n, width in zip("qkv", (HIDDEN, 2 * HEAD_DIM, 2 * HEAD_DIM), strict=True)
        ]
        names = [f"{i}.key", f"{i}.value"]
        attended = g.node(
            "GroupQueryAttention",
            [
                *qkv,
                *(f"past_key_values.{name}" for name in names),
                *("seqlens_k", "total_sequence_length", "cos", "sin"),
            ],
            [f"{i}.attended", *(f"present.{name}" for name in names)],
            domain="com.microsoft",
            num_heads=HEADS,
            kv_num_heads=KV_HEADS,
            do_rotary=1,
        )
        out = g.node("MatMul", [attended, g.weight(f"{i}.wo", HIDDEN, HIDDEN)], [f"{i}.o"])
        x = g.node("Add", [x, out], [f"{i}.out"])
        cache += names
    g.constant("end", np.array([np.iinfo(np.int64).max]))
    g.constant("axis", np.array([1]))
    g.constant("one_dim", np.array([1]))
    g.node("Neg", ["logits_to_keep"], ["negated"])
    g.node("Reshape", ["negated", "one_dim"], ["begin"])
    g.node("Slice", [x, "begin", "end", "axis"], ["last"])
    g.node("MatMul", ["last", g.weight("lm_head", HIDDEN, VOCAB)], ["logits"])
    kv = ("float32", [1, KV_HEADS, "capacity", HEAD_DIM])
    inputs: dict[str, Any] = {
        "inputs_embeds": ("float32", [1, "L", HIDDEN]),
        "seqlens_k": ("int32", [1]),
        "total_sequence_length": ("int32", []),
        "logits_to_keep": ("int64", []),
    }
    inputs |= {f"past_key_values.{name}": kv for name in cache}
    outputs: dict[str, Any] = {"logits": ("float32", [1, "k", VOCAB])}
    outputs |= {f"present.{name}": kv for name in cache}
    return g.save(path, inputs, outputs)


def _write_vision_tower(path: Path) -> dict[str, Any]:
    g = _Graph(1)
    kernel = g.weight("kernel", WIDTH, 3, PATCH, PATCH)
    g.node("Conv", ["pixel_values", kernel], ["grid"], strides=[PATCH, PATCH])
    g.constant("flat", np.array([0, WIDTH, -1]))
    g.node("Reshape", ["grid", "flat"], ["rows"])
    g.node("Transpose", ["rows"], ["vision_features"], perm=[0, 2, 1])
    return g.save(
        path,
        {"pixel_values": ("float32", ["T", 3, IMAGE, IMAGE])},
        {"vision_features": ("float32", ["T", PATCHES, WIDTH])},
    )


def _write_projector(path: Path) -> dict[str, Any]:
    g = _Graph(2)
    g.node("MatMul", ["vision_features", g.weight("w", WIDTH, HIDDEN)], ["tokens"])
    g.constant("flat", np.array([-1, HIDDEN]))
    g.node("Reshape", ["tokens", "flat"], ["visual_tokens"])
    return g.save(
        path,
        {"vision_features": ("float32", ["T", PATCHES, WIDTH])},
        {"visual_tokens": ("float32", ["V", HIDDEN])},
    )


def _write_audio(path: Path) -> dict[str, Any]:
    g = _Graph(3)
    g.node("MatMul", [g.weight("t", AUDIO_TOKENS, FBANK), "fbank"], ["fewer"])
    g.node("MatMul", ["fewer", g.weight("w", 128, HIDDEN)], ["audio_tokens"])
    return g.save(
        path,
        {"fbank": ("float32", ["B", FBANK, 128])},
        {"audio_tokens": ("float32", ["B", AUDIO_TOKENS, HIDDEN])},
    )


def write_tokenizer(path: Path) -> None:
    """One token per byte, no merges: seven special tokens, then the 256 bytes."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate([*SPECIAL, *alphabet])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.save(str(path))


def seal(folder: Path, manifest: dict[str, Any]) -> None:
    """Writes the manifest over whatever files lie in the folder."""
    manifest["files"] = {
        file.name: {
            "size": file.stat().st_size,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        }
        for file in sorted(folder.iterdir())
        if file.name != "manifest.json"
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def write_bundle(folder: Path, hears: bool = True) -> dict[str, Any]:
    """Writes the tiny bundle and returns its manifest."""
    folder.mkdir(parents=True)
    graphs = {
        "vision_tower": _write_vision_tower(folder / "vision_tower.onnx"),
        "projector": _write_projector(folder / "projector.onnx"),
        "decoder": write_decoder(folder / "decoder.onnx"),
    }
    if hears:
        graphs["audio"] = _write_audio(folder / "audio.onnx")
    write_tokenizer(folder / "tokenizer.json")
    table = np.random.default_rng(4).standard_normal((VOCAB, HIDDEN))
    np.save(folder / "embed_tokens.npy", table.astype(np.float16))
    np.savez(folder / "selftest.npz", nothing=np.zeros(1))
    manifest = {
        "format_version": 1,
        "name": "tiny",
        "created_by": "a test",
        "source": {"checkpoint": "none", "sha256": "0", "model_type": "videollama2_mistral"},
        "quantisation": {"scheme": "fp32", "method": "none", "group_size": None},
        "vision": {
            "image_size": IMAGE,
            "patch_size": PATCH,
            "hidden_size": WIDTH,
            "num_frames": FRAMES,
            "tokens_per_frame": PATCHES,
            "min_frames": 1,
            "projector_type": "stc_connector",
            "preprocess": {
                "resize": "shortest_edge",
                "size": IMAGE,
                "crop": IMAGE,
                "image_mean": [0.5, 0.5, 0.5],
                "image_std": [0.5, 0.5, 0.5],
                "rescale_factor": 1 / 255,
            },
        },
        "audio": {
            "num_mel_bins": 128,
            "sample_rate": 16000,
            "window_s": 0.095,
            "clip_duration_s": 2.0,
            "clips_per_video": 8,
            "tokens_per_window": AUDIO_TOKENS,
            "max_windows": 3,
            "fbank_bf16": True,
        }
        if hears
        else None,
        "decoder": {
            "hidden_size": HIDDEN,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "num_key_value_heads": KV_HEADS,
            "head_dim": HEAD_DIM,
            "vocab_size": VOCAB,
            "max_position_embeddings": CONTEXT,
            "eos_token_ids": [2],
        },
        "prompt": {
            "chat_template": TEMPLATE,
            "system_prompt": "Be kind.",
            "special_tokens": {"bos_token": "<s>", "eos_token": "</s>"},
            "pad_token_id": None,
        },
        "generation": {
            "do_sample": False,
            "temperature": 1.0,
            "top_p": 1.0,
            "top_k": 50,
            "repetition_penalty": 1.0,
        },
        "graphs": graphs,
        "selftest": {"file": "selftest.npz", "tolerances": {}},
        "verification": [],
    }
    seal(folder, manifest)
    return manifest


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny audio-visual bundle; not to be changed."""
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    write_bundle(folder)
    return folder


@pytest.fixture(scope="session")
def deaf_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny bundle without an audio branch; not to be changed."""
    folder = tmp_path_factory.mktemp("bundles") / "deaf"
    write_bundle(folder, hears=False)
    return folder


@pytest.fixture
def own_bundle(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A tiny bundle that a test may damage, and its manifest."""
    folder = tmp_path / "own"
    return folder, write_bundle(folder)


@pytest.fixture
def seal_bundle() -> Callable[[Path, dict[str, Any]], None]:
    """Writes the manifest anew after a test changed the bundle."""
    return seal


@pytest.fixture(scope="session")
def decoder_file(tiny_bundle: Path) -> Path:
    """The tiny decoder graph."""
    return tiny_bundle / "decoder.onnx"


@pytest.fixture(autouse=True)
def user_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, empty for every test."""
    folder = tmp_path / "user-cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    monkeypatch.setattr("engines.bundle.user_cache_path", lambda *_, **__: folder)
    return folder


class FakeMedia:
    """Stands for the media modules: clips are names, their content follows from the name."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.notes: list[str] = []

    def probe(self, path: Path) -> MediaInfo:
        kind = {".mp4": "video", ".mov": "video", ".png": "image", ".wav": "audio"}[path.suffix]
        return MediaInfo(
            kind=kind,  # type: ignore[arg-type]
            path=path,
            duration_s=1.0,
            fps=25.0,
            frame_count=25,
            width=8,
            height=8,
            rotation=0,
            has_video=kind == "video",
            has_sound=path.suffix in (".mp4", ".wav"),  # .mov stands for a silent film here
            sample_rate=16000,
            channels=1,
        )

    def clip_hash(self, path: Path) -> str:
        return hashlib.sha256(path.name.encode()).hexdigest()

    def video_steps(self, options: ClipOptions, vision: Any) -> Any:
        yield 1, 1
        self.read.append(f"pictures of {options.path.name}")
        count = 1 if options.path.suffix == ".png" else options.num_frames or vision.num_frames
        seed = int(self.clip_hash(options.path)[:8], 16)
        shape = (count, 3, IMAGE, IMAGE)
        pixels = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
        times = [i / count for i in range(count)]
        return _Prepared(pixel_values=pixels, frame_times_s=times, notes=list(self.notes))

    def prepare_audio(self, options: ClipOptions, audio: Any) -> Any:
        self.read.append(f"sound of {options.path.name}")
        seed = int(self.clip_hash(options.path)[8:16], 16)
        shape = (2, 1, FBANK, audio.num_mel_bins)
        fbanks = list(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))
        return _Prepared(fbanks=fbanks, spans_s=[(0.0, 0.5), (0.5, 1.0)], notes=[])


class _Prepared:
    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


@pytest.fixture
def fake_media(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeMedia]:
    """Clips without files: film.mp4, silent.mov, photo.png, noise.wav, whatever the stem."""
    media = FakeMedia()
    monkeypatch.setattr("engines.encode.probe", media.probe)
    monkeypatch.setattr("engines.encode.video_steps", media.video_steps)
    monkeypatch.setattr("engines.encode.prepare_audio", media.prepare_audio)
    monkeypatch.setattr("engines.media.probe", media.probe)
    monkeypatch.setattr("engines.media.clip_hash", media.clip_hash)
    return media
