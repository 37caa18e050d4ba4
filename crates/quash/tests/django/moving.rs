//! The migration of a site, step by step as in the guide: users, blacklisted tokens, and the time after the
//! migration.

use serde_json::json;

use crate::guide;
use crate::nodes::import_accounts;
use crate::python::python;
use crate::quash_dir::{PASSWORD, QuashDir};
use crate::site::Site;

#[test]
fn a_site_migrates_as_in_the_guide() {
    let Some(python) = python() else { return };
    let dir = QuashDir::new();
    let site = Site::new(&python, &dir);
    site.shell(
        "from django.contrib.auth.models import User; User.objects.create_user('kim', password=None); \
         User.objects.create_user('gone', password='x', is_active=False, email='gone@example.org'); \
         User.objects.create_user('-ldap', email='Both@example.org'); \
         User.objects.filter(username='-ldap').update(password=''); \
         User.objects.create_user('other', email='both@example.org')",
    );
    let node = site.start();
    let (kept, blacklisted) = (node.sign_in(), node.sign_in());
    let ended = node.post("/api/token/blacklist/", &json!({ "refresh": blacklisted.refresh }));
    assert_eq!(ended.status, 200, "{}", ended.text);

    let quash = dir.quash(&guide::settings("# quash.toml, with the site's secret"));
    import_accounts(&site, &quash, &python);
    let usable =
        |name: &str| quash.run(&["account", "show", name, "--json"], "").json()["password_usable"].clone();
    assert_eq!((usable("dana"), usable("kim")), (json!(true), json!(false)));
    let show = |name: &str| quash.run(&["account", "show", "--name", name, "--json"], "").json();
    let (gone, ldap) = (show("gone"), show("-ldap"));
    assert_eq!((&gone["state"], gone["email_verified_at"].is_string()), (&json!("deactivated"), true));
    assert_eq!(
        (&ldap["password_usable"], &ldap["email"]),
        (&json!(false), &json!(null)),
        "an address that two share is left out"
    );
    import_accounts(&site, &quash, &python);

    let refresh = |token: &str| quash.post_json("/api/token/refresh/", &json!({ "refresh": token }), None);
    let verify = |token: &str| quash.post_json("/api/token/verify/", &json!({ "token": token }), None).status;
    assert_eq!(verify(&blacklisted.refresh), 200, "quash can't know Django's blacklist");
    let carry_over = guide::block_for("# carry_over.py", &quash.url);
    assert_eq!(site.manage(&["shell", "-v", "0"], &carry_over).trim(), "1 carried over");
    assert_eq!((verify(&blacklisted.refresh), verify(&kept.refresh)), (401, 200));
    assert_eq!(refresh(&blacklisted.refresh).body["detail"], "Token is blacklisted");
    let again = site.manage(&["shell", "-v", "0"], &carry_over);
    assert_eq!(again.lines().last(), Some("0 carried over"), "{again}");
    assert!(again.contains("Token is blacklisted"), "{again}");

    // A Django view that blacklists one of quash's tokens ends nothing; the guide's replacement does.
    let theirs = quash.sign_in("dana", PASSWORD).refresh;
    let blacklist = format!(
        "from rest_framework_simplejwt.tokens import RefreshToken; RefreshToken('{theirs}').blacklist()"
    );
    site.shell(&blacklist);
    assert_eq!(verify(&theirs), 200, "Django's table is its own");
    let instead = guide::block_for("# instead of RefreshToken(t).blacklist()", &quash.url);
    site.shell(&format!("t = '{theirs}'\n{instead}"));
    assert_eq!(verify(&theirs), 401);

    // No user has to sign in again, and passwords stay the same.
    let adopted = refresh(&kept.refresh);
    assert_eq!(adopted.status, 200, "{}", adopted.text);
    let pair = quash.sign_in("dana", PASSWORD);

    // After the migration: the same quash with a key of its own, and nodes that fetch it.
    drop((quash, node));
    let settings = guide::settings("# quash.toml, with keys that nodes fetch");
    let quash = dir.quash(&settings);
    site.configure(&guide::block_for("# settings.py of a node", &quash.url));
    let node = site.start();
    assert_eq!(node.orders(&pair.access).status, 401, "signed with the secret");
    let renewed = quash.post_json("/api/token/refresh/", &json!({ "refresh": pair.refresh }), None);
    let access = renewed.body["access"].as_str().expect("a token");
    assert_eq!(node.orders(access).status, 200, "and refreshed, with the key that it fetches");
    let of_adoption = adopted.body["refresh"].as_str().expect("a token");
    let renewed = quash.post_json("/api/token/refresh/", &json!({ "refresh": of_adoption }), None);
    assert_eq!(renewed.status, 200, "an adopted session is one of ours: {}", renewed.text);
}
