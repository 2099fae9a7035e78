"""`grabient-ops auth`."""

import sys
from typing import Annotated

import typer

from grabient_ops.cli.common import Json, open_app, print_json, print_line, print_table

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Say who may use the dashboard and the JSON API of `serve`.",
)
Name = Annotated[str, typer.Argument(help="What you call it, such as the program that uses it.")]


@app.command()
def password(
    print_: Annotated[
        bool, typer.Option("--print", help="Print the hash for a setting; keep nothing.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Have no password any more.")] = False,
    as_json: Json = False,
) -> None:
    """Set the dashboard's password, asked for on a terminal, else the first line of stdin."""
    from grabient_ops.web.auth.credentials import set_password
    from grabient_ops.web.auth.passwords import hash_password

    home = open_app().settings.home
    if print_ and remove:
        raise typer.BadParameter("and --remove exclude each other", param_hint="--print")
    hashed = None if remove else hash_password(_ask())
    if not print_:
        set_password(home, hashed)
    if as_json:
        print_json({"hash": hashed} if print_ else {"password": hashed is not None})
    elif print_:
        print_line(hashed or "")
    else:
        print_line(
            f"password {'removed' if remove else 'set'}; who had signed in with the old one is out"
        )


@app.command()
def token(name: Name, as_json: Json = False) -> None:
    """Make a token for the JSON API and print it; it is shown only this once."""
    from grabient_ops.web.auth.credentials import add_token

    made = add_token(open_app().settings.home, name)
    if as_json:
        print_json({"name": name, "token": made})
    else:
        print_line(made)


@app.command()
def revoke(name: Name, as_json: Json = False) -> None:
    """End a token, at once and for good."""
    from grabient_ops.web.auth.credentials import revoke_token

    revoke_token(open_app().settings.home, name)
    if as_json:
        print_json({"revoked": name})
    else:
        print_line(f"token {name} is worth nothing any more")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List what is set: whether there is a password, and the names of the tokens."""
    from grabient_ops.web.auth.credentials import Credentials

    credentials = Credentials(open_app().settings)
    names = sorted(credentials.tokens)
    has_password = credentials.password_hash is not None
    if as_json:
        print_json({"password": has_password, "tokens": names})
        return
    rows = [("password", "set" if has_password else "not set")]
    print_table(["what", ""], rows + [("token", name) for name in names])


def _ask() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    chosen: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return chosen
