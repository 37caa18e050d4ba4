//! Derives a device's label from its user agent with a few rules: "Firefox on Linux". The label helps users
//! recognize their devices and proves nothing: clients choose their user agent.

/// Marks of browsers, the more specific ones first: most browsers also claim to be those that they descend
/// from.
const BROWSERS: [(&str, &str); 12] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("Trident/", "Internet Explorer"),
];

/// Marks of systems, the more specific ones first.
const SYSTEMS: [(&str, &str); 9] = [
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("FreeBSD", "FreeBSD"),
    ("OpenBSD", "OpenBSD"),
    ("Linux", "Linux"),
];

/// The longest program name that is shown, in characters.
const CHARS: usize = 40;

/// Returns a short label for users. `None` if the user agent is empty.
pub(crate) fn label(user_agent: &str) -> Option<String> {
    let known = |marks: &[(&str, &'static str)]| {
        marks.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    let system = known(&SYSTEMS);
    let program = known(&BROWSERS).map_or_else(|| program(user_agent), |browser| Some(browser.to_owned()));
    match (program, system) {
        (Some(program), Some(system)) => Some(format!("{program} on {system}")),
        (Some(program), None) => Some(program),
        (None, system) => system.map(str::to_owned),
    }
}

/// Returns a program's own name: the first word without its version, as in `curl/8.5.0` (RFC 9110 10.1.5).
fn program(user_agent: &str) -> Option<String> {
    let name = user_agent.split(['/', ' ', '(', ';']).next().unwrap_or_default();
    let shown: String = name.chars().filter(|c| c.is_ascii_graphic()).take(CHARS).collect();
    Some(shown).filter(|shown| !shown.is_empty() && shown != "Mozilla")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_agents_become_readable_labels() {
        for (user_agent, told) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36",
                "Chrome on Windows",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36 Edg/139.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
                "Safari on macOS",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/139.0 Mobile/15E148 Safari/604.1",
                "Chrome on iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
                "Samsung Internet on Android",
            ),
            ("curl/8.5.0", "curl"),
            ("python-requests/2.32.3", "python-requests"),
            ("Dalvik/2.1.0 (Linux; U; Android 14)", "Dalvik on Android"),
            ("Mozilla/5.0 (X11; Linux x86_64)", "Linux"),
            ("\u{202e}evil\u{7f} x", "evil"),
        ] {
            assert_eq!(label(user_agent).as_deref(), Some(told), "{user_agent}");
        }
        assert_eq!((label(""), label("Mozilla/5.0"), label("\u{1f980}")), (None, None, None));
        assert_eq!(label(&"x".repeat(CHARS + 1)), Some("x".repeat(CHARS)));
    }
}
