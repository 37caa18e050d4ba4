//! Disk faults under a running server: a full disk, failing writes, failing syncs. A test without the root,
//! `strace` or `unshare` that it needs prints that it was skipped.

use crate::support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use support::{Answer, Pair, Server, sqlite_only};

const PASSWORD: &str = "correct horse battery staple";

/// After a failed fsync, the content of the disk is unknown: the request isn't acknowledged, and the process
/// ends.
#[test]
fn f05_a_failed_fsync_ends_the_process() {
    sqlite_only!();
    let Some(dir) = room_for("strace") else { return };
    let data_dir = dir.path().join("data");
    let server = Server::start_in(&data_dir, &[]);
    server.add_account("dana", PASSWORD);
    let pair = server.sign_in("dana", PASSWORD);
    let strace = Strace::attach(&server, "fsync,fdatasync:error=EIO");
    let body = json!({ "refresh": pair.refresh }).to_string();
    let said = support::request(
        server.address,
        "POST",
        "/api/token/refresh/",
        &[("Content-Type", "application/json")],
        body.as_bytes(),
    );
    assert!(!said.as_ref().is_ok_and(|answer| answer.status == 200), "acknowledged without a disk: {said:?}");
    let ended = server.wait();
    drop(strace);
    assert_eq!(ended.code(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("disk"), "{}", ended.stderr);
    let server = Server::start_in(&data_dir, &[]);
    assert_eq!(refresh(&server, &pair).status, 200, "the parent, or the current one");
}

#[test]
fn f06_failed_writes_are_answered_and_recovered() {
    sqlite_only!();
    let Some(dir) = room_for("strace") else { return };
    let server = Server::start_in(&dir.path().join("data"), &[]);
    server.add_account("dana", PASSWORD);
    let mut pair = server.sign_in("dana", PASSWORD);

    let strace = Strace::attach(&server, "pwrite64:error=ENOSPC");
    refused_for_now(&refresh(&server, &pair));
    refused_for_now(&log_out(&server, &pair));
    assert_eq!(server.get("/v1/me", Some(&pair.access)).status, 200, "reads still work");
    drop(strace);
    pair = renewed(&refresh(&server, &pair));

    // An interrupted call is repeated by its caller.
    let strace = Strace::attach(&server, "pwrite64:error=EINTR:when=1+3");
    pair = renewed(&refresh(&server, &pair));
    drop(strace);
    assert_eq!(log_out(&server, &pair).status, 200);
    assert_eq!(server.get("/v1/me", Some(&pair.access)).status, 401);
}

#[test]
fn f04_a_full_disk_refuses_only_writes() {
    sqlite_only!();
    let Some(dir) = room_for("unshare") else { return };
    let disk = dir.path().join("disk");
    std::fs::create_dir(&disk).expect("it is made");
    let data_dir = disk.join("data");
    let mount = format!("mount -t tmpfs -o size=4m tmpfs {} && exec \"$0\" \"$@\"", disk.display());
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &mount, env!("CARGO_BIN_EXE_quash")]);
    let server = Server::start_with(command, &data_dir, &[]);
    let mut inside = Command::new("nsenter");
    inside.args([
        "--mount",
        "--target",
        &server.id().to_string(),
        env!("CARGO_BIN_EXE_quash"),
        "account",
        "add",
        "dana",
        "--password-stdin",
    ]);
    inside.arg("--data-dir").arg(&data_dir);
    let added = support::run(inside, PASSWORD);
    assert!(added.status.success(), "{}", added.stderr);
    let mut pair = server.sign_in("dana", PASSWORD);

    // The disk as the server sees it: its file system isn't mounted in this process.
    let fill = Path::new("/proc")
        .join(server.id().to_string())
        .join("root")
        .join(disk.strip_prefix("/").expect("absolute"))
        .join("fill");
    let full = fill_up(&fill);
    // Writes may succeed while the log has allocated space; after that, all fail.
    let refused = (0..5000).find_map(|_| {
        let answer = refresh(&server, &pair);
        if answer.status != 200 {
            return Some(answer);
        }
        pair = renewed(&answer);
        None
    });
    refused_for_now(&refused.expect("the disk is full in the end"));
    refused_for_now(&log_out(&server, &pair));
    let sign_in = server.post_json("/api/token/", &json!({ "username": "dana", "password": PASSWORD }), None);
    refused_for_now(&sign_in);
    assert_eq!(server.get("/v1/me", Some(&pair.access)).status, 200, "reads still work");
    assert_eq!(server.post_json("/api/token/verify/", &json!({ "token": pair.refresh }), None).status, 200);

    drop(full);
    std::fs::remove_file(&fill).expect("it was there");
    pair = renewed(&refresh(&server, &pair));
    assert_eq!(log_out(&server, &pair).status, 200, "without a restart");
    assert_eq!(server.get("/v1/me", Some(&pair.access)).status, 401);
}

fn refresh(server: &Server, pair: &Pair) -> Answer {
    server.post_json("/api/token/refresh/", &json!({ "refresh": pair.refresh }), None)
}

fn log_out(server: &Server, pair: &Pair) -> Answer {
    server.post_json("/api/logout/", &json!({ "refresh": pair.refresh }), Some(&pair.access))
}

fn renewed(answer: &Answer) -> Pair {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let token = |member: &str| answer.body[member].as_str().expect("a token").to_owned();
    Pair { access: token("access"), refresh: token("refresh") }
}

/// Asserts a 503 with `Retry-After` and without a token.
fn refused_for_now(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert!(answer.header("retry-after").is_some(), "{:?}", answer.headers);
    assert!(answer.body.get("access").is_none() && answer.body.get("refresh").is_none(), "{}", answer.text);
    assert!(!answer.text.contains('/') && !answer.text.to_lowercase().contains("sql"), "{}", answer.text);
}

fn fill_up(path: &Path) -> std::fs::File {
    let mut file = std::fs::File::create(path).expect("it is made");
    for block in [64 * 1024, 4096] {
        let zeros = vec![0; block];
        while file.write_all(&zeros).is_ok() {}
    }
    file
}

/// Returns a folder for a test that needs root and a tool; if one is missing, prints a note and returns
/// `None`.
#[expect(clippy::print_stderr, reason = "a test that is skipped must say so")]
fn room_for(tool: &str) -> Option<tempfile::TempDir> {
    let has_tool = Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|it| it.success());
    if !rustix::process::geteuid().is_root() || !has_tool {
        eprintln!("skipped: this test needs root and {tool}");
        return None;
    }
    Some(tempfile::tempdir().expect("a temporary directory"))
}

/// Makes system calls of a running server fail, until it is dropped.
struct Strace(Child);

impl Strace {
    fn attach(server: &Server, inject: &str) -> Self {
        let calls = inject.split(':').next().expect("calls");
        let mut child = Command::new("strace")
            .args([
                "--follow-forks",
                "--quiet=none",
                "--trace",
                calls,
                "--inject",
                inject,
                "--attach",
                &server.id().to_string(),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace starts");
        let mut said = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut line = String::new();
        while !line.contains("attached") {
            line.clear();
            assert!(said.read_line(&mut line).expect("a line") > 0, "strace could not attach");
        }
        // Further output must not fill its pipe.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self(child)
    }
}

impl Drop for Strace {
    /// SIGINT detaches strace from the server; SIGKILL would kill the server, too.
    fn drop(&mut self) {
        let id = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw);
        let _ = id.map(|id| rustix::process::kill_process(id, rustix::process::Signal::INT));
        let _ = self.0.wait();
    }
}
