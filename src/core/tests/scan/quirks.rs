//! One by one what the scanner takes, what it leaves to `serde_json`, and what nobody takes.

use std::borrow::Cow;

use serde_json::value::RawValue;
use vitalsync_core::call::{AccountPaths, Rejection, parse};
use vitalsync_core::scan::members_into;

use super::{check, check_members, paths};

/// Whether the scanner takes a value of a member that nobody asks for, and of one that is asked for.
fn takes(value: &str) -> [bool; 2] {
    let accounts = AccountPaths::default();
    ["skipped", "anonymousId"].map(|name| check(with(&format!(r#""{name}":{value}"#)).as_bytes(), &accounts))
}

fn with(members: &str) -> String {
    format!(r#"{{"type":"track","event":"E","userId":"u","timestamp":1767225600,{members}}}"#)
}

#[test]
fn what_is_skipped_must_be_json() {
    let right = [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "7",
        "-7.25",
        "1e5",
        "1E+5",
        "0.5e-05",
        "1e999",
        "[]",
        "[ ]",
        "{}",
        "{ }",
        "[1,2]",
        r#"[ 1 , "]" ]"#,
        r#"{"a":[{}]}"#,
        r#"{"\u0061":1, "a" : 2}"#,
        r#""""#,
        r#""\"""#,
        r#""\\""#,
        r#""\\\"\u2013\/\b\f\n\r\t""#,
        r#""\ud83d""#,
        r#""Größe""#,
        "\"\u{7f}\"",
        "123456789012345678901234567890",
    ];
    for right in right {
        assert!(takes(right)[0], "{right}");
        assert!(serde_json::from_str::<&RawValue>(right).is_ok(), "{right}");
    }
    let wrong = [
        "",
        "nul",
        "nulll",
        "nulL",
        "truE",
        "fals",
        "falsey",
        "01",
        "-",
        "-a",
        "+1",
        "1.",
        ".5",
        "1e",
        "1e+",
        "1.e5",
        "0x1",
        "00",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "{",
        r#"{"a""#,
        r#"{"a":"#,
        r#"{"a":1"#,
        r#"{"a":1,}"#,
        "{,}",
        r#"{"a" 1}"#,
        r#"{"a":1 "b":2}"#,
        "{a:1}",
        "{1:1}",
        r#"{"a":1]"#,
        "\"",
        r#""\""#,
        r#""\x""#,
        r#""\u12""#,
        r#""\u12g4""#,
        r#""\u+123""#,
        "\"\u{1}\"",
        "\"\t\"",
        r#""a""b""#,
        "'a'",
        "NaN",
        "1,",
        ",1",
        "1}",
        r#"\"a\""#,
        "\u{a0}1",
        "\u{b}1",
        "/**/1",
        r#""\"#,
        r#""\u"#,
        r#""\u123"#,
    ];
    for wrong in wrong {
        assert_eq!(takes(wrong), [false, false], "{wrong}");
        let read = parse(with(&format!(r#""x":{wrong}"#)).as_bytes(), &AccountPaths::default()).map(|_| ());
        assert_eq!(read, Err(Rejection::BadJson), "{wrong}");
    }
    // JSON too, and left to `serde_json`: whitespace of other kinds, and what is very deep.
    for left in ["\t1", "1\r", "[\n]"] {
        assert_eq!(takes(left), [false, false], "{left:?}");
    }
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert_eq!([60, 70, 1000].map(|depth| takes(&deep(depth))[0]), [true, false, false]);
}

#[test]
fn what_is_asked_for_is_left_to_serde_json_in_doubt() {
    for sure in [
        "null",
        "true",
        "false",
        r#""a""#,
        r#""""#,
        r#""Größe""#,
        "0",
        "42",
        "-7",
        "1234567890123456789",
        "-36893488147419103231",
    ] {
        assert_eq!(takes(sure), [true, true], "{sure}");
    }
    let doubts = ["-0", "1.0", "1e3", "1e999", r#""\n""#, r#""\ud83d""#, "[]", "{}", r#"{"\ud83d":1}"#];
    for doubt in doubts {
        assert_eq!(takes(doubt), [true, false], "{doubt}");
    }
    let accounts = AccountPaths::default();
    for (members, taken) in [
        (r#""type":"track","type":"page""#, true),
        (r#""userId":"u","userId":null"#, true),
        (r#""traits":{"a":1},"traits":null"#, true),
        (r#""typ\u0065":"page""#, false),
        (r#""\u0061":1"#, false),
        (r#""context":{"groupId":"a"},"context":{"groupId":"b","groupId":null}"#, true),
        (r#""context":{"\ud83d":1,"groupId":"a"}"#, false),
        (r#""context":{"x":"\ud83d","groupId":"a"}"#, true),
        (r#""context":{"x":{"\ud83d":1},"groupId":"a"}"#, true),
        (r#""properties":{"\ud83d":"\ud83d"}"#, true),
    ] {
        assert_eq!(check(with(members).as_bytes(), &accounts), taken, "{members}");
    }
    let call = with(r#""x":1"#);
    for (before, after, taken) in [
        ("", "", true),
        (" ", " \r\n", true),
        ("", "\t", true),
        ("\t", "", false),
        ("", "\u{c}", false),
        ("", "{}", false),
        ("", ",", false),
        ("", "}", false),
        ("", "\0", false),
        ("[", "]", false),
        ("\u{feff}", "", false),
    ] {
        assert_eq!(check(format!("{before}{call}{after}").as_bytes(), &accounts), taken, "{before:?} {after:?}");
    }
    for (line, taken) in
        [("{}", true), ("{ }", true), ("[]", false), ("", false), (" ", false), ("{", false), ("7", false)]
    {
        assert_eq!(check(line.as_bytes(), &accounts), taken, "{line}");
    }
    assert!(!check(b"{\"x\":\"\xff\"}", &accounts));
}

#[test]
fn an_escape_is_one_wherever_a_block_or_window_ends() {
    for length in (0..200).chain(1900..2300) {
        for escape in [r#"\""#, r"\\", r#"\\\""#, r"\u2013", r#"\"\"\"\""#] {
            let member = format!(r#""x":"{}{escape}","anonymousId":"a""#, "y".repeat(length));
            assert!(check(with(&member).as_bytes(), &AccountPaths::default()), "{member}");
        }
        for wrong in [r#"\"#, r"\x", r"\u201", r"\\\", "\u{1}"] {
            let member = format!(r#""x":"{}{wrong}","anonymousId":"a""#, "y".repeat(length));
            assert!(!check(with(&member).as_bytes(), &AccountPaths::default()), "{member}");
        }
    }
}

#[test]
fn an_account_is_found_in_the_pass() {
    let read = |members: &str, accounts: &[&str]| {
        let line = format!(r#"{{"type":"page","userId":"u","timestamp":1767225600,{members}}}"#);
        assert!(check(line.as_bytes(), &paths(accounts)), "{line}");
        parse(line.as_bytes(), &paths(accounts)).unwrap().account.map(Cow::into_owned)
    };
    let (context, both) = (["context.groupId"], ["properties.id", "context.groupId"]);
    for (members, accounts, account) in [
        (r#""context":{"groupId":"a"}"#, &context[..], Some("a")),
        (r#""context":{"groupId":"a","x":{"groupId":"b"}}"#, &context, Some("a")),
        (r#""context":{"groupId":"a","groupId":"b"}"#, &context, Some("b")),
        (r#""context":{"groupId":"a","groupId":null}"#, &context, None),
        (r#""context":{"groupId":"a"},"context":{}"#, &context, None),
        (r#""context":{"groupId":"a"},"context":null"#, &context, None),
        (r#""context":{"groupId":{"groupId":"a"}}"#, &context, None),
        (r#""context":{"groupId":-7}"#, &context, Some("-7")),
        (r#""context":{"groupId":1.50}"#, &context, Some("1.5")),
        (r#""context":{"groupId":"\u0061\n"}"#, &context, Some("a\n")),
        (r#""context":{"groupId":"a"},"properties":{"id":7}"#, &both, Some("7")),
        (r#""context":{"groupId":"a"},"properties":{"id":""}"#, &both, Some("a")),
        (r#""context":{"groupId":"a"},"properties":{"id":null}"#, &both, Some("a")),
        (r#""context":{"groupId":true},"properties":{"id":[]}"#, &both, None),
        (r#""context":{"groupId":"a"},"traits":{"id":"t"}"#, &["traits.id", "context.groupId"], Some("t")),
        (r#""context":{"page":{"path":"/a"}}"#, &["context.page.path"], Some("/a")),
        (r#""context":{"":"a"}"#, &["context."], None),
        (r#""context":"a""#, &["context"], Some("a")),
        (r#""properties":{"f":6}"#, &["x", "x", "x", "x", "x", "properties.f"], Some("6")),
    ] {
        assert_eq!(read(members, accounts).as_deref(), account, "{members}");
    }
}

#[test]
fn properties_are_those_of_an_event() {
    let read = |kind: &str, properties: &str| {
        let line = format!(
            r#"{{"type":"{kind}","userId":"u","event":"E","groupId":"g","timestamp":1767225600,"properties":{properties}}}"#
        );
        assert!(check(line.as_bytes(), &AccountPaths::default()), "{line}");
        parse(line.as_bytes(), &AccountPaths::default()).unwrap().properties.map(str::to_owned)
    };
    for kind in ["track", "page", "screen"] {
        assert_eq!(read(kind, r#" {"a": [1]} "#).as_deref(), Some(r#"{"a": [1]}"#));
        assert_eq!(read(kind, "null"), None);
    }
    assert_eq!((read("identify", "{}"), read("group", "{}"), read("alias", "{}")), (None, None, None));
}

#[test]
fn members_are_sorted_and_the_last_counts() {
    let raw = r#" { "b" : 1.50 ,"a":{"x": [1, 2]},"b":"two" , "":null}"#;
    let text = |list: &[(Cow<'_, str>, &str)]| {
        list.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    };
    let mut list = vec![("old".into(), "1")];
    assert!(members_into(raw, &mut list));
    assert_eq!(text(&list), r#"=null a={"x": [1, 2]} b="two""#);
    assert!(members_into("{}", &mut list) && list.is_empty());
    assert!(members_into(r#"{"\u0062":1,"a":2,"b":3}"#, &mut list));
    assert_eq!(text(&list), "a=2 b=3");
    for wrong in ["", "null", "[]", "7", r#"{"a":1"#, r#"{"a":1}x"#, r#"{"\ud83d":1}"#, r#"{"b":1,"a":}"#] {
        assert!(!members_into(wrong, &mut list) && list.is_empty(), "{wrong}");
        check_members(wrong);
    }
    // More than are sorted in place, and across windows.
    let many: Vec<String> = (0..2000).map(|number| format!(r#""k{}":"{number}\"""#, number * 7919 % 500)).collect();
    check_members(&format!("{{{}}}", many.join(",")));
}
