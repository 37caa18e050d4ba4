//! Controls a headless Chromium through two pipes with the DevTools protocol, and runs axe in its pages.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// The tools that these tests need besides Rust.
pub(crate) struct Tools {
    chromium: PathBuf,
    axe: PathBuf,
}

/// Returns the tools that `cargo xtask test` and `ci` install; if they are missing, prints a note and returns
/// `None`.
#[expect(clippy::print_stderr, reason = "a test that is skipped must say so")]
#[expect(
    clippy::disallowed_methods,
    reason = "the environment names the tools that a test needs besides Rust"
)]
pub(crate) fn tools() -> Option<Tools> {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let tools = named("QUASH_TEST_CHROMIUM").zip(named("QUASH_TEST_AXE"));
    if tools.is_none() {
        eprintln!(
            "skipped: this test needs Chromium and axe; `cargo xtask ci` installs them and sets QUASH_TEST_CHROMIUM and QUASH_TEST_AXE"
        );
    }
    tools.map(|(chromium, axe)| Tools { chromium, axe })
}

/// Enables or disables scripts in pages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scripts {
    Run,
    Disabled,
}

/// A browser with one page.
pub(crate) struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    sent: u64,
    session: Option<String>,
    /// The addresses that the page has asked for.
    pub(crate) requests: Vec<String>,
    /// The errors that the browser has reported.
    pub(crate) complaints: Vec<String>,
    axe: String,
    _dir: TempDir,
}

impl Browser {
    pub(crate) fn start(tools: &Tools, scripts: Scripts) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        // Chromium reads commands from file descriptor 3 and writes to 4; the shell redirects our pipes to
        // them.
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null"]).arg(&tools.chromium);
        command.args([
            "--headless=new",
            "--remote-debugging-pipe",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ]);
        command.args([
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "about:blank",
        ]);
        command.arg(format!("--user-data-dir={}", dir.path().display()));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let commands = child.stdin.take().expect("it is piped");
        let mut answers = BufReader::new(child.stdout.take().expect("it is piped"));
        let (send, messages) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while answers.read_until(0, &mut message).is_ok_and(|read| read > 0) {
                message.pop();
                if send.send(serde_json::from_slice(&message).unwrap_or(Value::Null)).is_err() {
                    break;
                }
                message.clear();
            }
        });
        let axe = std::fs::read_to_string(&tools.axe).expect("axe");
        let (requests, complaints) = (Vec::new(), Vec::new());
        let mut browser =
            Self { child, commands, messages, sent: 0, session: None, requests, complaints, axe, _dir: dir };
        let target = browser.ask("Target.createTarget", &json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = browser.ask("Target.attachToTarget", &json!({ "targetId": target, "flatten": true }));
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Network", "Log", "DOM"] {
            browser.ask(&format!("{domain}.enable"), &json!({}));
        }
        if scripts == Scripts::Disabled {
            browser.ask("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
        }
        browser
    }

    /// Makes pages see this as the user's choice: `light` or `dark`.
    pub(crate) fn prefer_colour_scheme(&mut self, scheme: &str) {
        self.ask(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] }),
        );
    }

    /// Opens an address, and waits until the page has loaded.
    pub(crate) fn open(&mut self, url: &str) {
        self.ask("Page.navigate", &json!({ "url": url }));
        self.wait_for("Page.loadEventFired");
    }

    /// Presses a key that submits a form, and waits for the next page.
    pub(crate) fn press_and_wait(&mut self, key: &str) {
        self.press(key);
        self.wait_for("Page.loadEventFired");
    }

    /// Presses `Tab`, `Enter`, or the space bar.
    pub(crate) fn press(&mut self, key: &str) {
        let (code, number, text) = match key {
            "Tab" => ("Tab", 9, None),
            "Enter" => ("Enter", 13, Some("\r")),
            _ => ("Space", 32, Some(" ")),
        };
        let mut down =
            json!({ "type": "keyDown", "key": key, "code": code, "windowsVirtualKeyCode": number });
        if let Some(text) = text {
            down["text"] = text.into();
        }
        self.ask("Input.dispatchKeyEvent", &down);
        self.ask(
            "Input.dispatchKeyEvent",
            &json!({ "type": "keyUp", "key": key, "code": code, "windowsVirtualKeyCode": number }),
        );
    }

    /// Types on the keyboard.
    pub(crate) fn type_text(&mut self, text: &str) {
        for c in text.chars() {
            let c = c.to_string();
            self.ask("Input.dispatchKeyEvent", &json!({ "type": "keyDown", "key": c, "text": c }));
            self.ask("Input.dispatchKeyEvent", &json!({ "type": "keyUp", "key": c }));
        }
    }

    /// Returns the current page as HTML.
    pub(crate) fn html(&mut self) -> String {
        let root = self.ask("DOM.getDocument", &json!({}))["root"]["nodeId"].clone();
        self.ask("DOM.getOuterHTML", &json!({ "nodeId": root }))["outerHTML"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Returns the violations that axe finds in the page.
    pub(crate) fn violations(&mut self) -> Vec<String> {
        let script = format!(
            "{};axe.run().then(found => found.violations.map(one => one.id + ': ' + one.nodes.map(node => node.html).join(' ')))",
            self.axe
        );
        let asked = json!({ "expression": script, "awaitPromise": true, "returnByValue": true });
        let answer = self.ask("Runtime.evaluate", &asked);
        let found = answer["result"]["value"].as_array().unwrap_or_else(|| panic!("axe said {answer}"));
        found.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.sent += 1;
        let id = self.sent;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.commands.write_all(format!("{message}\0").as_bytes()).expect("Chromium runs");
        loop {
            let message = self.next(method);
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
        }
    }

    fn wait_for(&mut self, event: &str) {
        while self.next(event)["method"] != event {}
    }

    fn next(&mut self, wanted: &str) -> Value {
        let message = self
            .messages
            .recv_timeout(DEADLINE)
            .unwrap_or_else(|_| panic!("Chromium said nothing of {wanted}"));
        match message["method"].as_str() {
            Some("Network.requestWillBeSent") => {
                self.requests.extend(message["params"]["request"]["url"].as_str().map(str::to_owned));
            }
            // Violations of the content security policy are also logged here. Failed loads, such as a 400,
            // are ignored.
            Some("Log.entryAdded") => {
                let entry = &message["params"]["entry"];
                if entry["level"] == "error" && entry["source"] != "network" {
                    self.complaints.push(entry["text"].to_string());
                }
            }
            _ => {}
        }
        message
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
