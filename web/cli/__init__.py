"""The `baton` command. Heavy imports happen inside the commands, so that `--help` and the keeper start at once."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from web.settings import Settings

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
    help="Browser sandboxes that an agent drives and a human takes over, live.",
)  # fmt: skip
token_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Tokens for agents, operators, QA and admins."
)
app.add_typer(token_app, name="token")

type Given = dict[str, Any]

Host = Annotated[str | None, typer.Option(help="Address to listen on (default 127.0.0.1).")]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port to listen on (default 8700; 0 takes a free one).")
]
StateDir = Annotated[Path | None, typer.Option(help="Where everything is stored (default var).")]
TlsCert = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Certificate chain (PEM), for HTTPS.")]
TlsKey = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="Private key (PEM) of that certificate.")
]
PublicUrl = Annotated[str | None, typer.Option(help="The address people reach this server by, for links.")]


def _settings(**given: Any) -> Settings:
    """Settings from the environment, overridden by what was given. Exits with 2 and a sentence when they do not fit."""
    from pydantic import ValidationError

    from web.settings import Settings

    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        for problem in error.errors():
            where = ".".join(str(part) for part in problem["loc"])
            typer.echo(
                f"baton: {where + ': ' if where else ''}{problem['msg'].removeprefix('Value error, ')}", err=True
            )
        raise typer.Exit(2) from None


def _run(work: Any) -> None:
    """Run a coroutine; a Baton error ends the command with its sentence and exit status 1."""
    from sandbox.words import BatonError

    try:
        raise typer.Exit(asyncio.run(work) or 0)
    except BatonError as error:
        typer.echo(f"baton: {error.message}", err=True)
        raise typer.Exit(1) from None


@app.command()
def serve(
    host: Host = None,
    port: Port = None,
    state_dir: StateDir = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    public_url: PublicUrl = None,
    open_url: Annotated[
        str | None, typer.Option("--open", metavar="URL", help="Also open a sandbox on this URL (or local file).")
    ] = None,
    link_file: Annotated[
        Path | None,
        typer.Option(help="Write a one-use link here: to the console, or with --open to its live view, control taken."),
    ] = None,
) -> None:
    """Run the server: the API for agents and the console for operators."""
    from web import serve as serving

    settings = _settings(
        host=host, port=port, state_dir=state_dir, tls_cert=tls_cert, tls_key=tls_key, public_url=public_url
    )
    _run(serving.serve(settings, open_url, link_file))


@app.command()
def demo(host: Host = None, port: Port = None, state_dir: StateDir = None) -> None:
    """Run the server, two real sites and a small agent that gets stuck on them."""
    from web.demo.play import play

    _run(play(_settings(host=host, port=port, state_dir=state_dir)))


@app.command()
def link(
    state_dir: StateDir = None,
    name: Annotated[str, typer.Option(help="The operator's name.")] = "You",
    role: Annotated[
        str, typer.Option(help="operator, or supervisor, who may take control from another operator.")
    ] = "operator",
) -> None:
    """Print a one-use link that signs an operator in to the running server."""
    from web import runtime

    async def work() -> None:
        typer.echo(await runtime.make_link(_settings(state_dir=state_dir), name, role))

    _run(work())


@app.command()
def doctor(state_dir: StateDir = None) -> None:
    """Say what is missing on this machine and how to get it. Exit status 1 when Baton cannot run."""
    from web.cli.doctor import Health, examine

    findings = examine(_settings(state_dir=state_dir).state_dir)
    marks = {Health.FINE: "ok     ", Health.LIMITED: "limited", Health.MISSING: "MISSING"}
    for finding in findings:
        typer.echo(f"{marks[finding.health]}  {finding.name:16} {finding.found}")
        if finding.remedy:
            typer.echo(f"{'':26}→ {finding.remedy}")
    raise typer.Exit(1 if any(f.health is Health.MISSING for f in findings) else 0)


@app.command(hidden=True)
def keeper(directory: Path) -> None:
    """Run one sandbox's keeper; the server starts these."""
    from web import runtime

    runtime.keep(directory)


@token_app.command("create")
def token_create(
    role: Annotated[str, typer.Option(help="agent, operator, supervisor, qa or admin")],
    name: Annotated[str, typer.Option(help="What the token is for.")] = "",
    days: Annotated[float | None, typer.Option(min=0.001, help="Days until it expires (default: never).")] = None,
    state_dir: StateDir = None,
) -> None:
    """Create a token and print it; it is stored hashed and never shown again."""
    from web import runtime

    async def work() -> None:
        typer.echo(await runtime.create_token(_settings(state_dir=state_dir), role, name, days))

    _run(work())


@token_app.command("list")
def token_list(state_dir: StateDir = None) -> None:
    """List tokens: id, role, name, state."""
    from web import runtime

    async def work() -> None:
        for row in await runtime.list_tokens(_settings(state_dir=state_dir)):
            typer.echo(json.dumps(row))

    _run(work())


@token_app.command("revoke")
def token_revoke(token_id: str, state_dir: StateDir = None) -> None:
    """Revoke a token by the id that `baton token list` shows; its open connections end."""
    from web import runtime

    async def work() -> None:
        await runtime.revoke_token(_settings(state_dir=state_dir), token_id)
        typer.echo(f"revoked {token_id}")

    _run(work())


def main() -> None:
    """Entry point of the `baton` command."""
    app()
