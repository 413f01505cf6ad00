"""`blackbox-grad style evaluate`: how near controllers come to the truth, compared with simpler ways to set the effect."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar, get_args

import typer

from blackbox_grad.cli import HostOption, Json, attempted, complain, err, importing, out, print_json, say, table, warn
from blackbox_grad.errors import BlackboxGradError
from blackbox_grad.files import check_folder, check_writable
from blackbox_grad.interrupts import Interrupt, deferred_interrupts
from blackbox_grad_adapters.style_matching.commands.progress import decoding, telling
from blackbox_grad_adapters.style_matching.data import corpora
from blackbox_grad_adapters.style_matching.data.corpora import Kind
from blackbox_grad_adapters.style_matching.data.recordings import Tracks, in_folder

if TYPE_CHECKING:
    from blackbox_grad import Host
    from blackbox_grad_adapters.style_matching.evaluation.methods import Method
    from blackbox_grad_adapters.style_matching.evaluation.summary import Summary


def evaluate(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]…",
            help="An effect with weights in the package, weights of a controller, or the folder of a run; all of the package by "
            "default.",
            show_default=False,
        ),
    ] = None,
    effect: Annotated[
        str | None,
        typer.Option(
            metavar="EFFECT", help="The effect of the one MODEL, if it is not the one in its weights.", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder of the results; continues an evaluation there.")
    ] = Path("evaluation"),
    examples: Annotated[
        int, typer.Option(min=0, metavar="N", help="Examples per effect and kind of recordings; 0 shows the results so far.")
    ] = 500,
    kind: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="speech or music; both by default. Repeatable.", show_default=False)
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Only these of dry, middle, random, nearest, controller, guarded, truth. Repeatable.",
            show_default=False,
        ),
    ] = None,
    refine: Annotated[
        int, typer.Option(min=0, metavar="N", help="Also measure the controller with N renders for better settings.")
    ] = 0,
    each: Annotated[
        bool, typer.Option("--each", help="Also measure the cost of each setting: it is the controller's, all others are true.")
    ] = False,
    cdpam: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Also judge the first N examples by CDPAM, which takes 4 s for each recording."),
    ] = 0,
    recordings: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Your own recordings, in place of the corpus of one --kind.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="The same seed repeats the examples.")] = 2,
    page: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the page of the docs, with its figures.", show_default=False)
    ] = None,
    host: HostOption = None,
    json: Json = False,
) -> None:
    """Measure how near controllers come to the truth, on recordings and settings that were not in their training.

    Ctrl-C keeps the results so far, and the same command continues from there.

    \b
    Examples:
      blackbox-grad style evaluate
      blackbox-grad style evaluate runs/delay Overdrive --kind speech --examples 100 --refine 200
      blackbox-grad style evaluate --examples 0 --page docs/measured/style-evaluation.md
    """
    with importing():
        from blackbox_grad.hosts import opened_host
        from blackbox_grad_adapters.style_matching.evaluation.results import METHODS, ResultsError, results
        from blackbox_grad_adapters.style_matching.evaluation.summary import summaries
        from blackbox_grad_adapters.style_matching.networks import shipped

    methods = _one_of("method", method, tuple(METHODS))
    kinds = _one_of("kind", kind, get_args(Kind))
    if recordings is not None and len(kinds) != 1:
        raise typer.BadParameter("say what these --recordings are: --kind speech or --kind music")
    if effect is not None and len(names or []) != 1:
        raise typer.BadParameter("--effect is for one MODEL; name it")
    if page is not None:
        check_writable(page, (".md",))
    check_folder(output)
    failed = 0
    wanted = names or list(shipped.EFFECTS) if examples else []
    interrupt, measuring = Interrupt(), False

    def on_example(what: str) -> None:
        nonlocal measuring
        measuring = True
        advance(what)
        interrupt.check()

    with deferred_interrupts(lambda: measuring, interrupt):
        try:
            with opened_host(host, hosts=1) as rendering, _progress(len(wanted) * len(kinds) * examples) as advance:
                for name in wanted:
                    try:
                        measuring = False  # recordings are decoded, which may take long
                        run = _Run(name, effect, methods, refine, each, rendering)
                        for k in kinds:
                            measuring = False
                            run.measure(k, recordings, seed, output, examples, on_example, cdpam)
                    except BlackboxGradError as error:
                        complain(f"{name}: {error}")
                        failed += 1
        except KeyboardInterrupt:
            interrupt.number = interrupt.number or signal.SIGINT
        measuring = True  # what was measured is shown whole
        try:
            found = summaries(results(output))
        except ResultsError:
            if not (failed or interrupt.pressed):
                raise
            raise typer.Exit(interrupt.exit_code if interrupt.pressed else 1) from None
        if page is not None:
            from blackbox_grad_adapters.style_matching.evaluation.page import write

            if not attempted(page, lambda path: write(path, found)):
                failed, page = failed + 1, None
        if json:
            print_json([summary.to_json() for summary in found])
        else:
            _print(found)
            for name, path in (("results", output), ("page", page)):
                if path is not None:
                    say((f"{name:<8}", "dim"), str(path))
    if interrupt.pressed:
        warn(f"stopped by {interrupt.name}; the same command continues")
        raise typer.Exit(interrupt.exit_code)
    raise typer.Exit(1 if failed else 0)


N = TypeVar("N", bound=str)


class _Run:
    """An effect, and the methods that set it."""

    def __init__(self, name: str, effect: str | None, methods: Sequence[str], refine: int, each: bool, host: Host) -> None:
        from blackbox_grad_adapters.style_matching.data.pairs import PairDataset
        from blackbox_grad_adapters.style_matching.effect_path import EffectPath
        from blackbox_grad_adapters.style_matching.evaluation import methods as evaluation
        from blackbox_grad_adapters.style_matching.evaluation.results import METHODS, MODEL_FREE
        from blackbox_grad_adapters.style_matching.matching.matcher import StyleMatcher
        from blackbox_grad_adapters.style_matching.networks import shipped

        self.name = name
        self.methods: dict[str, Method]
        if set(methods) <= set(MODEL_FREE) and not refine and not each:
            self.path = EffectPath(shipped.address_of(effect or name), host=host)
            self.methods = evaluation.model_free(self.path)
        else:
            matcher = StyleMatcher.load(name, host, effect=effect)
            self.path = EffectPath(matcher.path.spec.address, matcher.path.sample_rate, host=host)  # as for training pairs
            if self.path.names != matcher.path.names:
                self.path = matcher.path
            self.methods = evaluation.model_free(self.path) | evaluation.of_model(matcher, refine)
            if each:
                self.methods |= evaluation.one_by_one(matcher)
            if "nearest" in methods:
                train = corpora.tracks("train", self.path.sample_rate, on_progress=decoding)
                bank = PairDataset(self.path, train, length=matcher.encoder.length)
                report = telling(f"shards of training pairs for the nearest neighbour of {name}")
                self.methods["nearest"] = evaluation.nearest(matcher.encoder, bank, on_progress=report)
        self.methods = {n: m for n, m in self.methods.items() if n in methods or n not in METHODS}

    def measure(
        self,
        kind: Kind,
        folder: Path | None,
        seed: int,
        output: Path,
        examples: int,
        advance: Callable[[str], None],
        by_cdpam: int,
    ) -> None:
        from blackbox_grad_adapters.style_matching.data.pairs import PairDataset
        from blackbox_grad_adapters.style_matching.evaluation.methods import evaluate
        from blackbox_grad_adapters.style_matching.evaluation.results import Sheet

        rate = self.path.sample_rate
        if folder is None:
            tracks = corpora.tracks("evaluate", rate, kind=kind, on_progress=decoding)
        else:
            tracks = Tracks(in_folder(folder), rate, on_progress=decoding)
        sheet = Sheet(output, self.path.spec.address, kind)
        pairs = PairDataset(self.path, tracks, seed=seed, augmentation=None)
        evaluate(pairs, kind, self.methods, sheet, examples, lambda: advance(f"{self.name}, {kind}"), by_cdpam=by_cdpam)


def _print(found: Sequence[Summary]) -> None:
    """MRSTFT relative to the dry input by effect, and all metrics' means over the effects."""
    from blackbox_grad_adapters.style_matching.evaluation import tables as tables

    for kind in dict.fromkeys(summary.kind for summary in found):
        of_kind = [summary for summary in found if summary.kind == kind]
        for title, (headings, lines) in (
            (f"MRSTFT ÷ that of the dry input, {kind}", tables.ratios(of_kind)),
            *((f"{m} ÷ dry by the judges, {kind}", tables.judges(of_kind, m)) for m in tables.models_of(of_kind)),
            (f"Means over effects, {kind}", tables.means(of_kind)),
        ):
            rows = table(*headings, right=headings[1:], whole=headings[:1])
            for line in lines:
                rows.add_row(*line)
            say((title, "bold"))
            out().print(rows)
            say("")


def _one_of(option: str, chosen: list[str] | None, allowed: Sequence[N]) -> list[N]:
    if unknown := [name for name in chosen or () if name not in allowed]:
        raise typer.BadParameter(f"--{option} {unknown[0]}: allowed are {', '.join(allowed)}")
    return [name for name in allowed if not chosen or name in chosen]


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """A function to call after each example with its description: a bar on a terminal, otherwise a line for every twentieth."""
    if not err().is_terminal:
        done = 0

        def line(what: str) -> None:
            nonlocal done
            done += 1
            if 20 * done // total > 20 * (done - 1) // total:
                err().print(f"{done}/{total}  {what}")

        yield line
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err(), transient=True) as bar:
        task = bar.add_task("opening", total=total)
        yield lambda what: bar.update(task, advance=1, description=what)
