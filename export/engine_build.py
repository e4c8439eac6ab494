"""`vl2-export engines`: the engines of a bundle, built of checked graphs, listed and signed.

An engine gets its name when it is whole, and stands in the list when it has its name. What is up to
date is left alone, so a build that was ended goes on from where it was.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engines.bundle import ENGINES, Bundle, open_bundle
from engines.engine_files import Compiler, Flavour, compiler_name
from engines.errors import ExportError
from engines.machine_memory import memory_here
from export.bundle_decoder import NotCompilable
from export.compare import refuse_failures
from export.engine_check import SelfTest
from export.engine_shelf import Shelf, built_context
from export.engine_sources import GRAPHS, Source, choose_context, prepare, weights_bytes
from export.lock import locked
from export.progress import Progress, size
from export.tensorrt import Compiled, chosen_archs, load_compiler
from export.tensorrt_process import compile_apart

# Beside its weights an engine holds its code.
CODE_BYTES = 16 << 20
# What compiling takes: for the program, and for each byte of weights (docs/benchmarks.md).
PROGRAM_BYTES, COMPILING = 600_000_000, 4
LOCK, SCRATCH = "lock", "scratch"


@dataclass(frozen=True)
class EngineOptions:
    """What the user asked for.

    Attributes:
        arch: For which GPUs: names with commas between, "all" or "this".
        flavour: By which TensorRT.
        context: Positions in the decoder's cache; None takes what there is, or what is usual.
        force: Also build what is up to date.
    """

    arch: str = "this"
    flavour: Flavour = "rtx"
    context: int | None = None
    force: bool = False


def check_options(options: EngineOptions) -> tuple[Compiler, list[str]]:
    """Find out whether engines can be built here at all.

    Returns:
        The compiler, and the architectures to compile for.

    Raises:
        ExportError: the compiler is not there, or does not compile for what was asked.
    """
    _, compiler = load_compiler(options.flavour)
    return compiler, chosen_archs(options.arch, options.flavour)


def build_engines(folder: Path, options: EngineOptions) -> None:
    """Build the engines that a bundle lacks.

    Raises:
        BundleError: it is not a bundle, or damaged.
        ExportError: they cannot be built here, or a graph does not give what the reference gave.
    """
    compiler, archs = check_options(options)
    bundle = open_bundle(folder)
    if bundle.config.quantisation.scheme == "fp32":
        raise ExportError(
            f"{folder} computes in 32 bits, for which no engines are built; export the checkpoint"
            " with --int4 or --fp16."
        )
    context = choose_context(bundle.config, options.context or built_context(bundle, archs))
    with _at_work(folder) as scratch:
        shelves = [Shelf(bundle, arch, compiler, context, options.force) for arch in archs]
        builder = _Builder(bundle, context, scratch)
        if builder.plan(shelves):
            for graph in GRAPHS:
                builder.build(graph, [shelf for shelf in shelves if graph in shelf.lacking])
            builder.finish()


class _Builder:
    """Goes through the graphs of a bundle, counting what is done.

    What cannot be built does not keep the rest from being built; it is an error at the end.
    """

    def __init__(self, bundle: Bundle, context: int, scratch: Path) -> None:
        self._bundle = bundle
        self._context = context
        self._scratch = scratch
        self._progress = Progress(0)
        self._selftest = SelfTest(bundle)
        self._errors: list[ExportError] = []

    def plan(self, shelves: Sequence[Shelf]) -> bool:
        """Say what is going to be built, if anything; refuse it if the disk has no room."""
        folder, say = self._bundle.path, self._progress.say
        for shelf in shelves:
            if shelf.without_decoder:
                say(f"{shelf.arch} takes no int4: its decoder stays with ONNX Runtime")
        amounts = [self._amount(graph) for shelf in shelves for graph in shelf.lacking]
        if not amounts:
            say(f"every engine of {folder} is up to date; --force builds them all the same")
            return False
        _refuse_too_large(folder, sum(amounts), max(amounts))
        name = compiler_name(shelves[0].compiler)
        say(f"{folder}: {len(amounts)} engines by {name}, compiled here and not run")
        self._progress.total = sum(amounts)
        return True

    def build(self, graph: str, shelves: Sequence[Shelf]) -> None:
        """Check a graph and compile it for every architecture that lacks its engine."""
        if not shelves:
            return
        self._progress.step(f"checking {graph}", 0)
        try:
            source = prepare(self._selftest, graph, self._context, self._scratch)
            refuse_failures(source.rows)
        except NotCompilable as error:
            self._progress.say(str(error))
            return
        except ExportError as error:
            self._errors.append(error)
            return
        for shelf in shelves:
            self._compile(graph, source, shelf)

    def _compile(self, graph: str, source: Source, shelf: Shelf) -> None:
        label = f"{graph} for {shelf.arch}"
        self._progress.step(label, 0)
        job = shelf.job(graph, source)
        try:
            compiled = compile_apart(job)
        except ExportError as error:
            self._errors.append(error)
            return
        shelf.add(graph, source, compiled, job.engine)
        self._progress.step(label, self._amount(graph))
        self._progress.say(_line(label, compiled))

    def finish(self) -> None:
        """Say where they are, and what is still to be done before one answers.

        Raises:
            ExportError: some could not be built.
        """
        for error in self._errors[:-1]:
            self._progress.say(str(error))
        if self._errors:
            raise self._errors[-1]
        self._progress.say(
            f"the engines are in {self._bundle.path / ENGINES}; before first use, the program tests"
            " each on its GPU"
        )

    def _amount(self, graph: str) -> int:
        return weights_bytes(self._bundle, graph) + CODE_BYTES


def _refuse_too_large(folder: Path, disk: int, largest: int) -> None:
    """Refuse engines that do not fit on the disk, or one that is not compiled in this memory."""
    # The decoder is written once more, in the form that is compiled.
    disk, free = disk + largest, shutil.disk_usage(folder).free
    if free < disk:
        raise ExportError(
            f"The engines need {size(disk)} of disk but {folder} has {size(free)} free; free space"
            " or give fewer of --arch."
        )
    memory, available = PROGRAM_BYTES + COMPILING * largest, memory_here().available_bytes
    if available is not None and available < memory:
        raise ExportError(
            f"Compiling the largest engine needs {size(memory)} of memory but {size(available)} are"
            " free; close other programs, or build on another computer: it needs no GPU."
        )


def _line(label: str, compiled: Compiled) -> str:
    return (
        f"{label:<22} {compiled.build_s:>7.1f} s {size(compiled.size):>9}, weights"
        f" {size(compiled.weights_bytes)}, activations {size(compiled.activation_bytes)}"
    )


@contextmanager
def _at_work(folder: Path) -> Iterator[Path]:
    """Hold a bundle's folder of engines for one build; gives a folder that is gone afterwards.

    Raises:
        ExportError: another process builds engines there, or the disk is full or cannot be written.
    """
    root = folder / ENGINES
    try:
        root.mkdir(exist_ok=True)
        busy = f"Another process is building engines for {folder}; wait until it has ended."
        with locked(root / LOCK, busy):
            scratch = root / SCRATCH
            shutil.rmtree(scratch, ignore_errors=True)  # Of a build that was killed.
            scratch.mkdir()
            try:
                yield scratch
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
                _remove_empty(root)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ExportError(
            f"The engines in {root} could not be written ({reason}); free space or check the"
            " folder's permissions."
        ) from error


def _remove_empty(root: Path) -> None:
    """Remove the folders that nothing came to lie in; the lock is held, and goes with its folder.

    Windows removes no open file, so there it stays.
    """
    for path in root.iterdir():
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    if [path.name for path in root.iterdir()] == [LOCK]:
        shutil.rmtree(root, ignore_errors=True)
