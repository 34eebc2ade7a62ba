//! Which key is meant: by its id, its handle, or as it is shown masked.
//!
//! A whole key is understood too, by its public part alone: its secret is neither checked nor
//! repeated. It is in the shell's history by then, which is worth a warning.

use mcp_api_keys::key::{KeyId, KeyInfo};
use mcp_api_keys::{ErrorKind, KeyManager};

use super::failure::Failure;
use super::output::Output;

/// Where handles stand in keys, counted from the end: the checksummed family, the plain one, the
/// segmented one, and any key as it is shown masked.
const HANDLES_FROM_END: [(usize, usize); 4] = [(38, 30), (32, 24), (41, 33), (8, 0)];

/// Reads the key that `text` means.
pub(super) async fn find(
    manager: &KeyManager,
    text: &str,
    output: Output,
) -> Result<KeyInfo, Failure> {
    if let Ok(id) = text.parse::<KeyId>() {
        return Ok(manager.get(id).await?);
    }
    let text = text.trim_end_matches('…').trim_end_matches("...");
    for handle in candidates(text) {
        let found = match manager.get_by_handle(handle).await {
            Ok(info) => info,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        match meant(text, handle, &found) {
            Some(Meant::ByItsName) => return Ok(found),
            Some(Meant::ByItsSecret) => {
                output.warning(
                    "key_on_command_line",
                    "keys do not belong on command lines, where others can read them: name a key \
                     by its id or handle, and rotate this one",
                );
                return Ok(found);
            }
            None => {}
        }
    }
    let missing = mcp_api_keys::Error::new(ErrorKind::NotFound, "there is no such key");
    Err(missing.into())
}

/// What may be a handle in `text`, the likeliest first.
fn candidates(text: &str) -> Vec<&str> {
    let last = text.rsplit(['_', '-']).next().unwrap_or_default();
    let cut = HANDLES_FROM_END.iter().filter_map(|(from, to)| {
        let start = text.len().checked_sub(*from)?;
        text.get(start..text.len() - to)
    });
    let mut handles = Vec::new();
    for handle in [text, last].into_iter().chain(cut) {
        let fits =
            (1..=64).contains(&handle.len()) && handle.bytes().all(|b| b.is_ascii_alphanumeric());
        if fits && !handles.contains(&handle) {
            handles.push(handle);
        }
    }
    handles
}

enum Meant {
    ByItsName,
    ByItsSecret,
}

/// Whether `text` means the key that was found by `handle`, which is a part of it.
fn meant(text: &str, handle: &str, found: &KeyInfo) -> Option<Meant> {
    if text == handle {
        return Some(Meant::ByItsName);
    }
    let newest = found.masked.trim_end_matches('…');
    // The secret that a rotation has replaced, while its grace lasts.
    let older = newest
        .strip_suffix(found.handle.as_str())
        .map(|prefix| format!("{prefix}{handle}"));
    [Some(newest), older.as_deref()]
        .into_iter()
        .flatten()
        .find_map(|shown| match text.strip_prefix(shown)? {
            "" => Some(Meant::ByItsName),
            _ => Some(Meant::ByItsSecret),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handle_is_among_the_candidates_of_every_family() {
        for text in [
            "ATgKlpEa",
            "mcp_sk_ATgKlpEa",
            "mcp_sk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX",
            "mgw_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D",
            "abATgKlpEaBS64QGLizLFNWgSzNfDmYl2D",
            "ok1-ada-ATgKlpEa",
            "ok1-ada-ATgKlpEa-BS64QGLizLFNWgSzNfDmYl2D0UvHLXab",
        ] {
            let found = candidates(text);
            assert!(found.contains(&"ATgKlpEa"), "{text}: {found:?}");
        }
    }

    #[test]
    fn odd_texts_have_no_candidates() {
        for text in ["", "é", "…", "a b", "__", "ключ_ключ"] {
            assert!(candidates(text).is_empty(), "{text}");
        }
    }
}
