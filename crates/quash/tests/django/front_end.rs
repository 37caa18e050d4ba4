//! A front end written for Simple JWT, `front_end.py`, against Django and against quash. Its results are the
//! same, except for the deliberate differences in the guide.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::python::python;
use crate::quash_dir::{PASSWORD, QuashDir, add_account};
use crate::site::Site;
use crate::support::run;

#[test]
fn front_ends_get_equal_answers_except_after_logout() {
    let Some(python) = python() else { return };
    let dir = QuashDir::new();
    let site = Site::new(&python, &dir);
    site.configure(r#"SIMPLE_JWT = {"ROTATE_REFRESH_TOKENS": True, "BLACKLIST_AFTER_ROTATION": True}"#);
    let node = site.start();
    let quash = dir.quash("[tokens]\nauth_token_classes = [\"access\"]\n");
    add_account(&quash, "dana", "1");

    let there = told(&python, &node.url, "/orders/");
    let here = told(&python, &quash.url, "/v1/me");
    assert_eq!(there.len(), 20, "{there:?}");
    let names = |steps: &[Value]| steps.iter().map(|step| step["step"].clone()).collect::<Vec<_>>();
    assert_eq!(names(&there), names(&here));
    let refused = |detail: &str| json!([401, "token_not_valid", detail]);
    for (there, here) in there.iter().zip(&here) {
        let step = there["step"].as_str().expect("a name");
        match step {
            // The path and body differ; only the access is compared.
            "call" | "call with the refresh token" | "call without a token" | "call with the new token" => {
                assert_eq!(there["status"], here["status"], "{step}: {here}");
            }
            "call after that" => {
                assert_eq!((&there["status"], &here["status"]), (&json!(200), &json!(401)), "{step}: {here}")
            }
            // `reason` is the only additional member.
            "refresh after that" => {
                let said = |told: &Value| json!([told["status"], told["code"], told["detail"]]);
                assert_eq!(
                    (said(there), said(here)),
                    (refused("Token is blacklisted"), refused("Token is blacklisted")),
                    "{step}"
                );
                assert_eq!(
                    (&there["members"], &here["members"]),
                    (&json!(["detail", "code"]), &json!(["detail", "code", "reason"]))
                );
            }
            _ => assert_eq!(there, here),
        }
    }
    // The steps compared above must have had these statuses.
    let statuses: Vec<u64> = here.iter().map(|step| step["status"].as_u64().expect("a status")).collect();
    assert_eq!(
        statuses,
        [401, 200, 200, 401, 401, 200, 200, 401, 200, 200, 401, 200, 200, 401, 401, 200, 200, 200, 200, 401]
    );
}

/// Returns the responses that the script got, step by step.
fn told(python: &Path, server: &str, guarded: &str) -> Vec<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/django/front_end.py");
    let mut command = Command::new(python);
    command.args(["-B", script, server, guarded]);
    let ended = run(command, &json!(["dana", PASSWORD]).to_string());
    assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
    ended.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}
