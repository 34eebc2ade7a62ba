"""Tries to run a tool that a key may not use, through a gateway, in every way that comes to mind.

Usage: bypass.py FILE FREE_KEY URL KEY, with the file into which the server behind the gateway writes
which tools it runs (bypass_server.py), a key without rules, and a key that may run `read_note` and not
`shell`. Nothing but the standard library, since every client library is too well-behaved. Prints one
line per check and ends with `N passed, N failed`.
"""

import gzip
import http.client
import json
import socket
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

META = (
    '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
    '"io.modelcontextprotocol/clientInfo":{"name":"raw","version":"1"},'
    '"io.modelcontextprotocol/clientCapabilities":{}}'
)


def message(method='"method":"tools/call"', params='"name":"shell"', start='"id":7'):
    start = f"{start}," if start else ""
    return f'{{"jsonrpc":"2.0",{start}{method},"params":{{{params},"arguments":{{}},{META}}}}}'


CALL = message()
READ = message(params='"name":"read_note"')
TWICE = f'"params":{{"name":"read_note","arguments":{{}},{META}}}'

# What a reader may take for a call of `shell`, and another one for something else.
BODIES = {
    "a plain call": CALL,
    "escaped names of members": message('"m\\u0065thod":"tools/call"', '"n\\u0061me":"shell"'),
    "escaped values": message('"method":"tools\\/c\\u0061ll"', '"name":"sh\\u0065ll"'),
    "method twice, the call last": message('"method":"ping","method":"tools/call"'),
    "method twice, the call first": message('"method":"tools/call","method":"ping"'),
    "method twice, once escaped": message('"method":"ping","m\\u0065thod":"tools/call"'),
    "name twice, the tool last": message(params='"name":"read_note","name":"shell"'),
    "name twice, the tool first": message(params='"name":"shell","name":"read_note"'),
    "name twice, once escaped": message(params='"name":"read_note","n\\u0061me":"shell"'),
    "params twice, the tool last": message(f'"method":"tools/call",{TWICE}'),
    "params twice, the tool first": CALL[:-1] + f",{TWICE}}}",
    "method in another case": message('"method":"ping","Method":"tools/call"'),
    "name in another case": message(params='"name":"read_note","Name":"shell"'),
    "params in another case": CALL.replace('"params"', '"Params"')[:-1] + f",{TWICE}}}",
    "id twice": message(start='"id":7,"id":8'),
    "no id": message(start=""),
    "id null": message(start='"id":null'),
    "id of another type": message(start='"id":{"a":1}'),
    "an answer that calls": message('"result":{},"method":"tools/call"'),
    "a method in another case": message('"method":"Tools/Call"'),
    "a method with a space": message('"method":"tools/call "'),
    "a method with a null": message('"method":"tools/call\\u0000"'),
    "a tool with a space": message(params='"name":"shell "'),
    "a batch": f"[{CALL}]",
    "a batch that begins well": f"[{READ},{CALL}]",
    "a batch in a batch": f"[[{CALL}]]",
    "a call behind a message": message('"method":"ping"') + CALL,
    "a call behind a message, on a line of its own": message('"method":"ping"') + "\n" + CALL,
    "garbage behind": CALL + "x",
    "a null byte behind": CALL + "\0",
    "white space around": f" \r\n\t{CALL}\r\n ",
    "a byte order mark": "\ufeff" + CALL,
    "a comment": CALL.replace("{", "{/**/", 1),
    "a comma too many": CALL[:-1] + ",}",
    "no version of JSON-RPC": CALL.replace('"jsonrpc":"2.0",', ""),
    "UTF-16": CALL.encode("utf-16"),
    "UTF-16 without a mark": CALL.encode("utf-16-le"),
    "UTF-32": CALL.encode("utf-32"),
    "bytes that are no UTF-8": CALL.replace("{}", '{"a":"!"}').encode().replace(b"!", b"\xff"),
    "a half of a surrogate pair": message(params='"name":"shell","x":"\\ud800"'),
    "NaN": message(params='"name":"shell","x":NaN'),
    "deep arguments": message(params='"name":"shell","x":' + "[" * 90 + "]" * 90),
    "UTF-7 inside of UTF-8": message(params='"name":"read_note","x":"+ACI-,+ACI-name+ACI-:+ACI-shell"'),
}

# What the headers say of the message. Servers of the newest protocol alone go by them.
HEADERS = {
    "no version": [],
    "an old version": [("MCP-Protocol-Version", "2025-03-26")],
    "a version of last year": [("MCP-Protocol-Version", "2025-11-25")],
    "the newest version": [("MCP-Protocol-Version", "2026-07-28")],
    "two versions": [("MCP-Protocol-Version", "2026-07-28"), ("MCP-Protocol-Version", "2025-03-26")],
    "two versions in a line": [("MCP-Protocol-Version", "2026-07-28, 2025-03-26")],
    "an unknown version": [("MCP-Protocol-Version", "2099-01-01")],
}
NAMES = {
    "": [],
    "naming the tool": [("Mcp-Method", "tools/call"), ("Mcp-Name", "shell")],
    "naming another tool": [("Mcp-Method", "tools/call"), ("Mcp-Name", "read_note")],
    "naming another method": [("Mcp-Method", "tools/list")],
    "naming both tools": [
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "read_note"),
        ("Mcp-Name", "shell"),
    ],
}

JSON = ("Content-Type", "application/json")
# Ways to send a call beside the usual one: method, headers, and how the body is changed.
WAYS = {
    "no content type": ("POST", [], None),
    "text/plain": ("POST", [("Content-Type", "text/plain")], None),
    "a form": ("POST", [("Content-Type", "application/x-www-form-urlencoded")], None),
    "JSON with charset": ("POST", [("Content-Type", "application/json; charset=utf-8")], None),
    "JSON with charset UTF-7": ("POST", [("Content-Type", "application/json;charset=utf-7")], None),
    "JSON in upper case": ("POST", [("Content-Type", "APPLICATION/JSON")], None),
    "JSON with a tail": ("POST", [("Content-Type", "application/json-rpc")], None),
    "a type that ends in JSON": ("POST", [("Content-Type", "application/mcp+json")], None),
    "two types in a line": ("POST", [("Content-Type", "application/json, text/plain")], None),
    "gRPC and JSON in a line": ("POST", [("Content-Type", "application/grpc, application/json")], None),
    "gRPC": ("POST", [("Content-Type", "application/grpc")], None),
    "two lines, JSON first": ("POST", [JSON, ("Content-Type", "text/plain")], None),
    "two lines, JSON last": ("POST", [("Content-Type", "text/plain"), JSON], None),
    "gRPC and then JSON": ("POST", [("Content-Type", "application/grpc"), JSON], None),
    "gzip": ("POST", [JSON, ("Content-Encoding", "gzip")], gzip.compress),
    "gzip that is none": ("POST", [JSON, ("Content-Encoding", "gzip")], None),
    "deflate in another case": ("POST", [JSON, ("content-ENCODING", "Deflate")], None),
    "identity": ("POST", [JSON, ("Content-Encoding", "identity")], None),
    "PUT": ("PUT", [JSON], None),
    "PATCH": ("PATCH", [JSON], None),
    "DELETE": ("DELETE", [JSON], None),
    "OPTIONS": ("OPTIONS", [JSON], None),
    "GET": ("GET", [JSON], None),
    "GET that says POST": ("GET", [JSON, ("X-HTTP-Method-Override", "POST")], None),
    "a method of its own": ("TOOLS", [JSON], None),
    "post in small letters": ("post", [JSON], None),
    "a path below": ("POST /mcp/", [JSON], None),
    "a query": ("POST /mcp?name=read_note", [JSON], None),
    "larger than the cap": ("POST", [JSON], lambda body: body + b" " * (5 << 20)),
    "a call behind 5 MiB of space": ("POST", [JSON], lambda body: b" " * (5 << 20) + body),
}


class Gateway:
    def __init__(self, url):
        parts = urlsplit(url)
        self.address, self.path = (parts.hostname, parts.port), parts.path

    def send(self, key, method, headers, body, chunk=None):
        """The status and the text of the answer; the status is 0 if there is none."""
        method, _, path = method.partition(" ")
        path = self.path.replace("/mcp", path) if path else self.path
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: {self.address[0]}:{self.address[1]}",
            f"Authorization: Bearer {key}",
            "Accept: application/json, text/event-stream",
            "Connection: close",
            *(f"{name}: {value}" for name, value in headers),
            f"Content-Length: {len(body)}" if chunk is None else "Transfer-Encoding: chunked",
        ]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        with socket.create_connection(self.address, timeout=20) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                if chunk is None:
                    connection.sendall(head + body)
                else:
                    connection.sendall(head)
                    for at in range(0, len(body), chunk):
                        part = body[at : at + chunk]
                        connection.sendall(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                    connection.sendall(b"0\r\n\r\n")
            except (BrokenPipeError, ConnectionResetError):
                pass  # It may be refused before it has all been sent.
            return self.receive(connection, method)

    @staticmethod
    def receive(connection, method):
        answer = http.client.HTTPResponse(connection, method=method)
        try:
            answer.begin()
            if answer.getheader("content-type", "").startswith("text/event-stream"):
                return answer.status, ""  # It may have no end.
            return answer.status, answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException):
            return 0, ""


class Report:
    def __init__(self, file):
        self.file, self.passed, self.failed = Path(file), 0, 0

    def runs(self):
        """What the server has run since this was last asked."""
        lines = self.file.read_text(encoding="utf-8").split()
        self.file.write_text("", encoding="utf-8")
        return lines

    def judge(self, what, right, why):
        if right:
            self.passed += 1
            print(f"ok {what}", flush=True)
        else:
            self.failed += 1
            print(f"FAILED {what}: {why}", flush=True)


def as_bytes(body):
    return body if isinstance(body, bytes) else body.encode()


def attempts():
    """Every way, under the name of the check that it belongs to."""
    for name, body in BODIES.items():
        for headers in HEADERS.values():
            for names in NAMES.values():
                yield name, ("POST", [JSON, *headers, *names], as_bytes(body), None)
    for name, (method, headers, change) in WAYS.items():
        body = change(CALL.encode()) if change else CALL.encode()
        for version in ("no version", "the newest version"):
            lines = [*headers, *HEADERS[version], *NAMES["naming the tool"]]
            yield name, (method, lines, body, None)
    for size in (1, 2, 3, 7, 64, 1000):
        for body in (CALL, BODIES["name twice, the tool last"]):
            for version in HEADERS.values():
                yield f"chunks of {size}", ("POST", [JSON, *version], body.encode(), size)


def main(file, free, url, key):
    gateway, report = Gateway(url), Report(file)
    report.file.touch()

    # The server runs what it is asked to, or else nothing of this means anything.
    usual = ("POST", [JSON], READ.encode())
    for name, one in (("rules", key), ("no rules", free)):
        answer = gateway.send(one, *usual)
        right = report.runs() == ["read_note"] and json.loads(answer[1]).get("result")
        report.judge(f"a key with {name} runs what it may", right, answer)
    answer = gateway.send(key, *usual, 5)
    report.judge("so it does in chunks", report.runs() == ["read_note"], answer)

    tried = ran = 0
    checks = {}
    for name, attempt in attempts():
        checks.setdefault(name, []).append(attempt)
    for name, group in checks.items():
        answers = [gateway.send(key, *attempt) for attempt in group]
        wrong = [run for run in report.runs() if run != "read_note"]
        lost = answers.count((0, ""))
        report.judge(f"{name} ({len(group)} ways)", not wrong and not lost, f"ran {wrong}, {lost} lost")
        tried += len(group)
        for attempt in group:
            gateway.send(free, *attempt)
        ran += report.runs().count("shell")

    # What a server begins without being waited for is done by now.
    time.sleep(1)
    late = [run for run in report.runs() if run != "read_note"]
    report.judge("nothing is run late", not late, f"ran {late}")
    print(f"== {ran} of {tried} ways run the tool with a key without rules")
    report.judge("a key without rules runs it in many ways", ran > 100, f"only {ran}")
    print(f"{report.passed} passed, {report.failed} failed", flush=True)
    return 1 if report.failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit("usage: bypass.py FILE FREE_KEY URL KEY")
    sys.exit(main(*sys.argv[1:]))
