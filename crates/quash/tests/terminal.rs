//! quash at a terminal: hidden input, the width of tables, and colours.

use crate::support;

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use support::{Server, on, quash_on};

const PASSWORD: &str = "correct horse battery staple";
const COLUMNS: u16 = 60;

/// The result of a command at a terminal: its exit code, and the terminal's content.
struct Shown {
    code: Option<i32>,
    screen: String,
}

/// Opens a terminal, and returns its ends: the user's, and the command's.
fn new_terminal() -> (File, File) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("it is ours");
    let size = Winsize { ws_row: 24, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).expect("it has a size");
    let name = ptsname(&terminal, Vec::new()).expect("a name");
    let end = rustix::fs::open(&*name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("it opens");
    (File::from(terminal), File::from(end))
}

/// Starts a command at a terminal.
fn start(mut command: Command, end: &File) -> Child {
    let stdio = || Stdio::from(end.try_clone().expect("a handle"));
    command.stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn().expect("the binary starts")
}

/// Runs a command at a terminal of its own. Each line is typed once the command prompts for it.
fn at_a_terminal(command: Command, lines: &[&str]) -> Shown {
    let (mut terminal, end) = new_terminal();
    let mut child = start(command, &end);
    // Open handles would keep the terminal open.
    drop(end);
    let (mut screen, mut chunk, mut lines) = (Vec::new(), [0; 4096], lines.iter());
    // The read fails once the other side is closed.
    while let Ok(length @ 1..) = terminal.read(&mut chunk) {
        screen.extend_from_slice(&chunk[..length]);
        if (screen.ends_with(b": ") || screen.ends_with(b"on a new line\r\n"))
            && let Some(line) = lines.next()
        {
            terminal.write_all(format!("{line}\n").as_bytes()).expect("it is typed");
        }
    }
    let code = child.wait().expect("it ends").code();
    Shown { code, screen: String::from_utf8_lossy(&screen).replace("\r\n", "\n") }
}

#[test]
fn passwords_are_prompted_twice_without_echo() {
    let server = Server::start(&[]);
    let add = |name: &str, lines: &[&str]| {
        at_a_terminal(server.command(&["account", "add", name, "--password-stdin"]), lines)
    };
    let added = add("dana", &[PASSWORD, PASSWORD]);
    assert_eq!((added.code, added.screen.contains(PASSWORD)), (Some(0), false), "{}", added.screen);
    assert!(added.screen.starts_with("password: \nthe same password again: \n"), "{}", added.screen);
    server.sign_in("dana", PASSWORD);
    let slipped = add("eve", &[PASSWORD, "another horse battery staple"]);
    assert_eq!(
        (slipped.code, slipped.screen.contains("the two passwords differ")),
        (Some(2), true),
        "{}",
        slipped.screen
    );
    assert_eq!(server.run(&["account", "show", "eve"], "").code(), 4);
    let set = at_a_terminal(
        server.command(&["account", "set", "dana", "--password-stdin"]),
        &["another horse", "another horse"],
    );
    assert_eq!((set.code, set.screen.contains("another horse")), (Some(0), false), "{}", set.screen);
    server.sign_in("dana", "another horse");
}

#[test]
fn signals_at_a_prompt_restore_the_echo() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let args: [&[&str]; 2] = [&["account", "add", "dana", "--password-stdin"], &["token", "inspect", "-"]];
    for (args, signal) in
        args.into_iter().flat_map(|args| [Signal::INT, Signal::TERM].map(|signal| (args, signal)))
    {
        let (mut terminal, end) = new_terminal();
        let mut child = start(quash_on(dir.path(), args), &end);
        let (mut screen, mut chunk) = (Vec::new(), [0; 4096]);
        while !screen.ends_with(b": ") {
            let length = terminal.read(&mut chunk).expect("the command waits");
            screen.extend_from_slice(&chunk[..length]);
        }
        let echoes = || tcgetattr(&end).expect("a terminal").local_modes.contains(LocalModes::ECHO);
        assert!(!echoes(), "{args:?}");
        kill_process(Pid::from_child(&child), signal).expect("it is ours");
        let code = child.wait().expect("it ends").code();
        assert_eq!((code, echoes()), (Some(128 + signal.as_raw()), true), "{args:?}");
    }
}

#[test]
fn tokens_are_prompted_for_without_echo() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "a secret of an issuer with more than 32 bytes").expect("it is ours");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    let path = secret.to_str().expect("UTF-8");
    let verify: &[&str] = &["token", "verify", "-", "--secret-file", path, "--algorithm", "HS256"];
    assert_eq!(on(dir.path(), &["account", "add", "dana"], "").code(), 0);
    for (args, expected) in [(verify, 6), (&["token", "inspect", "-"], 0)] {
        let shown = at_a_terminal(quash_on(dir.path(), args), &["a-token-that-is-none"]);
        assert_eq!(shown.code, Some(expected), "{}", shown.screen);
        assert!(
            shown.screen.starts_with("token: \n") && !shown.screen.contains("that-is-none"),
            "{}",
            shown.screen
        );
        let long = "x".repeat(5000);
        let cut = at_a_terminal(quash_on(dir.path(), args), &[&long]);
        assert_eq!(
            (cut.code, cut.screen.contains("only the first 4,095")),
            (Some(2), true),
            "{}",
            cut.screen
        );
    }
}

#[test]
fn awaited_input_is_announced() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let added = at_a_terminal(
        quash_on(dir.path(), &["account", "add", "--batch-stdin"]),
        &["{\"name\":\"dana\"}\n\u{4}"],
    );
    assert_eq!((added.code, added.screen.contains("reading accounts")), (Some(0), true), "{}", added.screen);
    let set = quash_on(dir.path(), &["account", "set", "dana", "--claims-stdin"]);
    let set = at_a_terminal(set, &["{\"role\":\"editor\"}\n\u{4}"]);
    assert_eq!((set.code, set.screen.contains("reading a JSON object")), (Some(0), true), "{}", set.screen);
}

#[test]
fn tables_fit_the_terminal() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let name = "a-name-that-is-long-".repeat(5);
    assert_eq!(on(&data_dir, &["account", "add", &name, "--subject", "1"], "").code(), 0);
    let listed = at_a_terminal(quash_on(&data_dir, &["account", "list"]), &[]);
    assert_eq!(listed.code, Some(0), "{}", listed.screen);
    assert!(
        listed.screen.lines().all(|line| line.chars().count() <= usize::from(COLUMNS)),
        "{}",
        listed.screen
    );
    assert!(on(&data_dir, &["account", "list"], "").stdout.contains(&name), "a pipe has no width");
}

#[test]
fn no_color_disables_colours() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let serve = |name: &str| {
        let mut serve = quash_on(&dir.path().join(name), &["serve", "--listen", "unix:/nowhere/at/all"]);
        serve.env("NO_COLOR", if name == "plain" { "1" } else { "" });
        at_a_terminal(serve, &[])
    };
    for (name, coloured) in [("coloured", true), ("plain", false)] {
        let shown = serve(name);
        assert!(shown.screen.contains("made the data directory"), "{}", shown.screen);
        assert_eq!(shown.screen.contains("\u{1b}["), coloured, "{}", shown.screen);
    }
}
