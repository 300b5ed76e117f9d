//! `per` and `benchmark.within`.

use vitalsync_core::doubt::Doubt;
use vitalsync_core::health::{CURVE, score};
use vitalsync_core::model::{Model, Per, Profile, Refresh};
use vitalsync_core::names::{group_scope, trait_scope};
use vitalsync_core::value::Type;

use crate::{AT, account, close, expr, group, of, seen, used, weighed};

fn per(per: Per, refresh: Refresh) -> Model {
    of(Profile { per, ..weighed(&[("A", 1)], refresh) })
}

fn seats() -> Per {
    Per::Seat(expr("traits.seats", &trait_scope(&[]), Type::Number))
}

#[test]
fn raw_scores_are_divided_by_active_users_and_the_benchmark_with_them() {
    // Of ten accounts each has so many users, and each user did so much.
    let mut lines = Vec::new();
    for (users, each) in (1..=10).zip([5, 1, 9, 2, 7, 3, 8, 4, 6, 10]) {
        for user in 0..users {
            lines.extend(used(&format!("a{users:02}"), &format!("u{users}-{user}"), "A", "2026-08-03", each));
        }
        // Who did nothing that is scored, or that long ago, is not active.
        lines.extend(used(&format!("a{users:02}"), &format!("idle{users}"), "Unscored", "2026-08-03", 1));
        lines.extend(used(&format!("a{users:02}"), &format!("gone{users}"), "A", "2026-07-11", 50));
    }
    let evaluation = seen(&lines, &per(Per::ActiveUser, Refresh::EveryRun), AT);
    // The 90th percentile of 1 to 10 is 9.1.
    close(Some(evaluation.benchmarks["main"].raw), 9.1);
    let a03 = &account(&evaluation, "a03").health;
    close(a03.raw, 27.0);
    close(a03.size, 3.0);
    close(a03.score, score(9.0, 9.1, CURVE));
    close(account(&evaluation, "a10").health.score, 100.0);
    close(account(&evaluation, "a02").health.score, score(1.0, 9.1, CURVE));
    assert!(!evaluation.doubts.iter().any(|doubt| matches!(doubt, Doubt::GoesWithSize { .. })));
    // Under the plain sum the same accounts rank by headcount, and that is said.
    let plain = seen(&lines, &per(Per::Account, Refresh::EveryRun), AT);
    let said = plain.doubts.iter().find_map(|doubt| match doubt {
        Doubt::GoesWithSize { correlation, .. } => Some(*correlation),
        _ => None,
    });
    assert!(said.is_some_and(|rank| rank > 0.7), "{:?}", plain.doubts);
    assert_eq!(account(&plain, "a03").health.size, None);
}

/// Users with ten events each, one of them with a longer pause: for each active one it is ten on every day.
#[test]
fn past_days_are_divided_by_those_who_were_active_then() {
    let mut lines = used("a", "u1", "A", "2026-06-20", 10);
    lines.extend(["u1", "u2", "u3"].iter().flat_map(|user| used("a", user, "A", "2026-07-20", 10)));
    lines.extend(["2026-06-10", "2026-08-18"].iter().flat_map(|day| used("a", "u4", "A", day, 10)));
    let evaluation = seen(&lines, &per(Per::ActiveUser, Refresh::Fixed(20.0)), "2026-08-18T23:59:59Z");
    let health = &account(&evaluation, "a").health;
    close(health.raw, 40.0);
    close(health.score, score(10.0, 20.0, CURVE));
    let recent = &account(&evaluation, "a").recent;
    assert_eq!(recent.len(), 31);
    for (day, value) in recent {
        assert!((value - score(10.0, 20.0, CURVE)).abs() < 1e-9, "{day}: {value}");
    }
    close(health.change_7d, 0.0);
    close(health.change_30d, 0.0);
}

#[test]
fn seats_are_those_of_the_day_and_without_seats_there_is_no_score() {
    let mut lines = Vec::new();
    for (id, seats) in
        [("ten", "10"), ("none", "null"), ("zero", "0"), ("text", "\"10\""), ("below", "-4"), ("later", "10")]
    {
        lines.extend(used(id, &format!("u-{id}"), "A", "2026-08-01", 40));
        lines.push(group(id, &format!(r#"{{"seats":{seats}}}"#), "2026-08-01"));
    }
    lines.extend(used("unsaid", "u-unsaid", "A", "2026-08-01", 40));
    lines.push(group("later", r#"{"seats":20}"#, "2026-08-06"));
    let evaluation = seen(&lines, &per(seats(), Refresh::Fixed(8.0)), AT);
    let health = |id: &str| &account(&evaluation, id).health;
    close(health("ten").score, score(4.0, 8.0, CURVE));
    close(health("later").score, score(2.0, 8.0, CURVE));
    close(health("later").change_7d, score(2.0, 8.0, CURVE) - score(4.0, 8.0, CURVE));
    // More seats are a change of the score, and nobody's fall: edges see the past under the seats of now.
    assert_eq!(account(&evaluation, "later").drop_since(evaluation.over.plus(-7)).map(|drop| drop.points), Some(0.0));
    for id in ["none", "zero", "text", "below", "unsaid"] {
        let health = health(id);
        assert_eq!((health.raw, health.score, health.band, health.size), (Some(40.0), None, None, None), "{id}");
    }
    assert_eq!(evaluation.doubts, [Doubt::NoSeats { profile: "main".into(), accounts: 5 }]);
}

#[test]
fn a_day_without_a_score_ends_the_days_in_good_health() {
    let mut lines = used("a", "u1", "A", "2026-08-01", 40);
    lines.push(group("a", r#"{"seats":4}"#, "2026-08-01"));
    let days =
        |lines: &[String]| account(&seen(lines, &per(seats(), Refresh::Fixed(8.0)), AT), "a").health.days_healthy;
    assert_eq!(days(&lines), Some(10));
    lines.push(group("a", r#"{"seats":null}"#, "2026-08-05"));
    lines.push(group("a", r#"{"seats":4}"#, "2026-08-07"));
    assert_eq!(days(&lines), Some(4), "of 5 and 6 August nothing is known");
}

/// A parent is divided by its own seats, its users are those of all below; the benchmark counts use where it was done.
#[test]
fn both_levels_of_a_roll_up_are_divided() {
    let mut lines = [used("eu", "u1", "A", "2026-08-01", 30), used("us", "u2", "A", "2026-08-01", 10)].concat();
    lines.extend(used("us", "u1", "A", "2026-08-02", 10));
    for (id, seats) in [("eu", 3), ("us", 5), ("top", 1)] {
        let up = if id == "top" { "" } else { r#","up":"top""# };
        lines.push(group(id, &format!(r#"{{"seats":{seats}{up}}}"#), "2026-08-01"));
    }
    let rolled = |model: Model| Model { roll_up: Some(expr("traits.up", &trait_scope(&[]), Type::Any)), ..model };
    for (by, expected, peg) in [
        (Per::ActiveUser, [("eu", 30.0), ("us", 10.0), ("top", 25.0)], 30.0),
        (seats(), [("eu", 10.0), ("us", 4.0), ("top", 50.0)], 10.0),
    ] {
        let evaluation = seen(&lines, &rolled(per(by, Refresh::EveryRun)), AT);
        close(Some(evaluation.benchmarks["main"].raw), peg);
        for (id, value) in expected {
            close(account(&evaluation, id).health.score, score(value, peg, CURVE));
        }
    }
}

/// Twelve accounts on the plan team with raws 1 to 12, nine on pro with raws 101 to 109, one without a plan.
fn by_plan() -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |id: String, raw: u32, plan: &str| {
        lines.extend(used(&id, &format!("u-{id}"), "A", "2026-08-01", raw));
        lines.push(group(&id, &format!(r#"{{"plan":"{plan}"}}"#), "2026-08-01"));
    };
    (1..=12).for_each(|raw| add(format!("team{raw:02}"), raw, "team"));
    (101..=109).for_each(|raw| add(format!("pro{raw}"), raw, "pro"));
    lines.extend(used("plain", "u-plain", "A", "2026-08-01", 5));
    lines
}

#[test]
fn a_group_of_ten_has_a_benchmark_of_its_own() {
    let segments = vec![("large".to_owned(), expr(r#"traits.plan == "team""#, &trait_scope(&[]), Type::Bool))];
    for (within, group) in [("traits.plan", "team"), ("segments.large", "true")] {
        let rule = expr(within, &group_scope(&[], &["large".to_owned()]), Type::Any);
        let profile = Profile { within: Some(rule), ..weighed(&[("A", 1)], Refresh::EveryRun) };
        let model = Model { segments: segments.clone(), ..of(profile) };
        let evaluation = seen(&by_plan(), &model, AT);
        let health = |id: &str| &account(&evaluation, id).health;
        // 1 + 0.9 × 11; of all 22 it is 106.9: the 18.9th of them.
        assert_eq!(health("team05").benchmark_group.as_deref(), Some(group));
        close(health("team05").benchmark, 10.9);
        close(health("team05").score, score(5.0, 10.9, CURVE));
        close(Some(evaluation.benchmarks["main"].raw), 106.9);
        close(Some(evaluation.group_benchmarks["main"][group].raw), 10.9);
        // On pro are nine, too few; without a plan one is in no group. By the segment all ten are the others.
        let (peg, group) = if within == "traits.plan" { (106.9, None) } else { (108.1, Some("false")) };
        for id in ["pro101", "plain"] {
            assert_eq!(health(id).benchmark_group.as_deref(), group, "{id}");
            close(health(id).benchmark, peg);
        }
    }
}

/// Who is in which group is decided as of the benchmark's own day.
#[test]
fn who_changes_plan_is_measured_as_before_until_the_benchmark_is_renewed() {
    let mut lines = by_plan();
    lines.push(group("team12", r#"{"plan":"pro"}"#, "2026-08-05"));
    let within = Some(expr("traits.plan", &trait_scope(&[]), Type::Any));
    let under = |refresh| of(Profile { within: within.clone(), ..weighed(&[("A", 1)], refresh) });
    // Renewed on Monday 10 August: by then there are eleven on team and ten on pro.
    let weekly = seen(&lines, &under(Refresh::Weekly), AT);
    assert_eq!(account(&weekly, "team12").health.benchmark_group.as_deref(), Some("pro"));
    close(account(&weekly, "team11").health.benchmark, 10.0);
    // On the Sunday before, the benchmark was that of the Monday before the change.
    let before = seen(&lines, &under(Refresh::Weekly), "2026-08-09T23:59:59Z");
    assert_eq!(account(&before, "team12").health.benchmark_group.as_deref(), Some("team"));
    close(account(&before, "team12").health.benchmark, 10.9);
}
