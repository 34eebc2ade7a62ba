// A small MCP server with one tool, and beside it pages of somebody else, who sends a form to the page that
// is named in the query, or shows that page in a frame.
import http from "node:http";

const results = {
  initialize: () => ({
    protocolVersion: "2025-06-18",
    capabilities: { tools: {} },
    serverInfo: { name: "notes", version: "1" },
  }),
  "tools/list": () => ({
    tools: [{ name: "read_note", inputSchema: { type: "object" } }],
  }),
  "tools/call": () => ({ content: [{ type: "text", text: "a note" }] }),
};

const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, "http://upstream");
  if (url.pathname === "/attack" || url.pathname === "/frame") {
    const target = url.searchParams.get("target").replaceAll("&", "&amp;").replaceAll('"', "&quot;");
    response.setHeader("content-type", "text/html");
    response.end(
      url.pathname === "/frame"
        ? `<iframe src="${target}" width="800" height="600"></iframe>`
        : `<form method="post" action="${target}"><button>win a prize</button></form>`,
    );
    return;
  }
  let body = "";
  for await (const part of request) body += part;
  const message = JSON.parse(body || "{}");
  if (message.id === undefined) {
    response.statusCode = 202;
    response.end();
    return;
  }
  const result = results[message.method]?.();
  const answer = result ? { result } : { error: { code: -32601, message: "unknown method" } };
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ jsonrpc: "2.0", id: message.id, ...answer }));
});

server.listen(0, "127.0.0.1", () => {
  console.log(`listening http://127.0.0.1:${server.address().port}`);
});
