//! The test vectors of the model file, each from lines of JSON through the public door to the figure; and two laws: a score
//! is within 1–100, and never falls when a count or a weight rises.

#[path = "vectors/activation.rs"]
mod activation;
#[path = "vectors/features.rs"]
mod features;
mod feed;
#[path = "vectors/users.rs"]
mod users;

use feed::{file, time};
use proptest::prelude::*;
use vitalsync_core::Day;
use vitalsync_core::evaluate::{Account, Evaluation, evaluate};
use vitalsync_core::health::{CURVE, score, shown};
use vitalsync_core::model::{Band, Bands, Benchmark, Checklist, Done, MICRO, Model, Profile, Refresh, Step};

/// A Monday; windows of 30 days that end here begin on 2026-07-12.
const LAST: &str = "2026-08-10";
const AT: &str = "2026-08-10T23:59:59Z";

/// Tracks: account, user, event, day, how often.
type Tracks<'a> = &'a [(&'a str, &'a str, &'a str, &'a str, u32)];

fn lines(tracks: Tracks<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for (account, user, event, day, count) in tracks {
        for _ in 0..*count {
            lines.push(format!(
                r#"{{"type":"track","messageId":"m{}","userId":"{user}","event":"{event}","context":{{"groupId":"{account}"}},"timestamp":"{day}T10:00:00.000Z","receivedAt":"{day}T10:00:01.000Z"}}"#,
                lines.len()
            ));
        }
    }
    lines
}

fn profile(weights: &[(&str, f64)], window: i32, refresh: Refresh) -> Profile {
    Profile {
        name: "main".into(),
        window,
        weights: weights.iter().map(|(event, weight)| ((*event).to_owned(), (weight * MICRO as f64) as i64)).collect(),
        benchmark: Benchmark { percentile: 90.0, refresh },
        ..Profile::default()
    }
}

fn of(profile: Profile) -> Model {
    Model { profiles: vec![profile], ..Model::default() }
}

fn seen(lines: &[String], model: &Model, at: &str) -> Evaluation {
    let filed = file([lines.iter().map(String::as_str).collect()], model);
    evaluate(&filed.usage, &filed.ids, model, time(at), 7)
}

fn only(tracks: Tracks<'_>, model: &Model, at: &str) -> Account {
    let mut accounts = seen(&lines(tracks), model, at).accounts;
    assert_eq!(accounts.len(), 1);
    accounts.remove(0)
}

fn day(back: i32) -> String {
    Day::parse(LAST).unwrap().plus(-back).to_string()
}

fn close(got: Option<f64>, want: f64, what: &str) {
    assert!(got.is_some_and(|got| (got - want).abs() < 1e-9), "{what}: {got:?} instead of {want}");
}

#[test]
fn raw_is_the_sum_of_counts_times_weights() {
    let model = of(profile(&[("A", 9.0), ("B", 7.0), ("C", 5.0), ("D", 3.0), ("E", 1.0)], 30, Refresh::Fixed(208.0)));
    let first: Tracks<'_> =
        &[("a", "u", "A", LAST, 3), ("a", "v", "B", "2026-08-01", 5), ("a", "u", "C", "2026-07-12", 10)];
    let more: Tracks<'_> = &[("a", "w", "D", LAST, 20), ("a", "w", "E", LAST, 15), ("a", "w", "Unscored", LAST, 99)];
    for (tracks, raw) in [(first.to_vec(), 112.0), ([first, more].concat(), 187.0)] {
        let account = only(&tracks, &model, AT);
        close(account.health.raw, raw, "raw");
        close(account.health.score, score(raw, 208.0, CURVE), "score");
    }
}

#[test]
fn a_window_is_its_days_that_are_over() {
    let model = of(profile(&[("A", 1.0)], 30, Refresh::Fixed(208.0)));
    let tracks: Tracks<'_> =
        &[("a", "u", "A", "2026-07-11", 1), ("a", "u", "A", "2026-07-12", 10), ("a", "u", "A", LAST, 100)];
    for (at, raw) in [
        (AT, 110.0),
        ("2026-08-10T23:59:58Z", 11.0),
        ("2026-08-11T00:00:00Z", 110.0),
        ("2026-08-11T23:59:59Z", 100.0),
        ("2026-09-08T23:59:59Z", 100.0),
        ("2026-09-09T23:59:59Z", 0.0),
    ] {
        close(only(tracks, &model, at).health.raw, raw, at);
    }
    let silent = only(tracks, &model, "2026-09-12T23:59:59Z");
    assert_eq!((silent.health.score, silent.health.band), (Some(1.0), Some(Band::AtRisk)), "raw 0 is score 1");
}

#[test]
fn an_account_without_any_event_has_no_score() {
    let group = r#"{"type":"group","messageId":"g","userId":"u","groupId":"a","timestamp":"2026-08-01T00:00:00Z"}"#;
    let evaluation = seen(&[group.to_owned()], &of(profile(&[("A", 1.0)], 30, Refresh::EveryRun)), AT);
    let health = &evaluation.accounts[0].health;
    assert_eq!((health.raw, health.score, health.band, health.change_7d), (None, None, None, None));
    assert!(evaluation.benchmarks.is_empty());
}

#[test]
fn the_curve_against_a_benchmark_of_208() {
    let model = of(profile(&[("A", 1.0)], 30, Refresh::Fixed(208.0)));
    for (raw, value) in [(1, 1.1), (13, 13.6), (37, 34.6), (101, 71.9), (149, 88.0), (223, 100.0)] {
        let health = only(&[("a", "u", "A", LAST, raw)], &model, AT).health;
        let before_the_shift = (health.score.unwrap() - 1.0) / 99.0 * 100.0;
        assert!((before_the_shift - value).abs() < 0.05, "raw {raw}: {before_the_shift} instead of {value}");
    }
    assert_eq!([1.0, 14.4999, 14.5, 99.5, 100.0].map(shown), [1, 14, 15, 100, 100], "rounded half up");
}

#[test]
fn the_benchmark_is_the_percentile_of_thirteen_raw_scores() {
    let raws = [475, 89, 101, 7, 3, 21, 2, 149, 223, 1, 13, 9, 37];
    let names: Vec<String> = (0..raws.len() + 1).map(|index| format!("a{index:02}")).collect();
    // The fourteenth account has no scored event and doesn't count.
    let mut tracks = vec![(names[13].as_str(), "u", "Unscored", LAST, 1)];
    tracks.extend(names.iter().zip(raws).map(|(name, raw)| (name.as_str(), "u", "A", LAST, raw)));
    let model = of(profile(&[("A", 1.0)], 30, Refresh::EveryRun));
    let evaluation = seen(&lines(&tracks), &model, AT);
    let peg = evaluation.benchmarks["main"];
    close(Some(peg.raw), 208.2, "benchmark");
    assert_eq!((peg.accounts, peg.is_maximum), (13, false));
    for (account, raw) in evaluation.accounts.iter().zip(raws) {
        close(account.health.score, score(f64::from(raw), 208.2, CURVE), &account.id);
    }
    // With nine of them it is the maximum; with ten the percentile again: 149 + 0.1 × (475 − 149).
    for (count, raw, is_maximum) in [(9, 475.0, true), (10, 248.2, false)] {
        let few: Vec<_> = tracks.iter().take(count + 1).copied().collect();
        let peg = seen(&lines(&few), &model, AT).benchmarks["main"];
        assert_eq!((peg.accounts, peg.is_maximum), (count, is_maximum));
        close(Some(peg.raw), raw, "benchmark of few");
    }
}

#[test]
fn a_benchmark_is_renewed_at_its_calendar_instant() {
    // One account: 10 in June, 20 on 31 July, 40 on Sunday 9 August, 80 on Monday 10 August.
    let tracks: Tracks<'_> = &[
        ("a", "u", "A", "2026-06-30", 10),
        ("a", "u", "A", "2026-07-31", 20),
        ("a", "u", "A", "2026-08-09", 40),
        ("a", "u", "A", "2026-08-10", 80),
    ];
    for (refresh, raw) in [
        (Refresh::Quarterly, 10.0),
        (Refresh::Monthly, 20.0),
        (Refresh::Weekly, 60.0),
        (Refresh::EveryRun, 140.0),
        (Refresh::Fixed(208.0), 208.0),
    ] {
        let peg = seen(&lines(tracks), &of(profile(&[("A", 1.0)], 30, refresh)), AT).benchmarks["main"];
        close(Some(peg.raw), raw, &format!("{refresh:?}"));
    }
    let late: Tracks<'_> = &[("a", "u", "A", "2026-08-09", 40)];
    let peg = seen(&lines(late), &of(profile(&[("A", 1.0)], 30, Refresh::Quarterly)), AT).benchmarks["main"];
    close(Some(peg.raw), 40.0, "no account had raw > 0 then: the run's own day");
}

#[test]
fn active_users_of_all_users() {
    let model = of(profile(&[("A", 1.0)], 30, Refresh::EveryRun));
    for (active, percent) in [(10, 20.0), (40, 80.0)] {
        let users: Vec<String> = (0..50).map(|user| format!("u{user}")).collect();
        let in_window = day(29);
        let (before, long_ago, too_long) = (day(30), day(89), day(90));
        let mut tracks: Vec<_> =
            users[..active].iter().map(|user| ("a", user.as_str(), "A", in_window.as_str(), 1)).collect();
        // The others: a scored event before the window, an unscored one in it, or the oldest that still counts.
        let others = [("A", before.as_str()), ("Unscored", LAST), ("A", long_ago.as_str())];
        let rest = users[active..].iter().zip(others.iter().cycle());
        tracks.extend(rest.map(|(user, (event, day))| ("a", user.as_str(), *event, *day, 1)));
        tracks.push(("a", "gone", "A", too_long.as_str(), 1));
        let account = only(&tracks, &model, AT);
        assert_eq!((account.active_users as usize, account.total_users), (active, 50));
        close(account.active_percent(), percent, "active users");
    }
}

#[test]
fn features_used_of_all_features() {
    let names: Vec<String> = (0..20).map(|feature| format!("F{feature:02}")).collect();
    let weights: Vec<(&str, f64)> = names.iter().map(|name| (name.as_str(), 1.0)).collect();
    let model = of(profile(&weights, 30, Refresh::EveryRun));
    let before = day(30);
    for (used, ever, window, all_time) in [(15, 18, 75.0, 90.0), (5, 5, 25.0, 25.0)] {
        let mut tracks: Vec<_> = names[..used].iter().map(|name| ("a", "u", name.as_str(), LAST, 1)).collect();
        tracks.extend(names[used..ever].iter().map(|name| ("a", "u", name.as_str(), before.as_str(), 1)));
        let account = only(&tracks, &model, AT);
        close(account.adoption_window, window, "in the window");
        close(account.adoption_all_time, all_time, "of all time");
    }
}

#[test]
fn active_days_of_the_windows_days() {
    let model = of(profile(&[("A", 1.0)], 7, Refresh::EveryRun));
    for (active, percent) in [(5, 71), (2, 29)] {
        let days: Vec<String> = (0..active).map(day).collect();
        let mut tracks: Vec<_> = days.iter().map(|day| ("a", "u", "A", day.as_str(), 2)).collect();
        let (idle, before) = (day(6), day(7));
        tracks.extend([("a", "v", "A", LAST, 1), ("a", "u", "Unscored", &idle, 1), ("a", "u", "A", &before, 1)]);
        let account = only(&tracks, &model, AT);
        assert_eq!((account.active_days, account.window_days), (active as u32, 7));
        assert_eq!(shown(f64::from(account.active_days) / f64::from(account.window_days) * 100.0), percent);
    }
}

#[test]
fn steps_done_of_all_steps() {
    for (done, steps, percent) in [(3, 5, 60), (5, 7, 71), (2, 7, 29), (4, 4, 100)] {
        let names: Vec<String> = (0..steps).map(|step| format!("S{step}")).collect();
        let step = |name: &String| Step::new(name, Done::Event { event: name.clone(), count: 2 });
        let activation = vec![Checklist::of(names.iter().map(step).collect())];
        let model = Model { activation, ..of(profile(&[("A", 1.0)], 30, Refresh::EveryRun)) };
        // In any order, once too few for the others, and the second time on the day that counts.
        let days: Vec<String> = (0..steps).map(|step| day(40 + step)).collect();
        let mut tracks: Vec<_> =
            names.iter().zip(&days).map(|(name, day)| ("a", "u", name.as_str(), day.as_str(), 1)).collect();
        let second: Vec<String> = (0..done).map(|step| day(3 * step)).collect();
        tracks.extend(names.iter().zip(&second).map(|(name, day)| ("a", "u", name.as_str(), day.as_str(), 1)));
        let account = only(&tracks, &model, AT);
        assert_eq!((account.activation_percent.map(shown), account.steps_done()), (Some(percent), done as usize));
        let dates: Vec<Option<String>> = account.steps.iter().map(|(_, day)| day.map(|day| day.to_string())).collect();
        assert_eq!(dates[..done as usize], second.iter().cloned().map(Some).collect::<Vec<_>>());
        let activated = (done == steps).then(|| Day::parse(LAST).unwrap());
        assert_eq!(account.activated_at, activated);
    }
}

#[test]
fn a_step_may_be_a_trait_of_the_account_or_of_a_user() {
    let step = |name: &str| Step::new(name, Done::Trait(name.into()));
    let steps = vec![step("domain"), step("role"), step("never")];
    let model = Model { activation: vec![Checklist::of(steps)], ..of(profile(&[("A", 1.0)], 30, Refresh::EveryRun)) };
    let mut told = lines(&[("a", "u", "A", LAST, 1)]);
    told.push(r#"{"type":"group","messageId":"g","userId":"u","groupId":"a","traits":{"domain":"x.org"},"timestamp":"2026-08-02T00:00:00Z"}"#.into());
    told.push(r#"{"type":"identify","messageId":"i","userId":"u","traits":{"role":"admin"},"timestamp":"2026-08-03T00:00:00Z"}"#.into());
    let evaluation = seen(&told, &model, AT);
    let days: Vec<_> = evaluation.accounts[0].steps.iter().map(|(_, day)| day.map(|day| day.to_string())).collect();
    assert_eq!(days, [Some("2026-08-02".to_owned()), Some("2026-08-03".to_owned()), None]);
}

#[test]
fn tenure_from_the_first_of_january_to_the_thirteenth_of_august() {
    let model = of(profile(&[("A", 1.0)], 30, Refresh::EveryRun));
    let at = "2026-08-13T12:00:00Z";
    assert_eq!(only(&[("a", "u", "A", "2026-01-01", 1)], &model, at).tenure_days, Some(224), "since the first event");
    for created in [r#""2026-01-01""#, r#""2026-01-01T08:00:00Z""#, "1767225600", "1767225600000"] {
        let mut told = lines(&[("a", "u", "A", "2026-05-01", 1)]);
        told.push(format!(
            r#"{{"type":"group","messageId":"g","userId":"u","groupId":"a","traits":{{"createdAt":{created}}},"timestamp":"2026-05-01T00:00:00Z"}}"#
        ));
        assert_eq!(seen(&told, &model, at).accounts[0].tenure_days, Some(224), "{created}");
    }
}

#[test]
fn last_active_is_of_any_event_scored_or_not() {
    let model = of(profile(&[("A", 1.0)], 30, Refresh::EveryRun));
    let mut told = lines(&[("a", "u", "A", "2026-08-01", 1), ("a", "u", "Unscored", "2026-08-02", 1)]);
    for (kind, day, found) in [
        ("page", "2026-08-03", "2026-08-03"),
        ("screen", "2026-08-04", "2026-08-04"),
        ("identify", "2026-08-05", "2026-08-04"),
    ] {
        told.push(format!(
            r#"{{"type":"{kind}","messageId":"{kind}","userId":"u","context":{{"groupId":"a"}},"traits":{{"x":1}},"timestamp":"{day}T10:00:00Z"}}"#
        ));
        assert_eq!(
            seen(&told, &model, AT).accounts[0].last_active,
            Some(time(&format!("{found}T10:00:00Z"))),
            "{kind}"
        );
    }
}

#[test]
fn bands_are_half_open_on_the_unrounded_score() {
    let raw = 50;
    let own = score(f64::from(raw), 208.0, CURVE);
    let band = |healthy: f64, at_risk: f64| {
        let bands = Bands { healthy, at_risk, ..Bands::default() };
        let model = of(Profile { bands, ..profile(&[("A", 1.0)], 30, Refresh::Fixed(208.0)) });
        only(&[("a", "u", "A", LAST, raw)], &model, AT).health.band
    };
    assert_eq!(band(own, 1.0), Some(Band::Healthy));
    assert_eq!(band(own.next_up(), 1.0), Some(Band::Normal));
    assert_eq!(band(100.0, own), Some(Band::Normal));
    assert_eq!(band(100.0, own.next_up()), Some(Band::AtRisk));
    let bands = Bands::default();
    assert_eq!((bands.healthy, bands.at_risk, bands.hold_days, bands.hold_points), (70.0, 40.0, 2, 5.0));
}

#[test]
fn a_band_is_held_for_two_days_and_five_points() {
    // A window of one day and a benchmark of 100: each day's count is its raw score.
    let model = of(profile(&[("A", 1.0)], 1, Refresh::Fixed(100.0)));
    let of_raw = |raw: u32| score(f64::from(raw), 100.0, CURVE);
    // 65 → 84.3, 41 → 65.1 (within five points), 40 → 64.1, 27 → 48.8, 25 → 46.1, 24 → 44.7, 5 → 11.9.
    assert!(of_raw(41) > 65.0 && of_raw(40) < 65.0 && of_raw(25) > 45.0 && of_raw(24) < 45.0);
    for (raws, band) in [
        (&[65, 41, 41, 41][..], Band::Healthy),
        (&[65, 40], Band::Healthy),
        (&[65, 40, 41, 40], Band::Healthy),
        (&[65, 40, 40], Band::Normal),
        (&[65, 40, 5], Band::AtRisk),
        (&[5, 24, 24, 24], Band::AtRisk),
        (&[5, 25, 25], Band::Normal),
        (&[5, 25, 65], Band::Healthy),
        (&[27, 65, 5], Band::Normal),
        (&[27, 65, 65], Band::Healthy),
    ] {
        let days: Vec<String> = (0..raws.len()).rev().map(|back| day(back as i32)).collect();
        let tracks: Vec<_> = days.iter().zip(raws).map(|(day, raw)| ("a", "u", "A", day.as_str(), *raw)).collect();
        assert_eq!(only(&tracks, &model, AT).health.band, Some(band), "{raws:?}");
    }
}

#[test]
fn change_is_the_score_now_minus_the_score_then() {
    let model = of(profile(&[("A", 1.0)], 5, Refresh::Fixed(100.0)));
    let (week, month) = (day(7), day(30));
    let account =
        only(&[("a", "u", "A", &month, 80), ("a", "u", "A", &week, 50), ("a", "u", "A", LAST, 10)], &model, AT);
    let of_raw = |raw: f64| score(raw, 100.0, CURVE);
    close(account.health.change_7d, of_raw(10.0) - of_raw(50.0), "7 days");
    close(account.health.change_30d, of_raw(10.0) - of_raw(80.0), "30 days");
    let young = only(&[("a", "u", "A", &week, 50)], &model, AT);
    close(young.health.change_7d, 1.0 - of_raw(50.0), "since its first day");
    assert_eq!(young.health.change_30d, None, "it wasn't there");
    let drop = account.drop_since(Day::parse(&week).unwrap()).unwrap();
    close(Some(drop.points), of_raw(50.0) - of_raw(10.0), "drop within 7 days");
    assert_eq!(drop.day, Day::parse(LAST).unwrap().plus(-3), "of equals the latest");
}

/// Counts of three events by one account among others, weights in millionths, and a benchmark.
fn case() -> impl Strategy<Value = ([u32; 3], [i64; 3], Vec<u32>, Refresh)> {
    let refresh = prop_oneof![Just(Refresh::EveryRun), (1u32..300).prop_map(|raw| Refresh::Fixed(f64::from(raw)))];
    let weights = prop::array::uniform3(1..=10 * MICRO);
    (prop::array::uniform3(0..30u32), weights, prop::collection::vec(0..40u32, 0..14), refresh)
}

fn score_of(counts: [u32; 3], weights: [i64; 3], others: &[u32], refresh: Refresh) -> f64 {
    let mut profile = profile(&[], 30, refresh);
    profile.weights = ["A", "B", "C"].map(str::to_owned).into_iter().zip(weights).collect();
    let names: Vec<String> = (0..others.len()).map(|index| format!("other{index}")).collect();
    let mut tracks = vec![("a", "u", "Unscored", LAST, 1)];
    tracks.extend(["A", "B", "C"].into_iter().zip(counts).map(|(event, count)| ("a", "u", event, LAST, count)));
    tracks.extend(names.iter().zip(others).map(|(name, count)| (name.as_str(), "u", "A", LAST, *count)));
    seen(&lines(&tracks), &of(profile), AT).accounts[0].health.score.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_score_is_within_bounds_and_rises_with_every_count_and_weight(
        (counts, weights, others, refresh) in case(),
        place in 0..3usize,
        more in 1..30u32,
        heavier in 1..5 * MICRO,
    ) {
        let before = score_of(counts, weights, &others, refresh);
        prop_assert!((1.0..=100.0).contains(&before), "{before}");
        let mut raised = counts;
        raised[place] += more;
        let after = score_of(raised, weights, &others, refresh);
        prop_assert!(after >= before - 1e-9, "{more} more took {before} to {after}");
        // Under a benchmark of the accounts themselves a heavier event lifts the others too; under a fixed one only this.
        let fixed = Refresh::Fixed(150.0);
        let before = score_of(counts, weights, &others, fixed);
        let mut raised = weights;
        raised[place] += heavier;
        let after = score_of(counts, raised, &others, fixed);
        prop_assert!((before..=100.0).contains(&after), "{heavier} heavier took {before} to {after}");
        prop_assert!(counts[place] == 0 || before >= 100.0 || after > before, "it didn't rise from {before}");
    }
}
