//! Finds the Python with all packages, and runs PyJWT behind a pipe.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// Returns the Python that `cargo xtask test` installs; if it is missing, prints a note and returns `None`.
#[expect(clippy::print_stderr, reason = "a test that is skipped must say so")]
#[expect(
    clippy::disallowed_methods,
    reason = "the environment names the tools that a test needs besides Rust"
)]
pub(crate) fn python() -> Option<PathBuf> {
    let named = std::env::var_os("QUASH_TEST_PYTHON").map(PathBuf::from);
    if named.is_none() {
        eprintln!(
            "skipped: this test needs Django, Simple JWT and PyJWT; `cargo xtask test` installs them and sets QUASH_TEST_PYTHON"
        );
    }
    named
}

/// A PyJWT process that answers requests. It is killed when this is dropped.
pub(crate) struct PyJwt {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// A key pair made by cryptography.
pub(crate) struct KeyPair {
    /// The private key as PKCS #8.
    pub(crate) pkcs8: String,
    /// As PKCS #1 or SEC 1, if its kind has such a format.
    pub(crate) traditional: Option<String>,
    /// The public key.
    pub(crate) public: String,
    /// As a JWK.
    pub(crate) jwk: Value,
    /// The private key as a JWK.
    pub(crate) private_jwk: Value,
}

impl PyJwt {
    /// Starts it.
    pub(crate) fn start(python: &PathBuf) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/django/pyjwt.py");
        let mut command = Command::new(python);
        let mut child = command
            .args(["-B", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let (questions, answers) = child.stdin.take().zip(child.stdout.take()).expect("they are piped");
        Self { child, questions, answers: BufReader::new(answers) }
    }

    /// Generates a key pair: `rsa`, `p256`, `p384`, `p521` or `ed25519`.
    pub(crate) fn make(&mut self, kind: &str) -> KeyPair {
        let answer = self.ask(&json!({ "do": "make", "kind": kind }));
        let text = |form: &str| answer[form].as_str().map(str::to_owned);
        KeyPair {
            pkcs8: text("pkcs8").expect("a key"),
            traditional: text("traditional"),
            public: text("public").expect("a key"),
            jwk: answer["jwk"].clone(),
            private_jwk: answer["private_jwk"].clone(),
        }
    }

    /// Signs a token.
    pub(crate) fn sign(&mut self, claims: &Value, key: &str, algorithm: &str, headers: &Value) -> String {
        let answer = self.ask(&json!({ "do": "sign", "claims": claims, "key": key, "algorithm": algorithm, "headers": headers }));
        answer["token"].as_str().expect("a token").to_owned()
    }

    /// Verifies a token with a key, and returns its claims or the name of the exception.
    pub(crate) fn verify(&mut self, token: &str, algorithm: &str, key: &str) -> Result<Value, String> {
        self.verified(&json!({ "do": "verify", "token": token, "algorithm": algorithm, "key": key }))
    }

    /// Verifies a token with the keys at an address, and returns its claims or the name of the exception.
    pub(crate) fn verify_by(
        &mut self,
        jwks_url: &str,
        token: &str,
        algorithm: &str,
    ) -> Result<Value, String> {
        self.verified(
            &json!({ "do": "verify", "token": token, "algorithm": algorithm, "jwks_url": jwks_url }),
        )
    }

    fn verified(&mut self, question: &Value) -> Result<Value, String> {
        let answer = self.ask(question);
        match answer["refused"].as_str() {
            Some(refusal) => Err(refusal.to_owned()),
            None => Ok(answer["claims"].clone()),
        }
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.questions, "{question}").expect("it reads");
        let mut answer = String::new();
        assert!(self.answers.read_line(&mut answer).expect("a line") > 0, "PyJWT ended; its output is above");
        serde_json::from_str(&answer).expect("JSON")
    }
}

impl Drop for PyJwt {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
