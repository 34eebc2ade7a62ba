//! `mcp-keys`: API keys for MCP servers from the command line, and a gateway that asks for them.

fn main() {}
