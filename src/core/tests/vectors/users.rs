//! Users one by one: their health, champions, healthy users; and time in good health, expansion readiness.

use vitalsync_core::evaluate::User;
use vitalsync_core::expansion::Limit;
use vitalsync_core::expr::Expr;
use vitalsync_core::model::UserSpans;
use vitalsync_core::names::trait_scope;

use super::*;

fn users(tracks: Tracks<'_>, model: &Model) -> Vec<User> {
    seen(&lines(tracks), model, AT).users
}

#[test]
fn users_are_scored_against_users() {
    let raws = [475, 89, 101, 7, 3, 21, 2, 149, 223, 1, 13, 9, 37];
    let names: Vec<String> = (0..raws.len()).map(|index| format!("u{index:02}")).collect();
    // In two accounts: the percentile is of all users, not of those of the account.
    let account = |index: usize| if index.is_multiple_of(2) { "a" } else { "b" };
    let mut tracks: Vec<_> = names
        .iter()
        .zip(raws)
        .enumerate()
        .map(|(index, (name, raw))| (account(index), name.as_str(), "A", LAST, raw))
        .collect();
    tracks.push(("a", "idle", "Unscored", LAST, 1));
    let model = of(profile(&[("A", 1.0)], 30, Refresh::EveryRun));
    let found = users(&tracks, &model);
    let score_of = |name: &str| found.iter().find(|user| user.id == name).and_then(|user| user.health.score);
    for (name, raw) in names.iter().zip(raws) {
        close(score_of(name), score(f64::from(raw), 208.2, CURVE), name);
    }
    close(score_of("idle"), 1.0, "no scored event");
}

#[test]
fn a_user_of_two_accounts_has_the_health_of_the_primary_one() {
    let model = of(profile(&[("A", 1.0)], 30, Refresh::Fixed(100.0)));
    let before = day(1);
    let tracks: Tracks<'_> = &[("b", "u", "A", &before, 80), ("a", "u", "A", LAST, 30), ("a", "v", "Looked", LAST, 1)];
    let found = users(tracks, &model);
    close(found[0].health.raw, 30.0, "raw where the latest event was");
    assert_eq!((found[0].account, found[0].health.band), (Some(0), Some(Band::Normal)));
    // Only told of: no event ever, no score.
    let mut told = lines(tracks);
    told.push(r#"{"type":"identify","messageId":"i","userId":"w","traits":{"createdAt":"2026-08-01"},"timestamp":"2026-08-03T00:00:00Z"}"#.into());
    let silent = &seen(&told, &model, AT).users[2];
    assert_eq!((silent.id.as_str(), silent.health, silent.tenure_days), ("w", Default::default(), Some(9)));
}

#[test]
fn a_users_band_is_held_like_an_accounts() {
    let model = of(profile(&[("A", 1.0)], 1, Refresh::Fixed(100.0)));
    for (raws, band) in [
        (&[65, 41, 41, 41][..], Band::Healthy),
        (&[65, 40], Band::Healthy),
        (&[65, 40, 40], Band::Normal),
        (&[5, 24, 24, 24], Band::AtRisk),
        (&[5, 25, 25], Band::Normal),
        (&[65, 65, 65, 65, 65, 40], Band::Healthy),
        (&[27, 65, 65, 65, 65], Band::Healthy),
    ] {
        let days: Vec<String> = (0..raws.len()).rev().map(|back| day(back as i32)).collect();
        let tracks: Vec<_> = days.iter().zip(raws).map(|(day, raw)| ("a", "u", "A", day.as_str(), *raw)).collect();
        let evaluation = seen(&lines(&tracks), &model, AT);
        assert_eq!(evaluation.users[0].health.band, Some(band), "{raws:?}");
        assert_eq!(evaluation.users[0].health.band, evaluation.accounts[0].health.band, "{raws:?}");
        let healthy = u32::from(band == Band::Healthy);
        assert_eq!(evaluation.accounts[0].healthy_users, Some(healthy), "{raws:?}");
    }
}

#[test]
fn days_in_the_healthy_band_are_counted_in_a_row() {
    let model = of(profile(&[("A", 1.0)], 1, Refresh::Fixed(100.0)));
    for (raws, days) in [(&[65][..], 1), (&[65, 40, 65], 3), (&[5, 65, 65, 65], 2), (&[65, 5, 5], 0), (&[5], 0)] {
        let dates: Vec<String> = (0..raws.len()).rev().map(|back| day(back as i32)).collect();
        let tracks: Vec<_> = dates.iter().zip(raws).map(|(day, raw)| ("a", "u", "A", day.as_str(), *raw)).collect();
        assert_eq!(only(&tracks, &model, AT).health.days_healthy, Some(days), "{raws:?}");
    }
}

#[test]
fn an_account_of_three_hangs_on_who_makes_more_than_sixty_percent() {
    let model = of(profile(&[("A", 2.0), ("B", 1.0)], 30, Refresh::EveryRun));
    let before = day(30);
    let tracks: Tracks<'_> = &[
        ("a", "u", "A", LAST, 30),
        ("a", "v", "B", LAST, 30),
        ("a", "w", "B", LAST, 10),
        ("a", "w", "A", &before, 500),
    ];
    let account = only(tracks, &model, AT);
    let shares: Vec<_> = account.champions.iter().map(|top| (top.user.as_deref().unwrap(), top.share)).collect();
    assert_eq!(shares, [("u", 60.0), ("v", 30.0), ("w", 10.0)]);
    assert_eq!(account.single_champion_risk(), Some(false), "60 % is not more than 60 %");
    let more = [tracks, &[("a", "u", "B", LAST, 1)]].concat();
    assert_eq!(only(&more, &model, AT).single_champion_risk(), Some(true));
    assert_eq!(only(&tracks[..2], &model, AT).single_champion_risk(), Some(false), "of two users");
    let idle = only(&tracks[3..], &model, AT);
    assert_eq!((idle.champions.len(), idle.single_champion_risk()), (0, None), "nobody makes any");
}

#[test]
fn how_long_a_user_counts_is_settable() {
    let (old, older) = (day(39), day(40));
    let tracks: Tracks<'_> = &[("a", "u", "A", LAST, 1), ("a", "v", "A", &old, 1), ("a", "w", "Looked", &older, 1)];
    let ever = i32::MAX;
    for (active, total, found) in [
        (None, 90, (1, 3)),
        (Some(40), 20, (2, 2)),
        (Some(1), 41, (1, 3)),
        (None, 1, (1, 1)),
        (None, ever, (1, 3)),
        (Some(ever), 1, (2, 3)),
    ] {
        let model =
            Model { user_spans: UserSpans { active, total }, ..of(profile(&[("A", 1.0)], 30, Refresh::EveryRun)) };
        let account = only(tracks, &model, AT);
        assert_eq!((account.active_users, account.total_users), found, "{active:?} {total}");
    }
}

#[test]
fn readiness_is_the_mean_of_what_is_known_of_five() {
    let number = |source: &str| {
        let mut faults = Default::default();
        Expr::parse(source, Default::default(), &trait_scope(&[]), vitalsync_core::Type::Number, &mut faults).unwrap()
    };
    let step = |name: &str| Step::new(name, Done::Event { event: name.into(), count: 1 });
    let scored = profile(&[("A", 1.0), ("B", 1.0)], 30, Refresh::Fixed(100.0));
    let plain = of(scored.clone());
    let checked = Model { activation: vec![Checklist::of(vec![step("A"), step("B")])], ..of(scored) };
    let limit = Limit { used: number("traits.used"), limit: number("traits.seats") };
    let limited = Model { expansion: Some(limit), ..checked.clone() };
    let seats = |used: &str| {
        format!(
            r#"{{"type":"group","messageId":"g","userId":"u","groupId":"a","traits":{{"used":{used}}},"timestamp":"2026-08-01T00:00:00Z"}}"#
        )
    };
    let ready = |model: &Model, used: &str| {
        let mut told = lines(&[("a", "u", "A", LAST, 1)]);
        told.push(seats(used));
        seen(&told, model, AT).accounts[0].expansion_readiness
    };
    // Adoption 50, active users 100; no trend yet.
    assert_eq!(ready(&plain, "9"), None, "two are no ground");
    close(ready(&checked, "9"), (50.0 + 100.0 + 50.0) / 3.0, "three");
    for (used, near) in [("3, \"seats\": 12", 0.0), ("9, \"seats\": 12", 50.0), ("15, \"seats\": 12", 100.0)] {
        close(ready(&limited, used), (50.0 + 100.0 + 50.0 + near) / 4.0, used);
    }
    for unknown in ["9", "9, \"seats\": 0", "9, \"seats\": \"many\"", "null, \"seats\": 9"] {
        close(ready(&limited, unknown), (50.0 + 100.0 + 50.0) / 3.0, unknown);
    }
}
