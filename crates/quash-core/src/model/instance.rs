//! The processes that follow the log: their names, and what they say about themselves.

/// A process that follows the log, identified by its credential and a number that it chose.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct InstanceId {
    /// The credential's name. Empty for a node, which needs no credential.
    pub name: String,
    pub number: [u8; 16],
}

impl InstanceId {
    /// A process of the issuer itself.
    pub const fn of_node(number: [u8; 16]) -> Self {
        Self { name: String::new(), number }
    }

    /// Returns whether this is a process of the issuer. No credential has an empty name.
    pub fn is_node(&self) -> bool {
        self.name.is_empty()
    }
}

/// A verifier's behaviour while it has no valid lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Binding {
    /// It refuses tokens: a lease covers everything that it accepts.
    Bound,
    /// It accepts tokens without a lease, so its knowledge is unknown.
    NotBound,
}

/// The host and the process id that a verifier states, for operators. They prove nothing.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ProcessLabel {
    host: Option<Box<str>>,
    pid: Option<u32>,
}

/// The field of a label that isn't accepted. The text is for the verifier's developer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LabelFault {
    pub field: &'static str,
    pub text: &'static str,
}

/// The most characters of host and process id together.
const CHARS: usize = 64;

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

impl ProcessLabel {
    /// Parses the two fields, each of which may be absent.
    ///
    /// # Errors
    /// A field has other characters than those allowed, or both together are too long.
    pub fn parse(host: Option<&str>, pid: Option<&str>) -> Result<Self, LabelFault> {
        if host.is_some_and(|host| host.is_empty() || !host.bytes().all(is_allowed)) {
            let text = "must be letters from A to Z, digits, '.', '_' and '-'";
            return Err(LabelFault { field: "host", text });
        }
        if host.map_or(0, str::len) + pid.map_or(0, str::len) > CHARS {
            let text = "must have at most 64 characters, together with `pid`";
            return Err(LabelFault { field: "host", text });
        }
        let number = |pid: &str| {
            let is_plain = !pid.starts_with('0') && pid.bytes().all(|byte| byte.is_ascii_digit());
            pid.parse().ok().filter(|_| is_plain)
        };
        let fault = LabelFault { field: "pid", text: "must be a process id: a number from 1 to 4294967295" };
        let pid = pid.map(|pid| number(pid).ok_or(fault)).transpose()?;
        Ok(Self { host: host.map(Box::from), pid })
    }

    /// The label of a process of this program. In the host's name, other characters than those allowed become `-`,
    /// and what is too long is cut.
    pub fn of(host: &str, pid: u32) -> Self {
        let most = CHARS - pid.to_string().len();
        let cleaned = |c: char| if u8::try_from(c).is_ok_and(is_allowed) { c } else { '-' };
        let host: String = host.chars().take(most).map(cleaned).collect();
        Self { host: (!host.is_empty()).then(|| host.into()), pid: Some(pid) }
    }

    /// The name of the machine or the container.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The process id there.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_a_host_and_a_pid_of_64_characters() {
        let field = |host: Option<&str>, pid: Option<&str>| {
            ProcessLabel::parse(host, pid).map_err(|fault| fault.field)
        };
        let label = field(Some("web-1.example_a"), Some("4294967295")).expect("a label");
        assert_eq!((label.host(), label.pid()), (Some("web-1.example_a"), Some(u32::MAX)));
        assert_eq!(field(None, None), Ok(ProcessLabel::default()));
        let long = "a".repeat(62);
        assert!(field(Some(&long), Some("12")).is_ok());
        assert_eq!(field(Some(&long), Some("123")), Err("host"), "one past the edge");
        assert!(field(Some(&"a".repeat(64)), None).is_ok());
        assert_eq!(field(Some(&"a".repeat(65)), None), Err("host"), "one past the edge");
        for host in ["", "a b", "\u{e9}", "a\n", "\u{1b}[31m"] {
            assert_eq!(field(Some(host), None), Err("host"), "{host:?}");
        }
        for pid in ["", "0", "01", "-1", "+1", "4294967296", "x"] {
            assert_eq!(field(None, Some(pid)), Err("pid"), "{pid:?}");
        }
    }
}
