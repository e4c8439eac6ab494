"""Where an int4 decoder's integers come from: plain rounding, GPTQ here, or a GPTQ checkpoint."""

import dataclasses
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch

from engines.config import AccuracyConfig, CalibrationConfig, QuantisationConfig
from engines.errors import Vl2Error
from export import PRODUCER
from export.accuracy import advice
from export.calibrate import Calibration, Composer, calibrate
from export.checkpoint import Checkpoint
from export.examples import Example, bundled_examples, digest, read_examples
from export.gptq_checkpoint import CONFIG, GptqFolder, config_json, write_json
from export.gptq_source import gptq_storage, open_gptq, refuse_unordered
from export.keep_gptq import check_kept, write_gptq_folder
from export.memory import memory_plan
from export.plan import ExportOptions, Plan
from export.progress import Progress, size
from export.quantise import quantise_decoder
from export.quantise_state import MatrixRow, QuantiseState, state_folder
from export.report import draw_report, facts_of, layer_table, report_path, write_report
from export.storage import WHOLE_ROW, Storage, plain_storage
from export.unfinished import file_facts


class PlainSource(AbstractContextManager[None]):
    """A decoder whose matrices are looked at alone: kept, or rounded to nearest."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def key(self) -> dict[str, Any]:
        """Return what the integers depend on beside the checkpoint and the options."""
        return {}

    def storage(self, composer: Composer) -> Storage:
        """Return how the matrices are stored."""
        return plain_storage(self.plan.scheme, self.plan.group, self.plan.head)

    def described(self, quantisation: QuantisationConfig) -> QuantisationConfig:
        """Return what the manifest says of it."""
        if self.plan.scheme != "int4":
            return quantisation
        return dataclasses.replace(quantisation, head=self.plan.head)

    def advice(self) -> str:
        """Return what would help if too much was lost."""
        return "let GPTQ find the integers (leave out --rtn)"

    def finish(self, accuracy: AccuracyConfig | None) -> None:
        """Do what is left when the bundle is there."""

    def __exit__(self, *_: object) -> None:
        """Do nothing."""


class GivenSource(PlainSource):
    """A decoder taken from a GPTQ checkpoint that another program made."""

    def __init__(self, plan: Plan, source: GptqFolder) -> None:
        super().__init__(plan)
        self.source = source

    def key(self) -> dict[str, Any]:
        """Return what the integers depend on beside the checkpoint and the options."""
        return {"gptq": file_facts(sorted(self.source.folder.iterdir()))}

    def described(self, quantisation: QuantisationConfig) -> QuantisationConfig:
        """Return what the manifest says of it."""
        group = self.source.config.group_size
        found = super().described(quantisation)
        return found if group == WHOLE_ROW else dataclasses.replace(found, group_size=group)

    def advice(self) -> str:
        """Return what would help if too much was lost."""
        return "quantise the checkpoint here (leave out --gptq)"

    def storage(self, composer: Composer) -> Storage:
        """Return how the matrices are stored."""
        return gptq_storage(self.source, self.plan)


class QuantisedSource(PlainSource):
    """A decoder that is quantised here; what is finished stays on disk until the bundle is there.

    Raises:
        ExportError: there is nothing to calibrate with.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        plan: Plan,
        options: ExportOptions,
        target: Path,
        progress: Progress,
    ) -> None:
        super().__init__(plan)
        self.checkpoint = checkpoint
        self.options = options
        self.target = target
        self.progress = progress
        check_kept(options.keep_gptq)
        self.examples = _choose_examples(plan, progress)
        self.state: QuantiseState | None = None
        self.rows: list[MatrixRow] = []
        self.facts: dict[str, Any] = {}
        _say_plan(checkpoint, plan, progress)

    def key(self) -> dict[str, Any]:
        """Return what the integers depend on beside the checkpoint and the options."""
        return _state_key(self.checkpoint, self.plan, self.examples)

    def storage(self, composer: Composer) -> Storage:
        """Quantise, going on from where an interrupted run with the same options was.

        Raises:
            ExportError: nothing to calibrate with can be used, or its values overflow in a layer.
        """
        assert self.plan.quantise is not None
        options = self.plan.quantise
        self.state = state = QuantiseState(state_folder(self.target), self.key())
        calibration = self._calibration(composer, state)
        self.facts = calibration.facts
        try:
            self.rows = quantise_decoder(
                self.checkpoint, calibration, options, state, self.progress
            )
        except Vl2Error:
            state.drop()  # Another checkpoint or another calibration is needed.
            raise
        write_json(state.folder / CONFIG, config_json(4, options.group, options.damp))
        return gptq_storage(GptqFolder(state.folder, state.weight_files()), self.plan)

    def described(self, quantisation: QuantisationConfig) -> QuantisationConfig:
        """Return what the manifest says of it."""
        tokens = self.facts["tokens"]
        told = CalibrationConfig(self.facts["conversations"], tokens, self.facts["weights"])
        return dataclasses.replace(super().described(quantisation), calibration=told)

    def advice(self) -> str:
        """Return which layers lose most, and what would help."""
        return advice(self.rows, self.plan.group, self.plan.head)

    def finish(self, accuracy: AccuracyConfig | None) -> None:
        """Write the report and what is to be kept; the bundle is there."""
        assert self.state is not None
        assert self.plan.quantise is not None
        path = report_path(self.target)
        facts = facts_of(self.target.name, self.facts, self.plan.quantise, accuracy)
        write_report(path, facts, self.rows)
        self.progress.say(f"{layer_table(self.rows)}\nevery matrix is in {path}")
        if self.options.report is not None:
            title = f"{self.target.name}: rounding and GPTQ"
            draw_report(self.options.report, self.rows, accuracy, title)
        if self.options.keep_gptq is not None:
            damp = self.plan.quantise.damp
            folder, group = self.options.keep_gptq, self.plan.quantise.group
            write_gptq_folder(folder, self.checkpoint, self.state, group, damp)
            self.progress.say(f"kept the GPTQ checkpoint {folder}")
        self.state.drop()

    def __exit__(self, *_: object) -> None:
        """Keep a state that is worth going on from, and say so; drop any other."""
        if self.state is None or not self.state.folder.exists():
            return
        done = self.state.layers_done()
        if not done:
            self.state.drop()
            return
        self.progress.say(
            f"{done} finished layers are kept in {self.state.folder}: the same command goes on"
            " from there"
        )

    def _calibration(self, composer: Composer, state: QuantiseState) -> Calibration:
        """Put the calibration together, or take what an interrupted run went by."""
        # Behind the first layer its hidden states take the place of the inputs.
        begun = state.layers_done() > 0
        found = state.load_inputs("weights", *([] if begun else ["inputs_embeds"]))
        if found is not None:
            tensors, facts = found
            inputs = tensors.get("inputs_embeds", torch.empty(0))
            return Calibration(inputs, facts.pop("lengths"), tensors["weights"], facts)
        wanted = self.plan.calibration
        made = calibrate(composer, self.examples, self.progress.step, wanted.tokens, wanted.weights)
        for note in made.facts["notes"]:
            self.progress.say(f"left out of the calibration: {note}")
        tensors = {"inputs_embeds": made.inputs_embeds, "weights": made.weights}
        state.save_inputs(tensors, {"lengths": made.lengths, **made.facts})
        return made


def open_decoder_source(
    checkpoint: Checkpoint, plan: Plan, options: ExportOptions, target: Path, progress: Progress
) -> PlainSource:
    """Look at all that the decoder is going to be made from.

    Raises:
        CheckpointError: a GPTQ checkpoint is of another model, malformed or not supported.
        ExportError: there is nothing to calibrate with, or a form that TensorRT does not take.
    """
    if options.gptq is not None:
        source = open_gptq(checkpoint, options.gptq)
        if options.engines:
            refuse_unordered(source)
        return GivenSource(plan, source)
    if plan.quantise is not None:
        return QuantisedSource(checkpoint, plan, options, target, progress)
    return PlainSource(plan)


def _choose_examples(plan: Plan, progress: Progress) -> list[Example]:
    folder = plan.calibration.folder
    if folder is None:
        return bundled_examples()
    examples, notes = read_examples(folder)
    for note in notes:
        progress.say(f"left out of the calibration: {note}")
    return examples


def _say_plan(checkpoint: Checkpoint, plan: Plan, progress: Progress) -> None:
    """Say how much memory and disk quantising takes at most, and what for."""
    tokens = plan.calibration.tokens
    needed = memory_plan(checkpoint.config.decoder, tokens)
    progress.say(
        f"quantising on about {tokens} tokens takes up to {needed}, and {size(plan.scratch_bytes)}"
        " of disk meanwhile, to go on from after an interruption"
    )


def _state_key(checkpoint: Checkpoint, plan: Plan, examples: list[Example]) -> dict[str, Any]:
    """Return what the results depend on; a run goes on only from one with the same."""
    files = file_facts(checkpoint.source_files())
    assert plan.quantise is not None
    return {
        "made_by": [PRODUCER, torch.__version__],
        "checkpoint": files,
        "options": dataclasses.asdict(plan.quantise),
        "calibration": [digest(examples), plan.calibration.tokens, plan.calibration.weights],
    }
