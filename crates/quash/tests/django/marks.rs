//! A Django node with Simple JWT's `CHECK_REVOKE_TOKEN` compares tokens with the hash in its own table. No hash
//! there may lock a user out.

use serde_json::json;

use crate::guide;
use crate::nodes::comparing_passwords;
use crate::python::python;
use crate::quash_dir::{PASSWORD, QuashDir, add_account};
use crate::site::Site;
use crate::support::Server;

/// Sets a user's password field at the site, and returns what it has written.
fn hash_at_site(site: &Site, id: &str, field: &str) -> String {
    site.shell(&format!(
        "from django.contrib.auth.hashers import make_password; from django.contrib.auth.models import User; \
         u, _ = User.objects.get_or_create(pk={id}, defaults={{'username': 'user {id}'}}); \
         u.password = {field}; u.save(); print(u.password)"
    ))
}

/// Returns what to send to quash for a hash that it can't compare with, by the guide.
fn mark_at_site(site: &Site, id: &str) -> String {
    let script = guide::block("# mark.py");
    assert!(script.contains("username=\"dana\""), "{script}");
    let mark = site.shell(&script.replace("username=\"dana\"", &format!("pk={id}")));
    assert_eq!(mark.len(), "!mark$".len() + 32, "{mark}");
    mark
}

fn set_hash(quash: &Server, name: &str, hash: &str) {
    let set = quash.run(&["account", "set", name, "--password-hash-stdin"], hash);
    assert!(set.status.success(), "{}{}", set.stdout, set.stderr);
}

#[test]
fn nodes_lock_out_no_user_without_a_supported_hash() {
    let Some(python) = python() else { return };
    let dir = QuashDir::new();
    let site = Site::new(&python, &dir);
    let quash = comparing_passwords(&dir, &site);
    let node = site.start();
    let passes = |name: &str, id: u64| {
        let answer = node.orders(&quash.sign_in(name, PASSWORD).access);
        assert_eq!((answer.status, &answer.body["id"]), (200, &json!(id)), "{name}: {}", answer.text);
    };
    let unusable = "make_password(None)";
    let unsupported = "'md5$salt$f7c3bc1d808e04732adf679965ccc34c'";

    // Accounts that were made at quash first, with a password, and then got a user at the site.
    for (id, field) in [(11, "''"), (12, unusable), (13, unsupported)] {
        let (name, id_text) = (format!("user {id}"), id.to_string());
        add_account(&quash, &name, &id_text);
        let first = quash.sign_in(&name, PASSWORD);
        let hash = hash_at_site(&site, &id_text, field);
        match field {
            "''" => {}
            field if field == unusable => set_hash(&quash, &name, &hash),
            _ => set_hash(&quash, &name, &mark_at_site(&site, &id_text)),
        }
        passes(&name, id);
        assert_eq!(quash.get("/v1/me", Some(&first.access)).status, 200, "{field} has ended nothing");
    }

    // Users of the site that were imported without a password, and set one at quash later.
    for (id, field) in [(21, "''"), (22, unusable), (23, unsupported)] {
        let (name, id_text) = (format!("user {id}"), id.to_string());
        let hash = match hash_at_site(&site, &id_text, field) {
            hash if field == unsupported => {
                let line = json!({ "name": name, "subject": id_text, "password_hash": hash }).to_string();
                let refused = quash.run(&["account", "add", "--batch-stdin"], &line);
                assert!(refused.stderr.contains("known format"), "{}", refused.stderr);
                mark_at_site(&site, &id_text)
            }
            hash => hash,
        };
        let line = json!({ "name": name, "subject": id_text, "password_hash": hash }).to_string();
        let added = quash.run(&["account", "add", "--batch-stdin"], &line);
        assert!(added.status.success(), "{}{}", added.stdout, added.stderr);
        let set = quash.run(&["account", "set", &name, "--password-stdin"], PASSWORD);
        assert!(set.status.success(), "{}", set.stderr);
        passes(&name, id);

        // The site refuses tokens from before a password change there.
        let access = quash.sign_in(&name, PASSWORD).access;
        let changed = hash_at_site(&site, &id_text, "make_password('another one')");
        assert_eq!(node.orders(&access).body["code"], "password_changed");
        set_hash(&quash, &name, &changed);
        assert_eq!(quash.get("/v1/me", Some(&access)).status, 401);
        let access = quash.sign_in(&name, "another one").access;
        assert_eq!(node.orders(&access).status, 200);
    }
}
