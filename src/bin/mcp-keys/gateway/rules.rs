//! What keys are held to behind the key layer: signatures, and the rules for MCP.
//!
//! 1. A key's own rules hold whatever is set here: its tools, prompts and resources, its level, and
//!    whether its requests must be signed.
//! 2. Which tools change nothing is for whoever runs the gateway to say. What a server says of its
//!    own tools (`readOnlyHint`) is not asked: MCP calls it a hint that is not to be trusted.
//! 3. A signature does not name the path, so all servers share one memory of used ones.
//! 4. A session is known to the route that it was begun on, in this process and those that have the
//!    same `MCP_KEYS_SESSION_SECRET`.
//! 5. A task is known to the route that it was begun on, in this process alone.

use std::fmt;
use std::time::Duration;

use mcp_api_keys::SignedRequestLayer;
use mcp_api_keys::key::Glob;
use mcp_api_keys::layer::{DenialStyle, McpLayer};
use mcp_api_keys::redis::Redis;
use mcp_api_keys::signing::{MemoryReplayGuard, SigningMode};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::Error;
use super::places::Route;
use super::setting::Merge;

/// The flags for it.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct RuleArgs {
    /// Whether requests are to be signed: off, optional or required. Keys that must be signed are
    /// held to it in any case [default: off]
    #[arg(long, value_name = "MODE")]
    pub(super) sign: Option<String>,

    /// How far the time of a signature may be off, either way [default: 300]
    #[arg(long, value_name = "SECONDS")]
    pub(super) sign_tolerance: Option<String>,

    /// Refuse a signature that was used before, in this process or, with --redis, in any; while Redis
    /// does not answer signed requests are refused
    #[arg(long)]
    pub(super) sign_replay_guard: bool,

    /// Tool that changes nothing, which read-only keys may call (repeatable; without it none)
    #[arg(long, value_name = "NAME")]
    pub(super) read_only_tool: Vec<String>,

    /// What a call of such tools takes of a key's limits, instead of 1; * stands for anything
    /// (repeatable: the first that fits)
    #[arg(long, value_name = "GLOB=N")]
    pub(super) tool_cost: Vec<String>,

    /// How callers are told what their key may not do: json-rpc (HTTP 200 with an error that says
    /// why), http (403 or 429) or unknown (as if there were no such tool) [default: json-rpc]
    #[arg(long, value_name = "STYLE")]
    pub(super) denial_style: Option<String>,

    /// Judge calls of revision 2026-07-28 by their headers and pass their bodies on unread. Only for
    /// servers that refuse a message which its headers do not fit, as that revision demands
    #[arg(long)]
    pub(super) trust_headers: bool,

    /// Let any key name any task. For several gateways in front of the same tasks, or servers that
    /// ask themselves whose they are
    #[arg(long)]
    pub(super) unbound_tasks: bool,

    /// How large an MCP message may be, such as 512KiB [default: 4MiB]
    #[arg(long, value_name = "SIZE")]
    pub(super) max_body: Option<String>,
}

/// The same in the file.
#[derive(Debug, Default)]
pub(super) struct RuleFields {
    pub(super) sign: Option<String>,
    pub(super) sign_tolerance: Option<Amount>,
    pub(super) sign_replay_guard: Option<bool>,
    pub(super) read_only_tool: Option<Vec<String>>,
    pub(super) tool_cost: Option<Vec<String>>,
    pub(super) denial_style: Option<String>,
    pub(super) trust_headers: Option<bool>,
    pub(super) unbound_tasks: Option<bool>,
    pub(super) max_body: Option<Amount>,
}

/// A number, with or without quotes.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Amount {
    Number(u64),
    Text(String),
}

impl From<Amount> for String {
    fn from(amount: Amount) -> Self {
        match amount {
            Amount::Number(number) => number.to_string(),
            Amount::Text(text) => text,
        }
    }
}

/// What is set for all servers.
#[derive(Debug)]
pub(super) struct Rules {
    sign: SigningMode,
    tolerance: Option<Duration>,
    replay_guard: bool,
    read_only_tools: Vec<String>,
    tool_costs: Vec<(Glob, u32)>,
    style: DenialStyle,
    trusts_headers: bool,
    unbound_tasks: bool,
    max_body: Option<usize>,
    /// None for one that no other process has.
    session_secret: Option<SessionSecret>,
}

/// What all gateways with the same sessions have in common.
struct SessionSecret(Zeroizing<Vec<u8>>);

impl SessionSecret {
    /// A secret for the sessions of one route, so that none is another one's.
    fn of(&self, route: &Route) -> Zeroizing<Vec<u8>> {
        let name = route.name.as_ref().map_or("", |name| name.as_str());
        Zeroizing::new([&self.0, name.as_bytes()].concat())
    }
}

impl fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionSecret(…)")
    }
}

impl Merge {
    pub(super) fn rules(&self, flags: RuleArgs, file: RuleFields) -> Result<Rules, Error> {
        let sign = self.pick("sign", flags.sign, file.sign);
        let tolerance = file.sign_tolerance.map(String::from);
        let tolerance = self.pick("sign_tolerance", flags.sign_tolerance, tolerance);
        let style = self.pick("denial_style", flags.denial_style, file.denial_style);
        let max_body = file.max_body.map(String::from);
        let max_body = self.pick("max_body", flags.max_body, max_body);
        let tools = self.pick_list("read_only_tool", flags.read_only_tool, file.read_only_tool);
        let costs = self.pick_list("tool_cost", flags.tool_cost, file.tool_cost);
        Ok(Rules {
            sign: match sign {
                Some(sign) => sign.read(signing_mode)?.value,
                None => SigningMode::Off,
            },
            tolerance: match tolerance {
                Some(tolerance) => Some(tolerance.read(seconds)?.value),
                None => None,
            },
            replay_guard: flags.sign_replay_guard || file.sign_replay_guard.unwrap_or_default(),
            read_only_tools: tools.into_iter().map(|tool| tool.value).collect(),
            tool_costs: costs
                .into_iter()
                .map(|cost| cost.read(tool_cost).map(|cost| cost.value))
                .collect::<Result<_, _>>()?,
            style: match style {
                Some(style) => style.read(denial_style)?.value,
                None => DenialStyle::default(),
            },
            trusts_headers: flags.trust_headers || file.trust_headers.unwrap_or_default(),
            unbound_tasks: flags.unbound_tasks || file.unbound_tasks.unwrap_or_default(),
            max_body: match max_body {
                Some(size) => Some(size.read(size_in_bytes)?.value),
                None => None,
            },
            session_secret: None,
        })
    }
}

impl Rules {
    /// Verifies signatures. To be made once, and cloned for each server.
    pub(super) fn signing(&self, redis: Option<&Redis>) -> SignedRequestLayer {
        let mut layer = SignedRequestLayer::new(self.sign);
        if let Some(tolerance) = self.tolerance {
            layer = layer.tolerance(tolerance);
        }
        match redis.filter(|_| self.replay_guard) {
            Some(redis) => layer.replay_guard(redis.replay_guard()),
            None if self.replay_guard => layer.replay_guard(MemoryReplayGuard::new()),
            None => layer,
        }
    }

    /// The same rules with sessions that all gateways with this secret know.
    pub(super) fn with_sessions_of(self, secret: Option<Zeroizing<Vec<u8>>>) -> Self {
        Self {
            session_secret: secret.map(SessionSecret),
            ..self
        }
    }

    /// Holds keys to what they may do on one server.
    pub(super) fn mcp(&self, route: &Route) -> Result<McpLayer, Error> {
        let tools = self.read_only_tools.iter().chain(&route.read_only_tools);
        let mut layer = McpLayer::new()
            .denial_style(self.style)
            .read_only_tools(tools.map(String::as_str));
        for (tools, cost) in &self.tool_costs {
            layer = layer.tool_cost(tools.clone(), *cost);
        }
        if self.trusts_headers {
            layer = layer.trust_headers();
        }
        if self.unbound_tasks {
            layer = layer.unbound_tasks();
        }
        if let Some(bytes) = self.max_body {
            layer = layer.max_body(bytes);
        }
        match &self.session_secret {
            Some(secret) => layer
                .session_secret(&secret.of(route))
                .map_err(Error::of_keys),
            None => Ok(layer),
        }
    }
}

fn signing_mode(text: &str) -> Result<SigningMode, &'static str> {
    match text {
        "off" => Ok(SigningMode::Off),
        "optional" => Ok(SigningMode::Optional),
        "required" => Ok(SigningMode::Required),
        _ => Err("must be off, optional or required"),
    }
}

fn denial_style(text: &str) -> Result<DenialStyle, &'static str> {
    match text {
        "json-rpc" => Ok(DenialStyle::JsonRpc),
        "http" => Ok(DenialStyle::Http),
        "unknown" => Ok(DenialStyle::Unknown),
        _ => Err("must be json-rpc, http or unknown"),
    }
}

/// Up to a day: what is older proves nothing about the time.
fn seconds(text: &str) -> Result<Duration, &'static str> {
    let number = text.strip_suffix('s').unwrap_or(text).parse();
    match number {
        Ok(number @ 1..=86_400) => Ok(Duration::from_secs(number)),
        _ => Err("must be a number of seconds from 1 to 86400, such as 300"),
    }
}

fn tool_cost(text: &str) -> Result<(Glob, u32), String> {
    const SHAPE: &str = "must be GLOB=N such as search_*=5";
    // A name may hold the sign.
    let (glob, cost) = text.rsplit_once('=').ok_or(SHAPE)?;
    let cost = cost.parse().map_err(|_| SHAPE)?;
    let glob = glob
        .parse()
        .map_err(|error| format!("has a pattern that {error}"))?;
    Ok((glob, cost))
}

/// At most 1 GiB: a message is held in memory.
fn size_in_bytes(text: &str) -> Result<usize, &'static str> {
    const SHAPE: &str = "must be a size from 1 byte to 1GiB, such as 65536, 512KiB or 4MiB";
    const UNITS: [(&str, usize); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let unit = UNITS.iter().find_map(|(unit, bytes)| {
        let number = text.strip_suffix(unit)?;
        Some((number.trim_end(), *bytes))
    });
    let (number, bytes) = unit.unwrap_or((text, 1));
    let number: usize = number.parse().map_err(|_| SHAPE)?;
    match number.checked_mul(bytes) {
        Some(size @ 1..=0x4000_0000) => Ok(size),
        _ => Err(SHAPE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes_or_have_a_unit() {
        for (text, size) in [
            ("1", 1),
            ("65536", 65_536),
            ("512KiB", 524_288),
            ("4 MiB", 4_194_304),
            ("1GiB", 1_073_741_824),
        ] {
            assert_eq!(size_in_bytes(text), Ok(size), "{text}");
        }
        for text in ["", "0", "-1", "4MB", "2GiB", "1073741825", "MiB", "1e3"] {
            assert!(size_in_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_cost_stands_behind_the_last_sign() {
        let (glob, cost) = tool_cost("a=b*=7").unwrap();
        assert_eq!((glob.as_str(), cost), ("a=b*", 7));
        assert_eq!(tool_cost("free=0").unwrap().1, 0);
        for text in ["", "a", "a=", "=1", "a=-1", "a=x", "a=4294967296"] {
            assert!(tool_cost(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_tolerance_is_some_time_and_not_for_ever() {
        assert_eq!(seconds("300"), Ok(Duration::from_secs(300)));
        assert_eq!(seconds("1s"), Ok(Duration::from_secs(1)));
        for text in ["", "0", "86401", "-1", "5m", "1.5"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
