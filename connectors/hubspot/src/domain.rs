//! Domains as keys: the bare host that HubSpot keeps, and those that name a mail provider instead of a company.
//!
//! There is deliberately no list of public suffixes here: a subdomain is looked for as it stands.

/// Providers under whose domains anybody has an address. A company found by one of these would be anybody's.
const FREE_MAIL: [&str; 36] = [
    "gmail.com",
    "googlemail.com",
    "yahoo.com",
    "yahoo.co.uk",
    "yahoo.fr",
    "yahoo.de",
    "ymail.com",
    "hotmail.com",
    "hotmail.co.uk",
    "hotmail.fr",
    "outlook.com",
    "live.com",
    "live.nl",
    "msn.com",
    "aol.com",
    "icloud.com",
    "me.com",
    "mac.com",
    "gmx.com",
    "gmx.de",
    "gmx.net",
    "web.de",
    "t-online.de",
    "freenet.de",
    "mail.com",
    "mail.ru",
    "yandex.com",
    "yandex.ru",
    "proton.me",
    "protonmail.com",
    "fastmail.com",
    "zoho.com",
    "orange.fr",
    "free.fr",
    "qq.com",
    "163.com",
];

/// Whether a bare domain belongs to a free-mail provider.
pub(crate) fn is_free_mail(domain: &str) -> bool {
    FREE_MAIL.contains(&domain)
}

/// The bare domain of what people keep in a trait: `https://www.Acme.example/about` → `acme.example`.
/// `None` for what is no domain (no dot, spaces, an e-mail address). Free-mail domains pass here.
pub(crate) fn bare(text: &str) -> Option<String> {
    let lower = text.trim().to_lowercase();
    let rest = lower.split_once("://").map_or(lower.as_str(), |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.split_once(':').map_or(host, |(host, _)| host).trim_end_matches('.');
    let host = host.strip_prefix("www.").filter(|rest| rest.contains('.')).unwrap_or(host);
    let fits = host.len() <= 253
        && host.contains('.')
        && host.split('.').all(|label| !label.is_empty())
        && host.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '.');
    fits.then(|| host.to_owned())
}

/// The domain by which a company may be found; `None` also for free mail.
pub(crate) fn of_company(text: &str) -> Option<String> {
    bare(text).filter(|domain| !is_free_mail(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_the_bare_host() {
        let bared = |text| of_company(text).unwrap_or_else(|| "-".into());
        for text in ["acme.example", " ACME.example. ", "https://www.acme.example/about?x#y", "www.acme.example:8080"] {
            assert_eq!(bared(text), "acme.example", "{text}");
        }
        assert_eq!(bared("www.example"), "www.example");
        assert_eq!(bared("bücher.example"), "bücher.example");
        for text in
            ["", "acme", "jo@acme.example", "a b.example", ".example", "a..b", "Gmail.com", "http://www.gmx.de/"]
        {
            assert_eq!(bared(text), "-", "{text}");
        }
    }
}
