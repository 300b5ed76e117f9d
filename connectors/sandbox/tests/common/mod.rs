//! Conversations as text. A line that begins with a method is a request (`POST /path {json}`); the indented line after it
//! is the reply: the status, then fragments that must be in headers or body, or (with `!`) must not, parted by ` | `.
//! `+500` lets milliseconds pass, `as TOKEN` changes the token, `seed {json}` and `limits {json}` do that.

use vitalsync_sandbox::{Reply, Request, Sandbox, Vendor};

/// 2026-11-22T08:00:00Z.
pub const START: i64 = 1_795_334_400_000;

pub fn send(sandbox: &mut Sandbox, token: &str, line: &str, now: i64) -> Reply {
    let mut parts = line.splitn(3, ' ');
    let (method, path, body) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap_or(""));
    let kind = if body.is_empty() || body.starts_with(['{', '[']) {
        "application/json; charset=utf-8"
    } else {
        "application/x-www-form-urlencoded"
    };
    let mut headers = vec![("content-type".to_owned(), kind.to_owned())];
    if !token.is_empty() {
        headers.push(("AUTHORIZATION".to_owned(), format!("Bearer {token}")));
    }
    let request = Request { method: method.into(), path: path.into(), headers, body: body.into() };
    sandbox.handle(&request, now)
}

pub fn check_in(sandbox: &mut Sandbox, script: &str) {
    let (mut now, mut token, mut said) = (START, "key".to_owned(), None);
    for line in script.lines().filter(|line| !line.trim().is_empty()) {
        let text = line.trim();
        if line.starts_with("    ") {
            let (asked, reply): (String, Reply) = said.take().expect("a reply follows a request");
            let headers: String = reply.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
            let whole =
                if reply.drop { "dropped".into() } else { format!("{}\n{headers}{}", reply.status, reply.body) };
            for (at, part) in text.split(" | ").enumerate() {
                let good = match part.strip_prefix('!') {
                    Some(absent) => !whole.contains(absent),
                    None if at == 0 => whole.starts_with(part),
                    None => whole.contains(part),
                };
                assert!(good, "{asked}\n  wanted: {part}\n  got: {whole}");
            }
        } else if let Some(ms) = text.strip_prefix('+') {
            now += ms.parse::<i64>().unwrap();
        } else if let Some(new) = text.strip_prefix("as ") {
            token = new.replace("nobody", "");
        } else if let Some(json) = text.strip_prefix("seed ") {
            sandbox.seed(&serde_json::from_str(json).unwrap()).unwrap();
        } else if let Some(json) = text.strip_prefix("limits ") {
            sandbox.set_limits(&serde_json::from_str(json).unwrap());
        } else {
            assert!(said.is_none(), "no reply was awaited before {text}");
            said = Some((text.to_owned(), send(sandbox, &token, text, now)));
        }
    }
    assert!(said.is_none(), "the last reply was not looked at");
}

pub fn check(vendor: Vendor, script: &str) -> Sandbox {
    let mut sandbox = Sandbox::new(vendor, "key");
    check_in(&mut sandbox, script);
    sandbox
}
