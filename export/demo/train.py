"""The whole recipe, from nothing to a checkpoint: pools, towers, connector, joint.

The stages follow the paper's: towers first and then fixed, the connector, then everything behind
the towers together, at last in conversations. Every stage keeps its state in the work folder, so a
killed run goes on.
"""

import dataclasses
import json
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer

from engines.errors import ExportError
from export.demo import pools
from export.demo.checkpoint import check_out, write_checkpoint
from export.demo.clips import TALKS, write_clips
from export.demo.connecting import train_connector
from export.demo.crew import ALONE, Crew, end_with_parent, join, leave
from export.demo.encode import encode_pool
from export.demo.fit import Log, Plan
from export.demo.joint import Doses, lessons, material, train_joint
from export.demo.mixing import Mixer, held_out
from export.demo.network import HearingTower, JointModel, SeeingTower, Sizes, initialise
from export.demo.pools import Pool, load_pool, make_pool
from export.demo.score import TypeScore, mean_accuracy, score
from export.demo.tokenizer import train_tokenizer
from export.demo.towers import HELD_OUT, train_audio, train_vision

EXAM_SEED = 90_001
EXAM_CLIPS = 600
REFERENCE_HOURS = 1.2  # what the schedule below takes on two busy cores with bfloat16 arithmetic


@dataclass(frozen=True)
class Schedule:
    """How much of everything; `scaled` stretches all of it alike."""

    seed: int = 11
    frames: int = 36_000
    clips: int = 24_000
    sounds: int = 12_000
    vision_steps: int = 1400
    audio_steps: int = 1200
    connector_steps: int = 1300
    joint_steps: int = 2600
    talk_steps: int = 500
    vision_batch: int = 96
    audio_batch: int = 64
    connector_batch: int = 32
    joint_batch: int = 16
    questions: int = 14  # drawn for a clip; those that fit in `room` tokens are asked
    room: int = 208
    talk_room: int = 320
    lr: float = 2e-3
    talk_lr: float = 6e-4
    processes: int = 2  # that train together; another number is another course of chance

    def scaled(self, hours: float) -> "Schedule":
        """The schedule for another time: steps in proportion, pools by its square root."""
        ratio = hours / REFERENCE_HOURS
        stretch = {"frames": ratio**0.5, "clips": ratio**0.5, "sounds": ratio**0.5}
        names = ("vision_steps", "audio_steps", "connector_steps", "joint_steps", "talk_steps")
        stretch |= dict.fromkeys(names, ratio)
        changed = {k: max(1, round(getattr(self, k) * v)) for k, v in stretch.items()}
        for name in ("frames", "clips", "sounds"):
            chunks = -(-changed[name] // pools.CHUNK)
            # HELD_OUT of a pool are not trained on: one chunk would leave nothing.
            changed[name] = max(chunks, 2) * pools.CHUNK
        return dataclasses.replace(self, **changed)


@dataclass(frozen=True)
class Run:
    """One run's folder, log and sizes."""

    work: Path
    log: Log
    sizes: Sizes
    schedule: Schedule
    crew: Crew = ALONE

    def plan(self, name: str, seed: int) -> Plan:
        """The plan of a stage by name; behind the towers, each connector has its own state."""
        steps = getattr(self.schedule, f"{name}_steps")
        own = f"pooled-{name}" if self.sizes.pooled and name not in ("vision", "audio") else name
        return Plan(own, steps, self.schedule.lr, seed=seed, crew=self.crew)

    def pool(self, name: str) -> Pool:
        """A pool by name."""
        return Pool(name, self.schedule.seed, getattr(self.schedule, name), self.sizes.num_frames)


def train(
    out_dir: Path | None,
    work: Path,
    schedule: Schedule | None = None,
    told: Callable[[str], None] = print,
) -> None:
    """Train from nothing, or go on, and write the checkpoint to `out_dir`.

    Args:
        out_dir: Folder of the checkpoint; replaced whenever the joint stage has measured itself.
            None trains the pooled connector instead, on the same towers and for as many steps, to
            compare: no published type is like it, so it is scored and not written.
        work: Folder of pools, features, states and the log (log.jsonl).
        schedule: How much to train. A run that is gone on with keeps the schedule it began with.
        told: Called with each line of progress.

    Raises:
        ExportError: `out_dir` holds something else, or the work folder's schedule is not one.
    """
    if out_dir is not None:
        check_out(out_dir, work)
    sizes = Sizes(pooled=out_dir is None)
    work.mkdir(parents=True, exist_ok=True)
    kept = kept_schedule(work, schedule or Schedule())
    if schedule is not None and kept != schedule:
        told(f"going on as {work} was begun; --hours, --seed and --processes are for a new one")
    meeting = work / "meeting"
    meeting.unlink(missing_ok=True)
    context = multiprocessing.get_context("spawn")
    members = [
        context.Process(target=_member, args=(out_dir, work, kept, rank, meeting), daemon=True)
        for rank in range(1, kept.processes)
    ]
    for member in members:
        member.start()
    try:
        _take_part(out_dir, Run(work, Log(work / "log.jsonl", told), sizes, kept), meeting)
    finally:
        for member in members:
            member.join(timeout=10)
            member.kill()


def ablate(work: Path, told: Callable[[str], None] = print) -> None:
    """Train the pooled connector in the folder of a finished training; writes pooled-exam.json.

    Raises:
        ExportError: the training in `work` is not finished, or the folder is not one.
    """
    if not (work / "exam.json").is_file():
        raise ExportError(
            f"{work} holds no finished training to compare with; run `vl2-export demo train` first."
        )
    train(None, work, told=told)


def _member(out_dir: Path | None, work: Path, schedule: Schedule, rank: int, meeting: Path) -> None:
    """Run all stages as a member that only computes."""
    end_with_parent()
    log = Log(work / "log.jsonl", told=lambda _: None)
    sizes, crew = Sizes(pooled=out_dir is None), Crew(rank, schedule.processes)
    _take_part(out_dir, Run(work, log, sizes, schedule, crew), meeting)


def _take_part(out_dir: Path | None, run: Run, meeting: Path) -> None:
    schedule = run.schedule
    if run.crew.leads:
        for name in ("frames", "sounds", "clips"):
            pool = run.pool(name)
            make_pool(run.work / "pools", pool, schedule.processes, counted(run.log, pool))
            run.log.write("pools", made=name, count=pool.count)
    crew = join(run.crew.rank, schedule.processes, meeting)
    run = dataclasses.replace(run, crew=crew)
    crew.wait()
    towers = train_towers(run)
    tokenizer = train_tokenizer(run.sizes.vocab_size)
    joint = train_rest(run, towers, tokenizer, out_dir)
    if crew.leads:
        if out_dir is not None:
            write_checkpoint(out_dir, run.sizes, tokenizer, towers, joint)
            run.log.write("checkpoint", written=out_dir.name)
        examine(run, towers, tokenizer, joint)
    leave(crew)


def examine(
    run: Run, towers: tuple[SeeingTower, HearingTower], tokenizer: Tokenizer, joint: JointModel
) -> list[TypeScore]:
    """Score the model on fresh files that it was never trained on; keeps exam.json."""
    folder = run.work / f"exam-{EXAM_SEED}"
    if not (folder / "questions.jsonl").exists():
        write_clips(folder, EXAM_CLIPS, EXAM_SEED)
    parts = towers[0].vision_tower, towers[1].audio_tower
    scores, _ = score(folder, run.sizes, tokenizer, parts, joint)
    table = {s.kind: {"accuracy": s.accuracy, "majority": s.majority} for s in scores}
    exam = "pooled-exam" if run.sizes.pooled else "exam"
    for s in scores:
        run.log.write(exam, type=s.kind, right=s.right, asked=s.asked, majority=s.majority)
    run.log.write(exam, mean=mean_accuracy(scores))
    (run.work / f"{exam}.json").write_text(json.dumps(table, indent=1), encoding="utf-8")
    return scores


def counted(log: Log, pool: Pool) -> Callable[[int], None]:
    """Return what is told of each finished chunk of a pool, and says how far it is."""
    begun, made = time.monotonic(), 0

    def tell(items: int) -> None:
        nonlocal made
        made += items
        # Chunks of an earlier run are not counted, so this is the most that can be left.
        left = (pool.count - made) * (time.monotonic() - begun) / made
        log.told(f"pools  {pool.name} {made} of {pool.count}  left_min {left / 60:.1f}")

    return tell


def kept_schedule(work: Path, wanted: Schedule) -> Schedule:
    """The schedule a work folder began with; `wanted`, and kept, if it is new."""
    path = work / "schedule.json"
    if path.exists():
        try:
            return Schedule(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, TypeError, ValueError) as error:
            raise ExportError(
                f"{path} is not the schedule of a run ({error}); choose another work folder."
            ) from error
    path.write_text(json.dumps(dataclasses.asdict(wanted), indent=1), encoding="utf-8")
    return wanted


def train_towers(run: Run) -> tuple[SeeingTower, HearingTower]:
    """The first two stages."""
    batches = run.schedule.vision_batch, run.schedule.audio_batch
    plan = run.plan("vision", 1)
    seeing = train_vision(run.sizes, plan, run.pool("frames"), run.work, run.log, batch=batches[0])
    plan = run.plan("audio", 2)
    hearing = train_audio(run.sizes, plan, run.pool("sounds"), run.work, run.log, batch=batches[1])
    return seeing, hearing


def train_rest(
    run: Run, towers: tuple[SeeingTower, HearingTower], tokenizer: Tokenizer, out_dir: Path | None
) -> JointModel:
    """Connector and joint stages on the towers' features."""
    sizes, schedule = run.sizes, run.schedule
    clip_pool, sound_pool = run.pool("clips"), run.pool("sounds")
    if run.crew.leads:
        encode_pool(towers[0].vision_tower, clip_pool, run.work, run.log)
        encode_pool(towers[1].audio_tower, sound_pool, run.work, run.log)
    run.crew.wait()
    clips = load_pool(run.work / "features", clip_pool)
    sounds = load_pool(run.work / "features", sound_pool)
    scenes = [pools.scene(clip_pool, i) for i in range(clip_pool.count)]
    tracks = [pools.sound(sound_pool, i) for i in range(sound_pool.count)]
    plan = run.plan("connector", 3)
    telling = train_connector(
        sizes, plan, scenes, clips, (run.work, run.log), batch=schedule.connector_batch
    )
    trained = range(len(scenes) - HELD_OUT), range(len(tracks) - HELD_OUT)
    kept_back = (
        range(len(scenes) - HELD_OUT, len(scenes)),
        range(len(tracks) - HELD_OUT, len(tracks)),
    )
    mixers = Mixer(scenes, tracks, *trained), Mixer(scenes, tracks, *kept_back)
    talking = Mixer(scenes, tracks, *trained, TALKS), Mixer(scenes, tracks, *kept_back, TALKS)
    stuff = material(sizes, tokenizer, clips, sounds)
    labels = lessons(sizes, mixers)
    torch.manual_seed(4)
    model = JointModel(sizes)
    initialise(model)
    model.connector.load_state_dict(telling.state_dict())
    books = run.work, run.log

    def publish() -> None:
        if out_dir is not None:
            write_checkpoint(out_dir, sizes, tokenizer, towers, model)

    doses = Doses(schedule.joint_batch, schedule.questions, schedule.room)
    train_joint(model, run.plan("joint", 4), stuff, labels, doses, books, publish)
    labels = dataclasses.replace(labels, train=talking[0], held=held_out(talking[1], 91, 384))
    plan = dataclasses.replace(run.plan("talk", 5), lr=schedule.talk_lr)
    doses = dataclasses.replace(doses, room=schedule.talk_room)
    train_joint(model, plan, stuff, labels, doses, books, publish)
    return model
