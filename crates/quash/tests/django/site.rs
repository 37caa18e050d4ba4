//! A Django site: its folder and database, its `manage.py`, and its server.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::quash_dir::{PASSWORD, QuashDir};
use crate::support::{Answer, Pair, request, run};

const FILES: [(&str, &str); 4] = [
    ("manage.py", include_str!("site/manage.py")),
    ("settings.py", include_str!("site/settings.py")),
    ("urls.py", include_str!("site/urls.py")),
    ("serializers.py", include_str!("site/serializers.py")),
];

/// A site that isn't running: `site/` in a room.
pub(crate) struct Site {
    python: PathBuf,
    folder: PathBuf,
}

/// A site's server. It is killed when this is dropped.
pub(crate) struct Node {
    /// Such as `http://127.0.0.1:40001`.
    pub(crate) url: String,
    address: SocketAddr,
    child: Child,
}

impl Site {
    /// Creates a site with an empty database and the user `dana`, whose id is 1.
    pub(crate) fn new(python: &Path, dir: &QuashDir) -> Self {
        let site = Self { python: python.to_owned(), folder: dir.path().join("site") };
        std::fs::create_dir(&site.folder).expect("it is made");
        for (name, text) in FILES {
            site.write(name, text);
        }
        site.configure("SIMPLE_JWT = {}");
        // In one process: each start takes half a second.
        site.shell(&format!(
            "from django.core.management import call_command; call_command('migrate', verbosity=0); \
             from django.contrib.auth.models import User; User.objects.create_user('dana', password='{PASSWORD}')"
        ));
        site
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file of the site.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).expect("it is written");
    }

    /// Writes its settings of Simple JWT, as Python: `SIMPLE_JWT = {..}`.
    pub(crate) fn configure(&self, simple_jwt: &str) {
        self.write("site_jwt.py", simple_jwt);
    }

    /// Runs a line of Python with `manage.py shell -c`, and returns its output.
    pub(crate) fn shell(&self, code: &str) -> String {
        self.manage(&["shell", "-v", "0", "-c", code], "").trim().to_owned()
    }

    /// Runs `manage.py`, and returns its output.
    pub(crate) fn manage(&self, args: &[&str], stdin: &str) -> String {
        let mut command = self.command();
        command.args(args);
        let ended = run(command, stdin);
        assert!(ended.status.success(), "{args:?}: {}{}", ended.stdout, ended.stderr);
        ended.stdout
    }

    /// Starts it, with Django's own server on a free port.
    pub(crate) fn start(&self) -> Node {
        let mut command = self.command();
        command
            .args(["runserver", "--noreload", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("Python starts");
        let mut lines =
            BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
        let said =
            lines.find_map(|line| line.strip_prefix("Starting development server at ").map(str::to_owned));
        let url = said.expect("it says where it listens").trim_end_matches('/').to_owned();
        // Further output must not fill its pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let address = url.trim_start_matches("http://").parse().expect("an address");
        Node { url, address, child }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.python);
        command.args(["-u", "manage.py"]).current_dir(&self.folder);
        command
    }
}

impl Node {
    /// Calls a view that requires an access token.
    pub(crate) fn orders(&self, access: &str) -> Answer {
        let authorization = format!("Bearer {access}");
        request(self.address, "GET", "/orders/", &[("Authorization", &authorization)], b"")
            .expect("an answer")
    }

    /// Posts JSON.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        request(
            self.address,
            "POST",
            path,
            &[("Content-Type", "application/json")],
            body.to_string().as_bytes(),
        )
        .expect("an answer")
    }

    /// Signs in as `dana`, and returns a pair signed by Simple JWT.
    pub(crate) fn sign_in(&self) -> Pair {
        let answer = self.post("/api/token/", &json!({ "username": "dana", "password": PASSWORD }));
        assert_eq!(answer.status, 200, "{}", answer.text);
        let token = |member: &str| answer.body[member].as_str().expect("a token").to_owned();
        Pair { access: token("access"), refresh: token("refresh") }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
