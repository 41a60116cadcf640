"""``softclass explore``: the page, on the loopback or as one file."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Group, Parameter

from softclass.cli.options import Common, off, option
from softclass.cli.output import Screen

PAGE = Group("Page", sort_key=1)
WHERE = "softclass explore"


def explore(
    *,
    lang: Annotated[
        Literal["auto", "en", "zh"], option("language of the page; auto = the browser's", group=PAGE)
    ] = "auto",
    port: Annotated[int, option("of the loopback; 0 = one that is free", group=PAGE, metavar="N")] = 0,
    browser: Annotated[bool, off("only print the address", group=PAGE)] = True,
    common: Common = Common(),  # noqa: B008 - frozen
    screen: Annotated[Screen, Parameter(parse=False)],
) -> None:
    """Show a page to play with: softmax, losses, slow learning, a network."""
    from softclass.server.app import create_app, limited, listen, make_server
    from softclass.server.page import served_page

    with listen(port) as listening:
        number = listening.getsockname()[1]
        page = served_page("demo", None if lang == "auto" else lang)
        app = create_app(page, None, None, print)
        address = f"http://127.0.0.1:{number}/explore"
        screen.document({"address": address})
        screen.labelled("page", address)
        screen.labelled("stop", "Ctrl-C")
        if browser:
            import webbrowser

            webbrowser.open(address)
        make_server(limited(app, number)).run(sockets=[listening])
