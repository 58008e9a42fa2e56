"""`nanoraster token`: who is let in over HTTP. A running service notices at once."""

import os
from pathlib import Path
from typing import Annotated

import typer

from api.access.audit import AuditLog
from api.access.roles import Role
from api.access.tokens import Tokens
from api.data_folder import DataFolder
from api.show import result

app = typer.Typer(help="Who is let in over HTTP: create, list, revoke.")

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else there.")]
Data = Annotated[Path, typer.Option(metavar="DIR", envvar="NANORASTER_DATA", help="Folder of the service.")]


@app.command()
def create(
    name: Annotated[str, typer.Option(metavar="N", help="Whose it is; letters, digits and . _ @ -")],
    role: Annotated[Role, typer.Option(help="What it lets them do.")],
    data: Data = Path(),
    as_json: Json = False,
) -> None:
    """Let somebody in; the token is shown once and kept nowhere."""
    folder = DataFolder(data)
    folder.make()
    secret = Tokens(folder.path).create(name, role)
    _log(folder, f"token create --role {role} --name {name}")
    result(as_json, {"name": name, "role": role, "token": secret}, [secret])


@app.command("list")
def list_tokens(data: Data = Path(), as_json: Json = False) -> None:
    """Who is let in, and who was."""
    tokens = Tokens(DataFolder(data).path).all()
    found = [token.model_dump(mode="json", exclude={"sha256"}) for token in tokens]
    text = [
        f"{token.name:<20} {token.role:<8} {f'revoked {token.revoked_at}' if token.revoked_at else 'valid'}"
        for token in tokens
    ]
    result(as_json, {"tokens": found}, text or ["no tokens: on loopback everybody is let in, elsewhere nobody"])


@app.command()
def revoke(name: Annotated[str, typer.Argument(metavar="NAME")], data: Data = Path(), as_json: Json = False) -> None:
    """Let somebody in no more."""
    folder = DataFolder(data)
    Tokens(folder.path).revoke(name)
    _log(folder, f"token revoke {name}")
    result(as_json, {"name": name, "revoked": True}, [f"{name}: revoked"])


def _log(folder: DataFolder, what: str) -> None:
    AuditLog(folder.path).write(f"shell: uid {os.getuid()}", what, "done")
