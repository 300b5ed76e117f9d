//! What a message says, and that no text of anybody's breaks it.

use crate::support;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use vitalsync_core::alert::{Alert, What};
use vitalsync_core::{Day, Timestamp};
use vitalsync_slack::render;

#[test]
fn a_message_of_several_has_room_for_a_line_of_each_and_says_that_others_follow() {
    let long = |n: usize| Alert {
        occasion: n.to_string(),
        name: format!("<{n}> {}", "Söhne & ".repeat(90)),
        ..support::alert()
    };
    let several = |before: usize, of: usize| {
        let alerts = (0..render::TOGETHER).map(long).collect();
        let what = What::Many { alerts, kind: "daily".into(), before, of };
        render::message(&Alert { what, rule: String::new(), account: String::new(), ..support::alert() })
    };
    let message = several(0, 1000);
    assert!(message.text.starts_with("Daily digest: 1000 alerts, first of all: &lt;0&gt; Söhne"), "{}", message.text);
    let blocks: Vec<Json> = serde_json::from_str(&message.blocks).unwrap();
    let lengths: Vec<usize> =
        blocks.iter().map(|block| block["text"]["text"].as_str().unwrap().encode_utf16().count()).collect();
    assert!(
        blocks.len() < 10 && lengths.iter().all(|length| *length <= 3_000) && lengths.iter().sum::<usize>() < 12_000
    );
    assert_eq!(message.blocks.matches("• *").count(), render::TOGETHER, "none is left out");
    assert!(message.blocks.contains("… and 950 more, which follow"), "{}", message.blocks);
    let last = several(950, 1000);
    assert!(last.text.starts_with("Daily digest: 1000 alerts, 951 to 1000, first of all"), "{}", last.text);
    assert!(!last.blocks.contains("which follow"));
}

#[test]
fn a_templates_text_stands_for_header_and_figures() {
    let body = "*Acme* fell &amp; <https://x.example|open>".to_owned();
    let links =
        vec![("CRM".to_owned(), "https://crm.example/1?a=b&c".to_owned()), ("x".to_owned(), "bad|<link".to_owned())];
    let message = render::message(&Alert { body: Some(body.clone()), links, ..support::alert() });
    let blocks: Vec<Json> = serde_json::from_str(&message.blocks).unwrap();
    assert_eq!(blocks[0]["text"]["text"], body);
    assert_eq!(
        blocks[1]["text"]["text"],
        "*Look at*  <https://crm.example/1?a=b&amp;c|CRM>  ·  `vitalsync explain acme`"
    );
    assert_eq!(blocks.len(), 3);
    let long = Alert { body: Some("<https://x|y> &amp; ".repeat(2_000)), ..support::alert() };
    let blocks: Vec<Json> = serde_json::from_str(&render::message(&long).blocks).unwrap();
    for text in blocks.iter().filter_map(|block| block["text"]["text"].as_str()) {
        assert!(
            text.encode_utf16().count() <= 3_000 && text.matches('<').count() == text.matches('>').count(),
            "{text}"
        );
    }
}

#[test]
fn the_message_reads_well_and_smuggles_nothing_in() {
    let message = render::message(&support::alert());
    assert_eq!(
        message.text,
        "Acme &amp; Söhne &lt;!channel&gt;'s health fell 23 points in 7 days: 63 → 40\n\
         • Report Shared: 2, was 14\n• 3 of 5 users stopped &gt; quoted"
    );
    let mrkdwn = |text: &str| json!({ "type": "mrkdwn", "text": text, "verbatim": true });
    let blocks: Json = serde_json::from_str(&message.blocks).unwrap();
    assert_eq!(
        blocks,
        json!([
            { "type": "header", "text": {
                "type": "plain_text", "emoji": false,
                "text": "Acme &amp; Söhne &lt;!channel&gt;'s health fell 23 points in 7 days",
            } },
            { "type": "section", "fields": [
                mrkdwn("*Health now*\n40"),
                mrkdwn("*Health before*\n63 on 5 Aug 2026"),
                mrkdwn("*Band*\nat risk"),
                mrkdwn("*Last active*\n<!date^1785844800^{date}|4 Aug 2026> (9 days ago)"),
            ] },
            { "type": "section", "text": mrkdwn("*Why*\n• Report Shared: 2, was 14\n• 3 of 5 users stopped &gt; quoted") },
            { "type": "section", "text": mrkdwn("*Look at*  `vitalsync explain acme`") },
            { "type": "context", "elements": [mrkdwn("Rule score_drop: 15 or more points within 7 days · account acme")] },
        ])
    );
    let bare = Alert {
        name: " ".into(),
        band: None,
        reasons: vec![],
        last_active: None,
        what: What::Moved { from_score: 41.0, from_day: Day(20_670), threshold: 15.0, within_days: 1 },
        score: Some(40.4),
        ..support::alert()
    };
    let message = render::message(&bare);
    assert_eq!(message.text, "acme's health fell 1 point in 1 day: 41 → 40");
    assert!(
        message.blocks.contains("never seen")
            && !message.blocks.contains("*Band*")
            && !message.blocks.contains("*Why*")
    );
}

#[test]
fn what_is_not_about_the_scores_course_is_said_as_it_is() {
    let said = |said: &str| Alert {
        what: What::Said { said: said.into() },
        score: None,
        band: None,
        reasons: vec![],
        ..support::alert()
    };
    let message = render::message(&said("is now one of <vips>"));
    assert_eq!(message.text, "Acme &amp; Söhne &lt;!channel&gt; is now one of &lt;vips&gt;");
    assert!(!message.blocks.contains("Health") && message.blocks.contains("Rule score_drop · account acme"));
    let stopped = Alert { what: What::Stopped { source: "product".into() }, ..said("") };
    let message = render::message(&stopped);
    assert_eq!(message.text, "No data from product: health stands still until it is back");
    assert!(message.blocks.contains("Last received") && message.blocks.contains("Rule score_drop · source product"));
    let rose = Alert { score: Some(80.0), reasons: vec![], ..support::alert() };
    let headline = "Acme &amp; Söhne &lt;!channel&gt;'s health rose 17 points in 7 days: 63 → 80";
    assert_eq!(render::message(&rose).text, headline);
}

#[test]
fn text_is_cut_between_characters_and_never_within_an_entity() {
    assert_eq!(render::escaped("a & b", 9), "a &amp; b");
    assert_eq!(render::escaped("a & b", 8), "a &amp;…");
    assert_eq!(render::escaped("a & b", 7), "a …");
    assert_eq!(render::escaped("a\u{202e}b\u{0}c\n\td", 9), "abc d");
    assert_eq!(render::escaped("😀😀", 3), "😀…");
    assert_eq!(render::escaped("x", 0), "");
}

proptest! {
    // Few, because the texts are long.
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_message_keeps_every_limit(
        name in "\\PC{0,200}|[&<>]{0,200}|(😀){0,200}",
        reasons in proptest::collection::vec("\\PC{0,450}|[&<>\n]{0,500}", 0..20),
        rule in "\\PC{0,400}",
        band in proptest::option::of("\\PC{0,400}"),
        scores in any::<(Option<f64>, f64, i32, i32)>(),
        said in proptest::option::of("\\PC{0,300}|[&<>]{0,200}"),
        times in any::<(Option<i64>, i64)>(),
    ) {
        let alert = Alert {
            name, reasons, rule, band,
            account: "<&>".repeat(500),
            score: scores.0,
            what: match said {
                Some(said) => What::Said { said },
                None => What::Moved { from_score: scores.1, from_day: Day(scores.3), threshold: 15.0, within_days: scores.2 },
            },
            last_active: times.0.map(Timestamp),
            at: Timestamp(times.1),
            ..support::alert()
        };
        let message = render::message(&alert);
        let length = |text: &str| text.encode_utf16().count();
        prop_assert!(length(&message.text) <= 4_000 && !message.text.is_empty());
        let blocks: Json = serde_json::from_str(&message.blocks).unwrap();
        let mut texts: Vec<(&str, usize)> = vec![(&message.text, 4_000)];
        for block in blocks.as_array().unwrap() {
            match block["type"].as_str().unwrap() {
                "header" => texts.push((block["text"]["text"].as_str().unwrap(), 150)),
                "context" => texts.extend(block["elements"].as_array().unwrap().iter().map(|one| (one["text"].as_str().unwrap(), 2_000))),
                _ => {
                    texts.extend(block["text"]["text"].as_str().map(|text| (text, 3_000)));
                    let fields = block["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
                    prop_assert!(fields.len() <= 10);
                    texts.extend(fields.iter().map(|one| (one["text"].as_str().unwrap(), 2_000)));
                }
            }
        }
        prop_assert!(texts.iter().skip(1).map(|(text, _)| length(text)).sum::<usize>() < 12_000);
        for (text, limit) in texts {
            prop_assert!((1..=limit).contains(&length(text)), "{} of {limit}", length(text));
            // The only markup is our own date; every `&` begins a whole entity.
            let text = text.replace("<!date^", "").replace("^{date}|", "").replacen("> (", " (", 1);
            let text = if text.starts_with("*Last active*") { text.replace('>', "") } else { text };
            prop_assert!(!text.contains(['<', '>']), "{:?}", text);
            for (at, _) in text.match_indices('&') {
                let rest = &text[at..];
                prop_assert!(["&amp;", "&lt;", "&gt;"].iter().any(|entity| rest.starts_with(entity)), "{:?}", rest);
            }
        }
    }
}
