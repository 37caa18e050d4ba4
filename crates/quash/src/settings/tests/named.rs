//! Named sections: in the file, in flags, and in variables, whose names can be ambiguous.

use std::time::Duration;

use super::test_sections::TestDir;

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn a_named_section_is_read_from_every_layer() {
    let file =
        "[peer.django]\nmax_lifetime = \"1d\"\ntrust = \"some\"\n[peer.a-b_0]\nmax_lifetime = \"1d\"\n";
    let variables = [
        ("QUASH_PEER_DJANGO_MAX_LIFETIME", "2d"),
        ("QUASH_PEER_SHOP_2_MAX_LIFETIME", "4d"),
        ("QUASH_PEER_SHOP_2_KEY", "k"),
    ];
    let set = ["peer.django.max_lifetime=3d", "peer.x.max_lifetime=5d", "peer.x.public_key=p"];
    let seen = |variables: &[(&str, &str)], set: &[&str]| {
        let peers = TestDir::new(file, variables, set).trial().peers;
        peers
            .into_iter()
            .map(|(name, peer)| (name, peer.max_lifetime.as_secs() / DAY.as_secs()))
            .collect::<Vec<_>>()
    };
    let named = |list: &[(&str, u64)]| {
        list.iter().map(|(name, days)| ((*name).to_owned(), *days)).collect::<Vec<_>>()
    };
    assert_eq!(seen(&[], &[]), named(&[("a-b_0", 1), ("django", 1)]));
    assert_eq!(seen(&variables, &[]), named(&[("a-b_0", 1), ("django", 2), ("shop_2", 4)]));
    assert_eq!(seen(&variables, &set), named(&[("a-b_0", 1), ("django", 3), ("shop_2", 4), ("x", 5)]));
    let peers = TestDir::new(file, &variables, &set).trial().peers;
    assert_eq!((peers["django"].trust, peers["x"].trust), (1, 0));
    assert_eq!((peers["shop_2"].key.as_deref(), peers["x"].public_key.as_deref()), (Some("k"), Some("p")));
    assert!(TestDir::new("[peer]\n", &[], &[]).trial().peers.is_empty());
}

#[test]
fn variables_select_existing_sections() {
    let file = "[peer.my-app]\nmax_lifetime = \"1d\"\n";
    let peers = TestDir::new(file, &[("QUASH_PEER_MY_APP_KEY", "k")], &[]).trial().peers;
    assert_eq!((peers.len(), peers["my-app"].key.as_deref()), (1, Some("k")));
    // A section that only a flag names also exists.
    let peers =
        TestDir::new("", &[("QUASH_PEER_MY_APP_KEY", "k")], &["peer.my-app.max_lifetime=1d"]).trial().peers;
    assert_eq!((peers.len(), peers["my-app"].key.as_deref()), (1, Some("k")));
    // The public key of `a`, or the key of `a_public`, depending on the existing section.
    for (name, public) in [("a", true), ("a_public", false)] {
        let file = format!("[peer.{name}]\nmax_lifetime = \"1d\"\n");
        let peers = TestDir::new(&file, &[("QUASH_PEER_A_PUBLIC_KEY", "k")], &[]).trial().peers;
        assert_eq!(
            (peers.len(), peers[name].public_key.is_some(), peers[name].key.is_some()),
            (1, public, !public)
        );
    }
}

#[test]
fn the_order_of_variables_does_not_matter() {
    for (name, public) in [("A", true), ("A_PUBLIC", false)] {
        // One sorts before the ambiguous variable, the other after it.
        for key in ["MAX_LIFETIME", "TRUST"] {
            let clear = format!("QUASH_PEER_{name}_{key}");
            let value = if key == "TRUST" { "some" } else { "1d" };
            let variables = [("QUASH_PEER_A_PUBLIC_KEY", "k"), (clear.as_str(), value)];
            let lifetime = format!("peer.{}.max_lifetime=1d", name.to_lowercase());
            let without = TestDir::new("", &variables, &[]).read();
            assert_eq!(without.is_ok(), key == "MAX_LIFETIME", "{without:?}");
            let peers = TestDir::new("", &variables, &[&lifetime]).trial().peers;
            let peer = &peers[&name.to_lowercase()];
            assert_eq!((peers.len(), peer.public_key.is_some(), peer.key.is_some()), (1, public, !public));
        }
    }
}

#[test]
fn ambiguous_variables_are_refused() {
    let two = "[peer.my-app]\nmax_lifetime = \"1d\"\n[peer.my_app]\nmax_lifetime = \"1d\"\n";
    let said = TestDir::new(two, &[("QUASH_PEER_MY_APP_TRUST", "some")], &[]).refused();
    assert!(
        said.contains(
            "may mean peer.my-app.trust or peer.my_app.trust (environment variable QUASH_PEER_MY_APP_TRUST)"
        ),
        "{said}"
    );
    let both = "[peer.a]\nmax_lifetime = \"1d\"\n[peer.a_public]\nmax_lifetime = \"1d\"\n";
    for file in [both, ""] {
        let said = TestDir::new(file, &[("QUASH_PEER_A_PUBLIC_KEY", "k")], &[]).refused();
        assert!(said.contains("peer.a_public.key") && said.contains("peer.a.public_key"), "{said}");
        assert!(said.contains("put the setting into the settings file"), "{said}");
    }
}

#[test]
fn section_names_have_a_form_and_length() {
    let longest = "x".repeat(32);
    let file = format!("[peer.{longest}]\nmax_lifetime = \"1d\"\n");
    assert!(
        TestDir::new(&file, &[(&format!("QUASH_PEER_{}_KEY", longest.to_uppercase()), "k")], &[])
            .read()
            .is_ok()
    );
    let too_long = "x".repeat(33);
    for name in [too_long.as_str(), "Django", "\"a b\"", "\"\"", "\"a.b\"", "\"é\""] {
        let said = TestDir::new(&format!("[peer.{name}]\nmax_lifetime = \"1d\"\n"), &[], &[]).refused();
        assert!(
            said.contains("quash.toml:1") && said.contains("1 to 32 characters from a-z, 0-9, _ and -"),
            "{said}"
        );
    }
    for name in [too_long.as_str(), "Django", "a b", "", "a.b"] {
        let said = TestDir::new("", &[], &[&format!("peer.{name}.max_lifetime=1d")]).refused();
        assert!(
            said.contains("flag --set") && said.contains("1 to 32 characters from a-z, 0-9, _ and -"),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    for name in [too_long.to_uppercase().as_str(), "django", "", "É", "A-B"] {
        let said = TestDir::new("", &[(&format!("QUASH_PEER_{name}_MAX_LIFETIME"), "1d")], &[]).refused();
        assert!(said.contains("isn't a setting that quash knows"), "{said}");
    }
}

#[test]
fn at_most_64_named_sections_of_a_kind() {
    let sections = |count: usize| {
        (1..=count).map(|n| format!("[peer.n{n}]\nmax_lifetime = \"1d\"\n")).collect::<String>()
    };
    assert_eq!(TestDir::new(&sections(64), &[], &["peer.n64.key=k"]).trial().peers.len(), 64);
    let said = TestDir::new(&sections(65), &[], &[]).refused();
    assert!(
        said.contains("exceeds the number of sections of its kind") && said.lines().count() == 1,
        "{said}"
    );
    assert!(
        TestDir::new(&sections(64), &[("QUASH_PEER_X_KEY", "k")], &[])
            .refused()
            .contains("exceeds the number of sections")
    );
    let said = TestDir::new(&sections(64), &[], &["peer.x.key=k"]).refused();
    assert!(
        said.contains("exceeds the number of sections of its kind") && said.lines().count() == 1,
        "{said}"
    );
}

#[test]
fn sections_without_required_keys_are_reported() {
    let said = TestDir::new("# here\n[peer.a]\n", &[("QUASH_PEER_B_TRUST", "some")], &["peer.c.trust=some"])
        .refused();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    for (line, mentions) in lines.iter().zip([
        ["peer.a.max_lifetime is missing", "quash.toml:2)", "[peer.a], such as max_lifetime = \"1d\""],
        ["peer.b.max_lifetime is missing", "variable QUASH_PEER_B_TRUST)", "[peer.b]"],
        ["peer.c.max_lifetime is missing", "flag --set)", "[peer.c]"],
    ]) {
        assert!(mentions.iter().all(|mention| line.contains(mention)), "{mentions:?}: {line}");
    }
}

#[test]
fn suggestions_cover_named_sections() {
    for (file, variable, flag, meant) in [
        ("[per.a]\nmax_lifetime = \"1d\"", "", "", "did you mean peer?"),
        ("[peer.a]\nmax_lifetme = \"1d\"", "", "", "did you mean max_lifetime?"),
        ("[peer.a]\nseal = \"x\"", "", "", "did you mean seal under [realm]?"),
        ("[realm]\nmax_lifetime = \"1d\"", "", "", "did you mean max_lifetime under [peer.<name>]?"),
        (
            "[peer.a]\ncolour = \"red\"",
            "",
            "",
            "the keys of [peer.a] are max_lifetime, trust, key, public_key, token, token_file",
        ),
        ("max_lifetime = \"1d\"", "", "", "put it under [peer.<name>]"),
        ("[peer]\nmax_lifetime = \"1d\"", "", "", "put [peer.<name>] on a line of its own"),
        ("peer = 5", "", "", "put [peer.<name>] on a line of its own"),
        ("[[peer]]", "", "", "put [peer.<name>] on a line of its own"),
        ("[[peer.a]]", "", "", "put [peer.<name>] on a line of its own"),
        ("[[realm]]", "", "", "put [realm] on a line of its own"),
        ("", "QUASH_PEER_DJANGO_MAX_LIFETIM", "", "did you mean QUASH_PEER_DJANGO_MAX_LIFETIME?"),
        ("", "QUASH_PEER_MY_APP_TURST", "", "did you mean QUASH_PEER_MY_APP_TRUST?"),
        ("", "QUASH_PEAR_DJANGO_TRUST", "", "did you mean QUASH_PEER_DJANGO_TRUST?"),
        ("", "QUASH_REALM_CERTT", "", "did you mean QUASH_REALM_CERT?"),
        ("", "QUASH_realm_cert", "", "did you mean QUASH_REALM_CERT?"),
        ("", "QUASH_peer_django_trust", "", "did you mean QUASH_PEER_DJANGO_TRUST?"),
        ("", "", "peer.django.max_lifetme=1d", "did you mean peer.django.max_lifetime?"),
        ("", "", "pear.django.trust=some", "did you mean peer.django.trust?"),
        ("", "", "peer.trust=some", "the sections are realm, peer.<name>"),
        ("", "", "realm.x.cert=c", "did you mean realm.cert?"),
    ] {
        let variables: Vec<(&str, &str)> =
            Some((variable, "x")).into_iter().filter(|(name, _)| !name.is_empty()).collect();
        let flags: Vec<&str> = Some(flag).into_iter().filter(|flag| !flag.is_empty()).collect();
        let said = TestDir::new(file, &variables, &flags).refused();
        assert!(said.contains(meant), "{file} {variable} {flag}: {said}");
    }
}
