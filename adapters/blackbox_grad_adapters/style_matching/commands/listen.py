"""`blackbox-grad style listen`: a listening test, from its sounds to its results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from blackbox_grad.cli import HostOption, Json, command_line, err, importing, print_json, say, warn
from blackbox_grad.dependencies import library
from blackbox_grad.errors import AudioError
from blackbox_grad.files import check_folder, check_writable
from blackbox_grad_adapters.style_matching.commands.listen_results import results
from blackbox_grad_adapters.style_matching.listening.description import DESIGNS
from blackbox_grad_adapters.style_matching.listening.folders import LAYOUTS
from blackbox_grad_adapters.style_matching.listening.items import LONGEST

if TYPE_CHECKING:
    from blackbox_grad_adapters.style_matching.listening.description import Design
    from blackbox_grad_adapters.style_matching.listening.folders import Layout
    from blackbox_grad_adapters.style_matching.listening.items import Item
    from blackbox_grad_adapters.style_matching.listening.renders import Choice

app = typer.Typer(no_args_is_help=True, help="Listening tests: make one, collect answers, and see the results.")


def prepare(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A folder of audio, or the folder of results of `style evaluate`.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The page, an .html file.", show_default=False)
    ] = None,
    test: Annotated[
        str, typer.Option(metavar="NAME", help="mushra: rate all sounds. ab: which of two. abx: which of two is the third.")
    ] = "mushra",
    system: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this system, or method of the evaluation. Repeatable.", show_default=False),
    ] = None,
    pair: Annotated[
        list[str] | None,
        typer.Option(metavar="A,B", help="Compare these two in AB or ABX, not all pairs. Repeatable.", show_default=False),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="How often ABX asks for each comparison.")] = 1,
    layout: Annotated[
        str, typer.Option(metavar="NAME", help="Of a folder of audio: a folder for each trial (trials) or system (systems).")
    ] = "auto",
    effect: Annotated[
        list[str] | None, typer.Option(metavar="EFFECT", help="Only these effects. Repeatable.", show_default=False)
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Of an evaluation: speech or music.", show_default=False)
    ] = None,
    examples: Annotated[int, typer.Option(min=1, metavar="N", help="Of an evaluation: of each effect and kind.")] = 2,
    seconds: Annotated[float, typer.Option(min=0.5, max=60.0, metavar="S", help="The longest sound.")] = 10.0,
    anchors: Annotated[bool, typer.Option(help="MUSHRA: hide two low-pass anchors among the sounds.")] = True,
    training: Annotated[int, typer.Option(min=0, metavar="N", help="Trials to practise on first.")] = 1,
    title: Annotated[str, typer.Option(metavar="TEXT", help="Listeners see it.")] = "Listening test",
    question: Annotated[
        str | None, typer.Option(metavar="TEXT", help="In place of the usual question.", show_default=False)
    ] = None,
    trained: Annotated[bool, typer.Option("--trained", help="Ask in the words for trained listeners.")] = False,
    mp3: Annotated[bool, typer.Option("--mp3", help="A smaller page, with MP3's traces in every sound.")] = False,
    webmushra: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Also write a configuration of webMUSHRA with its sounds.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of the draw of examples of an evaluation.")] = 0,
    recordings: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The --recordings of the evaluation.", show_default=False)
    ] = None,
    evaluation_seed: Annotated[int, typer.Option(min=0, metavar="N", help="The --seed of the evaluation.")] = 2,
    host: HostOption = None,
    json: Json = False,
) -> None:
    """Make a listening test: one page with all its sounds, of one loudness.

    A folder of audio has a folder for each trial, with a file for each system (guitar/reference.wav, guitar/mine.wav), or a
    folder for each system (reference/guitar.wav, mine/guitar.wav). A folder in between is the effect.

    \b
    Examples:
      blackbox-grad style listen prepare sounds -o test.html
      blackbox-grad style listen prepare evaluation --effect Delay --examples 3 -o delay.html
      blackbox-grad style listen prepare sounds --test abx --repeats 8 -o abx.html
    """
    if test not in DESIGNS:
        raise typer.BadParameter(f"--test {test}: allowed are {', '.join(DESIGNS)}")
    if layout not in LAYOUTS:
        raise typer.BadParameter(f"--layout {layout}: allowed are {', '.join(LAYOUTS)}")
    if output is None and webmushra is None:
        raise typer.BadParameter("name what to write: -o FILE.html, or --webmushra FOLDER")
    pairs = [_pair(text) for text in pair or ()]
    if pairs and test == "mushra":
        raise typer.BadParameter("--pair is for --test ab and abx; MUSHRA compares all systems of a trial")
    if output is not None:
        check_writable(output, (".html", ".htm"))
    if webmushra is not None:
        check_folder(webmushra)
    if seconds > LONGEST:
        warn(f"sounds of more than {LONGEST:g} s tire listeners (ITU-R BS.1534-3)")
    with importing():
        library("pyloudnorm", "preparing a listening test", "style")
        library("yaml", "preparing a listening test", "style-training")
        from blackbox_grad_adapters.style_matching.listening import page, trials
        from blackbox_grad_adapters.style_matching.listening import webmushra as export
        from blackbox_grad_adapters.style_matching.listening.items import chosen
        from blackbox_grad_adapters.style_matching.listening.renders import Choice

    choice = Choice(effect or (), kind or (), system or (), examples, seed, recordings, evaluation_seed)
    items = _items(source, choice, layout, host)
    if not pairs:
        items = chosen(items, system or ())
    made = trials.prepared(
        items, cast("Design", test), title=title, seconds=seconds, anchors=anchors, repeats=repeats, pairs=pairs
    )
    asked = question or page.question(made, trained)
    written: dict[str, str | int] = {}
    if output is not None:
        count = min(training, len(made.description.trials))
        written["bytes"] = page.write_test(output, made, asked, command_line(), training=count, lossy=mp3)
        written["page"] = str(output)
    if webmushra is not None:
        written["webmushra"] = str(export.write_webmushra(webmushra, made, asked))
    seen = list(dict.fromkeys(name for trial in made.description.trials for name in trial.systems))
    if json:
        facts = {"loudness": made.levels.loudness, "gains": made.levels.gains, "systems": seen, "question": asked}
        print_json(written | facts | {"test": made.description.to_json()})
        return
    say(("trials  ", "dim"), f"{len(made.description.trials)} of {', '.join(seen)}")
    low, high = made.levels.gains
    say(("level   ", "dim"), f"{made.levels.loudness:.1f} LUFS, by gains from {low:+.1f} to {high:+.1f} dB")
    if output is not None:
        say(("page    ", "dim"), f"{output} ({int(written['bytes']) / 1e6:.1f} MB)")
    if webmushra is not None:
        say(("webMUSHRA ", "dim"), f"{written['webmushra']}; copy {webmushra}/configs into it")


def serve(
    page: Annotated[Path, typer.Argument(metavar="PAGE", help="A page that `prepare` made.")],
    database: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The answers, in SQLite; by default beside the page, as .db.", show_default=False),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="0 takes a free one.")] = 7870,
    lan: Annotated[
        bool, typer.Option("--lan", help="Let every computer and phone of this network open the page, without a password.")
    ] = False,
) -> None:
    """Serve a listening test and keep the answers of all listeners. Ctrl-C ends it; the same command goes on.

    Without --lan, only this computer reaches it. A listener is known by a chosen name, and by nothing else. A later answer to
    the same trial takes the place of the first.

    \b
    Examples:
      blackbox-grad style listen serve test.html
      blackbox-grad style listen serve test.html --lan --database answers.db
    """
    from blackbox_grad_adapters.style_matching.listening.database import Database
    from blackbox_grad_adapters.style_matching.listening.page import read_test
    from blackbox_grad_adapters.style_matching.listening.server import Server, own_addresses

    content, test = read_test(page)
    answers = Database(page.with_suffix(".db") if database is None else database)
    try:
        server = Server(content, test, answers, "" if lan else "127.0.0.1", port)
        try:
            local = f"http://127.0.0.1:{server.port}/"
            if lan:
                others = " or ".join(f"http://{address}:{server.port}/" for address in own_addresses())
                say("The test is at ", (others or local, "bold"), ", for everybody on this network. Ctrl-C ends it.")
            else:
                say("The test is at ", (local, "bold"), ", for this computer only. Ctrl-C ends it.")
            server.serve_forever(poll_interval=0.1)
        finally:
            server.server_close()
            listeners, count = answers.counts(test)
            say(f"{count} answers of {listeners} listeners are in {answers.path}")
    finally:
        answers.close()


def _items(source: Path, choice: Choice, layout: str, host: str | None) -> list[Item]:
    from blackbox_grad_adapters.style_matching.listening.folders import from_folder
    from blackbox_grad_adapters.style_matching.listening.renders import are_results

    if are_results(source):
        from blackbox_grad.hosts import opened_host
        from blackbox_grad_adapters.style_matching.listening.renders import from_results

        with opened_host(host, hosts=1) as rendering:
            return list(from_results(source, choice, rendering, lambda what: err().print(f"rendering {what}")))
    items = from_folder(source, cast("Layout", layout))
    known = list(dict.fromkeys(item.effect for item in items))
    if unknown := [name for name in choice.effects if name not in known]:
        raise AudioError(f"{source}: there is no effect {unknown[0]!r}; there are {', '.join(filter(None, known)) or 'none'}")
    return [item for item in items if not choice.effects or item.effect in choice.effects]


def _pair(text: str) -> tuple[str, str]:
    first, comma, second = (part.strip() for part in text.partition(","))
    if not (first and comma and second) or first == second or "," in second:
        raise typer.BadParameter(f"--pair {text}: write two systems with a comma between them: --pair mine,dry")
    return first, second


app.command("prepare")(prepare)
app.command("serve")(serve)
app.command("results")(results)
