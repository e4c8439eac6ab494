import contextlib
import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn

from engines.errors import ExportError
from export.demo import crew, showcase
from export.demo.checkpoint import check_out, write_checkpoint
from export.demo.curve import draw, measures
from export.demo.fit import Log, Plan, fit, load_state, rate
from export.demo.network import HearingTower, JointModel, SeeingTower, Sizes
from export.demo.optim import Muon, optimisers, orthogonalise
from export.demo.pools import CHUNK
from export.demo.questions import Question, answer_class
from export.demo.score import by_type, mean_accuracy
from export.demo.tokenizer import train_tokenizer
from export.demo.towers import HELD_OUT
from export.demo.train import REFERENCE_HOURS, Run, Schedule, ablate, kept_schedule


class Stop(Exception):
    """Stands for a kill."""


def small_run(folder, steps, stop_at=None):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 3))

    def loss(step):
        if step == stop_at:
            raise Stop
        batch = torch.randn(8, 20, generator=torch.Generator().manual_seed(step))
        return model(batch).square().mean(), {"extra": 1.0}

    plan = Plan("toy", steps, 1e-2, warmup=1, save_every_s=0.0, measure_every=100)
    log = Log(folder / "log.jsonl", told=lambda _: None)
    fit(plan, model, loss, lambda: {"score": 1.0}, log, folder)
    return model.state_dict()


def test_a_killed_stage_goes_on_to_the_same_weights(tmp_path):
    for name in ("straight", "killed"):
        (tmp_path / name).mkdir()
    straight = small_run(tmp_path / "straight", steps=4)
    with contextlib.suppress(Stop):
        small_run(tmp_path / "killed", steps=4, stop_at=2)
    resumed = small_run(tmp_path / "killed", steps=4)
    for name, value in straight.items():
        assert torch.equal(value, resumed[name])
    lines = [json.loads(x) for x in (tmp_path / "killed" / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["measured"] == {"score": 1.0}


def test_a_finished_stage_is_not_run_again(tmp_path):
    first = small_run(tmp_path, steps=2)
    again = small_run(tmp_path, steps=2, stop_at=0)
    assert all(torch.equal(first[k], again[k]) for k in first)


def test_without_a_state_a_stage_begins(tmp_path):
    assert load_state(tmp_path / "none.pt", nn.Linear(2, 2), []) == 0


def test_the_learning_rate_rises_and_falls():
    plan = Plan("x", 100, 1.0, warmup=10, final=0.1)
    rates = [rate(plan, step) for step in range(100)]
    assert rates[0] == 0.1
    assert max(rates) == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.11


def test_orthogonalise_makes_singular_values_alike():
    matrices = torch.randn(2, 12, 30, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalise(matrices).float())
    assert values.min() > 0.5
    assert values.max() < 1.4


def test_muon_takes_the_matrices_and_adam_the_rest():
    module = nn.ModuleDict({"linear": nn.Linear(20, 20), "norm": nn.LayerNorm(20)})
    muon, adam = optimisers(module, 1e-3)
    assert isinstance(muon, Muon)
    assert [tuple(p.shape) for p in muon.param_groups[0]["params"]] == [(20, 20)]
    assert len(adam.param_groups[0]["params"]) == 3


def test_a_schedule_for_other_hours_keeps_its_proportions():
    schedule = Schedule()
    half = schedule.scaled(REFERENCE_HOURS / 2)
    assert half.joint_steps == schedule.joint_steps // 2
    assert half.clips % CHUNK == 0
    assert schedule.clips / 2 < half.clips < schedule.clips
    assert half.lr == schedule.lr


def test_a_run_that_is_gone_on_with_keeps_its_schedule(tmp_path):
    small = dataclasses.replace(Schedule(), clips=500)
    assert kept_schedule(tmp_path, small) == small
    assert kept_schedule(tmp_path, Schedule()) == small


def test_a_short_schedule_still_has_something_to_train_on():
    short = Schedule().scaled(1e-4)
    assert min(short.frames, short.clips, short.sounds) > HELD_OUT
    assert short.joint_steps == 1


def test_a_schedule_that_is_none(tmp_path):
    for text in ("[]", "{", '{"colour": 1}'):
        (tmp_path / "schedule.json").write_text(text)
        with pytest.raises(ExportError, match=r"schedule\.json is not the schedule of a run"):
            kept_schedule(tmp_path, Schedule())


def test_only_a_finished_training_is_compared_with(tmp_path):
    kept_schedule(tmp_path, Schedule())
    with pytest.raises(ExportError, match="holds no finished training to compare with; run"):
        ablate(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["schedule.json"]


def test_the_pooled_connector_keeps_its_states_apart_and_shares_the_towers(tmp_path):
    log = Log(tmp_path / "log.jsonl", told=lambda _: None)
    run = Run(tmp_path, log, Sizes(pooled=True), Schedule())
    names = [run.plan(name, 1).name for name in ("vision", "audio", "connector", "joint", "talk")]
    assert names == ["vision", "audio", "pooled-connector", "pooled-joint", "pooled-talk"]


def test_only_a_checkpoint_of_ours_is_ever_replaced(tmp_path):
    work, out = tmp_path / "work", tmp_path / "out"
    check_out(out, work)
    out.mkdir()
    check_out(out, work)
    (out / "thesis.tex").write_text("")
    with pytest.raises(ExportError, match="is not a demo checkpoint, so it is not replaced"):
        check_out(out, work)
    for above in (work, tmp_path):
        with pytest.raises(ExportError, match="holds the work folder"):
            check_out(above, work)


def test_a_crew_meets_in_a_folder_of_any_name(tmp_path, monkeypatch):
    (tmp_path / "my work").mkdir()
    monkeypatch.chdir(tmp_path)
    given = {}
    monkeypatch.setattr(
        crew.distributed, "init_process_group", lambda *_, **kwargs: given.update(kwargs)
    )
    assert crew.join(1, 2, Path("my work/meeting")) == crew.Crew(1, 2)
    given["store"].set("here", "yes")
    assert (tmp_path / "my work" / "meeting").exists()


def test_the_checkpoint_has_the_published_layout(tmp_path):
    sizes = Sizes()
    parts = SeeingTower(sizes), HearingTower(sizes)
    tokenizer = train_tokenizer(sizes.vocab_size, clips=50)
    write_checkpoint(tmp_path / "c", sizes, tokenizer, parts, JointModel(sizes))
    with safe_open(tmp_path / "c" / "model.safetensors", "pt") as file:
        names = set(file.keys())
    vision = "model.vision_tower.vision_tower.vision_model."
    for name in (
        "lm_head.weight",
        "model.embed_tokens.weight",
        "model.layers.4.self_attn.q_proj.weight",
        "model.mm_projector.s1.b4.conv3.conv.weight",
        "model.mm_projector.sampler.0.weight",
        "model.mm_projector_a.2.bias",
        "model.audio_tower.encoder.layers.0.self_attn.relative_attention_bias.weight",
        f"{vision}encoder.layers.3.mlp.fc2.weight",
        f"{vision}post_layernorm.bias",
    ):
        assert name in names
    assert not any("heads" in name for name in names)
    config = json.loads((tmp_path / "c" / "config.json").read_text())
    assert config["model_type"] == "videollama2_mistral"
    assert (tmp_path / "c" / config["mm_audio_tower"]).exists()
    assert (tmp_path / "c" / config["mm_vision_tower"] / "preprocessor_config.json").exists()


def test_every_showcase_clip_has_its_questions(tmp_path, monkeypatch):
    monkeypatch.setattr(showcase, "write_clip", lambda path, clip: path.touch())
    showcase.write_showcase(tmp_path)
    lines = [json.loads(x) for x in (tmp_path / "questions.jsonl").read_text().splitlines()]
    assert len(lines) == sum(len(kinds) for _, kinds in showcase.SHOWCASE.values())
    assert all((tmp_path / line["clip"]).exists() for line in lines)


def test_the_curve_is_drawn_from_the_log(tmp_path):
    log = Log(tmp_path / "log.jsonl", told=lambda _: None)
    for step, mean in ((300, 0.7), (600, 0.9)):
        log.write("joint", step=step, measured={"mean": mean, "color": mean})
    draw(tmp_path / "log.jsonl", tmp_path / "curve.svg")
    assert "<svg" in (tmp_path / "curve.svg").read_text()


def test_steps_of_the_talk_stage_count_on_and_the_pooled_connector_stands_apart(tmp_path):
    log = Log(tmp_path / "log.jsonl", told=lambda _: None)
    log.write("joint", step=600, measured={"mean": 0.7})
    log.write("talk", step=300, measured={"mean": 0.9})
    log.write("pooled-joint", step=600, measured={"mean": 0.4})
    assert measures(log.path) == [(600, {"mean": 0.7}), (900, {"mean": 0.9})]
    assert measures(log.path, "pooled-") == [(600, {"mean": 0.4})]


def test_a_log_without_a_curve(tmp_path):
    for text, reason in (("no", "is not the log of a run"), ("", "holds no measure")):
        (tmp_path / "log.jsonl").write_text(text)
        with pytest.raises(ExportError, match=reason):
            draw(tmp_path / "log.jsonl", tmp_path / "curve.svg")


def test_scores_name_the_majority():
    def asked(answer: str) -> Question:
        return Question("flash", "Is there a flash?", answer, answer)

    yes, no = asked("Yes, the background flashes."), asked("No, there is no flash.")
    [score] = by_type([(yes, True), (no, True), (no, False), (no, True)])
    assert (score.accuracy, score.majority) == (0.75, 0.75)
    assert mean_accuracy([score]) == 0.75
    red = Question("color", "What color is the circle?", "The circle is red.", "")
    assert answer_class(red) == "the … is red"
    order = Question(
        "order",
        "What comes last, the red circle or the blue cross?",
        "The blue cross appears last.",
        "",
    )
    assert answer_class(order) == "second named"
