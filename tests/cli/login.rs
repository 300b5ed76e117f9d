//! Logging in to HubSpot through the browser, and living with tokens that expire, change and are taken back.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::site::{Output, Site, wait_for, within};

const DATE: &str = "2026-03-10";
const LATER: &str = "2026-03-17";
pub const SECRET: &str = "app-secret-0f3a";
const SECRET_NAME: &str = "VITALSYNC_TEST_APP_SECRET";

/// The story, with HubSpot by an app instead of a token.
fn site(app: &Json) -> Site {
    let site = Site::with_story();
    let oauth = "oauth: { client_id: app-1, client_secret: \"${VITALSYNC_TEST_APP_SECRET}\", redirect_port: 0 }";
    let config = site.standard().replacen("token: \"${VITALSYNC_TEST_TOKEN}\"", oauth, 1);
    site.config(&config);
    site.vendors.hubspot.seed(&json!({"oauth": {"client_id": "app-1", "client_secret": SECRET}}));
    site.vendors.hubspot.seed(&json!({ "oauth": app }));
    site
}

fn run(site: &Site, arguments: &[&str]) -> Output {
    let mut command = site.command(arguments);
    command.env(SECRET_NAME, SECRET);
    site.run_command(command)
}

#[track_caller]
fn once(site: &Site, date: &str, code: i32) -> Json {
    run(site, &["run", "--once", "--format", "json", "--as-of", date]).exits(code).json()
}

/// Asks for a page as a browser would; the status line and head.
fn get(url: &str) -> String {
    let rest = url.strip_prefix("http://").expect("an address");
    let (host, path) = rest.split_once('/').expect("a path");
    let mut stream = TcpStream::connect(host).expect("it answers");
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it is read");
    answer
}

fn location(answer: &str) -> String {
    let line = answer.lines().find(|line| line.to_lowercase().starts_with("location: "));
    line.unwrap_or_else(|| panic!("no redirect: {answer}"))["location: ".len()..].trim().to_owned()
}

/// Logs in: a person opens the printed address, agrees, and the browser comes back. What was printed.
#[track_caller]
pub fn log_in(site: &Site, arguments: &[&str]) -> String {
    let mut command = site.command(&[&["auth", "hubspot"], arguments].concat());
    command.env(SECRET_NAME, SECRET);
    let mut process = site.start_command(command, "auth.log");
    let mut url = None;
    wait_for("the address", || {
        url = process.logged().lines().find(|line| line.starts_with("http://")).map(str::to_owned);
        url.is_some()
    });
    let url = url.expect("an address");
    assert!(url.starts_with(&site.vendors.hubspot.base_url) && url.contains("code_challenge_method=S256"), "{url}");
    let back = location(&get(&url));
    // Somebody else's answer is turned away, and the question stands.
    let (address, query) = back.split_once('?').expect("a query");
    let forged = get(&format!("{address}?{}", query.replace("state=", "state=x")));
    assert!(forged.starts_with("HTTP/1.1 400"), "{forged}");
    assert!(get(&back).starts_with("HTTP/1.1 200"));
    assert_eq!(process.ends_within(Duration::from_secs(30)), Some(0), "{}", process.logged());
    process.logged()
}

fn tokens_asked(site: &Site) -> usize {
    site.vendors.hubspot.journal().iter().filter(|line| line.contains("/oauth/2026-09/token")).count()
}

#[test]
fn a_login_through_the_browser_is_kept_and_used() {
    let site = site(&json!({}));
    let summary = once(&site, DATE, 3);
    let notes = summary["destinations"]["crm"]["notes"].to_string();
    assert!(notes.contains("nobody is logged in: run `vitalsync auth hubspot`"), "{notes}");
    assert_eq!(site.requests()[0], 0, "nothing is asked without a login");
    assert_eq!(summary["destinations"]["desk"]["waiting"], 0, "the others go on");

    let said = log_in(&site, &[]);
    assert!(said.contains("logged in to hubspot: crm"), "{said}");
    let summary = once(&site, DATE, 0);
    assert_eq!(site.company("acme", "vitalsync_health_score").as_deref(), Some("100"), "{summary}");
    assert_eq!(tokens_asked(&site), 1, "a token that is good is used again");
    let status = run(&site, &["auth", "status"]).exits(0).stdout;
    assert!(status.contains("hubspot (crm): logged in on"), "{status}");

    let state = std::fs::metadata(site.path("state")).expect("a state").permissions();
    assert_eq!(state.mode() & 0o777, 0o700);
    run(&site, &["state", "export", "out.gz"]).exits(0);
    run(&site, &["state", "verify"]).exits(0);
    let mut command = site.command(&["status", "--format", "json"]);
    command.env(SECRET_NAME, SECRET).env("VITALSYNC_LOG", "trace");
    let all = said + &site.run_command(command).all() + &summary.to_string();
    assert!(!all.contains(SECRET) && !all.contains("access-0") && !all.contains("refresh-0"), "{all}");
    let inflated = inflate(&site.path("out.gz"));
    assert!(inflated.contains("vitalsync_state") && !inflated.contains("refresh-0"), "an export has no login");

    let out = run(&site, &["auth", "logout"]).exits(0).stdout;
    assert!(out.contains("forgotten here"), "{out}");
    let summary = once(&site, LATER, 3);
    assert!(summary["destinations"]["crm"]["notes"].to_string().contains("nobody is logged in"), "{summary}");
}

pub fn inflate(path: &std::path::Path) -> String {
    let mut text = String::new();
    let file = std::fs::File::open(path).expect("an export");
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("gzip");
    text
}

#[test]
fn what_is_asked_online_is_asked_with_the_login() {
    let site = site(&json!({"expires_in": 1}));
    let output = run(&site, &["validate", "--online"]).exits(2);
    assert!(output.stderr.contains("nobody is logged in"), "{}", output.stderr);
    log_in(&site, &[]);
    let seen = site.vendors.hubspot.journal().len();
    run(&site, &["validate", "--online"]).exits(0);
    let journal = site.vendors.hubspot.journal();
    assert!(journal[seen..].iter().any(|line| line.contains("/crm/properties/")), "{journal:?}");
    // What was renewed meanwhile is kept: the next run needs no one to log in again.
    once(&site, DATE, 0);
}

#[test]
fn two_ways_into_one_account_don_t_write_the_same() {
    let site = site(&json!({}));
    let standard = site.standard();
    let config = std::fs::read_to_string(site.path("vitalsync.yaml")).expect("the config");
    let (from, to) = (standard.find("  crm:\n").expect("it begins"), standard.find("  desk:\n").expect("it ends"));
    let second = standard[from..to].replacen("  crm:", "  other:", 1);
    site.config(&config.replacen("  desk:\n", &format!("{second}  desk:\n"), 1));
    log_in(&site, &[]);
    let report = once(&site, DATE, 3);
    let [first, second] = ["crm", "other"].map(|name| report["destinations"][name].clone());
    assert!(first["acknowledged"].as_u64() > Some(0), "{first}");
    assert_eq!((&second["acknowledged"], second["waiting"].as_u64() > Some(0)), (&json!(0), true), "{second}");
    assert!(second["notes"].to_string().contains("`other` and `crm` write the same field"), "{second}");
}

#[test]
fn whoever_says_no_in_the_browser_is_not_logged_in() {
    let site = site(&json!({}));
    let mut command = site.command(&["auth", "hubspot"]);
    command.env(SECRET_NAME, SECRET);
    let mut process = site.start_command(command, "auth.log");
    wait_for("the address", || process.logged().contains("/oauth/authorize"));
    let log = process.logged();
    let url = log.lines().find(|line| line.starts_with("http://")).expect("an address");
    let back = location(&get(url));
    let (address, query) = back.split_once('?').expect("a query");
    let state = query.split('&').find(|pair| pair.starts_with("state=")).expect("a state");
    get(&format!("{address}?error=access_denied&{state}"));
    assert_eq!(process.ends_within(Duration::from_secs(30)), Some(1));
    assert!(process.logged().contains("did not let vitalsync in (access_denied)"), "{}", process.logged());
    for (arguments, said) in [
        (&["auth", "hubspot", "--destination", "desk"][..], "the destination `desk` of type hubspot with `oauth:"),
        (&["auth", "intercom"][..], "invalid value 'intercom'"),
    ] {
        let refused = run(&site, arguments).exits(2);
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
}

/// The vendor takes the access token back between two requests, and gives another refresh token each time.
#[test]
fn a_token_that_lapses_in_the_middle_of_a_run_is_renewed_once() {
    let site = site(&json!({"rotate": true}));
    log_in(&site, &[]);
    let lapsed = json!({"status": 401, "body": json!({"status": "error", "category": "EXPIRED_AUTHENTICATION",
        "message": "The OAuth token used to make this call expired"}).to_string()});
    site.vendors.hubspot.faults(&json!([{"match": "POST /crm", "skip": 1, "times": 1, "kind": {"answer": lapsed}}]));
    let summary = once(&site, DATE, 0);
    assert_eq!((tokens_asked(&site), &summary["destinations"]["crm"]["rejected"]), (2, &0.into()));
    assert_eq!(site.company("beta", "vitalsync_health_score").as_deref(), Some("100"));
    // And once more on the next day, with the refresh token that came last.
    site.vendors.hubspot.seed(&json!({"oauth": {"expire": true}}));
    once(&site, LATER, 0);
    assert_eq!((tokens_asked(&site), site.company("acme", "vitalsync_health_band").as_deref()), (3, Some("at_risk")));
}

#[test]
fn a_token_is_renewed_before_it_expires() {
    let site = site(&json!({"expires_in": 1}));
    log_in(&site, &[]);
    assert!(!within(Duration::from_millis(1100), || false), "its life is over");
    once(&site, DATE, 0);
    let refused = site.vendors.hubspot.journal().iter().filter(|line| line.ends_with(" 401")).count();
    assert_eq!(refused, 0, "nothing was sent with a token that had expired");
    assert!(tokens_asked(&site) >= 2);
}

#[test]
fn a_login_that_was_taken_back_stops_this_destination_and_asks_no_more() {
    let site = site(&json!({}));
    log_in(&site, &[]);
    once(&site, DATE, 0);
    site.vendors.hubspot.seed(&json!({"oauth": {"revoke": true}}));
    let before = tokens_asked(&site);
    let summary = once(&site, LATER, 3);
    let notes = summary["destinations"]["crm"]["notes"].to_string();
    let said = "hubspot takes the login back (BAD_REFRESH_TOKEN): run `vitalsync auth hubspot`";
    assert!(notes.contains(said), "{notes}");
    assert_eq!(site.tags("u1"), ["Health: at risk"], "the others go on");
    assert!(run(&site, &["auth", "status"]).exits(0).stdout.contains(said));
    once(&site, LATER, 3);
    assert_eq!(tokens_asked(&site), before + 1, "a login that is gone is not asked for again and again");
    log_in(&site, &[]);
    once(&site, LATER, 0);
    assert_eq!(site.company("acme", "vitalsync_health_band").as_deref(), Some("at_risk"));
}

/// A vendor that is out of order is no reason to log in again.
#[test]
fn a_token_endpoint_that_fails_is_waited_for() {
    let site = site(&json!({}));
    log_in(&site, &[]);
    site.vendors.hubspot.seed(&json!({"oauth": {"expire": true}}));
    let broken = json!({"status": 502, "body": "<html>bad gateway</html>"});
    site.vendors.hubspot.faults(&json!([
        {"match": "POST /oauth", "times": 1, "kind": {"answer": broken}},
        {"match": "POST /oauth", "times": 1, "kind": "drop_before"},
        {"match": "POST /oauth", "times": 1, "kind": {"answer": {"status": 200, "body": "not json"}}}
    ]));
    once(&site, DATE, 0);
    assert_eq!(site.company("acme", "vitalsync_health_score").as_deref(), Some("100"));
}

/// Killed after the vendor gave another refresh token and before anything was done with it.
#[test]
fn a_kill_after_a_renewal_loses_no_login() {
    let site = site(&json!({"rotate": true}));
    log_in(&site, &[]);
    site.vendors.hubspot.seed(&json!({"oauth": {"expire": true}}));
    site.vendors
        .hubspot
        .faults(&json!([{"match": "/account-info", "skip": 1, "times": 1, "kind": {"slow_ms": 20_000}}]));
    let mut command = site.command(&["run", "--once", "--as-of", DATE]);
    command.env(SECRET_NAME, SECRET);
    let mut process = site.start_command(command, "killed.log");
    wait_for("the renewal", || tokens_asked(&site) == 2);
    wait_for("a request with the new token", || {
        site.vendors.hubspot.journal().iter().filter(|line| line.contains("/account-info")).count() == 2
    });
    process.signal("KILL");
    process.ends_within(Duration::from_secs(10));
    site.vendors.hubspot.forget_faults();
    site.vendors.hubspot.seed(&json!({"oauth": {"expire": true}}));
    once(&site, DATE, 0);
    assert_eq!(tokens_asked(&site), 3, "renewed with the token that came last");
}

/// Two destinations that share a login find its token expired at the same moment.
#[test]
fn two_destinations_renew_a_shared_login_once() {
    let site = site(&json!({"rotate": true}));
    let config = std::fs::read_to_string(site.path("vitalsync.yaml")).expect("a config");
    let (head, rest) = config.split_once("  desk:\n").expect("a desk");
    let crm = &head[head.find("  crm:\n").expect("a crm")..];
    let second = crm
        .replace("  crm:", "  crm2:")
        .replace("vitalsync_health_score", "second_score")
        .replace("vitalsync_health_band", "second_band");
    site.config(&format!("{head}{second}  desk:\n{rest}"));
    let said = log_in(&site, &["--destination", "crm2"]);
    assert!(said.contains("crm, crm2"), "{said}");
    site.vendors.hubspot.seed(&json!({"oauth": {"expire": true}}));
    site.vendors.hubspot.faults(&json!([{"match": "POST /oauth", "times": 1, "kind": {"slow_ms": 300}}]));
    once(&site, DATE, 0);
    assert_eq!(tokens_asked(&site), 2, "one for the code, one for both");
    assert_eq!(site.company("acme", "second_band").as_deref(), Some("healthy"));
}

/// A daemon is handed the tokens, and syncs at once.
#[test]
fn a_running_daemon_takes_a_login() {
    let site = site(&json!({}));
    let mut command = site.command(&["run", "--as-of", DATE]);
    command.env(SECRET_NAME, SECRET);
    let mut daemon = site.start_command(command, "daemon.log");
    daemon.logs("nobody is logged in");
    log_in(&site, &[]);
    wait_for("the sync", || site.company("acme", "vitalsync_health_score").is_some());
    let status = run(&site, &["auth", "status", "--format", "json"]).exits(0).json();
    assert!(status[0]["since"].is_string() && status[0]["used_by"] == json!(["crm"]), "{status}");
    // Its tokens are the daemon's: two who renew them would lose them.
    let online = run(&site, &["validate", "--online"]).exits(1).stdout;
    assert!(online.contains("crm could not be asked: a running daemon has its login"), "{online}");
    daemon.signal("TERM");
    assert_eq!(daemon.ends_within(Duration::from_secs(20)), Some(0));
}
