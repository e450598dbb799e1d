"""The command line: ``python -m probe`` with one of the commands below."""

from __future__ import annotations

import dataclasses
import os
import platform
import random
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from probe import baseline, host, language, models, project, store, table
from probe import experiments as known_experiments
from probe.errors import ProbeError, UsageProblem
from probe.experiments import Context, Plan
from probe.listener import Listener
from probe.records import STATES, Manifest, Sample, Side, State, Trial, TrialDone
from probe.summary import Index
from probe.target import Target, from_outputs
from shop import catalogue

app = typer.Typer(
    help="Measures what each deployment model of the shop costs and gives.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
#: Columns that tables get where there is no terminal: six sides side by side can be read then.
WIDTH_ELSEWHERE = 132


def _console(*, stderr: bool = False) -> Console:
    found = Console(stderr=stderr)
    known = found.is_terminal or "COLUMNS" in os.environ
    return found if known else Console(stderr=stderr, width=WIDTH_ELSEWHERE)


console = _console()
errors = _console(stderr=True)

RESULTS = project.ROOT / "results"
ALL_MODELS = ",".join(models.MODELS)
#: Stands for every experiment there is.
EVERYTHING = "all"


def main() -> None:
    """Run the command line; every expected problem is one line and a non-zero exit code."""
    try:
        app()
    except ProbeError as error:
        _fail(error)
    except KeyboardInterrupt:
        errors.print("interrupted; finished rounds are kept", style="yellow")
        sys.exit(130)
    except OSError as error:
        _fail(ProbeError(f"{error.filename or 'file system'}: {error.strerror or error}"))


def _fail(error: ProbeError) -> NoReturn:
    errors.print(Text.assemble(("error: ", "bold red"), str(error)), soft_wrap=True)
    sys.exit(error.exit_code)


def _split(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _models(text: str) -> tuple[str, ...]:
    chosen = tuple(models.known(m) for m in _split(text))
    if not chosen:
        raise UsageProblem(f"no model given: known are {', '.join(models.MODELS)}")
    return chosen


def _sides(models_: str, shapes: str) -> tuple[Side, ...]:
    """Return what is compared: each model in each shape, or in its own where none is given."""
    chosen, wanted = _models(models_), _split(shapes)
    unknown = [shape for shape in wanted if shape not in catalogue.SHAPES]
    if unknown or (shapes and not wanted):
        raise UsageProblem(
            f"unknown shape {unknown[0] if unknown else shapes!r}:"
            f" known are {', '.join(catalogue.SHAPES)}"
        )
    return tuple(
        Side(model, shape) for model in chosen for shape in wanted or (catalogue.MODELS[model],)
    )


def _states(text: str) -> tuple[State, ...]:
    chosen: list[State] = [s for s in STATES if s != "up" and s in _split(text)]
    unknown = set(_split(text)) - {"cold", "warm"}
    if unknown or not chosen:
        raise UsageProblem(
            f"unknown state {', '.join(sorted(unknown)) or repr(text)}: known are cold, warm"
        )
    return tuple(chosen)


def _experiments(text: str) -> tuple[str, ...]:
    if text == EVERYTHING:
        return tuple(known_experiments.EXPERIMENTS)
    chosen = _split(text) if text else known_experiments.DEFAULT
    known_experiments.choose(chosen)
    return chosen


ModelsOption = Annotated[str, typer.Option("--models", help="Models, separated by commas.")]
ShapesOption = Annotated[
    str,
    typer.Option(
        "--shapes", help="Shapes that each model runs, separated by commas; default: its own."
    ),
]
RepsOption = Annotated[int, typer.Option("--reps", min=1, help="Rounds.")]
StatesOption = Annotated[str, typer.Option("--states", help="cold, warm or both.")]
QuickOption = Annotated[bool, typer.Option("--quick", help="One round, short settle and window.")]
ExperimentsOption = Annotated[
    str,
    typer.Option(
        "--experiments",
        help="Experiments, separated by commas, or all; default: those that take no load.",
    ),
]


SeedOption = Annotated[
    int | None, typer.Option("--seed", help="Seed of the order; default: a new one.")
]
LangOption = Annotated[str, typer.Option("--lang", help="Language of table and report: en or es.")]
BaselineOption = Annotated[
    str,
    typer.Option("--baseline", help="An earlier run: say what changed since."),
]


@app.command()
def measure(
    stack: Annotated[str, typer.Option("--stack", "-s", help="Name of a stack that is up.")],
    backend: Annotated[
        str, typer.Option("--backend", help="Pulumi backend; default: the project's own.")
    ] = "",
    experiments: ExperimentsOption = "",
    settle: Annotated[float, typer.Option(min=0, help="Seconds to settle.")] = 5.0,
    window: Annotated[float, typer.Option(min=1, help="Seconds to watch.")] = 20.0,
    transactions: Annotated[int, typer.Option(min=1, max=1000)] = 10,
    quick: QuickOption = False,
) -> None:
    """Measure a stack that is already up. Readiness needs a deployment: see ``compare``."""
    from probe.engine import Engine

    names = _experiments(experiments)
    env = project.environment()
    if backend:
        env["PULUMI_BACKEND_URL"] = backend
    engine = Engine(project.ROOT, env)
    target = from_outputs(stack, engine.outputs(stack))
    models.known(target.model)
    _demand_answer(target)
    plan = Plan(settle_s=settle, window_s=window, transactions=transactions)
    if quick:
        plan = dataclasses.replace(Plan.quick(), transactions=transactions)
    run_id = _run_id()
    trial = Trial(1, target.model, target.shape, "up")
    side = Side(target.model, target.shape)
    manifest = _manifest(run_id, (side,), 1, ("up",), names, 0, (trial.key,), plan, {})
    folder = store.RunFolder(RESULTS / run_id)
    folder.create(manifest)
    context = Context(
        run=run_id,
        model=target.model,
        shape=target.shape,
        round=1,
        state="up",
        first=True,
        plan=plan,
        root=project.ROOT,
        artefacts=project.artefacts(),
        prefix=target.prefix,
        accelerator=target.accelerator,
        target=target,
        resources=engine.resources(stack),
    )
    samples: list[Sample] = []
    began = context.clock()
    with console.status("measuring") as status:
        context.say = lambda text: status.update(text)
        for experiment in known_experiments.choose(names):
            if not experiment.works_on_running:
                samples.append(
                    context.sample(
                        experiment.name,
                        {"readiness": "first_transaction_s", "provisioning": "create_s"}.get(
                            experiment.name, experiment.name
                        ),
                        None,
                        "s",
                        outcome="not_measured",
                        evidence="the stack was up already; `compare` deploys and measures it",
                    )
                )
                continue
            status.update(experiment.name)
            samples += experiment.measure(context)
    bad = [s for s in samples if s.outcome == "failed"]
    folder.finish_trial(
        samples,
        TrialDone(
            trial.key,
            "failed" if bad else "ok",
            round(context.clock() - began, 3),
            len(samples),
            bad[0].evidence[:500] if bad else "",
        ),
    )
    _finish(folder.path)
    if bad:
        raise ProbeError(
            f"{len(bad)} samples failed; the first: {bad[0].metric}: {bad[0].evidence}"
        )


def _demand_answer(target: Target) -> None:
    import httpx

    from probe.errors import StackNotUp
    from probe.transaction import checked_context

    try:
        answer = httpx.get(
            target.ready_url,
            verify=checked_context(target.ca_certificate),
            timeout=5,
            trust_env=False,
        )
    except (httpx.HTTPError, OSError, ValueError) as error:
        raise StackNotUp(
            f"stack {target.stack} does not answer at {target.ready_url}: {error}"
        ) from None
    if answer.status_code != 200:
        raise StackNotUp(
            f"stack {target.stack} is not ready: {target.ready_url} says {answer.status_code}"
        )


@app.command()
def compare(
    models_: ModelsOption = ALL_MODELS,
    shapes: ShapesOption = "",
    reps: RepsOption = 3,
    states: StatesOption = "cold,warm",
    experiments: ExperimentsOption = "",
    quick: QuickOption = False,
    resume: Annotated[str, typer.Option("--resume", help="Go on with this run.")] = "",
    seed: SeedOption = None,
    settle: Annotated[float | None, typer.Option(min=0, help="Seconds to settle.")] = None,
    window: Annotated[float | None, typer.Option(min=1, help="Seconds to watch.")] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds until a try has failed.")] = 300.0,
    max_rate: Annotated[
        float | None,
        typer.Option("--max-rate", min=10, help="Highest rate of the load, requests/s."),
    ] = None,
    config: Annotated[
        list[str] | None,
        typer.Option("--config", help="key=value for the stacks, may be repeated."),
    ] = None,
    baseline_: BaselineOption = "",
    lang: LangOption = "en",
) -> None:
    """Deploy each model several times in random order, measure it and tear it down."""
    from probe.cleaning import clean_up_after_killed_runs
    from probe.compare import Comparison, Order, estimate_trial, terminable
    from probe.engine import Engine

    # Threads that stamp events should not wait long for the interpreter's lock.
    sys.setswitchinterval(0.001)
    # What was asked for comes before what the machine has: a slip of the pen is told at once.
    asked = Order(
        _sides(models_, shapes),
        1 if quick and reps == 3 else reps,
        _states(states),
        _seed(seed),
    )
    wanted, given = _experiments(experiments), _config(config or [])
    language.known(lang)
    earlier = store.read_run(_run_path(baseline_)) if baseline_ else None
    env = project.environment()
    artefacts = project.artefacts()
    if not artefacts:
        raise ProbeError("nothing is built yet: run `make build` first")
    engine = Engine(project.ROOT, env)
    if resume:
        folder = store.RunFolder(_run_path(resume))
        manifest = store.read_manifest(folder.path)
        if store.is_claimed(folder.path):
            raise ProbeError(f"run {manifest.run} is still in progress in another process")
        sides = tuple(Side.parse(side) for side in manifest.sides)
        order = Order(sides, manifest.reps, manifest.states, manifest.seed)
        plan = Plan(
            manifest.settle_s,
            manifest.window_s,
            manifest.poll_period_s,
            manifest.timeout_s,
            manifest.transactions,
            manifest.load_s,
            manifest.max_rate,
        )
        aside = folder.set_unfinished_aside()
        if aside:
            console.print(f"{aside} samples of a round that did not finish were set aside")
    else:
        plan = _plan(quick, settle, window, timeout, max_rate)
        order = asked
        run_id = _run_id()
        folder = store.RunFolder(RESULTS / run_id)
        manifest = _manifest(
            run_id,
            order.sides,
            order.reps,
            order.states,
            wanted,
            order.seed,
            tuple(t.key for t in order.trials()),
            plan,
            given,
            engine.version,
        )
        folder.create(manifest)
    trials = order.trials()
    done = store.read_run(folder.path).done
    todo = [t for t in trials if t.key not in done]
    before = store.history(RESULTS, manifest.experiments, plan.settle_s, plan.window_s)
    total = sum(estimate_trial(t, manifest.experiments, plan, before) for t in todo)
    console.print(
        f"run [bold]{manifest.run}[/]: {len(todo)} deployments of {', '.join(manifest.sides)}"
        f" ({', '.join(manifest.states)}), seed {manifest.seed}, about {_minutes(total)}"
    )
    clean_up_after_killed_runs(
        engine, RESULTS, {k: str(v) for k, v in manifest.config.items()}, console.print
    )
    listener = _RichListener()
    comparison = Comparison(
        root=project.ROOT,
        folder=folder,
        manifest=manifest,
        engine=engine,
        plan=plan,
        artefacts=artefacts,
        listener=listener,
        history=before,
    )
    try:
        with terminable(), listener.progress:
            good = comparison.run(trials, done)
    except KeyboardInterrupt:
        console.print(f"go on with: python -m probe compare --resume {manifest.run}")
        raise
    with language.spoken(lang):
        _finish(folder.path, earlier=earlier)
    if not good:
        raise ProbeError("some deployments failed: their samples and reasons are in the report")


def _plan(
    quick: bool,
    settle: float | None,
    window: float | None,
    timeout: float,
    max_rate: float | None,
) -> Plan:
    plan = Plan.quick() if quick else Plan()
    return dataclasses.replace(
        plan,
        settle_s=plan.settle_s if settle is None else settle,
        window_s=plan.window_s if window is None else window,
        timeout_s=timeout,
        max_rate=plan.max_rate if max_rate is None else max_rate,
    )


def _config(pairs: Sequence[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageProblem(f"--config {pair}: key=value expected")
        found[key] = value
    return found


@app.command()
def calibrate(
    models_: ModelsOption = ALL_MODELS,
    reps: RepsOption = 5,
    quick: Annotated[bool, typer.Option("--quick", help="Short settle and window.")] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds until a try has failed.")] = 300.0,
    seed: SeedOption = None,
) -> None:
    """Deploy with costs of a known size, and say whether the figures show them."""
    from probe.calibrate import SHAPE
    from probe.calibrate import calibrate as judge
    from probe.compare import terminable

    chosen, plan = _models(models_), Plan.quick() if quick else Plan()

    def run(model: str, costs: str, wanted: str, number: int) -> Path:
        words = ["--models", model, "--shapes", SHAPE, "--states", "warm", "--reps", "1"]
        words += ["--experiments", wanted, "--timeout", str(timeout)]
        words += ["--settle", str(plan.settle_s), "--window", str(plan.window_s)]
        # One rate is looked at; a stack that is driven to its limits says nothing of a cost.
        words += ["--max-rate", "10"]
        words += ["--config", f"known_costs={costs}"] if costs else []
        console.print(f"round {number} of {reps}, [bold]{model}[/]: {costs or 'as it is'}")
        return _run_compare(words)

    file = RESULTS / "calibration.json"
    with terminable():
        for part in judge(chosen, reps, _seed(seed), run, file):
            console.print(part)
    console.print(f"written to {file.relative_to(project.ROOT)}")


def _seed(told: int | None) -> int:
    return random.SystemRandom().randrange(2**31) if told is None else told


def _run_compare(words: Sequence[str]) -> Path:
    """Compare in a process of its own; return the run's folder, raise ProbeError if it failed."""
    known = set(RESULTS.glob("*/manifest.json"))
    process = subprocess.Popen(
        [sys.executable, "-m", "probe", "compare", *words],
        cwd=project.ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        # Its tables are not of interest here, how far it is comes before them.
        in_tables = False
        for line in process.stdout:
            in_tables = in_tables or line.startswith("Run ")
            if not in_tables and line.strip():
                console.print(Text(f"  {line.rstrip()}"), soft_wrap=True)
    except KeyboardInterrupt:
        # A terminal's Ctrl-C has reached it already; it tears down what it has deployed.
        process.terminate()
        raise
    finally:
        code = process.wait()
    found = sorted(set(RESULTS.glob("*/manifest.json")) - known)
    if code != 0 or not found:
        where = f": see results/{found[-1].parent.name}" if found else ""
        raise ProbeError(f"compare {' '.join(words)} failed{where}")
    return found[-1].parent


@app.command()
def estimate(
    models_: ModelsOption = ALL_MODELS,
    shapes: ShapesOption = "",
    reps: RepsOption = 3,
    states: StatesOption = "cold,warm",
    experiments: ExperimentsOption = "",
    quick: QuickOption = False,
) -> None:
    """Say about how long a ``compare`` with these options takes."""
    from probe.compare import Order, estimate_trial

    plan = Plan.quick() if quick else Plan()
    sides = _sides(models_, shapes)
    order = Order(sides, 1 if quick and reps == 3 else reps, _states(states), 0)
    wanted = _experiments(experiments)
    before = store.history(RESULTS, wanted, plan.settle_s, plan.window_s)
    total = sum(estimate_trial(t, wanted, plan, before) for t in order.trials())
    console.print(f"{len(order.trials())} deployments, about {_minutes(total)}")


@app.command()
def report(
    run: Annotated[str, typer.Argument(help="results/<run>, or the run's name.")],
    quiet: Annotated[bool, typer.Option("--quiet", help="No table, only the page.")] = False,
    baseline_: BaselineOption = "",
    lang: LangOption = "en",
) -> None:
    """Render table and page again from the samples of a run."""
    earlier = store.read_run(_run_path(baseline_)) if baseline_ else None
    with language.spoken(lang):
        _finish(_run_path(run), quiet=quiet, earlier=earlier)


@app.command()
def decide(
    run: Annotated[str, typer.Argument(help="results/<run>, or the run's name.")],
    need: Annotated[
        list[str] | None,
        typer.Option("--need", help="What a model has to give, such as rolling-updates; repeat."),
    ] = None,
    memory_budget: Annotated[
        str, typer.Option("--memory-budget", help="Memory while idle, such as 2GiB.")
    ] = "",
    disk_budget: Annotated[str, typer.Option("--disk-budget", help="Such as 1GiB.")] = "",
    ready_within: Annotated[
        float | None, typer.Option("--ready-within", min=0, help="Seconds to the first order.")
    ] = None,
    team_knows: Annotated[
        str, typer.Option("--team-knows", help="The model that comes first among equals.")
    ] = "",
) -> None:
    """Say which models give what is needed, by the figures of a run."""
    from probe import decide as deciding

    if team_knows:
        models.known(team_knows)
    needs = deciding.wanted(need or []) + deciding.budgets(memory_budget, disk_budget, ready_within)
    if not needs:
        known = ", ".join(deciding.known())
        raise UsageProblem(f"nothing is asked for: name a budget, or --need with one of {known}")
    index = Index(store.read_run(_run_path(run)).samples)
    console.print(deciding.render(deciding.decide(index, needs), team_knows))


@app.command()
def export(
    run: Annotated[str, typer.Argument(help="results/<run>, or the run's name.")],
    form: Annotated[
        Literal["csv", "parquet"], typer.Option("--format", help="csv or parquet.")
    ] = "csv",
) -> None:
    """Write the samples of a run as one table, beside them."""
    from probe import export as exporting

    path = _run_path(run)
    file = path / f"samples.{form}"
    exporting.export(store.read_run(path).samples, file, form)
    console.print(Text(f"written: {file}"), soft_wrap=True)


def _run_path(run: str) -> Path:
    path = Path(run)
    return path if path.is_dir() or "/" in run else RESULTS / run


def _finish(path: Path, quiet: bool = False, earlier: store.Run | None = None) -> None:
    from probe.report import write_report

    run = store.read_run(path)
    if earlier is not None:
        console.print(baseline.render(earlier, run))
    if not quiet:
        console.print(table.render(run))
        console.print(table.poc(run))
        console.print(table.claims(run))
    page = write_report(path, run)
    console.print(Text(f"report: {page}"), soft_wrap=True)


def _run_id() -> str:
    """Return a new run's name: it sorts by time and fits into a stack's name."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S")


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _manifest(
    run_id: str,
    sides: tuple[Side, ...],
    reps: int,
    states: tuple[State, ...],
    experiments: tuple[str, ...],
    seed: int,
    order: tuple[str, ...],
    plan: Plan,
    config: dict[str, Any],
    pulumi_version: str = "",
) -> Manifest:
    versions = {"python": platform.python_version(), **project.tools()}
    if pulumi_version:
        versions["pulumi (running)"] = pulumi_version
    for package in (
        "pulumi",
        "pulumi-docker",
        "pulumi-kubernetes",
        "pulumi-libvirt",
        "numpy",
        "scipy",
        "plotly",
    ):
        try:
            versions[f"python: {package}"] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    built = project.artefacts()
    return Manifest(
        run=run_id,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        sides=tuple(str(side) for side in sides),
        reps=reps,
        states=states,
        experiments=experiments,
        seed=seed,
        order=order,
        settle_s=plan.settle_s,
        window_s=plan.window_s,
        poll_period_s=plan.poll_period_s,
        timeout_s=plan.timeout_s,
        transactions=plan.transactions,
        load_s=plan.load_s,
        max_rate=plan.max_rate,
        config=config,
        machine=host.machine(),
        versions=versions,
        sources={"git": host.git_state(project.ROOT), "artefacts": built.get("sources", {})},
        command=shlex.join(["python", "-m", "probe", *sys.argv[1:]]),
    )


class _RichListener(Listener):
    """Shows a bar for the run and a line per finished deployment."""

    def __init__(self) -> None:
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self.progress.add_task("starting", total=1)
        self._words = ""

    def begin(self, number: int, total: int, trial: Trial, estimate_s: float) -> None:
        self._words = (
            f"{number}/{total} round {trial.round} {trial.model} {trial.shape} {trial.state},"
            f" about {estimate_s:.0f} s"
        )
        self.progress.update(self._task, description=self._words, completed=number - 1, total=total)
        if not console.is_terminal:
            console.print(self._words, soft_wrap=True)

    def phase(self, text: str) -> None:
        self.progress.update(self._task, description=f"{self._words}: {text}")

    def end(self, trial: Trial, done: TrialDone, samples: Sequence[Sample]) -> None:
        self.progress.advance(self._task)
        mark = "[green]ok[/]" if done.outcome == "ok" else "[red]failed[/]"
        words = Text(
            f"round {trial.round} {trial.model} {trial.shape} {trial.state}:"
            f" {table.one_line(samples)}"
            f" ({done.seconds:.0f} s in all)"
        )
        if done.note:
            words.append(f" {done.note.splitlines()[0]}", style="red")
        self.progress.console.print(mark, words, soft_wrap=True)

    def note(self, text: str) -> None:
        self.progress.console.print(text, style="yellow")
