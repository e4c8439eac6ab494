"""A checkpoint becomes a bundle: the steps in their order."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engines.backends.onnxruntime import runtime_version
from engines.config import QuantisationConfig, SelftestConfig, SourceConfig
from engines.errors import ExportError
from export import PRODUCER, samples
from export.accuracy import accuracy_table, outside, refuse_to_publish
from export.ask_bundle import ask_bundle
from export.calibrate import Composer
from export.checkpoint import Checkpoint
from export.compare import refuse_failures, table, tolerance
from export.folder import check_target
from export.int4 import open_decoder_source
from export.manifest import audio_config, bundle_config, write_manifest
from export.measure import keep_examples, measure_accuracy
from export.needs import check_needs, decoder_in_pieces, memory_needs
from export.parts import (
    export_audio,
    export_decoder,
    export_embeddings,
    export_vision,
    verification_prompt,
)
from export.plan import ExportOptions, Plan, make_plan
from export.progress import Progress, size
from export.prompt_facts import (
    GENERATION,
    check_template,
    check_vocabulary,
    eos_token_ids,
    read_generation,
    read_prompt,
    write_tokenizer,
)
from export.readings import FILE as READINGS
from export.reference_encoders import ReferenceEncoders
from export.unfinished import file_facts, unfinished_bundle
from export.verify import selftest_rows
from export.workshop import Workshop

SELFTEST = "selftest.npz"


def export_bundle(folder: Path, target: Path, options: ExportOptions) -> None:
    """Export a checkpoint.

    Args:
        folder: The checkpoint.
        target: The bundle to make; it appears whole and verified, or not at all.
        options: How.

    Raises:
        CheckpointError: the checkpoint is incomplete, malformed, or not supported.
        ExportError: the export cannot be made here, or a graph is outside its tolerance.
    """
    checkpoint = Checkpoint(folder, options.where)
    plan = make_plan(checkpoint, options)
    if target.resolve() in (checkpoint.folder.resolve(), *checkpoint.folder.resolve().parents):
        raise ExportError(f"{target} holds the checkpoint itself; choose another name with -o.")
    check_target(target, options.replace)
    takes = check_needs(target, plan, memory_needs(checkpoint, plan, options))
    progress = Progress(plan.work)
    progress.say(_introduction(checkpoint, plan, options))
    progress.say(takes)
    for note in checkpoint.notes:
        progress.say(note)
    decoder = open_decoder_source(checkpoint, plan, options, target, progress)
    key = export_key(checkpoint, plan, options, decoder.key())
    unfinished = unfinished_bundle(target, key, progress.say)
    with progress, decoder, unfinished as work, torch.inference_mode():
        shop = Workshop(checkpoint, plan, work, progress)
        part = work.bundle
        text_folder = checkpoint.folder_with("tokenizer_config.json")
        generation_folder = checkpoint.folder_with(GENERATION)
        tokenizer = write_tokenizer(text_folder, part / "tokenizer.json")
        check_vocabulary(tokenizer, checkpoint.config.decoder.vocab_size, text_folder)
        prompt = read_prompt(text_folder, checkpoint.config.kind, tokenizer)
        check_template(prompt, samples.QUESTION, text_folder)
        eos = eos_token_ids(generation_folder, prompt.special_tokens, tokenizer)
        progress.step("hashing the checkpoint", 0)
        hashed = work.step("source", lambda: {"sha256": np.asarray(checkpoint.sha256())})
        progress.step("checkpoint hashed", plan.also["hash"])
        source = SourceConfig(
            folder.resolve().name, str(hashed["sha256"]), checkpoint.config.model_type
        )
        quantisation = QuantisationConfig(plan.scheme, plan.method, plan.group)
        text_side = (prompt, read_generation(generation_folder), eos)
        bundle = bundle_config(checkpoint.config, source, quantisation, text_side)
        visual_tokens = export_vision(shop)
        audio = audio_config(checkpoint.config)
        if audio is not None:
            export_audio(shop, audio)
        embeddings = export_embeddings(shop, options.embedding_bits)
        question = verification_prompt(shop, prompt, tokenizer, embeddings, visual_tokens)
        encoders = ReferenceEncoders(checkpoint, bundle)
        composer = Composer(encoders, tokenizer, embeddings)
        storage = decoder.storage(composer)
        export_decoder(shop, storage, question)
        bundle = dataclasses.replace(
            bundle,
            quantisation=decoder.described(quantisation),
            graphs=dict(shop.graphs),
            selftest=_write_selftest(shop),
            verification=tuple(shop.rows),
        )
        examples = keep_examples(part) if plan.scheme == "int4" else []
        (part / READINGS).unlink(missing_ok=True)
        files = write_manifest(part, bundle)
        progress.step("opening the bundle as the program will", 0)
        asked = ask_bundle(part, decoder_in_pieces(plan), lambda what: progress.step(what, 0))
        refuse_failures(selftest_rows(part, asked))
        progress.step("self-test passed", plan.also["selftest"])
        accuracy = None
        if examples:
            tell = partial(_tell_measuring, progress, plan.also["accuracy"])
            accuracy = measure_accuracy(work, checkpoint, composer, asked, examples, tell)
            progress.say(accuracy_table(accuracy))
            if not options.accept_loss:
                refuse_to_publish(accuracy, decoder.advice())
            accuracy = dataclasses.replace(accuracy, accepted_loss=bool(outside(accuracy)))
            write_manifest(part, dataclasses.replace(bundle, accuracy=accuracy), files)
        work.publish()
        decoder.finish(accuracy)
    progress.say(table(shop.rows))
    written = sum(path.stat().st_size for path in target.iterdir())
    progress.say(f"wrote {target}, {size(written)}")


def _tell_measuring(progress: Progress, work: int, label: str, share: float) -> None:
    progress.step(label, round(work * share))


def export_key(
    checkpoint: Checkpoint, plan: Plan, options: ExportOptions, decoder: Mapping[str, Any]
) -> dict[str, Any]:
    """Return all that the bundle's bytes depend on; an export goes on only from one with the same.

    Args:
        checkpoint: By the names, sizes and times of its files.
        plan: What is made of it.
        options: Those that change a byte.
        decoder: What its integers depend on beside.
    """
    return {
        "made_by": [PRODUCER, torch.__version__, np.__version__, runtime_version()],
        "threads": torch.get_num_threads(),
        "files": file_facts([*checkpoint.source_files(), *checkpoint.small_files()]),
        "folder": checkpoint.folder.resolve().name,
        "scheme": [plan.scheme, plan.group, plan.method, plan.head],
        "options": [options.embedding_bits],
        "decoder": dict(decoder),
    }


def _introduction(checkpoint: Checkpoint, plan: Plan, options: ExportOptions) -> str:
    config = checkpoint.config
    parts = [config.vision.kind, config.projector_type, config.kind]
    parts += ["BEATs"] if config.sound else []
    text = f"{checkpoint.folder}: {' + '.join(parts)}, to {plan.scheme}"
    if plan.group is not None:
        how = "as asked" if options.group else "the largest that divides every matrix"
        text += f" in groups of {plan.group} ({how})"
    return f"{text}; about {size(plan.bundle_bytes)}"


def _write_selftest(shop: Workshop) -> SelftestConfig:
    # Sorted: an export that goes on after an interruption has read some of them from a file.
    arrays: dict[str, Any] = dict(sorted(shop.selftest.items()))
    np.savez_compressed(shop.folder / SELFTEST, **arrays)
    scheme = shop.plan.scheme
    tolerances = {"visual_tokens": tolerance(scheme, "projector")}
    if "audio_tokens" in shop.selftest:
        tolerances["audio_tokens"] = tolerance(scheme, "audio")
    tolerances["logits"] = tolerance(scheme, "decoder")
    if scheme == "int4":
        tolerances["logits_exact"] = tolerance(scheme, "decoder_exact")
    return SelftestConfig(SELFTEST, tolerances)
