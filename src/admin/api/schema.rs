//! How the values of the vocabulary are written, for the document alone.
//!
//! The types themselves are read and written by serde, in the room of their own, and know nothing of
//! OpenAPI. A schema here allows whatever they accept: what it cannot say, such as that a time must
//! be still to come, is said by an answer.

#![allow(dead_code, reason = "describes what is read and written elsewhere")]

use std::borrow::Cow;
use std::collections::BTreeMap;

use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A text that must look like this.
macro_rules! text {
    ($($(#[$doc:meta])* $name:ident as $title:literal: $shape:expr;)+) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(super) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let shape: fn(ObjectBuilder) -> ObjectBuilder = $shape;
                let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
                shape(text).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                $title.into()
            }
        }
    )+};
}

text! {
    KeyIdText as "KeyId": |text| text
        .description(Some("The permanent name of a key."))
        .pattern(Some("^key_[0-6][0-9A-Za-z]{21}$"))
        .examples(["key_00VZwwy0Fq9zX3Uvt4pS0L"]);
    TimeText as "Timestamp": |text| text
        .description(Some("A point in time, as RFC 3339 has it."))
        .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(
            utoipa::openapi::KnownFormat::DateTime,
        )))
        .examples(["2027-01-31T00:00:00Z"]);
    OwnerText as "OwnerId": |text| text
        .description(Some("Whom a key belongs to: at most 128 bytes, without control characters."))
        .min_length(Some(1))
        .max_length(Some(128))
        .pattern(Some(r"^[^\x00-\x1f\x7f-\x9f]*$"))
        .examples(["ada"]);
    SubjectText as "Subject": |text| text
        .description(Some("A key's id, `owner:ID`, `plan:NAME`, `client:ID` or `code:ID`."))
        .pattern(Some(
            r"^(key_[0-6][0-9A-Za-z]{21}|owner:[^\x00-\x1f\x7f-\x9f]{1,128}|plan:[a-z0-9_-]{1,64}|client:[^\x00-\x1f\x7f-\x9f]{1,512}|code:[0-9a-f]{76})$",
        ))
        .examples(["owner:ada"]);
    AlertPlaceText as "AlertPlace": |text| text
        .description(Some("A place in the list of alerts, as `next` names it."))
        .pattern(Some(
            r"^(open|resolved)\.-?[0-9]{1,15}\.key_[0-6][0-9A-Za-z]{21}\.(spike|errors|new_network|revoked_used|expired_used|near_limit|near_quota|expiring_soon|idle)$",
        ))
        .examples(["open.1785232800000.key_00VZwwy0Fq9zX3Uvt4pS0L.spike"]);
    PlanText as "PlanName": |text| text
        .description(Some("The name of a plan."))
        .pattern(Some("^[a-z0-9_-]{1,64}$"))
        .examples(["standard"]);
    ServerText as "ServerName": |text| text
        .description(Some("The name of a server or project."))
        .pattern(Some("^[A-Za-z0-9._-]{1,64}$"))
        .examples(["files"]);
    GrantText as "ScopeGrant": |text| text
        .description(Some("A scope, `*` for all, or a scope with `:*` for all below it."))
        .min_length(Some(1))
        .max_length(Some(128))
        .pattern(Some(
            r"^(\*|[A-Za-z0-9][A-Za-z0-9._-]*(:[A-Za-z0-9][A-Za-z0-9._-]*)*(:\*)?)$",
        ))
        .examples(["files:read"]);
    NetworkText as "Network": |text| text
        .description(Some("An address, or a network in CIDR notation without host bits."))
        .min_length(Some(2))
        .examples(["203.0.113.0/24"]);
    GlobText as "Glob": |text| text
        .description(Some("A pattern: `*` stands for any run of characters. At most 256 bytes."))
        .min_length(Some(1))
        .max_length(Some(256))
        .examples(["read_*"]);
    Tags as "EntityTags": |text| text
        .description(Some("`*`, or revisions in quotes, with commas between them."))
        .pattern(Some(r#"^(\*|(W/)?"[^"]*"(\s*,\s*(W/)?"[^"]*")*)$"#))
        .examples(["*"]);
    Star as "Star": |text| text
        .enum_values(Some(["*"]));
    LimitName as "LimitName": |text| text
        .description(Some("What is spent is noted under this name."))
        .pattern(Some("^[a-z0-9_-]{1,32}$"))
        .examples(["default"]);
}

/// Which servers: `all`, those that are added later included, or these. An empty list opens none.
#[derive(Debug)]
pub(super) struct ServersValue;

impl PartialSchema for ServersValue {
    fn schema() -> RefOr<Schema> {
        let all = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .enum_values(Some(["all"]));
        let names = ArrayBuilder::new().items(utoipa::openapi::Ref::from_schema_name("ServerName"));
        AnyOfBuilder::new()
            .description(Some(
                "Which servers: `all`, those that are added later included, or the named ones. An \
                 empty list opens none.",
            ))
            .item(all)
            .item(names)
            .into()
    }
}

impl ToSchema for ServersValue {
    fn name() -> Cow<'static, str> {
        "Servers".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((ServerText::name().into_owned(), ServerText::schema()));
    }
}

/// Whether a key may change things or only look at them.
#[derive(Debug, ToSchema)]
#[schema(as = Access, rename_all = "kebab-case")]
pub(super) enum AccessWord {
    ReadOnly,
    Full,
}

/// Whether the requests of a key must be signed, whatever the layer asks.
#[derive(Debug, ToSchema)]
#[schema(as = Signing, rename_all = "kebab-case")]
pub(super) enum SigningWord {
    ByLayer,
    Required,
}

/// Whether a key works. Expiry is no status.
#[derive(Debug, ToSchema)]
#[schema(as = KeyStatus, rename_all = "lowercase")]
pub(super) enum StatusWord {
    Active,
    Disabled,
    Revoked,
}

/// What an owner may do with keys.
#[derive(Debug, ToSchema)]
#[schema(as = Role, rename_all = "lowercase")]
pub(super) enum RoleWord {
    Admin,
    Member,
}

/// At most so many requests per unit of time.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RateLimit)]
pub(super) struct RateLimitValue {
    #[schema(value_type = LimitName, required = false)]
    name: String,
    /// How many.
    #[schema(value_type = u64, minimum = 1, maximum = 4_294_967_295_u64, example = 60)]
    count: u32,
    per: LimitUnitWord,
    /// How many may come at once; without it, all of them.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 4_294_967_295_u64, required = false)]
    burst: Option<u32>,
    /// Only requests for this server count.
    #[schema(value_type = Option<ServerText>)]
    server: Option<String>,
    /// Only calls of these tools count.
    #[schema(value_type = Option<GlobText>)]
    tool: Option<String>,
}

/// The unit of time of a limit.
#[derive(Debug, ToSchema)]
#[schema(as = LimitUnit, rename_all = "lowercase")]
pub(super) enum LimitUnitWord {
    Second,
    Minute,
    Hour,
    Day,
}

/// At most so many units per day or month of the calendar, in UTC.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Quota)]
pub(super) struct QuotaValue {
    #[schema(value_type = LimitName, required = false)]
    name: String,
    /// How many.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_992_u64, example = 100_000)]
    amount: u64,
    per: QuotaPeriodWord,
}

/// After which time a quota is whole again.
#[derive(Debug, ToSchema)]
#[schema(as = QuotaPeriod, rename_all = "lowercase")]
pub(super) enum QuotaPeriodWord {
    Day,
    Month,
}

/// What a key has used of a quota.
#[derive(Debug, ToSchema)]
#[schema(as = QuotaStatus)]
pub(super) struct QuotaStatusValue {
    quota: QuotaValue,
    /// How much was taken in this period.
    used: u64,
    /// When the next period begins.
    #[schema(value_type = TimeText)]
    resets_at: String,
}

/// Patterns to allow and to deny. Deny beats allow; an empty `allow` allows all that is not denied.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NameRules)]
pub(super) struct NameRulesValue {
    #[schema(value_type = Vec<GlobText>, required = false)]
    allow: Vec<String>,
    #[schema(value_type = Vec<GlobText>, required = false)]
    deny: Vec<String>,
}

/// Which tools, prompts and resources of MCP servers a key may use. What is left out is not
/// restricted.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = McpRules)]
pub(super) struct McpRulesValue {
    #[schema(required = false)]
    tools: NameRulesValue,
    #[schema(required = false)]
    resources: NameRulesValue,
    #[schema(required = false)]
    prompts: NameRulesValue,
}

/// From where a key may be used. Deny beats allow; an empty `allow` allows all that is not denied.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NetworkRules)]
pub(super) struct NetworkRulesValue {
    #[schema(value_type = Vec<NetworkText>, required = false)]
    allow: Vec<String>,
    #[schema(value_type = Vec<NetworkText>, required = false)]
    deny: Vec<String>,
}

/// The program that uses a key on its owner's behalf.
#[derive(Debug, ToSchema)]
#[schema(as = Connection)]
pub(super) struct ConnectionValue {
    /// The program, by its own id.
    #[schema(example = "assistant")]
    client: String,
    /// What the program calls itself; nobody has checked it.
    #[schema(required = false)]
    name: String,
}

/// A secret that a rotation has replaced but not ended yet.
#[derive(Debug, ToSchema)]
#[schema(as = PreviousSecret)]
pub(super) struct PreviousSecretValue {
    /// Its number within the key.
    credential: u32,
    /// Its public part.
    handle: String,
    /// When it ends; nothing while it waits for the new secret to be presented first.
    #[schema(value_type = Option<TimeText>)]
    ends_at: Option<String>,
    /// When it was last presented.
    #[schema(value_type = Option<TimeText>)]
    last_used_at: Option<String>,
}

/// Free-form facts, of at most 16 KiB in all.
#[derive(Debug, ToSchema)]
#[schema(as = Metadata)]
pub(super) struct MetadataValue(BTreeMap<String, String>);

/// Why a key is worth a second look.
#[derive(Debug, ToSchema)]
#[schema(as = Risk, rename_all = "snake_case")]
pub(super) enum RiskWord {
    NeverExpires,
    Unused,
    Unrestricted,
    Unlimited,
}
