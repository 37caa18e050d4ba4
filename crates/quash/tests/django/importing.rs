//! `quash import django`: users that Django has made, in SQLite, in PostgreSQL and as JSON lines; and malformed sources.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::python::python;
use crate::quash_dir::QuashDir;
use crate::site::Site;
use crate::support::postgres::{Kind, server, url_for_this_process};
use crate::support::{Finished, Server, claims, run};

const SETTINGS: &str = "[tokens]\nupdate_last_login = true\n[passwords]\nrehash = false\n\
    [foreign.shop]\nnamespace = \"shop\"\nmax_lifetime = \"2d\"\n";

const CLAIMS: [&str; 4] =
    ["--claim=staff=staff", "--claim=admin=superuser", "--claim=groups=groups", "--claim=rights=permissions"];

#[test]
fn users_in_sqlite_are_imported() {
    let Some(python) = python() else { return };
    let dir = QuashDir::new();
    let site = Site::new(&python, &dir);
    let source = site.folder().join("db.sqlite3");
    let quash = import_site(&dir, &site, source.to_str().expect("UTF-8"));

    // JSON lines say the same.
    let lines = site.folder().join("dump.jsonl");
    let lines = lines.to_str().expect("UTF-8");
    let models = ["contenttypes", "auth", "token_blacklist"];
    site.manage(&[&["dumpdata", "--format", "jsonl", "-o", lines], &models[..]].concat(), "");
    let again = import(&quash, &[&[lines, "--json"], &CLAIMS[..]].concat());
    assert_eq!(summary(&again)["created"], 0, "{}", again.stderr);
    assert_eq!(summary(&again)["changed"], 0, "{}", again.stdout);
    assert_eq!((&summary(&again)["users"], &summary(&again)["blacklisted"]), (&json!(1003), &json!(3)));
}

#[test]
fn users_in_postgres_are_imported() {
    let (Some(python), Some(_)) = (python(), server()) else { return };
    let dir = QuashDir::new();
    let site = Site::new(&python, &dir);
    let url = url_for_this_process(Kind::Postgres);
    let settings = std::fs::read_to_string(site.folder().join("settings.py")).expect("settings");
    site.write(
        "settings.py",
        &format!(
            "{settings}\nfrom urllib.parse import unquote, urlsplit\n_url = urlsplit('{url}')\n\
             _user, _, _place = _url.netloc.rpartition('@')\n_host, _, _port = _place.rpartition(':')\n\
             DATABASES = {{'default': {{'ENGINE': 'django.db.backends.postgresql', 'NAME': _url.path[1:], \
             'USER': _user.partition(':')[0], 'PASSWORD': _user.partition(':')[2], 'HOST': unquote(_host), \
             'PORT': _port}}}}\n"
        ),
    );
    site.shell(
        "from django.core.management import call_command; call_command('migrate', verbosity=0); \
         from django.contrib.auth.models import User; User.objects.create_user('dana', password=None)",
    );
    import_site(&dir, &site, &url);
}

/// Imports 1,000 users with a kill in between, and compares all accounts.
fn import_site(dir: &QuashDir, site: &Site, source: &str) -> Server {
    let made = site.manage(&["shell", "-v", "0"], include_str!("site/make_users.py"));
    let expected: Vec<Value> = serde_json::from_str(made.trim()).expect("JSON");
    let quash = dir.quash(SETTINGS);
    let args = [&[source, "--json"], &CLAIMS[..]].concat();

    // A dry run writes nothing.
    let dry = import(&quash, &[&args[..], &["--dry-run"]].concat());
    assert_eq!(quash.run(&["account", "list", "--json"], "").json()["accounts"], json!([]));
    let refused = expected.iter().filter(|user| user["format"] == "md5").count() + 2;
    assert_eq!((dry.code(), &summary(&dry)["skipped"]), (1, &json!(refused)), "{}", dry.stderr);

    // A kill in the middle, and further runs.
    let mut command =
        quash.command(&[&["import", "django", "--config", &settings_of(&quash)], &args[..]].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut report = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    assert_eq!(report.by_ref().take(20).map_while(Result::ok).count(), 20, "it has not ended");
    child.kill().expect("it runs");
    assert_eq!(child.wait().expect("it ends").signal(), Some(9));
    let second = import(&quash, &args);
    let third = import(&quash, &args);
    let (second, third) = (summary(&second), summary(&third));
    let count = |run: &Value, name: &str| run[name].as_u64().expect("a number");
    assert!(count(&second, "unchanged") > 0, "the first run has written some: {second}");
    assert_eq!(count(&second, "created") + count(&second, "unchanged"), 1003 - refused as u64, "{second}");
    assert_eq!((count(&third, "created"), count(&third, "changed")), (0, 0), "{third}");
    assert_eq!(
        (count(&dry_created(&dry), "created"), count(&third, "revoked")),
        (count(&third, "unchanged"), 3)
    );
    let audit = quash.run(&["audit", "list", "--json", "--after", "880", "--limit", "200"], "").json();
    let entries = audit["entries"].as_array().expect("a list");
    let revoked = entries.iter().filter(|entry| entry["event"] == "revoked" && entry["name"] == "shop");
    assert_eq!(revoked.count(), 2, "each run that came so far has revoked the blacklist: {audit}");

    for user in &expected {
        check(&quash, user);
    }
    quash
}

/// Compares an account with its user.
fn check(quash: &Server, user: &Value) {
    let text = |member: &str| user[member].as_str().expect("a text");
    let format = text("format");
    let body = json!({ "username": text("name"), "password": text("password") });
    // The password queue may be full on a busy machine.
    let mut answers = (0..100).map(|_| quash.post_json("/api/token/", &body, None));
    let answer = answers.find(|answer| !answer.is_busy()).expect("a place in the password queue");
    let signs_in = user["active"] == true && !["md5", "unusable", "empty"].contains(&format);
    assert_eq!(answer.status, if signs_in { 200 } else { 401 }, "{user}: {}", answer.text);
    if signs_in {
        let claims = claims(&answer.pair().access);
        assert_eq!(claims["user_id"], user["subject"], "{user}");
        for (name, value) in user["claims"].as_object().expect("an object") {
            assert_eq!(&claims[name], value, "{user}: {name}");
        }
    }
    // A command takes a while: every twentieth is enough for what each sign-in doesn't show.
    if format == "md5" || !text("subject").ends_with("8") {
        return;
    }
    let account = quash.run(&["account", "show", "--subject", text("subject"), "--json"], "").json();
    assert_eq!((&account["name"], &account["email"]), (&user["name"], &user["email"]));
    assert_eq!(account["state"], if user["active"] == true { "active" } else { "deactivated" });
    assert_eq!(account["email_verified_at"].is_string(), user["email"].is_string());
}

#[test]
fn unknown_hashes_can_be_left_out() {
    let dir = QuashDir::new();
    let (source, site) = database(&dir);
    site.execute_batch(
        "INSERT INTO auth_user VALUES (1, 'dana', 'md5$x$y', 'a@example.org', 1, '2026-01-02 03:04:05')",
    )
    .expect("a row");
    let quash = dir.quash("[tokens]\nupdate_last_login = true\n");
    let refused = import(&quash, &[&source]);
    assert_eq!(refused.code(), 1, "{}", refused.stderr);
    assert!(refused.stdout.contains("skipped: user 1 (dana): the password hash"), "{}", refused.stdout);
    let report = dir.path().join("report");
    let report = report.to_str().expect("UTF-8");
    let done = import(
        &quash,
        &[&source, "--without-unknown-hashes", "--email-verified", "none", "--report", report],
    );
    assert_eq!(done.code(), 0, "{}", done.stderr);
    let line: Value =
        serde_json::from_str(&std::fs::read_to_string(report).expect("a report")).expect("a line");
    assert_eq!((&line["outcome"], &line["user"]), (&json!("warning"), &json!("user 1")));
    let account = quash.run(&["account", "show", "dana", "--json"], "").json();
    assert_eq!((&account["password_usable"], &account["email_verified_at"]), (&json!(false), &Value::Null));
    assert_eq!(account["last_login_at"], "2026-01-02T03:04:05.000Z");
}

#[test]
fn malformed_rows_are_reported_and_others_imported() {
    let dir = QuashDir::new();
    let (source, site) = database(&dir);
    let long = "x".repeat(151);
    site.execute_batch(&format!(
        "INSERT INTO auth_user VALUES (1, 'dana', '!', '', 1, NULL), (2, 'DANA', '!', '', 1, NULL), \
         (3, '{long}', '!', '', 1, NULL), (4, 'four', '!', '', 'yes', NULL), (5, NULL, '!', '', 1, NULL), \
         (6, 'six', '!', 'not an address', 1, NULL), (7, 'seven', '!', '', 1, 'yesterday'), \
         (8, x'ff', '!', '', 1, NULL), (9, 'nine', '!', 'kim@example.org', 1, NULL), \
         (10, 'ten', '!', 'KIM@example.org', 1, NULL), (11, 'eleven', '{}', '', 1, NULL)",
        "x".repeat(20_000)
    ))
    .expect("rows");
    let quash = dir.quash("");
    let done = import(&quash, &[&source]);
    assert_eq!(done.code(), 1);
    for (user, reason) in [
        ("2 (DANA)", "the name is that of user 1"),
        ("3 (xxx", "the name"),
        ("4 (four)", "must be true or false"),
        ("5", "the name is missing"),
        ("7 (seven)", "isn't a time"),
        ("8", "must be a text"),
        ("11 (eleven)", "at most 16384"),
    ] {
        let is_reported =
            |line: &str| line.starts_with(&format!("skipped: user {user}")) && line.contains(reason);
        assert!(done.stdout.lines().any(is_reported), "{user}: {}", done.stdout);
    }
    assert!(
        done.stdout.contains("warning: user 9 (nine): several users have this address"),
        "{}",
        done.stdout
    );
    assert!(
        done.stdout.contains("11 users: 4 created, 0 changed, 0 unchanged, 7 skipped"),
        "{}",
        done.stdout
    );
}

#[test]
fn malformed_sources_are_named() {
    let dir = QuashDir::new();
    let (source, site) = database(&dir);
    site.execute_batch("CREATE TABLE plain (id integer, username text, password text)").expect("a table");
    let quash = dir.quash("");
    let path = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    dir.write("text", "hello");
    dir.write("list", "[{}]");
    dir.write("empty", "");
    dir.write("lines", "{\"model\": \"auth.group\", \"pk\": 1, \"fields\": {\"name\": \"x\"}}\n");
    dir.write("damaged", "SQLite format 3\0 and nothing else");
    for (args, code, says) in [
        (vec![path("missing")], 4, "can't be read"),
        (vec![path("text")], 2, "neither an SQLite file nor JSON lines"),
        (vec![path("list")], 2, "--format jsonl"),
        (vec![path("empty")], 2, "is empty"),
        (vec![path("lines")], 4, "has no auth.user"),
        (vec![path("damaged")], 1, "cannot read"),
        (vec![source.clone(), "--table=other".into()], 4, "has no table other"),
        (vec![source.clone(), "--table=plain".into()], 2, "isn't the primary key"),
        (vec![source.clone(), "--column=username=login".into()], 2, "has no column login"),
        (vec![source.clone(), "--column=nick=login".into()], 2, "fields are key"),
        (vec![source.clone(), "--subject-column=uuid".into()], 2, "has no column uuid"),
        (vec![source.clone(), "--claim=roles=groups".into()], 2, "auth_user_groups isn't a table"),
        (vec![source.clone(), "--claim=roles=group".into()], 2, "a source is staff"),
        (vec![source.clone(), "--claim=exp=staff".into()], 2, "quash uses it itself"),
        (vec![source.clone(), "--namespace=shop".into()], 4, "no namespace"),
        (vec!["postgres://a:hunter2@127.0.0.1/x".into()], 2, "contains a password"),
        (vec!["postgres://a@127.0.0.1:1/x".into()], 1, "cannot read"),
        (vec![], 2, "no source is given"),
    ] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let done = import(&quash, &args);
        assert_eq!(done.code(), code, "{args:?}: {}", done.stderr);
        assert!(done.stderr.contains(says), "{args:?}: {}", done.stderr);
        assert!(!done.stderr.contains("hunter2") && !done.stderr.contains("panicked"), "{}", done.stderr);
    }
}

#[test]
fn broken_json_lines_are_reported() {
    let dir = QuashDir::new();
    let user = |pk: u32, name: &str, groups: &str| {
        format!(
            "{{\"model\": \"auth.user\", \"pk\": {pk}, \"fields\": {{\"username\": \"{name}\", \"password\": \"!\", \"groups\": {groups}}}}}\n"
        )
    };
    let lines = [
        user(1, "dana", "[[\"Editors\"]]"),
        "{\"model\": \"auth.user\", \"pk\n".into(),
        "{\"model\": \"auth.user\"}\n\n".into(),
        user(2, "kim", "[9]"),
        user(1, "eve", "[]"),
        format!("{{\"x\": \"{}\"}}\n", "x".repeat(300_000)),
        "{\"model\": \"auth.group\", \"fields\": {\"name\": \"Editors\", \"permissions\": []}}\n".into(),
    ];
    dir.write("dump.jsonl", &lines.concat());
    let quash = dir.quash("");
    let source = dir.path().join("dump.jsonl");
    let done = import(&quash, &[source.to_str().expect("UTF-8"), "--claim=roles=groups"]);
    assert_eq!(done.code(), 1, "{}", done.stderr);
    for says in [
        "line 2: it isn't JSON: column",
        "line 3: it isn't an object with model, pk and fields",
        "line 5: the file lacks its group 9",
        "line 6 (eve): the subject is that of line 1",
        "line 7: it is longer than 262144 bytes",
    ] {
        assert!(done.stdout.contains(says), "{says}: {}", done.stdout);
    }
    let account = quash.run(&["account", "show", "dana", "--json"], "").json();
    assert_eq!(account["claims"], json!({ "roles": ["Editors"] }));
}

#[test]
fn each_setting_of_simple_jwt_is_handled() {
    let Some(python) = python() else { return };
    let dir = QuashDir::new();
    let site = Site::new(&python, &dir);
    let listed = site.shell(
        "import json; from rest_framework_simplejwt.settings import DEFAULTS; print(json.dumps(sorted(DEFAULTS)))",
    );
    let listed: Vec<String> = serde_json::from_str(&listed).expect("names");
    dir.write(
        "jwt.py",
        "from datetime import timedelta\nSIMPLE_JWT = {\n    'ACCESS_TOKEN_LIFETIME': timedelta(hours=6),\n    \
         'SIGNING_KEY': 'hunter2',\n    'ROTATE_REFRESH_TOKENS': True,\n    'USER_ID_CLAIM': 'sub',\n}\n",
    );
    let file = dir.path().join("jwt.py");
    let to = dir.path().join("made.toml");
    let (file, to) = (file.to_str().expect("UTF-8"), to.to_str().expect("UTF-8"));
    let convert =
        |args: &[&str]| command(&dir.data(), &[&["import", "django-settings", file], args].concat());
    let shown = convert(&["--json"]).json();
    let handled: Vec<_> =
        shown["settings"].as_array().expect("a list").iter().map(|one| &one["setting"]).collect();
    for name in listed {
        assert!(handled.contains(&&json!(name)), "{name} isn't handled");
    }
    let done = convert(&["--to", to]);
    assert!(done.status.success() && !done.stdout.contains("hunter2"), "{}{}", done.stdout, done.stderr);
    let text = std::fs::read_to_string(to).expect("settings");
    assert!(text.contains("access_token_lifetime = \"6h\"") && !text.contains("hunter2"), "{text}");
    assert_eq!(convert(&["--to", to]).code(), 1, "nothing is overwritten");
    // quash takes what was made.
    let checked = command(&dir.data(), &["config", "check", "--config", to]);
    assert!(checked.status.success(), "{}", checked.stderr);
}

/// Makes a database with the table of users.
pub(crate) fn database(dir: &QuashDir) -> (String, Connection) {
    let path = dir.path().join("site.sqlite3");
    let site = Connection::open(&path).expect("a database");
    let table = "CREATE TABLE auth_user (id integer PRIMARY KEY, username, password, email, is_active bool, last_login)";
    site.execute_batch(table).expect("a table");
    (path.to_str().expect("UTF-8").to_owned(), site)
}

pub(crate) fn import(quash: &Server, args: &[&str]) -> Finished {
    quash.run(&[&["import", "django", "--config", &settings_of(quash)], args].concat(), "")
}

/// The settings file of a server.
fn settings_of(quash: &Server) -> String {
    quash.data_dir.with_file_name("quash.toml").to_str().expect("UTF-8").to_owned()
}

pub(crate) fn command(data_dir: &Path, args: &[&str]) -> Finished {
    run(crate::support::quash_on(data_dir, args), "")
}

/// Returns the summary, which is the last line.
pub(crate) fn summary(done: &Finished) -> Value {
    let last = done.stdout.lines().last().unwrap_or_else(|| panic!("no summary: {}", done.stderr));
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}"))
}

/// The summary of a dry run, which changes nothing.
fn dry_created(dry: &Finished) -> Value {
    let summary = summary(dry);
    assert_eq!((&summary["dry_run"], &summary["changed"]), (&json!(true), &json!(0)));
    summary
}
