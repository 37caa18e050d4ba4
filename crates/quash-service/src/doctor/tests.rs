//! Checks each check: healthy facts cause no finding, and one changed fact causes the finding of one check.

use std::collections::BTreeSet;
use std::time::Duration;

use quash_core::model::{ForeignTokens, Policy};
use quash_core::token::{Algorithm, TokenType};
use quash_store::PostgresServer;

use super::*;

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

const fn days(count: u64) -> Duration {
    seconds(count * 24 * 3600)
}

/// A public server behind a trusted proxy, with SQLite, mails, a verifier and a recent backup.
fn healthy() -> Facts {
    Facts {
        settings: Some(SettingsFacts {
            policy: Policy::default(),
            algorithm: Algorithm::EdDsa,
            rotate_every: Some(days(90)),
            weak_keys: Vec::new(),
            warnings: Vec::new(),
            listens: Listens::Loopback,
            certificate: None,
            behind_proxy: true,
            trusted: vec![network("10.0.0.0/8", 24, false)],
            public_url: Some(PublicUrlFacts {
                text: "https://id.example.org".into(),
                site: "id.example.org".into(),
                is_https: true,
                is_loopback: false,
            }),
            has_cookie: false,
            cors_origins: vec!["https://app.example.org".into()],
            registration_is_open: false,
            mail: MailFacts::Sent,
            engine: EngineKind::Sqlite,
            idle_timeout: seconds(75),
            log_is_verbose: false,
            digest: "0123".into(),
            version: "1.0.0".into(),
        }),
        files: Some(healthy_files()),
        hash_time: Some(Duration::from_millis(100)),
        public: Some(PublicFacts {
            answer: Ok(PublicAnswer {
                status: 200,
                location: None,
                clock_difference: Some(seconds(1)),
                kids: Some(vec!["a".into()]),
            }),
            certificate: Some(CertificateEnd::Left(days(60))),
        }),
        smtp: Some(Ok(())),
        store: Some(Ok(healthy_store())),
        postgres: Some(PostgresServer {
            major_version: 17,
            synchronous_commit: "on".into(),
            is_superuser: false,
            standbys: 1,
            waits_for_standby: true,
            is_encrypted: true,
            is_local: false,
        }),
    }
}

fn healthy_files() -> FileFacts {
    let file = |name: &str, kind| FileEntry {
        path: format!("/data/{name}"),
        kind,
        mode: 0o600,
        has_other_owner: false,
    };
    FileFacts {
        directory: "/data".into(),
        directory_mode: 0o700,
        group_access: false,
        files: vec![
            file("master.key", FileKind::MasterKey),
            file("quash.db", FileKind::Data),
            file("control.sock", FileKind::Socket),
            FileEntry { mode: 0o644, ..file("quash.toml", FileKind::Settings) },
        ],
        free_bytes: 50 << 30,
        disk_bytes: 100 << 30,
        wal_bytes: Some(1 << 20),
        risky_file_system: None,
        noted_seq: Some(7),
        backup: Some(BackupFile { path: "/backup/1".into(), is_in_data_dir: false, is_beside_key: false }),
    }
}

fn healthy_store() -> StoreFacts {
    let key = |kid: &str, state| KeyFacts { kid: kid.into(), state, age: days(30), is_generated: true };
    StoreFacts {
        server: Some(ServerFacts {
            version: "1.0.0".into(),
            settings: "0123".into(),
            runs_for: days(1),
            saw_untrusted_forwarding: false,
        }),
        not_ready: None,
        head: 7,
        log_entries: 100,
        keys: vec![
            key("a", KeyPhase::Current),
            key("b", KeyPhase::Retiring { over_for: Duration::ZERO }),
            key("c", KeyPhase::Next),
        ],
        clients: vec![ClientFacts {
            name: "api".into(),
            age: days(100),
            is_verifier: true,
            has_secret: true,
            instances: vec![InstanceFacts { label: "web (process 1)".into(), state: InstanceState::Leased }],
        }],
        nodes: vec![node(), node()],
        mails: WaitingMails { count: 1, oldest: seconds(3), attempts: 1 },
        audit: AuditFacts { unsealed: 3, ..AuditFacts::default() },
        accounts: AccountFacts { examined: 10, unconfirmed: 0 },
        backup: Some(BackupFacts { age: days(1), path: "/backup/1".into() }),
    }
}

fn node() -> NodeFacts {
    NodeFacts {
        label: "db (process 2)".into(),
        is_leased: true,
        version: "1.0.0".into(),
        settings: "0123".into(),
    }
}

fn network(text: &str, host_bits: u8, is_public: bool) -> TrustedNetwork {
    TrustedNetwork { text: text.into(), host_bits, is_public }
}

/// The part of the facts that a change is about.
fn settings(facts: &mut Facts) -> &mut SettingsFacts {
    facts.settings.as_mut().expect("gathered")
}

fn files(facts: &mut Facts) -> &mut FileFacts {
    facts.files.as_mut().expect("gathered")
}

fn store(facts: &mut Facts) -> &mut StoreFacts {
    facts.store.as_mut().expect("gathered").as_mut().expect("read")
}

fn server(facts: &mut Facts) -> &mut ServerFacts {
    store(facts).server.as_mut().expect("it runs")
}

fn public(facts: &mut Facts) -> &mut PublicFacts {
    facts.public.as_mut().expect("gathered")
}

fn answer(facts: &mut Facts) -> &mut PublicAnswer {
    public(facts).answer.as_mut().expect("it answers")
}

fn postgres(facts: &mut Facts) -> &mut PostgresServer {
    settings(facts).engine = EngineKind::Postgres;
    facts.postgres.as_mut().expect("gathered")
}

fn set_mode(facts: &mut Facts, kind: FileKind, mode: u32) {
    files(facts).files.iter_mut().filter(|file| file.kind == kind).for_each(|file| file.mode = mode);
}

fn backup(facts: &mut Facts) -> &mut BackupFile {
    files(facts).backup.as_mut().expect("there is one")
}

fn first_key(facts: &mut Facts) -> &mut KeyFacts {
    &mut store(facts).keys[0]
}

fn first_instance(facts: &mut Facts) -> &mut InstanceFacts {
    &mut store(facts).clients[0].instances[0]
}

/// Serves TLS itself, without a proxy.
fn serve_tls(facts: &mut Facts, certificate: Result<Duration, String>) {
    settings(facts).behind_proxy = false;
    settings(facts).listens = Listens::Network;
    settings(facts).certificate = Some(certificate);
    settings(facts).trusted.clear();
}

type Break = (&'static str, Level, fn(&mut Facts));

const NOTE: Level = Level::Note;
const WARNING: Level = Level::Warning;
const PROBLEM: Level = Level::Problem;

/// Each breaks one condition: the check, the level of its finding, and the change.
const BREAKS: &[Break] = &[
    ("access_lifetime", WARNING, |f| settings(f).policy.tokens.access_lifetime = seconds(3601)),
    ("access_lifetime", WARNING, |f| settings(f).policy.tokens.access_lifetime = seconds(29)),
    ("lifetime_order", PROBLEM, |f| settings(f).policy.tokens.refresh_lifetime = seconds(300)),
    ("refresh_lifetime", WARNING, |f| {
        settings(f).policy.tokens.refresh_lifetime = days(91);
        settings(f).policy.sessions.absolute_lifetime = Some(days(91));
    }),
    ("sliding_lifetime", WARNING, |f| {
        settings(f).policy.tokens.accepted = vec![TokenType::Sliding];
        settings(f).policy.tokens.sliding_lifetime = seconds(3601);
    }),
    ("session_lifetime", WARNING, |f| settings(f).policy.sessions.absolute_lifetime = None),
    ("session_lifetime", NOTE, |f| settings(f).policy.sessions.absolute_lifetime = Some(seconds(86_399))),
    ("rotation", WARNING, |f| settings(f).policy.rotation.rotate = false),
    ("rotation", WARNING, |f| settings(f).policy.rotation.blacklist = false),
    ("lease_term", WARNING, |f| settings(f).policy.feed.term = seconds(300)),
    ("weak_secret", PROBLEM, |f| settings(f).weak_keys.push("tokens.signing_key is short".into())),
    ("shared_secret", WARNING, |f| settings(f).algorithm = Algorithm::Hs256),
    ("foreign_tokens", NOTE, |f| settings(f).policy.tokens.foreign = ForeignTokens::Accept),
    ("risky_settings", WARNING, |f| settings(f).warnings.push("mail.encryption is \"none\"".into())),
    ("lockout", WARNING, |f| settings(f).policy.lockout.failures = 21),
    ("lockout", WARNING, |f| settings(f).policy.lockout.first_lock = seconds(9)),
    ("password_cost", NOTE, |f| f.hash_time = Some(Duration::from_millis(49))),
    ("password_cost", WARNING, |f| f.hash_time = Some(Duration::from_millis(1001))),
    ("audit_retention", NOTE, |f| settings(f).policy.audit.keep = days(29)),
    ("log_level", NOTE, |f| settings(f).log_is_verbose = true),
    ("memory_engine", PROBLEM, |f| settings(f).engine = EngineKind::Memory),
    ("public_url", WARNING, |f| settings(f).public_url = None),
    ("cors_origins", WARNING, |f| settings(f).cors_origins.push("http://localhost:3000".into())),
    ("cookie_origins", WARNING, |f| {
        settings(f).has_cookie = true;
        settings(f).cors_origins.push("https://app.example.com".into());
    }),
    ("wide_proxies", PROBLEM, |f| settings(f).trusted.push(network("8.0.0.0/7", 25, true))),
    ("wide_proxies", PROBLEM, |f| settings(f).trusted.push(network("2000::/3", 125, true))),
    ("needless_proxies", NOTE, |f| {
        serve_tls(f, Ok(days(60)));
        settings(f).trusted.push(network("10.0.0.5/32", 0, false));
    }),
    ("unnamed_proxy", WARNING, |f| settings(f).trusted.clear()),
    ("untrusted_forwarding", WARNING, |f| server(f).saw_untrusted_forwarding = true),
    ("idle_timeout", NOTE, |f| settings(f).idle_timeout = seconds(60)),
    ("certificate_file", WARNING, |f| serve_tls(f, Ok(days(14) - seconds(1)))),
    ("certificate_file", PROBLEM, |f| serve_tls(f, Err("it has expired".into()))),
    ("registration_mail", PROBLEM, |f| {
        settings(f).registration_is_open = true;
        settings(f).mail = MailFacts::Waiting;
    }),
    ("mail_delivery", WARNING, |f| settings(f).mail = MailFacts::Waiting),
    ("smtp", PROBLEM, |f| f.smtp = Some(Err("connecting: the connection failed".into()))),
    ("mails_waiting", WARNING, |f| store(f).mails.oldest = seconds(600)),
    ("mails_failing", WARNING, |f| store(f).mails.attempts = 3),
    ("public_answer", PROBLEM, |f| public(f).answer = Err("connection refused".into())),
    ("public_answer", PROBLEM, |f| answer(f).status = 502),
    ("public_redirect", PROBLEM, |f| {
        answer(f).status = 301;
        answer(f).location = Some("https://id.example.org/livez".into());
    }),
    ("public_instance", PROBLEM, |f| answer(f).kids = Some(vec!["z".into()])),
    ("public_instance", PROBLEM, |f| answer(f).kids = None),
    ("public_certificate", WARNING, |f| {
        public(f).certificate = Some(CertificateEnd::Left(days(14) - seconds(1)));
    }),
    ("public_certificate", PROBLEM, |f| {
        public(f).answer = Err("invalid peer certificate: Expired".into());
        public(f).certificate = Some(CertificateEnd::Expired(days(1)));
    }),
    ("public_certificate", PROBLEM, |f| public(f).certificate = Some(CertificateEnd::NotYetValid)),
    ("clock", WARNING, |f| answer(f).clock_difference = Some(seconds(11))),
    ("clock", PROBLEM, |f| answer(f).clock_difference = Some(seconds(61))),
    ("directory_mode", WARNING, |f| files(f).directory_mode = 0o750),
    ("directory_mode", PROBLEM, |f| files(f).directory_mode = 0o702),
    ("master_key_mode", PROBLEM, |f| set_mode(f, FileKind::MasterKey, 0o640)),
    ("data_mode", PROBLEM, |f| set_mode(f, FileKind::Data, 0o604)),
    ("socket_mode", PROBLEM, |f| set_mode(f, FileKind::Socket, 0o620)),
    ("settings_mode", PROBLEM, |f| set_mode(f, FileKind::Settings, 0o664)),
    ("owner", WARNING, |f| files(f).files[1].has_other_owner = true),
    ("file_system", WARNING, |f| files(f).risky_file_system = Some("NFS".into())),
    ("disk_space", WARNING, |f| files(f).free_bytes = (1 << 30) - 1),
    ("disk_space", PROBLEM, |f| files(f).free_bytes = (100 << 20) - 1),
    ("wal_size", WARNING, |f| files(f).wal_bytes = Some((256 << 20) + 1)),
    ("backup_age", WARNING, |f| store(f).backup = None),
    ("backup_age", WARNING, |f| {
        store(f).backup = Some(BackupFacts { age: days(7) + seconds(1), path: "/backup/1".into() });
    }),
    ("backup_place", WARNING, |f| backup(f).is_in_data_dir = true),
    ("backup_key", WARNING, |f| backup(f).is_beside_key = true),
    ("epoch", PROBLEM, |f| files(f).noted_seq = Some(8)),
    ("database", PROBLEM, |f| {
        f.store = Some(Err(StoreFault { message: "the database is damaged".into(), remedy: None }));
    }),
    ("ready", PROBLEM, |f| store(f).not_ready = Some("the disk of the store is full".into())),
    ("signing_key", PROBLEM, |f| first_key(f).state = KeyPhase::Retiring { over_for: Duration::ZERO }),
    ("key_rotation", WARNING, |f| first_key(f).age = days(91) + seconds(1)),
    ("key_age", NOTE, |f| {
        first_key(f).is_generated = false;
        first_key(f).age = days(365) + seconds(1);
    }),
    ("retired_keys", WARNING, |f| {
        store(f).keys[1].state = KeyPhase::Retiring { over_for: days(1) + seconds(1) };
    }),
    ("key_count", WARNING, |f| {
        let key = store(f).keys[1].clone();
        store(f).keys.extend(vec![key; 37]);
    }),
    ("stale_verifiers", WARNING, |f| first_instance(f).state = InstanceState::Stale),
    ("unbound_verifiers", WARNING, |f| first_instance(f).state = InstanceState::NotBound),
    ("absent_verifiers", NOTE, |f| store(f).clients[0].instances.clear()),
    ("secret_age", NOTE, |f| store(f).clients[0].age = days(730) + seconds(1)),
    ("unconfirmed_accounts", NOTE, |f| store(f).accounts.unconfirmed = 1),
    ("audit_chain", PROBLEM, |f| store(f).audit.fault = Some("entry 5 was changed".into())),
    ("audit_accepted", NOTE, |f| store(f).audit.accepted = Some(5)),
    ("audit_sealing", WARNING, |f| store(f).audit.unsealed = 5_000),
    ("clock_set_back", PROBLEM, |f| store(f).audit.sealed_ahead = seconds(301)),
    ("log_length", NOTE, |f| store(f).log_entries = 1_000_001),
    ("server", NOTE, |f| store(f).server = None),
    ("server_version", WARNING, |f| server(f).version = "0.9.0".into()),
    ("server_settings", WARNING, |f| server(f).settings = "4567".into()),
    ("expired_nodes", WARNING, |f| store(f).nodes[1].is_leased = false),
    ("node_settings", WARNING, |f| {
        settings(f).engine = EngineKind::Postgres;
        store(f).nodes[1].settings = "4567".into();
    }),
    ("node_versions", WARNING, |f| {
        settings(f).engine = EngineKind::Postgres;
        store(f).nodes[1].version = "0.9.0".into();
    }),
    ("postgres_version", WARNING, |f| postgres(f).major_version = 14),
    ("postgres_commit", NOTE, |f| postgres(f).synchronous_commit = "off".into()),
    ("postgres_superuser", WARNING, |f| postgres(f).is_superuser = true),
    ("postgres_standby", NOTE, |f| postgres(f).waits_for_standby = false),
    ("postgres_encryption", PROBLEM, |f| postgres(f).is_encrypted = false),
];

/// Changes up to the edge, and settings that another one makes safe.
const HEALTHY: &[fn(&mut Facts)] = &[
    |_| {},
    |f| settings(f).policy.tokens.access_lifetime = seconds(3600),
    |f| settings(f).policy.tokens.access_lifetime = seconds(30),
    |f| settings(f).policy.tokens.refresh_lifetime = days(90),
    |f| settings(f).policy.tokens.sliding_lifetime = days(1),
    |f| settings(f).policy.feed.term = seconds(299),
    |f| settings(f).policy.lockout.failures = 20,
    |f| f.hash_time = Some(Duration::from_millis(50)),
    |f| f.hash_time = Some(Duration::from_millis(1000)),
    |f| {
        settings(f).algorithm = Algorithm::Hs256;
        store(f).clients.clear();
    },
    |f| settings(f).has_cookie = true,
    |f| settings(f).trusted.push(network("104.16.0.0/12", 20, true)),
    |f| serve_tls(f, Ok(days(14))),
    |f| store(f).mails.oldest = seconds(599),
    |f| answer(f).clock_difference = Some(seconds(10)),
    |f| answer(f).kids = Some(Vec::new()),
    |f| public(f).certificate = Some(CertificateEnd::Left(days(14))),
    |f| {
        files(f).group_access = true;
        files(f).directory_mode = 0o2770;
        set_mode(f, FileKind::MasterKey, 0o660);
    },
    |f| files(f).free_bytes = 1 << 30,
    |f| files(f).wal_bytes = Some(256 << 20),
    |f| store(f).backup = Some(BackupFacts { age: days(7), path: "/backup/1".into() }),
    |f| first_key(f).age = days(91),
    |f| {
        settings(f).rotate_every = None;
        first_key(f).age = days(365);
    },
    |f| store(f).audit.sealed_ahead = seconds(300),
    |f| store(f).log_entries = 1_000_000,
    |f| postgres(f).major_version = 15,
    |f| postgres(f).synchronous_commit = "local".into(),
    |f| {
        postgres(f).is_encrypted = false;
        postgres(f).is_local = true;
    },
];

/// The checks with a finding, and its level.
fn found(facts: &Facts) -> Vec<(&'static str, Level)> {
    let found = examine(facts).into_iter().filter(|finding| finding.level >= Level::Note);
    found.map(|finding| (finding.check, finding.level)).collect()
}

#[test]
fn healthy_facts_cause_no_finding() {
    for (number, change) in HEALTHY.iter().enumerate() {
        let mut facts = healthy();
        change(&mut facts);
        assert_eq!(found(&facts), [], "change {number}");
    }
    assert!(examine(&healthy()).iter().all(|finding| finding.level == Level::Ok));
}

#[test]
fn each_break_causes_exactly_its_finding() {
    for (check, level, change) in BREAKS {
        let mut facts = healthy();
        change(&mut facts);
        assert_eq!(found(&facts), [(*check, *level)]);
        let findings = examine(&facts);
        let finding = findings.iter().find(|finding| finding.check == *check).expect("it is there");
        let has_text = |text: Option<&str>| text.is_some_and(|text| text.len() > 10);
        assert!(has_text(finding.finding.as_deref()), "{check}");
        assert!(has_text(finding.reason) && has_text(finding.remedy.as_deref()), "{check}");
    }
}

#[test]
fn cookies_without_https_are_found() {
    // A missing public URL is a finding of its own.
    let mut facts = healthy();
    settings(&mut facts).has_cookie = true;
    settings(&mut facts).public_url = None;
    assert_eq!(found(&facts), [("public_url", WARNING), ("cookie_transport", WARNING)]);
    serve_tls(&mut facts, Ok(days(60)));
    assert_eq!(found(&facts), [("public_url", WARNING)]);
}

#[test]
fn every_check_has_a_break_and_its_own_name() {
    let names: BTreeSet<_> = CHECKS.iter().map(|check| check.name).collect();
    assert_eq!(names.len(), CHECKS.len());
    let broken: BTreeSet<_> = BREAKS.iter().map(|(check, ..)| *check).chain(["cookie_transport"]).collect();
    assert_eq!(names, broken);
}

#[test]
fn checks_without_their_facts_are_skipped() {
    let facts = Facts {
        files: None,
        hash_time: None,
        public: None,
        smtp: None,
        store: None,
        postgres: None,
        ..healthy()
    };
    let level = |name: &str| {
        let findings = examine(&facts);
        findings.iter().find(|finding| finding.check == name).map(|finding| finding.level)
    };
    for name in ["password_cost", "smtp", "public_answer", "clock", "master_key_mode", "database", "server"] {
        assert_eq!(level(name), Some(Level::Skipped), "{name}");
    }
    assert_eq!(level("access_lifetime"), Some(Level::Ok));
    assert_eq!(found(&facts), []);
}

#[test]
fn spans_and_lists_are_short() {
    let texts = [1, 119, 120, 7_199, 7_200, 172_799, 172_800].map(|secs| span(seconds(secs)));
    assert_eq!(
        texts,
        ["1 second", "119 seconds", "2 minutes", "119 minutes", "2 hours", "47 hours", "2 days"]
    );
    assert_eq!(listed(["a"; 5]), "a, a, a, a, a");
    assert_eq!(listed(["a"; 6]), "a, a, a, a, a and 1 more");
}

#[test]
fn the_reference_lists_exactly_all_checks() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/doctor.md");
    let page = std::fs::read_to_string(path).expect("a page");
    let checks = page.lines().skip_while(|line| *line != "## The checks");
    let rows: Vec<_> = checks.filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<_> =
        CHECKS.iter().map(|check| format!("| `{}` | {} |", check.name, check.about)).collect();
    assert_eq!(rows, expected, "{}", expected.join("\n"));
}
