"""The command ``muru``. What goes wrong is told in one line on stderr, and by the exit code.

Exit codes: 0 done, 1 it did not work, 2 the command line or the settings are wrong.
"""

import argparse
import asyncio
import json
import shlex
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import muru
from muru import cli_doctor, cli_phones, logs
from muru.errors import Invalid, MuruError, SettingsError
from muru.settings import Settings, load

# The other modules are imported where they are used, so that --help and a typo answer at once.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        " ".join(arguments).encode()
    except UnicodeEncodeError:
        parser.error("the arguments are not in UTF-8")
    try:
        settings = load()
        logs.set_up(settings, verbose=options.run in {_up, _serve})
        return asyncio.run(options.run(settings, options)) or 0
    except MuruError as error:
        return _complain(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # `muru extension list | head` is no error
        return 0


def _complain(error: MuruError) -> int:
    fields = error.fields if isinstance(error, Invalid) else {}
    details = (f"{field}: {fault}." for field, fault in fields.items())
    print("muru:", error.message, *details, file=sys.stderr)
    return 2 if isinstance(error, SettingsError) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="muru", description="µURU: register the phones that people bring, beside Asterisk."
    )
    parser.add_argument("--version", action="version", version=f"muru {muru.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    _command(commands, "up", _up, "run Asterisk and the controller together on this machine")
    _command(commands, "serve", _serve, "run the controller beside an Asterisk that runs already")
    flavors = _command(
        commands, "flavors", _flavors, "list the phone flavors, and why one is faulty"
    )
    _add_json(flavors)
    configuration = _command(
        commands, "asterisk-conf", _asterisk_conf, "write the configuration that Asterisk needs"
    )
    configuration.add_argument("directory", type=Path, metavar="DIR")
    sync = _command(
        commands, "sync", _sync, "make Asterisk's tables equal to what the extensions want"
    )
    _add_json(sync)
    database = _group(commands, "db", "take care of the database")
    _command(database, "upgrade", _db_upgrade, "bring all tables up to date")
    cli_phones.add_render(
        _command(
            commands, "render", cli_phones.render, "show what the phone of an extension would get"
        )
    )
    cli_phones.add_identify(
        _command(commands, "identify", cli_phones.identify, "tell what phone something comes from")
    )
    cli_doctor.add_doctor(
        _command(
            commands,
            "doctor",
            cli_doctor.doctor,
            "examine the installation, or tell why a phone does not work",
        )
    )
    _add_user_commands(_group(commands, "user", "administer accounts"))
    _add_extension_commands(_group(commands, "extension", "administer extensions"))
    return parser


def _add_user_commands(user: Any) -> None:
    create = _command(user, "create", _user_create, "create an account; prints its password, once")
    create.add_argument("username")
    create.add_argument("--admin", action="store_true", help="make it an administrator")
    _add_json(create)
    _add_json(_command(user, "list", _user_list, "list the accounts"))
    password = _command(user, "password", _user_password, "give an account a new password")
    password.add_argument("username")
    _add_json(password)
    role = _command(user, "role", _user_role, "change the role of an account")
    role.add_argument("username")
    role.add_argument("role", choices=("admin", "user"))
    delete = _command(user, "delete", _user_delete, "delete an account that has no extensions")
    delete.add_argument("username")


def _add_extension_commands(extension: Any) -> None:
    create = _command(extension, "create", _extension_create, "create an extension")
    create.add_argument("number", nargs="?", help="a free one is chosen if left out")
    create.add_argument("--type", required=True, help="a phone type; see muru flavors")
    create.add_argument("--name", required=True)
    create.add_argument("--owner", required=True, help="user name of its owner")
    create.add_argument("--public", action="store_true", help="list it in the phonebook")
    create.add_argument("--info", default="")
    create.add_argument(
        "--extra", default="{}", metavar="JSON", help="the phone type's further fields"
    )
    _add_json(create)
    listing = _command(extension, "list", _extension_list, "list extensions")
    listing.add_argument("search", nargs="?", default="", help="part of number or name")
    _add_json(listing)
    show = _command(extension, "show", _extension_show, "show an extension with its SIP account")
    show.add_argument("number")
    _add_json(show)
    password = _command(
        extension, "password", _extension_password, "give its SIP account a new password"
    )
    password.add_argument("number")
    _add_json(password)
    delete = _command(extension, "delete", _extension_delete, "delete an extension")
    delete.add_argument("number")


def _group(commands: Any, name: str, text: str) -> Any:
    parser = commands.add_parser(name, help=text, description=text.capitalize() + ".")
    return parser.add_subparsers(required=True, metavar="COMMAND")


def _command(
    commands: Any,
    name: str,
    run: Callable[[Settings, argparse.Namespace], Awaitable[int | None]],
    text: str,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + "."
    )
    parser.set_defaults(run=run)
    return parser


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print data as JSON")


def print_json(data: Any) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def print_table(rows: Iterable[Sequence[object]]) -> None:
    table = [[str(cell) for cell in row] for row in rows]
    if not table:
        return
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


@asynccontextmanager
async def _site(settings: Settings) -> AsyncIterator[Any]:
    """Open the site for one command; Asterisk is told of changes if it can be reached."""
    from muru.app import open_site

    async with open_site(settings) as site:
        yield site


async def _up(settings: Settings, _: argparse.Namespace) -> int:
    from muru.up import up

    return await up(settings)


async def _serve(settings: Settings, _: argparse.Namespace) -> int:
    from muru.up import serve

    return await serve(settings)


async def _flavors(settings: Settings, options: argparse.Namespace) -> int:
    from muru.app import check_flavors

    entries = await check_flavors(settings)
    if options.json:
        print_json(
            [
                {
                    "name": entry.name,
                    "module": entry.module,
                    "origin": entry.origin,
                    "class_name": entry.class_name,
                    "phone_types": entry.phone_types,
                    "state": entry.state,
                    "reason": entry.reason,
                }
                for entry in entries
            ]
        )
    else:
        print_table(
            [
                ("FLAVOR", "STATE", "MODULE", "ORIGIN", "PHONE TYPES"),
                *(
                    (each.name, each.state, each.module, each.origin, ", ".join(each.phone_types))
                    for each in entries
                ),
            ]
        )
        for entry in entries:
            if entry.reason:
                print(f"\n{entry.name} is {entry.state}: {entry.reason}")
    return 1 if any(entry.state == "faulty" for entry in entries) else 0


async def _asterisk_conf(settings: Settings, options: argparse.Namespace) -> None:
    from muru.asterisk import config, program

    found = program.find(settings)
    files = config.write(settings, found, options.directory)
    print(f"{len(files)} files in {options.directory}")
    print(f"run: {shlex.join(found.command)} -C {options.directory}/asterisk.conf -f")


async def _db_upgrade(settings: Settings, _: argparse.Namespace) -> None:
    from muru.db import migrations
    from muru.db.sessions import Database

    settings.make_data_dir()
    database = Database(settings.database, settings.asterisk_database)
    try:
        done = await migrations.upgrade(database)
    finally:
        await database.dispose()
    print("\n".join(done) or "all tables are up to date")


async def _sync(settings: Settings, options: argparse.Namespace) -> int:
    from muru.services.reconcile import reconcile

    async with _site(settings) as site:
        report = await reconcile(site)
    if options.json:
        print_json(asdict(report))
    else:
        for change in report.changes:
            columns = f" ({', '.join(change.columns)})" if change.columns else ""
            print(f"{change.action} {change.table} {change.row_key}{columns}")
        for change in report.foreign:
            print(f"left alone {change.table} {change.row_key}: this row is not muru's")
        for number, reason in report.skipped.items():
            print(f"skipped {number}: {reason}")
        if not report.changes:
            print("nothing to mend")
    return 1 if report.foreign else 0


async def _user_create(settings: Settings, options: argparse.Namespace) -> None:
    from muru.db.models import Role
    from muru.services import passwords, users
    from muru.services.site import OPERATOR

    password = passwords.login_password()
    role = Role.ADMIN if options.admin else Role.USER
    async with _site(settings) as site:
        user = await users.create_user(site, OPERATOR, options.username, password, role)
    _print_account(options, user.username, password, user.role)


async def _user_password(settings: Settings, options: argparse.Namespace) -> None:
    from muru.services import passwords, users
    from muru.services.site import OPERATOR

    password = passwords.login_password()
    change = users.UserChange(password=password)
    async with _site(settings) as site:
        user = await users.change_user(site, OPERATOR, options.username, change)
    _print_account(options, user.username, password, user.role)


def _print_account(options: argparse.Namespace, username: str, password: str, role: str) -> None:
    if options.json:
        print_json({"username": username, "password": password, "role": role})
    else:
        print(f"user name {username}\npassword  {password}\nrole      {role}")


async def _user_list(settings: Settings, options: argparse.Namespace) -> None:
    from muru.services import users
    from muru.services.site import OPERATOR

    async with _site(settings) as site:
        found, _ = await users.list_users(site, OPERATOR, limit=1_000_000)
    if options.json:
        print_json(
            [{"username": u.username, "role": u.role, "created_at": u.created_at} for u in found]
        )
    else:
        print_table([("USER NAME", "ROLE"), *((user.username, user.role) for user in found)])


async def _user_role(settings: Settings, options: argparse.Namespace) -> None:
    from muru.db.models import Role
    from muru.services import users
    from muru.services.site import OPERATOR

    change = users.UserChange(role=Role(options.role))
    async with _site(settings) as site:
        await users.change_user(site, OPERATOR, options.username, change)


async def _user_delete(settings: Settings, options: argparse.Namespace) -> None:
    from muru.services import users
    from muru.services.site import OPERATOR

    async with _site(settings) as site:
        await users.delete_user(site, OPERATOR, options.username)


async def _extension_create(settings: Settings, options: argparse.Namespace) -> None:
    from muru.services import extensions
    from muru.services.site import OPERATOR

    try:
        extra = json.loads(options.extra)
    except ValueError as error:
        raise Invalid(f"--extra is no JSON: {error}") from None
    if not isinstance(extra, dict):
        raise Invalid('--extra is no JSON object: write {"field": "value"}')
    new = extensions.NewExtension(
        type=options.type,
        name=options.name,
        number=options.number,
        info=options.info,
        public=options.public,
        extra_fields=extra,
        owner=options.owner,
    )
    async with _site(settings) as site:
        extension = await extensions.create_extension(site, OPERATOR, new)
    _print_extension(settings, options, extension)


async def _extension_show(settings: Settings, options: argparse.Namespace) -> None:
    from muru.services import extensions
    from muru.services.site import OPERATOR

    async with _site(settings) as site:
        extension = await extensions.get_extension(site, OPERATOR, options.number)
    _print_extension(settings, options, extension)


async def _extension_password(settings: Settings, options: argparse.Namespace) -> None:
    from muru.services import extensions
    from muru.services.site import OPERATOR

    async with _site(settings) as site:
        extension = await extensions.renew_password(site, OPERATOR, options.number)
    _print_extension(settings, options, extension)


async def _extension_list(settings: Settings, options: argparse.Namespace) -> None:
    from muru.services import extensions
    from muru.services.site import OPERATOR

    async with _site(settings) as site:
        found, _ = await extensions.list_extensions(
            site, OPERATOR, search=options.search, limit=1_000_000
        )
    rows = [(each.number, each.name, each.type, each.owner.username) for each in found]
    if options.json:
        keys = ("number", "name", "type", "owner")
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
    else:
        print_table([("NUMBER", "NAME", "TYPE", "OWNER"), *rows])


async def _extension_delete(settings: Settings, options: argparse.Namespace) -> None:
    from muru.services import extensions
    from muru.services.site import OPERATOR

    async with _site(settings) as site:
        await extensions.delete_extension(site, OPERATOR, options.number)


def _print_extension(settings: Settings, options: argparse.Namespace, extension: Any) -> None:
    data = {
        "number": extension.number,
        "name": extension.name,
        "type": extension.type,
        "owner": extension.owner.username,
        "public": extension.public,
        "extra_fields": extension.extra_fields,
        "password": extension.password,
        "token": extension.token,
        "sip_port": settings.sip_port,
    }
    if options.json:
        print_json(data)
    else:
        print_table(
            (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
            for name, value in data.items()
        )
