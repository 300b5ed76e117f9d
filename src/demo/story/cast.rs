//! Who the demo's customers are: one line an account, and the people in it.
//!
//! All names are invented and every domain ends in `.example`, which belongs to nobody (RFC 2606).

use super::rhythm::{Chance, HISTORY};

/// What becomes of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arc {
    /// The same from week to week.
    Steady,
    /// A big push five weeks ago, less and less since, nearly nothing in the last week.
    Slips,
    /// Creates a project and is not seen again.
    Never,
    /// Five quiet weeks, then back as before.
    Returns,
    /// A little less every week.
    Fades,
    /// Signed up a few days ago.
    New,
    /// A trial that became a paying team.
    Converts,
}

/// An account.
#[derive(Debug, Clone)]
pub(super) struct Account {
    /// As calls state it.
    pub id: &'static str,
    /// For people.
    pub name: &'static str,
    /// Its domain.
    pub domain: &'static str,
    /// What it does.
    pub industry: &'static str,
    /// trial, team or enterprise; today's.
    pub plan: &'static str,
    /// How many seats it pays for.
    pub seats: u32,
    /// The local part of its owner's address, one of our own people.
    pub owner: &'static str,
    /// Its zone's distance from UTC in hours, without summer time.
    pub hours: i64,
    /// How much its people use the product; 1 is a keen team.
    pub level: f64,
    /// What becomes of it.
    pub arc: Arc,
    /// How many days ago it signed up.
    pub age: i32,
    /// How many companies the CRM has for it.
    pub in_crm: u32,
    /// Its people, an admin first; a bot, if it has one, last.
    pub members: Vec<Member>,
}

/// Somebody who uses the product.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// A number of its own among all accounts.
    pub number: u64,
    /// The userId.
    pub user_id: String,
    /// The anonymousId of the one browser.
    pub device: String,
    /// The address.
    pub email: String,
    /// The full name.
    pub name: String,
    /// admin, analyst, viewer or bot.
    pub role: &'static str,
    /// The account's first admin.
    pub admin: bool,
    /// Not a person.
    pub bot: bool,
    /// The place among the account's people.
    place: usize,
}

/// id; name; domain; industry; plan; seats; people; owner; hours from UTC; level; arc; age in days; bot; in the CRM.
const TABLE: &str = "
northwind-traders;  Northwind Traders;  northwind.example;   wholesale;   enterprise; 40; 15; dana.reyes;  -5; 0.60; slips;    612; bot;  1
alder-finch;        Alder & Finch;      alderfinch.example;  insurance;   enterprise; 30; 11; dana.reyes;   1; 1.00; steady;   801; bot;  1
bluepine-logistics; Bluepine Logistics; bluepine.example;    logistics;   enterprise; 25; 11; dana.reyes;  -5; 0.97; steady;   540; -;    1
cobalt-harbor;      Cobalt Harbor;      cobaltharbor.example; shipping;   enterprise; 25; 10; tomas.lind;   1; 1.05; steady;   433; -;    1
dunmore-savings;    Dunmore Savings;    dunmore.example;     banking;     enterprise; 35; 11; tomas.lind;   0; 1.02; steady;   977; bot;  1
elmstead-media;     Elmstead Media;     elmstead.example;    media;       enterprise; 20; 10; dana.reyes;   0; 1.00; steady;   388; -;    1
fernway;            Fernway;            fernway.example;     retail;      team;       12;  8; tomas.lind;  -8; 1.10; steady;   295; -;    1
greyfriars-clinics; Greyfriars Clinics; greyfriars.example;  health;      team;       12;  8; priya.nair;   0; 1.00; steady;   341; -;    1
hollowbrook-foods;  Hollowbrook Foods;  hollowbrook.example; food;        team;       10;  7; priya.nair;  -5; 1.05; steady;   266; -;    1
ironvale;           Ironvale;           ironvale.example;    machinery;   team;       10;  7; priya.nair;   1; 1.15; steady;   512; bot;  1
juniper-energy;     Juniper Energy;     juniperenergy.example; energy;    team;       10;  7; tomas.lind;   2; 1.10; steady;   230; -;    1
kestrel-travel;     Kestrel Travel;     kestreltravel.example; travel;    team;        8;  5; priya.nair;   1; 0.85; steady;   187; -;    1
lumen-works;        Lumen Works;        lumenworks.example;  lighting;    team;        8;  5; priya.nair;   1; 0.80; steady;   402; -;    2
marlowe-press;      Marlowe Press;      marlowe.example;     publishing;  team;        6;  4; tomas.lind;   0; 0.95; steady;   318; -;    1
nettle-and-sons;    Nettle & Sons;      nettle.example;      textiles;    team;        6;  4; priya.nair;   1; 0.80; steady;   275; -;    0
oakhurst-school;    Oakhurst School;    oakhurst.example;    education;   team;        6;  4; priya.nair;   0; 0.65; steady;   221; -;    1
pebble-games;       Pebble Games;       pebblegames.example; games;       team;        5;  3; tomas.lind;  -8; 0.50; steady;   164; -;    1
quillmark;          Quillmark;          quillmark.example;   stationery;  trial;       3;  1; priya.nair;   1; 1.00; never;     24; -;    1
rowan-realty;       Rowan Realty;       rowanrealty.example; real estate; team;        9;  7; dana.reyes;  -5; 1.00; fades;    455; -;    1
saltmarsh-brewing;  Saltmarsh Brewing;  saltmarsh.example;   brewing;     team;        7;  6; tomas.lind;   0; 1.05; returns;  349; -;    1
tidewater-labs;     Tidewater Labs;     tidewater.example;   biotech;     team;        6;  5; priya.nair;  -5; 0.95; converts;  70; -;    1
umber-studio;       Umber Studio;       umberstudio.example; design;      team;        3;  2; tomas.lind;   1; 0.45; steady;   141; -;    1
vantage-legal;      Vantage Legal;      vantagelegal.example; law;        trial;       4;  3; priya.nair;  -8; 0.85; steady;    47; -;    1
wrenfield;          Wrenfield;          wrenfield.example;   gardening;   trial;       4;  3; tomas.lind;   0; 0.95; new;        9; -;    0
";

const FIRST: [&str; 29] = [
    "Ada", "Bruno", "Chiara", "Dmitri", "Elif", "Femke", "Gareth", "Hana", "Idris", "Jonas", "Kavya", "Liam", "Mei",
    "Nadia", "Oscar", "Paloma", "Quentin", "Rosa", "Samir", "Tova", "Uma", "Viktor", "Wanda", "Xavier", "Yara", "Zane",
    "Ines", "Marek", "Leila",
];
const LAST: [&str; 23] = [
    "Adler", "Boateng", "Castel", "Dahl", "Eriksen", "Fontaine", "Garza", "Hoffman", "Ivanova", "Jansen", "Kowalski",
    "Lambert", "Moreau", "Novak", "Okafor", "Pereira", "Quist", "Rossi", "Sandoval", "Takeda", "Usman", "Vargas",
    "Whitlock",
];

/// All accounts with their people.
pub(super) fn accounts() -> Vec<Account> {
    let mut next = 0;
    TABLE.lines().filter_map(|line| account(line, &mut next)).collect()
}

/// Reads a line of the table; `None` for the blank ones. `next` is the next member's number.
fn account(line: &'static str, next: &mut u64) -> Option<Account> {
    let mut cells = line.split(';').map(str::trim);
    let mut cell = || cells.next();
    let (id, name, domain, industry, plan) = (cell()?, cell()?, cell()?, cell()?, cell()?);
    let (seats, people): (u32, usize) = (cell()?.parse().ok()?, cell()?.parse().ok()?);
    let (owner, hours, level) = (cell()?, cell()?.parse().ok()?, cell()?.parse().ok()?);
    let arc = match cell()? {
        "slips" => Arc::Slips,
        "never" => Arc::Never,
        "returns" => Arc::Returns,
        "fades" => Arc::Fades,
        "new" => Arc::New,
        "converts" => Arc::Converts,
        _ => Arc::Steady,
    };
    let (age, bot, in_crm) = (cell()?.parse().ok()?, cell()? == "bot", cell()?.parse().ok()?);
    let count = people + usize::from(bot);
    let members = (0..count).map(|place| {
        *next += 1;
        member(*next, place, bot && place == people, domain)
    });
    let members = members.collect();
    Some(Account { id, name, domain, industry, plan, seats, owner, hours, level, arc, age, in_crm, members })
}

fn member(number: u64, place: usize, bot: bool, domain: &str) -> Member {
    let at = number as usize;
    let (first, last) = (FIRST[at % FIRST.len()], LAST[at % LAST.len()]);
    let mut chance = Chance::of(&[number, 99]);
    let role = match place {
        _ if bot => "bot",
        0 => "admin",
        place if place % 3 == 1 => "analyst",
        _ => "viewer",
    };
    Member {
        number,
        user_id: format!("usr_{:04}", 1000 + number * 7),
        device: format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            chance.below(1 << 32),
            chance.below(1 << 16),
            chance.below(1 << 12),
            chance.below(1 << 12),
            chance.below(1 << 48)
        ),
        email: if bot { format!("reports-bot@{domain}") } else { format!("{first}.{last}@{domain}").to_lowercase() },
        name: if bot { "Reports Bot".into() } else { format!("{first} {last}") },
        role,
        admin: place == 0,
        bot,
        place,
    }
}

impl Account {
    /// The day a member first shows up, counted from today.
    pub(super) fn joined(&self, member: &Member) -> i32 {
        let start = -self.age.min(HISTORY);
        match (member.place, member.bot) {
            // Steady accounts grow now and then.
            (place, false) if place % 6 == 5 && self.arc == Arc::Steady => start + 9 + 4 * place as i32,
            (place, false) if place > 0 => (start + place as i32 % 3).min(-1),
            _ => start,
        }
    }

    /// The plan on the first day.
    pub(super) fn first_plan(&self) -> &'static str {
        if self.arc == Arc::Converts { "trial" } else { self.plan }
    }

    /// The day on which a trial becomes a paying team, counted from today.
    pub(super) fn converts(&self) -> Option<i32> {
        (self.arc == Arc::Converts).then_some(-41)
    }

    /// How many days before the story begins the account signed up; 0 for one that signs up in it.
    pub(super) fn age_before_history(&self) -> i32 {
        (self.age - HISTORY).max(0)
    }

    /// The IANA zone.
    pub(super) fn zone(&self) -> &'static str {
        match self.hours {
            -8 => "America/Los_Angeles",
            -5 => "America/New_York",
            0 => "Europe/London",
            1 => "Europe/Brussels",
            _ => "Europe/Helsinki",
        }
    }
}
