//! Lines to read: made up whole, as a source would send them and as none would, and real-looking ones broken by chance.
//! Everything comes from one number, so that a failure can be had again.

/// Chance, by the splitmix64 of Steele, Lea and Flood (2014).
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// Lines as sources send them.
pub const ORDINARY: [&str; 10] = [
    r#"{"anonymousId":"1917101c-fd89-4e22-9c8b-72d8df242ba5","channel":"client","context":{"groupId":"acc_b5e0071f16dad543","ip":"117.43.36.223","library":{"name":"analytics.js","version":"npm:next-1.55.0"},"locale":"en-GB","page":{"path":"/dad543/task-completed/44954","referrer":"https://app.example.com/dad543/home","search":"?tab=2","title":"Task Completed | Example","url":"https://app.example.com/dad543/task-completed/44954?tab=2"},"timezone":"Europe/London","userAgent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"},"event":"Task Completed","integrations":{"All":true},"messageId":"fd7abbc2-6dc0-4953-9fe5-cced5121347d","originalTimestamp":"2026-02-01T00:15:05.359Z","properties":{"plan":"enterprise","section":"team \"core\" \u2013 one","item_count":259,"duration_ms":-0.5e3,"is_first_time":false,"account_id":17},"receivedAt":"2026-02-01T00:15:12.635Z","sentAt":"2026-02-01T00:15:12.140Z","timestamp":"2026-02-01T00:15:05.396Z","type":"track","userId":null}"#,
    r#"{"type":"track","event":"Report Viewed","userId":"u1","anonymousId":null,"messageId":"m1","timestamp":"2026-02-01T00:15:05Z","properties":{},"context":{}}"#,
    r#"{"type": "track", "event": "Größe geändert", "userId": 42, "timestamp": 1767225600, "properties": {"account_id": "a", "list": [1, 2.5, {"a": []}, "x"]}, "context": {"groupId": null}}"#,
    r#"{"type":"identify","userId":"8f8bfc448b593cdafd89de22","messageId":"m2","receivedAt":"2026-02-01T00:15:12.635Z","traits":{"name":"Ada","email":"ada@example.com","employees":1555,"address":{"city":"Zürich"}}}"#,
    r#"{"type":"identify","userId":"u","timestamp":"2026-01-01T00:00:00Z","context":{"traits":{"email":"x","groupId":"deep"},"groupId":"g"}}"#,
    r#"{"groupId":"acc_1","type":"group","userId":"u","sentAt":"2026-01-01T00:00:00.000Z","traits":{"plan":"team","mrr":655},"context":{"groupId":"acc_2"}}"#,
    r#"{"type":"page","name":"Home","userId":"u","anonymousId":"a","timestamp":"2026-01-01T00:00:00.000+02:00","properties":{"org":{"id":42},"account_id":""}}"#,
    r#"{"type":"screen","anonymousId":"a","originalTimestamp":"2026-01-01T00:00:00.000Z","properties":null,"context":null}"#,
    r#"{"type":"alias","userId":"u","previousId":"p","timestamp":"2026-01-01T00:00:00.000Z","unknown":[[[[]]]],"version":2}"#,
    r#"{"type":"track","event":"\u00e9","userId":"u","timestamp":"2026-01-01T00:00:00.000Z","context":{"group\u0049d":"x","groupId":"y"}}"#,
];

/// Names of members that mean something, and some that nearly do.
const NAMES: [&str; 28] = [
    "type",
    "messageId",
    "userId",
    "anonymousId",
    "previousId",
    "groupId",
    "event",
    "name",
    "timestamp",
    "originalTimestamp",
    "sentAt",
    "receivedAt",
    "context",
    "properties",
    "traits",
    "context",
    "properties",
    "traits",
    "account_id",
    "org",
    "id",
    "",
    "Type",
    "typ",
    "user\\u0049d",
    "typ\\u0065",
    "\u{fc}",
    "a\\\"b",
];

/// Pieces of text between quotes, right and wrong ones.
const TEXTS: [&str; 40] = [
    "track",
    "track",
    "identify",
    "group",
    "page",
    "screen",
    "alias",
    "2026-02-01T13:28:22.000Z",
    "2026-02-01T13:28:22Z",
    "2026-02-30T13:28:22Z",
    "1999-02-01 13:28:22",
    "1767225600",
    "acc_b5e0071f16dad543",
    "u",
    "",
    " ",
    "Größe",
    "日本語のテキスト",
    "\u{1f600}",
    "\\n",
    "\\\"",
    "\\\\",
    "\\\\\\\"",
    "\\u2013",
    "\\ud83d\\ude00",
    "\\ud83d",
    "\\udc00x",
    "\\ud83d\\u0041",
    "\\u00",
    "\\u00zz",
    "\\x",
    "\\/\\b\\f\\r\\t",
    "{}[],:",
    "null",
    "\u{7f}",
    "\u{1}",
    "\t",
    "\u{2028}",
    "exactly sixty-three bytes, so that what follows crosses a block",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0",
];

/// Values without quotes, right and wrong ones.
const BARE: [&str; 40] = [
    "null",
    "null",
    "true",
    "false",
    "0",
    "-0",
    "7",
    "-7",
    "42",
    "1e3",
    "1E+3",
    "-1.5e-3",
    "0.0",
    "1.0",
    "100000000000000000",
    "123456789012345678",
    "1234567890123456789",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "-9223372036854775809",
    "-12345678901234567",
    "123456789012345678901234567890",
    "1e999",
    "-1e999",
    "1e-999",
    "01",
    "-",
    "+1",
    "1.",
    ".5",
    "1e",
    "1e+",
    "nul",
    "nulL",
    "tru",
    "falsy",
    "NaN",
    "Infinity",
    "",
];

/// A line of any kind.
pub fn line(dice: &mut Dice) -> Vec<u8> {
    let mut line = match dice.below(8) {
        0..3 => made_up(dice).into_bytes(),
        3 => dice.of(&ORDINARY).as_bytes().to_vec(),
        _ => {
            let mut line = if dice.one_in(3) { made_up(dice) } else { dice.of(&ORDINARY).to_owned() }.into_bytes();
            for _ in 0..=dice.below(3) {
                broken(&mut line, dice);
            }
            line
        }
    };
    if dice.one_in(20) {
        line.extend_from_slice(dice.of(&[&b"\n"[..], b"\r\n", b" ", b"\t ", b"x", b"}", b"\x0c", b"\0"]));
    }
    line
}

fn made_up(dice: &mut Dice) -> String {
    let mut line = String::new();
    // Most are right but for one thing, else hardly any would be taken.
    let wrong = if dice.one_in(2) { 1_000_000 } else { 8 + dice.below(60) };
    if dice.one_in(4) {
        line.push_str(r#"{"type":"track","userId":"u","event":"E","timestamp":"2026-02-01T13:28:22.000Z","#);
        let rest = object(dice, 0, wrong);
        line.push_str(rest.get(1..).filter(|rest| rest.len() > 1).unwrap_or("\"x\":1}"));
    } else if dice.one_in(50) {
        value(&mut line, dice, 0, wrong);
    } else {
        line.push_str(&object(dice, 0, wrong));
    }
    line
}

pub fn object(dice: &mut Dice, depth: usize, wrong: usize) -> String {
    let mut text = String::from("{");
    space(&mut text, dice, wrong);
    let most = if depth == 0 { 18 } else { 6 };
    for number in 0..dice.below(most) {
        if number > 0 || dice.one_in(wrong * 4) {
            text.push_str(if dice.one_in(wrong * 8) { ";" } else { "," });
            space(&mut text, dice, wrong);
        }
        let name = name(dice, wrong);
        text.push('"');
        text.push_str(name);
        text.push('"');
        space(&mut text, dice, wrong);
        text.push_str(if dice.one_in(wrong * 8) { "" } else { ":" });
        space(&mut text, dice, wrong);
        match name {
            "context" | "properties" | "traits" | "org" if !dice.one_in(5) && depth < 6 => {
                text.push_str(&object(dice, depth + 1, wrong));
            }
            _ => value(&mut text, dice, depth + 1, wrong),
        }
        space(&mut text, dice, wrong);
    }
    if dice.one_in(wrong * 8) {
        text.push(',');
    }
    text.push_str(if dice.one_in(wrong * 8) { "]" } else { "}" });
    text
}

fn name(dice: &mut Dice, wrong: usize) -> &'static str {
    let name = dice.of(&NAMES);
    // Escapes in names are taken by nobody; not too many of them.
    if name.contains('\\') && wrong > 1000 && !dice.one_in(6) { "id" } else { name }
}

fn text(dice: &mut Dice, wrong: usize) -> &'static str {
    let text = dice.of(&TEXTS);
    let bad = text.contains('\u{1}') || text.contains('\t') || ["\\u00", "\\u00zz", "\\x"].contains(&text);
    if bad && !dice.one_in(wrong) { "plain" } else { text }
}

fn value(text_: &mut String, dice: &mut Dice, depth: usize, wrong: usize) {
    match dice.below(10) {
        0..5 => {
            text_.push('"');
            for _ in 0..1 + dice.below(3) * dice.below(2) {
                text_.push_str(text(dice, wrong));
            }
            text_.push('"');
        }
        5..8 => {
            let place = if dice.one_in(wrong) { dice.below(BARE.len()) } else { dice.below(26) };
            text_.push_str(BARE[place]);
        }
        8 if depth < 6 => text_.push_str(&object(dice, depth, wrong)),
        9 if dice.one_in(200) => {
            // Deep, to both sides of every limit.
            let depth = dice.of(&[60, 61, 62, 63, 64, 65, 66, 126, 127, 128, 129, 300]);
            let (open, close) = dice.of(&[("[", "]"), ("{\"a\":", "}")]);
            text_.push_str(&open.repeat(depth));
            text_.push('1');
            text_.push_str(&close.repeat(if dice.one_in(8) { depth - 1 } else { depth }));
        }
        _ => {
            text_.push('[');
            space(text_, dice, wrong);
            for number in 0..if depth < 6 { dice.below(4) } else { 0 } {
                if number > 0 {
                    text_.push(',');
                    space(text_, dice, wrong);
                }
                value(text_, dice, depth + 1, wrong);
                space(text_, dice, wrong);
            }
            text_.push(']');
        }
    }
}

fn space(text: &mut String, dice: &mut Dice, wrong: usize) {
    if dice.one_in(12) {
        text.push_str(dice.of(&[" ", "  ", "                                                                 "]));
    }
    if dice.one_in(wrong * 2) {
        text.push_str(dice.of(&["\t", "\r", "\u{b}", "\u{a0}", "\0", "/**/"]));
    }
}

/// One thing about a line is changed.
fn broken(line: &mut Vec<u8>, dice: &mut Dice) {
    let place = dice.below(line.len());
    let special = |dice: &mut Dice| dice.of(b"\"\"\"\\\\{}[]:,  ntf0-.eEu\n\t\x00\x1f\x20\x7f\x80\xc3\xff");
    match dice.below(9) {
        0 if !line.is_empty() => line[place] ^= 1 << dice.below(8),
        1 if !line.is_empty() => line[place] = special(dice),
        2 => line.truncate(place),
        3 => {
            let byte = special(dice);
            line.insert(place, byte);
        }
        4 if !line.is_empty() => drop(line.remove(place)),
        5 => {
            let end = (place + dice.below(12)).min(line.len());
            line.drain(place..end);
        }
        6 => {
            // A piece of another line.
            let other = dice.of(&ORDINARY).as_bytes();
            let start = dice.below(other.len());
            let end = (start + dice.below(80)).min(other.len());
            line.splice(place..place, other[start..end].iter().copied());
        }
        7 => {
            // Text put where text may stand: at a quote.
            let quotes: Vec<usize> = (0..line.len()).filter(|place| line[*place] == b'"').collect();
            if !quotes.is_empty() {
                let place = dice.of(&quotes) + 1;
                let text = dice.of(&TEXTS);
                line.splice(place..place, text.bytes());
            }
        }
        _ => {
            let end = (place + dice.below(40)).min(line.len());
            let again = line[place..end].to_vec();
            line.splice(end..end, again);
        }
    }
}
