//! Records to test with. Equal arguments give equal records.

use crate::audit::{Act, AuditAction};
use crate::clock::Timestamp;
use crate::key::{
    Connection, Credential, CredentialId, Grant, Handle, KeyId, KeyRecord, KeyStatus, LimitUnit,
    McpRules, NetworkRules, Quota, RateLimit, ScopeSet, Servers, Signing, Tag, Verifier,
};

/// A time to start from: 2026-07-28T10:00:00Z.
pub const NOON: Timestamp = Timestamp::from_millis(1_785_232_800_000);

/// The key number `number` with one secret, findable by [`handle(number)`](handle). Ids sort by
/// number.
pub fn record(number: u64) -> KeyRecord {
    let mut record = KeyRecord::new(
        KeyId::from_u128(number.into()),
        format!("key {number}"),
        NOON,
    );
    record.credentials = vec![credential(&handle(number))];
    record
}

/// The handle of the record with this number.
pub fn handle(number: u64) -> String {
    format!("Handle{number}")
}

/// A secret with this handle. Its hash is a text that no key has.
///
/// # Panics
///
/// If `handle` is no valid [`Handle`].
pub fn credential(handle: &str) -> Credential {
    let handle: Handle = handle.parse().expect("a valid handle");
    let hash = format!("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA${handle}");
    Credential::new(CredentialId::FIRST, handle, "mcp_sk_", hash, NOON)
}

/// A record with something in every field, and in the middle of a rotation.
pub fn full_record(number: u64) -> KeyRecord {
    let later = Timestamp::from_millis(NOON.as_millis() + 86_400_123);
    let mut record = record(number);
    record.description = Some("Everything,\n\"quoted\" — and more".to_owned());
    record.owner = Some("Zoë @ team/7".parse().expect("a valid owner"));
    record.status = KeyStatus::Revoked {
        at: later,
        reason: Some("left the company".to_owned()),
    };
    record.held = true;
    record.servers = Servers::only(["files", "mail.example"]).expect("valid names");
    record.scopes = ScopeSet::parse(["files:read", "mail:*"]).expect("valid grants");
    record.networks = NetworkRules::new(
        vec!["10.0.0.0/8".parse().expect("a network")],
        vec!["2001:db8::/32".parse().expect("a network")],
    );
    record.limits = vec![
        RateLimit::per_minute(60).burst(10),
        RateLimit::new(1, LimitUnit::Day).named("daily"),
    ];
    record.mcp = McpRules::default()
        .allow_tool("read_*".parse().expect("a glob"))
        .deny_resource("file:///etc/*".parse().expect("a glob"));
    record.signing = Signing::Required;
    record.plan = Some("standard".parse().expect("a valid name"));
    record.quotas = vec![Quota::per_month(1_000_000).named("monthly")];
    record.connection = Some(connection("https://client.example/ö").named("Größe \u{1f511}"));
    record.grant = Some(Box::new(grant(later)));
    record.metadata = [("environment", "prod"), ("größe", "日本語")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    record.credentials = rotating(number, later);
    record.updated_at = Timestamp::from_millis(NOON.as_millis() + 1);
    record.expires_at = Some(later);
    record
}

fn rotating(number: u64, end: Timestamp) -> Vec<Credential> {
    let mut old = credential(&format!("Old{number}"));
    old.ends_at = Some(end);
    old.set_tag(Some(Tag::new(u32::MAX)));
    let mut new = credential(&handle(number)).imported();
    new.id = CredentialId::FIRST.next();
    new.verifier = Some(Verifier::new("pepper-1", [0xfe; 32]));
    vec![old, new]
}

/// A record whose filterable fields are drawn from a few values each, so that filters both hit and
/// miss.
pub fn random_record(number: u64, dice: &mut Dice) -> KeyRecord {
    const NAMES: [&str; 6] = ["Backup", "bAcKuP_2", "100% CI", "İstanbul ß", "", "_"];
    const OWNERS: [Option<&str>; 4] = [None, Some("ada"), Some("Ada"), Some("bob%")];
    const SOME: [&[&str]; 4] = [&[], &["files"], &["files", "mail"], &["mail"]];

    let mut record = record(number);
    dice.pick(&NAMES).clone_into(&mut record.name);
    record.owner = dice
        .pick(&OWNERS)
        .map(|owner| owner.parse().expect("a valid owner"));
    record.servers = match dice.roll(4) {
        0 => Servers::All,
        _ => Servers::only(dice.pick(&SOME)).expect("valid names"),
    };
    record.status = match dice.roll(4) {
        0 => KeyStatus::Disabled,
        1 => KeyStatus::Revoked {
            at: NOON,
            reason: None,
        },
        _ => KeyStatus::Active,
    };
    let mut time = || Timestamp::from_millis(NOON.as_millis() + dice.pick(&[0, 1, 2]));
    record.created_at = time();
    let expiry = time();
    record.expires_at = (dice.roll(3) > 0).then_some(expiry);
    record.plan = (dice.roll(3) == 0).then(|| "free".parse().expect("a valid name"));
    record.connection = (dice.roll(3) == 0).then(|| connection("claude"));
    record
}

fn connection(client: &str) -> Connection {
    Connection::new(client.parse().expect("a valid client"))
}

/// A grant that no token renews.
fn grant(end: Timestamp) -> Grant {
    let json = serde_json::json!({
        "resource": "https://mcp.example/files?ö",
        "access_ms": 3_600_000_u64,
        "refresh_ms": u64::MAX,
        "ends_at": end,
        "root": "0f".repeat(32),
        "secret": "f0".repeat(32),
        "renewals": 7,
    });
    serde_json::from_value(json).expect("a grant")
}

/// Numbers that look random and are the same in every run.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that roll the sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`, which must not be zero.
    pub fn roll(&mut self, sides: u64) -> u64 {
        // SplitMix64, by Sebastiano Vigna.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    /// One of `choices`, which must not be empty.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let index = usize::try_from(self.roll(choices.len() as u64)).unwrap_or(0);
        *choices
            .get(index)
            .expect("there is something to choose from")
    }
}

/// An act to write a record with, where it is not the act that is tested.
pub fn act() -> Act {
    Act::new(AuditAction::Updated, "tester", NOON)
}
