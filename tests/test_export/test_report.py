"""The report of a quantisation, and the memory that is planned for it."""

import json
from pathlib import Path

from engines.config import AccuracyConfig, AccuracyRow
from export.memory import memory_plan
from export.quantise_layer import QuantiseOptions
from export.quantise_state import MatrixRow
from export.reference.decoder import DecoderConfig
from export.report import draw_report, facts_of, layer_table, report_path, write_report

MISTRAL_7B = DecoderConfig(4096, 14336, 32, 32, 8, 128, 32000, 32768, 1e-5, 1e6)
MIXTRAL_8X7B = DecoderConfig(
    4096, 14336, 32, 32, 8, 128, 32000, 32768, 1e-5, 1e6, num_local_experts=8
)
QWEN2_7B = DecoderConfig(3584, 18944, 28, 28, 4, 128, 152064, 32768, 1e-6, 1e6)
EXPERT = "block_sparse_moe.experts"
ROWS = [
    MatrixRow(0, "self_attn.q_proj", 90, 0.002, 0.01, 0.0, 0.01),
    MatrixRow(0, f"{EXPERT}.0.w1", 60, 0.004, 0.02, 0.001, 0.1),
    MatrixRow(0, f"{EXPERT}.1.w1", 3, None, None, None, None, "only 3 of at least 4 tokens"),
    MatrixRow(0, f"{EXPERT}.1.w2", 3, None, None, None, None, "only 3 of at least 4 tokens"),
    MatrixRow(-1, "lm_head", 90, 0.001, 0.004, 0.002, 0.01),
]
ACCURACY = AccuracyConfig("f", 9, 90, {}, (AccuracyRow("decoder", 1.2, 1.1, 0.05, 0.95, 0.5),))


def test_the_table_of_layers() -> None:
    header, layer, output = layer_table(ROWS).splitlines()
    assert header.split() == ["layer", "tokens", "rounding", "GPTQ", "most", "lost", "in", "note"]
    assert layer.split()[:4] == ["0", "90", "1.500%", "0.300%"]
    assert f"{EXPERT}.0.w1 0.40%" in layer
    assert "1.w1, 1.w2 rounded to nearest: only 3 of at least 4 tokens" in layer
    assert f"{EXPERT}.0.w1 damped by 0.1" in layer
    assert output.split()[:2] == ["output", "90"]


def test_json_holds_every_matrix(tmp_path: Path) -> None:
    path = report_path(tmp_path / "VideoLLaMA2.1-7B.vl2")
    assert path.name == "VideoLLaMA2.1-7B.report.json"
    facts = facts_of("x.vl2", {"conversations": 3}, QuantiseOptions(32), ACCURACY)
    write_report(path, facts, ROWS)
    data = json.loads(path.read_text())
    assert [MatrixRow(**row) for row in data["matrices"]] == ROWS
    assert data["options"]["group"] == 32
    assert data["accuracy"]["rows"][0]["kl_divergence"] == 0.05
    assert data["calibration"] == {"conversations": 3}


def test_drawings(tmp_path: Path) -> None:
    draw_report(tmp_path / "r.png", ROWS, ACCURACY, "a & b")
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
    draw_report(tmp_path / "r.html", ROWS, ACCURACY, "a & b")
    text = (tmp_path / "r.html").read_text()
    assert "<h1>a &amp; b</h1>" in text
    assert text.count("<svg") == 1
    assert "against unrounded" in text
    assert "http" not in text.replace("http://www.w3.org", "").replace(
        "http://purl.org", ""
    ).replace("http://creativecommons.org", "").replace("https://matplotlib.org", "")


def test_memory_of_the_published_sizes() -> None:
    tokens = 32768
    assert memory_plan(MISTRAL_7B, tokens).total < 6.5e9
    assert memory_plan(QWEN2_7B, tokens).total < 6.5e9
    assert memory_plan(MIXTRAL_8X7B, tokens).total < 7e9
    more = memory_plan(MISTRAL_7B, 2 * tokens)
    assert more.hidden_states == 2 * memory_plan(MISTRAL_7B, tokens).hidden_states
    assert more.hessians == 2 * 4 * 14336**2
    assert str(more).startswith(f"{more.total / 1e9:.1f} GB of memory (")
