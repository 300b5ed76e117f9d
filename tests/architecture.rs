//! The shape of the repository, held by a test: who may depend on whom, what the pure crates may not touch, how files
//! begin and how long they get, what a connector must bring along.
//!
//! Each rule is a function over text, paths or cargo's own metadata that returns its complaints, so that every rule is also
//! shown to complain about a bad example. What clippy can see better (calls of single functions) stands in the
//! `clippy.toml` files; here only that they are all there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value as Json, json};

/// What the core is built from. A new entry is a decision: it must be pure itself.
const CORE: [&str; 11] = [
    "cel",
    "chrono",
    "chrono-tz",
    "hashbrown",
    "minijinja",
    "rustc-hash",
    "serde",
    "serde_json",
    "simdutf8",
    "strsim",
    "xxhash-rust",
];
/// What a connector is built from.
const CONNECTOR: [&str; 3] = ["serde", "serde_json", "vitalsync-core"];
/// … and the sandbox, which checks PKCE as a vendor does.
const SANDBOX: [&str; 2] = ["base64", "sha2"];
/// The rooms of the shell that do not see one another.
const ROOMS: [&str; 4] = ["http", "source", "store", "web"];
/// Those who see more than one of the rooms.
const HALLS: [&str; 7] = ["app", "cli", "deliver", "demo", "lib", "main", "tick"];
/// The longest file, in lines.
const LONGEST: usize = 700;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder whose name ends so, with their text; paths are relative to the repository.
fn files(folder: &str, ending: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                found.push((path.strip_prefix(root()).expect("below the root").to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// The code of `src/` and `connectors/`, with the tests of the connectors.
fn code() -> Vec<(PathBuf, String)> {
    let found: Vec<_> = files("src", ".rs").into_iter().chain(files("connectors", ".rs")).collect();
    assert!(found.len() > 30, "only {} files were found: does the test look in the right place?", found.len());
    found
}

/// The connectors' names, without the sandbox.
fn connectors() -> Vec<String> {
    let entries = fs::read_dir(root().join("connectors")).expect("connectors/");
    let folders = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir());
    let names = folders.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
    let mut names: Vec<String> = names.filter(|name| name != "sandbox").collect();
    names.sort();
    assert!(names.len() >= 3, "{names:?}");
    names
}

fn metadata() -> Json {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked", "--no-deps"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("metadata as JSON")
}

fn list(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

fn text<'j>(json: &'j Json, key: &str) -> &'j str {
    json[key].as_str().unwrap_or_default()
}

/// A package's dependencies that are built into it: all but those of its tests.
fn built_in(package: &Json) -> BTreeSet<&str> {
    let dependencies = list(&package["dependencies"]).iter();
    dependencies.filter(|one| one["kind"] != "dev").map(|one| text(one, "name")).collect()
}

fn is_connector(package: &Json) -> bool {
    let manifest = Path::new(text(package, "manifest_path"));
    manifest.parent().and_then(Path::parent).is_some_and(|folder| folder.ends_with("connectors"))
}

/// Lines of code: without comments, so that a sentence about a thing is not the thing.
fn code_lines(source: &str) -> impl Iterator<Item = &str> {
    source.lines().map(|line| match line.trim_start().starts_with("//") {
        true => "",
        false => line.split_once(" // ").map_or(line, |(code, _)| code),
    })
}

/// The top-level module that a file of `src/` belongs to.
fn module(path: &Path) -> String {
    let first = path.components().nth(1).map(|part| part.as_os_str().to_string_lossy().into_owned());
    first.unwrap_or_default().trim_end_matches(".rs").to_owned()
}

/// Names of top-level modules that a file uses, by `crate::x`, `vitalsync::x`, `crate::{x, y}`, or so many
/// `super::` as lead to the top.
fn used_modules(path: &Path, source: &str) -> BTreeSet<String> {
    let code: String = code_lines(source).flat_map(|line| [line, "\n"]).collect();
    // src/x.rs and src/x/mod.rs reach the top by one `super`, src/x/y.rs by two.
    let depth = path.components().count() - 1 - usize::from(path.ends_with("mod.rs"));
    let mut used = BTreeSet::new();
    for prefix in ["crate::".to_owned(), "vitalsync::".to_owned(), "super::".repeat(depth)] {
        for (place, _) in code.match_indices(prefix.as_str()) {
            let before = code[..place].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let after = &code[place + prefix.len()..];
            if let Some(group) = after.strip_prefix('{') {
                used.extend(group_names(group));
            } else {
                used.insert(name_at_start(after));
            }
        }
    }
    used
}

fn name_at_start(code: &str) -> String {
    code.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The first names of `a::b, c, d::{e, f}}`.
fn group_names(group: &str) -> Vec<String> {
    let (mut names, mut depth, mut start) = (Vec::new(), 0, true);
    for (place, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            c if start && depth == 0 && !c.is_whitespace() => {
                names.push(name_at_start(&group[place..]));
                start = false;
            }
            _ => {}
        }
    }
    names
}

// The rules.

fn core_is_bare(metadata: &Json) -> Vec<String> {
    let Some(core) = list(&metadata["packages"]).iter().find(|package| text(package, "name") == "vitalsync-core")
    else {
        return vec!["there is no vitalsync-core".into()];
    };
    let (found, allowed) = (built_in(core), BTreeSet::from(CORE));
    let mut complaints: Vec<String> = found
        .symmetric_difference(&allowed)
        .map(|name| match allowed.contains(name) {
            true => format!("{name} is allowed in the core but not used: take it off the list"),
            false => format!("the core depends on {name}"),
        })
        .collect();
    for chrono in list(&core["dependencies"]).iter().filter(|one| text(one, "name") == "chrono") {
        let features: Vec<&str> = list(&chrono["features"]).iter().filter_map(Json::as_str).collect();
        if chrono["uses_default_features"] != false || features.iter().any(|name| ["clock", "now"].contains(name)) {
            complaints.push("the core has chrono with a clock".into());
        }
    }
    complaints
}

fn connectors_depend_on_the_core_alone(metadata: &Json) -> Vec<String> {
    let connectors: Vec<&Json> = list(&metadata["packages"]).iter().filter(|package| is_connector(package)).collect();
    let names: BTreeSet<&str> = connectors.iter().map(|package| text(package, "name")).collect();
    let mut complaints = Vec::new();
    for package in connectors {
        let name = text(package, "name");
        let more = SANDBOX.into_iter().filter(|_| name == "vitalsync-sandbox");
        for other in built_in(package).difference(&CONNECTOR.into_iter().chain(more).collect()) {
            complaints.push(format!("{name} depends on {other}"));
        }
        for dependency in list(&package["dependencies"]) {
            let other = text(dependency, "name");
            if names.contains(other) || other == "vitalsync" {
                complaints.push(format!("{name} knows {other}, if only in its tests"));
            }
        }
    }
    complaints
}

fn rooms_keep_apart(path: &Path, source: &str) -> Option<String> {
    let module = module(path);
    if HALLS.contains(&module.as_str()) {
        return None;
    }
    let used = used_modules(path, source);
    let seen: Vec<&str> = ROOMS.into_iter().filter(|room| *room != module && used.contains(*room)).collect();
    let most = if ROOMS.contains(&module.as_str()) { 0 } else { 1 };
    (seen.len() > most).then(|| format!("{}: `{module}` names {}", path.display(), seen.join(", ")))
}

fn pure_code_is_pure(path: &Path, source: &str) -> Option<String> {
    const BANNED: [&str; 11] = [
        "std::fs",
        "std::net",
        "std::thread",
        "std::process",
        "std::env",
        "std::io",
        "Instant::now",
        "SystemTime",
        "Utc::now",
        "Local::now",
        "async fn",
    ];
    let lines = || code_lines(source);
    let found = BANNED.into_iter().find(|banned| lines().any(|line| line.contains(banned)))?;
    Some(format!("{}: {found} in a pure crate", path.display()))
}

fn lints_are_the_workspaces(path: &Path, manifest: &str) -> Option<String> {
    let mut section = "";
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        }
        if section == "[lints]" && line.replace(' ', "") == "workspace=true" {
            return None;
        }
    }
    Some(format!("{}: has no `[lints]` with `workspace = true`", path.display()))
}

fn begins_with_a_header(path: &Path, source: &str) -> Option<String> {
    let said = source.lines().next().and_then(|line| line.strip_prefix("//!")).map(str::trim).unwrap_or_default();
    said.is_empty().then(|| format!("{}: begins without a `//!` header that says why it is there", path.display()))
}

fn fits_in_the_head(path: &Path, source: &str) -> Option<String> {
    let lines = source.lines().count();
    (lines > LONGEST).then(|| format!("{}: {lines} lines, more than {LONGEST}", path.display()))
}

fn skips_no_test(path: &Path, source: &str) -> Option<String> {
    let skipped = |line: &str| {
        let line = line.trim_start();
        line.starts_with("#[ignore") || line.starts_with("#[cfg_attr(") && line.contains("ignore")
    };
    let at = code_lines(source).position(skipped)?;
    Some(format!("{}:{}: an ignored test", path.display(), at + 1))
}

fn leaves_nothing_undone(path: &Path, source: &str) -> Option<String> {
    let undone = |line: &str| line.contains("todo!(") || line.contains("unimplemented!(");
    let at = code_lines(source).position(undone)?;
    Some(format!("{}:{}: not done yet", path.display(), at + 1))
}

/// `has` answers whether a path below the connector's folder is there, and not empty.
fn connector_is_complete(name: &str, registry: &str, has: impl Fn(&str) -> bool) -> Vec<String> {
    let mut complaints = Vec::new();
    let path = format!("vitalsync_{}::", name.replace('-', "_"));
    if !code_lines(registry).any(|line| line.contains(&path)) {
        complaints.push(format!("{name} is not registered in src/connectors.rs"));
    }
    for needed in ["README.md", "cases", "clippy.toml", "laws.yaml"] {
        if !has(needed) {
            complaints.push(format!("connectors/{name} has no {needed}"));
        }
    }
    complaints
}

fn same_bans(bans: &[(PathBuf, String)]) -> Vec<String> {
    let first = bans.first().map_or("", |(_, text)| text.as_str());
    let differs = bans.iter().filter(|(_, text)| text != first || !text.contains("disallowed-methods"));
    differs.map(|(path, _)| format!("{}: differs from the core's", path.display())).collect()
}

fn none(complaints: impl IntoIterator<Item = String>) {
    let complaints: Vec<String> = complaints.into_iter().collect();
    assert!(complaints.is_empty(), "\n  {}\n", complaints.join("\n  "));
}

/// A rule over the files that it is about.
fn hold(rule: fn(&Path, &str) -> Option<String>, files: &[(PathBuf, String)]) {
    none(files.iter().filter_map(|(path, text)| rule(path, text)));
}

#[test]
fn dependencies_point_one_way() {
    let metadata = metadata();
    assert!(list(&metadata["packages"]).iter().filter(|package| is_connector(package)).count() >= 4);
    none(core_is_bare(&metadata).into_iter().chain(connectors_depend_on_the_core_alone(&metadata)));

    let package = |name: &str, dependencies: Json| {
        let folder = name.trim_start_matches("vitalsync-");
        json!({"name": name, "manifest_path": format!("/r/connectors/{folder}/Cargo.toml"), "dependencies": dependencies})
    };
    let bad = json!({"packages": [
        package("vitalsync-core", json!([
            {"name": "tokio", "kind": null},
            {"name": "proptest", "kind": "dev"},
            {"name": "cc", "kind": "build"},
            {"name": "chrono", "kind": null, "uses_default_features": true, "features": []},
        ])),
        package("vitalsync-a", json!([{"name": "reqwest", "kind": null}, {"name": "vitalsync-b", "kind": "dev"}])),
        package("vitalsync-b", json!([{"name": "serde", "kind": null}, {"name": "vitalsync", "kind": "dev"}])),
    ]});
    let core = core_is_bare(&bad).join("; ");
    for complaint in ["depends on tokio", "depends on cc", "cel is allowed", "chrono with a clock"] {
        assert!(core.contains(complaint), "{core}");
    }
    assert!(!core.contains("proptest"), "{core}");
    let mut connectors = bad.clone();
    connectors["packages"].as_array_mut().expect("a list").remove(0);
    assert_eq!(
        connectors_depend_on_the_core_alone(&connectors),
        [
            "vitalsync-a depends on reqwest",
            "vitalsync-a knows vitalsync-b, if only in its tests",
            "vitalsync-b knows vitalsync, if only in its tests",
        ]
    );
    assert_eq!(core_is_bare(&json!({})), ["there is no vitalsync-core"]);
}

#[test]
fn store_source_http_and_web_do_not_see_one_another() {
    let shell: Vec<_> = files("src", ".rs").into_iter().filter(|(path, _)| !path.starts_with("src/core")).collect();
    hold(rooms_keep_apart, &shell);

    let sees = |path: &str, source: &str| rooms_keep_apart(Path::new(path), source).is_some();
    assert!(sees("src/store/keys.rs", "use crate::source::Cursor;"));
    assert!(sees("src/web.rs", "fn f() -> crate::store::Store {}"));
    assert!(sees("src/web/page.rs", "use crate::{config::Config, store::{self, http}};"));
    assert!(sees("src/http.rs", "use super::web;"));
    assert!(sees("src/http/body.rs", "use super::super::web::Page;"));
    assert!(sees("src/source/mod.rs", "use super::store::Store;"));
    assert!(sees("src/schedule.rs", "use crate::store::Store;\nuse crate::source::Batch;"));
    assert!(!sees("src/schedule.rs", "use crate::store::Store;"), "one is enough for anybody else");
    assert!(!sees("src/tick.rs", "use crate::store::Store;\nuse crate::source::Batch;"));
    assert!(!sees("src/store/keys.rs", "use crate::store::{source, web};\n// unlike crate::source\nuse super::web;"));
    assert!(!sees("src/store/mod.rs", "use other_crate::source;\nlet url = \"crate\";"));
}

#[test]
fn pure_crates_do_nothing() {
    let pure = |path: &Path| {
        path.starts_with("src/core/src")
            || path.starts_with("connectors") && path.components().nth(2).is_some_and(|part| part.as_os_str() == "src")
    };
    let pure: Vec<_> = code().into_iter().filter(|(path, _)| pure(path)).collect();
    assert!(pure.len() > 20, "{}", pure.len());
    hold(pure_code_is_pure, &pure);

    let bad = |source: &str| pure_code_is_pure(Path::new("x.rs"), source).is_some();
    assert!(bad("use std::fs;") && bad("let now = chrono::Utc::now();") && bad("pub async fn f() {}"));
    assert!(bad("use std::time::SystemTime;") && bad("let id = std::env::var(\"ID\"); // why"));
    assert!(!bad("// not std::fs\nuse std::fmt; // nor std::net\n/// `Utc::now` is for the shell"));
}

#[test]
fn the_pure_crates_have_the_same_bans() {
    let mut bans: Vec<_> = files("src/core", "clippy.toml");
    bans.extend(files("connectors", "clippy.toml"));
    assert_eq!(bans.len(), connectors().len() + 2, "the core, the sandbox and every connector have a clippy.toml");
    none(same_bans(&bans));

    let file = |text: &str| (PathBuf::from("clippy.toml"), text.to_owned());
    assert_eq!(same_bans(&[file("disallowed-methods = [1]"), file("disallowed-methods = []")]).len(), 1);
    assert_eq!(same_bans(&[file(""), file("")]).len(), 2);
}

#[test]
fn every_member_has_the_workspaces_lints() {
    let metadata = metadata();
    let manifests: Vec<(PathBuf, String)> = list(&metadata["packages"])
        .iter()
        .map(|package| PathBuf::from(text(package, "manifest_path")))
        .map(|path| (path.clone(), fs::read_to_string(path).expect("a manifest")))
        .collect();
    assert!(manifests.len() >= 6, "{}", manifests.len());
    hold(lints_are_the_workspaces, &manifests);

    let bad = |manifest: &str| lints_are_the_workspaces(Path::new("Cargo.toml"), manifest).is_some();
    assert!(bad("[package]\nname = \"x\"\n[lints.clippy]\nall = \"warn\"\n"));
    assert!(bad("[lints]\n[dependencies]\nserde.workspace = true\nworkspace = true\n"));
    assert!(!bad("[package]\n[lints]\nworkspace = true\n"));
}

#[test]
fn every_file_says_why_it_is_there() {
    hold(begins_with_a_header, &code());

    let bad = |source: &str| begins_with_a_header(Path::new("x.rs"), source).is_some();
    assert!(bad("") && bad("use std::fmt;\n//! Late.") && bad("/// Of the next item.") && bad("//!\n//! Late."));
    assert!(!bad("//! Why.\n"));
}

#[test]
fn no_file_is_too_long() {
    let all: Vec<_> = code().into_iter().chain(files("tests", ".rs")).collect();
    hold(fits_in_the_head, &all);

    assert!(fits_in_the_head(Path::new("x.rs"), &"\n".repeat(LONGEST + 1)).is_some());
    assert!(fits_in_the_head(Path::new("x.rs"), &"\n".repeat(LONGEST)).is_none());
}

#[test]
fn no_test_is_ignored_and_nothing_is_left_undone() {
    let all: Vec<_> = code().into_iter().chain(files("tests", ".rs")).collect();
    hold(skips_no_test, &all);
    hold(leaves_nothing_undone, &code());

    let skips = |source: &str| skips_no_test(Path::new("x.rs"), source).is_some();
    assert!(skips("#[test]\n    #[ignore = \"slow\"]\nfn f() {}") && skips("#[cfg_attr(windows, ignore)]"));
    assert!(!skips("// #[ignore] is not for us\nlet ignored = 0;"));
    let undone = |source: &str| leaves_nothing_undone(Path::new("x.rs"), source).is_some();
    assert!(undone("fn f() { todo!() }") && undone("_ => unimplemented!(\"later\"),") && !undone("// todo!()"));
}

#[test]
fn every_connector_is_registered_and_complete() {
    let registry = fs::read_to_string(root().join("src/connectors.rs")).expect("src/connectors.rs");
    none(connectors().into_iter().flat_map(|name| {
        let folder = root().join("connectors").join(&name);
        connector_is_complete(&name, &registry, |needed| {
            let path = folder.join(needed);
            fs::read_dir(&path).map_or_else(
                |_| fs::metadata(&path).is_ok_and(|file| file.len() > 0),
                |mut entries| entries.next().is_some(),
            )
        })
    }));

    let registry = "// vitalsync_b::B\nconst ALL: [R; 1] = [vitalsync_a_b::A_B];";
    assert!(connector_is_complete("a-b", registry, |_| true).is_empty());
    assert_eq!(connector_is_complete("b", registry, |_| true), ["b is not registered in src/connectors.rs"]);
    assert_eq!(connector_is_complete("a-b", registry, |needed| needed != "cases"), ["connectors/a-b has no cases"]);
}
