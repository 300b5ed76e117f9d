//! Where an alert may go in Slack: what is written in `to:`.

use vitalsync_core::alert::read::Places;

/// What `to:` takes.
pub(crate) const PLACES: Places = Places {
    what: "a channel's name or id",
    hint: "as in \"#cs-alerts\" or C0123456789; names have small letters, digits, `-` and `_`",
    read: place,
};

/// A channel: an id as it is, a name with its `#`.
fn place(written: &str) -> Option<String> {
    if is_channel_id(written) {
        return Some(written.to_owned());
    }
    let name = written.strip_prefix('#').unwrap_or(written);
    // Slack's own rule for names: 80 characters, no capitals, spaces or periods.
    let fits = |c: char| (c.is_alphanumeric() && !c.is_uppercase()) || matches!(c, '-' | '_');
    let good = !name.is_empty() && name.chars().count() <= 80 && name.chars().all(fits);
    good.then(|| format!("#{name}"))
}

/// Whether a channel is given by its id (`C…`, `G…`); names have no capitals.
pub(crate) fn is_channel_id(channel: &str) -> bool {
    channel.len() >= 3
        && channel.starts_with(['C', 'G'])
        && channel.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
}
