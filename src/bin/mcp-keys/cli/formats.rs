//! `formats`: what secret scanners look for.

use serde_json::json;

use super::args::{Family, Writing};
use super::failure::Failure;
use super::output::{Output, table};

/// Prints the pattern of the format that is asked for, or of each family.
pub(super) fn formats(args: &Writing, output: Output) -> Result<(), Failure> {
    let all = [Family::Default, Family::Plain, Family::Segmented];
    let families: Vec<Family> = match (args.format, &args.prefix) {
        (Some(family), _) => vec![family],
        (None, Some(_)) => vec![Family::Default],
        (None, None) => all.to_vec(),
    };
    let mut rows = Vec::new();
    for family in families {
        let writing = Writing {
            format: Some(family),
            prefix: args.prefix.clone(),
        };
        let format = writing
            .to_format()
            .map_err(|error| Failure::usage("prefix", format!("--prefix: {error}")))?;
        rows.push([
            word(family).to_owned(),
            format.prefix().to_owned(),
            format.scanner_pattern(),
        ]);
    }
    if output.is_json() {
        let rows = rows.iter().map(
            |[format, prefix, pattern]| json!({ "format": format, "prefix": prefix, "pattern": pattern }),
        );
        return output.object(&json!({ "formats": rows.collect::<Vec<_>>() }));
    }
    output.text(&table(["FORMAT", "PREFIX", "PATTERN"], &rows))
}

fn word(family: Family) -> &'static str {
    match family {
        Family::Default => "default",
        Family::Plain => "plain",
        Family::Segmented => "segmented",
    }
}
