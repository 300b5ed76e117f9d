//! Logs: on standard error, as text for people or JSON for programs; never bodies, never secrets.

use tracing::level_filters::LevelFilter;

/// Starts logging. `VITALSYNC_LOG` sets the level (error, warn, info, debug, trace); `quiet` is the level without it.
pub fn start(json: bool, quiet: LevelFilter) {
    let level = std::env::var("VITALSYNC_LOG").ok().and_then(|text| text.parse().ok()).unwrap_or(quiet);
    let builder = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_target(false);
    let builder = builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    // A second start, as in tests, keeps the first.
    let _ = if json { builder.json().try_init() } else { builder.try_init() };
}
