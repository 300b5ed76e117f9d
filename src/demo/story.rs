//! The demo's customers: an invented product, a collaborative reporting tool, and four months of its use.
//!
//! Lifelike enough to tell stories: most accounts thrive, Northwind Traders slips badly in its last week, one never gets
//! started, one comes back after five quiet weeks, one fades slowly, one is brand-new. Who they are stands in `cast`, how
//! they work in `rhythm`. Pure: the same day gives the same bytes, so there is no clock and no true randomness here.
//! Deliberately without faults; broken lines, repeats and late files belong to the tests of the source.

mod cast;
mod rhythm;
#[cfg(test)]
mod tests;

use serde_json::{Value as Json, json};
use vitalsync_core::Day;
use vitalsync_core::time::DAY_MS;

use cast::{Account, Member};
use rhythm::{Chance, HISTORY};

/// A company as the CRM holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Company {
    /// Its name there.
    pub name: String,
    /// Its domain; two companies of the CRM share one.
    pub domain: String,
}

/// A contact as the support tool holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The userId of the calls: the tool's `external_id`.
    pub user_id: String,
    /// The address.
    pub email: String,
    /// The full name.
    pub name: String,
}

/// The CRM's companies: one for most accounts, none for two of them, two with the same domain for one.
pub fn companies() -> Vec<Company> {
    let held = |account: &Account, suffix: &str| Company {
        name: format!("{}{suffix}", account.name),
        domain: account.domain.to_owned(),
    };
    let in_crm = |account: &Account| match account.in_crm {
        0 => Vec::new(),
        1 => vec![held(account, "")],
        _ => vec![held(account, ""), held(account, " Europe")],
    };
    cast::accounts().iter().flat_map(in_crm).collect()
}

/// The support tool's contacts: all users but the bots and about one in thirteen, who never wrote in.
pub fn people() -> Vec<Person> {
    let accounts = cast::accounts();
    let members = accounts.iter().flat_map(|account| account.members.iter());
    members
        .filter(|member| !member.bot && member.number % 13 != 5)
        .map(|member| Person {
            user_id: member.user_id.clone(),
            email: member.email.clone(),
            name: member.name.clone(),
        })
        .collect()
}

/// All calls of the four months up to the end of the day before `today`, as Segment archives them: the day (UTC) on which
/// each was received, and its line of JSON; in the order of receipt.
pub fn lines(today: Day) -> Vec<(Day, String)> {
    let mut teller = Teller { today, calls: Vec::new() };
    for account in cast::accounts() {
        teller.account(&account);
    }
    let end = today.midnight_utc().0;
    let mut calls = teller.calls;
    // An evening session of the far west may reach into today; that has not happened yet.
    calls.retain(|call| call.received < end);
    calls.sort_by(|a, b| (a.received, &a.id).cmp(&(b.received, &b.id)));
    calls.into_iter().map(|call| (Day(call.received.div_euclid(DAY_MS) as i32), call.line)).collect()
}

/// A finished call.
struct Call {
    /// In milliseconds since 1970 UTC.
    received: i64,
    id: String,
    line: String,
}

struct Teller {
    today: Day,
    calls: Vec<Call>,
}

impl Teller {
    fn account(&mut self, account: &Account) {
        for member in &account.members {
            let joined = self.workday(account.joined(member));
            self.introduce(account, member, joined);
            if account.arc == cast::Arc::Never {
                let at = self.morning(account, joined) + 11 * 60_000;
                self.event(account, member, "Project Created", at, &mut Chance::of(&[member.number, 1]));
                continue;
            }
            if member.admin {
                self.first_steps(account, member, joined);
            }
            for offset in joined..0 {
                self.day(account, member, offset);
            }
        }
        if let (Some(offset), Some(admin)) = (account.converts(), account.members.first()) {
            let offset = self.workday(offset);
            let at = self.morning(account, offset) + 95 * 60_000;
            self.group(account, admin, "team", at);
        }
    }

    /// An admin sets the workspace up in the first days: what an activation checklist asks for.
    fn first_steps(&mut self, account: &Account, admin: &Member, joined: i32) {
        let steps = [
            (0, "Project Created"),
            (0, "Teammate Invited"),
            (1, "Teammate Invited"),
            (1, "Integration Connected"),
            (3, "Teammate Invited"),
            (4, "Report Created"),
            (4, "Report Shared"),
        ];
        for (index, (after, event)) in steps.into_iter().enumerate() {
            let offset = (joined + after).min(-1);
            let mut chance = Chance::of(&[admin.number, 7, index as u64]);
            let at = self.morning(account, offset) + (index as i64 + 3) * 7 * 60_000 + chance.below(240_000);
            self.event(account, admin, event, at, &mut chance);
        }
    }

    /// One member's day at work, or not.
    fn day(&mut self, account: &Account, member: &Member, offset: i32) {
        let mut chance = Chance::of(&[member.number, 11, offset.unsigned_abs().into()]);
        let mut at = self.morning(account, offset);
        if member.bot {
            // Scheduled exports run every night, whoever is still there to read them.
            self.event(account, member, "Export Downloaded", at - 5 * 3_600_000 + chance.below(90_000), &mut chance);
            return;
        }
        let (present, actions) = rhythm::intensity(account, offset, self.weekend(offset));
        if !chance.happens(present) {
            return;
        }
        at += chance.below(6 * 3_600_000 + 1_800_000);
        self.event(account, member, "Logged In", at, &mut chance);
        for _ in 0..chance.around(actions) {
            at += 40_000 + chance.below(9 * 60_000);
            let event = rhythm::action(member.role, &mut chance);
            self.event(account, member, event, at, &mut chance);
        }
    }

    /// Somebody joins: an identify call with the user's traits, a group call with the account's.
    fn introduce(&mut self, account: &Account, member: &Member, offset: i32) {
        let at = self.morning(account, offset) + i64::from(member.number as u32 % 40) * 9_000;
        let mut traits = json!({
            "email": member.email,
            "name": member.name,
            "role": member.role,
            "createdAt": stamp(at - i64::from(account.age_before_history()) * DAY_MS),
        });
        if member.bot {
            traits["bot"] = true.into();
        }
        let call = json!({"type": "identify", "traits": traits});
        self.write(account, member, call, at, &mut Chance::of(&[member.number, 2]));
        self.group(account, member, account.first_plan(), at + 1_500);
    }

    fn group(&mut self, account: &Account, member: &Member, plan: &str, at: i64) {
        let call = json!({"type": "group", "groupId": account.id, "traits": {
            "name": account.name,
            "domain": account.domain,
            "plan": plan,
            "owner_email": format!("{}@tallyboard.example", account.owner),
            "seats": account.seats,
            "industry": account.industry,
            "createdAt": stamp(self.today.plus(-account.age).midnight_utc().0 + 9 * 3_600_000),
        }});
        self.write(account, member, call, at, &mut Chance::of(&[member.number, 3, at.unsigned_abs()]));
    }

    fn event(&mut self, account: &Account, member: &Member, event: &str, at: i64, chance: &mut Chance) {
        let properties = rhythm::properties(event, chance);
        let call = json!({"type": "track", "event": event, "properties": properties});
        self.write(account, member, call, at, chance);
    }

    /// Adds what every call has. `at` is the moment on the sender's clock, in milliseconds since 1970 UTC.
    fn write(&mut self, account: &Account, member: &Member, mut call: Json, at: i64, chance: &mut Chance) {
        let end = self.today.midnight_utc().0;
        // Now and then somebody works on the train, and the calls come hours later.
        let hours = if chance.happens(0.01) && !member.bot { 1 + chance.below(9) } else { 0 };
        let held = 150 + chance.below(1_800) + hours * 3_600_000;
        let sent = if at < end && at + held + 400 >= end { at + 1 } else { at + held };
        let received = sent + 40 + chance.below(360);
        let id = message_id(member.number, at, self.calls.len() as u64);
        let library = match member.bot {
            true => json!({"name": "@segment/analytics-node", "version": "2.1.3"}),
            false => json!({"name": "analytics.js", "version": "next-1.81.0"}),
        };
        call["messageId"] = id.as_str().into();
        call["userId"] = member.user_id.as_str().into();
        call["anonymousId"] = if member.bot { Json::Null } else { member.device.as_str().into() };
        call["context"] = json!({"groupId": account.id, "library": library, "timezone": account.zone()});
        call["integrations"] = json!({});
        call["originalTimestamp"] = stamp(at).into();
        call["sentAt"] = stamp(sent).into();
        call["receivedAt"] = stamp(received).into();
        // Segment's correction for skewed clocks: receivedAt − (sentAt − originalTimestamp).
        call["timestamp"] = stamp(received - (sent - at)).into();
        call["version"] = 2.into();
        self.calls.push(Call { received, id, line: call.to_string() });
    }

    /// Half past eight in the account's own zone, in milliseconds since 1970 UTC.
    fn morning(&self, account: &Account, offset: i32) -> i64 {
        self.today.plus(offset).midnight_utc().0 + 8 * 3_600_000 + 1_800_000 - account.hours * 3_600_000
    }

    fn weekend(&self, offset: i32) -> bool {
        let day = self.today.plus(offset);
        day.0 - day.week_start().0 >= 5
    }

    /// This day, or the next working day before today.
    fn workday(&self, offset: i32) -> i32 {
        (offset.max(-HISTORY)..0).find(|offset| !self.weekend(*offset)).unwrap_or(-1)
    }
}

/// RFC 3339 in UTC with milliseconds, as Segment writes it.
fn stamp(ms: i64) -> String {
    let (day, rest) = (Day(ms.div_euclid(DAY_MS) as i32), ms.rem_euclid(DAY_MS));
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    format!("{day}T{hour:02}:{minute:02}:{:02}.{:03}Z", rest / 1000 % 60, rest % 1000)
}

/// Unique by the running number within one story, by the moment between the stories of two days.
fn message_id(member: u64, at: i64, number: u64) -> String {
    let mut chance = Chance::of(&[member, at.unsigned_abs(), number]);
    format!("ajs-next-{at:x}-{:08x}-{number:05x}", chance.below(1 << 32))
}
