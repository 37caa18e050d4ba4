//! A small SMTP server (RFC 5321), with or without TLS, that stores received mails and can misbehave.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// The behaviour of a server, from the next connection on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Behaviour {
    /// Accepts every mail.
    Kind,
    /// Accepts every mail, and offers SMTPUTF8.
    Utf8,
    /// Sends nothing until its behaviour changes.
    Silent,
    /// Refuses all clients temporarily.
    Busy,
    /// Refuses recipients temporarily.
    Greylisting,
    /// Refuses recipients permanently.
    NoSuchUser,
    /// Reads the whole mail, and disconnects without an answer.
    GoneAfterData,
    /// Reads the whole mail, and refuses it temporarily.
    FullAfterData,
}

/// The encryption of its connections.
#[derive(Clone)]
pub(crate) enum Wrapped {
    Never,
    AtOnce(Arc<ServerConfig>),
    WhenAsked(Arc<ServerConfig>),
}

/// A received mail.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) from: String,
    /// The parameters of `MAIL`.
    pub(crate) parameters: String,
    pub(crate) to: String,
    /// The client's credentials, as sent.
    pub(crate) signed_in: Option<String>,
    /// The encryption of its connection.
    pub(crate) encrypted: Encrypted,
    pub(crate) data: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Encrypted {
    Yes,
    No,
}

/// A server that runs until the test ends.
pub(crate) struct Smtp {
    pub(crate) address: SocketAddr,
    mails: Receiver<Received>,
    shared: Arc<ServerState>,
}

struct ServerState {
    behaviour: Mutex<Behaviour>,
    went_on: Condvar,
    connections: Mutex<usize>,
    came: Condvar,
    wrapped: Wrapped,
    mails: Mutex<Sender<Received>>,
}

/// The password of a server with [`settings`].
pub(crate) const SMTP_PASSWORD: &str = "secret of quash";
/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);
/// The pause after which no further mail is expected: longer than the pause before a second attempt.
const QUIET: Duration = Duration::from_secs(6);

/// Returns an address without a listener.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

/// Writes a settings file for sending mails with encryption and a password through this address.
pub(crate) fn settings(dir: &Path, smtp: SocketAddr, encryption: &str) -> PathBuf {
    let password = dir.join("smtp.password");
    fs::write(&password, format!("{SMTP_PASSWORD}\n")).expect("it is ours");
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let settings = format!(
        "[mail]\nhost = \"localhost\"\nport = {}\nencryption = \"{encryption}\"\nusername = \"quash\"\npassword_file = \"{}\"\nfrom = \"no-reply@id.example\"\n\
         [http]\npublic_url = \"https://id.example\"\n",
        smtp.port(),
        password.display()
    );
    let file = dir.join("quash.toml");
    fs::write(&file, settings).expect("it is ours");
    file
}

/// Creates a self-signed certificate, and a server's TLS settings with it.
pub(crate) fn certificate(dir: &Path) -> Arc<ServerConfig> {
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = rcgen::CertificateParams::new(["localhost".to_owned()])
        .expect("a name")
        .self_signed(&key)
        .expect("a certificate");
    fs::write(dir.join("trusted.pem"), certificate.pem()).expect("it is ours");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions");
    Arc::new(
        config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).expect("a pair"),
    )
}

impl Smtp {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address"), behaviour, Wrapped::Never)
    }

    pub(crate) fn start_at(address: SocketAddr, behaviour: Behaviour, wrapped: Wrapped) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (sender, mails) = channel();
        let shared = Arc::new(ServerState {
            behaviour: Mutex::new(behaviour),
            went_on: Condvar::new(),
            connections: Mutex::new(0),
            came: Condvar::new(),
            wrapped,
            mails: Mutex::new(sender),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                *serving.connections.lock().expect("a count") += 1;
                serving.came.notify_all();
                let serving = Arc::clone(&serving);
                std::thread::spawn(move || serving.serve(stream));
            }
        });
        Self { address, mails, shared }
    }

    /// Changes the behaviour; waiting clients continue.
    pub(crate) fn turn(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().expect("a manner") = behaviour;
        self.shared.went_on.notify_all();
    }

    /// Returns the next mail, which must come.
    pub(crate) fn next(&self) -> Received {
        self.mails.recv_timeout(DEADLINE).expect("a mail")
    }

    /// Returns all further mails.
    pub(crate) fn rest(&self) -> Vec<Received> {
        std::iter::from_fn(|| self.mails.recv_timeout(QUIET).ok()).collect()
    }

    /// Returns the number of connections so far.
    pub(crate) fn connections(&self) -> usize {
        *self.shared.connections.lock().expect("a count")
    }

    /// Waits until there were `count` connections.
    pub(crate) fn wait_for_connections(&self, count: usize) {
        let connections = self.shared.connections.lock().expect("a count");
        let (connections, waited) = self
            .shared
            .came
            .wait_timeout_while(connections, DEADLINE, |connections| *connections < count)
            .expect("a count");
        assert!(!waited.timed_out(), "{count} connections, and not {connections}");
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// The data of a client so far.
#[derive(Clone)]
struct Said {
    from: String,
    parameters: String,
    to: String,
    signed_in: Option<String>,
    encrypted: Encrypted,
}

enum Next {
    Encrypt,
    End,
}

impl ServerState {
    fn serve(&self, stream: TcpStream) -> Option<()> {
        stream.set_read_timeout(Some(DEADLINE)).ok()?;
        if self.behaviour() == Behaviour::Silent {
            let behaviour = self.behaviour.lock().ok()?;
            drop(self.went_on.wait_while(behaviour, |behaviour| *behaviour == Behaviour::Silent).ok()?);
        }
        let encrypt = |config: &Arc<ServerConfig>, stream| {
            Some(StreamOwned::new(ServerConnection::new(Arc::clone(config)).ok()?, stream))
        };
        match &self.wrapped {
            Wrapped::AtOnce(config) => {
                self.talk(Box::new(encrypt(config, stream)?), Encrypted::Yes, true).map(drop)
            }
            Wrapped::Never => self.talk(Box::new(stream), Encrypted::No, true).map(drop),
            Wrapped::WhenAsked(config) => {
                match self.talk(Box::new(stream.try_clone().ok()?), Encrypted::No, true)? {
                    Next::Encrypt => {
                        self.talk(Box::new(encrypt(config, stream)?), Encrypted::Yes, false).map(drop)
                    }
                    Next::End => Some(()),
                }
            }
        }
    }

    fn talk(&self, stream: Box<dyn Stream>, encrypted: Encrypted, greets: bool) -> Option<Next> {
        let mut stream = BufReader::new(stream);
        let mut said = Said {
            from: String::new(),
            parameters: String::new(),
            to: String::new(),
            signed_in: None,
            encrypted,
        };
        if greets {
            let greeting =
                if self.behaviour() == Behaviour::Busy { "421 too busy" } else { "220 mail.example ESMTP" };
            say(&mut stream, greeting).ok()?;
        }
        loop {
            let line = line(&mut stream)?;
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            let answer = match verb.as_str() {
                "EHLO" if matches!(self.wrapped, Wrapped::WhenAsked(_)) && encrypted == Encrypted::No => {
                    "250-mail.example\r\n250 STARTTLS".to_owned()
                }
                "EHLO" if self.behaviour() == Behaviour::Utf8 => {
                    "250-mail.example\r\n250-8BITMIME\r\n250 SMTPUTF8".to_owned()
                }
                "EHLO" => "250-mail.example\r\n250 AUTH PLAIN LOGIN".to_owned(),
                "STARTTLS" => {
                    say(&mut stream, "220 go on").ok()?;
                    return Some(Next::Encrypt);
                }
                "AUTH" => {
                    said.signed_in = line.split(' ').nth(2).map(str::to_owned);
                    "235 welcome".to_owned()
                }
                "MAIL" => {
                    said.from = between(&line);
                    said.parameters = line.split_once('>').map_or("", |(_, rest)| rest.trim()).to_owned();
                    "250 ok".to_owned()
                }
                "RCPT" => {
                    said.to = between(&line);
                    match self.behaviour() {
                        Behaviour::Greylisting => "451 later, perhaps".to_owned(),
                        Behaviour::NoSuchUser => format!("550 {} is nobody here", said.to),
                        _ => "250 ok".to_owned(),
                    }
                }
                "DATA" => {
                    say(&mut stream, "354 go on").ok()?;
                    self.take(&mut stream, &said)?;
                    match self.behaviour() {
                        Behaviour::GoneAfterData => return Some(Next::End),
                        Behaviour::FullAfterData => "452 full".to_owned(),
                        _ => "250 taken".to_owned(),
                    }
                }
                "QUIT" => {
                    say(&mut stream, "221 bye").ok()?;
                    return Some(Next::End);
                }
                _ => "250 ok".to_owned(),
            };
            say(&mut stream, &answer).ok()?;
        }
    }

    fn take(&self, stream: &mut BufReader<Box<dyn Stream>>, said: &Said) -> Option<()> {
        let mut data = String::new();
        loop {
            let line = line(stream)?;
            if line == "." {
                break;
            }
            data.push_str(line.strip_prefix('.').unwrap_or(&line));
            data.push('\n');
        }
        let Said { from, parameters, to, signed_in, encrypted } = said.clone();
        let received = Received { from, parameters, to, signed_in, encrypted, data };
        self.mails.lock().ok()?.send(received).ok()
    }

    fn behaviour(&self) -> Behaviour {
        *self.behaviour.lock().expect("a manner")
    }
}

impl Received {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let head =
            self.data.split("\n\n").next().unwrap_or_default().replace("\n ", " ").replace("\n\t", " ");
        head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned))
    }

    /// Returns the decoded text of the mail.
    pub(crate) fn text(&self) -> String {
        let joined = self.data.replace("=\n", "");
        let mut bytes = Vec::new();
        let mut rest = joined.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            let code = after
                .get(..2)
                .and_then(|code| std::str::from_utf8(code).ok())
                .and_then(|code| u8::from_str_radix(code, 16).ok());
            match code.filter(|_| byte == b'=') {
                Some(code) => {
                    bytes.push(code);
                    rest = &after[2..];
                }
                None => {
                    bytes.push(byte);
                    rest = after;
                }
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Returns the link in the mail.
    pub(crate) fn link(&self) -> String {
        let text = self.text();
        text.lines()
            .find(|line| line.starts_with("http") && line.contains("?token="))
            .expect("a link")
            .to_owned()
    }

    /// Returns the code in the mail, which can be used instead of the link.
    pub(crate) fn code(&self) -> String {
        let text = self.text();
        text.lines().find(|line| line.len() == 11 && line.as_bytes()[5] == b'-').expect("a code").to_owned()
    }

    /// Returns the token in the link.
    pub(crate) fn token(&self) -> String {
        self.link().split_once("?token=").expect("a token").1.to_owned()
    }
}

fn say(stream: &mut BufReader<Box<dyn Stream>>, answer: &str) -> io::Result<()> {
    let stream = stream.get_mut();
    stream.write_all(format!("{answer}\r\n").as_bytes())?;
    stream.flush()
}

fn line(stream: &mut BufReader<Box<dyn Stream>>) -> Option<String> {
    let mut line = String::new();
    match stream.read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line.trim_end_matches(['\r', '\n']).to_owned()),
    }
}

/// Returns the text between angle brackets.
fn between(line: &str) -> String {
    line.split(['<', '>']).nth(1).unwrap_or_default().to_owned()
}
