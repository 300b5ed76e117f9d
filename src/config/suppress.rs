//! The file of `suppress:`: who is to be forgotten, one id a line.

use super::Config;

/// Somebody who is to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppressible {
    /// True: an account; false: a user.
    pub account: bool,
    /// The id.
    pub id: String,
}

/// Why the file does not say who, with the place where that is so.
#[derive(Debug)]
pub struct Unreadable(String);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

impl Config {
    /// Everybody who is suppressed, those in the file included.
    pub fn suppressed(&self) -> Result<Vec<Suppressible>, Unreadable> {
        let suppress = &self.suppress;
        let one = |account| move |id: &String| Suppressible { account, id: id.clone() };
        let mut all: Vec<_> =
            suppress.users.iter().map(one(false)).chain(suppress.accounts.iter().map(one(true))).collect();
        if let Some(file) = &suppress.file {
            let text = std::fs::read_to_string(file).map_err(|error| {
                let (config, place, file) = (self.file.display(), suppress.file_place, file.display());
                let what = format!("can't read the file of `suppress`, {file}: {error}");
                let hint =
                    "check its path, which is relative to the config's directory, its rights and that it is UTF-8 text";
                Unreadable(format!("{config}:{}:{}: {what} ({hint})", place.line, place.column))
            })?;
            for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
                let fault = |why| Unreadable(format!("{}:{number}: {why}", file.display()));
                all.extend(read(line).map_err(fault)?);
            }
        }
        Ok(all)
    }
}

const FORMS: &str =
    "write an id, or `user,ID`, or `account,ID`; an id with a comma, a semicolon or ` #` stands in quotes";

/// A line: an id (of a user), or `user,ID`, or `account,ID`; blank ones and those that begin with `#` say nothing. Whatever else
/// might be meant is refused: taken for an id, it would be nobody's, and nobody would be forgotten. What stands in the file may be
/// about a person: it is not repeated.
fn read(line: &str) -> Result<Option<Suppressible>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let wrong = |what: &str| Err(format!("{what}: {FORMS}"));
    let mut fields = Vec::new();
    let mut rest = Some(line);
    while let Some(text) = rest {
        let Some((field, behind)) = field(text) else { return wrong("a quote that does not end, or text behind one") };
        fields.push(field);
        rest = behind;
    }
    let (kind, id, in_quotes) = match fields.as_slice() {
        [(id, in_quotes)] => ("user", id.as_str(), *in_quotes),
        [(kind, _), (id, in_quotes)] => (kind.as_str(), id.as_str(), *in_quotes),
        _ => return wrong("there is more than one comma"),
    };
    let account = match kind {
        "user" => false,
        "account" => true,
        _ => return wrong("what stands before the comma is neither `user` nor `account`"),
    };
    if id.is_empty() {
        return Err("there is no id".to_owned());
    }
    if !in_quotes && id.split_once([';', '\t']).is_some_and(|(kind, _)| is_kind(kind)) {
        return wrong("fields are divided by a comma, not by a semicolon or a tab");
    }
    if !in_quotes && id.contains(" #") {
        return wrong("a comment stands on a line of its own");
    }
    Ok(Some(Suppressible { account, id: id.to_owned() }))
}

fn is_kind(word: &str) -> bool {
    ["user", "account"].iter().any(|kind| word.trim().trim_matches('"').eq_ignore_ascii_case(kind))
}

/// The first field of a line, whether it stands in quotes, and what is behind its comma. In quotes it may hold commas, and a quote
/// is written twice. `None`: the quotes don't end where the field does.
fn field(text: &str) -> Option<((String, bool), Option<&str>)> {
    let Some(quoted) = text.trim_start().strip_prefix('"') else {
        let (field, rest) = text.split_once(',').map_or((text, None), |(field, rest)| (field, Some(rest)));
        return Some(((field.trim().to_owned(), false), rest));
    };
    let mut end = quoted.find('"')?;
    while quoted.get(end + 1..)?.starts_with('"') {
        end = end + 2 + quoted.get(end + 2..)?.find('"')?;
    }
    let behind = quoted.get(end + 1..)?.trim_start();
    let rest = behind.strip_prefix(',');
    let field = quoted.get(..end)?.replace("\"\"", "\"").trim().to_owned();
    (rest.is_some() || behind.is_empty()).then_some(((field, true), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_who_or_what_is_wrong() {
        let some = |account, id: &str| Ok(Some(Suppressible { account, id: id.to_owned() }));
        assert_eq!(read(" u1 "), some(false, "u1"));
        assert_eq!(read("user, u1"), some(false, "u1"));
        assert_eq!(read("account,\"acme, inc\""), some(true, "acme, inc"));
        assert_eq!((read("# u1"), read("")), (Ok(None), Ok(None)));
        assert_eq!(read("account,"), Err("there is no id".to_owned()));
        assert_eq!(read("\"u,2\""), some(false, "u,2"));
        assert_eq!(read("\"user\", \"u \"\"2\"\"\""), some(false, "u \"2\""));
        assert_eq!((read("u;1"), read("u#1")), (some(false, "u;1"), some(false, "u#1")));
        assert_eq!((read("\"user;u1\""), read("account,\"a # b\"")), (some(false, "user;u1"), some(true, "a # b")));
        for (line, what) in [
            ("jane,doe", "neither `user` nor `account`"),
            ("user,jane,2026-01-01", "more than one comma"),
            ("jane,", "neither"),
            ("user;jane", "not by a semicolon or a tab"),
            ("user;\"jane\"", "not by a semicolon or a tab"),
            ("user\tjane", "not by a semicolon or a tab"),
            ("Account ; jane", "not by a semicolon or a tab"),
            ("\"jane", "a quote that does not end"),
            ("\"user\";\"jane\"", "text behind one"),
            ("jane # left", "a comment stands on a line of its own"),
        ] {
            let why = read(line).unwrap_err();
            assert!(why.starts_with(what) || why.contains(what), "{line}: {why}");
            assert!(why.contains("write an id, or `user,ID`") && !why.contains("jane"), "{line}: {why}");
        }
    }

    #[test]
    fn faults_of_the_file_have_their_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("who.csv");
        let text = "sources: { product: { type: segment_archive, location: ./archive } }\nsuppress: { users: u1, accounts: a1, file: who.csv }\n";
        let config = Config::parse(text, &dir.path().join("v.yaml"), &|_| None).unwrap();
        let missing = config.suppressed().unwrap_err().to_string();
        let place = format!("{}/v.yaml:2:44: can't read the file of `suppress`", dir.path().display());
        assert!(
            missing.starts_with(&place) && missing.contains("who.csv") && missing.contains("check its path"),
            "{missing}"
        );
        std::fs::write(&file, "# kind,id\nu2\naccount,a2\n").unwrap();
        assert_eq!(config.suppressed().unwrap().len(), 4);
        std::fs::write(&file, "u2\nx,y\n").unwrap();
        assert!(config.suppressed().unwrap_err().to_string().contains("who.csv:2: what stands before"));
    }
}
