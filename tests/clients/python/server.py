"""An MCP server that knows nothing of keys, on the Python SDK 2.x: for tests of a gateway.

Usage: server.py. Listens on a free port of the loopback interface, prints `listening URL`, and
serves until it is ended. Beside MCP it tells at /notes which notes were written, so that tests can see
what a tool did, and not only what was answered.
"""

import json
import socket
from urllib.parse import unquote

import anyio
import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from starlette.responses import JSONResponse

server = MCPServer("behind-the-gateway")
written = []


@server.tool()
def echo(message: str) -> str:
    """Says the message back."""
    return message


@server.tool()
def whoami(ctx: Context) -> str:
    """Says which key is calling, by the word of the gateway."""
    headers = ctx.headers
    shown = [name for name, value in headers.items() if "mcp_sk_" in value]
    assert not shown, f"the gateway passed a key on in {shown}"
    # The gateway encodes what a header cannot hold.
    fields = ("id", "handle", "name", "scopes")
    return json.dumps({field: unquote(headers[f"x-mcp-key-{field}"]) for field in fields})


@server.tool()
def write_note(message: str) -> str:
    """Writes a note down."""
    written.append(message)
    return f"noted {len(message)} characters"


@server.tool()
async def slow(ctx: Context) -> str:
    """Takes two seconds and reports its progress."""
    for step in range(1, 6):
        await anyio.sleep(0.4)
        await ctx.report_progress(step, 5)
    return "done"


@server.custom_route("/notes", methods=["GET"])
async def notes(_):
    return JSONResponse(written)


def main():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    print(f"listening http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(server.streamable_http_app(), log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
