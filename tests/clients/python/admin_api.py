"""Hooks of schemathesis: each request carries a key that is in force.

The requests rotate, disable and revoke keys, the one that they carry included. When that has happened
the command line makes another one.
"""

import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.request

import schemathesis

API = os.environ["ADMIN_API"]

# Tags of which none is a revision.
MADE_UP = re.compile(r'(W/)?"(?!\d+")[^"]*"(\s*,\s*(W/)?"(?!\d+")[^"]*")*')


def make() -> str:
    command = [os.environ["MCP_KEYS"], "--store", os.environ["MCP_KEYS_STORE"], "--json", "create"]
    options = ["--name", "schemathesis", "--all-servers", "--scope", "*"]
    made = subprocess.run([*command, *options], check=True, capture_output=True)
    return json.loads(made.stdout)["key"]


def may(key: str) -> dict | None:
    """What the key may do, if it is in force; waits while the address is not heard."""
    request = urllib.request.Request(f"{API}/me", headers={"Authorization": f"Bearer {key}"})
    while True:
        try:
            with urllib.request.urlopen(request) as answer:
                me = json.load(answer)
                return {name: me[name] for name in ("may", "access", "admin")}
        except urllib.error.HTTPError as error:
            if error.code != 429:
                return None
            time.sleep(1)


@schemathesis.auth(refresh_interval=None)
class Key:
    key = None
    everything = None
    creates = set()

    def get(self, case, context):
        if Key.key is None or may(Key.key) != Key.everything:
            Key.key = make()
            Key.everything = may(Key.key)
        return Key.key

    def set(self, case, data, context):
        # More than one key is refused, so the other way to present one is not to be tried as well.
        for name in [name for name in case.headers if name.lower() == "x-api-key"]:
            del case.headers[name]
        # What it fills this header with, as the shortest text, whatever the pattern in the document; and
        # what fits the pattern, but is no revision: a condition that is never met.
        tags = case.headers.get("If-Match")
        if tags is not None and (tags == "0" or MADE_UP.fullmatch(tags)):
            del case.headers["If-Match"]
        # Both are never met together.
        elif tags is not None and "If-None-Match" in case.headers:
            del case.headers["If-None-Match"]
        # One name for all creates, whatever their bodies: from the second one on that is refused.
        name = case.headers.get("Idempotency-Key")
        if name in Key.creates:
            del case.headers["Idempotency-Key"]
        elif name is not None:
            Key.creates.add(name)
        case.headers["Authorization"] = f"Bearer {data}"
