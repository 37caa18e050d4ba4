//! What the environment says: the variables whose names begin with `QUASH_`. Nothing else of it is read.

use std::ffi::OsString;
use std::path::PathBuf;

use super::fault::{Fault, Origin, cut};
use super::secret::SecretText;

/// What the environment says.
#[derive(Clone, Default, Debug)]
pub(crate) struct Environment {
    pub(crate) data_dir: Option<PathBuf>,
    pub(super) config: Option<PathBuf>,
    pub(super) listen: Option<String>,
    pub(super) variables: Vec<Variable>,
    /// What can't be text.
    pub(super) faults: Vec<Fault>,
}

/// A variable that should stand for a setting. Nobody knows yet whether it holds a secret.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: SecretText,
}

/// Variables that stand for flags.
pub(super) const OWN_VARIABLES: [&str; 3] = ["QUASH_DATA_DIR", "QUASH_CONFIG", "QUASH_LISTEN"];
/// Variables that other programs of the project read.
const OTHERS_VARIABLES: [&str; 5] = ["QUASH_VECTORS", "QUASH_SOAK", "QUASH_TEST_PYTHON", "QUASH_TEST_CHROMIUM", "QUASH_TEST_AXE"];

impl Environment {
    /// The environment of this process.
    pub(crate) fn read() -> Self {
        #[expect(clippy::disallowed_methods, reason = "settings are read here, and nowhere else")]
        Self::of(std::env::vars_os())
    }

    pub(super) fn of(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            // A name that isn't text is nobody's, and will be told as such.
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("QUASH_") && !OTHERS_VARIABLES.contains(&name.as_str()) {
                environment.take(name, value);
            }
        }
        environment.variables.sort_by(|a, b| a.name.cmp(&b.name));
        environment
    }

    fn take(&mut self, name: String, value: OsString) {
        match name.as_str() {
            "QUASH_DATA_DIR" => return self.data_dir = Some(value.into()),
            "QUASH_CONFIG" => return self.config = Some(value.into()),
            _ => {}
        }
        match (value.into_string(), name.as_str()) {
            (Ok(text), "QUASH_LISTEN") => self.listen = Some(text),
            (Ok(text), _) => self.variables.push(Variable { name, value: SecretText::new(text) }),
            (Err(_), _) => self.faults.push(Fault {
                subject: format!("environment variable {}", cut(&name)),
                origin: Origin::Environment(cut(&name)),
                fault: "isn't UTF-8".into(),
                remedy: "write it as UTF-8".into(),
            }),
        }
    }
}
