"""A checkpoint becomes a bundle: the steps in their order."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engines.config import QuantisationConfig, SelftestConfig, SourceConfig
from engines.errors import ExportError
from export import samples
from export.accuracy import (
    accuracy_table,
    keep_examples,
    measure_accuracy,
    outside,
    refuse_to_publish,
)
from export.calibrate import Composer
from export.checkpoint import Checkpoint
from export.compare import refuse_failures, table, tolerance
from export.folder import check_target, publish, unfinished
from export.int4 import open_decoder_source
from export.manifest import audio_config, bundle_config, write_manifest
from export.parts import (
    Workshop,
    export_audio,
    export_decoder,
    export_embeddings,
    export_vision,
    verification_prompt,
)
from export.plan import ExportOptions, Plan, make_plan
from export.progress import Progress, size
from export.prompt_facts import (
    check_template,
    check_vocabulary,
    eos_token_ids,
    read_generation,
    read_prompt,
    write_tokenizer,
)
from export.reference_encoders import ReferenceEncoders
from export.verify import selftest_rows

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
    checkpoint = Checkpoint(folder)
    plan = make_plan(checkpoint, options)
    if target.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise ExportError(f"{target} holds the checkpoint itself; choose another name with -o.")
    check_target(target, plan.bundle_bytes + plan.scratch_bytes, options.replace)
    progress = Progress(plan.work)
    progress.say(_introduction(checkpoint, plan, options))
    decoder = open_decoder_source(checkpoint, plan, options, target, progress)
    with decoder, unfinished(target) as part, torch.inference_mode():
        shop = Workshop(checkpoint, plan, part, progress)
        tokenizer = write_tokenizer(folder, part / "tokenizer.json")
        check_vocabulary(tokenizer, checkpoint.config.decoder.vocab_size, folder)
        prompt = read_prompt(folder, checkpoint.config.kind, tokenizer)
        check_template(prompt, samples.QUESTION, folder)
        eos = eos_token_ids(folder, prompt.special_tokens, tokenizer)
        source = SourceConfig(
            folder.resolve().name, checkpoint.sha256(), checkpoint.config.model_type
        )
        quantisation = QuantisationConfig(plan.scheme, plan.method, plan.group)
        text_side = (prompt, read_generation(folder), eos)
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
        export_decoder(shop, storage, question, options.tensorrt_graph)
        bundle = dataclasses.replace(
            bundle,
            quantisation=decoder.described(quantisation),
            graphs=dict(shop.graphs),
            selftest=_write_selftest(shop),
            verification=tuple(shop.rows),
        )
        examples = keep_examples(part) if plan.scheme == "int4" else []
        progress.say("hashing, and opening the bundle as the program will")
        write_manifest(part, bundle)
        refuse_failures(selftest_rows(part))
        accuracy = None
        if examples:
            progress.say("asking the bundle, and the unrounded model what it makes of the answers")
            accuracy = measure_accuracy(part, checkpoint, composer, examples)
            progress.say(accuracy_table(accuracy))
            if not options.accept_loss:
                refuse_to_publish(accuracy, decoder.advice())
            accuracy = dataclasses.replace(accuracy, accepted_loss=bool(outside(accuracy)))
            write_manifest(part, dataclasses.replace(bundle, accuracy=accuracy))
        publish(part, target)
        decoder.finish(accuracy)
    progress.say(table(shop.rows))
    written = sum(path.stat().st_size for path in target.iterdir())
    progress.say(f"wrote {target}, {size(written)}")


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
    arrays: dict[str, Any] = dict(shop.selftest)
    np.savez_compressed(shop.folder / SELFTEST, **arrays)
    scheme = shop.plan.scheme
    tolerances = {"visual_tokens": tolerance(scheme, "projector")}
    if "audio_tokens" in shop.selftest:
        tolerances["audio_tokens"] = tolerance(scheme, "audio")
    tolerances["logits"] = tolerance(scheme, "decoder")
    if scheme == "int4":
        tolerances["logits_exact"] = tolerance(scheme, "decoder_exact")
    return SelftestConfig(SELFTEST, tolerances)
