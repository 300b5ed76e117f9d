//! The file of `suppress:`: who is to be forgotten, one id a line.

use std::path::PathBuf;

use super::Suppress;

/// Somebody who is to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppressible {
    /// True: an account; false: a user.
    pub account: bool,
    /// The id.
    pub id: String,
}

/// Why the file does not say who.
#[derive(Debug)]
pub struct Unreadable {
    file: PathBuf,
    /// The line, from 1; 0: the file as a whole.
    line: usize,
    why: String,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "{}: can't read the file of `suppress`: {}", self.file.display(), self.why),
            line => write!(f, "{}:{line}: {}", self.file.display(), self.why),
        }
    }
}

impl std::error::Error for Unreadable {}

impl Suppress {
    /// Everybody, those in the file included.
    pub fn all(&self) -> Result<Vec<Suppressible>, Unreadable> {
        let one = |account| move |id: &String| Suppressible { account, id: id.clone() };
        let mut all: Vec<_> = self.users.iter().map(one(false)).chain(self.accounts.iter().map(one(true))).collect();
        if let Some(file) = &self.file {
            let fault = |line, why: String| Unreadable { file: file.clone(), line, why };
            let text = std::fs::read_to_string(file).map_err(|error| fault(0, error.to_string()))?;
            for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
                all.extend(read(line).map_err(|why| fault(number, why))?);
            }
        }
        Ok(all)
    }
}

/// A line: an id (of a user), or `user,ID`, or `account,ID`; blank ones and those that begin with `#` say nothing.
fn read(line: &str) -> Result<Option<Suppressible>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (kind, id) = line.split_once(',').unwrap_or(("user", line));
    let id = id.trim().trim_matches('"').trim();
    let account = match kind.trim().trim_matches('"') {
        "user" => false,
        "account" => true,
        // What stands there may be about a person: it is not repeated.
        _ => {
            return Err(
                "expected an id, or `user,ID`, or `account,ID`: what stands before the comma is neither".to_owned()
            );
        }
    };
    if id.is_empty() {
        return Err("there is no id".to_owned());
    }
    Ok(Some(Suppressible { account, id: id.to_owned() }))
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
        assert!(read("jane,doe").is_err_and(|why| !why.contains("jane")));
    }

    #[test]
    fn faults_of_the_file_have_their_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("who.csv");
        let suppress = Suppress { users: vec!["u1".into()], accounts: vec!["a1".into()], file: Some(file.clone()) };
        assert!(suppress.all().unwrap_err().to_string().contains("who.csv: can't read"));
        std::fs::write(&file, "# kind,id\nu2\naccount,a2\n").unwrap();
        assert_eq!(suppress.all().unwrap().len(), 4);
        std::fs::write(&file, "u2\nx,y\n").unwrap();
        assert!(suppress.all().unwrap_err().to_string().contains("who.csv:2: expected"));
    }
}
