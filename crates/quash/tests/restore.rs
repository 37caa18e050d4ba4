//! `quash backup` and `quash restore`, and a database that is replaced by an older copy: which sessions end,
//! which stay ended, and the state after a kill.

use crate::support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::thread::ScopedJoinHandle;

use quash_core::model::{Seeded, draw};
use serde_json::{Value, json};
use support::feed::{cursor, lease};
use support::journal::Load;
use support::{Answer, Finished, Pair, Server, header, on, quash, rounds, sqlite_only};
use tempfile::TempDir;

const PASSWORD: &str = "correct horse battery staple";
const CLIENTS: usize = 4;

/// A data directory, and a directory for backups.
struct Site {
    dir: TempDir,
}

impl Site {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary directory") }
    }

    fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn backup(&self) -> PathBuf {
        self.dir.path().join("backup")
    }

    fn start(&self) -> Server {
        Server::start_in(&self.data_dir(), &[])
    }

    /// Starts a server with an account.
    fn first_start(&self) -> Server {
        let server = self.start();
        server.add_account("dana", PASSWORD);
        server
    }

    fn run(&self, args: &[&str]) -> Finished {
        on(&self.data_dir(), args, "")
    }

    fn back_up(&self) -> Value {
        self.run(&["backup", text(&self.backup()), "--json"]).json()
    }

    fn back_up_anew(&self) -> Value {
        fs::remove_file(self.backup()).expect("it is ours");
        self.back_up()
    }

    fn restore(&self, more: &[&str]) -> Value {
        self.run(&[&["restore", text(&self.backup()), "--json"], more].concat()).json()
    }

    fn database(&self) -> PathBuf {
        self.data_dir().join("quash.db")
    }

    /// Returns the number of previous databases that were kept.
    fn kept(&self) -> usize {
        let names = fs::read_dir(self.data_dir())
            .expect("a directory")
            .map(|entry| entry.expect("an entry").file_name());
        names.filter(|name| text(Path::new(name)).starts_with("quash.db.before-restore-")).count()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn me(server: &Server, pair: &Pair) -> u16 {
    server.get("/v1/me", Some(&pair.access)).status
}

fn refresh(server: &Server, pair: &Pair) -> Answer {
    server.post_json("/api/token/refresh/", &json!({ "refresh": pair.refresh }), None)
}

fn end(server: &Server, pair: &Pair) {
    let ended = server.post_json("/api/token/blacklist/", &json!({ "refresh": pair.refresh }), None);
    assert_eq!(ended.status, 200, "{}", ended.text);
}

fn assert_dead(server: &Server, pair: &Pair, reason: Option<&str>) {
    assert_eq!(me(server, pair), 401);
    let refused = refresh(server, pair);
    assert_eq!((refused.status, refused.body["reason"].as_str()), (401, reason), "{}", refused.text);
}

fn assert_live(server: &Server, pair: &Pair) {
    assert_eq!((me(server, pair), refresh(server, pair).status), (200, 200));
}

fn kid(token: &str) -> String {
    header(token)["kid"].as_str().expect("a kid").to_owned()
}

/// Returns the states of the keys with this id.
fn states(server: &Server, kid: &str) -> Vec<String> {
    let listed = server.run(&["key", "list", "--json"], "").json();
    let keys = listed["keys"].as_array().expect("keys").iter().filter(|key| key["kid"] == kid);
    keys.map(|key| key["state"].as_str().expect("a state").to_owned()).collect()
}

/// Returns the audit's entries about a restored store.
fn restored_in_the_audit(server: &Server) -> Vec<Value> {
    let listed = server.run(&["audit", "list", "--json"], "").json();
    let entries = listed["entries"].as_array().expect("entries").clone();
    entries.into_iter().filter(|entry| entry["reason"] == "restored").collect()
}

#[test]
fn restore_ends_all_sessions() {
    sqlite_only!();
    let site = Site::new();
    let server = site.first_start();
    let (kept, ended) = (server.sign_in("dana", PASSWORD), server.sign_in("dana", PASSWORD));
    let load = Load::new(&server, PASSWORD);
    let told = std::thread::scope(|scope| {
        let clients: Vec<ScopedJoinHandle<_>> = (0..CLIENTS).map(|_| scope.spawn(|| load.client())).collect();
        while load.acknowledged.load(Ordering::SeqCst) < 40 {
            std::hint::spin_loop();
        }
        let told = site.back_up();
        load.stop();
        clients.into_iter().for_each(|client| drop(client.join().expect("a client")));
        told
    });
    assert_eq!(fs::metadata(site.backup()).expect("it is there").permissions().mode() & 0o7777, 0o600);
    assert_eq!(told["path"].as_str(), Some(text(&site.backup())));
    let after = server.sign_in("dana", PASSWORD);
    end(&server, &ended);
    let refused = site.run(&["restore", text(&site.backup())]);
    assert_eq!(refused.code(), 3, "a server runs: {}", refused.stderr);
    server.terminate();

    let restored = site.restore(&[]);
    assert!(
        restored["epoch"].as_u64() > Some(1) && restored["seq"].as_u64() > told["seq"].as_u64(),
        "{restored}"
    );
    assert!(Path::new(restored["kept"].as_str().expect("a path")).exists());
    let server = site.start();
    assert_dead(&server, &kept, Some("restored"));
    assert_dead(&server, &ended, Some("restored"));
    // The backup doesn't know of it.
    assert_dead(&server, &after, None);
    assert_live(&server, &server.sign_in("dana", PASSWORD));
    let noted = restored_in_the_audit(&server);
    assert_eq!(noted.len(), 1, "{noted:?}");
    assert_eq!(
        (&noted[0]["event"], &noted[0]["actor"], &noted[0]["seq"]),
        (&json!("everything_ended"), &json!("operator"), &restored["seq"])
    );
    let finished = server.terminate();
    assert!(!finished.stderr.contains("went back"), "{}", finished.stderr);
}

#[test]
fn backups_work_offline_and_overwrite_nothing() {
    sqlite_only!();
    let site = Site::new();
    site.first_start().terminate();
    let written = site.run(&["backup", text(&site.backup())]);
    assert_eq!(written.code(), 0, "{}", written.stderr);
    assert!(written.stderr.contains("the master key is not in it"), "{}", written.stderr);
    let bytes = fs::read(site.backup()).expect("it is there");
    let again = site.run(&["backup", text(&site.backup())]);
    assert_eq!(again.code(), 5, "{}", again.stderr);
    assert_eq!(fs::read(site.backup()).expect("it is there"), bytes);
    let elsewhere = site.run(&["backup", text(&site.dir.path().join("no/such/place"))]);
    assert_eq!(elsewhere.code(), 1, "{}", elsewhere.stderr);
    let in_memory = site.run(&["restore", text(&site.backup()), "--set", "storage.engine=memory"]);
    assert_eq!(in_memory.code(), 2, "{}", in_memory.stderr);
}

#[test]
fn an_older_database_is_detected_once() {
    sqlite_only!();
    let site = Site::new();
    let server = site.first_start();
    let (kept, ended) = (server.sign_in("dana", PASSWORD), server.sign_in("dana", PASSWORD));
    server.terminate();
    fs::copy(site.database(), site.backup()).expect("it is ours");
    let server = site.start();
    end(&server, &ended);
    server.terminate();
    fs::copy(site.backup(), site.database()).expect("it is ours");

    let server = site.start();
    assert_dead(&server, &kept, Some("restored"));
    assert_dead(&server, &ended, Some("restored"));
    let new = server.sign_in("dana", PASSWORD);
    let noted = restored_in_the_audit(&server);
    assert_eq!(noted.len(), 1, "{noted:?}");
    assert_eq!((&noted[0]["event"], &noted[0]["actor"]), (&json!("everything_ended"), &json!("rule")));
    let finished = server.terminate();
    assert_eq!(finished.stderr.matches("the store went back").count(), 1, "{}", finished.stderr);

    let server = site.start();
    assert_live(&server, &new);
    let finished = server.kill();
    assert!(!finished.stderr.contains("went back"), "{}", finished.stderr);
    // A killed server's database isn't mistaken for an older copy.
    let server = site.start();
    assert_live(&server, &server.sign_in("dana", PASSWORD));
    assert!(!server.terminate().stderr.contains("went back"));
}

#[test]
fn copies_do_not_affect_the_original() {
    sqlite_only!();
    let (site, copy) = (Site::new(), Site::new());
    let server = site.first_start();
    let secret = server.run(&["verifier", "add", "api"], "").stdout.trim().to_owned();
    let pair = server.sign_in("dana", PASSWORD);
    let here = cursor(&server, &secret);
    site.back_up();
    fs::create_dir(copy.data_dir()).expect("a directory");
    fs::set_permissions(copy.data_dir(), fs::Permissions::from_mode(0o700)).expect("it is ours");
    fs::copy(site.data_dir().join("master.key"), copy.data_dir().join("master.key")).expect("it is there");
    let restored = on(&copy.data_dir(), &["restore", text(&site.backup()), "--as-copy"], "");
    assert_eq!(restored.code(), 0, "{}", restored.stderr);
    let staging = copy.start();
    let there = cursor(&staging, &secret);
    assert_ne!(here.split('.').next(), there.split('.').next(), "its log continues in another epoch");
    assert_eq!((lease(&staging, &secret, &there), lease(&server, &secret, &there)), (200, 409));
    assert_live(&server, &pair);
    assert_eq!((lease(&server, &secret, &here), restored_in_the_audit(&server).len()), (200, 0));
    // A backup of the same installation is no copy: a verifier that knows newer entries proves that it is
    // older.
    end(&server, &pair);
    let beyond = cursor(&server, &secret);
    server.terminate();
    site.restore(&[]);
    let server = site.start();
    assert_eq!(lease(&server, &secret, &beyond), 409);
    assert_eq!(lease(&server, &secret, &cursor(&server, &secret)), 200);
}

#[test]
fn kept_sessions_continue_but_their_access_tokens_end() {
    sqlite_only!();
    let site = Site::new();
    let server = site.first_start();
    let (kept, ended, rotated) = (
        server.sign_in("dana", PASSWORD),
        server.sign_in("dana", PASSWORD),
        server.sign_in("dana", PASSWORD),
    );
    site.back_up();
    end(&server, &ended);
    let refreshed = refresh(&server, &rotated);
    let next =
        Pair { access: String::new(), refresh: refreshed.body["refresh"].as_str().expect("a token").into() };
    server.terminate();
    site.restore(&["--keep-sessions"]);
    let server = site.start();
    assert_eq!(
        (me(&server, &kept), me(&server, &ended)),
        (401, 401),
        "verifiers forget what they have accepted"
    );
    assert_eq!(refresh(&server, &kept).status, 200);
    // The danger of the flag: this session had been ended.
    assert_eq!(refresh(&server, &ended).status, 200);
    let refused = refresh(&server, &next);
    assert_eq!((refused.status, refused.body["reason"].as_str()), (401, Some("restored")));
    assert_eq!(restored_in_the_audit(&server)[0]["event"], "revoked");
}

#[test]
fn keys_revoked_since_the_backup_stay_revoked() {
    sqlite_only!();
    let site = Site::new();
    let server = site.first_start();
    let pair = server.sign_in("dana", PASSWORD);
    let stolen = kid(&pair.access);
    site.back_up();
    let struck = server.run(&["revoke", "key", &stolen, "--json"], "").json();
    // Killed, so that the revocation is in the WAL.
    server.kill();
    let restored = site.restore(&["--keep-sessions"]);
    assert_eq!(restored["struck"], json!([stolen]));
    let server = site.start();
    assert_eq!(states(&server, &stolen), ["struck"]);
    let refreshed = refresh(&server, &pair);
    let access = refreshed.body["access"].as_str().expect("a token");
    let signs = kid(access);
    assert!(signs != stolen && json!(signs) != struck["signs"], "{signs}");
    assert_eq!((me(&server, &pair), server.get("/v1/me", Some(access)).status), (401, 200));
    let published = server.get("/.well-known/jwks.json", None).body;
    assert_eq!(
        (published["keys"].as_array().map(Vec::len), &published["keys"][0]["kid"]),
        (Some(1), &json!(signs))
    );
    let listed = server.run(&["audit", "list", "--json"], "").json();
    let noted = listed["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .find(|entry| entry["event"] == "key_struck")
        .expect("an entry");
    assert_eq!(
        (&noted["kid"], &noted["actor"], &noted["reason"]),
        (&json!(stolen), &json!("operator"), &json!("key_removed"))
    );
    assert!(noted["seq"].as_u64() > restored["seq"].as_u64(), "{noted}");
    server.terminate();

    // The next restore also knows the keys that were revoked again.
    let again = site.run(&["restore", text(&site.backup())]);
    assert!(
        again.code() == 0
            && again.stdout.contains(&format!("revoked again, as in the previous database: {stolen};")),
        "{}",
        again.stdout
    );
    assert_eq!(again.stderr, "");
    let server = site.start();
    assert_eq!(states(&server, &stolen), ["struck"]);
    assert_ne!(kid(&server.sign_in("dana", PASSWORD).access), stolen);
    server.terminate();
    site.back_up_anew();
    assert_eq!(site.restore(&[])["struck"], json!([]), "this backup knows it");
}

#[test]
fn configured_keys_revoked_since_the_backup_stop_starts() {
    sqlite_only!();
    let site = Site::new();
    site.first_start().terminate();
    site.back_up();
    let secret = site.dir.path().join("secret");
    fs::write(&secret, "fifty characters that stand in a settings file, say").expect("it is ours");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let named = format!("tokens.signing_key_file={}", secret.display());
    let settings = ["--set", "tokens.algorithm=HS256", "--set", &named];
    let server = Server::start_in(&site.data_dir(), &settings);
    let stolen = kid(&server.sign_in("dana", PASSWORD).access);
    assert_eq!(server.run(&["revoke", "key", &stolen], "").code(), 0);
    server.terminate();
    assert_eq!(site.restore(&[])["struck"], json!([stolen]));
    let refused = site.run(&[&["key", "list"][..], &settings].concat());
    assert!(refused.code() == 1 && refused.stderr.contains("revoked in an emergency"), "{}", refused.stderr);
    let server = site.start();
    assert_eq!(states(&server, &stolen), ["struck"]);
    assert_live(&server, &server.sign_in("dana", PASSWORD));
}

#[test]
fn an_unreadable_previous_database_is_reported() {
    sqlite_only!();
    let site = Site::new();
    let server = site.first_start();
    let stolen = kid(&server.sign_in("dana", PASSWORD).access);
    site.back_up();
    assert_eq!(server.run(&["revoke", "key", &stolen], "").code(), 0);
    server.terminate();
    let whole = fs::read(site.database()).expect("it is there");
    let told = |said: &str, struck: &Value| {
        let restored = site.run(&["restore", text(&site.backup()), "--json"]);
        assert!(
            restored.stderr.contains(said) && restored.stderr.contains("quash revoke key KID"),
            "{}",
            restored.stderr
        );
        assert_eq!(&restored.json()["struck"], struck);
    };
    fs::write(site.database(), "no database").expect("it is ours");
    told("cannot open", &Value::Null);
    fs::remove_file(site.database()).expect("it is ours");
    told("there is no previous database", &Value::Null);
    // The file `epoch` has a newer number than the log.
    fs::write(site.database(), whole).expect("it is ours");
    told("was itself an older copy", &json!([stolen]));
    fs::remove_file(site.database()).expect("it is ours");
    told("there is no previous database", &Value::Null);

    let server = site.start();
    assert_eq!(kid(&server.sign_in("dana", PASSWORD).access), stolen, "the revocation is unknown here");
    assert_eq!(server.run(&["revoke", "key", &stolen], "").code(), 0);
    assert_ne!(kid(&server.sign_in("dana", PASSWORD).access), stolen);
}

#[test]
fn epoch_above_is_respected_and_bounded() {
    sqlite_only!();
    let site = Site::new();
    site.first_start().terminate();
    site.back_up();
    let last = (1_u64 << 19) - 1;
    assert_eq!(site.restore(&["--epoch-above", "400000"])["epoch"], 400_001);
    assert_eq!(site.restore(&[])["epoch"], 400_002, "the backup doesn't know of it, the file `epoch` does");
    for beyond in [last, last + 1, u64::MAX] {
        let refused = site.run(&["restore", text(&site.backup()), "--epoch-above", &beyond.to_string()]);
        assert_eq!(refused.code(), 2, "{}", refused.stderr);
    }
    assert_eq!(site.restore(&["--epoch-above", &(last - 1).to_string()])["epoch"], last);
    let refused = site.run(&["restore", text(&site.backup())]);
    assert_eq!(refused.code(), 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("no epoch left"), "{}", refused.stderr);
    assert_eq!(site.kept(), 3);
    let server = site.start();
    assert_live(&server, &server.sign_in("dana", PASSWORD));
}

#[test]
fn failed_restores_change_nothing() {
    sqlite_only!();
    let site = Site::new();
    let server = site.first_start();
    let pair = server.sign_in("dana", PASSWORD);
    site.back_up();
    server.terminate();
    let whole = fs::read(site.backup()).expect("it is there");
    for bytes in [&whole[..0], &whole[..whole.len() / 2], b"no database"] {
        fs::write(site.backup(), bytes).expect("it is ours");
        let refused = site.run(&["restore", text(&site.backup())]);
        assert_eq!(refused.code(), 1, "{}", refused.stderr);
    }
    fs::write(site.backup(), &whole).expect("it is ours");
    let master = site.data_dir().join("master.key");
    let own = fs::read(&master).expect("it is there");
    fs::write(&master, "ab".repeat(32)).expect("it is ours");
    let refused = site.run(&["restore", text(&site.backup())]);
    assert_eq!(refused.code(), 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("another master key"), "{}", refused.stderr);
    fs::remove_file(&master).expect("it is ours");
    assert_eq!(site.run(&["restore", text(&site.backup())]).code(), 1);
    fs::write(&master, own).expect("it is ours");
    fs::set_permissions(&master, fs::Permissions::from_mode(0o600)).expect("it is ours");
    fs::write(site.data_dir().join("epoch"), "nothing").expect("it is ours");
    let refused = site.run(&["restore", text(&site.backup())]);
    assert!(refused.code() == 1 && refused.stderr.contains("remove it"), "{}", refused.stderr);
    fs::remove_file(site.data_dir().join("epoch")).expect("it is ours");
    assert_eq!(site.kept(), 0);
    assert_live(&site.start(), &pair);
}

#[test]
fn f08_soak_killed_restores_leave_one_whole_database() {
    sqlite_only!();
    let site = Site::new();
    let server = site.first_start();
    let old = server.sign_in("dana", PASSWORD);
    site.back_up();
    let since = server.sign_in("dana", PASSWORD);
    // Killed, so that its last entries are in the WAL.
    server.kill();
    let chance = Seeded::new(3);
    let mut restored = false;
    for _ in 0..rounds(10, 100) {
        let mut command = quash();
        command.args(["restore", text(&site.backup()), "--data-dir"]).arg(site.data_dir());
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let [high, low] = draw::<2>(&chance);
        // A random moment: the number of polls before the kill.
        let mut left = 4 * usize::from(u16::from_be_bytes([high, low]));
        while left > 0 && child.try_wait().expect("it is ours").is_none() {
            left -= 1;
        }
        child.kill().expect("it is ours");
        child.wait().expect("it ends");
        let server = site.start();
        restored = site.kept() > 0;
        if restored {
            assert_dead(&server, &old, Some("restored"));
            // The backup doesn't know of it.
            assert_dead(&server, &since, None);
        } else {
            assert_eq!((me(&server, &old), me(&server, &since)), (200, 200));
        }
        assert_live(&server, &server.sign_in("dana", PASSWORD));
        server.kill();
    }
    if !restored {
        site.restore(&[]);
    }
    assert_dead(&site.start(), &old, Some("restored"));
}
