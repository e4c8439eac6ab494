"""What int4 costs: the numbers by hand, the limits, and what is kept to measure it again."""

import dataclasses
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from engines.bundle import open_bundle
from engines.config import AccuracyConfig, AccuracyRow, ClipOptions
from engines.errors import BundleError, ExportError
from export.accuracy import (
    accuracy_table,
    advice,
    compare_readings,
    outside,
    refuse_loss,
    refuse_to_publish,
    worst_layers,
)
from export.ask_bundle import messages
from export.checkpoint import Checkpoint
from export.cli import main
from export.examples import Example, measured_examples
from export.measure import MOST_TOKENS, token_budget
from export.quantise_state import MatrixRow
from export.readings import FILE, Reading, read_readings, reading_of, write_readings
from export.reference.decoder import Decoder, DecoderConfig
from export.walk import reference_logits
from tests.golden import checkpoint

QUESTION = Example(None, "What?", "It.")


def logits(*rows: list[float]) -> np.ndarray:
    return np.log(np.array(rows, np.float32))


def reading(*rows: list[float], ids: list[int], **flags: bool) -> Reading:
    found = torch.from_numpy(logits(*rows))
    flags = {"recorded": True, "given": True} | flags
    return reading_of(QUESTION, np.array(ids), found, **flags)


def test_numbers_by_hand() -> None:
    # Two tokens of three: the reference says .5 .25 .25 and .2 .7 .1, the answer is 0 then 1.
    known = reading([0.5, 0.25, 0.25], [0.2, 0.7, 0.1], ids=[0, 1])
    found = compare_readings("g", [known], [logits([0.25, 0.5, 0.25], [0.2, 0.7, 0.1])])
    # KL of the first token: .5 ln 2 + .25 ln .5; of the second 0.
    assert found.kl_divergence == pytest.approx(0.25 * math.log(2) / 2, abs=1e-6)
    assert found.reference_perplexity == pytest.approx((0.5 * 0.7) ** -0.5)
    assert found.perplexity == pytest.approx((0.25 * 0.7) ** -0.5)
    # The first choice is another one and half as likely; so the answer differs too.
    assert (found.same_choice, found.same_answers) == (0.5, 0.0)


def test_a_choice_that_is_as_good_counts() -> None:
    known = reading([0.41, 0.4, 0.19], ids=[0])
    row = compare_readings("g", [known], [logits([0.3, 0.5, 0.2])])
    assert (row.same_choice, row.same_answers) == (1.0, 1.0)


def test_given_and_recorded_answers_serve_different_numbers() -> None:
    recorded = reading([0.5, 0.3, 0.2], ids=[1], given=False)
    given = reading([0.9, 0.05, 0.05], ids=[0], recorded=False)
    same = [logits([0.5, 0.3, 0.2]), logits([0.9, 0.05, 0.05])]
    row = compare_readings("g", [recorded, given], same)
    assert row.perplexity == pytest.approx(1 / 0.3)
    assert row.same_answers == 1.0
    assert row.kl_divergence == pytest.approx(0, abs=1e-7)


def test_only_the_likeliest_are_kept_and_the_rest_counts_as_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("export.readings.KEPT_TOKENS", 1)
    known = reading([0.6, 0.3, 0.1], ids=[0])
    assert known.top.shape == (1, 1)
    row = compare_readings("g", [known], [logits([0.3, 0.3, 0.4])])
    wanted = 0.6 * math.log(2) + 0.4 * math.log(0.4 / 0.7)
    assert row.kl_divergence == pytest.approx(wanted, abs=1e-6)


def config(**changes: float) -> AccuracyConfig:
    row = AccuracyRow("decoder", 1.2, 1.1, 0.05, 0.95, 0.5)
    limits = {"kl_divergence": 0.1, "perplexity_ratio": 1.2, "same_choice": 0.9}
    return AccuracyConfig(FILE, 9, 90, limits, (dataclasses.replace(row, **changes),))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kl_divergence": 0.2}, "kl divergence of decoder 0.2, at most 0.1 allowed"),
        ({"kl_divergence": math.nan}, "kl divergence of decoder nan, at most 0.1 allowed"),
        ({"perplexity": 1.65}, "perplexity ratio of decoder 1.5, at most 1.2 allowed"),
        ({"same_choice": 0.5}, "same choice of decoder 0.5, at least 0.9 allowed"),
    ],
)
def test_limits(changes: dict[str, float], words: str) -> None:
    assert outside(config()) == []
    refuse_to_publish(config(), "wait")
    assert outside(config(**changes)) == [words]
    with pytest.raises(ExportError, match=r"nothing was published; wait, or .* --accept-loss\.$"):
        refuse_to_publish(config(**changes), "wait")
    with pytest.raises(ExportError, match="is too far from the unrounded model on this machine"):
        refuse_loss(config(**changes), Path("x.vl2"))


def test_what_would_help() -> None:
    errors = [0.01, 0.2, 0.03, 0.04]
    rows = [MatrixRow(i, "mlp.up_proj", 9, e, e, 0, 0.01) for i, e in enumerate(errors)]
    assert worst_layers(rows) == [1, 2, 3]
    said = advice([*rows, MatrixRow(-1, "lm_head", 9, 0.9, 0.9, 0, 0.01)], 128, "int4")
    assert said == (
        "layers 1, 2, 3 lose most: try --group 32, other clips with --calibration, --head fp16"
    )
    assert "--group 16" in advice(rows, 32, "int8")
    assert "--group" not in advice(rows, 16, "int8")


def test_the_table() -> None:
    lines = accuracy_table(dataclasses.replace(config(same_choice=0.5), accepted_loss=True))
    assert "1.2 (1.1)" in lines
    assert "0.0500" in lines
    assert lines.splitlines()[-1].startswith("published outside its limits: same choice")


def test_readings_come_back(tmp_path: Path) -> None:
    clip = ClipOptions(tmp_path / "measured-a.mp4", sound="off")
    about_clip = dataclasses.replace(QUESTION, clip=clip, history=(("A?", "B."),))
    first = dataclasses.replace(reading([0.5, 0.3, 0.2], ids=[1], given=False), example=about_clip)
    second = reading([0.1, 0.2, 0.7], [0.2, 0.7, 0.1], ids=[2, 0])
    write_readings(tmp_path / FILE, [first, second])
    found = read_readings(tmp_path / FILE)
    assert [one.example for one in found] == [about_clip, QUESTION]
    assert [(one.recorded, one.given) for one in found] == [(True, False), (True, True)]
    for one, other in zip(found, (first, second), strict=True):
        for name in ("ids", "top", "log_p", "own"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_readings_that_are_damaged_or_about_other_files(tmp_path: Path) -> None:
    path = tmp_path / FILE
    for clip in ("/etc/passwd", "../x.mp4", "sub/x.mp4"):
        write_readings(path, [reading([0.5, 0.5], ids=[0])])
        data = dict(np.load(path))
        line = json.dumps({"question": "What?", "answer": "It.", "clip": clip})
        np.savez(path, **(data | {"lines": np.array([line])}))
        with pytest.raises(BundleError, match="cannot be read; export the bundle again"):
            read_readings(path)
    path.write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(BundleError, match="cannot be read; export the bundle again"):
        read_readings(path)


def test_a_large_model_reads_less() -> None:
    small = DecoderConfig(64, 160, 3, 4, 2, 16, 356, 4096, 1e-5, 1e6)
    mistral = DecoderConfig(4096, 14336, 32, 32, 8, 128, 32000, 32768, 1e-5, 1e6)
    assert token_budget(small) == MOST_TOKENS
    # 2 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336) * 32 operations a token
    assert token_budget(mistral) == int(4e13 / 13958643712)
    mixtral = dataclasses.replace(mistral, num_local_experts=8, num_experts_per_tok=2)
    assert token_budget(mixtral) == int(4e13 / 25232932864)


def test_the_first_questions_are_about_every_clip() -> None:
    first, second, *_ = measured_examples()
    assert first.clip != second.clip


def test_messages_are_the_conversation() -> None:
    example = dataclasses.replace(QUESTION, history=(("A?", "B."),))
    assert messages(example) == [
        {"role": "user", "content": "A?"},
        {"role": "assistant", "content": "B."},
        {"role": "user", "content": "What?"},
    ]
    seen = messages(dataclasses.replace(example, clip=ClipOptions(Path("a.mp4"))))
    assert seen[0]["content"][0]["path"] == Path("a.mp4")


@pytest.mark.parametrize("name", ["qwen2", "mixtral"])
def test_the_reference_read_layer_by_layer_is_the_whole_one(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.checkpoint.HEAD_ROWS", 100)  # several, and the last one short
    model = Checkpoint(checkpoint(name))
    whole = Decoder(model.config.decoder)
    state = {"model.embed_tokens.weight": model.embed_tokens(), "lm_head.weight": model.lm_head()}
    state |= {"model.norm.weight": model.norm()}
    for i in range(model.config.decoder.num_hidden_layers):
        layer = model.decoder_layer(i).state_dict()
        state |= {f"model.layers.{i}.{key}": value for key, value in layer.items()}
    whole.load_state_dict({key: value.float() for key, value in state.items()})
    prompts = [torch.randn(length, 64) for length in (7, 12)]
    answers = [[torch.randn(length, 64) for length in lengths] for lengths in ((3, 5), (4,))]
    with torch.inference_mode():
        found = reference_logits(model, prompts, answers)
        for prompt, said, logits in zip(prompts, answers, found, strict=True):
            for answer, got in zip(said, logits, strict=True):
                alone = whole(torch.cat([prompt, answer])[None])[0]
                wanted = alone[len(prompt) - 1 : -1]
                torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def rounded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rounded bundle that was published in spite of its loss; not to be changed."""
    target = tmp_path_factory.mktemp("made") / "m.vl2"
    arguments = [str(checkpoint("mistral")), "-o", str(target), "--rtn", "--accept-loss"]
    assert main([*arguments, "--embeddings", "8", "--head", "fp16"]) == 0
    return target


def test_a_loss_that_was_accepted_is_in_the_manifest(rounded: Path) -> None:
    accuracy = open_bundle(rounded).config.accuracy
    assert accuracy is not None
    assert accuracy.accepted_loss
    assert outside(accuracy)
    assert [row.graph for row in accuracy.rows] == ["decoder", "decoder_exact"]
    assert accuracy.tokens == sum(len(one.ids) for one in read_readings(rounded / FILE))
    assert np.load(rounded / "embed_tokens.npy").dtype == np.int8


def test_verify_measures_it_again(rounded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(rounded)]) == 0
    out = capsys.readouterr().out
    assert "published outside its limits" in out
    accuracy = open_bundle(rounded).config.accuracy
    assert accuracy is not None
    assert f"{accuracy.rows[1].kl_divergence:.4f}"[:5] in out


def test_verify_refuses_what_was_not_accepted(
    rounded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(rounded, tmp_path / "copy.vl2"))
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["accuracy"]["accepted_loss"] = False
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert main(["verify", str(copy)]) == 1
    assert "is too far from the unrounded model on this machine" in capsys.readouterr().err


def test_without_accepting_nothing_is_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [str(checkpoint("mistral")), "-o", str(tmp_path / "x.vl2"), "--rtn"]
    assert main(arguments) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "so nothing was published; let GPTQ find the integers (leave out --rtn)" in said
    assert [path.name for path in tmp_path.iterdir()] == ["x.vl2.part"]
    # Whoever takes it as it is does not wait for it again.
    with monkeypatch.context() as patch:
        patch.setattr("export.parts.walk_decoder", None)
        patch.setattr("export.measure.reference_logits", None)
        assert main([*arguments, "--accept-loss"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["x.vl2"]
