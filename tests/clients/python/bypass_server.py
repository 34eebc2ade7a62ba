"""An MCP server that writes down which of its tools it runs, on the Python SDK 1.x or 2.x.

Usage: bypass_server.py FILE. Each run of a tool appends its name to FILE as a line. Every request
stands for itself, so that one without a session runs what it asks for. Listens on a free port of the
loopback interface, prints `listening URL`, and serves until it is ended.
"""

import socket
import sys

import uvicorn

try:
    from mcp.server import MCPServer
except ImportError:
    from mcp.server.fastmcp import FastMCP

    server = FastMCP("counting", stateless_http=True, json_response=True)
    options = {}
else:
    server = MCPServer("counting")
    options = {"stateless_http": True, "json_response": True}


def ran(tool):
    with open(sys.argv[1], "a", encoding="utf-8") as file:
        file.write(f"{tool}\n")
    return "done"


@server.tool()
def read_note() -> str:
    """Changes nothing."""
    return ran("read_note")


@server.tool()
def shell() -> str:
    """What nobody is to run."""
    return ran("shell")


def main():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    print(f"listening http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    # It is sent much that is wrong, and need not say so.
    config = uvicorn.Config(server.streamable_http_app(**options), log_level="critical")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
