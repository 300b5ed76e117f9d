//! What a profile can say beside plain weights, and what is wrong with it.

use vitalsync_core::Day;
use vitalsync_core::component::{Combine, Component, Reads, Whose};
use vitalsync_core::model::{Band, Per, Profile};

use super::{faults, read};

fn profile(rest: &str) -> String {
    format!("profiles:\n  - events: {{ Report Shared: 9 }}\n{rest}")
}

#[test]
fn wildcards_are_sorted_by_what_goes_first() {
    let text = "\
profiles:
  - name: a
    events: { \"*\": 1, \"Report *\": 3, Report Shared: 9, Report Draft: 0, \"Debug *\": 0, Logged In: 0.25 }
  - { name: b, extends: a, events: { \"Report *\": 4 } }
  - { name: c, events: { A: 1, B: 0 } }
";
    let model = read(text).model;
    let wild = |index: usize| -> Vec<(&str, i64)> {
        model.profiles[index].wildcards.iter().map(|(name, weight)| (name.text(), *weight)).collect()
    };
    let others = [("Report Draft", 0), ("Report *", 3_000_000), ("Debug *", 0), ("*", 1_000_000)];
    assert_eq!(wild(0), others);
    assert_eq!(wild(1)[1], ("Report *", 4_000_000));
    assert_eq!(wild(2), [], "nothing would score what is excluded");
    assert_eq!(model.profiles[0].weight("Logged In"), 250_000);
    assert_eq!(model.profiles[0].weight("Debug On"), 0);
}

#[test]
fn a_trait_that_is_read_as_unlike_kinds_is_worth_a_warning() {
    let text = "\
profiles:
  - name: a
    for: traits.tier in [\"gold\", \"silver\"]
    events: { A: 1, B: 2, C: 3, D: 4, E: 5 }
    per: { seat: traits.seats }
    components:
      pulse: { from: traits.pulse, range: [0, 10], weight: 10 }
      nps: { from: users.traits.pulse, range: [0, 10], weight: 10 }
      mood: { from: traits.mood, map: { good: 1, bad: 0 }, weight: 10 }
segments:
  happy: traits.pulse == \"green\" || traits.mood == 3
  large: traits.seats >= 50
  same: traits.other == traits.pulse
  gold: 2 < traits.tier
  all: traits.seats == true
";
    let linted: Vec<String> = read(text)
        .linted()
        .iter()
        .map(|fault| format!("{}:{} {}", fault.place.line, fault.place.column, fault.message))
        .collect();
    assert_eq!(
        linted,
        [
            "11:10 `traits.pulse` is read as text here and as a number in line 7: no value is both",
            "14:9 `traits.tier` is read as a number here and as text in line 3: no value is both",
            "15:8 `traits.seats` is read as true or false here and as a number in line 5: no value is both",
        ]
    );
}

#[test]
fn weights_windows_and_wildcards_that_can_not_be() {
    let text = "\
profiles:
  - name: a
    window: 0d
    events: { A: -1, B: 10.5, \"E *\": { where: has(properties.x), weight: 1 } }
  - { name: b, events: { \"*\": 0 } }
  - { name: c, window: 12h, events: { A: 1 } }
";
    assert_eq!(
        faults(text),
        [
            "3:13 the window must be at least one whole day, found the text `0d`",
            "4:18 expected a weight from 0 to 10 (0 excludes the event), found -1",
            "4:25 expected a weight from 0 to 10 (0 excludes the event), found 10.5",
            "4:31 a condition is asked of one event: `E *` may stand for several; name the event in full",
            "5:5 profile `b` scores no event",
            "6:24 the window must be at least one whole day, found the text `12h`",
            "6 errors",
        ]
    );
    assert_eq!(
        faults("profiles:\n  - { events: { A: .nan, B: -.inf, C: 1e999, D: 11 }, window: .inf }\n"),
        [
            "2:20 expected a weight from 0 to 10 (0 excludes the event), found the text `.nan`",
            "2:29 expected a weight from 0 to 10 (0 excludes the event), found the text `-.inf`",
            "2:39 expected a weight from 0 to 10 (0 excludes the event), found the text `1e999`",
            "2:49 expected a weight from 0 to 10 (0 excludes the event), found 11",
            "2:63 expected the window as one number and one unit (30m, 12h, 7d, 1mo), found the text `.inf`",
            "5 errors",
        ]
    );
    for window in ["3651d", "122mo", "1000000000d"] {
        let said = faults(&profile(&format!("    window: {window}\n")));
        assert!(
            said[0].contains("the window is 3650 days (ten years) at most") && said[0].contains(window),
            "{said:?}"
        );
    }
    for days in ["1d", "90d", "400d", "3650d"] {
        assert_eq!(read(&profile(&format!("    window: {days}\n"))).model.profiles[0].window.to_string() + "d", days);
    }
}

#[test]
fn sizes_groups_and_components_are_read() {
    let text = "\
lifecycle: { trial: traits.plan == \"trial\" }
segments:
  large: traits.seats > 100 || lifecycle.trial
  larger: segments.large && traits.seats > 500
profiles:
  - name: a
    events: { Report Shared: 9 }
    per: { seat: traits.seats }
    benchmark: { refresh: monthly, within: segments.larger }
    components:
      nps: { from: users.traits.nps, range: [0, 10], combine: median, weight: 20, max_age: 180d }
      tickets: { from: traits.support.open, range: [30, 0], weight: 7.5 }
      pulse: { from: traits.csm_pulse, map: { green: 1, yellow: 0.5, red: 0 }, weight: 10 }
  - { name: b, extends: a, per: active_user, benchmark: { within: traits.plan } }
  - { name: c, extends: a, per: account, components: { usage: { weight: 0 }, nps: { from: users.traits.nps, range: [1, 5], weight: 120 } } }
  - { name: d, components: { pulse: { from: traits.pulse, map: { true: 1, false: 0 }, weight: 1 } } }
";
    // Only the weight is out of range; without it all is good.
    assert_eq!(
        faults(text),
        ["15:132 expected a weight from 0 to 100 (0: shown, and counts for nothing), found 120", "1 error"]
    );
    let model = read(&text.replace("120", "100")).model;
    let [a, b, c, d] = model.profiles.as_slice() else { panic!("four profiles") };
    let component = |name: &str, whose, from: &str, reads, weight, max_age| {
        let (name, from) = (name.to_owned(), from.to_owned());
        Component { name, whose, from, reads, weight, max_age }
    };
    let words = |words: &[(&str, f64)]| Reads::Words(words.iter().map(|(a, b)| ((*a).to_owned(), *b)).collect());
    let all = [
        component("nps", Whose::Users(Combine::Median), "nps", Reads::Range(0.0, 10.0), 20.0, Some(180)),
        component("tickets", Whose::Account, "support.open", Reads::Range(30.0, 0.0), 7.5, None),
        component(
            "pulse",
            Whose::Account,
            "csm_pulse",
            words(&[("green", 1.0), ("red", 0.0), ("yellow", 0.5)]),
            10.0,
            None,
        ),
    ];
    assert_eq!((&a.components[..], a.usage_weight), (&all[..], 62.5));
    assert!(matches!(&a.per, Per::Seat(seats) if seats.source() == "traits.seats"));
    let within = |profile: &Profile| profile.within.as_ref().map(|rule| rule.source().to_owned());
    assert_eq!((within(a).as_deref(), within(b).as_deref()), (Some("segments.larger"), Some("traits.plan")));
    assert_eq!((&b.per, &b.components), (&Per::ActiveUser, &a.components));
    assert_eq!((&c.per, c.usage_weight, c.components.len()), (&Per::Account, 0.0, 1));
    assert_eq!(
        (d.usage_weight, d.weights.len(), &d.components[0].reads),
        (0.0, 0, &words(&[("false", 0.0), ("true", 1.0)]))
    );
}

#[test]
fn sizes_and_groups_that_can_not_be() {
    let text = "\
segments:
  busy: users.active > 3
  hidden: segments.busy || traits.x == 1
  young: lifecycle.new
profiles:
  - { name: a, events: { A: 1 }, per: seats, benchmark: { percentile: 0, within: segments.hidden } }
  - { name: b, events: { A: 1 }, per: { seat: traits.seats > 3 }, benchmark: { percentile: 101, within: segments.young } }
  - { name: c, events: { A: 1 }, per: { seats: traits.seats }, benchmark: { fixed: 3, within: traits.plan } }
  - { name: d, events: { A: 1 }, benchmark: { within: health.score > 3 }, bands: { healthy: 30, at_risk: 40 } }
";
    assert_eq!(
        faults(text),
        [
            "6:39 expected by what raw scores are divided, or {seat: traits.seats}: one of account, active_user, found the text `seats`",
            "6:71 a percentile of 0 would make every account perfect; 90 is usual",
            "6:82 `segments.hidden` asks for users.active, which is not known as of a benchmark's own day; use traits, lifecycle rules, or segments over these alone",
            "7:60 expected a number, but `traits.seats > 3` gives true or false",
            "7:92 expected a percentile above 0, up to 100, found 101",
            "7:105 `segments.young` asks for lifecycle.new, which is not known as of a benchmark's own day; use traits, lifecycle rules, or segments over these alone",
            "8:39 per: `seat` is missing (the number of seats, such as traits.seats)",
            "8:41 unknown key `seats` in per; did you mean `seat`?",
            "8:95 a fixed benchmark is the same for all: leave out `fixed` or `within`",
            "9:5 bands: at_risk (40) must not be above healthy (30)",
            "9:55 unknown name `health.score`; known: account, segments.busy, segments.hidden, segments.young, traits.NAME",
            "11 errors",
        ]
    );
}

#[test]
fn components_that_can_not_be() {
    let text = "\
profiles:
  - name: a
    events: { A: 1 }
    components:
      one: { from: nps, range: [0, 10], weight: 1 }
      two: { from: traits.x, range: [5, 5], weight: -1 }
      three: { from: traits.x, range: [1], weight: 1, combine: mean }
      four: { from: users.traits.x, map: { a: 2 }, range: [1, 2], weight: 1, combine: average }
      five: { from: traits.x, map: { a: 1.5 }, weight: 1, max_age: 0d, ranges: [1, 2] }
      six: { from: traits., map: {}, weight: .5 }
      seven: { weight: 1 }
      8x: { from: traits.x, range: [0, 1], weight: 1 }
      usage: { weight: 5, from: traits.x }
  - { name: b, events: { A: 1 }, components: { x: { from: traits.x, range: [0, 1], weight: 100 } } }
  - { name: c, events: { A: 1 }, components: { x: { from: traits.x, range: [0, 1], weight: 0 }, usage: { weight: 0 } } }
  - { name: d, components: { usage: { weight: 50 } } }
  - { name: e, events: { A: 1 }, components: {} }
";
    let faults = faults(text);
    for fault in [
        "5:20 `nps` is no trait; traits.NAME is the account's own, users.traits.NAME that of its users",
        "6:37 the ends of a range differ: the worst value and the best",
        "6:53 expected a weight from 0 to 100 (0: shown, and counts for nothing), found -1",
        "7:39 expected a range as [worst, best], such as [0, 10] or [30, 0]",
        "7:64 an account's trait has one value; leave `combine` out, or take users.traits.NAME",
        "8:13 component four: either a `range` of numbers or a `map` of words",
        "8:87 expected how the users' values become one: one of mean, min, max, median, latest, found the text `average`",
        "9:41 expected a share from 0, the worst, to 1, the best, found 1.5",
        "9:68 how long a value counts must be at least one whole day, found the text `0d`",
        "9:72 unknown key `ranges` in component five; did you mean `range`?",
        "10:20 `traits.` is no trait; traits.NAME is the account's own, users.traits.NAME that of its users",
        "10:34 expected words with their shares, as {green: 1, yellow: 0.5, red: 0}",
        "11:14 component seven: `from` is missing (a trait, as traits.NAME or users.traits.NAME)",
        "11:14 component seven: either a `range` of numbers or a `map` of words",
        "12:7 the name of a component begins with a letter and has letters, digits, `_` and `-`, found `8x`",
        "13:27 unknown key `from` in component usage; known here: weight",
        "14:46 the weights of the components add up to 100 and leave nothing of 100 for usage; give it its own, as usage: {weight: 70}; 0 leaves it out",
        "15:46 no component has a weight above 0",
        "16:28 usage has a weight, but no event is scored: give it 0, or score `events`",
        "17:46 components: expected at least one, such as nps: {from: users.traits.nps, …}",
    ] {
        assert!(faults.iter().any(|found| found == fault), "{fault}\nis not in {faults:#?}");
    }
    assert_eq!(faults.len(), 21, "{faults:#?}");
}

#[test]
fn stages_and_a_persons_word_are_read() {
    let text = "\
accounts: { aliases: { acme-old: acme } }
lifecycle:
  churned: { when: has(traits.cancelled_at), date: traits.cancelled_at }
  customer: traits.plan == \"team\"
overrides:
  - { account: acme, band: at_risk, reason: the sponsor left, until: 2026-12-31 }
";
    let model = read(text).model;
    assert!(model.churned().is_some_and(|rule| rule.source() == "has(traits.cancelled_at)"));
    assert!(model.churned_on.as_ref().is_some_and(|date| date.source() == "traits.cancelled_at"));
    assert_eq!((model.new_days, model.lifecycle.len()), (14, 2));
    let [stated] = model.overrides.as_slice() else { panic!("one override") };
    assert_eq!(
        (stated.account.as_str(), stated.band, stated.until),
        ("acme", Band::AtRisk, Day::parse("2026-12-31").unwrap())
    );
    for (new, days) in [("off", 0), ("0", 0), ("{ days: 30 }", 30), ("{ days: 0 }", 0), ("false", 0), ("7", 7)] {
        let model = read(&format!("lifecycle:\n  new: {new}\n  churned: has(traits.gone)\n")).model;
        assert_eq!((model.new_days, model.churned_on.is_none(), model.lifecycle.len()), (days, true, 1), "{new}");
    }
    // Also in rules, whatever stages there are.
    read("segments: { fresh: lifecycle.new && health.score > 30 }\n");
}

#[test]
fn stages_and_words_that_can_not_be() {
    let text = "\
accounts: { aliases: { acme-old: acme } }
lifecycle:
  new: traits.age < 14
  trial: { when: traits.plan == \"trial\", date: traits.x }
  churned: { whn: has(traits.x), date: traits.x == 1 }
overrides:
  - { account: acme-old, band: red, reason: \" \", until: soon }
  - { account: x, band: healthy, reason: y, until: 2026-01-01 }
  - { account: x, band: normal, reason: y, untill: 2026-01-01, until: 2026-02-30 }
";
    assert_eq!(
        faults(text),
        [
            "3:8 expected for how many days from its start an account is new, from 0 to 3650, found the text `traits.age < 14`; an account is new by its age: {days: 14}, or off; a rule has another name",
            "4:42 unknown key `date` in lifecycle.trial; known here: when",
            "5:12 lifecycle.churned: `when` is missing (the rule)",
            "5:14 unknown key `whn` in lifecycle.churned; did you mean `when`?",
            "5:40 expected the day on which it left, but `traits.x == 1` gives true or false",
            "7:16 `acme-old` is an old id: `accounts.aliases` counts it as `acme`; write `acme`",
            "7:32 expected a band: one of healthy, normal, at_risk, found the text `red`",
            "7:45 an override has a reason: say why",
            "7:57 expected a day such as 2026-12-31, found the text `soon`",
            "9:44 unknown key `untill` in an override; did you mean `until`?",
            "9:71 expected a day such as 2026-12-31, found the text `2026-02-30`",
            "11 errors",
        ]
    );
}
