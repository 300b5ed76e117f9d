//! Where an alert may go in Slack, as it is written in `to:` and as it is found there.

use vitalsync_core::alert::Places;

/// What `to:` takes.
pub(crate) const PLACES: Places = Places {
    what: "a channel's name or id, somebody's e-mail or user id, `owner`, or a rule that gives one of them",
    hint: "as in \"#cs-alerts\", C0123456789, jo@ourselves.example, owner or traits.slack_channel; names of channels have small \
           letters, digits, `-` and `_`",
    read,
    given: read,
    needed: true,
};

/// What finds a channel, or a person, and slots of that kind.
pub(crate) const CHANNEL_KIND: &str = "channel";
pub(crate) const USER_KIND: &str = "user";

/// A channel: an id as it is, a name with its `#`. A person: an id, or an e-mail in small letters.
fn read(written: &str) -> Option<String> {
    if is_channel_id(written) || is_user_id(written) {
        return Some(written.to_owned());
    }
    if is_email(written) {
        return Some(written.to_lowercase());
    }
    let name = written.strip_prefix('#').unwrap_or(written);
    // Slack's own rule for names: 80 characters, no capitals, spaces or periods.
    let fits = |c: char| (c.is_alphanumeric() && !c.is_uppercase()) || matches!(c, '-' | '_');
    let good = !name.is_empty() && name.chars().count() <= 80 && name.chars().all(fits);
    good.then(|| format!("#{name}"))
}

/// The slot of the operation that finds out a place's id; `None` for one that is an id of a channel.
pub(crate) fn slot(place: &str) -> Option<String> {
    if is_channel_id(place) {
        return None;
    }
    let kind = if place.starts_with('#') { CHANNEL_KIND } else { USER_KIND };
    Some(format!("{kind}/{place}"))
}

/// Whether it is somebody, not a channel.
pub(crate) fn is_person(place: &str) -> bool {
    is_user_id(place) || is_email(place)
}

/// Whether a channel is given by its id (`C…`, `G…`, of direct messages `D…`); names have no capitals.
pub(crate) fn is_channel_id(place: &str) -> bool {
    is_id(place, &['C', 'G', 'D'])
}

/// Whether a person is given by the id (`U…`, `W…`).
pub(crate) fn is_user_id(place: &str) -> bool {
    is_id(place, &['U', 'W'])
}

fn is_id(place: &str, first: &[char]) -> bool {
    place.len() >= 3 && place.starts_with(first) && place.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
}

/// Whether a person is given by an e-mail.
pub(crate) fn is_email(place: &str) -> bool {
    let good = |part: &str| {
        !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c.is_control() || "@<>\"#/".contains(c))
    };
    place.len() <= 254 && place.split_once('@').is_some_and(|(local, domain)| good(local) && good(domain))
}
