//! `quash demo`: shows that a log-out ends a token at once. Runs a real server on a free port, with a
//! database in a temporary directory, and calls it over HTTP. Fails if a response isn't the expected one.

mod client;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use quash_core::hex;
use quash_core::model::{Clock, draw};
use serde_json::{Value, json};
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::context::CommandContext;
use super::listen::ServerAddress;
use super::serve::{self, Signals};
use crate::control::{self, AddAccount, GivenPassword, Local, Request, Secret};
use crate::data_dir::{DataDir, GroupAccess, IfMissing};
use crate::entropy::SystemEntropy;
use crate::error::CommandError;
use crate::opening::FencedSettings;
use crate::output::{self, OutputFormat};
use crate::settings::{self, Listen, Settings};
use crate::stderr::Stderr;
use quash_server::{DroppedLines, ProgramMetrics, SystemClock};

/// A directory that is removed when this is dropped.
struct TemporaryDirectory(PathBuf);

/// A call and the expected status of its response.
struct Step {
    what: &'static str,
    call: &'static str,
    wanted: u16,
}

pub(super) async fn run(context: &CommandContext) -> Result<(), CommandError> {
    // From here on, a signal ends the demo only where it is awaited: the directory is always removed.
    let mut signals = Signals::start()?;
    let directory = TemporaryDirectory::make()?;
    let (data_dir, _) = DataDir::open(directory.0.clone(), IfMissing::Create, GroupAccess::Refused)?;
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let settings = Settings { listen: Listen::Tcp(free), ..settings::defaults()? };
    let dropped = DroppedLines::default();
    let stderr = Stderr::start(dropped.clone())
        .map_err(|error| CommandError::failure(format!("no thread can be started: {error}")))?;
    let ready = serve::prepare(&settings, FencedSettings::Compare, &data_dir, None, &stderr).await?;
    let ServerAddress::At { address, .. } = ready.server_address else {
        return Err(CommandError::failure("the server listens at an unexpected address"));
    };
    let (stop, stopping) = watch::channel(false);
    let program = ProgramMetrics { dropped, version: env!("CARGO_PKG_VERSION"), certificate: None };
    let serving = tokio::spawn(async move { serve::serve(ready, stopping, &program).await });
    let delay = tokio::select! {
        delay = run_steps(context, &settings, &data_dir, address) => delay,
        name = signals.next() => Err(CommandError::failure(format!("interrupted by {name}"))),
    };
    // The server closes its files before the directory is removed.
    stop.send_replace(true);
    let served =
        serving.await.map_err(|error| CommandError::failure(format!("the server task failed: {error}")))?;
    let delay = delay?;
    served?;
    let millis = delay.as_secs_f64() * 1000.0;
    context.print(&json!({ "ok": true, "delay_ms": millis }), || {
        format!(
            "from the log-out's response to the access token's refusal: {millis:.2} ms (its exp was 5 minutes away)\n\
             next: quash serve starts a server with its data in ./quash-data"
        )
    })
}

/// Signs in, calls, logs out, calls again. Returns the time from the log-out's response to the refusal.
async fn run_steps(
    context: &CommandContext,
    settings: &Settings,
    data_dir: &DataDir,
    address: SocketAddr,
) -> Result<Duration, CommandError> {
    print_step(context, &format!("a temporary server is listening on http://{address}"))?;
    let password: Zeroizing<String> = Zeroizing::new(hex::encode(&draw::<16>(&SystemEntropy)));
    let given = Some(GivenPassword::Plain(Secret::new(password.clone())));
    let new = AddAccount {
        name: "dana".into(),
        email: None,
        verified: false,
        subject: None,
        password: given,
        deactivated: false,
        claims: None,
    };
    control::ask(Request::AddAccount(new), settings, data_dir, IfMissing::Create, &Local::new()).await?;
    print_step(context, "account dana: added, with a random password")?;
    let sign_in = Step { what: "sign in", call: "POST /api/token/", wanted: 200 };
    let pair = sign_in
        .take(context, address, None, Some(&json!({ "username": "dana", "password": *password })))
        .await?;
    let token = |name: &str| pair.get(name).and_then(Value::as_str).map(str::to_owned).unwrap_or_default();
    let (access, refresh) = (token("access"), token("refresh"));
    Step { what: "call with the access token", call: "GET /v1/me", wanted: 200 }
        .take(context, address, Some(&access), None)
        .await?;
    let log_out = Step { what: "log out", call: "POST /api/logout/", wanted: 200 };
    log_out.take(context, address, Some(&access), Some(&json!({ "refresh": refresh }))).await?;
    let logged_out = SystemClock.uptime();
    let again = Step { what: "call with the same access token", call: "GET /v1/me", wanted: 401 };
    again.take(context, address, Some(&access), None).await?;
    Ok(SystemClock.uptime().saturating_sub(logged_out))
}

impl Step {
    async fn take(
        &self,
        context: &CommandContext,
        address: SocketAddr,
        bearer: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Value, CommandError> {
        let Self { what, call, wanted } = self;
        let answer = client::call(address, call, bearer, body).await;
        let answer =
            answer.map_err(|error| CommandError::failure(format!("{call} got no answer: {error}")))?;
        print_step(context, &format!("{what}: {call} -> {}", answer.status))?;
        if answer.status == *wanted {
            Ok(answer.body)
        } else {
            Err(CommandError::failure(format!("{call} returned {} instead of {wanted}", answer.status)))
        }
    }
}

fn print_step(context: &CommandContext, text: &str) -> Result<(), CommandError> {
    match context.form {
        OutputFormat::Text => output::line(text).map(drop),
        OutputFormat::Json => Ok(()),
    }
}

impl TemporaryDirectory {
    fn make() -> Result<Self, CommandError> {
        let name = hex::encode(&draw::<8>(&SystemEntropy));
        let path = settings::temporary_directory().join(format!("quash-demo-{name}"));
        // `create_dir` fails if the name exists: the directory is new and belongs to this process.
        fs::create_dir(&path).map(|()| Self(path.clone())).map_err(|error: io::Error| {
            CommandError::failure(format!(
                "the temporary directory {} cannot be made: {error}",
                path.display()
            ))
        })
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            output::note(&format!("{} could not be removed: {error}", self.0.display()));
        }
    }
}
