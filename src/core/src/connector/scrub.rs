//! What a tool says in words, made fit to print.

/// What a tool says in words, made fit for logs, plans and pages: e-mail addresses masked, control characters and line
/// breaks folded, at most 300 characters.
pub fn scrub(text: &str) -> String {
    let mut out = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        let mut rest = word;
        while let Some(at) = rest.find('@') {
            let edge = |c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '+' | '%'));
            let from = rest[..at].rfind(edge).map_or(0, |i| i + rest[i..].chars().next().map_or(1, char::len_utf8));
            let to = rest[at + 1..].find(edge).map_or(rest.len(), |i| at + 1 + i);
            if from < at && to > at + 1 {
                out.push_str(&rest[..from]);
                out.push_str("<e-mail>");
            } else {
                out.push_str(&rest[..to]);
            }
            rest = &rest[to..];
        }
        out.push_str(rest);
    }
    if out.chars().count() > 300 {
        out = out.chars().take(299).collect();
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::scrub;

    #[test]
    fn what_a_tool_says_is_made_fit_to_print() {
        assert_eq!(scrub("contact \"jo@acme.example\" exists\n<jo.d+x@a.b>"), "contact \"<e-mail>\" exists <<e-mail>>");
        assert_eq!(scrub("@here a@ @b @"), "@here a@ @b @");
        assert_eq!(scrub("é@ü ünï@x"), "<e-mail> <e-mail>");
        assert_eq!(scrub(&"x".repeat(400)).chars().count(), 300);
    }
}
