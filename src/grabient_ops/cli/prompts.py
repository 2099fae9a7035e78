"""`grabient-ops prompts`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grabient_ops.cli.common import Json, open_app, print_json, print_line, print_table, warn
from grabient_ops.cli.legible import legible
from grabient_ops.errors import InputError
from grabient_ops.tagging.kinds import Kind

if TYPE_CHECKING:
    from grabient_ops.pipeline.services import Services
    from grabient_ops.store.prompts import PromptVersion

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Look at the prompts, and choose one."
)
_VERSION_HELP = "Version or its beginning."
ForStage = Annotated[Kind, typer.Option(help="The stage it is for.")]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List prompt versions, newest first, with the answers under each."""
    from grabient_ops.pipeline.prompting import current_prompt
    from grabient_ops.store.prompts import list_prompts

    services = _services()
    with services.store.read() as connection:
        found = list_prompts(connection)
        current = {current_prompt(connection), current_prompt(connection, "refinement")}
    documents = [
        {**_document(prompt), "answers": answers, "current": prompt.version in current}
        for prompt, answers in found
    ]
    if as_json:
        print_json(documents)
        return
    rows = [
        ("*" if row["current"] else "", row["version"], row["kind"], row["answers"],
         f"{row['created_at']:%Y-%m-%d}", legible(row["message"], 200))
        for row in documents
    ]  # fmt: skip
    print_table(["", "version", "kind", "#answers", "since", "message"], rows)


@app.command()
def show(
    version: Annotated[
        str | None, typer.Argument(help=f"{_VERSION_HELP} Default: the one that tags now.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a prompt: its text on stdout as it is sent, and nothing else there."""
    prompt = _find(_services(), version)
    if as_json:
        print_json({**_document(prompt), "content": prompt.content})
        return
    warn(legible(f"{prompt.version} {prompt.kind}: {prompt.message}"))
    sys.stdout.write(prompt.content)


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help=_VERSION_HELP)],
    new: Annotated[str, typer.Argument(help=_VERSION_HELP)],
    as_json: Json = False,
) -> None:
    """Show the difference of two prompts as a unified diff."""
    from difflib import unified_diff

    services = _services()
    before, after = _find(services, old), _find(services, new)
    lines = list(
        unified_diff(
            before.content.splitlines(), after.content.splitlines(),
            before.version, after.version, lineterm="",
        )
    )  # fmt: skip
    if as_json:
        print_json({"from": before.version, "to": after.version, "diff": "\n".join(lines)})
        return
    for line in lines:
        print_line(line)


@app.command()
def register(
    file: Annotated[str, typer.Argument(help="Text in UTF-8; `-` is stdin.")],
    message: Annotated[
        str, typer.Option("--message", "-m", help="One line on what this version is about.")
    ],
    use: Annotated[bool, typer.Option(help="Make it the prompt of new passes.")] = True,
    kind: ForStage = "tagging",
    as_json: Json = False,
) -> None:
    """Keep a prompt; passes in flight go on with theirs."""
    from grabient_ops.pipeline.prompting import register_prompt_text

    version, is_new = register_prompt_text(_services(), _read(file), message, use=use, kind=kind)
    if as_json:
        print_json({"version": version, "new": is_new, "current": use})
        return
    known = "registered" if is_new else "was registered before"
    print_line(f"{version} {known}{'; new passes use it' if use else ''}")


@app.command()
def use(
    version: Annotated[str, typer.Argument(help=f"{_VERSION_HELP} `builtin`: the release's own.")],
    kind: ForStage = "tagging",
    as_json: Json = False,
) -> None:
    """Make a registered prompt the one of new passes."""
    from grabient_ops.pipeline.prompting import use_prompt

    chosen = use_prompt(_services(), version, kind)
    if as_json:
        print_json({"version": chosen, "current": True})
    else:
        print_line(f"new passes use {chosen}")


def _services() -> "Services":
    """Return the parts; the built-in prompt is registered from here on."""
    from grabient_ops.pipeline.prompting import register_builtin

    services = open_app().services
    register_builtin(services)
    return services


def _find(services: "Services", version: str | None) -> "PromptVersion":
    from grabient_ops.pipeline.prompting import current_prompt
    from grabient_ops.store.prompts import require_prompt

    with services.store.read() as connection:
        return require_prompt(connection, version or current_prompt(connection))


def _document(prompt: "PromptVersion") -> dict[str, Any]:
    """Return everything but the text."""
    return {
        "version": prompt.version,
        "kind": prompt.kind,
        "message": prompt.message,
        "created_at": prompt.created_at,
    }


def _read(file: str) -> str:
    """Read a prompt with its line ends as they are: its version is the hash of the text."""
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not a text file in UTF-8") from error
    if "\0" in text:
        raise InputError(f"{file} holds NUL bytes, which no prompt does")
    return text
