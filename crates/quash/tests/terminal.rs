//! quash at a terminal: hidden input, the width of tables, and colours.

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use support::{Server, on, quash};

const PASSWORD: &str = "correct horse battery staple";
const COLUMNS: u16 = 60;

/// The result of a command at a terminal: its exit code, and the terminal's content.
struct Shown {
    code: Option<i32>,
    screen: String,
}

/// Runs a command at a terminal of its own. Each line is typed once the command prompts for it.
fn at_a_terminal(mut command: Command, lines: &[&str]) -> Shown {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("it is ours");
    let size = Winsize { ws_row: 24, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).expect("it has a size");
    let name = ptsname(&terminal, Vec::new()).expect("a name");
    let end =
        File::from(rustix::fs::open(&*name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("it opens"));
    let stdio = || Stdio::from(end.try_clone().expect("a handle"));
    let mut child =
        command.stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn().expect("the binary starts");
    // Open handles would keep the terminal open.
    drop((command, end));
    let mut terminal = File::from(terminal);
    let (mut screen, mut chunk, mut lines) = (Vec::new(), [0; 4096], lines.iter());
    // The read fails once the other side is closed.
    while let Ok(length @ 1..) = terminal.read(&mut chunk) {
        screen.extend_from_slice(&chunk[..length]);
        if screen.ends_with(b": ")
            && let Some(line) = lines.next()
        {
            terminal.write_all(format!("{line}\n").as_bytes()).expect("it is typed");
        }
    }
    let code = child.wait().expect("it ends").code();
    Shown { code, screen: String::from_utf8_lossy(&screen).replace("\r\n", "\n") }
}

fn command(data_dir: &Path, args: &[&str]) -> Command {
    let mut command = quash();
    command.args(args).arg("--data-dir").arg(data_dir);
    command
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
fn tables_fit_the_terminal() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let name = "a-name-that-is-long-".repeat(5);
    assert_eq!(on(&data_dir, &["account", "add", &name, "--subject", "1"], "").code(), 0);
    let listed = at_a_terminal(command(&data_dir, &["account", "list"]), &[]);
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
        let mut serve = command(&dir.path().join(name), &["serve", "--listen", "unix:/nowhere/at/all"]);
        serve.env("NO_COLOR", if name == "plain" { "1" } else { "" });
        at_a_terminal(serve, &[])
    };
    for (name, coloured) in [("coloured", true), ("plain", false)] {
        let shown = serve(name);
        assert!(shown.screen.contains("made the data directory"), "{}", shown.screen);
        assert_eq!(shown.screen.contains("\u{1b}["), coloured, "{}", shown.screen);
    }
}
