//! E-mail addresses as keys: HubSpot keeps them in small letters and has one contact for each.

/// The address in the form that HubSpot keeps; `None` for what it would refuse.
pub(crate) fn bare(text: &str) -> Option<String> {
    let lower = text.trim().to_lowercase();
    let (user, host) = lower.split_once('@')?;
    let fits = !user.is_empty()
        && host.contains('.')
        && host.split('.').all(|label| !label.is_empty())
        && !lower.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | ';' | '"'))
        && !host.contains('@')
        && lower.len() <= 254;
    fits.then_some(lower)
}

#[cfg(test)]
mod tests {
    use super::bare;

    #[test]
    fn an_address_is_small_letters_and_plausible() {
        assert_eq!(bare(" Jo.D+x@Acme.Example ").as_deref(), Some("jo.d+x@acme.example"));
        for text in [
            "",
            "jo",
            "jo@",
            "@acme.example",
            "jo@acme",
            "jo@acme..example",
            "a b@c.de",
            "a@b@c.de",
            "Jo <jo@acme.example>",
        ] {
            assert_eq!(bare(text), None, "{text}");
        }
    }
}
