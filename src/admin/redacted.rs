//! Taking out of a text what may be a secret, before it is shown to whoever sent it.

/// The text with every run of letters and digits taken out that is long enough to be a secret. Ids of
/// keys are shorter, and so are words.
pub(super) fn redacted(text: &str) -> String {
    const SECRET: usize = 24;
    let mut clean = String::with_capacity(text.len());
    let mut run = String::new();
    for c in text.chars().chain(std::iter::once('\0')) {
        if c.is_ascii_alphanumeric() {
            run.push(c);
            continue;
        }
        clean.push_str(if run.len() < SECRET { &run } else { "…" });
        run.clear();
        clean.push(c);
    }
    clean.pop();
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_taken_out() {
        let key = "mcp_sk_ATgKlpEaBS64QGLizLFNWgSzNfDmYl2D0UvHLX";
        assert_eq!(redacted(&format!("what is {key}?")), "what is mcp_sk_…?");
        assert_eq!(redacted(key), "mcp_sk_…");
        let id = "key_00VZwwy0Fq9zX3Uvt4pS0L: é — ok";
        assert_eq!(redacted(id), id);
        assert_eq!(redacted(""), "");
    }
}
